"""Columns of a table as text and as values, and the rows that have the same word.

Columns may have ten million words: `first_rows` makes no second copy of them.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dermdata.errors import UnknownName

EXTRA = "extra"  # the column of a source's own columns
Ints = NDArray[np.int64]
IntegerArray = NDArray[np.integer[Any]]
PARTITIONS = 13  # by a word's last byte: digits and letters of hexadecimal numbers fall evenly into so many
SMALL_ROWS = 1_000_000  # rows whose words are encoded in one go


def text_column(table: pa.Table, name: str) -> pa.Array:
    """A column as plain text; null in every row when it is not there."""
    if name not in table.column_names:
        return pa.nulls(table.num_rows, pa.string())
    return table[name].cast(pa.string()).combine_chunks()


def shared_words(words: pa.Array) -> list[str | None]:
    """The words as Python's own, each different one once in memory."""
    encoded = words.dictionary_encode()
    known: list[str | None] = [*encoded.dictionary.to_pylist(), None]
    places = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False)
    return [known[place] for place in places]


def find_extra_column(table: Any, name: str) -> pa.ChunkedArray | None:
    """A source's own column, called `extra.NAME`, as text; None for any other name.

    Parameters
    ----------
    table : pyarrow.Table or LazyTable
        A manifest.
    name : str
        A column's name.

    Raises
    ------
    UnknownName
        Where no row has a column of that name.

    """
    start, dot, key = name.partition(".")
    if start != EXTRA or not dot or EXTRA not in table.column_names:
        return None
    column = table.column(EXTRA)
    words = pc.map_lookup(column, pa.scalar(key), "first")
    if words.null_count == len(words):
        keys = sorted({one for chunk in column.chunks for one in pc.unique(chunk.keys).to_pylist()})
        known = [f"{EXTRA}.{one}" for one in keys]
        raise UnknownName("column", name, known, hint=f"one of {', '.join(known)}" if known else None)
    return words


def column_values(table: pa.Table, name: str) -> list[Any]:
    """A column as Python's values; None in every row when it is not there."""
    return table[name].to_pylist() if name in table.column_names else [None] * table.num_rows


def decode_dictionary(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Dictionary words as words; any other column as it is."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def distinct_rows(columns: Sequence[pa.Array]) -> tuple[Ints, Ints]:
    """The first row of each distinct combination of values, and for each row which combination it has."""
    place = np.zeros(len(columns[0]), np.int64)
    first = np.zeros(0, np.int64)
    for column in columns:
        encoded = column.dictionary_encode()
        codes = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False)
        combined = place * (len(encoded.dictionary) + 1) + codes
        _, first, place = np.unique(combined, return_index=True, return_inverse=True)
        place = place.reshape(-1)
    return first.astype(np.int64), place.astype(np.int64)


def first_rows(words: pa.ChunkedArray) -> Ints:
    """For each row the first one with the same word: its own number where no earlier one has it, or it has none."""
    first = np.arange(len(words), dtype=np.int64)
    if is_increasing(words):
        return first
    if len(words) <= SMALL_ROWS:
        return first_occurrences(words.combine_chunks(), first)
    starts = np.cumsum([0, *(len(chunk) for chunk in words.chunks)])
    parts = [last_bytes(chunk) % PARTITIONS for chunk in words.chunks]
    for number in range(PARTITIONS):
        places = [np.flatnonzero(part == number) for part in parts]
        some = [chunk.take(pa.array(place)) for chunk, place in zip(words.chunks, places, strict=True)]
        rows = np.concatenate([place + start for place, start in zip(places, starts, strict=False)])
        first[rows] = first_occurrences(pa.concat_arrays(some), rows)
    return first


def first_occurrences(words: pa.Array, rows: Ints) -> Ints:
    """Of words and their rows, ascending, the first row of each."""
    encoded = words.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    known = np.flatnonzero(codes >= 0)[::-1]
    first = np.zeros(len(encoded.dictionary), np.int64)
    first[codes[known]] = rows[known]  # backwards: what is written last, the first row, stays
    return np.where(codes >= 0, first[codes], rows) if len(first) else rows.copy()


def is_increasing(words: pa.ChunkedArray) -> bool:
    """Whether each row has a word, and each one comes after the one before: then no two are the same."""
    if words.null_count:
        return False
    after = None
    for chunk in words.chunks:
        if not len(chunk):
            continue
        if after is not None and not after < chunk[0].as_py():
            return False
        if not pc.all(pc.less(chunk[:-1], chunk[1:]), min_count=0).as_py():
            return False
        after = chunk[-1].as_py()
    return True


def last_bytes(words: pa.Array) -> NDArray[np.uint8]:
    """The last byte of each word; 0 of an empty one."""
    words = words.cast(pa.large_string())
    _, ends, letters = words.buffers()
    found = np.zeros(len(words), np.uint8)
    if not len(words) or letters is None:
        return found
    place = np.frombuffer(ends, np.int64)[words.offset : words.offset + len(words) + 1]
    some = place[1:] > place[:-1]
    found[some] = np.frombuffer(letters, np.uint8)[place[1:][some] - 1]
    return found


def connected_components(rows: int, same: Iterable[Ints] = (), pairs: Iterable[tuple[int, int]] = ()) -> Ints:
    """The first row of each row's component, where a row of the same value in any column, or a pair, connects rows.

    Union-find with whole arrays in place of single steps: every root hooks onto the smallest root it meets,
    then all paths are halved until they are flat; one column at a time, so memory is a few arrays of `rows`.
    """
    number: type[np.integer[Any]] = np.int32 if rows < 2**31 else np.int64  # half the memory
    parent: IntegerArray = np.arange(rows, dtype=number)
    for other in same:
        row = np.flatnonzero(other != np.arange(rows)).astype(number)
        union_rows(parent, row, other[row].astype(number))
    both = np.array(list(pairs), number).reshape(-1, 2)
    union_rows(parent, both[:, 0], both[:, 1])
    return parent.astype(np.int64)


def union_rows(parent: IntegerArray, row: IntegerArray, other: IntegerArray) -> None:
    while True:
        a, b = parent[row], parent[other]
        apart = a != b
        if not apart.any():
            return
        row, other = row[apart], other[apart]
        np.minimum.at(parent, np.maximum(a, b)[apart], np.minimum(a, b)[apart])
        flatten_paths(parent)


def flatten_paths(parent: IntegerArray) -> None:
    while True:
        above = parent[parent]
        if np.array_equal(above, parent):
            return
        parent[:] = above
