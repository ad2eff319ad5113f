"""Croissant: Parquet files, and a description of them as JSON-LD that `mlcroissant` loads and iterates.

  OUT/data/<split>-00000-of-00003.parquet   rows as `parquet` writes them: with --embed images and masks inside, else
                                            absolute paths into the cache
  OUT/croissant.json                        files with SHA-256 and size, columns with type and meaning, splits,
                                            classes, licenses, citations, and what is known of biases

The record set `images` is the manifest; `splits` and `classes` list their words. Croissant knows no type for bytes:
`phash` is in the files and not described. All facts are the catalog's or counted from the rows.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from dermdata import checksum, disk
from dermdata.croissant import (
    ANNOTATION_COLUMNS,
    COLUMN_MEANINGS,
    SENSITIVE_COLUMNS,
    Json,
    croissant_document,
    license_url,
    responsible_ai_facts,
)
from dermdata.errors import UsageError
from dermdata.export.huggingface import shard_files, to_split_names
from dermdata.export.job import (
    UNSPLIT,
    ExportPart,
    ExportResult,
    Job,
    catalog_entries,
    describe_changes,
    license_names,
    output_stem,
    row_splits,
    split_parts,
)
from dermdata.export.metadata import (
    IMAGE_FEATURE,
    feature_metadata,
    follow_resize,
    provenance_metadata,
    to_portable_types,
)
from dermdata.export.output_folder import OutputFile, left_out_files, open_job_record, plan_files, write_files
from dermdata.export.parquet import IMAGE_COLUMN, IMAGE_DESCRIPTIONS, IMAGE_TYPE, MASK_COLUMN, ImageTable
from dermdata.export.record import ExportRecord
from dermdata.export.row_images import (
    drop_missing_images,
    file_sizes,
    image_digests,
    lesion_masks,
    note_images,
    to_absolute_paths,
)
from dermdata.export.shards import ImageColumn, pair_with_masks
from dermdata.manifest.text import is_text
from dermdata.markup import count_nouns

FORM, NAME = "croissant", "croissant.json"
RECORDS, SHARDS = "images", "shards"  # ids of the rows, and of several files taken together
PARQUET = "application/x-parquet"


def plan_croissant(job: Job) -> tuple[ExportPart, ...]:
    _, record, pieces, _ = decide_files(job)
    return plan_files(record, pieces)


def write_croissant(job: Job) -> ExportResult:
    """Write the files that are not there, then the description."""
    job, record, pieces, notes = decide_files(job)
    return write_files(job, record, pieces, notes)


def decide_files(job: Job) -> tuple[Job, ExportRecord, list[OutputFile], dict[str, int]]:
    """What is written; last, in words, what else the person must know of the images."""
    if job.out.suffix in (".json", ".parquet"):
        raise UsageError("croissant writes a folder", hint="give a folder as -o OUT")
    if job.recipe.changes and not job.embed:
        raise UsageError("without --embed no image is written that could be changed", hint="add --embed")
    record = open_job_record(job, FORM)
    job, image_table, notes = embed_images(job) if job.embed else point_to_cache(job)
    divided = split_parts(job.table)
    named = to_split_names([part.name or RECORDS for part in divided])
    shards = [
        piece
        for part, name in zip(divided, named, strict=True)
        for piece in shard_files(job, image_table, part, name)
    ]
    return job, record, [*shards, description_file(job, image_table, shards), *left_out_files(job)], notes


def embed_images(job: Job) -> tuple[Job, ImageTable, dict[str, int]]:
    """Rows with their images and masks; the paths stay as in the manifest."""
    job, found = drop_missing_images(job)
    table = drop_columns(job.table, IMAGE_COLUMN, MASK_COLUMN)
    sizes = file_sizes(table, found)
    column = ImageColumn(found, sizes, job.recipe, image_digests(table))
    images = pair_with_masks(column, lesion_masks(table, job))
    return (
        job,
        add_metadata(ImageTable(to_portable_types(follow_resize(table, job.recipe)), images, sizes)),
        note_images(job, found),
    )


def point_to_cache(job: Job) -> tuple[Job, ImageTable, dict[str, int]]:
    """Rows with paths into the cache."""
    table, found = to_absolute_paths(job.table, job.open_finder())
    return job, add_metadata(ImageTable(to_portable_types(table), {}, [0] * table.num_rows)), found


def drop_columns(table: pa.Table, *names: str) -> pa.Table:
    return table.drop_columns([name for name in names if name in table.column_names])


def add_metadata(image_table: ImageTable) -> ImageTable:
    special = dict.fromkeys(image_table.images, IMAGE_FEATURE)
    metadata = provenance_metadata(image_table.table) | feature_metadata(image_table.schema, special)
    table = image_table.table.replace_schema_metadata(metadata)
    return ImageTable(table, image_table.images, image_table.sizes)


# ------------------------------------------------------------------ description


def description_file(job: Job, image_table: ImageTable, shards: Sequence[OutputFile]) -> OutputFile:
    """croissant.json: made anew unless all files that it describes are those that it describes."""
    whole = build_document(job, image_table, shards)
    fingerprints = [piece.fingerprint for piece in shards]
    digest = hashlib.sha256(repr((encode_document(whole), fingerprints)).encode()).hexdigest()[:32]

    def make(target: Path) -> None:
        facts = {**whole, "distribution": [add_checksum(one, job.out) for one in whole["distribution"]]}
        disk.write_text(target, encode_document(facts))

    return OutputFile(NAME, digest if all(fingerprints) else "", 0, 0, make)


def encode_document(facts: Json) -> str:
    return json.dumps(facts, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def add_checksum(one: Json, out: Path) -> Json:
    """A file's entry with its size and SHA-256, now that it is there."""
    if "contentUrl" not in one:
        return one
    path = out / one["contentUrl"]
    with disk.storage_errors(path):
        return {**one, "contentSize": f"{path.stat().st_size} B", "sha256": checksum.hash_file(path).sha256}


def build_document(job: Job, image_table: ImageTable, shards: Sequence[OutputFile]) -> Json:
    """The document as it is before sizes and checksums are known."""
    entries = catalog_entries(job)
    titles = ", ".join(one.title for one in entries) or "Skin images"
    text = (
        f"{count_nouns(job.table.num_rows, 'dermatology image')} with "
        f"their metadata, exported by dermdata from: {titles}."
    )
    licenses = [license_url(name, entries) or name for name in license_names(job)]
    whole = croissant_document(
        output_stem(job), text, entries, licenses=licenses, files=list(file_objects(shards))
    )
    whole |= responsible_ai_facts(
        entries,
        [name for name in SENSITIVE_COLUMNS if has_values(job.table, name)],
        list(count_annotation_sources(job)),
    )
    if job.recipe.changes:
        whole["rai:dataPreprocessingProtocol"] = [describe_changes(job)]
    whole.pop("isLiveDataset", None)  # the checksums come with the files
    origin = file_source(shards)
    words = [("splits", "split", list_splits(job)), ("classes", job.label, job.classes)]
    lists = [word_record_set(name, column, given) for name, column, given in words if given]
    return whole | {"recordSet": [image_record_set(job, image_table.schema, origin), *lists]}


def file_objects(shards: Sequence[OutputFile]) -> Iterator[Json]:
    for piece in shards:
        yield {
            "@type": "cr:FileObject", "@id": piece.path, "name": piece.path.rpartition("/")[2],
            "description": count_nouns(piece.rows, 'row'), "contentUrl": piece.path, "encodingFormat": PARQUET,
        }  # fmt: skip
    if len(shards) > 1:
        yield {
            "@type": "cr:FileSet", "@id": SHARDS, "name": SHARDS,
            "encodingFormat": PARQUET, "includes": [piece.path for piece in shards],
        }  # fmt: skip


def file_source(shards: Sequence[OutputFile]) -> Json:
    if len(shards) > 1:
        return {"fileSet": {"@id": SHARDS}}
    return {"fileObject": {"@id": shards[0].path}}


def list_splits(job: Job) -> tuple[str, ...]:
    return tuple(sorted({word for word in row_splits(job.table) or () if word != UNSPLIT}))


def has_values(table: pa.Table, name: str) -> bool:
    return name in table.column_names and table[name].null_count < table.num_rows


def count_annotation_sources(job: Job) -> Iterator[str]:
    """Who or what stands behind labels and skin types, counted from the rows."""
    for name in (one for one in ANNOTATION_COLUMNS if has_values(job.table, one)):
        counts = pc.value_counts(job.table[name].cast(pa.string())).to_pylist()
        words = sorted((one["values"] or "not stated", one["counts"]) for one in counts)
        yield f"{name}: {', '.join(f'{word} {count}' for word, count in words)}"


# ------------------------------------------------------------------ records


def word_record_set(name: str, column: str, given: Sequence[str]) -> Json:
    """The words of a column, as a record set with its data inside."""
    kind = ["sc:Text", "cr:Split"] if name == "splits" else "sc:Text"
    field = {
        "@type": "cr:Field", "@id": f"{name}/name", "name": "name",
        "description": f"a word of the column {column}", "dataType": kind,
    }  # fmt: skip
    rows = [{f"{name}/name": word} for word in given]
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "key": {"@id": f"{name}/name"},
            "field": [field], "data": rows}  # fmt: skip


def image_record_set(job: Job, schema: pa.Schema, origin: Json) -> Json:
    fields = [made for one in schema if (made := build_field(one, origin))]
    key = {"key": {"@id": f"{RECORDS}/key"}} if has_values(job.table, "key") else {}
    text = "one row an image; what a column says is null where its source does not say it"
    return {
        "@type": "cr:RecordSet",
        "@id": RECORDS,
        "name": RECORDS,
        "description": text,
        **key,
        "field": fields,
    }


def build_field(column: pa.Field, origin: Json) -> Json | None:
    """A column as a field; None for what Croissant has no type for."""
    base = {
        "@type": "cr:Field", "@id": f"{RECORDS}/{quote(column.name, safe='')}", "name": column.name,
        "description": (column.metadata or {}).get(b"description", b"").decode() or COLUMN_MEANINGS.get(column.name)
        or IMAGE_DESCRIPTIONS.get(column.name, "a column of the manifest's own"),
    }  # fmt: skip
    source = {**origin, "extract": {"column": column.name}}
    if column.type == IMAGE_TYPE:
        inside = {**source, "transform": {"jsonPath": "bytes"}}
        return {**base, "dataType": "sc:ImageObject", "source": inside}
    if kinds.is_list(column.type):
        return build_repeated_field(base, column.type.value_type, source)
    kind = croissant_type(column.type)
    return {**base, "dataType": kind, "source": source} if kind else None


def build_repeated_field(base: Json, inner: pa.DataType, source: Json) -> Json | None:
    if kinds.is_struct(inner):
        members = [
            {"@type": "cr:Field", "@id": f"{base['@id']}/{quote(one.name, safe='')}", "name": one.name,
             "dataType": kind, "source": {**source, "transform": {"jsonPath": one.name}}}
            for one in inner if (kind := croissant_type(one.type))
        ]  # fmt: skip
        return {**base, "repeated": True, "subField": members}
    kind = croissant_type(inner)
    return {**base, "dataType": kind, "repeated": True, "source": source} if kind else None


def croissant_type(kind: pa.DataType) -> str | None:
    """Croissant's name of a plain type."""
    known: Mapping[str, bool] = {
        "sc:Text": is_text(kind) or kinds.is_null(kind),
        "sc:Integer": kinds.is_integer(kind),
        "sc:Float": kinds.is_floating(kind),
        "sc:Boolean": kinds.is_boolean(kind),
        "sc:DateTime": kinds.is_timestamp(kind),
        "sc:Date": kinds.is_date(kind),
    }
    return next((name for name, is_it in known.items() if is_it), None)
