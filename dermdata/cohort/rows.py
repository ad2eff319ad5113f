"""What the rows of a cohort and of its datasets have in common: keys, the same columns, a digest of each row."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.errors import BadTable
from dermdata.manifest import store

BATCH = 65_536  # rows that are in memory as Python values at a time
DIGEST = 8  # bytes: a change goes unseen once in 10^19
TOLD, SET = (
    "told:",
    "set:",
)  # of a lock's columns: what a difference is told by, and what the sources do not give
PLACES = ("path", "mask_path", "masks")
OF_SOURCES = (
    "dataset",
    "key",
    "image_id",
    "sha256",
    "bytes",
    *PLACES,
)  # which image a row has: no lock can set it


def keys_of(table: pa.Table) -> pa.Array:
    """Each row's key; BadTable where one has none: it could not be found again."""
    if "key" not in table.column_names:
        raise BadTable("the manifest has no column key: its rows cannot be found again")
    keys = table["key"].cast(pa.string()).combine_chunks()
    if keys.null_count:
        raise BadTable(f"{keys.null_count:,} rows have no key: they cannot be found again")
    return keys


def sources(bases: Mapping[str, pa.Table]) -> pa.Table:
    """The datasets' own manifests one after the other, without their metadata."""
    return store.in_one_piece(store.union(list(bases.values())))


def from_sources(keys: pa.Array, base: pa.Table) -> pa.Table:
    """The rows of the datasets that these keys name, in their order; nulls for a key that is not there."""
    return base.take(pc.index_in(keys, value_set=keys_of(base)))


def same(one: pa.ChunkedArray, other: pa.ChunkedArray) -> bool:
    """Whether two columns hold the same values, whatever their encoding; NaN is NaN."""
    if len(one) != len(other):
        return False
    plain, given = plainly(one), plainly(other)
    if plain.type != given.type:
        return False
    if pa.types.is_nested(plain.type):
        return bool(plain.to_pylist() == given.to_pylist())
    if pa.types.is_floating(plain.type):
        return [repr(value) for value in plain.to_pylist()] == [repr(value) for value in given.to_pylist()]
    return bool(plain.equals(given))


def plainly(column: pa.ChunkedArray) -> pa.Array:
    kind = column.type
    found = column.cast(kind.value_type) if pa.types.is_dictionary(kind) else column
    return found.combine_chunks()


def digests(table: pa.Table, names: Sequence[str]) -> pa.Array:
    """Of each row one digest of these columns' names and values: equal rows, equal digests, on any machine."""
    found: list[bytes] = []
    head = json.dumps(list(names)).encode()
    for start in range(0, table.num_rows, BATCH):
        batch = table.slice(start, BATCH)
        columns = [all_values(batch, name) for name in names]
        for row in zip(*columns, strict=True):
            text = json.dumps(row, ensure_ascii=False, default=written).encode(errors="surrogatepass")
            found.append(hashlib.blake2b(head + text, digest_size=DIGEST).digest())
    return pa.array(found, pa.binary(DIGEST))


def all_values(table: pa.Table, name: str) -> list[Any]:
    """A column as Python's own values; BadTable where they are none."""
    try:
        found: list[Any] = table[name].to_pylist()
    except (ValueError, OverflowError) as error:  # words that are no UTF-8, times beyond the year 9999
        raise BadTable(f"the column {name} holds what cannot be read: {error}") from error
    return found


def written(value: object) -> str:
    """Bytes, dates and the like as JSON has them not."""
    return value.hex() if isinstance(value, bytes) else str(value)
