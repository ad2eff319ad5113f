"""YOLO: images, a text of boxes or outlines for each, and `data.yaml`, for Ultralytics and all that read its format.

  OUT/images/<part>/<image>, OUT/labels/<part>/<image>.txt, OUT/data.yaml

`yolo` writes a box for each mask and each of a row's `boxes`: `class x-center y-center width height`, shares of the
image's width and height. `yolo-seg` writes an outline for each part of a mask: `class x y x y …`; a hole cannot be said
in it and is filled, and a box without an outline leaves its image out. Classes are numbered from 0, in a
part that is exported alone as in the whole manifest. An image on which nothing was to be found (`boxes` that are empty,
not absent) has an empty text; one of which nobody says what is on it is left out, since it would be learned as background.

`data.yaml` names no folder of this machine: Ultralytics takes the one that it lies in, so that OUT can be moved. For
classification Ultralytics reads `export imagefolder`.

Sources: https://docs.ultralytics.com/datasets/detect/ and https://docs.ultralytics.com/datasets/segment/
"""

import json
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dermdata.errors import UsageError
from dermdata.export.annotated_folder import (
    DrawnImage,
    FolderPlan,
    LookedMasks,
    SideFile,
    drop_undrawn,
    look_at_masks,
    note_soft,
    plan_folder,
    short_digest,
    write_folder,
)
from dermdata.export.coco import drop_unsized_images, lesion_categories
from dermdata.export.coco_annotations import row_boxes, row_masks
from dermdata.export.job import ExportPart, ExportResult, Job, leave_out_unclassed, row_splits
from dermdata.export.masks import bounding_box
from dermdata.export.output_folder import PlacedImage, file_from_bytes, open_job_record, place_rows
from dermdata.export.row_images import drop_missing_images, image_names, note_images, portable_name
from dermdata.images.frames import Frame, Placement
from dermdata.images.masks import BinaryMask, Size

FORM = "yolo"
PARTS = ("train", "val", "test")  # the keys of data.yaml
DIGITS = 6  # of a share: a thousandth of a pixel of 1,000
TOLERANCE = 0.75  # pixels that a simplified outline may be off
HOLES = "holes in masks are filled: an outline cannot say them"
PARTS_LEFT = "rows of parts that data.yaml does not name"
BOX_ALONE = "a box without an outline"


class OutlineParts(NamedTuple):
    """The outlines of a mask's parts, in pixels, and how many holes they fill."""

    parts: tuple[NDArray[np.float64], ...]
    holes: int


class LabelLine(NamedTuple):
    """A class and numbers, as shares of the image."""

    category: int
    numbers: tuple[float, ...]


def plan_yolo(job: Job) -> tuple[ExportPart, ...]:
    """A line for each folder."""
    return plan_folder(decide_files(job, outlines=False))


def write_yolo(job: Job) -> ExportResult:
    """Images with boxes."""
    return write_folder(decide_files(job, outlines=False))


def plan_yolo_seg(job: Job) -> tuple[ExportPart, ...]:
    """A line for each folder."""
    return plan_folder(decide_files(job, outlines=True))


def write_yolo_seg(job: Job) -> ExportResult:
    """Images with outlines."""
    return write_folder(decide_files(job, outlines=True))


# ------------------------------------------------------------------ decisions


def decide_files(job: Job, *, outlines: bool) -> FolderPlan:
    """What is written; UsageError where there are no parts to train and validate on."""
    require_possible(job, outlines=outlines)
    record = open_job_record(job, FORM)
    job, found, stored = keep_usable(job)
    images = list_drawn(job, found, stored)
    job, images, looked = keep_answered(job, images, outlines=outlines)
    lines = [[*label_lines(*one, job.frame, outlines=outlines)] for one in zip(images, looked, strict=True)]
    placed = place_drawn(job, images)
    return FolderPlan(
        job=job, record=record, rows=len(images), images=placed,
        sides=[label_file(one, some) for one, some in zip(placed, lines, strict=True)],
        files=[file_from_bytes("data.yaml", describe_data(job, drawn_names(job, outlines=outlines)))],
        notes=note_drawn(job, images, looked),
    )  # fmt: skip


def keep_answered(
    job: Job, images: list[DrawnImage], *, outlines: bool
) -> tuple[Job, list[DrawnImage], list[LookedMasks]]:
    """The rows of which somebody says what is on them, their images, and what is drawn on these."""
    looked = look_at_masks(job, images, trace_outline if outlines else bounding_box)
    said = [has_answer(job, place, one, outlines=outlines) for place, one in enumerate(images)]
    job, stay = drop_undrawn(job, images, looked, said)
    return job, [images[place] for place in stay], [looked[place] for place in stay]


def require_possible(job: Job, *, outlines: bool) -> None:
    """UsageError for what cannot be written, before any image is looked at."""
    if job.embed:
        raise UsageError("yolo writes image files, nothing can be embedded", hint="--copy instead of links")
    if outlines and not find_spec("cv2"):
        raise UsageError("yolo-seg needs the extra `yolo`", hint="pip install 'dermdata[yolo]'")
    require_parts(job)


def keep_usable(job: Job) -> tuple[Job, list[str], list[Size]]:
    """The rows with a class, where rows have any, and an image that can be used; its file and size."""
    if job.classes:
        job = leave_out_unclassed(job)
    job, _ = drop_missing_images(job)
    return drop_unsized_images(job)


def require_parts(job: Job) -> None:
    """Ultralytics trains on `train` and validates on `val`."""
    there = {*(row_splits(job.table) or ())}
    if not job.table.num_rows:
        raise UsageError("there is no row to export", hint="a wider condition, or other targets")
    if job.split is None and not {"train", "val"} <= there:
        raise UsageError(
            f"yolo needs the parts train and val, the rows have {', '.join(sorted(there)) or 'no split'}",
            hint="dermdata split TARGET -o split.parquet, then export that; of folds: --fold K",
        )


def lesion_names(job: Job) -> list[str]:
    """The classes of lesions, where any row of the whole manifest has a lesion's mask."""
    return [name for name, _ in lesion_categories(job)] if job.lesions else []


def drawn_names(job: Job, *, outlines: bool) -> list[str]:
    """What may be drawn on images, by its number from 0: of the whole manifest, so that parts number alike."""
    return [*lesion_names(job), *job.structures, *(() if outlines else job.box_names)]


def list_drawn(job: Job, found: Sequence[str], stored: Sequence[Size]) -> list[DrawnImage]:
    """Each image with its masks and boxes."""
    first = len(lesion_names(job))
    masks, boxes = row_masks(job, first), row_boxes(job, first + len(job.structures))
    return [DrawnImage(*one) for one in zip(found, stored, masks, boxes, strict=True)]


def has_answer(job: Job, place: int, image: DrawnImage, *, outlines: bool) -> bool:
    """Whether anybody says what is on an image; that there is nothing, is said by boxes that are empty."""
    if outlines:
        return bool(image.masks)
    stated = "boxes" in job.table.column_names and job.table["boxes"][place].is_valid
    return bool(image.masks or image.boxes or stated)


def place_drawn(job: Job, images: Sequence[DrawnImage]) -> list[PlacedImage]:
    """The images in the folder of their part."""
    parts = [portable_name(part) for part in row_splits(job.table) or [job.split or "images"] * len(images)]
    names = map(portable_name, image_names(job.table))
    plain = [f"images/{part}/{name}" for part, name in zip(parts, names, strict=True)]
    return place_rows(job, plain, [one.path for one in images], range(len(images)), level=True)


def label_file(image: PlacedImage, lines: Sequence[LabelLine]) -> SideFile:
    """The text about one image, named as it is."""
    stem = image.path.rpartition(".")[0].replace("images/", "labels/", 1)
    text = "".join(f"{one.category - 1} {format_shares(one.numbers)}\n" for one in lines).encode()
    return SideFile(f"{stem}.txt", short_digest(text), lambda: text)


def format_shares(numbers: Sequence[float]) -> str:
    """Shares as Ultralytics takes them: from 0 to 1."""
    return " ".join(f"{min(1.0, max(0.0, one)):.{DIGITS}f}".rstrip("0").rstrip(".") for one in numbers)


def describe_data(job: Job, names: Sequence[str]) -> bytes:
    """`data.yaml`; texts are JSON's, which YAML reads alike."""
    there = {*(row_splits(job.table) or [job.split or "images"])}
    lines = [f"{part}: images/{part}" for part in PARTS if part in there]
    lines += [
        "names:",
        *(f"  {number}: {json.dumps(name, ensure_ascii=False)}" for number, name in enumerate(names)),
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def note_drawn(job: Job, images: Sequence[DrawnImage], looked: Sequence[LookedMasks]) -> dict[str, int]:
    """In words what else a person must know: what an outline cannot say, and what data.yaml does not name."""
    holes = sum(one.holes for some in looked for one in some.drawn if isinstance(one, OutlineParts))
    apart = sum(part not in PARTS for part in row_splits(job.table) or ())
    known = {words: count for words, count in ((HOLES, holes), (PARTS_LEFT, apart)) if count}
    return {**note_images(job, [one.path for one in images]), **note_soft(looked), **known}


# ------------------------------------------------------------------ lines


def label_lines(
    image: DrawnImage, looked: LookedMasks, frame: Frame | None, *, outlines: bool
) -> Iterator[LabelLine]:
    """What stands in the text about an image; what `--fit crop` cuts away is not in the picture."""
    placed = (frame or Frame(*image.stored, "stretch")).place(image.stored)
    for mask, drawn in zip(image.masks, looked.drawn, strict=True):
        for part in drawn.parts if outlines else ():
            if (points := move_points(part, placed, image.stored)) is not None:
                yield LabelLine(mask.category, tuple(points.ravel().tolist()))
    if outlines:
        return
    boxes = [(mask.category, box) for mask, box in zip(image.masks, looked.drawn, strict=True)]
    for category, box in (*boxes, *image.boxes):
        if moved := placed.move_box(box, image.stored):
            yield LabelLine(category, center_box(moved, placed.size))


def move_points(part: NDArray[np.float64], placed: Placement, stored: Size) -> NDArray[np.float64] | None:
    """An outline as shares of its frame, cut where the picture is; None where nothing of it is left."""
    scale = np.array(placed.scaled) / stored
    points = np.clip((part * scale + (placed.left, placed.top)) / placed.size, 0.0, 1.0)
    wide, high = np.ptp(points, axis=0)
    return points if wide > 0 and high > 0 else None


def center_box(box: Sequence[float], size: Size) -> tuple[float, ...]:
    """Left, top, width and height in pixels as center, width and height in shares."""
    (left, top, wide, high), (width, height) = box, size
    return ((left + wide / 2) / width, (top + high / 2) / height, wide / width, high / height)


def trace_outline(mask: BinaryMask) -> OutlineParts:
    """The outer lines of a mask's parts, along the edges of their pixels' centers, by few points."""
    import cv2

    lines, tree = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    parts = []
    for line, (_, _, _, parent) in zip(lines, tree[0] if tree is not None else (), strict=True):
        if parent < 0:
            points = cv2.approxPolyDP(line, TOLERANCE, closed=True).reshape(-1, 2).astype(float)
            parts.append(points if len(points) > 2 else pixel_corners(points))
    return OutlineParts(tuple(parts), sum(int(one[3] >= 0) for one in (tree[0] if tree is not None else ())))


def pixel_corners(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """A part of one pixel or one line of them: the rectangle that it fills."""
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0) + 1
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
