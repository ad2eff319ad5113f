"""The rows of a selection: their keys, their order, and columns that are set anew."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dermdata.errors import BadTable
from dermdata.manifest import store
from dermdata.manifest.same import Ints, first_rows
from dermdata.projection import words_of

ALSO_IN, GIVEN = "also_in", "ids_as_given"
DESCRIPTIONS = {
    ALSO_IN: "keys of the rows of the same image that were folded into this one",
    GIVEN: "the source's id where this row took the id that a folded image has elsewhere: column -> id",
}
SAME_KEY = "the same row in an earlier target"


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """A row that is not in the selection because another one stands for it."""

    key: str
    kept: str
    reason: str


def keys_of(table: pa.Table) -> pa.Array:
    """The key of every row, from `dataset` and `image_id` where it has none; BadTable where it has neither."""
    keys = words_of(table, "key")
    if not keys.null_count and "key" in table.column_names:
        return keys
    joined = pc.binary_join_element_wise(words_of(table, "dataset"), words_of(table, "image_id"), "/")
    keys = pc.coalesce(keys, joined)
    if keys.null_count:
        raise BadTable(
            f"{keys.null_count:,} rows have no key",
            hint="a manifest needs the column key, or dataset and image_id, in each row",
        )
    return keys


def keyed(table: pa.Table, keys: pa.Array) -> pa.Table:
    """The table with these keys, where rows had none of their own."""
    if "key" in table.column_names and not table["key"].null_count:
        return table
    place = table.column_names.index("key") if "key" in table.column_names else table.num_columns
    bare = table.drop_columns(["key"]) if place < table.num_columns else table
    return bare.add_column(place, "key", keys)


def arranged(table: pa.Table) -> tuple[pa.Table, tuple[Dropped, ...]]:
    """The rows by dataset and image, each key once: of rows with one key, that of the first target stays."""
    keys = keys_of(table)
    table = keyed(table, keys)
    twice = repeated(keys)
    by = [words_of(table, "dataset"), words_of(table, "image_id"), keys]
    if not len(twice) and in_order(by):
        return table, ()  # as it is read from the cache: ten million rows are neither sorted nor copied
    names = [str(number) for number in range(len(by))]
    order = pc.sort_indices(pa.table(by, names), [(name, "ascending") for name in names]).to_numpy()
    if len(twice):
        order = order[~np.isin(order, twice)]
    dropped = tuple(
        Dropped(key=key, kept=key, reason=SAME_KEY) for key in sorted(keys.take(pa.array(twice)).to_pylist())
    )
    return store.taken(table, order), dropped


def in_order(columns: Sequence[pa.Array]) -> bool:
    """Whether no row must come before the one above it, by the first column, then the next; rows lack no word."""
    if any(column.null_count for column in columns):
        return False
    same = np.ones(max(len(columns[0]) - 1, 0), bool)
    for column in columns:
        above, below = column[:-1], column[1:]
        if (same & pc.greater(above, below).to_numpy(zero_copy_only=False)).any():
            return False
        same &= pc.equal(above, below).to_numpy(zero_copy_only=False)
    return True


def repeated(keys: pa.Array) -> Ints:
    """The rows whose key an earlier row has."""
    first = first_rows(pa.chunked_array([keys]))
    return np.flatnonzero(first != np.arange(len(first)))


def with_column(table: pa.Table, name: str, values: Sequence[Any], kind: pa.DataType) -> pa.Table:
    """The table with these values, in the column's place or at the end, its description kept or given."""
    array = pa.array(values, kind)
    if name in table.column_names:
        place = table.column_names.index(name)
        field = table.schema.field(place)
        return table.set_column(place, field.with_type(kind), array)
    metadata = {"description": DESCRIPTIONS[name]} if name in DESCRIPTIONS else None
    return table.append_column(pa.field(name, kind, metadata=metadata), array)
