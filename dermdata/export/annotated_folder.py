"""A folder of images with a small file about each: what `yolo`, `masks` and `nnunet` write, planned and then made.

Every mask is looked at before anything is written: an image whose mask cannot be used would be learned as background, so
its row is left out with the reason.
"""

import hashlib
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dermdata import disk
from dermdata.errors import UsageError
from dermdata.export.coco_annotations import BoxRef, MaskRef, map_ordered
from dermdata.export.job import ExportPart, ExportResult, Job, leave_out_rows
from dermdata.export.left_out import count_reasons
from dermdata.export.masks import EMPTY_MASK, MaskTask, read_mask
from dermdata.export.output_folder import (
    WRITER_THREADS,
    OutputFile,
    PlacedImage,
    left_out_files,
    make_files,
    map_fingerprints,
    measure_files,
    parent_folder,
    place_images,
)
from dermdata.export.record import ExportRecord, ExportRun
from dermdata.export.row_images import image_digests
from dermdata.images.masks import BinaryMask, Size

NOTHING_DRAWN = "no mask and no box"
SOFT_MASKS = "masks of more than two values: what is at least half as bright as the brightest pixel is inside"
LABELS_TASK, FILES_TASK = (
    "labels",
    "images and labels",
)  # beside images that are placed; images made anew as well


@dataclass(frozen=True, slots=True)
class SideFile:
    """A small file about one image: what decides its bytes, and what makes them."""

    path: str  # below OUT
    fingerprint: str
    make: Callable[[], bytes]


@dataclass(frozen=True, kw_only=True)
class FolderPlan:
    """Everything that a job writes, decided and not written."""

    job: Job
    record: ExportRecord
    rows: int
    images: Sequence[PlacedImage] = ()
    sides: Sequence[SideFile] = ()
    files: Sequence[OutputFile] = ()
    notes: Mapping[str, int] = field(default_factory=dict)  # in words: what else a person must know

    @property
    def about(self) -> list[OutputFile]:
        """The files about the whole."""
        return [*self.files, *left_out_files(self.job)]

    @property
    def fingerprints(self) -> dict[str, str]:
        sides = {one.path: one.fingerprint for one in self.sides}
        return map_fingerprints(self.images) | sides | map_fingerprints(self.about)


@dataclass(frozen=True)
class DrawnImage:
    """What is drawn on one image: its masks and boxes."""

    path: str  # absolute
    stored: Size
    masks: Sequence[MaskRef]
    boxes: Sequence[BoxRef]


@dataclass(frozen=True)
class LookedMasks:
    """What came of looking at an image's masks: a value of each, or why one cannot be used."""

    drawn: tuple[Any, ...] = ()
    problem: str | None = None
    soft: int = 0  # masks of more than two values
    overlap: bool = False


def plan_folder(plan: FolderPlan) -> tuple[ExportPart, ...]:
    """A line for each folder, and one for each file about the whole."""
    plan.record.require_free(plan.fingerprints)
    counts, sizes, missing = Counter[str](), Counter[str](), Counter[str]()
    for path, size, fingerprint in (
        *((one.path, one.size, one.fingerprint) for one in plan.images),
        *((one.path, 0, one.fingerprint) for one in plan.sides),
    ):
        counts[parent_folder(path)] += 1
        sizes[parent_folder(path)] += size
        missing[parent_folder(path)] += not plan.record.is_current(path, fingerprint)
    folders = (
        ExportPart(plan.job.out / name, counts[name], sizes[name] or None, there=not missing[name])
        for name in sorted(counts)
    )
    files = (
        ExportPart(
            plan.job.out / one.path, 0, one.bytes, there=plan.record.is_current(one.path, one.fingerprint)
        )
        for one in plan.about
    )
    return (*folders, *files)


def write_folder(plan: FolderPlan) -> ExportResult:
    """Place the images that are not there, then what is about each, then what is about all."""
    with plan.record.open_run(plan.fingerprints, plan.job.progress) as run:
        images = [one for one in plan.images if not run.is_kept(one.path)]
        sides = [one for one in plan.sides if not run.is_kept(one.path)]
        files = [one for one in plan.about if not run.is_kept(one.path)]
        if plan.job.copy and not plan.job.recipe.changes:
            disk.require_space(plan.job.out, sum(one.size for one in images))
        run.begin()
        write_images(plan, images, sides, run)
        make_files(run, files)
    fingerprints = plan.fingerprints
    return ExportResult(
        files=(plan.job.out,), rows=plan.rows, bytes=measure_files(plan.job.out, fingerprints),
        kept=len(fingerprints) - len(images) - len(sides) - len(files),
        left_out={**count_reasons(plan.job.left), **plan.notes}, count=len(fingerprints), unusable=plan.job.unusable,
    )  # fmt: skip


def write_images(
    plan: FolderPlan, images: Sequence[PlacedImage], sides: Sequence[SideFile], run: ExportRun
) -> None:
    """The images that are placed as they are, and what is about each; of others the image is made with its labels."""
    if plan.images:
        place_images(plan.job, images, image_digests(plan.job.table), run, level=True)
    write_sides(plan.job, sides, run, LABELS_TASK if plan.images else FILES_TASK)


def write_sides(job: Job, todo: Sequence[SideFile], run: ExportRun, task: str) -> None:
    """Make each file, several at a time."""
    for parent in sorted({parent_folder(one.path) for one in todo}):
        with disk.storage_errors(job.out / parent):
            (job.out / parent).mkdir(parents=True, exist_ok=True)

    def write_one(one: SideFile) -> None:
        disk.write_chunks(job.out / one.path, [one.make()])
        run.add(one.path)

    job.progress.begin(task, len(todo), "files")
    with ThreadPoolExecutor(max(WRITER_THREADS, job.jobs)) as writers:
        for _ in writers.map(write_one, todo):
            job.progress.advance(task, 1)
    job.progress.end(task)
    run.require_own_record()


# ------------------------------------------------------------------ masks


def look_at_masks(
    job: Job, images: Sequence[DrawnImage], draw: Callable[[BinaryMask], Any]
) -> list[LookedMasks]:
    """What `draw` makes of each mask of each image, in order; workers read them."""
    job.progress.begin("masks", len(images), "images")
    found = []
    with job.make(job.jobs) as pool:
        for _, looked in map_ordered(pool, partial(look_at_image, draw=draw), images):
            found.append(looked)
            job.progress.advance("masks", 1)
    job.progress.end("masks")
    return found


def look_at_image(image: DrawnImage, draw: Callable[[BinaryMask], Any]) -> LookedMasks:
    """The masks of one image, each of which must be usable."""
    drawn, soft, covered, overlap = [], 0, None, False
    for one in image.masks:
        if one.path is None:
            return LookedMasks(problem=f"mask {one.name}: no such file")
        mask, is_soft, problem = read_mask(MaskTask(one.path, image.stored, image.stored, image.path))
        if problem or mask is None or not mask.any():
            return LookedMasks(problem=f"mask {one.name}: {problem or EMPTY_MASK}")
        soft += is_soft
        overlap = overlap or (covered is not None and bool((covered & mask).any()))
        covered = mask if covered is None else covered | mask
        drawn.append(draw(mask))
    return LookedMasks(tuple(drawn), None, soft, overlap)


def drop_undrawn(
    job: Job, images: Sequence[DrawnImage], looked: Sequence[LookedMasks], drawn: Sequence[bool]
) -> tuple[Job, list[int]]:
    """The job without the rows on which nothing is drawn, or what is drawn cannot be used; the places of the others."""
    reasons = [
        one.problem or (None if there else NOTHING_DRAWN) for one, there in zip(looked, drawn, strict=True)
    ]
    stay = [place for place, reason in enumerate(reasons) if reason is None]
    if images and not stay:
        why = Counter(reason for reason in reasons if reason).most_common(1)[0][0]
        raise UsageError(
            f"no image has a mask or a box that can be used ({why})",
            hint="`dermdata list --has masks` names datasets with masks",
        )
    return leave_out_rows(job, reasons), stay


def note_soft(looked: Sequence[LookedMasks]) -> dict[str, int]:
    """How many masks have soft edges, in words."""
    count = sum(one.soft for one in looked)
    return {SOFT_MASKS: count} if count else {}


def encode_png(levels: NDArray[np.uint8]) -> bytes:
    """Levels as a gray PNG."""
    held = io.BytesIO()
    Image.fromarray(levels).save(held, "PNG", compress_level=6)
    return held.getvalue()


def short_digest(*facts: object) -> str:
    """What decides a file's bytes, in few letters."""
    return hashlib.sha256(repr(facts).encode(errors="surrogatepass")).hexdigest()[:32]
