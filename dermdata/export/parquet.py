"""Parquet shards, with or without the image bytes, that pandas, DuckDB, pyarrow and `datasets` open.

OUT is a folder of `<dataset or "images">[-split]-00000-of-00003.parquet`, each of at most 500 MB of images or
100,000 rows; or, when it ends in `.parquet`, one file however large. Dictionary columns become plain
strings and maps lists of {key, value}, because `datasets` refuses maps. Tables are compressed (zstd),
images are not: they are compressed already.

Not embedded, `path`, `mask_path` and `masks` are absolute paths into the cache, null where there is no file.
Embedded, they stay as in the manifest, so that nothing of this machine is in the file, and the column
`image` holds {bytes, path} as Hugging Face's Image feature; with --size or --strip-exif the images are changed
(see pixels.py), and the other columns still describe them as stored.

A shard of an earlier run of the same job is kept; shards of another count are deleted first.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from dermdata.errors import UsageError
from dermdata.export import about, features, files, folders, leftout, pictures, shards, sheets
from dermdata.export.files import Found
from dermdata.export.job import Job, Part, Written, folder, stem
from dermdata.export.shards import Shard
from dermdata.export.sheets import IMAGE, Sheet
from dermdata.export.stream import Images
from dermdata.export.tabular import tabular
from dermdata.places import Folder, Place


@dataclass(frozen=True)
class Work:
    """A job made ready: the table as it will stand in the files, its images, the shards."""

    sheet: Sheet
    parts: Sequence[Shard]
    stale: Sequence[str]
    reusable: bool  # the digest covers every image's content
    missing: int  # rows without an image file


def plan(job: Job) -> tuple[Part, ...]:
    work = made_ready(job)
    return tuple(
        Part(
            place_of(job).at(one.name),
            one.stop - one.start,
            bytes_of(work, one),
            there=is_there(job, work, one),
        )
        for one in work.parts
    )


def write(job: Job) -> Written:
    work = made_ready(job)
    kept = [one for one in work.parts if is_there(job, work, one)]
    todo = [one for one in work.parts if one not in kept]
    if job.size is None:
        folders.require_space(job, [bytes_of(work, one) for one in todo])
    place = place_of(job)
    shards.sweep(place, work.stale)
    for shard in todo:
        place.fill(shard.name, maker(job, work.sheet.part(shard.start, shard.stop)))
    paths = tuple(place.at(shard.name) for shard in work.parts)
    beside = leftout.write_into(place, left_name(job), job.left)
    left_out = leftout.counted(job.left) | ({files.MISSING: work.missing} if work.missing else {})
    size = sum(place.size(shard.name) for shard in work.parts)
    return Written((*paths, *beside), work.sheet.table.num_rows, size, kept=len(kept), left_out=left_out)


def maker(job: Job, sheet: Sheet) -> Callable[[Path], None]:
    return lambda path: sheets.write(path, sheet, job)


def is_single(job: Job) -> bool:
    """Whether OUT is one file."""
    return job.out.suffix == ".parquet" and not job.out.is_dir()


def place_of(job: Job) -> Place:
    """OUT, or what the one file is in."""
    return job.bucket or Folder(job.out.parent if is_single(job) else job.out)


def left_name(job: Job) -> str:
    return f"{job.out.name}.{leftout.NAME}" if is_single(job) else leftout.NAME


def made_ready(job: Job) -> Work:
    """Everything decided, nothing written."""
    if job.recipe.changes and not job.embed:
        raise UsageError("without --embed no image is written that could be changed", hint="add --embed")
    table, found, missing = source(job)
    reusable = not job.embed or all(
        sure or path is None for sure, path in zip(pictures.sure(table), found, strict=True)
    )
    table, sizes = tabular(table), files.sizes(table, found)
    presence = "".join("-" if path is None else "i" for path in found)
    made = [pictures.version(job.recipe)] if job.recipe.changes else []
    mark = shards.digest(table, sizes, str(job.embed), presence, *made)
    if not (single := is_single(job)) and job.bucket is None:
        folder(job.out)
    parts = [Shard(job.out.name, 0, table.num_rows)] if single else shards.named(stem(job), sizes)
    stale = [] if single else shards.stale(place_of(job), stem(job), parts)
    images = {IMAGE: Images(found, sizes, job.recipe)} if job.embed else {}
    sheet = Sheet(table, images, sizes)
    table = table.replace_schema_metadata(metadata(sheet.schema, mark))
    return Work(Sheet(table, images, sizes), parts, stale, reusable, missing)


def source(job: Job) -> tuple[pa.Table, list[Found], int]:
    """The rows as the format states them, the images to embed, and how many rows have no image file."""
    if not job.embed:
        table, missing = files.anywhere(job.table, job.roots)
        return table, [None] * table.num_rows, missing
    table = job.table.drop_columns([IMAGE]) if IMAGE in job.table.column_names else job.table
    found = pictures.usable(table, job)
    return table, found, found.count(None)


def bytes_of(work: Work, shard: Shard) -> int:
    return sum(work.sheet.sizes[shard.start : shard.stop])


def is_there(job: Job, work: Work, shard: Shard) -> bool:
    """Whether a whole file with these very rows and images has this name: names are only given to whole files."""
    mark = work.sheet.table.schema.metadata[about.OURS].decode()
    return work.reusable and shards.digest_of(place_of(job), shard.name) == mark


def metadata(schema: pa.Schema, mark: str) -> Mapping[bytes, bytes]:
    """The manifest's own metadata, our mark and, where images are embedded, the features."""
    embedded = features.metadata(schema, {IMAGE: features.IMAGE}) if IMAGE in schema.names else {}
    return provenance(schema) | {about.OURS: mark.encode()} | embedded


def provenance(schema: pa.Schema) -> dict[bytes, bytes]:
    return {
        f"dermdata.{key}".encode(): value.encode() for key, value in about.of(schema.empty_table()).items()
    }
