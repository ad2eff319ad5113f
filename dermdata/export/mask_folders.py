"""Pairs of an image and its masks in folders by part, for MONAI, segmentation-models-pytorch and all that list folders.

  OUT/<part>/images/<image>, OUT/<part>/masks/<image>.png               where there are lesion masks alone
  OUT/<part>/images/<image>, OUT/<part>/masks/<structure>/<image>.png   where there are others; the lesion's is `lesion`

A mask is a gray PNG of 0 and 255 in the size that its image has here, drawn on the pixels as stored: an image that an
orientation tag turns is a copy whose tag says "as stored". With --size it is scaled by nearest neighbor. `pairs.csv` in
each part names image and masks in one row, by paths below the part, so that OUT can be moved. An image without a mask,
or with one that cannot be used, is left out; one without a structure that others have lacks just that file.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dermdata.errors import CacheDamaged, UsageError
from dermdata.export.annotated_folder import (
    DrawnImage,
    FolderPlan,
    SideFile,
    drop_undrawn,
    encode_png,
    look_at_masks,
    note_soft,
    plan_folder,
    short_digest,
    write_folder,
)
from dermdata.export.coco import drop_unsized_images
from dermdata.export.coco_annotations import MaskRef, row_masks
from dermdata.export.job import ExportPart, ExportResult, Job, row_classes, row_splits
from dermdata.export.masks import MaskTask, read_mask
from dermdata.export.output_folder import (
    OutputFile,
    PlacedImage,
    file_from_bytes,
    open_job_record,
    place_rows,
)
from dermdata.export.row_images import (
    drop_missing_images,
    file_fingerprint,
    image_names,
    note_images,
    portable_name,
    recipe_version,
    unique_names,
)
from dermdata.images import check_image
from dermdata.images.frames import Frame
from dermdata.images.masks import BinaryMask, Size
from dermdata.manifest.columns import text_column
from dermdata.manifest.text import csv_lines

FORM = "masks"
LESION = "lesion"
INSIDE = 255


def plan_masks(job: Job) -> tuple[ExportPart, ...]:
    """A line for each folder."""
    return plan_folder(decide_files(job))


def write_masks(job: Job) -> ExportResult:
    """Images and masks."""
    return write_folder(decide_files(job))


def decide_files(job: Job) -> FolderPlan:
    """What is written."""
    if job.embed:
        raise UsageError("masks writes image files, nothing can be embedded", hint="--copy instead of links")
    record = open_job_record(job, FORM)
    job, _ = drop_missing_images(job)
    job, images, soft = keep_drawn(job)
    parts = part_folders(job)
    names = map(portable_name, image_names(job.table))
    plain = [f"{part}images/{name}" for part, name in zip(parts, names, strict=True)]
    placed = place_rows(job, plain, [one.path for one in images], range(len(images)), level=True)
    folders = bool(job.structures)
    pairs = [
        [mask_file(job, part, image, drawn, mask, folders=folders) for mask in drawn.masks]
        for part, image, drawn in zip(parts, placed, images, strict=True)
    ]
    return FolderPlan(
        job=job, record=record, rows=len(images), images=placed, sides=[one for some in pairs for one in some],
        files=pair_files(job, parts, placed, images, pairs),
        notes={**note_images(job, [one.path for one in images]), **soft},
    )  # fmt: skip


def keep_drawn(job: Job) -> tuple[Job, list[DrawnImage], dict[str, int]]:
    """The rows whose image has masks that can be used, these images, and how many masks have soft edges."""
    job, found, stored = drop_unsized_images(job)
    images = [DrawnImage(*one, ()) for one in zip(found, stored, name_structures(job), strict=True)]
    looked = look_at_masks(job, images, is_drawn)
    job, stay = drop_undrawn(job, images, looked, [bool(one.masks) for one in images])
    return job, [images[place] for place in stay], note_soft([looked[place] for place in stay])


def is_drawn(_: BinaryMask) -> bool:
    """What is kept of a mask that was looked at: that it can be used."""
    return True


def name_structures(job: Job) -> list[list[MaskRef]]:
    """Each row's masks, their category the place of their structure: 0 the lesion, then the others by name."""
    return [
        [MaskRef(max(0, one.category - len(job.classes or " ")), one.name, one.path) for one in some]
        for some in row_masks(job, len(job.classes or " "))
    ]


def part_folders(job: Job) -> list[str]:
    """The folder of each row's part; none where no row is in one."""
    words = row_splits(job.table)
    return [""] * job.table.num_rows if words is None else [f"{portable_name(word)}/" for word in words]


def mask_file(
    job: Job, part: str, image: PlacedImage, drawn: DrawnImage, mask: MaskRef, *, folders: bool
) -> SideFile:
    """One mask beside its image."""
    stem = image.path.removeprefix(f"{part}images/").rpartition(".")[0]
    folder = f"{structure_name(job, mask)}/" if folders else ""
    facts = (drawn.stored, file_fingerprint(mask.path), recipe_version(job.recipe))
    target = job.out / image.path if job.recipe.size is not None else None
    make = partial(draw_mask, mask, drawn, target, job.frame)
    return SideFile(f"{part}masks/{folder}{stem}.png", short_digest(facts), make)


def structure_name(job: Job, mask: MaskRef) -> str:
    """The folder of a structure's masks."""
    names = unique_names([portable_name(one) for one in (LESION, *job.structures)], ["", *job.structures])
    return names[mask.category]


def draw_mask(mask: MaskRef, drawn: DrawnImage, target: Path | None, frame: Frame | None) -> bytes:
    """The mask as a PNG, in the size that its image has in the export."""
    size = drawn.stored if target is None else read_size(target)
    pixels, _, problem = read_mask(MaskTask(str(mask.path), drawn.stored, size, drawn.path, frame))
    if pixels is None:
        raise CacheDamaged(f"{mask.path} was changed while it was read: {problem}")
    return encode_png(np.where(pixels, INSIDE, 0).astype(np.uint8))


def read_size(path: Path) -> Size:
    """The size of an image that was just written."""
    facts = check_image(path, decode=False)
    if facts.width is None or facts.height is None:
        raise CacheDamaged(f"{path} was written and cannot be read: {facts.problem}")
    return facts.width, facts.height


def pair_files(
    job: Job,
    parts: Sequence[str],
    placed: Sequence[PlacedImage],
    images: Sequence[DrawnImage],
    pairs: Sequence[Sequence[SideFile]],
) -> list[OutputFile]:
    """`pairs.csv` of each part: image, its masks, key and class."""
    names = [structure_name(job, MaskRef(place, "", None)) for place in range(1 + len(job.structures))]
    wanted = range(0 if job.lesions else 1, 1 + len(job.structures))  # of the whole manifest: parts are alike
    columns = ("image", *(names[place] if job.structures else "mask" for place in wanted), "key", "label")
    words = zip(text_column(job.table, "key").to_pylist(), row_classes(job.table, job.label), strict=True)
    rows: dict[str, list[list[Any]]] = {part: [] for part in parts}
    for part, image, one, some, (key, label) in zip(parts, placed, images, pairs, words, strict=True):
        paths = {
            mask.category: side.path.removeprefix(part) for mask, side in zip(one.masks, some, strict=True)
        }
        rows[part].append([image.path.removeprefix(part), *map(paths.get, wanted), key, label])
    return [
        file_from_bytes(f"{part}pairs.csv", csv_lines([columns, *some], excel_safe=job.excel_safe))
        for part, some in sorted(rows.items())
    ]
