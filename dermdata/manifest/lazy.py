"""Manifests too large for memory: a command holds the columns that it decides by, the rest stays on disk until written.

A table held so has the column ROW_COLUMN, the number of each row among those of all files. It passes through filters
and sorts like any other; when the rows are written, the rest is read a block at a time and put beside them.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dermdata import limits
from dermdata.errors import BadTable, DermdataError
from dermdata.manifest import parquet
from dermdata.manifest.arrow import cast_views, memory_bytes, validate_blocks
from dermdata.manifest.parquet import (
    concat_manifests,
    fit_column,
    null_column,
    open_parquet,
    row_group_sizes,
    take_from_columns,
)
from dermdata.manifest.schema import SCHEMA

ROW_COLUMN = "dermdata.row"
GATHERED_ROWS = 1 << 20  # whole rows in memory, where the order of the files is not theirs
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class DiskManifest:
    """One manifest file as it was when it was opened first."""

    path: Path
    schema: pa.Schema  # its own, without what no command wants in memory
    groups: tuple[int, ...]  # the rows of each row group
    state: tuple[int, int, int]
    repair: Callable[[pa.Table], pa.Table]  # a block in the manifest's kinds of columns
    damage_error: Callable[[str], DermdataError] = BadTable  # what it is when it turns out to be torn

    @property
    def rows(self) -> int:
        return sum(self.groups)

    def read_blocks(self, rows: Ints, names: Sequence[str]) -> Iterator[pa.Table]:
        """These columns of these rows (ascending); BadTable if the file is another one by now."""
        there = [name for name in names if name in self.schema.names] or self.schema.names[:1]
        with self.open_file() as file:
            start = 0
            for group, count in enumerate(self.groups):
                if len(rows_between(rows, start, start + count)):
                    # a group that dermdata did not write may be large: it comes in pieces
                    batches = file.iter_batches(parquet.ROW_GROUP, [group], there)
                    valid = validate_blocks(batches, self.state[1], str(self.path))
                    yield from pick_rows(valid, rows, start, self.repair)
                start += count

    @contextmanager
    def open_file(self) -> Iterator[pq.ParquetFile]:
        """The file; BadTable if it is another one by now, `damage_error` where it cannot be read."""
        if file_state(self.path) != self.state:
            raise file_changed(self.path)
        try:
            with open_parquet(self.path, self.path) as file:
                yield file
        except BadTable as error:
            raise self.damage_error(error.message) from error
        if file_state(self.path) != self.state:
            raise file_changed(self.path)

    def read_column(self, field: pa.Field) -> pa.ChunkedArray:
        """One column of all rows, in the field's kind; nulls where the file has none."""
        if field.name not in self.schema.names:
            return null_column(self.rows, field.type)
        pieces: list[pa.Array] = []
        held = 0
        for block in self.read_blocks(np.arange(self.rows), [field.name]):
            pieces += fit_column(block[field.name], field).chunks
            held += memory_bytes(block)
            limits.require_memory(held, self.state[1], str(self.path))
        return pa.chunked_array(pieces, field.type)


def file_changed(path: Path) -> BadTable:
    return BadTable(f"{path} was changed while it was read", hint="run the command again")


def open_disk_manifest(
    path: Path,
    without: str,
    repaired: Callable[[pa.Table], pa.Table],
    damaged: Callable[[str], DermdataError] = BadTable,
) -> DiskManifest:
    """Read the file's footer; BadTable where it is no manifest."""
    state = file_state(path)
    with open_parquet(path, path) as file:
        schema = file.schema_arrow
        groups = row_group_sizes(file)
    names = [name for name in schema.names if name != without]
    empty = schema.empty_table().select(names)
    return DiskManifest(path, repaired(empty).schema, tuple(groups), state, repaired, damaged)


def file_state(path: Path) -> tuple[int, int, int]:
    """What differs between two files that one name had; BadTable where there is none."""
    try:
        found = path.stat()
    except OSError as error:
        raise BadTable(f"no manifest at {path}: {error.strerror}") from error
    return found.st_ino, found.st_size, found.st_mtime_ns


def pick_rows(
    batches: Iterable[pa.RecordBatch], rows: Ints, start: int, repaired: Callable[[pa.Table], pa.Table]
) -> Iterator[pa.Table]:
    """Of the batches, which begin with row `start`, the wanted rows."""
    for batch in batches:
        if start > rows[-1]:  # the rest of a large group is not wanted
            return
        wanted = rows_between(rows, start, start + batch.num_rows)
        if len(wanted):
            block = cast_views(pa.Table.from_batches([batch]))  # before any row is chosen
            full = len(wanted) == batch.num_rows
            yield repaired(block if full else block.take(pa.array(wanted - start)))
        start += batch.num_rows


def rows_between(rows: Ints, start: int, stop: int) -> Ints:
    """The ascending numbers from `start` on, before `stop`."""
    low, high = np.searchsorted(rows, (start, stop))
    return rows[low:high]


@dataclass(frozen=True)
class DiskColumns:
    """All columns of several manifests, one after the other, on disk."""

    files: tuple[DiskManifest, ...]

    @cached_property
    def schema(self) -> pa.Schema:
        """That of the union, without metadata."""
        return concat_manifests([one.schema.empty_table() for one in self.files]).schema.remove_metadata()

    @property
    def rows(self) -> int:
        return sum(one.rows for one in self.files)

    def add_row_numbers(self, table: pa.Table) -> pa.Table:
        """The table, which has all rows in their order, with their numbers."""
        if table.num_rows != self.rows:
            raise file_changed(self.files[-1].path)
        return table.append_column(ROW_COLUMN, pa.array(np.arange(self.rows)))

    def read_column(self, name: str) -> pa.ChunkedArray:
        """One column of all rows."""
        field = self.schema.field(name)
        pieces = [piece for file in self.files for piece in file.read_column(field).chunks]
        return pa.chunked_array(pieces, field.type)

    def read_blocks(self, rows: Ints, schema: pa.Schema) -> Iterator[pa.Table]:
        """The columns of `schema` of these rows (ascending), in blocks of any size."""
        start = 0
        for file in self.files:
            wanted = rows_between(rows, start, start + file.rows) - start
            if len(wanted):
                yield from (fit_block(block, schema) for block in file.read_blocks(wanted, schema.names))
            start += file.rows


def fit_block(block: pa.Table, schema: pa.Schema) -> pa.Table:
    """The block with all columns of the schema, in their kinds."""
    there = dict(
        zip(block.column_names, block.columns, strict=True)
    )  # thousands of columns: each is found once
    columns = [
        fit_column(there[field.name], field)
        if field.name in there
        else null_column(block.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


@dataclass(frozen=True)
class LazyTable:
    """Rows to be written: what is held of them, and where the rest is."""

    table: pa.Table  # with ROW where there is a rest
    rest: DiskColumns | None = None

    @property
    def num_rows(self) -> int:
        return int(self.table.num_rows)

    @property
    def schema(self) -> pa.Schema:
        """Columns of the manifest in their order, as held where they are, then what a command has added."""
        if self.rest is None:
            return self.table.schema
        held = {field.name: field for field in self.table.schema if field.name != ROW_COLUMN}
        fields = [held.pop(field.name, field) for field in self.rest.schema]
        return pa.schema([*fields, *held.values()], self.table.schema.metadata)

    def blocks(self, most: int = parquet.ROW_GROUP) -> Iterator[pa.Table]:
        """All columns, `most` rows at a time (fewer in the last block): each an equal share of the same rows."""
        if self.rest is None:
            yield from slice_blocks(self.table, most)
        elif is_ascending(self.row_numbers):
            yield from even_blocks(self.join_blocks(self.rest), most)
        else:
            step = max(1, GATHERED_ROWS // most) * most
            for start in range(
                0, self.num_rows, step
            ):  # each reads the files through: whole rows are not all held
                yield from slice_blocks(self.slice_rows(start, step).to_table(), most)

    def slice_rows(self, start: int, count: int) -> "LazyTable":
        """So many rows from one on."""
        return LazyTable(self.table.slice(start, count), self.rest)

    def to_table(self, names: Collection[str] | None = None) -> pa.Table:
        """All rows in memory, with all columns; with `names` only those that are held and these of the rest."""
        if self.rest is None:
            return self.table
        order = np.argsort(self.row_numbers, kind="stable")
        in_order = LazyTable(self.table.take(pa.array(order)), self.rest)
        blocks = list(in_order.join_blocks(self.rest, names)) or [self.schema.empty_table()]
        table = pa.concat_tables(blocks).unify_dictionaries()
        del blocks, in_order
        if is_ascending(order):
            return table.combine_chunks()
        schema, columns = table.schema, table.columns
        del table
        return pa.Table.from_arrays(take_from_columns(columns, pa.array(np.argsort(order))), schema=schema)

    def _choose_fields(self, names: Collection[str] | None) -> pa.Schema:
        """The schema with what is held and these of the other columns; None: all."""
        schema, mine = self.schema, set(self.table.column_names)
        wanted = [field for field in schema if names is None or field.name in mine or field.name in names]
        return pa.schema(wanted, schema.metadata)

    def read_columns(self, names: Collection[str]) -> pa.Table:
        """What is held, with these columns of the rest beside it."""
        table = self.to_table(names)
        return table if self.rest is None else table.append_column(ROW_COLUMN, self.table[ROW_COLUMN])

    @property
    def column_names(self) -> list[str]:
        return list(self.schema.names)

    def column(self, name: str) -> pa.ChunkedArray:
        """One column: as it is held, or read for this once."""
        if self.rest is None or name in self.table.column_names:
            return self.table.column(name)
        column, numbers = self.rest.read_column(name), self.row_numbers
        return column if np.array_equal(numbers, np.arange(len(column))) else column.take(pa.array(numbers))

    @property
    def row_numbers(self) -> Ints:
        return self.table[ROW_COLUMN].to_numpy()  # type: ignore[no-any-return]  # pyarrow has no types

    def join_blocks(self, rest: DiskColumns, names: Collection[str] | None = None) -> Iterator[pa.Table]:
        """What is held and the rest (or these columns of it) side by side, in blocks; the numbers must ascend."""
        schema, start = self._choose_fields(names), 0
        mine = set(self.table.column_names)
        away = pa.schema([field for field in schema if field.name not in mine])
        if not away.names:
            yield self.table.select(schema.names)
            return
        for block in rest.read_blocks(self.row_numbers, away):
            held = self.table.slice(start, block.num_rows)
            columns = dict(zip(held.column_names, held.columns, strict=True))
            columns |= dict(zip(block.column_names, block.columns, strict=True))
            yield pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)
            start += block.num_rows


def is_ascending(numbers: Ints) -> bool:
    return bool((numbers[1:] > numbers[:-1]).all())


def slice_blocks(table: pa.Table, most: int) -> Iterator[pa.Table]:
    for start in range(0, table.num_rows, most):
        yield table.slice(start, most)


def even_blocks(blocks: Iterable[pa.Table], most: int) -> Iterator[pa.Table]:
    """The same rows in blocks of `most`, the last one excepted."""
    waiting: list[pa.Table] = []
    held = 0
    for block in blocks:
        waiting, held = [*waiting, block], held + block.num_rows
        while held >= most:
            table = pa.concat_tables(waiting)
            yield table.slice(0, most)
            waiting, held = [table.slice(most)], held - most
    if held:
        yield pa.concat_tables(waiting)


def manifest_columns(names: Iterable[str], schema: pa.Schema) -> list[str]:
    """Those of the names that the schema or the manifest's own has, each once."""
    return [name for name in dict.fromkeys(names) if name in schema.names or name in SCHEMA.names]
