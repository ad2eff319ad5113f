"""A split parses the requested parts, groups the rows, assigns the groups, and writes the parts into the table.

A stable split assigns each group by the hash of its name: adding rows never moves a group.
"""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dermdata.errors import UsageError
from dermdata.manifest.columns import Ints
from dermdata.manifest.lazy import DiskColumns, LazyTable
from dermdata.manifest.schema import OWN_SPLIT
from dermdata.markup import agree_verb, count_nouns
from dermdata.split.assign import assign_groups, stratify_columns
from dermdata.split.balance import (
    ClassShare,
    IdSpread,
    PartBalance,
    class_shares,
    largest_deviation,
    measure_spread,
    part_balance,
)
from dermdata.split.groups import (
    LEVEL_COLUMNS,
    FactorizedColumn,
    GroupBy,
    Grouping,
    TableLike,
    factorize,
    group_rows,
    row_keys,
)
from dermdata.split.official import FREE, fix_official_rows, official_parts_notes

if TYPE_CHECKING:
    from dermdata.duplicates import NearDuplicates

USUAL_NAMES = {1: ("train",), 2: ("train", "test"), 3: ("train", "val", "test")}
DEFAULT_RATIOS: Mapping[str, float] = {"train": 0.7, "val": 0.15, "test": 0.15}
RATIOS_HINT = "write for example train=0.7,val=0.15,test=0.15"
MAX_FOLDS = 127  # the manifest keeps the fold in an int8
# of a stable split, coarsest first; not sha256: fetching images must move nothing
NAMING_COLUMNS = ("patient_id", "lesion_id", "case_id", "isic_id")
SPLIT_COLUMNS = OWN_SPLIT  # the columns that are replaced
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


def split_rows(
    table: pa.Table,
    *,
    by: GroupBy = "auto",
    ratios: Mapping[str, float] | None = None,
    folds: int | None = None,
    stratify: Sequence[str] = ("diagnosis",),
    official: bool = False,
    stable: bool = False,
    seed: int = 0,
    near: "NearDuplicates | None" = None,
    rest: DiskColumns | None = None,
) -> SplitResult:
    """Replace the columns `split` and `fold` so that no group of rows is in two parts.

    The answer depends on the rows' values, the request and the seed, not on the rows' order.

    Parameters
    ----------
    table : pyarrow.Table
        A manifest.
    by : {"auto", "patient", "lesion", "case", "image"}
        What must stay together, see `group_rows`.
    ratios : mapping of str to float, optional
        Shares of the parts, which sum to 1; by default train 0.7, val 0.15, test 0.15.
    folds : int, optional
        In place of ratios: `fold` becomes 0 … K-1 and `split` null (with `official`: train and the official parts).
    stratify : sequence of str
        Columns whose classes each part shall have as the whole has them.
    official : bool, default False
        Keep the publisher's test and validation rows where they are.
    stable : bool, default False
        Place each group by the hash of its key: adding rows never moves it, but nothing is stratified.
    seed : int, default 0
        Another seed, another split.
    near : NearDuplicates, optional
        Pairs of rows that stay together too.
    rest : DiskColumns, optional
        Columns that `table` does not hold, read one at a time.

    Returns
    -------
    SplitResult

    Raises
    ------
    UsageError, UnknownName
        When the request cannot be met.

    """
    parts = _requested_parts(ratios, folds)
    rows = LazyTable(table, rest)
    columns = stratify_columns(rows, stratify)
    if table.num_rows == 0:
        raise UsageError("there is nothing to split: the table has no rows")
    grouping = group_rows(rows, by, near)
    names, part, notes = _assign_parts(rows, grouping, columns, parts, official, stable, seed)
    if not official:
        notes = official_parts_notes(rows)
    classes = class_shares(columns, part, names)
    ids = {
        column: measure_spread(factorize(rows, column).codes, part, len(names))
        for column in LEVEL_COLUMNS.values()
    }
    whole = measure_spread(grouping.number, part, len(names))
    return SplitResult(
        table=_write_parts(table, names, part, folds),
        grouping=grouping,
        balance=part_balance(part, names, whole, ids["patient_id"], ids["lesion_id"]),
        classes=classes,
        largest_deviation=largest_deviation(classes),
        notes=(*notes, *_torn_id_notes(ids), *_absent_class_notes(classes), *_stable_notes(stable, stratify)),
    )


def parse_ratios(text: str) -> dict[str, float]:
    """Read names and shares of parts.

    Parameters
    ----------
    text : str
        Such as `train=0.7,test=0.3`, `0.7,0.3`, `70,30` or `70%,30%`.

    Returns
    -------
    dict of str to float
        Shares that sum to 1.

    Raises
    ------
    UsageError
        For text that is none of these.

    """
    items = [item.strip() for item in text.split(",") if item.strip()]
    named = [item.partition("=") for item in items]
    with_name = sum(bool(sign) for _, sign, _ in named)
    if with_name not in (0, len(items)):
        raise UsageError(f"some parts of '{text}' have a name and some have none", hint=RATIOS_HINT)
    values = [_parse_number(value if sign else name, text) for name, sign, value in named]
    names = [name.strip() for name, _, _ in named] if with_name else _usual_names(len(items), text)
    return require_ratios(_require_unique_names(names, _to_shares(values, text)))


def require_ratios(ratios: Mapping[str, float]) -> dict[str, float]:
    """The same ratios, once they are proven: names, each above 0, together 1 within 1e-6."""
    if not ratios:
        raise UsageError("no parts to split into", hint=RATIOS_HINT)
    for name, value in ratios.items():
        if not re.fullmatch(r"[A-Za-z][\w.-]*", name):
            raise UsageError(f"'{name}' cannot be the name of a part", hint="letters, digits, - and _")
        if not (math.isfinite(value) and value > 0):
            raise UsageError(f"part '{name}' has the ratio {value:g}", hint="leave it out, or give it more")
    total = math.fsum(ratios.values())
    if abs(total - 1) > 1e-6:
        raise UsageError(f"the ratios sum to {total:.6g}, not to 1", hint=_sum_hint(ratios, total))
    return dict(ratios)


def require_folds(folds: int) -> dict[str, float]:
    """Equal parts named `fold 0` … for K folds; UsageError below 2 or above 127."""
    if not 2 <= folds <= MAX_FOLDS:
        raise UsageError(f"cannot make {count_nouns(folds, 'fold')}", hint=f"choose 2 to {MAX_FOLDS}")
    return {f"fold {number}": 1 / folds for number in range(folds)}


def _sum_hint(ratios: Mapping[str, float], total: float) -> str:
    scaled = ",".join(f"{name}={value / total:.4g}" for name, value in ratios.items())
    return f"in the same proportion they would be {scaled}"


def _parse_number(word: str, text: str) -> float:
    word = word.strip()
    try:
        value = float(word.removesuffix("%"))
    except ValueError:
        raise UsageError(f"'{word}' in '{text}' is no number", hint=RATIOS_HINT) from None
    return value / 100 if word.endswith("%") else value


def _to_shares(values: list[float], text: str) -> list[float]:
    """Bare numbers that sum to 100 are percentages."""
    percent = abs(sum(values) - 100) < 1e-4 and "%" not in text
    return [value / 100 for value in values] if percent else values


def _usual_names(count: int, text: str) -> tuple[str, ...]:
    if count not in USUAL_NAMES:
        raise UsageError(
            f"'{text}' has {count_nouns(count, 'number')}, and names are usual for 1 to 3 parts",
            hint=RATIOS_HINT,
        )
    return USUAL_NAMES[count]


def _require_unique_names(names: list[str] | tuple[str, ...], values: list[float]) -> dict[str, float]:
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise UsageError(f"part '{twice[0]}' is named twice", hint=RATIOS_HINT)
    return dict(zip(names, values, strict=True))


def group_names(table: TableLike, grouping: Grouping) -> list[str]:
    """Each group's name: its smallest key of the coarsest kind it has, else its smallest row key.

    A name changes only when added rows merge the group with another or bring it a coarser key.
    """
    columns = [name for name in NAMING_COLUMNS if name in grouping.key_columns]
    names: list[str | None] = [None] * grouping.counts["groups"]
    for column in (*columns, "key"):
        values = row_keys(table) if column == "key" else factorize(table, column)
        for group, code in enumerate(_smallest_codes(values, grouping)):
            if names[group] is None and code >= 0:
                names[group] = f"{column}={values.value(code)}"
    return [name for name in names if name is not None]


def assign_by_hash(names: Sequence[str], ratios: Sequence[float], seed: int) -> Ints:
    """The part of each name: where its 64-bit hash falls among the cumulative ratios."""
    inner = [int(bound * 2**64) for bound in np.cumsum(ratios)[:-1]]
    bounds = np.array(inner, np.uint64)
    return np.searchsorted(bounds, _hash_names(names, seed), side="right").astype(np.int64)


def _hash_names(names: Sequence[str], seed: int) -> NDArray[np.uint64]:
    salt = hashlib.blake2b(f"dermdata split stable {seed}".encode(), digest_size=16).digest()
    digests = b"".join(hashlib.blake2b(name.encode(), key=salt, digest_size=8).digest() for name in names)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def _smallest_codes(values: FactorizedColumn, grouping: Grouping) -> list[int]:
    known = values.is_known
    smallest = np.full(grouping.counts["groups"], len(values.values))
    np.minimum.at(smallest, grouping.number[known], values.codes[known])
    return np.where(smallest == len(values.values), -1, smallest).tolist()  # type: ignore[no-any-return]  # numpy types no list


def _requested_parts(ratios: Mapping[str, float] | None, folds: int | None) -> dict[str, float]:
    if folds is None:
        return require_ratios(DEFAULT_RATIOS if ratios is None else ratios)
    if ratios is not None:
        raise UsageError("both ratios and folds are asked for", hint="choose one of --ratios and --folds")
    return require_folds(folds)


def _assign_parts(
    table: LazyTable,
    grouping: Grouping,
    columns: Mapping[str, FactorizedColumn],
    parts: Mapping[str, float],
    official: bool,
    stable: bool,
    seed: int,
) -> tuple[tuple[str, ...], Ints, tuple[str, ...]]:
    """Part names, the part of every row (below 0: none), and notes."""
    names, notes = tuple(parts), tuple[str, ...]()
    part = np.full(table.num_rows, FREE, np.int64)
    cohorts: tuple[tuple[Ints, tuple[str, ...]], ...] = ((np.arange(table.num_rows), names),)
    if official:
        fixed = fix_official_rows(table, grouping, names)
        names, part, cohorts, notes = fixed.parts, fixed.part.copy(), fixed.allowed, fixed.notes
    labels = group_names(table, grouping) if stable else None
    for rows, allowed in cohorts:
        place = np.array([names.index(name) for name in allowed])
        shares = np.array([parts[name] for name in allowed])
        part[rows] = place[
            _assign_cohort(rows, grouping, columns, allowed, shares / shares.sum(), labels, seed)
        ]
    return names, part, notes


def _assign_cohort(
    rows: Ints,
    grouping: Grouping,
    columns: Mapping[str, FactorizedColumn],
    names: Sequence[str],
    shares: NDArray[np.float64],
    labels: Sequence[str] | None,
    seed: int,
) -> Ints:
    """The part of each of these rows, which hold whole groups only."""
    numbers, group = np.unique(grouping.number[rows], return_inverse=True)
    group = group.reshape(-1).astype(np.int64)
    if labels is not None:
        return assign_by_hash([labels[number] for number in numbers], shares.tolist(), seed)[group]
    codes = [column.codes[rows] for column in columns.values()]
    return assign_groups(group, codes, names, shares.tolist(), seed)[group]


def _write_parts(table: pa.Table, names: Sequence[str], part: Ints, folds: int | None) -> pa.Table:
    in_fold = np.zeros(len(part), bool) if folds is None else (part >= 0) & (part < folds)
    if folds is None:
        words, code = list(names), part
    else:  # `split` only tells official rows from the rest
        words = [TRAIN, *names[folds:]]
        code = np.where(in_fold, 0 if len(names) > folds else -1, np.where(part >= 0, part - folds + 1, -1))
    fold = pa.array(part.astype(np.int8), pa.int8(), mask=~in_fold)
    indices = pa.array(code.astype(np.int32), pa.int32(), mask=code < 0)
    column = pa.DictionaryArray.from_arrays(indices, pa.array(words, pa.string()))
    return _replace_column(_replace_column(table, "split", column), "fold", fold)


def _replace_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    """The column in its old place, type and metadata; a new or all-null one takes the manifest's type."""
    if name not in table.column_names:
        return table.append_column(name, values)
    field = table.schema.field(name)
    if pa.types.is_null(field.type):
        field = field.with_type(values.type)
    return table.set_column(table.schema.get_field_index(name), field, values.cast(field.type))


def _torn_id_notes(ids: Mapping[str, IdSpread]) -> tuple[str, ...]:
    """A note for the coarser keys that the level asked for has spread over parts."""
    return tuple(
        f"{count_nouns(one.torn, 'value')} of {column} {agree_verb(one.torn, 'are')} "
        "in more than one part; --by auto keeps them together"
        for column, one in ids.items()
        if one.torn
    )


def _absent_class_notes(classes: Sequence[ClassShare]) -> tuple[str, ...]:
    """A note for each column with classes that some part holds no image of."""
    gone: dict[str, list[str]] = {}
    for line in classes:
        if line.images == 0:
            gone.setdefault(line.column, []).append(f"{line.value or 'missing'} ({line.part})")
    return tuple(f"{column}: no image of {_list_some(shown)}" for column, shown in gone.items())


def _list_some(words: Sequence[str]) -> str:
    more = len(words) - 5
    return ", ".join(words[:5]) + (f" and {more} more" if more > 0 else "")


def _stable_notes(stable: bool, stratify: Sequence[str]) -> tuple[str, ...]:
    balanced = not (stable and stratify)
    return () if balanced else ("stable: parts follow from the groups' keys alone, classes are not balanced",)
