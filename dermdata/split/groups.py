"""Groups are the connected components of rows over every key that must not be torn apart.

Columns are factorized: their codes depend on the values alone, never on the order of rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Literal, Protocol, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dermdata.errors import BadTable, UnknownName, UsageError
from dermdata.manifest.columns import Ints, connected_components, first_rows, is_increasing
from dermdata.markup import agree_verb, count_nouns

if TYPE_CHECKING:
    from dermdata.duplicates import NearDuplicates

GroupBy = Literal["auto", "patient", "lesion", "case", "image"]
GroupLevel = Literal["patient", "lesion", "case", "image"]
LEVEL_COLUMNS: Mapping[GroupLevel, str] = {"patient": "patient_id", "lesion": "lesion_id", "case": "case_id"}
KnownRows = NDArray[np.bool_]
SAME_IMAGE_COLUMNS = ("isic_id", "sha256")  # the same picture in two datasets, under two names


class TableLike(Protocol):
    """A table, held or partly on disk."""

    @property
    def num_rows(self) -> int: ...
    @property
    def column_names(self) -> list[str]: ...
    def column(self, name: str, /) -> pa.ChunkedArray: ...


@dataclass(frozen=True)
class FactorizedColumn:
    """A column as codes into its sorted distinct values; -1 is missing."""

    codes: Ints  # one per row
    values: pa.Array  # large_string, sorted by bytes, distinct

    @property
    def is_known(self) -> NDArray[np.bool_]:
        return self.codes >= 0

    @property
    def same_value_rows(self) -> Ints:
        """For each row some row of the same value; its own number where it has none."""
        rows = np.arange(len(self.codes), dtype=np.int64)
        some = np.zeros(len(self.values) + 1, np.int64)  # the last place is for -1, missing
        some[self.codes] = rows
        return np.where(self.is_known, some[self.codes], rows)

    def value(self, code: int) -> str | None:
        return None if code < 0 else str(self.values[int(code)].as_py())


def factorize(table: TableLike, name: str) -> FactorizedColumn:
    """A column's codes; a column that is not there is missing in every row, a blank is missing too."""
    if name not in table.column_names:
        return missing_column(table.num_rows)
    return _factorize_text(_column_to_text(table.column(name), name))


def first_rows_of_values(table: TableLike, name: str) -> Ints:
    """For each row the first one with the same word in the column; its own number where it has none or a blank."""
    if name not in table.column_names:
        return np.arange(table.num_rows, dtype=np.int64)
    words = _column_to_text(table.column(name), name)
    blank = pc.equal(words, "")
    return first_rows(pc.if_else(blank, None, words) if pc.any(blank).as_py() else words)


def has_value(table: TableLike, name: str) -> NDArray[np.bool_]:
    """Which rows have a value in the column, neither null nor blank."""
    if name not in table.column_names:
        return np.zeros(table.num_rows, bool)
    some = pc.greater(pc.binary_length(_column_to_text(table.column(name), name)), 0)
    return pc.fill_null(some, fill_value=False).to_numpy()  # type: ignore[no-any-return]  # pyarrow has no types


def row_keys(table: TableLike) -> FactorizedColumn:
    """The row keys `dataset/image_id`; BadTable when a row has none."""
    key = factorize(table, "key")
    if not key.is_known.all():
        key = _factorize_text(_join_key(table))
    if not key.is_known.all():
        raise BadTable(
            f"{count_nouns(int((~key.is_known).sum()), 'row', 'have')} no key",
            hint="a manifest needs the column key, or dataset and image_id, in each row",
        )
    return key


def missing_column(rows: int) -> FactorizedColumn:
    """A column that is missing in every row."""
    return FactorizedColumn(np.full(rows, -1, np.int64), pa.array([], pa.large_string()))


def _join_key(table: TableLike) -> pa.ChunkedArray:
    missing = {"dataset", "image_id"} - set(table.column_names)
    if missing:
        raise BadTable(f"the table has no column {' and no column '.join(sorted(missing))}, and no full key")
    parts = (_column_to_text(table.column(name), name) for name in ("dataset", "image_id"))
    return pc.binary_join_element_wise(*parts, pa.scalar("/", pa.large_string()))


def _column_to_text(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    try:
        return pc.cast(column, pa.large_string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        raise UsageError(
            f"column '{name}' holds {column.type}, not one word or number in each row",
            hint="choose a column such as diagnosis, sex or fitzpatrick",
        ) from error


def _factorize_text(text: pa.ChunkedArray) -> FactorizedColumn:
    if is_increasing(text):  # as ten million keys are: in order, each there once
        return _drop_blank(FactorizedColumn(np.arange(len(text), dtype=np.int64), text.combine_chunks()))
    encoded = text.combine_chunks().dictionary_encode()  # of many pieces each would keep all words
    values = encoded.dictionary
    order = pc.sort_indices(values).to_numpy()
    rank = np.full(len(values) + 1, -1, np.int64)  # the last place is for -1, missing
    rank[order] = np.arange(len(values))
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return _drop_blank(FactorizedColumn(rank[codes], values.take(order)))


def _drop_blank(column: FactorizedColumn) -> FactorizedColumn:
    """A blank sorts first, so taking it away moves every code down by one, to -1 for the blank."""
    if len(column.values) == 0 or column.values[0].as_py() != "":
        return column
    return FactorizedColumn(np.maximum(column.codes - 1, -1), column.values[1:])


@dataclass(frozen=True, kw_only=True, eq=False)
class Grouping:
    """The group of every row, and in words how it was found."""

    number: Ints  # per row, 0 … groups-1; groups are numbered by their smallest row key
    levels: Mapping[str, GroupLevel]  # dataset -> the level that holds for most of its rows
    why: str
    key_columns: tuple[str, ...]  # the columns whose equal values join rows, coarsest first
    counts: Mapping[str, int]  # rows, groups, largest (rows), across_datasets (groups)

    @property
    def level_summary(self) -> str:
        """`lesion`, or for datasets that differ `ham10000: lesion, pad-ufes-20: patient`."""
        if len(set(self.levels.values())) == 1:
            return next(iter(self.levels.values()))
        return ", ".join(f"{dataset}: {level}" for dataset, level in self.levels.items())


def group_rows(table: TableLike, by: GroupBy = "auto", near: "NearDuplicates | None" = None) -> Grouping:
    """Group the rows that a split must not part.

    A level brings every finer key with it (patient: lesion and case too), so a row without the coarser key
    falls back to the finer one. Equal `isic_id` or `sha256` always join, across datasets. A missing key joins nothing.

    Parameters
    ----------
    table : TableLike
        A manifest, held or partly on disk.
    by : {"auto", "patient", "lesion", "case", "image"}
        The level; `auto` joins by every key there is.
    near : NearDuplicates, optional
        Pairs of rows that join as well.

    Returns
    -------
    Grouping

    Raises
    ------
    UsageError
        When no row at all has the key of the level asked for.
    UnknownName
        For another level.

    """
    if by not in get_args(GroupBy):
        raise UnknownName("level", by, get_args(GroupBy), hint=f"one of {', '.join(get_args(GroupBy))}")
    keys = {level: has_value(table, column) for level, column in LEVEL_COLUMNS.items()}
    _require_level(keys, by, table.num_rows)
    key, dataset = row_keys(table), factorize(table, "dataset")
    order, same_key = key.codes, key.same_value_rows
    del key  # its words are ten million texts
    joined = key_columns(by)
    same = chain((first_rows_of_values(table, name) for name in joined), [same_key])
    number = _number_groups(
        connected_components(table.num_rows, same, near.row_pairs() if near else ()), order
    )
    levels = {name: _choose_level(keys, rows, by) for name, rows in _dataset_rows(dataset)}
    why = "; ".join(_explain_level(name, keys, rows, by) for name, rows in _dataset_rows(dataset))
    counts = _group_counts(number, dataset.codes)
    return Grouping(number=number, levels=levels, why=why, key_columns=joined, counts=counts)


def key_columns(by: GroupBy) -> tuple[str, ...]:
    """The columns that join rows at a level, coarsest first."""
    levels = list(LEVEL_COLUMNS)
    start = {"auto": 0, "image": len(levels)}.get(by)
    kept = levels[levels.index(by) if start is None else start :]  # type: ignore[arg-type]  # a level, not auto
    return (*(LEVEL_COLUMNS[level] for level in kept), *SAME_IMAGE_COLUMNS)


def _number_groups(root: Ints, key: Ints) -> Ints:
    """Number the components by their smallest row key, so that the order of rows cannot matter."""
    smallest = np.full(len(root), np.iinfo(np.int64).max)
    np.minimum.at(smallest, root, key)
    return np.unique(smallest[root], return_inverse=True)[1].astype(np.int64).reshape(-1)


def _require_level(keys: Mapping[GroupLevel, KnownRows], by: GroupBy, rows: int) -> None:
    if rows == 0 or by == "auto" or by == "image" or keys[by].any():
        return
    there = [level for level, column in keys.items() if column.any()] or ["image"]
    raise UsageError(
        f"cannot split by {by}: no row has a {LEVEL_COLUMNS[by]}",
        hint=f"use --by auto or --by {there[0]}, the coarsest level that the table knows",
    )


def _dataset_rows(dataset: FactorizedColumn) -> list[tuple[str, Ints]]:
    """Each dataset's name and rows; rows without a dataset count as one named `table`."""
    order = np.argsort(dataset.codes, kind="stable")
    codes, starts = np.unique(dataset.codes[order], return_index=True)
    pieces = np.split(order, starts[1:]) if len(codes) else []
    return [(dataset.value(code) or "table", rows) for code, rows in zip(codes, pieces, strict=True)]


def _choose_level(keys: Mapping[GroupLevel, KnownRows], rows: Ints, by: GroupBy) -> GroupLevel:
    if by != "auto":
        return by
    for level, column in keys.items():
        if 2 * int(column[rows].sum()) > len(rows):
            return level
    return "image"


def _explain_level(name: str, keys: Mapping[GroupLevel, KnownRows], rows: Ints, by: GroupBy) -> str:
    level = _choose_level(keys, rows, by)
    filled = {LEVEL_COLUMNS[one]: int(column[rows].sum()) for one, column in keys.items()}
    asked = "as asked" if by != "auto" else "the coarsest key that most rows have"
    shown = ", ".join(f"{column} in {count:,}" for column, count in filled.items() if count)
    if not shown:
        return f"{name}: by {level}, none of {count_nouns(len(rows), 'row')} has a patient, lesion or case id"
    text = f"{name}: by {level}, {asked} ({shown} of {count_nouns(len(rows), 'row')})"
    lacking = len(rows) - filled.get(LEVEL_COLUMNS.get(level, ""), len(rows))
    return text + (
        f"; {count_nouns(lacking, 'row')} without {LEVEL_COLUMNS[level]} {agree_verb(lacking, 'fall')} back to a finer key"
        if lacking
        else ""
    )


def _group_counts(number: Ints, dataset: Ints) -> Mapping[str, int]:
    groups = int(number.max()) + 1 if len(number) else 0
    low, high = np.full(groups, np.iinfo(np.int64).max), np.full(groups, -2)
    np.minimum.at(low, number, dataset)
    np.maximum.at(high, number, dataset)
    largest = int(np.bincount(number).max()) if groups else 0
    return {
        "rows": len(number),
        "groups": groups,
        "largest": largest,
        "across_datasets": int((low != high).sum()),
    }
