"""Croissant: Parquet files, and a description of them as JSON-LD that `mlcroissant` loads and iterates.

  OUT/data/<split>-00000-of-00003.parquet   rows as `parquet` writes them: with --embed images and masks inside, else
                                            absolute paths into the cache
  OUT/croissant.json                        files with SHA-256 and size, columns with type and meaning, splits,
                                            classes, licences, citations, and what is known of biases

The record set `images` is the manifest; `splits` and `classes` list their words. Croissant knows no type for bytes:
`phash` is in the files and not described. All facts are the catalog's or counted from the rows.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from dermdata import checksum, disk
from dermdata.croissant import MEANING, SENSITIVE, STATED_BY, document, licence_url, responsible
from dermdata.errors import UsageError
from dermdata.export import about, card, cells, features, files, folders, parts, pictures, sheets
from dermdata.export.folders import Piece
from dermdata.export.huggingface import shards_of, split_names
from dermdata.export.job import Job, Part, Written, stem
from dermdata.export.ledger import Ledger
from dermdata.export.pixels import Recipe
from dermdata.export.sheets import IMAGE, MASK, Sheet
from dermdata.export.stream import Images
from dermdata.export.tabular import tabular
from dermdata.manifest.image_files import ImageFinder

FORM, NAME = "croissant", "croissant.json"
RECORDS, SHARDS = "images", "shards"  # ids of the rows, and of several files taken together
PARQUET = "application/x-parquet"
Json = dict[str, Any]


def plan(job: Job) -> tuple[Part, ...]:
    _, record, pieces = decided(job)
    return folders.plan(record, pieces)


def write(job: Job) -> Written:
    """Write the files that are not there, then the description."""
    job, record, pieces = decided(job)
    if job.embed:
        return folders.write(job, record, pieces, pictures.count_unchecked(job.table))
    missing = files.located(job.table, job.roots).count(None)
    return folders.write(job, record, pieces, {files.MISSING: missing} if missing else {})


def decided(job: Job) -> tuple[Job, Ledger, list[Piece]]:
    if job.out.suffix in (".json", ".parquet"):
        raise UsageError("croissant writes a folder", hint="give a folder as -o OUT")
    if job.recipe.changes and not job.embed:
        raise UsageError("without --embed no image is written that could be changed", hint="add --embed")
    record = folders.opened(job, FORM)
    job, sheet = embedded(job) if job.embed else pointing(job)
    divided = parts.split_parts(job.table)
    named = split_names([part.name or RECORDS for part in divided])
    shards = [
        piece
        for part, name in zip(divided, named, strict=True)
        for piece in shards_of(job, sheet, part, name)
    ]
    return job, record, [*shards, description(job, sheet, shards), *folders.of_left(job)]


def embedded(job: Job) -> tuple[Job, Sheet]:
    """Rows with their images and masks; the paths stay as in the manifest."""
    job, found = pictures.with_images(job)
    table = without(job.table, IMAGE, MASK)
    sizes = files.sizes(table, found)
    images = {IMAGE: Images(found, sizes, job.recipe, pictures.digests(table))}
    covers = pictures.masks(table, job)
    if any(covers):
        images[MASK] = Images(covers, [None] * len(covers), Recipe(job.size, job.strip, mask=True))
    return job, with_metadata(Sheet(tabular(table), images, sizes))


def pointing(job: Job) -> tuple[Job, Sheet]:
    """Rows with paths into the cache."""
    table, _ = files.anywhere(job.table, ImageFinder(job.roots))
    return job, with_metadata(Sheet(tabular(table), {}, [0] * table.num_rows))


def without(table: pa.Table, *names: str) -> pa.Table:
    return table.drop_columns([name for name in names if name in table.column_names])


def with_metadata(sheet: Sheet) -> Sheet:
    ours = {f"dermdata.{key}".encode(): value.encode() for key, value in about.of(sheet.table).items()}
    special = dict.fromkeys(sheet.images, features.IMAGE)
    table = sheet.table.replace_schema_metadata(ours | features.metadata(sheet.schema, special))
    return Sheet(table, sheet.images, sheet.sizes)


# ------------------------------------------------------------------ description


def description(job: Job, sheet: Sheet, shards: Sequence[Piece]) -> Piece:
    """croissant.json: made anew unless all files that it describes are those that it describes."""
    whole = described(job, sheet, shards)
    marks = [piece.mark for piece in shards]
    digest = hashlib.sha256(repr((encoded(whole), marks)).encode()).hexdigest()[:32]

    def make(target: Path) -> None:
        facts = {**whole, "distribution": [measured(one, job.out) for one in whole["distribution"]]}
        disk.write_text(target, encoded(facts))

    return Piece(NAME, digest if all(marks) else "", 0, 0, make)


def encoded(facts: Json) -> str:
    return json.dumps(facts, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def measured(one: Json, out: Path) -> Json:
    """A file's entry with its size and SHA-256, now that it is there."""
    if "contentUrl" not in one:
        return one
    path = out / one["contentUrl"]
    with disk.storage_errors(path):
        return {**one, "contentSize": f"{path.stat().st_size} B", "sha256": checksum.of_file(path).sha256}


def described(job: Job, sheet: Sheet, shards: Sequence[Piece]) -> Json:
    """The document as it is before sizes and checksums are known."""
    entries = card.entries(job)
    titles = ", ".join(one.title for one in entries) or "Skin images"
    text = (
        f"{job.table.num_rows:,} dermatology images with their metadata, exported by dermdata from: {titles}."
    )
    licences = [licence_url(name, entries) or name for name in card.licences(job)]
    whole = document(stem(job), text, entries, licences=licences, files=list(distribution(shards)))
    whole |= responsible(
        entries, [name for name in SENSITIVE if filled(job.table, name)], list(annotated(job))
    )
    if job.recipe.changes:
        whole["rai:dataPreprocessingProtocol"] = [card.changes(job)]
    whole.pop("isLiveDataset", None)  # the checksums come with the files
    origin = file_source(shards)
    words = [("splits", "split", split_words(job)), ("classes", job.label, job.classes)]
    lists = [word_list(name, column, given) for name, column, given in words if given]
    return whole | {"recordSet": [records(job, sheet.schema, origin), *lists]}


def distribution(shards: Sequence[Piece]) -> Iterator[Json]:
    for piece in shards:
        yield {
            "@type": "cr:FileObject", "@id": piece.path, "name": piece.path.rpartition("/")[2],
            "description": f"{piece.rows} rows", "contentUrl": piece.path, "encodingFormat": PARQUET,
        }  # fmt: skip
    if len(shards) > 1:
        yield {
            "@type": "cr:FileSet", "@id": SHARDS, "name": SHARDS,
            "encodingFormat": PARQUET, "includes": [piece.path for piece in shards],
        }  # fmt: skip


def file_source(shards: Sequence[Piece]) -> Json:
    if len(shards) > 1:
        return {"fileSet": {"@id": SHARDS}}
    return {"fileObject": {"@id": shards[0].path}}


def split_words(job: Job) -> tuple[str, ...]:
    return tuple(sorted({word for word in parts.split_words(job.table) or () if word != parts.WITHOUT}))


def filled(table: pa.Table, name: str) -> bool:
    return name in table.column_names and table[name].null_count < table.num_rows


def annotated(job: Job) -> Iterator[str]:
    """Who or what stands behind labels and skin types, counted from the rows."""
    for name in (one for one in STATED_BY if filled(job.table, one)):
        counts = pc.value_counts(job.table[name].cast(pa.string())).to_pylist()
        said = sorted((one["values"] or "not stated", one["counts"]) for one in counts)
        yield f"{name}: {', '.join(f'{word} {count}' for word, count in said)}"


# ------------------------------------------------------------------ records


def word_list(name: str, column: str, given: Sequence[str]) -> Json:
    """The words of a column, as a record set with its data inside."""
    kind = ["sc:Text", "cr:Split"] if name == "splits" else "sc:Text"
    field = {
        "@type": "cr:Field", "@id": f"{name}/name", "name": "name",
        "description": f"a word of the column {column}", "dataType": kind,
    }  # fmt: skip
    rows = [{f"{name}/name": word} for word in given]
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "key": {"@id": f"{name}/name"},
            "field": [field], "data": rows}  # fmt: skip


def records(job: Job, schema: pa.Schema, origin: Json) -> Json:
    fields = [made for one in schema if (made := field_of(one, origin))]
    key = {"key": {"@id": f"{RECORDS}/key"}} if filled(job.table, "key") else {}
    text = "one row an image; what a column says is null where its source does not say it"
    return {
        "@type": "cr:RecordSet",
        "@id": RECORDS,
        "name": RECORDS,
        "description": text,
        **key,
        "field": fields,
    }


def field_of(column: pa.Field, origin: Json) -> Json | None:
    """A column as a field; None for what Croissant has no type for."""
    base = {
        "@type": "cr:Field", "@id": f"{RECORDS}/{quote(column.name, safe='')}", "name": column.name,
        "description": (column.metadata or {}).get(b"description", b"").decode() or MEANING.get(column.name)
        or sheets.DESCRIPTIONS.get(column.name, "a column of the manifest's own"),
    }  # fmt: skip
    source = {**origin, "extract": {"column": column.name}}
    if column.type == sheets.IMAGE_TYPE:
        inside = {**source, "transform": {"jsonPath": "bytes"}}
        return {**base, "dataType": "sc:ImageObject", "source": inside}
    if kinds.is_list(column.type):
        return repeated(base, column.type.value_type, source)
    kind = type_of(column.type)
    return {**base, "dataType": kind, "source": source} if kind else None


def repeated(base: Json, inner: pa.DataType, source: Json) -> Json | None:
    if kinds.is_struct(inner):
        members = [
            {"@type": "cr:Field", "@id": f"{base['@id']}/{quote(one.name, safe='')}", "name": one.name,
             "dataType": kind, "source": {**source, "transform": {"jsonPath": one.name}}}
            for one in inner if (kind := type_of(one.type))
        ]  # fmt: skip
        return {**base, "repeated": True, "subField": members}
    kind = type_of(inner)
    return {**base, "dataType": kind, "repeated": True, "source": source} if kind else None


def type_of(kind: pa.DataType) -> str | None:
    """Croissant's name of a plain type."""
    known: Mapping[str, bool] = {
        "sc:Text": cells.is_text(kind) or kinds.is_null(kind),
        "sc:Integer": kinds.is_integer(kind),
        "sc:Float": kinds.is_floating(kind),
        "sc:Boolean": kinds.is_boolean(kind),
        "sc:DateTime": kinds.is_timestamp(kind),
        "sc:Date": kinds.is_date(kind),
    }
    return next((name for name, is_it in known.items() if is_it), None)
