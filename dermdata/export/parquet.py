"""Parquet shards, with or without the image bytes, that pandas, DuckDB, pyarrow and `datasets` open.

OUT is a folder of `<dataset or "images">[-split]-00000-of-00003.parquet`, each of at most 500 MB of images or
100,000 rows; or, when it ends in `.parquet`, one file however large. Dictionary columns become plain
strings and maps lists of {key, value}, because `datasets` refuses maps. Tables are compressed (zstd),
images are not: they are compressed already.

Not embedded, `path`, `mask_path` and `masks` are absolute paths into the cache, null where there is no file.
Embedded, they stay as in the manifest, so that nothing of this machine is in the file, and the column
`image` holds {bytes, path} as Hugging Face's Image feature; with --size or --strip-exif the images are changed
(see image_bytes.py), and the other columns still describe them as stored.

A shard of an earlier run of the same job is kept; shards of another count are deleted first. Other formats write
their Parquet files with `write_image_table`, a row group at a time.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dermdata import disk
from dermdata.engine import ExecutorFactory, thread_executor
from dermdata.errors import UsageError
from dermdata.export import shards
from dermdata.export.chosen_columns import choose_columns
from dermdata.export.image_bytes import Recipe
from dermdata.export.job import ExportPart, ExportResult, Job, output_stem, require_folder
from dermdata.export.left_out import LEFT_OUT_NAME, count_reasons, put_left_out
from dermdata.export.metadata import (
    EXPORT_DIGEST_KEY,
    IMAGE_FEATURE,
    feature_metadata,
    follow_resize,
    provenance_metadata,
    to_portable_types,
)
from dermdata.export.output_folder import require_output_space
from dermdata.export.record import concurrent_export_error, hold_folder
from dermdata.export.row_images import (
    MISSING_IMAGES,
    NO_FILE,
    digest_flags,
    file_sizes,
    image_digests,
    image_ending,
    note_images,
    recipe_version,
    to_absolute_paths,
    usable_images,
)
from dermdata.export.shards import ImageColumn, LoadedImages, Shard, load_blocks
from dermdata.manifest.image_files import FoundPath
from dermdata.manifest.lazy import LazyTable
from dermdata.manifest.match import summarize_problem
from dermdata.object_store import LocalFolder, Storage
from dermdata.terminal import format_size

IMAGE_COLUMN, MASK_COLUMN = "image", "mask"
IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
IMAGE_DESCRIPTIONS = {
    IMAGE_COLUMN: "the image file: its bytes, and its name",
    MASK_COLUMN: "the lesion mask's file: its bytes, and its name",
}
EMBEDDED_GROUP_ROWS = 1024  # in a row group: one group is what a reader must decode at once


@dataclass(frozen=True)
class ParquetPlan:
    """Everything that a job writes, decided and not written: how each shard is made, and what it will hold."""

    write: Callable[[Path, Shard], None]
    fingerprint: str  # of the very rows and images
    shards: Sequence[Shard]
    sizes: Sequence[int]  # bytes of each row's image, none where none are embedded
    reusable: bool  # the fingerprint covers every image's content
    notes: Mapping[str, int]  # what the result reports, in words -> rows
    lacking: int = 0  # rows whose image is to be inside and is not


def plan_parquet(job: Job) -> tuple[ExportPart, ...]:
    plan = make_parquet_plan(job)
    return tuple(
        ExportPart(
            output_storage(job).locate(one.name),
            one.stop - one.start,
            sum(plan.sizes[one.start : one.stop]),
            there=is_shard_current(job, plan, one),
        )
        for one in plan.shards
    )


def write_parquet(job: Job) -> ExportResult:
    plan, place = make_parquet_plan(job), output_storage(job)
    with hold_output(job):
        kept = [one for one in plan.shards if is_shard_current(job, plan, one)]
        todo = [one for one in plan.shards if one not in kept]
        if not job.recipe.resizes:
            require_output_space(job, [sum(plan.sizes[one.start : one.stop]) for one in todo])
        shards.delete_shards(place, stale_shards(job, plan))
        for shard in todo:
            place.put(shard.name, partial(write_parquet_shard, plan, shard))
        beside = put_left_out(place, left_out_name(job), job.left, excel_safe=job.excel_safe)
        require_alone(job, plan)
    paths = tuple(place.locate(shard.name) for shard in plan.shards)
    size = sum(place.size(shard.name) for shard in plan.shards)
    left_out = count_reasons(job.left) | dict(plan.notes)
    return ExportResult(
        (*paths, *beside), job.table.num_rows, size, kept=len(kept), left_out=left_out,
        unusable=job.unusable + plan.lacking,
    )  # fmt: skip


def hold_output(job: Job) -> AbstractContextManager[None]:
    """Hold the folder against other exports; one file needs no lock."""
    if is_single_file(job):
        return nullcontext()
    return hold_folder(output_storage(job), job.progress.say)


def require_alone(job: Job, plan: ParquetPlan) -> None:
    """StorageError unless the folder holds just the shards of this run: where locks do nothing, another may have written."""
    place = output_storage(job)
    if isinstance(place, LocalFolder):
        ours = all(shards.read_digest(place, one.name) == plan.fingerprint for one in plan.shards)
        if not ours or stale_shards(job, plan):
            raise concurrent_export_error(place)


def write_parquet_shard(plan: ParquetPlan, shard: Shard, path: Path) -> None:
    plan.write(path, shard)


def is_single_file(job: Job) -> bool:
    """Whether OUT is one file."""
    return job.out.suffix == ".parquet" and not job.out.is_dir()


def output_storage(job: Job) -> Storage:
    """OUT, or what the one file is in."""
    return job.bucket or LocalFolder(job.out.parent if is_single_file(job) else job.out)


def left_out_name(job: Job) -> str:
    return f"{job.out.name}.{LEFT_OUT_NAME}" if is_single_file(job) else LEFT_OUT_NAME


def make_parquet_plan(job: Job) -> ParquetPlan:
    """Everything decided, nothing written."""
    if job.recipe.changes and not job.embed:
        raise UsageError("without --embed no image is written that could be changed", hint="add --embed")
    if not is_single_file(job):
        if job.bucket is None:
            require_folder(job.out)
        shards.require_own_tables(output_storage(job))
    return plan_embedded(job) if job.embed else plan_paths(job)


def plan_embedded(job: Job) -> ParquetPlan:
    """The rows with their images, all rows in memory."""
    table = job.table.drop_columns([IMAGE_COLUMN]) if IMAGE_COLUMN in job.table.column_names else job.table
    found, reasons, bad = usable_images(table, job)
    reusable = all(sure or path is None for sure, path in zip(digest_flags(table), found, strict=True))
    missing = count_embed_problems(reasons)
    notes = dict(missing) | note_images(replace(job, table=table), found)
    table, sizes = to_portable_types(follow_resize(table, job.recipe)), file_sizes(table, found)
    presence = "".join("-" if path is None else "i" for path in found)
    made = [recipe_version(job.recipe)] if job.recipe.changes else []
    fingerprint = shards.table_digest(table, sizes, presence, *made)
    images = {IMAGE_COLUMN: ImageColumn(found, sizes, job.recipe, image_digests(table))}
    schema = ImageTable(table, images, sizes).schema
    image_table = ImageTable(
        table.replace_schema_metadata(parquet_metadata(schema, fingerprint)), images, sizes
    )

    def put(path: Path, shard: Shard) -> None:
        write_image_table(path, image_table.slice_rows(shard.start, shard.stop), job)

    return ParquetPlan(put, fingerprint, cut_shards(job, sizes), sizes, reusable, notes, bad)


def count_embed_problems(reasons: Iterable[str | None]) -> Counter[str]:
    """In words how many rows have no image inside for which reason."""
    stated = (summarize_problem(reason) for reason in reasons if reason)
    return Counter(
        MISSING_IMAGES if reason == NO_FILE else f"rows without their image: {reason}" for reason in stated
    )


def plan_paths(job: Job) -> ParquetPlan:
    """The rows with absolute paths, a row group in memory at a time."""
    rows, finder = job.rows, job.open_finder()
    notes: Counter[str] = Counter()
    chosen = choose_columns(rows, job.columns, flat=job.flat)

    def blocks(rows: LazyTable) -> Iterator[pa.Table]:
        for block in rows.blocks(shards.GROUP_ROWS):
            table, found = to_absolute_paths(block, finder)
            notes.update(found)
            yield to_portable_types(chosen.pick(table))

    schema = to_portable_types(chosen.pick(rows.schema.empty_table())).schema
    fingerprint = shards.blocks_digest(schema, blocks(rows), "paths")
    schema = schema.with_metadata(parquet_metadata(schema, fingerprint))

    def put(path: Path, shard: Shard) -> None:
        count = shard.stop - shard.start
        job.progress.begin(path.name, count, "rows")
        groups = ((one, one.num_rows) for one in blocks(rows.slice_rows(shard.start, count)))
        write_row_groups(path, schema, groups, job)

    sizes = [0] * rows.num_rows
    parts = cut_shards(job, sizes)
    return ParquetPlan(put, fingerprint, parts, sizes, True, dict(notes))


def cut_shards(job: Job, sizes: Sequence[int]) -> list[Shard]:
    if is_single_file(job):
        return [Shard(job.out.name, 0, len(sizes))]
    return shards.name_shards(output_stem(job), sizes)


def stale_shards(job: Job, plan: ParquetPlan) -> list[str]:
    """Shards of earlier runs that must go; UsageError when the folder holds Parquet files not ours."""
    return (
        []
        if is_single_file(job)
        else shards.find_stale_shards(output_storage(job), output_stem(job), plan.shards)
    )


def is_shard_current(job: Job, plan: ParquetPlan, shard: Shard) -> bool:
    """Whether a whole file with these very rows and images has this name: names are only given to whole files."""
    return plan.reusable and shards.read_digest(output_storage(job), shard.name) == plan.fingerprint


def parquet_metadata(schema: pa.Schema, fingerprint: str) -> Mapping[bytes, bytes]:
    """The manifest's own metadata, our fingerprint and, where images are embedded, the features."""
    embedded = feature_metadata(schema, {IMAGE_COLUMN: IMAGE_FEATURE}) if IMAGE_COLUMN in schema.names else {}
    return provenance_metadata(schema) | {EXPORT_DIGEST_KEY: fingerprint.encode()} | embedded


@dataclass(frozen=True)
class ImageTable:
    """A table as it will stand in files, its metadata included, and the images of its further columns."""

    table: pa.Table
    images: Mapping[str, ImageColumn]
    sizes: Sequence[int]  # bytes of each row's images as stored, 0 where none are embedded

    @property
    def schema(self) -> pa.Schema:
        """With the image columns."""
        schema = self.table.schema
        for name in self.images:
            schema = schema.append(
                pa.field(name, IMAGE_TYPE, metadata={"description": IMAGE_DESCRIPTIONS[name]})
            )
        return schema

    def slice_rows(self, start: int, stop: int) -> "ImageTable":
        rows = slice(start, stop)
        images = {name: one.slice_rows(rows) for name, one in self.images.items()}
        return ImageTable(self.table.slice(start, stop - start), images, self.sizes[rows])


def write_image_table(path: Path, image_table: ImageTable, job: Job) -> None:
    """Write one file; it takes its name when it is whole."""
    embed = bool(image_table.images)
    job.progress.begin(
        path.name, sum(image_table.sizes) if embed else image_table.table.num_rows, "B" if embed else "rows"
    )
    write_row_groups(
        path,
        image_table.schema,
        load_row_groups(image_table, job.jobs, job.make),
        job,
        images=image_table.images,
    )


def write_row_groups(
    path: Path,
    schema: pa.Schema,
    groups: Iterable[tuple[pa.Table, int]],
    job: Job,
    images: Mapping[str, ImageColumn] | None = None,
) -> None:
    """Write each group as a row group of the file, and tell how far it is."""
    with (
        disk.atomic_write(path) as file,
        pq.ParquetWriter(file, schema, **writer_options(schema, images or {})) as writer,
    ):
        for group, done in groups:
            writer.write_table(group.cast(schema), row_group_size=max(1, group.num_rows))
            job.progress.advance(path.name, done)
    job.progress.end(path.name, format_size(path.stat().st_size) if images else "")


def load_row_groups(
    image_table: ImageTable, jobs: int, make: ExecutorFactory = thread_executor
) -> Iterator[tuple[pa.Table, int]]:
    """The row groups with their images, read ahead of the writer, and how much each one is: bytes or rows."""
    most = EMBEDDED_GROUP_ROWS if image_table.images else shards.GROUP_ROWS
    runs = [slice(*run) for run in shards.cut_runs(image_table.sizes, shards.GROUP_BYTES, most)]
    if not image_table.images:
        for run in runs:
            yield image_table.table.slice(run.start, run.stop - run.start), run.stop - run.start
        return
    for run, loaded in load_blocks(image_table.images, runs, jobs, make):
        group = image_table.table.slice(run.start, run.stop - run.start)
        for name, images in loaded.items():
            column = image_table.images[name]
            group = group.append_column(name, image_array(images, column.paths[run], column.recipe))
        yield group, sum(image_table.sizes[run])


def image_array(images: LoadedImages, found: Sequence[FoundPath], recipe: Recipe) -> pa.Array:
    """The image column: null where there is no image."""
    names = [None if path is None else embedded_name(path, recipe) for path in found]
    missing = pa.array([image is None for image in images], pa.bool_())
    arrays = [pa.array(images, pa.binary()), pa.array(names, pa.string())]
    return pa.StructArray.from_arrays(arrays, fields=list(IMAGE_TYPE), mask=missing)


def embedded_name(path: str, recipe: Recipe) -> str:
    name = path.rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    if not recipe.changes or not dot or suffix.lower() in ("jpeg", "jpe", "jfif"):
        return name  # a name without an ending claims nothing
    made = image_ending(None, suffix.lower(), recipe)
    return name if made == suffix.lower() else f"{stem}.{made}"


def writer_options(schema: pa.Schema, images: Mapping[str, ImageColumn]) -> dict[str, object]:
    """How columns are stored: everything but the image bytes compressed, counted and dictionary-encoded."""
    stored = [path for path in leaf_columns(schema) if path.partition(".")[0] not in images]
    return {
        "compression": dict.fromkeys(stored, "zstd"),
        "use_dictionary": stored,
        "write_statistics": stored,
    }


def leaf_columns(schema: pa.Schema) -> list[str]:
    """Parquet's own name of each column of values, such as `masks.list.element.key`."""
    sink = pa.BufferOutputStream()
    pq.ParquetWriter(sink, schema).close()
    with pq.ParquetFile(pa.BufferReader(sink.getvalue())) as file:
        return [file.schema.column(number).path for number in range(len(file.schema))]
