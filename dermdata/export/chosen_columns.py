"""Which columns a table has: those that are asked for, or `flat`: plain words and numbers, and no column without a value.

`extra.NAME` is one key of a source's own columns, `extra.*` each of them. What holds several values (masks, boxes, a
differential) is JSON text in a flat table.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.errors import UnknownName
from dermdata.manifest.columns import EXTRA
from dermdata.manifest.lazy import LazyTable
from dermdata.manifest.text import encode_json, json_values

ALL_EXTRA = f"{EXTRA}.*"
SCAN_ROWS = 65_536


@dataclass(frozen=True)
class ChosenColumns:
    """The columns of a table, in their order; all of them as they are where nothing is asked for."""

    names: tuple[str, ...] | None = None
    flat: bool = False

    def pick(self, block: pa.Table) -> pa.Table:
        """These columns of some rows."""
        if self.names is None:
            return block
        columns = [find_column(block, name) for name in self.names]
        if self.flat:
            columns = [flatten_column(one) for one in columns]
        return pa.table(dict(zip(self.names, columns, strict=True))).replace_schema_metadata(
            block.schema.metadata
        )


def choose_columns(rows: LazyTable, asked: Sequence[str], *, flat: bool) -> ChosenColumns:
    """Decide on the columns of all rows.

    Parameters
    ----------
    rows : LazyTable
        All rows of the table.
    asked : sequence of str
        Names; none: every column, of a flat table every one that has a value.
    flat : bool
        Plain columns.

    Raises
    ------
    UnknownName
        For a column that there is not, and for a key that no row has.

    """
    if not asked and not flat:
        return ChosenColumns()
    there = rows.column_names
    wanted = [*asked] or [ALL_EXTRA if name == EXTRA else name for name in there]
    require_columns(wanted, there)
    keys, stated = scan_rows(rows, wanted, count=flat and not asked)
    own = [f"{EXTRA}.{key}" for key in sorted(keys)]
    names = expand_extra(wanted, own)
    require_keys(names, there, own)
    return ChosenColumns(tuple(keep_names(names, {*stated, *own}) if flat and not asked else names), flat)


def expand_extra(wanted: Iterable[str], own: Sequence[str]) -> list[str]:
    """The names, each once, with the source's own columns for all of them."""
    return list(dict.fromkeys(one for name in wanted for one in (own if name == ALL_EXTRA else [name])))


def keep_names(names: Iterable[str], kept: set[str]) -> list[str]:
    """Those of the names that are kept."""
    return [name for name in names if name in kept]


def require_columns(names: Iterable[str], there: Sequence[str]) -> None:
    """UnknownName for what is no column and no key."""
    for name in names:
        if name not in there and not is_key(name, there):
            raise UnknownName("column", name, there)


def is_key(name: str, there: Sequence[str]) -> bool:
    """Whether this is a key of the source's own columns, and no column of the table."""
    return name not in there and name.startswith(f"{EXTRA}.") and EXTRA in there


def require_keys(names: Iterable[str], there: Sequence[str], own: Sequence[str]) -> None:
    """UnknownName for a key that no row has."""
    for name in names:
        if is_key(name, there) and name not in own:
            raise UnknownName("column", name, own)


def scan_rows(rows: LazyTable, wanted: Iterable[str], *, count: bool) -> tuple[set[str], set[str]]:
    """The keys of the sources' own columns, and with `count` the columns that any row has a value in."""
    keys: set[str] = set()
    stated: set[str] = set()
    if not count and not any(name.startswith(f"{EXTRA}.") for name in wanted):
        return keys, stated
    for block in rows.blocks(SCAN_ROWS):
        if EXTRA in block.column_names:
            keys.update(list_keys(block[EXTRA]))
        if count:
            stated.update(name for name in block.column_names if has_value(block[name]))
    return keys, stated


def has_value(column: pa.ChunkedArray) -> bool:
    """Whether any row has one; an empty list is none."""
    if column.null_count == len(column):
        return False
    if pa.types.is_list(column.type) or pa.types.is_map(column.type):
        return any(len(chunk) and chunk.offsets[0] != chunk.offsets[-1] for chunk in column.chunks)
    return True


def list_keys(column: pa.ChunkedArray) -> Iterator[str]:
    """The keys of a column of pairs."""
    for chunk in column.chunks:
        if len(chunk):
            first, last = chunk.offsets[0].as_py(), chunk.offsets[-1].as_py()
            yield from pc.unique(chunk.keys.slice(first, last - first).cast(pa.string())).to_pylist()


def find_column(block: pa.Table, name: str) -> pa.ChunkedArray:
    """A column by its name, or one key of the source's own columns; null where a row has none."""
    if name in block.column_names:
        return block[name]
    return pc.map_lookup(block[EXTRA], pa.scalar(name.removeprefix(f"{EXTRA}.")), "first")


def flatten_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Words as words, several values as JSON, all else as it is."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return column.cast(pa.string())
    if pa.types.is_nested(kind):
        texts = [None if value is None else encode_json(value) for value in json_values(column)]
        return pa.chunked_array([pa.array(texts, pa.string())])
    return column
