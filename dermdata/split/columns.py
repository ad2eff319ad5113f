"""Table columns as integer codes whose order depends on the values alone, never on the order of rows."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dermdata.errors import BadTable, UsageError
from dermdata.manifest.same import first_rows, rising

Ints = NDArray[np.int64]


class Columns(Protocol):
    """A table, held or partly on disk."""

    @property
    def num_rows(self) -> int: ...
    @property
    def column_names(self) -> list[str]: ...
    def column(self, name: str, /) -> pa.ChunkedArray: ...


@dataclass(frozen=True)
class Coded:
    """A column as codes into its sorted distinct values; -1 is missing."""

    codes: Ints  # one per row
    values: pa.Array  # large_string, sorted by bytes, distinct

    @property
    def known(self) -> NDArray[np.bool_]:
        return self.codes >= 0

    @property
    def same(self) -> Ints:
        """For each row some row of the same value; its own number where it has none."""
        rows = np.arange(len(self.codes), dtype=np.int64)
        some = np.zeros(len(self.values) + 1, np.int64)  # the last place is for -1, missing
        some[self.codes] = rows
        return np.where(self.known, some[self.codes], rows)

    def value(self, code: int) -> str | None:
        return None if code < 0 else str(self.values[int(code)].as_py())


def coded(table: Columns, name: str) -> Coded:
    """A column's codes; a column that is not there is missing in every row, a blank is missing too."""
    if name not in table.column_names:
        return nothing(table.num_rows)
    return _encode(_as_text(table.column(name), name))


def same_words(table: Columns, name: str) -> Ints:
    """For each row the first one with the same word in the column; its own number where it has none or a blank."""
    if name not in table.column_names:
        return np.arange(table.num_rows, dtype=np.int64)
    words = _as_text(table.column(name), name)
    blank = pc.equal(words, "")
    return first_rows(pc.if_else(blank, None, words) if pc.any(blank).as_py() else words)


def known(table: Columns, name: str) -> NDArray[np.bool_]:
    """Which rows have a value in the column, neither null nor blank."""
    if name not in table.column_names:
        return np.zeros(table.num_rows, bool)
    some = pc.greater(pc.binary_length(_as_text(table.column(name), name)), 0)
    return pc.fill_null(some, fill_value=False).to_numpy()  # type: ignore[no-any-return]


def row_keys(table: Columns) -> Coded:
    """The row keys `dataset/image_id`; BadTable when a row has none."""
    key = coded(table, "key")
    if not key.known.all():
        key = _encode(_joined_key(table))
    if not key.known.all():
        raise BadTable(
            f"{int((~key.known).sum())} rows have no key",
            hint="a manifest needs the column key, or dataset and image_id, in each row",
        )
    return key


def nothing(rows: int) -> Coded:
    """A column that is missing in every row."""
    return Coded(np.full(rows, -1, np.int64), pa.array([], pa.large_string()))


def _joined_key(table: Columns) -> pa.ChunkedArray:
    missing = {"dataset", "image_id"} - set(table.column_names)
    if missing:
        raise BadTable(f"the table has no column {' and no column '.join(sorted(missing))}, and no full key")
    parts = (_as_text(table.column(name), name) for name in ("dataset", "image_id"))
    return pc.binary_join_element_wise(*parts, pa.scalar("/", pa.large_string()))


def _as_text(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    try:
        return pc.cast(column, pa.large_string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        raise UsageError(
            f"column '{name}' holds {column.type}, not one word or number in each row",
            hint="choose a column such as diagnosis, sex or fitzpatrick",
        ) from error


def _encode(text: pa.ChunkedArray) -> Coded:
    if rising(text):  # as ten million keys are: in order, each there once
        return _without_blank(Coded(np.arange(len(text), dtype=np.int64), text.combine_chunks()))
    encoded = text.combine_chunks().dictionary_encode()  # of many pieces each would keep all words
    values = encoded.dictionary
    order = pc.sort_indices(values).to_numpy()
    rank = np.full(len(values) + 1, -1, np.int64)  # the last place is for -1, missing
    rank[order] = np.arange(len(values))
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return _without_blank(Coded(rank[codes], values.take(order)))


def _without_blank(column: Coded) -> Coded:
    """A blank sorts first, so taking it away moves every code down by one, to -1 for the blank."""
    if len(column.values) == 0 or column.values[0].as_py() != "":
        return column
    return Coded(np.maximum(column.codes - 1, -1), column.values[1:])
