"""Counts images, patients and lesions of a manifest in each cell of a cross-table."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds
from numpy.typing import NDArray

from dermdata.errors import UnknownName, UsageError
from dermdata.manifest.columns import decode_dictionary, find_extra_column, first_rows
from dermdata.manifest.schema import SCHEMA
from dermdata.manifest.text import python_values

if TYPE_CHECKING:
    from dermdata.manifest.lazy import LazyTable

StatsRow = dict[str, Any]
Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]
MOST_CODES = 1 << 20  # combinations of values for which a table of all is smaller than sorted rows
OVERVIEW_COLUMNS = ("diagnosis", "malignancy", "fitzpatrick", "sex", "body_site")
CASES = "cases"  # counted where rows are filed by case
COUNTED_COLUMNS = {"patients": "patient_id", "lesions": "lesion_id", CASES: "case_id"}
MEASURES = ("images", *COUNTED_COLUMNS, "share")


def tabulate(table: "pa.Table | LazyTable", by: Sequence[str]) -> list[StatsRow]:
    """Count images, patients and lesions for each combination of values.

    Parameters
    ----------
    table : pyarrow.Table or LazyTable
        A manifest; of a lazy one a column is held at a time.
    by : sequence of str
        Columns.

    Returns
    -------
    list of dict
        The `by` columns, then images, patients, lesions, cases and share (of all images, 0 to 1). Patients, lesions and
        cases are distinct ids, null where no row of the cell has one; cases stand there only where any row has one. A
        value that is not stated is null and comes last; numbers ascend, words come by their number of images.

    Raises
    ------
    UnknownName, UsageError
        For a column that is not there, or cannot be counted by.

    """
    by = list(dict.fromkeys(by))
    values, cell = number_cells((groupable_column(table, name) for name in by), table.num_rows)
    images = np.bincount(cell, minlength=len(values)).tolist()
    ids = {one: count_ids(table, name, cell, len(values)) for one, name in COUNTED_COLUMNS.items()}
    rows = [
        {
            **dict(zip(by, stated, strict=True)),
            "images": images[number],
            **{
                one: counts[number] or None for one, counts in ids.items()
            },  # none is known, not "none are there"
            "share": images[number] / table.num_rows,
        }
        for number, stated in enumerate(values)
    ]
    if not any(row[CASES] for row in rows):  # few sources file images by case
        for row in rows:
            del row[CASES]
    return sort_rows(rows, by)


def list_measures(rows: Sequence[StatsRow]) -> tuple[str, ...]:
    """What the rows say: cases only where there are some."""
    return tuple(name for name in MEASURES if name != CASES or any(CASES in row for row in rows))


def tabulate_each(table: "pa.Table | LazyTable", columns: Sequence[str] = OVERVIEW_COLUMNS) -> list[StatsRow]:
    """One-column tables one after the other: `by` (the column), `value`, images, patients, lesions, share."""
    return [
        {"by": name, "value": row[name], **{measure: row[measure] for measure in MEASURES if measure in row}}
        for name in columns
        for row in tabulate(table, [name])
    ]


def number_cells(columns: Iterable[pa.ChunkedArray], rows: int) -> tuple[list[tuple[Any, ...]], Int32s]:
    """The combinations of values that rows have, and the number of each row's: words would take many times as much."""
    values: list[tuple[Any, ...]] = [()] * min(rows, 1)
    cell = np.zeros(rows, np.int32)
    for column in columns:
        words, codes = number_values(column)
        combined = cell * np.int64(len(words)) + codes
        there, cell = number_present(combined, len(values) * len(words))
        values = [(*values[one // len(words)], words[one % len(words)]) for one in there.tolist()]
    return values, cell


def number_values(column: pa.ChunkedArray) -> tuple[list[Any], Int32s]:
    """The values of a column, null among them, and the number of each row's."""
    known: dict[Any, int] = {}
    parts = [np.zeros(0, np.int32)]
    for chunk in column.chunks:  # a word may stand in several dictionaries
        encoded = plain_column(pa.chunked_array([chunk])).combine_chunks().dictionary_encode()
        words = [*encoded.dictionary.to_pylist(), *([None] if encoded.null_count else [])]
        numbers = np.array([known.setdefault(word, len(known)) for word in words], np.int32)
        codes = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False)
        parts.append(numbers[codes])
    return list(known), np.concatenate(parts)


def number_present(codes: Int64s, most: int) -> tuple[Int64s, Int32s]:
    """Which codes below `most` there are, ascending, and the place of each row's among them."""
    if most > max(MOST_CODES, len(codes)):
        there, place = np.unique(codes, return_inverse=True)
        return there, place.reshape(-1).astype(np.int32)
    there = np.flatnonzero(np.bincount(codes, minlength=1))
    places = np.zeros(most, np.int32)
    places[there] = np.arange(len(there))
    return there, places[codes]


def count_ids(table: "pa.Table | LazyTable", name: str, cell: Int32s, cells: int) -> list[int]:
    """How many distinct ids the rows of each cell have."""
    ids = plain_column(table.column(name)) if name in table.column_names else None
    if ids is None or ids.null_count == table.num_rows:
        return [0] * cells
    missing = ids.is_null().combine_chunks().to_numpy(zero_copy_only=False)
    pairs = first_rows(ids) if pa.types.is_string(ids.type) else number_values(ids)[1].astype(np.int64)
    pairs *= cells
    pairs += cell
    pairs = pairs[~missing] if missing.any() else pairs
    pairs.sort()
    is_new = np.ones(len(pairs), bool)
    np.not_equal(pairs[1:], pairs[:-1], out=is_new[1:])
    return np.bincount(pairs[is_new] % cells, minlength=cells).tolist()  # type: ignore[no-any-return]


def groupable_column(table: "pa.Table | LazyTable", name: str) -> pa.ChunkedArray:
    if (words := find_extra_column(table, name)) is not None:
        return words
    if name not in table.column_names:
        known = dict.fromkeys((*table.column_names, *SCHEMA.names))
        raise UnknownName(
            "column",
            name,
            known,
            hint="columns of the manifest, such as diagnosis, sex, fitzpatrick; a source's own are extra.NAME",
        )
    if name in MEASURES:
        raise UsageError(f"'{name}' is what is counted, not what can be counted by")
    column = table.column(name)
    if kinds.is_nested(column.type):
        what = f"column '{name}' holds several values in each row ({column.type})"
        raise UsageError(what, hint="choose a column such as diagnosis, sex or fitzpatrick")
    if kinds.is_temporal(column.type):
        python_values(
            column.unique(), hint="count by another column"
        )  # BadTable for a day that no calendar has
        return column.cast(pa.string())
    return column


def plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Words as words, NaN as not stated."""
    column = decode_dictionary(column)
    return pc.if_else(pc.is_nan(column), None, column) if kinds.is_floating(column.type) else column


def sort_rows(rows: list[StatsRow], by: Sequence[str]) -> list[StatsRow]:
    totals = {name: image_totals(rows, name) for name in by}
    return sorted(rows, key=lambda row: [sort_key(row[name], totals[name]) for name in by])


def image_totals(rows: Sequence[StatsRow], name: str) -> dict[Any, int]:
    totals: dict[Any, int] = {}
    for row in rows:
        totals[row[name]] = totals.get(row[name], 0) + row["images"]
    return totals


def sort_key(value: Any, totals: dict[Any, int]) -> tuple[Any, ...]:
    if value is None:
        return (2,)
    if isinstance(value, (int, float)):
        return (0, value)
    return (1, -totals[value], str(value))
