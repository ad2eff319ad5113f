"""Counts images, patients and lesions of a manifest in each cell of a cross-table."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from dermdata.errors import UnknownName, UsageError
from dermdata.manifest.columns import decode_dictionary, find_extra_column, first_rows
from dermdata.manifest.schema import SCHEMA
from dermdata.manifest.text import python_values

StatsRow = dict[str, Any]
OVERVIEW_COLUMNS = ("diagnosis", "malignancy", "fitzpatrick", "sex", "body_site")
CASES = "cases"  # counted where rows are filed by case
COUNTED_COLUMNS = {"patients": "patient_id", "lesions": "lesion_id", CASES: "case_id"}
MEASURES = ("images", *COUNTED_COLUMNS, "share")


def tabulate(table: pa.Table, by: Sequence[str]) -> list[StatsRow]:
    """Count images, patients and lesions for each combination of values.

    Parameters
    ----------
    table : pyarrow.Table
        A manifest.
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
    cells = countable_columns(table, by)
    counts = [([], "count_all"), *((name, "count_distinct") for name in COUNTED_COLUMNS.values())]
    grouped = cells.group_by(by, use_threads=False).aggregate(counts).to_pylist()
    rows = [stats_row(cell, by, table.num_rows) for cell in grouped]
    if not any(row[CASES] for row in rows):  # few sources file images by case
        for row in rows:
            del row[CASES]
    return sort_rows(rows, by)


def list_measures(rows: Sequence[StatsRow]) -> tuple[str, ...]:
    """What the rows say: cases only where there are some."""
    return tuple(name for name in MEASURES if name != CASES or any(CASES in row for row in rows))


def tabulate_each(table: pa.Table, columns: Sequence[str] = OVERVIEW_COLUMNS) -> list[StatsRow]:
    """One-column tables one after the other: `by` (the column), `value`, images, patients, lesions, share."""
    return [
        {"by": name, "value": row[name], **{measure: row[measure] for measure in MEASURES if measure in row}}
        for name in columns
        for row in tabulate(table, [name])
    ]


def countable_columns(table: pa.Table, by: Sequence[str]) -> pa.Table:
    """The columns to group by, as plain values, and the ids to count."""
    columns = {name: groupable_column(table, name) for name in by}
    for name in set(COUNTED_COLUMNS.values()) - set(by):
        there = name in table.column_names
        columns[name] = (
            number_ids(plain_column(table[name])) if there else pa.nulls(table.num_rows, pa.int32())
        )
    return pa.table(columns)


def number_ids(ids: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    """The ids as numbers, equal where they are: counting ten million texts takes their memory three times."""
    if not pa.types.is_string(ids.type):
        return ids
    missing = ids.is_null().combine_chunks().to_numpy(zero_copy_only=False)
    return pa.array(first_rows(ids), pa.int64(), mask=missing)


def groupable_column(table: pa.Table, name: str) -> pa.ChunkedArray:
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
    column = plain_column(table[name])
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


def stats_row(cell: StatsRow, by: Sequence[str], images: int) -> StatsRow:
    """Zero known ids is "not known", not "none"."""
    found = {name: cell[f"{column}_count_distinct"] or None for name, column in COUNTED_COLUMNS.items()}
    share = cell["count_all"] / images
    return {**{name: cell[name] for name in by}, "images": cell["count_all"], **found, "share": share}


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
