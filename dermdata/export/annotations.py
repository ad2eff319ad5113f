"""One COCO file: images, and an annotation for each mask; a line each, so that 50,000 masks need no memory.

Beside COCO's own keys (which tools pass over) an image has `key` and `categories_of_image`, and the file has
`masks_left_out` (each with its reason) and, as its last line, `summary`.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from dermdata.engine import Make, executor
from dermdata.errors import CacheDamaged, StorageError
from dermdata.export.outlines import Outline, Size, Task, outlined
from dermdata.images import inspect
from dermdata.progress import Progress

WINDOW = 512  # masks that wait for the writer at most
TAIL = 1 << 16  # bytes in which the last line is
TASK = "masks"
SUMMARY = b'"summary": '
In = TypeVar("In")
Out = TypeVar("Out")
encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Cover:
    """A mask that a row names: what it outlines, and where it lies."""

    category: int
    name: str  # as the manifest has it
    path: str | None  # absolute; None: there is no such file


@dataclass(frozen=True, slots=True)
class Picture:
    """One image of the file, by its name beside it."""

    file_name: str
    facts: Mapping[str, Any]  # further keys of its entry
    stored: Size  # width, height; pixels
    covers: Sequence[Cover]


@dataclass(frozen=True)
class Document:
    """A file before it is written."""

    head: Mapping[str, Any]  # info, licenses, categories
    pictures: Sequence[Picture]
    folder: Path | None  # of the images, when they have another size there than as stored
    jobs: int
    make: Make = executor


@dataclass
class Tally:
    """What came of the masks."""

    annotations: int = 0
    soft: int = 0
    bare: int = 0  # images without an annotation
    problems: Counter[str] = field(default_factory=Counter)


def chunks(document: Document, progress: Progress) -> Iterator[bytes]:
    """The file's bytes, the same ones for the same images, whatever the number of workers."""
    tally, gone = Tally(), list[dict[str, Any]]()
    yield (
        "{" + "".join(f"{encode(name)}: {encode(value)},\n" for name, value in document.head.items())
    ).encode()
    with document.make(document.jobs) as pool:
        sizes = [size for _, size in in_order(pool, size_in(document.folder), document.pictures)]
        yield from listed("images", images(document.pictures, sizes))
        progress.begin(TASK, sum(len(one.covers) for one in document.pictures), "masks")
        yield from listed("annotations", annotations(document.pictures, sizes, pool, tally, gone, progress))
        progress.end(TASK)
    yield from listed("masks_left_out", gone)
    yield SUMMARY + encode(summary(document, tally)).encode() + b"}\n"


def listed(name: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """A key whose value is a list, a row a line."""
    before = f"{encode(name)}: [\n"
    for row in rows:
        yield (before + encode(row)).encode()
        before = ",\n"
    yield ("\n],\n" if before == ",\n" else f"{encode(name)}: [],\n").encode()


def images(pictures: Sequence[Picture], sizes: Sequence[Size]) -> Iterator[dict[str, Any]]:
    for number, (one, (width, height)) in enumerate(zip(pictures, sizes, strict=True), 1):
        yield {"id": number, "file_name": one.file_name, "width": width, "height": height, **one.facts}


def annotations(
    pictures: Sequence[Picture],
    sizes: Sequence[Size],
    pool: Executor,
    tally: Tally,
    gone: list[dict[str, Any]],
    progress: Progress,
) -> Iterator[dict[str, Any]]:
    """An annotation for each outline, in the order of the images; what has none is tallied and listed."""
    named = [(at, cover) for at, one in enumerate(pictures) for cover in one.covers]
    outlined_images = set()
    for (at, cover), found in in_order(pool, lambda pair: outline_of(pair, pictures, sizes), named):
        progress.advance(TASK, 1)
        tally.soft += found.soft
        if found.problem:
            tally.problems[found.problem.partition(":")[0]] += 1
            gone.append({"key": pictures[at].facts.get("key"), "mask": cover.name, "reason": found.problem})
            continue
        outlined_images.add(at)
        tally.annotations += 1
        yield entry(tally.annotations, at + 1, cover.category, sizes[at], found)
    tally.bare = len(pictures) - len(outlined_images)


def outline_of(pair: tuple[int, Cover], pictures: Sequence[Picture], sizes: Sequence[Size]) -> Outline:
    at, cover = pair
    if cover.path is None:
        return Outline(problem="no such file")
    return outlined(Task(cover.path, pictures[at].stored, sizes[at]))


def entry(number: int, image: int, category: int, size: Size, found: Outline) -> dict[str, Any]:
    width, height = size
    return {
        "id": number, "image_id": image, "category_id": category,
        "segmentation": {"size": [height, width], "counts": found.counts},
        "bbox": list(found.box), "area": found.area, "iscrowd": 0,
    }  # fmt: skip


def size_in(folder: Path | None) -> Callable[[Picture], Size]:
    """How to tell the size that an image has in the export: of scaled ones the file knows it."""

    def look(one: Picture) -> Size:
        if folder is None:
            return one.stored
        try:
            facts = inspect(folder / one.file_name, decode=False)
        except OSError as error:
            raise StorageError(f"cannot read {folder / one.file_name}: {error.strerror}") from error
        if facts.width is None or facts.height is None:
            raise CacheDamaged(f"{folder / one.file_name} was written and cannot be read: {facts.problem}")
        return facts.width, facts.height

    return look


def in_order(pool: Executor, work: Callable[[In], Out], given: Sequence[In]) -> Iterator[tuple[In, Out]]:
    """Each with what came of it; a window of them is worked on at a time."""
    for start in range(0, len(given), WINDOW):
        window = given[start : start + WINDOW]
        yield from zip(window, pool.map(work, window), strict=True)


# ------------------------------------------------------------------ summary


def summary(document: Document, tally: Tally) -> dict[str, Any]:
    return {
        "images": len(document.pictures), "annotations": tally.annotations,
        "images_without_annotation": tally.bare, "soft_masks": tally.soft,
        "masks_left_out": dict(sorted(tally.problems.items())),
    }  # fmt: skip


def summary_of(path: Path) -> dict[str, Any]:
    """The summary of a file that is written, from its last line."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL), os.SEEK_SET)
        _, _, last = file.read().rpartition(SUMMARY)
    found: dict[str, Any] = json.loads(last.strip()[:-1])
    return found
