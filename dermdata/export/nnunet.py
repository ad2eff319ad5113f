"""nnU-Net: a raw dataset of version 2, whose folder is named as nnU-Net wants it: `-o nnUNet_raw/Dataset501_Lesions`.

  OUT/imagesTr/<case>_0000.png, OUT/labelsTr/<case>.png   the parts train and val, and rows of no part where none is split
  OUT/imagesTs/<case>_0000.png, OUT/labelsTs/<case>.png   the part test
  OUT/dataset.json                                        channels R, G and B, labels by number, how many are trained on
  OUT/splits_final.json                                   train and val, where there is a val: copy it to nnUNet_preprocessed

Images are RGB PNGs without loss (nnU-Net's NaturalImage2DIO reads all three channels of one file), labels gray PNGs in
the same size: 0 is the background, then the classes of lesions (`lesion` without --labels), then structures by name.
Where two masks of an image meet, the later number wins, and the image is counted.

Sources: https://github.com/MIC-DKFZ/nnUNet/blob/master/documentation/dataset_format.md and its
`nnunetv2/experiment_planning/verify_dataset_integrity.py`.
"""

import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

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
from dermdata.export.image_bytes import PILLOW_FORMATS, ImageTask, Recipe, convert_decode_errors, make_image
from dermdata.export.job import (
    ExportPart,
    ExportResult,
    Job,
    catalog_entries,
    leave_out_rows,
    leave_out_unclassed,
    license_names,
    row_splits,
)
from dermdata.export.mask_folders import LESION, is_drawn
from dermdata.export.masks import MaskTask, read_mask
from dermdata.export.output_folder import file_from_bytes, open_job_record
from dermdata.export.row_images import (
    drop_missing_images,
    file_fingerprint,
    image_identities,
    image_names,
    note_images,
    portable_name,
    recipe_version,
    unique_names,
)
from dermdata.images.frames import shrink_size
from dermdata.images.levels import is_deep, to_eight_bits
from dermdata.manifest.columns import text_column
from dermdata.manifest.split_classes import CLASS_COLUMNS

FORM = "nnunet"
NAMED = re.compile(r"Dataset\d{3}_\w+")
TRAINED = ("train", "val")
OTHER_PART = "in a part that nnU-Net does not know"
OVERLAPS = "images whose masks meet: the later label wins there"
CHANNELS = ("R", "G", "B")


@dataclass(frozen=True)
class NnunetCase:
    """One image and its label map, before they are drawn."""

    name: str
    folder: str  # Tr or Ts
    part: str
    image: DrawnImage
    digest: str | None
    key: str | None


def plan_nnunet(job: Job) -> tuple[ExportPart, ...]:
    """A line for each folder."""
    return plan_folder(decide_files(job))


def write_nnunet(job: Job) -> ExportResult:
    """Images and label maps."""
    if not NAMED.fullmatch(job.out.name):
        job.progress.say(
            f"nnU-Net wants a folder named Dataset501_{job.out.name or 'Lesions'}; rename {job.out}"
        )
    return write_folder(decide_files(job))


def decide_files(job: Job) -> FolderPlan:
    """What is written."""
    if job.embed:
        raise UsageError("nnunet writes new PNGs: there is nothing to embed")
    record = open_job_record(job, FORM)
    asked = job.label == CLASS_COLUMNS[0] and bool(job.classes)
    job, images, notes = keep_labeled(job, asked=asked)
    cases = list_cases(job, images)
    labels = (*(job.classes if asked else (LESION,)), *job.structures)
    files = [file_from_bytes("dataset.json", describe_dataset(job, cases, labels))]
    if has_validation(cases):
        files.append(file_from_bytes("splits_final.json", list_splits(cases)))
    return FolderPlan(
        job=job, record=record, rows=len(cases), sides=[side for one in cases for side in case_files(job, one)],
        files=files, notes={**note_images(job, [one.path for one in images]), **notes},
    )  # fmt: skip


def keep_labeled(job: Job, *, asked: bool) -> tuple[Job, list[DrawnImage], dict[str, int]]:
    """The rows of parts that nnU-Net knows whose image has masks that can be used, these images, and what to tell."""
    if asked:
        job = leave_out_unclassed(job)
    job, _ = drop_missing_images(job)
    job = leave_out_rows(job, part_reasons(job))
    job, found, stored = drop_unsized_images(job)
    masks = number_masks(job, asked=asked)
    images = [DrawnImage(*one, ()) for one in zip(found, stored, masks, strict=True)]
    looked = look_at_masks(job, images, is_drawn)
    job, stay = drop_undrawn(job, images, looked, [bool(one.masks) for one in images])
    kept = [looked[place] for place in stay]
    overlaps = sum(one.overlap for one in kept)
    notes = {**note_soft(kept), **({OVERLAPS: overlaps} if overlaps else {})}
    return job, [images[place] for place in stay], notes


def part_reasons(job: Job) -> list[str | None]:
    """Why a row has no place: nnU-Net trains, and tests."""
    words = row_splits(job.table)
    if words is None or job.split is not None:
        return [None] * job.table.num_rows
    return [None if word in (*TRAINED, "test") else f"{OTHER_PART}: {word}" for word in words]


def number_masks(job: Job, *, asked: bool) -> list[list[MaskRef]]:
    """Each row's masks with the number of their label: lesions by class where classes are asked for, else 1."""
    classes = len(job.classes or " ")

    def number(one: MaskRef) -> int:
        if one.category > classes:  # a structure, behind the lesions
            return one.category if asked else one.category - classes + 1
        return one.category if asked else 1

    return [[MaskRef(number(one), one.name, one.path) for one in some] for some in row_masks(job, classes)]


def list_cases(job: Job, images: Sequence[DrawnImage]) -> list[NnunetCase]:
    """Each image under a name of its own."""
    parts = row_splits(job.table) or [job.split or "train"] * len(images)
    names = unique_names(
        [portable_name(name) for name in image_names(job.table)], image_identities(job.table)
    )
    digests, keys = (text_column(job.table, name).to_pylist() for name in ("sha256", "key"))
    facts = zip(names, parts, images, digests, keys, strict=True)
    return [
        NnunetCase(name, "Ts" if part == "test" else "Tr", part, image, digest, key)
        for name, part, image, digest, key in facts
    ]


def case_files(job: Job, case: NnunetCase) -> Iterator[SideFile]:
    """The image and the label map."""
    recipe = Recipe(job.size, frame=job.frame)
    image = f"images{case.folder}/{case.name}_0000.png"
    task = ImageTask(case.image.path, None, recipe, case.digest, case.key, level=True)
    version = recipe_version(replace(recipe, strip=True))  # Pillow's own version decides the bytes
    yield SideFile(
        image, short_digest(case.digest, version) if case.digest else "", partial(draw_image, task)
    )
    facts = [(one.category, file_fingerprint(one.path)) for one in case.image.masks]
    label = partial(draw_labels, case.image, job)
    yield SideFile(
        f"labels{case.folder}/{case.name}.png", short_digest(facts, case.image.stored, version), label
    )


def draw_image(task: ImageTask) -> bytes:
    """The image in three channels of 8 bits."""
    data = make_image(task)
    with convert_decode_errors(task.name), Image.open(io.BytesIO(data), formats=PILLOW_FORMATS) as image:
        plain = (to_eight_bits(image) if is_deep(image) else image).convert("RGB")
        held = io.BytesIO()
        plain.save(held, "PNG", compress_level=1)
    return held.getvalue()


def draw_labels(image: DrawnImage, job: Job) -> bytes:
    """The label map in the size that the image has in the export."""
    size = job.frame.size if job.frame else shrink_size(image.stored, job.size or max(image.stored))
    levels = np.zeros(size[::-1], np.uint8)
    for mask in image.masks:
        task = MaskTask(str(mask.path), image.stored, size, image.path, job.frame)
        pixels, _, problem = read_mask(task)
        if pixels is None:
            raise CacheDamaged(f"{mask.path} was changed while it was read: {problem}")
        levels[pixels] = mask.category
    return encode_png(levels)


# ------------------------------------------------------------------ about the whole


def describe_dataset(job: Job, cases: Sequence[NnunetCase], names: Sequence[str]) -> bytes:
    """`dataset.json`: what nnU-Net asks for, and whose images these are."""
    entries = catalog_entries(job)
    facts: dict[str, Any] = {
        "channel_names": {str(number): name for number, name in enumerate(CHANNELS)},
        "labels": {"background": 0, **{name: number for number, name in enumerate(names, 1)}},
        "numTraining": sum(one.folder == "Tr" for one in cases),
        "file_ending": ".png",
        "overwrite_image_reader_writer": "NaturalImage2DIO",
        "name": ", ".join(one.title for one in entries) or "Skin images",
        "reference": ", ".join(one.homepage for one in entries if one.homepage),
        "licence": ", ".join(license_names(job)),
    }
    return f"{json.dumps(facts, ensure_ascii=False, indent=1)}\n".encode()


def has_validation(cases: Sequence[NnunetCase]) -> bool:
    """Whether a part is for validation, so that nnU-Net need not draw folds of its own."""
    return {"train", "val"} <= {one.part for one in cases}


def list_splits(cases: Sequence[NnunetCase]) -> bytes:
    """`splits_final.json`: one split, by the names of cases."""
    split = {part: [one.name for one in cases if one.part == part] for part in TRAINED}
    return f"{json.dumps([split], ensure_ascii=False, indent=1)}\n".encode()
