"""One folder a class: OUT/<split>/<class>/<image>, as torchvision's ImageFolder and `datasets` read it.

Without a split it is OUT/<class>/<image>; rows that no split has, where others have one, are in OUT/unsplit.
The class is `label` (from --labels), else `diagnosis`; rows without one cannot have a place and are listed in
`left-out.csv`. `metadata.parquet` beside the class folders is what `load_dataset("imagefolder", data_dir=OUT)`
adds: label and all columns of the manifest. (From a CSV it would guess each split's types by itself, and
refuse two splits whose guesses differ.) ImageFolder passes over it.

Images are hard links to the cache: no copy and no waiting, they stay when the cache is deleted, and they work
in containers and archives, where symbolic links lead nowhere. Where OUT is on another disk, or the cache is
another user's, they are symbolic links. With --copy, and when images are changed (--size, --strip-exif), they are
files of their own. Whoever edits a linked image in place edits the cache's.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from dermdata import disk
from dermdata.errors import UsageError
from dermdata.export import about, classes, features, files, folders, leftout, names, parts, pictures, shards
from dermdata.export.folders import Piece
from dermdata.export.job import Job, Part, Written, without
from dermdata.export.ledger import Ledger
from dermdata.export.placing import Placed, place
from dermdata.export.sheets import Sheet
from dermdata.export.sheets import write as write_sheet
from dermdata.export.tabular import tabular

FORM = "imagefolder"
METADATA = "metadata.parquet"
NO_COLUMNS = ("path", "mask_path", "masks")  # files of the cache, which are elsewhere here


@dataclass(frozen=True)
class Tree:
    """Where each row's image comes to lie; lists are by row of the table."""

    table: pa.Table
    folders: Sequence[str]  # of the split: "" or "train/"
    placed: Sequence[Placed]
    sidecars: Sequence[Piece]
    unchecked: Mapping[str, int]  # in words: images that no digest is known of

    @property
    def wanted(self) -> dict[str, str]:
        return folders.marks(self.placed) | folders.marks(self.sidecars)


def plan(job: Job) -> tuple[Part, ...]:
    """A line for each folder of images."""
    job, record, tree = decided(job)
    record.require_free(tree.wanted)
    there = Counter(folder_of(one) for one in tree.placed)
    for one in tree.placed:
        if record.keeps(one.path, one.mark):
            there[folder_of(one)] -= 1
    rows, sizes = Counter(map(folder_of, tree.placed)), Counter[str]()
    for one in tree.placed:
        sizes[folder_of(one)] += one.size
    return tuple(
        Part(job.out / name, rows[name], sizes[name], there=not there[name]) for name in sorted(rows)
    )


def write(job: Job) -> Written:
    """Place the images that are not there, then write the tables beside them."""
    job, record, tree = decided(job)
    with record.writing(tree.wanted, job.progress) as run:
        todo = [one for one in tree.placed if not run.keeps(one.path)]
        made = [piece for piece in tree.sidecars if not run.keeps(piece.path)]
        if job.copy and job.size is None:
            disk.require_space(job.out, sum(one.size for one in todo))
        run.begin()
        place(job, todo, pictures.digests(job.table), run)
        folders.fill(run, made)
    warn_of_gaps(job, tree)
    count = len(tree.placed) + len(tree.sidecars)
    return Written(
        files=(job.out,), rows=len(tree.placed), bytes=sum(one.size for one in tree.placed),
        kept=count - len(todo) - len(made), left_out={**leftout.counted(job.left), **tree.unchecked}, count=count,
    )  # fmt: skip


def folder_of(one: Placed) -> str:
    return one.path.rpartition("/")[0]


# ------------------------------------------------------------------ decisions


def decided(job: Job) -> tuple[Job, Ledger, Tree]:
    if job.embed:
        raise UsageError(
            "imagefolder writes image files, nothing can be embedded", hint="--copy instead of links"
        )
    record = folders.opened(job, FORM)
    if job.table.num_rows and not job.classes:
        raise UsageError(
            f"no row has a class: `{job.label}` is empty", hint="name classes with --labels SPACE"
        )
    job = without(job, classes.why_none(job.table, job.label))
    job, found = pictures.with_images(job)
    homes = split_folders(job.table)
    placed = places(job, found, homes)
    sidecars = [*tables(job, homes, placed), *folders.of_left(job)]
    return job, record, Tree(job.table, homes, placed, sidecars, pictures.count_unchecked(job.table))


def split_folders(table: pa.Table) -> list[str]:
    words = parts.split_words(table)
    return [""] * table.num_rows if words is None else [f"{names.safe(word)}/" for word in words]


def places(job: Job, found: Sequence[str | None], homes: Sequence[str]) -> list[Placed]:
    """A path of its own for each image, and the mark of what lies there."""
    table = job.table
    of_class = dict(
        zip(job.classes, names.unique([names.safe(one) for one in job.classes], job.classes), strict=True)
    )
    given = classes.words(table, job.label)
    plain = [
        f"{home}{of_class[word or '']}/{names.safe(name)}"
        for home, word, name in zip(homes, given, pictures.ids(table), strict=True)
    ]
    stems = names.unique(plain, pictures.identities(table))
    kinds = pictures.endings(table, list(found), job.recipe)
    sizes = files.sizes(table, found)
    digests = leftout.text(table, "sha256").to_pylist()
    how = pictures.version(job.recipe) if job.recipe.changes else "copy" if job.copy else "link"
    return [
        Placed(
            f"{name}.{kind}" if kind else name, source or "", size,
            f"{digest[:32]} {how}" if digest else "", row,
        )
        for row, (name, kind, source, size, digest) in enumerate(
            zip(stems, kinds, found, sizes, digests, strict=True)
        )
    ]  # fmt: skip


def tables(job: Job, homes: Sequence[str], placed: Sequence[Placed]) -> Iterator[Piece]:
    """`metadata.parquet` for each split."""
    numbers = classes.numbers(classes.words(job.table, job.label), job.classes)
    for home in sorted(set(homes)):
        rows = [at for at, one in enumerate(homes) if one == home]
        names_ = [placed[at].path.removeprefix(home) for at in rows]
        table = described(job, job.table.take(pa.array(rows)), names_, [numbers[at] for at in rows])
        yield Piece(f"{home}{METADATA}", mark_of(table), 0, 0, writer(table, job))


def described(job: Job, table: pa.Table, paths: list[str], numbers: list[int | None]) -> pa.Table:
    """The manifest's columns, with `file_name` and `label` first, in Hugging Face's terms."""
    gone = {*NO_COLUMNS, "file_name", "label"}
    table = tabular(table.select([name for name in table.column_names if name not in gone]))
    table = table.add_column(0, "file_name", pa.array(paths, pa.string()))
    table = table.add_column(1, "label", pa.array(numbers, pa.int64()))
    ours = {f"dermdata.{key}".encode(): value.encode() for key, value in about.of(job.table).items()}
    special = {"label": features.class_label(job.classes)}
    return table.replace_schema_metadata(ours | features.metadata(table.schema, special))


def mark_of(table: pa.Table) -> str:
    return shards.digest(table, [])[:32]


def writer(table: pa.Table, job: Job) -> Any:
    return lambda path: write_sheet(path, Sheet(table, {}, [0] * table.num_rows), job)


def warn_of_gaps(job: Job, tree: Tree) -> None:
    """ImageFolder numbers the folders that it finds: a class that one split lacks shifts all after it."""
    given = classes.words(tree.table, job.label)
    for home in sorted(set(tree.folders)):
        held = {word for word, one in zip(given, tree.folders, strict=True) if one == home}
        lacking = [name for name in job.classes if name not in held]
        if lacking:
            where = f"{job.out}/{home}".rstrip("/")
            job.progress.say(
                f"warning: {where} has no image of {', '.join(lacking[:5])}{', …' if len(lacking) > 5 else ''}: "
                f"ImageFolder numbers its classes otherwise; `label` in {METADATA} has the same numbers everywhere"
            )
