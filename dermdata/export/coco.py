"""COCO: images, and their masks as run lengths with boxes, for pycocotools and all that read its format.

  OUT/<split>/<image>, OUT/instances_<split>.json   a folder and a file for each split
  OUT/images/<image>, OUT/annotations.json          where the manifest is not split

`file_name` is the name in that folder, so torchvision's CocoDetection takes the two paths as they stand here.
Images are links or copies as with imagefolder. Categories are the classes (`label` from --labels, else
`diagnosis`) by name from 1, then the structures of `masks`; a part numbers them as the whole manifest does. Where no
row has a class, lesion masks are of the category `lesion`; where others have one, a row without is left out, since an
image whose lesion has no name would be learned as background.

A mask is one annotation (parts of it that do not touch are not told apart), a compressed run-length code
with its box and area. An image without a mask has an entry and no annotation: its class stands in
`categories_of_image`, which COCO's tools pass over. A mask of another size than its image, an empty one and one
that cannot be read are left out, counted, and listed in the file under `masks_left_out`. With --size masks are
scaled to what their images became; outlines.py says what counts as inside.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from dermdata import disk
from dermdata.croissant import licence_url
from dermdata.errors import UsageError
from dermdata.export import (
    annotations,
    card,
    classes,
    covers,
    files,
    folders,
    leftout,
    names,
    parts,
    pictures,
    placing,
)
from dermdata.export.annotations import Cover, Document, Picture
from dermdata.export.folders import Piece
from dermdata.export.job import Job, Part, Written, without
from dermdata.export.ledger import Ledger
from dermdata.export.outlines import Size
from dermdata.export.placing import Placed
from dermdata.export.stamps import stamp
from dermdata.images import inspect

FORM, LAYOUT = "coco", "1"
LESION, STRUCTURE = "lesion", "structure"  # categories and supercategories of our own
NO_SIZE = "its width and height cannot be read"
BARE = "images without an annotation (what is known of their class is in categories_of_image)"
SOFT = "masks of more than two values: what is at least half as bright as the brightest pixel is inside"


@dataclass(frozen=True)
class Home:
    """One split: its images and its file."""

    folder: str
    placed: Sequence[Placed]
    file: Piece


@dataclass(frozen=True)
class Work:
    """A job made ready."""

    job: Job
    record: Ledger
    homes: Sequence[Home]
    left: Sequence[Piece]
    unchecked: Mapping[str, int]  # in words: images that no digest is known of

    @property
    def placed(self) -> list[Placed]:
        return [one for home in self.homes for one in home.placed]

    @property
    def files(self) -> list[Piece]:
        return [*(home.file for home in self.homes), *self.left]

    @property
    def wanted(self) -> dict[str, str]:
        return folders.marks(self.placed) | folders.marks(self.files)


def plan(job: Job) -> tuple[Part, ...]:
    """A line for each folder of images and each file."""
    work = decided(job)
    work.record.require_free(work.wanted)
    return (*(folder_part(work, home) for home in work.homes), *folders.plan(work.record, work.files))


def folder_part(work: Work, home: Home) -> Part:
    there = all(work.record.keeps(one.path, one.mark) for one in home.placed)
    size = sum(one.size for one in home.placed)
    return Part(work.job.out / home.folder, len(home.placed), size, there=there)


def write(job: Job) -> Written:
    """Place the images that are not there, then write the files that are about them."""
    work = decided(job)
    with work.record.writing(work.wanted, job.progress) as run:
        todo = [one for one in work.placed if not run.keeps(one.path)]
        made = [one for one in work.files if not run.keeps(one.path)]
        if job.copy and job.size is None:
            disk.require_space(job.out, sum(one.size for one in todo))
        run.begin()
        placing.place(job, todo, pictures.digests(work.job.table), run)
        folders.fill(run, made)
    return written(work, kept=len(work.wanted) - len(todo) - len(made))


def written(work: Work, kept: int) -> Written:
    paths = [work.job.out / one.path for one in work.files]
    size = sum(one.size for one in work.placed) + sum(path.stat().st_size for path in paths)
    return Written(
        files=tuple(paths), rows=len(work.placed), bytes=size, kept=kept,
        left_out={**leftout.counted(work.job.left), **work.unchecked, **lacking(work)}, count=len(work.wanted),
    )  # fmt: skip


def lacking(work: Work) -> dict[str, int]:
    """In words what the files lack, from what they say themselves."""
    found: Counter[str] = Counter()
    for home in work.homes:
        facts = annotations.summary_of(work.job.out / home.file.path)
        found[BARE] += facts["images_without_annotation"]
        found[SOFT] += facts["soft_masks"]
        for reason, count in facts["masks_left_out"].items():
            found[f"masks left out: {reason}"] += count
    return {words: count for words, count in found.items() if count}


# ------------------------------------------------------------------ decisions


def decided(job: Job) -> Work:
    if job.embed:
        raise UsageError("coco writes image files, nothing can be embedded", hint="--copy instead of links")
    record = folders.opened(job, FORM)
    if job.classes:
        job = without(job, classes.why_none(job.table, job.label))
    job, _ = pictures.with_images(job)
    job, found, stored = with_sizes(job)
    divided = parts.split_parts(job.table)
    named = names.unique([names.safe(one.name) for one in divided], [one.name for one in divided])
    named_masks = covers.of(job, len(classes_of(job)))
    homes = [
        home(replace(job, table=job.table.take(pa.array(part.rows))), name if part.name else "", part.rows.tolist(),
             *(parts.picked(values, part.rows) for values in (found, stored, named_masks)))
        for part, name in zip(divided, named, strict=True)
    ]  # fmt: skip
    return Work(job, record, homes, folders.of_left(job), pictures.count_unchecked(job.table))


def with_sizes(job: Job) -> tuple[Job, list[str], list[Size]]:
    """The job without the rows whose image has no size that can be told; the images' files and stored sizes."""
    found = [path or "" for path in files.located(job.table, job.roots)]
    columns = [
        job.table[name].to_pylist() if name in job.table.column_names else [None] * job.table.num_rows
        for name in ("width", "height")
    ]
    sizes = [known or looked(path) for path, known in zip(found, map(both, *columns), strict=True)]
    job = without(job, [None if size else NO_SIZE for size in sizes])
    stay = [(path, size) for path, size in zip(found, sizes, strict=True) if size]
    return job, [path for path, _ in stay], [size for _, size in stay]


def both(width: int | None, height: int | None) -> Size | None:
    return (width, height) if width and height else None


def looked(path: str) -> Size | None:
    facts = inspect(Path(path), decode=False)
    return both(facts.width, facts.height)


# ------------------------------------------------------------------ one split


def home(
    job: Job, name: str, rows: list[int], found: list[str], stored: list[Size], named: list[list[Cover]]
) -> Home:
    """The images of one split, and its file; `job` has just the split's rows, `rows` their places in the whole."""
    folder = name or "images"
    placed = places(job, folder, found, rows)
    order = sorted(range(len(placed)), key=lambda at: placed[at].path)
    facts = further_facts(job)
    shown = [
        Picture(placed[at].path.removeprefix(f"{folder}/"), facts[at], stored[at], named[at]) for at in order
    ]
    scaled = job.out / folder if job.size is not None else None
    document = Document(head(job), shown, scaled, job.jobs, job.make)
    path = f"instances_{name}.json" if name else "annotations.json"

    def make(target: Path) -> None:
        disk.write(target, annotations.chunks(document, job.progress))

    return Home(folder, placed, Piece(path, mark_of(job, document), 0, 0, make))


def places(job: Job, folder: str, found: list[str], rows: list[int]) -> list[Placed]:
    """A name of its own for each image, and the mark of what lies there."""
    table = job.table
    plain = [f"{folder}/{names.safe(name)}" for name in pictures.ids(table)]
    stems = names.unique(plain, pictures.identities(table))
    kinds = pictures.endings(table, list(found), job.recipe)
    sizes = files.sizes(table, found)
    digests = leftout.text(table, "sha256").to_pylist()
    how = pictures.version(job.recipe) if job.recipe.changes else "copy" if job.copy else "link"
    return [
        Placed(f"{stem}.{kind}" if kind else stem, path, size, f"{digest[:32]} {how}" if digest else "", row)
        for stem, kind, path, size, digest, row in zip(stems, kinds, found, sizes, digests, rows, strict=True)
    ]


def further_facts(job: Job) -> list[dict[str, Any]]:
    """What else an image's entry says: its licence, its key and its class."""
    numbers = classes.numbers(classes.words(job.table, job.label), job.classes)
    keys = leftout.text(job.table, "key").to_pylist()
    place = {name: number for number, name in enumerate(card.licences(job), 1)}
    terms = leftout.text(job.table, "license").to_pylist()
    return [
        ({"license": place[term]} if term else {})
        | {"key": key, "categories_of_image": [] if number is None else [number + 1]}
        for number, key, term in zip(numbers, keys, terms, strict=True)
    ]


def head(job: Job) -> Mapping[str, Any]:
    """What stands before the images."""
    entries = card.entries(job)
    info = {
        "description": ", ".join(one.title for one in entries) or "Skin images",
        "version": ", ".join(one.version for one in entries if one.version),
        "url": ", ".join(one.homepage for one in entries if one.homepage),
    }
    licences = [
        {"id": number, "name": name, "url": licence_url(name, entries) or ""}
        for number, name in enumerate(card.licences(job), 1)
    ]
    return {"info": info, "licenses": licences, "categories": list(categories(job))}


def classes_of(job: Job) -> list[tuple[str, str]]:
    """The classes of lesions and where they come from; structures are numbered after them."""
    if job.classes or (job.structures and not job.lesions):
        return [(name, job.label) for name in job.classes]
    return [(LESION, LESION)]


def categories(job: Job) -> Iterator[dict[str, Any]]:
    named = [*classes_of(job), *((one, STRUCTURE) for one in job.structures)]
    for number, (name, above) in enumerate(named, 1):
        yield {"id": number, "name": name, "supercategory": above}


def mark_of(job: Job, document: Document) -> str:
    """What decides the file's bytes; "" where the manifest does not say which bytes an image has."""
    if not all(pictures.sure(job.table)):
        return ""
    running = hashlib.sha256(repr((LAYOUT, document.head, pictures.version(job.recipe))).encode())
    digests = sorted(leftout.text(job.table, "sha256").to_pylist())
    running.update(repr(digests).encode())
    for one in document.pictures:
        running.update(repr((one.file_name, one.facts, one.stored)).encode(errors="surrogatepass"))
        for cover in one.covers:
            running.update(
                repr((cover.category, cover.name, stamp(cover.path))).encode(errors="surrogatepass")
            )
    return running.hexdigest()[:32]
