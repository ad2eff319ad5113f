"""The whole split: groups, official rows, assignment, and the table with its parts written in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dermdata.errors import UsageError
from dermdata.manifest.rest import Rest, Rows
from dermdata.split.assign import assign
from dermdata.split.balance import (
    ClassShare,
    PartBalance,
    Spread,
    class_shares,
    largest_deviation,
    part_balance,
    spread,
)
from dermdata.split.columns import Coded, Ints, coded
from dermdata.split.groups import KEYS, By, Grouping, groups
from dermdata.split.official import FREE, official
from dermdata.split.ratios import DEFAULT, require_folds, require_ratios
from dermdata.split.stable import by_hash, group_names
from dermdata.split.strata import stratify_columns

if TYPE_CHECKING:
    from dermdata.duplicates import Alike

WRITTEN = ("split", "fold")  # the columns that are replaced
TRAIN = "train"  # with folds, the official rows' counterpart


@dataclass(frozen=True, kw_only=True, eq=False)
class SplitResult:
    """The table with its parts, and how well they mirror the whole."""

    table: pa.Table
    grouping: Grouping
    balance: tuple[PartBalance, ...]
    classes: tuple[ClassShare, ...]
    largest_deviation: float  # percentage points, see balance.py
    notes: tuple[str, ...]


def split(
    table: pa.Table,
    *,
    by: By = "auto",
    ratios: Mapping[str, float] | None = None,
    folds: int | None = None,
    stratify: Sequence[str] = ("diagnosis",),
    official: bool = False,
    stable: bool = False,
    seed: int = 0,
    near: "Alike | None" = None,
    rest: Rest | None = None,
) -> SplitResult:
    """Replace the columns `split` and `fold` so that no group is in two parts; 70/15/15 unless told.

    With `folds` the column `fold` is 0 … K-1 and `split` is null (with `official`: train and the official
    parts), otherwise `fold` is null. The answer depends on the rows' values, the request and the seed, not on
    the rows' order. `stable` places each group by the hash of its own key: adding rows never moves it, but
    nothing is stratified. `near` duplicates stay together too. What `table` does not hold is read from `rest`, a
    column at a time. UsageError when the request cannot be met.
    """
    parts = _parts(ratios, folds)
    rows = Rows(table, rest)
    columns = stratify_columns(rows, stratify)
    if table.num_rows == 0:
        raise UsageError("there is nothing to split: the table has no rows")
    grouping = groups(rows, by, near)
    names, part, notes = _placed(rows, grouping, columns, parts, official, stable, seed)
    classes = class_shares(columns, part, names)
    ids = {column: spread(coded(rows, column).codes, part, len(names)) for column in KEYS.values()}
    whole = spread(grouping.number, part, len(names))
    return SplitResult(
        table=_written(table, names, part, folds),
        grouping=grouping,
        balance=part_balance(part, names, whole, ids["patient_id"], ids["lesion_id"]),
        classes=classes,
        largest_deviation=largest_deviation(classes),
        notes=(*notes, *_torn(ids), *_absent(classes), *_stable_note(stable, stratify)),
    )


def _parts(ratios: Mapping[str, float] | None, folds: int | None) -> dict[str, float]:
    if folds is None:
        return require_ratios(DEFAULT if ratios is None else ratios)
    if ratios is not None:
        raise UsageError("both ratios and folds are asked for", hint="choose one of --ratios and --folds")
    return require_folds(folds)


def _placed(
    table: Rows,
    grouping: Grouping,
    columns: Mapping[str, Coded],
    parts: Mapping[str, float],
    keep_official: bool,
    stable: bool,
    seed: int,
) -> tuple[tuple[str, ...], Ints, tuple[str, ...]]:
    """Part names, the part of every row (below 0: none), and notes."""
    names, notes = tuple(parts), tuple[str, ...]()
    part = np.full(table.num_rows, FREE, np.int64)
    cohorts: tuple[tuple[Ints, tuple[str, ...]], ...] = ((np.arange(table.num_rows), names),)
    if keep_official:
        fixed = official(table, grouping, names)
        names, part, cohorts, notes = fixed.parts, fixed.part.copy(), fixed.allowed, fixed.notes
    labels = group_names(table, grouping) if stable else None
    for rows, allowed in cohorts:
        place = np.array([names.index(name) for name in allowed])
        shares = np.array([parts[name] for name in allowed])
        part[rows] = place[_cohort(rows, grouping, columns, allowed, shares / shares.sum(), labels, seed)]
    return names, part, notes


def _cohort(
    rows: Ints,
    grouping: Grouping,
    columns: Mapping[str, Coded],
    names: Sequence[str],
    shares: NDArray[np.float64],
    labels: Sequence[str] | None,
    seed: int,
) -> Ints:
    """The part of each of these rows, which hold whole groups only."""
    numbers, group = np.unique(grouping.number[rows], return_inverse=True)
    group = group.reshape(-1).astype(np.int64)
    if labels is not None:
        return by_hash([labels[number] for number in numbers], shares.tolist(), seed)[group]
    codes = [column.codes[rows] for column in columns.values()]
    return assign(group, codes, names, shares.tolist(), seed)[group]


def _written(table: pa.Table, names: Sequence[str], part: Ints, folds: int | None) -> pa.Table:
    in_fold = np.zeros(len(part), bool) if folds is None else (part >= 0) & (part < folds)
    if folds is None:
        words, code = list(names), part
    else:  # `split` only tells official rows from the rest
        words = [TRAIN, *names[folds:]]
        code = np.where(in_fold, 0 if len(names) > folds else -1, np.where(part >= 0, part - folds + 1, -1))
    fold = pa.array(part.astype(np.int8), pa.int8(), mask=~in_fold)
    indices = pa.array(code.astype(np.int32), pa.int32(), mask=code < 0)
    column = pa.DictionaryArray.from_arrays(indices, pa.array(words, pa.string()))
    return _replaced(_replaced(table, "split", column), "fold", fold)


def _replaced(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    """The column in its old place, type and metadata; a new or all-null one takes the manifest's type."""
    if name not in table.column_names:
        return table.append_column(name, values)
    field = table.schema.field(name)
    if pa.types.is_null(field.type):
        field = field.with_type(values.type)
    return table.set_column(table.schema.get_field_index(name), field, values.cast(field.type))


def _torn(ids: Mapping[str, Spread]) -> tuple[str, ...]:
    """A note for the coarser keys that the level asked for has spread over parts."""
    return tuple(
        f"{one.torn} values of {column} are in more than one part; --by auto keeps them together"
        for column, one in ids.items()
        if one.torn
    )


def _absent(classes: Sequence[ClassShare]) -> tuple[str, ...]:
    """A note for each column with classes that some part holds no image of."""
    gone: dict[str, list[str]] = {}
    for line in classes:
        if line.images == 0:
            gone.setdefault(line.column, []).append(f"{line.value or 'missing'} ({line.part})")
    return tuple(f"{column}: no image of {_some(shown)}" for column, shown in gone.items())


def _some(words: Sequence[str]) -> str:
    more = len(words) - 5
    return ", ".join(words[:5]) + (f" and {more} more" if more > 0 else "")


def _stable_note(stable: bool, stratify: Sequence[str]) -> tuple[str, ...]:
    balanced = not (stable and stratify)
    return () if balanced else ("stable: parts follow from the groups' keys alone, classes are not balanced",)
