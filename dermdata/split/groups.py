"""Which rows must stay together: the connected components over every key that may not be torn apart."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from dermdata.errors import UnknownName, UsageError
from dermdata.split.columns import Coded, Columns, Ints, coded, known, row_keys, same_words

if TYPE_CHECKING:
    from dermdata.duplicates import Alike

By = Literal["auto", "patient", "lesion", "case", "image"]
Level = Literal["patient", "lesion", "case", "image"]

KEYS: Mapping[Level, str] = {"patient": "patient_id", "lesion": "lesion_id", "case": "case_id"}
Known = NDArray[np.bool_]
Numbers = NDArray[np.integer[Any]]
SAME_IMAGE = ("isic_id", "sha256")  # the same picture in two datasets, under two names


@dataclass(frozen=True, kw_only=True, eq=False)
class Grouping:
    """The group of every row, and in words how it was found."""

    number: Ints  # per row, 0 … groups-1; groups are numbered by their smallest row key
    levels: Mapping[str, Level]  # dataset -> the level that holds for most of its rows
    why: str
    joined: tuple[str, ...]  # the columns whose equal values join rows, coarsest first
    counts: Mapping[str, int]  # rows, groups, largest (rows), across_datasets (groups)

    @property
    def chosen(self) -> str:
        """`lesion`, or for datasets that differ `ham10000: lesion, pad-ufes-20: patient`."""
        if len(set(self.levels.values())) == 1:
            return next(iter(self.levels.values()))
        return ", ".join(f"{dataset}: {level}" for dataset, level in self.levels.items())


def groups(table: Columns, by: By = "auto", near: "Alike | None" = None) -> Grouping:
    """The rows' groups; UsageError when no row at all has the key of the level asked for.

    A level brings every finer key with it (patient: lesion and case too), so a row without the coarser key
    falls back to the finer one. `auto` joins by every key there is. Equal `isic_id` or `sha256` always join,
    across datasets, and so do the pairs of rows that are `near` duplicates. A missing key joins nothing.
    """
    if by not in get_args(By):
        raise UnknownName("level", by, get_args(By), hint=f"one of {', '.join(get_args(By))}")
    keys = {level: known(table, column) for level, column in KEYS.items()}
    _require_some(keys, by, table.num_rows)
    key, dataset = row_keys(table), coded(table, "dataset")
    order, same_key = key.codes, key.same
    del key  # its words are ten million texts
    joined = key_columns(by)
    same = chain((same_words(table, name) for name in joined), [same_key])
    number = _by_smallest_key(components(table.num_rows, same, near.pairs() if near else ()), order)
    levels = {name: _level(keys, rows, by) for name, rows in _datasets(dataset)}
    why = "; ".join(_why(name, keys, rows, by) for name, rows in _datasets(dataset))
    counts = _counts(number, dataset.codes)
    return Grouping(number=number, levels=levels, why=why, joined=joined, counts=counts)


def key_columns(by: By) -> tuple[str, ...]:
    """The columns that join rows at a level, coarsest first."""
    levels = list(KEYS)
    start = {"auto": 0, "image": len(levels)}.get(by)
    kept = levels[levels.index(by) if start is None else start :]  # type: ignore[arg-type]
    return (*(KEYS[level] for level in kept), *SAME_IMAGE)


def components(rows: int, same: Iterable[Ints], pairs: Iterable[tuple[int, int]] = ()) -> Ints:
    """The first row of each row's component, where a row of the same value in any column, or a pair, connects rows.

    Union-find with whole arrays in place of single steps: every root hooks onto the smallest root it meets,
    then all paths are halved until they are flat; one column at a time, so memory is a few arrays of `rows`.
    """
    number: type[np.integer[Any]] = np.int32 if rows < 2**31 else np.int64  # half the memory
    parent: Numbers = np.arange(rows, dtype=number)
    for other in same:
        row = np.flatnonzero(other != np.arange(rows)).astype(number)
        _join(parent, row, other[row].astype(number))
    both = np.array(list(pairs), number).reshape(-1, 2)
    _join(parent, both[:, 0], both[:, 1])
    return parent.astype(np.int64)


def _join(parent: Numbers, row: Numbers, other: Numbers) -> None:
    while True:
        a, b = parent[row], parent[other]
        apart = a != b
        if not apart.any():
            return
        row, other = row[apart], other[apart]
        np.minimum.at(parent, np.maximum(a, b)[apart], np.minimum(a, b)[apart])
        _flatten(parent)


def _flatten(parent: Numbers) -> None:
    while True:
        above = parent[parent]
        if np.array_equal(above, parent):
            return
        parent[:] = above


def _by_smallest_key(root: Ints, key: Ints) -> Ints:
    """Number the components by their smallest row key, so that the order of rows cannot matter."""
    smallest = np.full(len(root), np.iinfo(np.int64).max)
    np.minimum.at(smallest, root, key)
    return np.unique(smallest[root], return_inverse=True)[1].astype(np.int64).reshape(-1)


def _require_some(keys: Mapping[Level, Known], by: By, rows: int) -> None:
    if rows == 0 or by == "auto" or by == "image" or keys[by].any():
        return
    there = [level for level, column in keys.items() if column.any()] or ["image"]
    raise UsageError(
        f"cannot split by {by}: no row has a {KEYS[by]}",
        hint=f"use --by auto or --by {there[0]}, the coarsest level that the table knows",
    )


def _datasets(dataset: Coded) -> list[tuple[str, Ints]]:
    """Each dataset's name and rows; rows without a dataset count as one named `table`."""
    order = np.argsort(dataset.codes, kind="stable")
    codes, starts = np.unique(dataset.codes[order], return_index=True)
    pieces = np.split(order, starts[1:]) if len(codes) else []
    return [(dataset.value(code) or "table", rows) for code, rows in zip(codes, pieces, strict=True)]


def _level(keys: Mapping[Level, Known], rows: Ints, by: By) -> Level:
    if by != "auto":
        return by
    for level, column in keys.items():
        if 2 * int(column[rows].sum()) > len(rows):
            return level
    return "image"


def _why(name: str, keys: Mapping[Level, Known], rows: Ints, by: By) -> str:
    level = _level(keys, rows, by)
    filled = {KEYS[one]: int(column[rows].sum()) for one, column in keys.items()}
    asked = "as asked" if by != "auto" else "the coarsest key that most rows have"
    shown = ", ".join(f"{column} in {count}" for column, count in filled.items() if count) or "no key at all"
    text = f"{name}: by {level}, {asked} ({shown} of {len(rows)} rows)"
    lacking = len(rows) - filled.get(KEYS.get(level, ""), len(rows))
    return text + (f"; {lacking} rows without {KEYS[level]} fall back to a finer key" if lacking else "")


def _counts(number: Ints, dataset: Ints) -> Mapping[str, int]:
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
