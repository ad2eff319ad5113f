"""A folder that `datasets.load_dataset(OUT)` loads, and that can be uploaded to the Hub as it is.

  data/<split>-00000-of-00003.parquet   rows with their images (and masks), at most 500 MB each
  README.md                             the dataset card: license, task, features, size, sources, citations

`image` and `mask` are Image features, `label` is a ClassLabel (of the column `label`, else of `diagnosis`; null where
a row has no class). Splits are named as usual there: `val` is `validation`, everything is `train` where the
manifest has no split. No path of this machine is in it.

Source of the card's keys: huggingface_hub 1.x, the dataset card specification. JSON is YAML, so each value is written
as JSON.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from dermdata.errors import UsageError
from dermdata.export import shards
from dermdata.export.job import (
    ExportPart,
    ExportResult,
    Job,
    SplitPart,
    catalog_entries,
    class_numbers,
    describe_changes,
    license_names,
    row_classes,
    split_parts,
    take_values,
)
from dermdata.export.metadata import (
    IMAGE_FEATURE,
    Feature,
    class_label_feature,
    feature_metadata,
    features_to_yaml,
    follow_resize,
    manifest_provenance,
    provenance_metadata,
    schema_features,
    to_portable_types,
)
from dermdata.export.output_folder import (
    OutputFile,
    file_from_bytes,
    left_out_files,
    open_job_record,
    plan_files,
    write_files,
)
from dermdata.export.parquet import IMAGE_COLUMN, MASK_COLUMN, ImageTable, write_image_table
from dermdata.export.record import ExportRecord
from dermdata.export.row_images import (
    PATH_COLUMNS,
    digest_flags,
    drop_missing_images,
    file_fingerprint,
    file_sizes,
    image_digests,
    lesion_masks,
    note_images,
    recipe_version,
    unique_names,
)
from dermdata.export.shards import ImageColumn, pair_with_masks
from dermdata.manifest.image_files import FoundPath
from dermdata.markup import (
    bibtex_entry,
    count_nouns,
    escape_markdown,
    fence_markdown,
    link_markdown,
    show_controls,
)
from dermdata.model import Dataset

FORM = "huggingface"
REPLACED_COLUMNS = (*PATH_COLUMNS, IMAGE_COLUMN, MASK_COLUMN, "label")
USUAL_SPLITS = {"": "train", "val": "validation", "all": "all_"}  # `all` means every split there
SIZE_CATEGORIES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
HUB_LICENSES = ("cc0-1.0", "cc-by-", "apache-2.0", "mit")  # ids that the Hub knows, or how they begin
PERMISSION_WORDS = {True: "allowed", False: "not allowed", None: "not stated"}
SplitSizes = Mapping[str, tuple[int, int]]  # name -> images, bytes as stored


def plan_huggingface(job: Job) -> tuple[ExportPart, ...]:
    _, record, pieces, _ = decide_files(job)
    return plan_files(record, pieces)


def write_huggingface(job: Job) -> ExportResult:
    """Write the shards that are not there, and the card."""
    job, record, pieces, found = decide_files(job)
    return write_files(job, record, pieces, note_images(job, found))


def decide_files(job: Job) -> tuple[Job, ExportRecord, list[OutputFile], Sequence[FoundPath]]:
    """What is written, and the rows' image files."""
    if job.out.suffix == ".parquet":
        raise UsageError("huggingface writes a folder", hint="give a folder as -o OUT")
    record = open_job_record(job, FORM)
    job, found = drop_missing_images(job)
    image_table = build_image_table(job, found)
    divided = split_parts(job.table)
    named = to_split_names([part.name for part in divided])
    pieces = [
        piece
        for part, name in zip(divided, named, strict=True)
        for piece in shard_files(job, image_table, part, name)
    ]
    splits = {
        name: (len(part.rows), sum(take_values(image_table.sizes, part.rows)))
        for part, name in zip(divided, named, strict=True)
    }
    readme = card_text(job, schema_features(image_table.schema, special_features(job)), splits)
    pieces += [file_from_bytes("README.md", readme.encode()), *left_out_files(job)]
    return job, record, pieces, found


def build_image_table(job: Job, found: Sequence[str | None]) -> ImageTable:
    """All rows as the files will have them."""
    table = follow_resize(job.table, job.recipe)
    table = to_portable_types(
        table.select([name for name in table.column_names if name not in REPLACED_COLUMNS])
    )
    numbers = class_numbers(row_classes(job.table, job.label), job.classes)
    if job.classes:
        table = table.add_column(0, "label", pa.array(numbers, pa.int64()))
    sizes = file_sizes(job.table, found)
    column = ImageColumn(found, sizes, job.recipe, image_digests(job.table))
    images = pair_with_masks(column, lesion_masks(job.table, job))
    schema = ImageTable(table, images, sizes).schema
    table = table.replace_schema_metadata(
        provenance_metadata(job.table) | feature_metadata(schema, special_features(job))
    )
    return ImageTable(table, images, sizes)


def special_features(job: Job) -> dict[str, Feature]:
    return {
        IMAGE_COLUMN: IMAGE_FEATURE,
        MASK_COLUMN: IMAGE_FEATURE,
        "label": class_label_feature(job.classes),
    }


def to_split_names(given: Sequence[str]) -> list[str]:
    """Names that `datasets` takes for splits: letters, digits and underscores."""
    plain = [USUAL_SPLITS.get(name, re.sub(r"\W", "_", name)) for name in given]
    return [name.replace("-", "_") for name in unique_names(plain, given)]


def shard_files(job: Job, image_table: ImageTable, part: SplitPart, name: str) -> Iterator[OutputFile]:
    sizes = take_values(image_table.sizes, part.rows)
    runs = shards.cut_runs(sizes, shards.SHARD_BYTES, shards.SHARD_ROWS)
    for number, (start, stop) in enumerate(runs):
        path = f"data/{name}-{number:05}-of-{len(runs):05}.parquet"
        yield shard_file(job, take_table_rows(image_table, part.rows[start:stop].tolist()), path)


def take_table_rows(image_table: ImageTable, rows: list[int]) -> ImageTable:
    images = {name: one.take_rows(rows) for name, one in image_table.images.items()}
    return ImageTable(
        image_table.table.take(pa.array(rows, pa.int64())), images, [image_table.sizes[at] for at in rows]
    )


def shard_file(job: Job, image_table: ImageTable, path: str) -> OutputFile:
    def make(target: Path) -> None:
        write_image_table(target, image_table, job)

    return OutputFile(
        path, shard_fingerprint(image_table), image_table.table.num_rows, sum(image_table.sizes), make
    )


def shard_fingerprint(image_table: ImageTable) -> str:
    """What decides the bytes of a shard; "" where the manifest does not say which bytes an image has."""
    if not all(digest_flags(image_table.table)):
        return ""
    masks = image_table.images[MASK_COLUMN].paths if MASK_COLUMN in image_table.images else []
    made = [recipe_version(one.recipe) for one in image_table.images.values()]
    return shards.table_digest(
        image_table.table, image_table.sizes, repr([file_fingerprint(path) for path in masks]), *made
    )[:32]


def card_text(job: Job, columns: Mapping[str, Feature], splits: SplitSizes) -> str:
    lines = ["---", *card_header(job, columns, splits), "---", "", *card_body(job, splits)]
    return "\n".join(lines) + "\n"


# ------------------------------------------------------------------ header


def card_header(job: Job, columns: Mapping[str, Feature], splits: SplitSizes) -> Iterator[str]:
    facts = {
        "pretty_name": ", ".join(entry.title for entry in catalog_entries(job)) or "Skin images",
        **license_header(job),
        **task_header(job, columns),
        "size_categories": [size_category(sum(count for count, _ in splits.values()))],
        "tags": ["medical", "dermatology"],
        "dataset_info": {
            "features": features_to_yaml(columns),
            "splits": [
                {"name": name, "num_bytes": size, "num_examples": count}
                for name, (count, size) in splits.items()
            ],
        },
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": name, "path": f"data/{name}-*"} for name in splits],
            }
        ],
    }
    for name, value in facts.items():
        yield f"{name}: {show_controls(json.dumps(value, ensure_ascii=False))}"


def task_header(job: Job, columns: Mapping[str, Feature]) -> dict[str, list[str]]:
    """What the columns can be used for; no key where nothing is known."""
    tasks = {"image-classification": bool(job.classes), "image-segmentation": MASK_COLUMN in columns}
    named = [task for task, fits in tasks.items() if fits]
    return {"task_categories": named} if named else {}


def size_category(rows: int) -> str:
    return next((name for most, name in SIZE_CATEGORIES if rows < most), "1M<n<10M")


def license_header(job: Job) -> dict[str, Any]:
    """The Hub's own id of each license; `other` where one has none, with its name."""
    found = license_names(job)
    known = [one.lower() for one in found]
    if known and all(one.startswith(HUB_LICENSES) for one in known):
        return {"license": known[0] if len(known) == 1 else known}
    slug = "-and-".join(re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-") for name in found)
    return {"license": "other", "license_name": slug or "not-stated"}  # the Hub wants one word


# ------------------------------------------------------------------ text


def card_body(job: Job, splits: SplitSizes) -> Iterator[str]:
    yield f"# {', '.join(escape_markdown(entry.title) for entry in catalog_entries(job)) or 'Skin images'}"
    yield ""
    yield "Dermatology images exported by dermdata, with one row an image in the columns of its manifest."
    if job.recipe.changes:
        yield (
            "Images were changed: "
            + describe_changes(job)
            + " Columns such as `bytes` and `sha256` describe the originals."
        )
    yield from ("", "| split | images |", "|---|---:|")
    yield from (f"| {escape_markdown(name)} | {count:,} |" for name, (count, _) in splits.items())
    if job.classes:
        classes = ", ".join(map(escape_markdown, job.classes))
        yield from ("", f"`label` has {count_nouns(len(job.classes), 'class')}, in this order: {classes}.")
    if job.left.num_rows:
        yield from (
            "",
            f"{count_nouns(job.left.num_rows, 'image', 'were')} left out: `left-out.csv` says which and why.",
        )
    yield from (
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        'dataset = load_dataset("path/to/this/folder")',
        "```",
    )
    for entry in catalog_entries(job):
        yield from dataset_section(entry)
    yield from provenance_section(job)


def dataset_section(entry: Dataset) -> Iterator[str]:
    """What one dataset is, its terms and how to cite it."""
    terms = entry.license
    yield from ("", f"## {escape_markdown(entry.title)}", "", escape_markdown(entry.summary), "")
    if entry.homepage:
        yield f"- Home: {link_markdown(entry.homepage)}"
    page = f" ({link_markdown(terms.url)})" if terms.url else ""
    yield f"- License: {escape_markdown(terms.id or 'not stated')}{page}"
    commercial, passing_on = PERMISSION_WORDS[terms.commercial_use], PERMISSION_WORDS[terms.redistribution]
    yield f"- Commercial use: {commercial}; redistribution: {passing_on}"
    if terms.statement:
        yield f"- {escape_markdown(terms.statement)}"
    if entry.citation.text:
        yield from ("", f"Cite: {escape_markdown(entry.citation.text)}")
    if bibtex := bibtex_entry(entry.name, entry.citation.bibtex):
        yield from ("", *fence_markdown(bibtex, "bibtex"))


def provenance_section(job: Job) -> Iterator[str]:
    facts = manifest_provenance(job.table)
    if facts:
        text = json.dumps(facts, ensure_ascii=False, indent=1)
        yield from ("", "## Provenance", "", *fence_markdown(text, "json"))
