"""Parquet files with image columns: what `parquet` and `huggingface` write, a row group at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dermdata import disk
from dermdata.engine import Make, executor
from dermdata.export import shards
from dermdata.export.files import Found
from dermdata.export.job import Job
from dermdata.export.pictures import ending
from dermdata.export.pixels import Recipe
from dermdata.export.stream import Images, Loaded, blocks

IMAGE, MASK = "image", "mask"
IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
DESCRIPTIONS = {
    IMAGE: "the image file: its bytes, and its name",
    MASK: "the lesion mask's file: its bytes, and its name",
}
EMBEDDED_ROWS = 1024  # in a row group: one group is what a reader must decode at once


@dataclass(frozen=True)
class Sheet:
    """A table as it will stand in files, its metadata included, and the images of its further columns."""

    table: pa.Table
    images: Mapping[str, Images]
    sizes: Sequence[int]  # bytes of each row's images as stored, 0 where none are embedded

    @property
    def schema(self) -> pa.Schema:
        """With the image columns."""
        schema = self.table.schema
        for name in self.images:
            schema = schema.append(pa.field(name, IMAGE_TYPE, metadata={"description": DESCRIPTIONS[name]}))
        return schema

    def part(self, start: int, stop: int) -> "Sheet":
        rows = slice(start, stop)
        images = {name: one.part(rows) for name, one in self.images.items()}
        return Sheet(self.table.slice(start, stop - start), images, self.sizes[rows])


def write(path: Path, sheet: Sheet, job: Job) -> None:
    """Write one file; it takes its name when it is whole."""
    embed = bool(sheet.images)
    job.progress.begin(
        path.name, sum(sheet.sizes) if embed else sheet.table.num_rows, "B" if embed else "rows"
    )
    write_groups(path, sheet.schema, groups(sheet, job.jobs, job.make), job, images=sheet.images)


def write_groups(
    path: Path,
    schema: pa.Schema,
    groups: Iterable[tuple[pa.Table, int]],
    job: Job,
    images: Mapping[str, Images] | None = None,
) -> None:
    """Write each group as a row group of the file, and tell how far it is."""
    with (
        disk.replacing(path) as file,
        pq.ParquetWriter(file, schema, **options(schema, images or {})) as writer,
    ):
        for group, done in groups:
            writer.write_table(group.cast(schema), row_group_size=max(1, group.num_rows))
            job.progress.advance(path.name, done)
    job.progress.end(path.name)


def groups(sheet: Sheet, jobs: int, make: Make = executor) -> Iterator[tuple[pa.Table, int]]:
    """The row groups with their images, read ahead of the writer, and how much each one is: bytes or rows."""
    most = EMBEDDED_ROWS if sheet.images else shards.GROUP_ROWS
    runs = [slice(*run) for run in shards.cut(sheet.sizes, shards.GROUP_BYTES, most)]
    if not sheet.images:
        for run in runs:
            yield sheet.table.slice(run.start, run.stop - run.start), run.stop - run.start
        return
    for run, loaded in blocks(sheet.images, runs, jobs, make):
        group = sheet.table.slice(run.start, run.stop - run.start)
        for name, images in loaded.items():
            column = sheet.images[name]
            group = group.append_column(name, column_of(images, column.found[run], column.recipe))
        yield group, sum(sheet.sizes[run])


def column_of(images: Loaded, found: Sequence[Found], recipe: Recipe) -> pa.Array:
    """The image column: null where there is no image."""
    names = [None if path is None else name_of(path, recipe) for path in found]
    gone = pa.array([image is None for image in images], pa.bool_())
    arrays = [pa.array(images, pa.binary()), pa.array(names, pa.string())]
    return pa.StructArray.from_arrays(arrays, fields=list(IMAGE_TYPE), mask=gone)


def name_of(path: str, recipe: Recipe) -> str:
    name = path.rpartition("/")[2]
    if not recipe.changes:
        return name
    start, _, suffix = name.rpartition(".")
    made = ending(None, suffix.lower(), recipe)
    return name if made == suffix.lower() or suffix.lower() in ("jpeg", "jpe") else f"{start}.{made}"


def options(schema: pa.Schema, images: Mapping[str, Images]) -> dict[str, object]:
    """How columns are stored: everything but the image bytes compressed, counted and dictionary-encoded."""
    stored = [path for path in leaves(schema) if path.partition(".")[0] not in images]
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
