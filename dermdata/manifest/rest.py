"""Manifests too large for memory: a command holds the columns that it decides by, the rest stays on disk until written.

A table held so has the column ROW, the number of each row among those of all files. It passes through filters and
sorts like any other; when the rows are written, the rest is read a block at a time and put beside them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
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
from dermdata.manifest import store
from dermdata.manifest.schema import SCHEMA
from dermdata.manifest.validate import memory_held, valid_blocks

ROW = "dermdata.row"
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class OnDisk:
    """One manifest file as it was when it was first looked at."""

    path: Path
    schema: pa.Schema  # its own, without what no command wants in memory
    groups: tuple[int, ...]  # the rows of each row group
    state: tuple[int, int, int]
    repaired: Callable[[pa.Table], pa.Table]  # a block in the manifest's kinds of columns
    damaged: Callable[[str], DermdataError] = BadTable  # what it is when it turns out to be torn

    @property
    def rows(self) -> int:
        return sum(self.groups)

    def blocks(self, rows: Ints, names: Sequence[str]) -> Iterator[pa.Table]:
        """These columns of these rows (ascending); BadTable if the file is another one by now."""
        there = [name for name in names if name in self.schema.names] or self.schema.names[:1]
        with self.opened() as file:
            start = 0
            for group, count in enumerate(self.groups):
                if len(within(rows, start, start + count)):
                    # a stranger's group may be large: it comes in pieces
                    batches = file.iter_batches(store.ROW_GROUP, [group], there)
                    valid = valid_blocks(batches, self.state[1], str(self.path))
                    yield from picked(valid, rows, start, self.repaired)
                start += count

    @contextmanager
    def opened(self) -> Iterator[pq.ParquetFile]:
        """The file; BadTable if it is another one by now, and what `damaged` says where it cannot be read."""
        if state_of(self.path) != self.state:
            raise changed(self.path)
        try:
            with store.parquet(self.path, self.path) as file:
                yield file
        except BadTable as error:
            raise self.damaged(error.message) from error
        if state_of(self.path) != self.state:
            raise changed(self.path)

    def column(self, field: pa.Field) -> pa.ChunkedArray:
        """One column of all rows, in the field's kind; nulls where the file has none."""
        if field.name not in self.schema.names:
            return store.nothing(self.rows, field.type)
        pieces: list[pa.Array] = []
        held = 0
        for block in self.blocks(np.arange(self.rows), [field.name]):
            pieces += store.fitted(block[field.name], field).chunks
            held += memory_held(block)
            limits.require_memory(held, self.state[1], str(self.path))
        return pa.chunked_array(pieces, field.type)


def changed(path: Path) -> BadTable:
    return BadTable(f"{path} was changed while it was read", hint="run the command again")


def on_disk(
    path: Path,
    without: str,
    repaired: Callable[[pa.Table], pa.Table],
    damaged: Callable[[str], DermdataError] = BadTable,
) -> OnDisk:
    """A look at the file's footer; BadTable where it is no manifest."""
    state = state_of(path)
    with store.parquet(path, path) as file:
        schema = file.schema_arrow
        groups = store.rows_of_groups(file)
    names = [name for name in schema.names if name != without]
    empty = schema.empty_table().select(names)
    return OnDisk(path, repaired(empty).schema, tuple(groups), state, repaired, damaged)


def state_of(path: Path) -> tuple[int, int, int]:
    """What differs between two files that one name had; BadTable where there is none."""
    try:
        found = path.stat()
    except OSError as error:
        raise BadTable(f"no manifest at {path}: {error.strerror}") from error
    return found.st_ino, found.st_size, found.st_mtime_ns


def picked(
    batches: Iterable[pa.RecordBatch], rows: Ints, start: int, repaired: Callable[[pa.Table], pa.Table]
) -> Iterator[pa.Table]:
    """Of the batches, which begin with row `start`, the wanted rows."""
    for batch in batches:
        wanted = within(rows, start, start + batch.num_rows)
        if len(wanted):
            block = pa.Table.from_batches([batch])
            full = len(wanted) == batch.num_rows
            yield repaired(block if full else block.take(pa.array(wanted - start)))
        start += batch.num_rows


def within(rows: Ints, start: int, stop: int) -> Ints:
    """The ascending numbers from `start` on, before `stop`."""
    low, high = np.searchsorted(rows, (start, stop))
    return rows[low:high]


@dataclass(frozen=True)
class Rest:
    """All columns of several manifests, one after the other, on disk."""

    files: tuple[OnDisk, ...]

    @cached_property
    def schema(self) -> pa.Schema:
        """That of the union, without metadata."""
        return store.union([one.schema.empty_table() for one in self.files]).schema.remove_metadata()

    @property
    def rows(self) -> int:
        return sum(one.rows for one in self.files)

    def numbered(self, table: pa.Table) -> pa.Table:
        """The table, which has all rows in their order, with their numbers."""
        if table.num_rows != self.rows:
            raise changed(self.files[-1].path)
        return table.append_column(ROW, pa.array(np.arange(self.rows)))

    def column(self, name: str) -> pa.ChunkedArray:
        """One column of all rows."""
        field = self.schema.field(name)
        pieces = [piece for file in self.files for piece in file.column(field).chunks]
        return pa.chunked_array(pieces, field.type)

    def blocks(self, rows: Ints, schema: pa.Schema) -> Iterator[pa.Table]:
        """The columns of `schema` of these rows (ascending), in blocks of any size."""
        start = 0
        for file in self.files:
            wanted = within(rows, start, start + file.rows) - start
            if len(wanted):
                yield from (fitted(block, schema) for block in file.blocks(wanted, schema.names))
            start += file.rows


def fitted(block: pa.Table, schema: pa.Schema) -> pa.Table:
    """The block with all columns of the schema, in their kinds."""
    there = dict(
        zip(block.column_names, block.columns, strict=True)
    )  # thousands of columns: each is found once
    columns = [
        store.fitted(there[field.name], field)
        if field.name in there
        else store.nothing(block.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


@dataclass(frozen=True)
class Rows:
    """Rows to be written: what is held of them, and where the rest is."""

    table: pa.Table  # with ROW where there is a rest
    rest: Rest | None = None

    @property
    def num_rows(self) -> int:
        return int(self.table.num_rows)

    @property
    def schema(self) -> pa.Schema:
        """Columns of the manifest in their order, as held where they are, then what a command has added."""
        if self.rest is None:
            return self.table.schema
        held = {field.name: field for field in self.table.schema if field.name != ROW}
        fields = [held.pop(field.name, field) for field in self.rest.schema]
        return pa.schema([*fields, *held.values()], self.table.schema.metadata)

    def blocks(self, most: int = store.ROW_GROUP) -> Iterator[pa.Table]:
        """All columns, `most` rows at a time (fewer in the last block): each an equal share of the same rows."""
        if self.rest is None:
            yield from sliced(self.table, most)
        elif ascending(self.numbers):
            yield from even(self.joined(self.rest), most)
        else:
            yield from sliced(self.whole(), most)

    def part(self, start: int, count: int) -> "Rows":
        """So many rows from one on."""
        return Rows(self.table.slice(start, count), self.rest)

    def whole(self) -> pa.Table:
        """All rows and columns in memory."""
        if self.rest is None:
            return self.table
        order = np.argsort(self.numbers, kind="stable")
        in_order = Rows(self.table.take(pa.array(order)), self.rest)
        blocks = list(in_order.joined(self.rest)) or [self.schema.empty_table()]
        table = pa.concat_tables(blocks).unify_dictionaries().combine_chunks()
        return table if ascending(order) else table.take(pa.array(np.argsort(order)))

    @property
    def column_names(self) -> list[str]:
        return list(self.schema.names)

    def column(self, name: str) -> pa.ChunkedArray:
        """One column: as it is held, or read for this once."""
        if self.rest is None or name in self.table.column_names:
            return self.table.column(name)
        column, numbers = self.rest.column(name), self.numbers
        return column if np.array_equal(numbers, np.arange(len(column))) else column.take(pa.array(numbers))

    @property
    def numbers(self) -> Ints:
        return self.table[ROW].to_numpy()  # type: ignore[no-any-return]

    def joined(self, rest: Rest) -> Iterator[pa.Table]:
        """What is held and the rest side by side, in blocks of any size; the numbers must ascend."""
        schema, start = self.schema, 0
        mine = set(self.table.column_names)
        away = pa.schema([field for field in rest.schema if field.name not in mine])
        if not away.names:
            yield self.table.select(schema.names)
            return
        for block in rest.blocks(self.numbers, away):
            held = self.table.slice(start, block.num_rows)
            columns = dict(zip(held.column_names, held.columns, strict=True))
            columns |= dict(zip(block.column_names, block.columns, strict=True))
            yield pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)
            start += block.num_rows


def ascending(numbers: Ints) -> bool:
    return bool((numbers[1:] > numbers[:-1]).all())


def sliced(table: pa.Table, most: int) -> Iterator[pa.Table]:
    for start in range(0, table.num_rows, most):
        yield table.slice(start, most)


def even(blocks: Iterable[pa.Table], most: int) -> Iterator[pa.Table]:
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


def kept(names: Iterable[str], schema: pa.Schema) -> list[str]:
    """Those of the names that the schema or the manifest's own has, each once."""
    return [name for name in dict.fromkeys(names) if name in schema.names or name in SCHEMA.names]
