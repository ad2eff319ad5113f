"""Parquet shards, with or without the image bytes, that pandas, DuckDB, pyarrow and `datasets` open.

OUT is a folder of `<dataset or "images">[-split]-00000-of-00003.parquet`, each of at most 500 MB of images or
100,000 rows; or, when it ends in `.parquet`, one file however large. Dictionary columns become plain
strings and maps lists of {key, value}, because `datasets` refuses maps. Tables are compressed (zstd),
images are not: they are compressed already.

Not embedded, `path`, `mask_path` and `masks` are absolute paths into the cache, null where there is no file.
Embedded, they stay as in the manifest, so that nothing of this machine is in the file, and the column
`image` holds {bytes, path} as Hugging Face's Image feature.

A shard of an earlier run of the same job is kept; shards of another count are deleted first.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as kinds

from dermdata import disk
from dermdata.export import about, features, files, shards
from dermdata.export.files import Found
from dermdata.export.job import Job, Part, Written, folder, stem
from dermdata.export.shards import Shard

IMAGE = "image"
IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
EMBEDDED_ROWS = 1024  # in a row group: one group is what a reader must decode at once


@dataclass(frozen=True)
class Work:
    """A job made ready: the table as it will stand in the file, each row's image, the shards."""

    table: pa.Table
    found: Sequence[Found]
    sizes: Sequence[int]  # bytes of each row's image if embedded, else 0
    parts: Sequence[Shard]
    stale: Sequence[Path]
    embed: bool
    reusable: bool  # the digest covers every image's content
    missing: int  # rows without an image file


def plan(job: Job) -> tuple[Part, ...]:
    work = made_ready(job)
    return tuple(
        Part(one.path, one.stop - one.start, sum(work.sizes[one.start : one.stop]), there=is_there(work, one))
        for one in work.parts
    )


def write(job: Job) -> Written:
    work = made_ready(job)
    kept = [one for one in work.parts if is_there(work, one)]
    todo = [one for one in work.parts if one not in kept]
    disk.require_space(job.out, sum(sum(work.sizes[one.start : one.stop]) for one in todo))
    shards.sweep(work.stale)
    for shard in todo:
        write_shard(work, shard, job)
    paths = tuple(shard.path for shard in work.parts)
    left_out = {files.MISSING: work.missing} if work.missing else {}
    size = sum(path.stat().st_size for path in paths)
    return Written(paths, work.table.num_rows, size, kept=len(kept), left_out=left_out)


def made_ready(job: Job) -> Work:
    """Everything decided, nothing written."""
    table, found, missing = source(job)
    table, sizes = tabular(table), files.sizes(table, found)
    reusable = not job.embed or all(
        one or path is None for one, path in zip(digests(table), found, strict=True)
    )
    presence = "".join("-" if path is None else "i" for path in found)
    mark = shards.digest(table, sizes, str(job.embed), presence)
    single = job.out.suffix == ".parquet" and not job.out.is_dir()
    parts = [Shard(job.out, 0, table.num_rows)] if single else shards.named(folder(job.out), stem(job), sizes)
    stale = [] if single else shards.stale(job.out, stem(job), parts)
    table = table.replace_schema_metadata(metadata(table, job.embed, mark))
    return Work(table, found, sizes, parts, stale, job.embed, reusable, missing)


def source(job: Job) -> tuple[pa.Table, list[Found], int]:
    """The rows as the format states them, the images to embed, and how many rows have no image file."""
    if not job.embed:
        table, missing = files.anywhere(job.table, job.roots)
        return table, [None] * table.num_rows, missing
    table = job.table.drop_columns([IMAGE]) if IMAGE in job.table.column_names else job.table
    found = files.located(table, job.roots)
    return table, found, found.count(None)


def digests(table: pa.Table) -> list[str | None]:
    return table["sha256"].to_pylist() if "sha256" in table.column_names else [None] * table.num_rows


def is_there(work: Work, shard: Shard) -> bool:
    """Whether a whole file with these very rows and images has this name: names are only given to whole files."""
    return work.reusable and shards.digest_of(shard.path) == work.table.schema.metadata[about.OURS].decode()


def tabular(table: pa.Table) -> pa.Table:
    """Dictionaries as plain strings and maps as lists of {key, value}: what every reader of Parquet knows."""
    schema = pa.schema(
        [field.with_type(portable(field.type)) for field in table.schema], metadata=table.schema.metadata
    )
    return table.cast(schema)


def portable(kind: pa.DataType) -> pa.DataType:
    if kinds.is_dictionary(kind):
        return kind.value_type
    if kinds.is_map(kind):
        return pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)]))
    return kind


def metadata(table: pa.Table, embed: bool, mark: str) -> Mapping[bytes, bytes]:
    ours = {f"dermdata.{key}".encode(): value.encode() for key, value in about.of(table).items()}
    return (
        ours
        | {about.OURS: mark.encode()}
        | (features.metadata(with_image(table.schema), IMAGE) if embed else {})
    )


def with_image(schema: pa.Schema) -> pa.Schema:
    text = {"description": "the image file: its bytes, and its name"}
    return schema.append(pa.field(IMAGE, IMAGE_TYPE, metadata=text))


def write_shard(work: Work, shard: Shard, job: Job) -> None:
    """Write one file, a row group at a time; it takes its name when it is whole."""
    total = sum(work.sizes[shard.start : shard.stop])
    task = shard.path.name
    job.progress.begin(task, total if work.embed else shard.stop - shard.start, "B" if work.embed else "rows")
    schema = with_image(work.table.schema) if work.embed else work.table.schema
    with (
        disk.replacing(shard.path) as file,
        pq.ParquetWriter(file, schema, **options(schema, work.embed)) as writer,
    ):
        for group, done in groups(work, shard, job.jobs):
            writer.write_table(group.cast(schema), row_group_size=max(1, group.num_rows))
            job.progress.advance(task, done)
    job.progress.end(task)


def groups(work: Work, shard: Shard, jobs: int) -> Iterator[tuple[pa.Table, int]]:
    """The shard's row groups with their images, read ahead of the writer, and how much each one is: bytes or rows."""
    most = EMBEDDED_ROWS if work.embed else shards.GROUP_ROWS
    cuts = shards.cut(work.sizes[shard.start : shard.stop], shards.GROUP_BYTES, most)
    runs = [slice(shard.start + start, shard.start + stop) for start, stop in cuts]
    tables = (work.table.slice(run.start, run.stop - run.start) for run in runs)
    if not work.embed:
        yield from ((table, table.num_rows) for table in tables)
        return
    wanted = [list(zip(work.found[run], work.sizes[run], strict=True)) for run in runs]
    for run, table, images in zip(runs, tables, files.read_ahead(wanted, jobs), strict=True):
        yield table.append_column(IMAGE, column_of(images, work.found[run])), sum(work.sizes[run])


def column_of(images: Sequence[bytes | None], found: Sequence[Found]) -> pa.Array:
    """The image column: null where there is no image."""
    names = [path and os.path.basename(path) for path in found]  # noqa: PTH119  # pathlib costs 10x here
    gone = pa.array([image is None for image in images], pa.bool_())
    arrays = [pa.array(images, pa.binary()), pa.array(names, pa.string())]
    return pa.StructArray.from_arrays(arrays, fields=list(IMAGE_TYPE), mask=gone)


def options(schema: pa.Schema, embed: bool) -> dict[str, object]:
    """How columns are stored: everything but the image bytes compressed, counted and dictionary-encoded."""
    stored = [path for path in leaves(schema) if not (embed and path.startswith(f"{IMAGE}."))]
    return {
        "compression": dict.fromkeys(stored, "zstd"),
        "use_dictionary": stored,
        "write_statistics": stored,
    }


def leaves(schema: pa.Schema) -> list[str]:
    """Parquet's own name of each column of values, such as `masks.list.element.key`."""
    sink = pa.BufferOutputStream()
    pq.ParquetWriter(sink, schema).close()
    with pq.ParquetFile(pa.BufferReader(sink.getvalue())) as file:
        return [file.schema.column(number).path for number in range(len(file.schema))]
