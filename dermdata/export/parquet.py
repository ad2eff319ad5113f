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

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from dermdata.errors import UsageError
from dermdata.export import about, features, files, folders, leftout, pictures, shards, sheets
from dermdata.export.job import Job, Part, Written, folder, stem
from dermdata.export.ledger import another_wrote, one_writer
from dermdata.export.shards import Shard
from dermdata.export.sheets import IMAGE, Sheet
from dermdata.export.stream import Images
from dermdata.export.tabular import tabular
from dermdata.manifest.image_files import ImageFinder
from dermdata.manifest.rest import Rows
from dermdata.places import Folder, Place


@dataclass(frozen=True)
class Work:
    """A job made ready: how each shard is written, and what it will hold."""

    write: Callable[[Path, Shard], None]
    mark: str  # of the very rows and images
    parts: Sequence[Shard]
    sizes: Sequence[int]  # bytes of each row's image, none where none are embedded
    reusable: bool  # the mark covers every image's content
    notes: Mapping[str, int]  # what is to be told, in words -> rows


def plan(job: Job) -> tuple[Part, ...]:
    work = made_ready(job)
    return tuple(
        Part(
            place_of(job).at(one.name),
            one.stop - one.start,
            sum(work.sizes[one.start : one.stop]),
            there=is_there(job, work, one),
        )
        for one in work.parts
    )


def write(job: Job) -> Written:
    work, place = made_ready(job), place_of(job)
    with nullcontext() if is_single(job) else one_writer(place, job.progress.say):
        kept = [one for one in work.parts if is_there(job, work, one)]
        todo = [one for one in work.parts if one not in kept]
        if job.size is None:
            folders.require_space(job, [sum(work.sizes[one.start : one.stop]) for one in todo])
        shards.sweep(place, stale(job, work))
        for shard in todo:
            place.fill(shard.name, partial(write_shard, work, shard))
        beside = leftout.write_into(place, left_name(job), job.left, excel_safe=job.excel_safe)
        require_alone(job, work)
    paths = tuple(place.at(shard.name) for shard in work.parts)
    size = sum(place.size(shard.name) for shard in work.parts)
    left_out = leftout.counted(job.left) | dict(work.notes)
    return Written((*paths, *beside), job.table.num_rows, size, kept=len(kept), left_out=left_out)


def require_alone(job: Job, work: Work) -> None:
    """StorageError unless the folder holds just the shards of this run: where locks do nothing, another may have written."""
    place = place_of(job)
    if isinstance(place, Folder):
        ours = all(shards.digest_of(place, one.name) == work.mark for one in work.parts)
        if not ours or stale(job, work):
            raise another_wrote(place)


def write_shard(work: Work, shard: Shard, path: Path) -> None:
    work.write(path, shard)


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
    if not is_single(job):
        if job.bucket is None:
            folder(job.out)
        shards.require_ours(place_of(job))
    return embedding(job) if job.embed else pointing(job)


def embedding(job: Job) -> Work:
    """The rows with their images, all rows in memory."""
    table = job.table.drop_columns([IMAGE]) if IMAGE in job.table.column_names else job.table
    found = pictures.usable(table, job)
    reusable = all(sure or path is None for sure, path in zip(pictures.sure(table), found, strict=True))
    gone = found.count(None)
    notes = {files.MISSING: gone} if gone else {}
    notes |= pictures.count_unchecked(
        table.filter(pa.array([path is not None for path in found], pa.bool_()))
    )
    table, sizes = tabular(table), files.sizes(table, found)
    presence = "".join("-" if path is None else "i" for path in found)
    made = [pictures.version(job.recipe)] if job.recipe.changes else []
    mark = shards.digest(table, sizes, presence, *made)
    images = {IMAGE: Images(found, sizes, job.recipe, pictures.digests(table))}
    schema = Sheet(table, images, sizes).schema
    sheet = Sheet(table.replace_schema_metadata(metadata(schema, mark)), images, sizes)

    def put(path: Path, shard: Shard) -> None:
        sheets.write(path, sheet.part(shard.start, shard.stop), job)

    return Work(put, mark, parts_of(job, sizes), sizes, reusable, notes)


def pointing(job: Job) -> Work:
    """The rows with absolute paths, a row group in memory at a time."""
    rows, finder = job.rows, ImageFinder(job.roots)
    lacking: list[int] = []  # rows without an image, a block each

    def blocks(rows: Rows) -> Iterator[pa.Table]:
        for block in rows.blocks(shards.GROUP_ROWS):
            table, missing = files.anywhere(block, finder)
            lacking.append(missing)
            yield tabular(table)

    schema = tabular(rows.schema.empty_table()).schema
    mark = shards.digest_of_blocks(schema, blocks(rows), "paths")
    missing = sum(lacking)
    schema = schema.with_metadata(metadata(schema, mark))

    def put(path: Path, shard: Shard) -> None:
        count = shard.stop - shard.start
        job.progress.begin(path.name, count, "rows")
        groups = ((one, one.num_rows) for one in blocks(rows.part(shard.start, count)))
        sheets.write_groups(path, schema, groups, job)

    sizes = [0] * rows.num_rows
    parts = parts_of(job, sizes)
    return Work(put, mark, parts, sizes, True, {files.MISSING: missing} if missing else {})


def parts_of(job: Job, sizes: Sequence[int]) -> list[Shard]:
    if is_single(job):
        return [Shard(job.out.name, 0, len(sizes))]
    return shards.named(stem(job), sizes)


def stale(job: Job, work: Work) -> list[str]:
    """Shards of earlier runs that must go; UsageError when the folder holds Parquet files not ours."""
    return [] if is_single(job) else shards.stale(place_of(job), stem(job), work.parts)


def is_there(job: Job, work: Work, shard: Shard) -> bool:
    """Whether a whole file with these very rows and images has this name: names are only given to whole files."""
    return work.reusable and shards.digest_of(place_of(job), shard.name) == work.mark


def metadata(schema: pa.Schema, mark: str) -> Mapping[bytes, bytes]:
    """The manifest's own metadata, our mark and, where images are embedded, the features."""
    embedded = features.metadata(schema, {IMAGE: features.IMAGE}) if IMAGE in schema.names else {}
    return provenance(schema) | {about.OURS: mark.encode()} | embedded


def provenance(schema: pa.Schema) -> dict[bytes, bytes]:
    return {
        f"dermdata.{key}".encode(): value.encode() for key, value in about.of(schema.empty_table()).items()
    }
