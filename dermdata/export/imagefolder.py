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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from dermdata import disk
from dermdata.errors import UsageError
from dermdata.export import shards
from dermdata.export.job import (
    ExportPart,
    ExportResult,
    Job,
    class_numbers,
    leave_out_unclassed,
    row_classes,
    row_splits,
)
from dermdata.export.left_out import count_reasons
from dermdata.export.metadata import (
    class_label_feature,
    feature_metadata,
    follow_resize,
    provenance_metadata,
    to_portable_types,
)
from dermdata.export.output_folder import (
    OutputFile,
    PlacedImage,
    left_out_files,
    make_files,
    map_fingerprints,
    measure_files,
    open_job_record,
    parent_folder,
    place_images,
    place_rows,
)
from dermdata.export.parquet import ImageTable, write_image_table
from dermdata.export.record import ExportRecord
from dermdata.export.row_images import (
    PATH_COLUMNS,
    drop_missing_images,
    image_digests,
    image_names,
    note_images,
    portable_name,
    unique_names,
)

FORM = "imagefolder"
METADATA_NAME = "metadata.parquet"


@dataclass(frozen=True)
class ImageFolderPlan:
    """Where each row's image comes to lie; lists are by row of the table."""

    table: pa.Table
    folders: Sequence[str]  # of the split: "" or "train/"
    images: Sequence[PlacedImage]
    sidecars: Sequence[OutputFile]
    notes: Mapping[str, int]  # in words: what else the person must know of the images

    @property
    def fingerprints(self) -> dict[str, str]:
        return map_fingerprints(self.images) | map_fingerprints(self.sidecars)


def plan_imagefolder(job: Job) -> tuple[ExportPart, ...]:
    """A line for each folder of images."""
    job, record, plan = decide_files(job)
    record.require_free(plan.fingerprints)
    rows, sizes, missing = Counter[str](), Counter[str](), Counter[str]()
    for one in plan.images:
        folder = parent_folder(one.path)
        rows[folder] += 1
        sizes[folder] += one.size
        missing[folder] += not record.is_current(one.path, one.fingerprint)
    return tuple(
        ExportPart(job.out / name, rows[name], sizes[name], there=not missing[name]) for name in sorted(rows)
    )


def write_imagefolder(job: Job) -> ExportResult:
    """Place the images that are not there, then write the tables beside them."""
    job, record, plan = decide_files(job)
    with record.open_run(plan.fingerprints, job.progress) as run:
        todo = [one for one in plan.images if not run.is_kept(one.path)]
        made = [piece for piece in plan.sidecars if not run.is_kept(piece.path)]
        if job.copy and not job.recipe.resizes:
            disk.require_space(job.out, sum(one.size for one in todo))
        run.begin()
        place_images(job, todo, image_digests(job.table), run)
        make_files(run, made)
    warn_missing_classes(job, plan)
    count = len(plan.images) + len(plan.sidecars)
    return ExportResult(
        files=(job.out,), rows=len(plan.images), bytes=measure_files(job.out, plan.fingerprints),
        kept=count - len(todo) - len(made), left_out={**count_reasons(job.left), **plan.notes}, count=count,
        unusable=job.unusable,
    )  # fmt: skip


# ------------------------------------------------------------------ decisions


def decide_files(job: Job) -> tuple[Job, ExportRecord, ImageFolderPlan]:
    if job.embed:
        raise UsageError(
            "imagefolder writes image files, nothing can be embedded", hint="--copy instead of links"
        )
    record = open_job_record(job, FORM)
    if job.table.num_rows and not job.classes:
        raise UsageError(
            f"no row has a class: `{job.label}` is empty", hint="name classes with --labels SPACE"
        )
    job = leave_out_unclassed(job)
    job, found = drop_missing_images(job)
    folders = split_folders(job.table)
    placed = assign_paths(job, found, folders)
    sidecars = [*metadata_files(job, folders, placed), *left_out_files(job)]
    return job, record, ImageFolderPlan(job.table, folders, placed, sidecars, note_images(job, found))


def split_folders(table: pa.Table) -> list[str]:
    words = row_splits(table)
    return [""] * table.num_rows if words is None else [f"{portable_name(word)}/" for word in words]


def assign_paths(job: Job, found: Sequence[str | None], folders: Sequence[str]) -> list[PlacedImage]:
    """A path of its own for each image, and the fingerprint of what lies there."""
    table = job.table
    of_class = dict(
        zip(job.classes, unique_names([portable_name(one) for one in job.classes], job.classes), strict=True)
    )
    given = row_classes(table, job.label)
    plain = [
        f"{folder}{of_class[word or '']}/{portable_name(name)}"
        for folder, word, name in zip(folders, given, image_names(table), strict=True)
    ]
    return place_rows(job, plain, found, range(table.num_rows))


def metadata_files(job: Job, folders: Sequence[str], placed: Sequence[PlacedImage]) -> Iterator[OutputFile]:
    """`metadata.parquet` for each split."""
    numbers = class_numbers(row_classes(job.table, job.label), job.classes)
    for folder in sorted(set(folders)):
        rows = [at for at, one in enumerate(folders) if one == folder]
        paths = [placed[at].path.removeprefix(folder) for at in rows]
        table = metadata_table(job, job.table.take(pa.array(rows)), paths, [numbers[at] for at in rows])
        yield OutputFile(f"{folder}{METADATA_NAME}", table_fingerprint(table), 0, 0, table_writer(table, job))


def metadata_table(job: Job, table: pa.Table, paths: list[str], numbers: list[int | None]) -> pa.Table:
    """The manifest's columns, with `file_name` and `label` first, in Hugging Face's terms."""
    replaced = {*PATH_COLUMNS, "file_name", "label"}
    table = follow_resize(table, job.recipe)
    table = to_portable_types(table.select([name for name in table.column_names if name not in replaced]))
    table = table.add_column(0, "file_name", pa.array(paths, pa.string()))
    table = table.add_column(1, "label", pa.array(numbers, pa.int64()))
    special = {"label": class_label_feature(job.classes)}
    metadata = provenance_metadata(job.table) | feature_metadata(table.schema, special)
    return table.replace_schema_metadata(metadata)


def table_fingerprint(table: pa.Table) -> str:
    return shards.table_digest(table, [])[:32]


def table_writer(table: pa.Table, job: Job) -> Callable[[Path], object]:
    return lambda path: write_image_table(path, ImageTable(table, {}, [0] * table.num_rows), job)


def warn_missing_classes(job: Job, plan: ImageFolderPlan) -> None:
    """ImageFolder numbers the folders that it finds: a class that one split lacks shifts all after it."""
    given = row_classes(plan.table, job.label)
    for folder in sorted(set(plan.folders)):
        held = {word for word, one in zip(given, plan.folders, strict=True) if one == folder}
        lacking = [name for name in job.classes if name not in held]
        if lacking:
            where = f"{job.out}/{folder}".rstrip("/")
            job.progress.say(
                f"warning: {where} has no image of {', '.join(lacking[:5])}{', …' if len(lacking) > 5 else ''}: "
                f"ImageFolder numbers its classes otherwise; `label` in {METADATA_NAME} has the same numbers everywhere"
            )
