"""Keys of rows: sets them, orders rows by them, finds repeated ones, and samples by them.

A sample depends on keys and seed alone: not on the order of rows, nor on what else is in the table.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dermdata.errors import BadTable, UsageError
from dermdata.manifest.columns import Ints, first_rows, text_column
from dermdata.manifest.parquet import take_rows
from dermdata.markup import count_nouns
from dermdata.projection import LABEL

ALSO_IN, IDS_AS_GIVEN = "also_in", "ids_as_given"
DESCRIPTIONS = {
    ALSO_IN: "keys of the rows of the same image that were folded into this one",
    IDS_AS_GIVEN: "the source's id where this row took the id that a folded image has elsewhere: column -> id",
}
SAME_KEY = "the same row in an earlier target"


@dataclass(frozen=True, kw_only=True)
class DroppedRow:
    """A row that is not in the selection because another one stands for it."""

    key: str
    kept: str
    reason: str


def row_keys(table: pa.Table) -> pa.Array:
    """The key of every row, from `dataset` and `image_id` where it has none; BadTable where it has neither."""
    keys = text_column(table, "key")
    if not keys.null_count and "key" in table.column_names:
        return keys
    joined = pc.binary_join_element_wise(text_column(table, "dataset"), text_column(table, "image_id"), "/")
    keys = pc.coalesce(keys, joined)
    if keys.null_count:
        raise BadTable(
            f"{count_nouns(keys.null_count, 'row', 'have')} no key",
            hint="a manifest needs the column key, or dataset and image_id, in each row",
        )
    return keys


def set_keys(table: pa.Table, keys: pa.Array) -> pa.Table:
    """The table with these keys, where rows had none of their own."""
    if "key" in table.column_names and not table["key"].null_count:
        return table
    place = table.column_names.index("key") if "key" in table.column_names else table.num_columns
    bare = table.drop_columns(["key"]) if place < table.num_columns else table
    return bare.add_column(place, "key", keys)


def drop_repeated_rows(table: pa.Table) -> tuple[pa.Table, tuple[DroppedRow, ...]]:
    """The rows with their keys, each key once: of rows with one key, that of the first target stays."""
    keys = row_keys(table)
    table = set_keys(table, keys)
    twice = find_repeated(keys)
    if not len(twice):
        return table, ()
    dropped = tuple(
        DroppedRow(key=key, kept=key, reason=SAME_KEY)
        for key in sorted(keys.take(pa.array(twice)).to_pylist())
    )
    stays = np.ones(table.num_rows, bool)
    stays[twice] = False
    return take_rows(table, np.flatnonzero(stays)), dropped


def find_order(table: pa.Table) -> pa.Array | None:
    """The numbers of the rows by dataset, image and key; None where they are in this order."""
    by = [text_column(table, name) for name in ("dataset", "image_id", "key")]
    if is_sorted(by):
        return None  # as it is read from the cache: ten million rows are neither sorted nor copied
    names = [str(number) for number in range(len(by))]
    return pc.sort_indices(pa.table(by, names), [(name, "ascending") for name in names])


def is_sorted(columns: Sequence[pa.Array]) -> bool:
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


def find_repeated(keys: pa.Array) -> Ints:
    """The rows whose key an earlier row has."""
    first = first_rows(pa.chunked_array([keys]))
    return np.flatnonzero(first != np.arange(len(first)))


def set_column(table: pa.Table, name: str, values: Sequence[Any], kind: pa.DataType) -> pa.Table:
    """The table with these values, in the column's place or at the end, its description kept or given."""
    array = pa.array(values, kind)
    if name in table.column_names:
        place = table.column_names.index(name)
        field = table.schema.field(place)
        return table.set_column(place, field.with_type(kind), array)
    metadata = {"description": DESCRIPTIONS[name]} if name in DESCRIPTIONS else None
    return table.append_column(pa.field(name, kind, metadata=metadata), array)


def sample_rows(table: pa.Table, count: int, seed: int, *, per_class: bool = False) -> pa.Table:
    """`count` rows, or `count` of each class (of `label` where it is there, else `diagnosis`), in their order.

    Fewer where there are fewer; a larger sample holds the smaller one. Rows without a class are in no class.
    """
    if count < 1:
        raise UsageError(f"a sample of {count_nouns(count, 'row')} is none", hint="--sample 100")
    ranks = hash_keys(row_keys(table).to_pylist(), seed)
    order = np.argsort(ranks, kind="stable")
    if per_class:
        classes = text_column(table, class_column(table)).to_pylist()
        chosen = first_of_each_class([classes[row] for row in order], count)
        order = order[chosen]
    return table.take(pa.array(np.sort(order[: None if per_class else count])))


def class_column(table: pa.Table) -> str:
    return LABEL if LABEL in table.column_names else "diagnosis"


def first_of_each_class(classes: Sequence[str | None], count: int) -> list[int]:
    """The places of the first `count` of each class."""
    seen: dict[str, int] = {}
    chosen = []
    for place, name in enumerate(classes):
        if name is not None and seen.get(name, 0) < count:
            seen[name] = seen.get(name, 0) + 1
            chosen.append(place)
    return chosen


def hash_keys(keys: Sequence[str], seed: int) -> np.ndarray[tuple[int], np.dtype[np.bytes_]]:
    """128 bits of each key, other ones for each seed; no two keys tie."""
    salt = hashlib.blake2b(f"dermdata select {seed}".encode(), digest_size=16).digest()
    digests = b"".join(hashlib.blake2b(key.encode(), key=salt, digest_size=16).digest() for key in keys)
    return np.frombuffer(digests, "S16")
