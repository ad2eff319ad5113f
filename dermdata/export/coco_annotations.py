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
from typing import Any, NamedTuple, TypeVar

from dermdata.engine import ExecutorFactory, thread_executor
from dermdata.errors import CacheDamaged, StorageError
from dermdata.export.job import UNNAMED_BOX, Job, class_numbers, row_classes
from dermdata.export.masks import MaskOutline, MaskTask, trace_mask
from dermdata.export.metadata import BOX_SIDES
from dermdata.export.row_images import lesion_masks, locate_nested_files
from dermdata.images import check_image
from dermdata.images.frames import Frame
from dermdata.images.masks import Size
from dermdata.manifest.columns import text_column
from dermdata.progress import Progress

MASK_WINDOW = 512  # masks that wait for the writer at most
TAIL_BYTES = 1 << 16  # bytes in which the last line is
MASKS_TASK = "masks"
OUTSIDE = "a box outside the part that --fit crop keeps"
SUMMARY_PREFIX = b'"summary": '
In = TypeVar("In")
Out = TypeVar("Out")
encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class MaskRef:
    """A mask that a row names: what it outlines, and where it lies."""

    category: int
    name: str  # as the manifest has it
    path: str | None  # absolute; None: there is no such file


class BoxRef(NamedTuple):
    """A box that a row has, in stored pixels."""

    category: int
    box: tuple[float, float, float, float]  # left, top, width, height


@dataclass(frozen=True, slots=True)
class CocoImage:
    """One image of the file, by its name beside it."""

    file_name: str
    facts: Mapping[str, Any]  # further keys of its entry
    stored: Size  # width, height; pixels
    masks: Sequence[MaskRef]
    boxes: Sequence[BoxRef] = ()
    path: str | None = None  # absolute, of the image as stored


@dataclass(frozen=True)
class CocoDocument:
    """A file before it is written."""

    head: Mapping[str, Any]  # info, licenses, categories
    images: Sequence[CocoImage]
    folder: Path | None  # of the images, when they have another size there than as stored
    jobs: int
    make: ExecutorFactory = thread_executor
    frame: Frame | None = None  # that every image was brought to


@dataclass
class MaskTally:
    """What came of the masks."""

    annotations: int = 0
    soft: int = 0
    unannotated_images: int = 0  # images without an annotation
    problems: Counter[str] = field(default_factory=Counter)


def document_chunks(document: CocoDocument, progress: Progress) -> Iterator[bytes]:
    """The file's bytes, the same ones for the same images, whatever the number of workers."""
    tally, left_out = MaskTally(), list[dict[str, Any]]()
    yield (
        "{" + "".join(f"{encode(name)}: {encode(value)},\n" for name, value in document.head.items())
    ).encode()
    with document.make(document.jobs) as pool:
        sizes = [size for _, size in map_ordered(pool, make_size_reader(document), document.images)]
        yield from list_chunks("images", image_entries(document.images, sizes))
        progress.begin(MASKS_TASK, sum(len(one.masks) for one in document.images), "masks")
        yield from list_chunks(
            "annotations", annotation_entries(document, sizes, pool, tally, left_out, progress)
        )
        progress.end(MASKS_TASK)
    yield from list_chunks("masks_left_out", left_out)
    yield SUMMARY_PREFIX + encode(build_summary(document, tally)).encode() + b"}\n"


def list_chunks(name: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """A key whose value is a list, a row a line."""
    before = f"{encode(name)}: [\n"
    for row in rows:
        yield (before + encode(row)).encode()
        before = ",\n"
    yield ("\n],\n" if before == ",\n" else f"{encode(name)}: [],\n").encode()


def image_entries(images: Sequence[CocoImage], sizes: Sequence[Size]) -> Iterator[dict[str, Any]]:
    for number, (one, (width, height)) in enumerate(zip(images, sizes, strict=True), 1):
        yield {"id": number, "file_name": one.file_name, "width": width, "height": height, **one.facts}


def annotation_entries(
    document: CocoDocument,
    sizes: Sequence[Size],
    pool: Executor,
    tally: MaskTally,
    left_out: list[dict[str, Any]],
    progress: Progress,
) -> Iterator[dict[str, Any]]:
    """An annotation for each outline, in the order of the images; what has none is tallied and listed."""
    images, frame = document.images, document.frame
    named = [(at, mask) for at, one in enumerate(images) for mask in one.masks]
    outlined_images = set()
    for (at, mask), found in map_ordered(pool, lambda pair: read_outline(pair, images, sizes, frame), named):
        progress.advance(MASKS_TASK, 1)
        tally.soft += found.soft
        if found.problem:
            tally.problems[found.problem.partition(":")[0]] += 1
            left_out.append({"key": images[at].facts.get("key"), "mask": mask.name, "reason": found.problem})
            continue
        outlined_images.add(at)
        tally.annotations += 1
        yield annotation_entry(tally.annotations, at + 1, mask.category, sizes[at], found)
    for at, one in ((at, box) for at, image in enumerate(images) for box in image.boxes):
        box = scale_box(one.box, images[at].stored, sizes[at], frame)
        if box is None:
            tally.problems[OUTSIDE] += 1
            continue
        outlined_images.add(at)
        tally.annotations += 1
        yield box_entry(tally.annotations, at + 1, one.category, box)
    tally.unannotated_images = len(images) - len(outlined_images)


def read_outline(
    pair: tuple[int, MaskRef], images: Sequence[CocoImage], sizes: Sequence[Size], frame: Frame | None
) -> MaskOutline:
    at, mask = pair
    if mask.path is None:
        return MaskOutline(problem="no such file")
    return trace_mask(MaskTask(mask.path, images[at].stored, sizes[at], images[at].path, frame))


def annotation_entry(
    number: int, image: int, category: int, size: Size, found: MaskOutline
) -> dict[str, Any]:
    width, height = size
    return {
        "id": number, "image_id": image, "category_id": category,
        "segmentation": {"size": [height, width], "counts": found.counts},
        "bbox": list(found.box), "area": found.area, "iscrowd": 0,
    }  # fmt: skip


def box_entry(number: int, image: int, category: int, box: Sequence[float]) -> dict[str, Any]:
    """A box without an outline, of which COCO's tools need an empty one."""
    return {
        "id": number, "image_id": image, "category_id": category,
        "segmentation": [], "bbox": list(box), "area": round(box[2] * box[3], 3), "iscrowd": 0,
    }  # fmt: skip


def scale_box(
    box: Sequence[float], stored: Size, size: Size, frame: Frame | None = None
) -> list[float] | None:
    """The box in the pixels of the exported image; None where nothing of it is left."""
    if frame is not None:
        moved = frame.place(stored).move_box(box, stored)
        return None if moved is None else [round(side, 3) for side in moved]
    across, down = size[0] / stored[0], size[1] / stored[1]
    return [round(one * scale, 3) for one, scale in zip(box, (across, down, across, down), strict=True)]


def make_size_reader(document: CocoDocument) -> Callable[[CocoImage], Size]:
    """How to find the size that an image has in the export: a scaled one's is in its file."""
    folder, frame = document.folder, document.frame

    def look(one: CocoImage) -> Size:
        if frame is not None:
            return frame.size
        if folder is None:
            return one.stored
        try:
            facts = check_image(folder / one.file_name, decode=False)
        except OSError as error:
            raise StorageError(f"cannot read {folder / one.file_name}: {error.strerror}") from error
        if facts.width is None or facts.height is None:
            raise CacheDamaged(f"{folder / one.file_name} was written and cannot be read: {facts.problem}")
        return facts.width, facts.height

    return look


def map_ordered(pool: Executor, work: Callable[[In], Out], given: Sequence[In]) -> Iterator[tuple[In, Out]]:
    """Each with what came of it; a window of them is worked on at a time."""
    for start in range(0, len(given), MASK_WINDOW):
        window = given[start : start + MASK_WINDOW]
        yield from zip(window, pool.map(work, window), strict=True)


# ------------------------------------------------------------------ summary


def build_summary(document: CocoDocument, tally: MaskTally) -> dict[str, Any]:
    return {
        "images": len(document.images), "annotations": tally.annotations,
        "images_without_annotation": tally.unannotated_images, "soft_masks": tally.soft,
        "masks_left_out": dict(sorted(tally.problems.items())),
    }  # fmt: skip


def read_summary(path: Path) -> dict[str, Any]:
    """The summary of a file that is written, from its last line."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES), os.SEEK_SET)
        _, _, last = file.read().rpartition(SUMMARY_PREFIX)
    found: dict[str, Any] = json.loads(last.strip()[:-1])
    return found


def row_masks(job: Job, after: int) -> list[list[MaskRef]]:
    """Each row's masks: the lesion's in the row's class (else in the first), then structures' from `after` on."""
    table = job.table
    numbers = class_numbers(row_classes(table, job.label), job.classes)
    lesions = text_column(table, "mask_path").to_pylist()
    there = lesion_masks(table, job)
    place = {name: after + number for number, name in enumerate(job.structures, 1)}
    further = structure_masks(job)
    return [
        ([MaskRef(1 if number is None else number + 1, portable_mask_name(name), path)] if name else [])
        + [MaskRef(place[structure], portable_mask_name(own), where) for structure, own, where in more]
        for number, name, path, more in zip(numbers, lesions, there, further, strict=True)
    ]


def row_boxes(job: Job, after: int) -> list[list[BoxRef]]:
    """Each row's boxes, their categories from `after` on."""
    place = {name: after + number for number, name in enumerate(job.box_names, 1)}
    rows = job.table["boxes"].to_pylist() if job.box_names else [None] * job.table.num_rows
    return [
        [BoxRef(place[box["label"] or UNNAMED_BOX], tuple(map(box.get, BOX_SIDES))) for box in row or ()]
        for row in rows
    ]


def portable_mask_name(name: str) -> str:
    """A mask's path below its dataset's folder; of one elsewhere on this machine just its name."""
    return name.rpartition("/")[2] if name.startswith("/") else name


def structure_masks(job: Job) -> list[list[tuple[str, str, str | None]]]:
    """Each row's structures with the mask's name and file."""
    if not job.structures:
        return [[]] * job.table.num_rows
    rows = [
        sorted((name, path) for name, path in row or () if path) for row in job.table["masks"].to_pylist()
    ]
    found = locate_nested_files([[path for _, path in row] for row in rows], job.table, job)
    return [
        [(name, path, where) for (name, path), where in zip(row, places, strict=True)]
        for row, places in zip(rows, found, strict=True)
    ]
