"""COCO: images, and their masks as run lengths with boxes, for pycocotools and all that read its format.

  OUT/<split>/<image>, OUT/instances_<split>.json   a folder and a file for each split
  OUT/images/<image>, OUT/annotations.json          where the manifest is not split

`file_name` is the name in that folder, so torchvision's CocoDetection takes the two paths as they stand here.
Images are links or copies as with imagefolder. Categories are the classes (`label` from --labels, else
`diagnosis`) by name from 1, then the structures of `masks`; a part numbers them as the whole manifest does. Where no
row has a class, lesion masks are of the category `lesion`; where others have one, a row without is left out, since an
image whose lesion has no name would be learned as background. An image that an orientation tag turns is a copy whose
tag says "as stored": sizes, boxes and outlines are of the pixels as stored, and some tools obey the tag.

A mask is one annotation (parts of it that do not touch are not told apart), a compressed run-length code
with its box and area. An image without a mask has an entry and no annotation: its class stands in
`categories_of_image`, which COCO's tools pass over. A mask of another size than its image, an empty one and one
that cannot be read are left out, counted, and listed in the file under `masks_left_out`. With --size masks are
scaled to what their images became; masks.py says what counts as inside. Each of a row's `boxes` is an annotation
without an outline, its word the category: after all others, `box` where it has none.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from dermdata import disk
from dermdata.croissant import license_url
from dermdata.errors import UsageError
from dermdata.export.coco_annotations import (
    BoxRef,
    CocoDocument,
    CocoImage,
    MaskRef,
    document_chunks,
    read_summary,
    row_boxes,
    row_masks,
)
from dermdata.export.job import (
    ExportPart,
    ExportResult,
    Job,
    catalog_entries,
    class_numbers,
    leave_out_rows,
    leave_out_unclassed,
    license_names,
    row_classes,
    split_parts,
    take_values,
)
from dermdata.export.left_out import count_reasons
from dermdata.export.output_folder import (
    OutputFile,
    PlacedImage,
    left_out_files,
    make_files,
    map_fingerprints,
    measure_files,
    open_job_record,
    place_images,
    place_rows,
    plan_files,
)
from dermdata.export.record import ExportRecord
from dermdata.export.row_images import (
    digest_flags,
    drop_missing_images,
    file_fingerprint,
    image_digests,
    image_names,
    locate_files,
    note_images,
    portable_name,
    recipe_version,
    unique_names,
)
from dermdata.images import check_image
from dermdata.images.masks import Size
from dermdata.manifest.columns import column_values, text_column

FORM, LAYOUT = "coco", "2"  # "1": boxes did not lie on images that readers turn
LESION_CATEGORY, STRUCTURE_CATEGORY, BOX_CATEGORY = (
    "lesion",
    "structure",
    "box",
)  # categories and supercategories of our own
UNKNOWN_SIZE = "its width and height cannot be read"
WITHOUT_ANNOTATION = "images without an annotation (what is known of their class is in categories_of_image)"
SOFT_MASKS = "masks of more than two values: what is at least half as bright as the brightest pixel is inside"


@dataclass(frozen=True)
class CocoSplit:
    """One split: its images and its file."""

    folder: str
    images: Sequence[PlacedImage]
    file: OutputFile


@dataclass(frozen=True)
class CocoPlan:
    """Everything that a job writes, decided and not written."""

    job: Job
    record: ExportRecord
    splits: Sequence[CocoSplit]
    left_out_files: Sequence[OutputFile]
    notes: Mapping[str, int]  # in words: what else the person must know of the images

    @property
    def images(self) -> list[PlacedImage]:
        return [one for split in self.splits for one in split.images]

    @property
    def files(self) -> list[OutputFile]:
        return [*(split.file for split in self.splits), *self.left_out_files]

    @property
    def fingerprints(self) -> dict[str, str]:
        return map_fingerprints(self.images) | map_fingerprints(self.files)


def plan_coco(job: Job) -> tuple[ExportPart, ...]:
    """A line for each folder of images and each file."""
    plan = decide_files(job)
    plan.record.require_free(plan.fingerprints)
    return (*(folder_part(plan, split) for split in plan.splits), *plan_files(plan.record, plan.files))


def folder_part(plan: CocoPlan, split: CocoSplit) -> ExportPart:
    there = all(plan.record.is_current(one.path, one.fingerprint) for one in split.images)
    size = sum(one.size for one in split.images)
    return ExportPart(plan.job.out / split.folder, len(split.images), size, there=there)


def write_coco(job: Job) -> ExportResult:
    """Place the images that are not there, then write the files that are about them."""
    plan = decide_files(job)
    with plan.record.open_run(plan.fingerprints, job.progress) as run:
        todo = [one for one in plan.images if not run.is_kept(one.path)]
        made = [one for one in plan.files if not run.is_kept(one.path)]
        if job.copy and not job.recipe.resizes:
            disk.require_space(job.out, sum(one.size for one in todo))
        run.begin()
        place_images(job, todo, image_digests(plan.job.table), run, level=True)
        make_files(run, made)
    return export_result(plan, kept=len(plan.fingerprints) - len(todo) - len(made))


def export_result(plan: CocoPlan, kept: int) -> ExportResult:
    paths = [plan.job.out / one.path for one in plan.files]
    return ExportResult(
        files=tuple(paths), rows=len(plan.images), bytes=measure_files(plan.job.out, plan.fingerprints), kept=kept,
        left_out={**count_reasons(plan.job.left), **plan.notes, **count_mask_problems(plan)},
        count=len(plan.fingerprints), unusable=plan.job.unusable,
    )  # fmt: skip


def count_mask_problems(plan: CocoPlan) -> dict[str, int]:
    """In words what the files lack, from what they say themselves."""
    found: Counter[str] = Counter()
    for split in plan.splits:
        facts = read_summary(plan.job.out / split.file.path)
        found[WITHOUT_ANNOTATION] += facts["images_without_annotation"]
        found[SOFT_MASKS] += facts["soft_masks"]
        for reason, count in facts["masks_left_out"].items():
            found[f"masks left out: {reason}"] += count
    return {words: count for words, count in found.items() if count}


# ------------------------------------------------------------------ decisions


def decide_files(job: Job) -> CocoPlan:
    if job.embed:
        raise UsageError("coco writes image files, nothing can be embedded", hint="--copy instead of links")
    record = open_job_record(job, FORM)
    if job.classes:
        job = leave_out_unclassed(job)
    job, _ = drop_missing_images(job)
    job, found, stored = drop_unsized_images(job)
    divided = split_parts(job.table)
    named = unique_names([portable_name(one.name) for one in divided], [one.name for one in divided])
    lesions = len(lesion_categories(job))
    named_masks = row_masks(job, lesions)
    boxes = row_boxes(job, lesions + len(job.structures))
    splits = [
        build_split(replace(job, table=job.table.take(pa.array(part.rows))), name if part.name else "",
             part.rows.tolist(), *(take_values(values, part.rows) for values in (found, stored, named_masks, boxes)))
        for part, name in zip(divided, named, strict=True)
    ]  # fmt: skip
    return CocoPlan(job, record, splits, left_out_files(job), note_images(job, found))


def drop_unsized_images(job: Job) -> tuple[Job, list[str], list[Size]]:
    """The job without the rows whose image has no known size; the files and stored sizes of the other images."""
    found = [path or "" for path in locate_files(job.table, job)]
    sizes = stored_sizes(job.table, found)
    job = leave_out_rows(job, [None if size else UNKNOWN_SIZE for size in sizes])
    stay = [(path, size) for path, size in zip(found, sizes, strict=True) if size]
    return job, [path for path, _ in stay], [size for _, size in stay]


def stored_sizes(table: pa.Table, found: Sequence[str]) -> list[Size | None]:
    """Each image's size as the manifest says, as its file says where that says nothing."""
    columns = (column_values(table, name) for name in ("width", "height"))
    stated = map(known_size, *columns)
    return [known or read_size(path) for path, known in zip(found, stated, strict=True)]


def known_size(width: int | None, height: int | None) -> Size | None:
    return (width, height) if width and height else None


def read_size(path: str) -> Size | None:
    facts = check_image(Path(path), decode=False)
    return known_size(facts.width, facts.height)


# ------------------------------------------------------------------ one split


def build_split(
    job: Job,
    name: str,
    rows: list[int],
    found: list[str],
    stored: list[Size],
    named: list[list[MaskRef]],
    boxes: list[list[BoxRef]],
) -> CocoSplit:
    """The images of one split, and its file; `job` has just the split's rows, `rows` their places in the whole."""
    folder = name or "images"
    placed = assign_paths(job, folder, found, rows)
    order = sorted(range(len(placed)), key=lambda at: placed[at].path)
    facts = image_facts(job)
    shown = [
        CocoImage(
            placed[at].path.removeprefix(f"{folder}/"), facts[at], stored[at], named[at], boxes[at], found[at]
        )
        for at in order
    ]
    scaled = job.out / folder if job.size is not None else None
    document = CocoDocument(document_head(job), shown, scaled, job.jobs, job.make, job.frame)
    path = f"instances_{name}.json" if name else "annotations.json"

    def make(target: Path) -> None:
        disk.write_chunks(target, document_chunks(document, job.progress))

    return CocoSplit(folder, placed, OutputFile(path, document_fingerprint(job, document), 0, 0, make))


def assign_paths(job: Job, folder: str, found: list[str], rows: list[int]) -> list[PlacedImage]:
    """A name of its own for each image, and the fingerprint of what lies there."""
    plain = [f"{folder}/{portable_name(name)}" for name in image_names(job.table)]
    return place_rows(job, plain, found, rows, level=True)


def image_facts(job: Job) -> list[dict[str, Any]]:
    """What else an image's entry says: its license, its key and its class."""
    numbers = class_numbers(row_classes(job.table, job.label), job.classes)
    keys = text_column(job.table, "key").to_pylist()
    place = {name: number for number, name in enumerate(license_names(job), 1)}
    terms = text_column(job.table, "license").to_pylist()
    return [
        ({"license": place[term]} if term else {})
        | {"key": key, "categories_of_image": [] if number is None else [number + 1]}
        for number, key, term in zip(numbers, keys, terms, strict=True)
    ]


def document_head(job: Job) -> Mapping[str, Any]:
    """What stands before the images."""
    entries = catalog_entries(job)
    info = {
        "description": ", ".join(one.title for one in entries) or "Skin images",
        "version": ", ".join(one.version for one in entries if one.version),
        "url": ", ".join(one.homepage for one in entries if one.homepage),
    }
    licenses = [
        {"id": number, "name": name, "url": license_url(name, entries) or ""}
        for number, name in enumerate(license_names(job), 1)
    ]
    return {"info": info, "licenses": licenses, "categories": list(categories(job))}


def lesion_categories(job: Job) -> list[tuple[str, str]]:
    """The classes of lesions and where they come from; structures are numbered after them."""
    if job.classes or ((job.structures or job.box_names) and not job.lesions):
        return [(name, job.label) for name in job.classes]
    return [(LESION_CATEGORY, LESION_CATEGORY)]


def categories(job: Job) -> Iterator[dict[str, Any]]:
    named = [*lesion_categories(job), *((one, STRUCTURE_CATEGORY) for one in job.structures)]
    named += [(one, BOX_CATEGORY) for one in job.box_names]
    for number, (name, above) in enumerate(named, 1):
        yield {"id": number, "name": name, "supercategory": above}


def document_fingerprint(job: Job, document: CocoDocument) -> str:
    """What decides the file's bytes; "" where the manifest does not say which bytes an image has."""
    if not all(digest_flags(job.table)):
        return ""
    running = hashlib.sha256(repr((LAYOUT, document.head, recipe_version(job.recipe))).encode())
    digests = sorted(text_column(job.table, "sha256").to_pylist())
    running.update(repr(digests).encode())
    for one in document.images:
        running.update(repr((one.file_name, one.facts, one.stored)).encode(errors="surrogatepass"))
        for mask in one.masks:
            facts = (mask.category, mask.name, file_fingerprint(mask.path))
            running.update(repr(facts).encode(errors="surrogatepass"))
        if one.boxes:
            running.update(repr(one.boxes).encode())
    return running.hexdigest()[:32]
