"""What must be shared out evenly: how often each group holds each stratum, as sparse counts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dermdata.errors import UnknownName
from dermdata.split.columns import Coded, Columns, Ints, coded


@dataclass(frozen=True, eq=False)
class Counts:
    """Sparse counts, one line per group or per kind of group; a line's strata are in ascending order."""

    start: Ints  # line -> its first entry; one longer than the lines
    stratum: Ints  # per entry
    count: Ints  # per entry, rows
    strata: int

    @property
    def lines(self) -> int:
        return len(self.start) - 1

    @property
    def line(self) -> Ints:
        """The line of every entry."""
        return np.repeat(np.arange(self.lines), np.diff(self.start))

    def take(self, lines: Ints) -> "Counts":
        """Only these lines, in this order."""
        length = np.diff(self.start)[lines]
        start = np.concatenate(([0], np.cumsum(length)))
        entry = np.arange(start[-1]) + np.repeat(self.start[lines] - start[:-1], length)
        return Counts(start, self.stratum[entry], self.count[entry], self.strata)


def stratify_columns(table: Columns, names: Sequence[str]) -> dict[str, Coded]:
    """The columns to stratify by; UnknownName, with the nearest names, for one that is not there."""
    for name in names:
        if name not in table.column_names:
            raise UnknownName("column", name, table.column_names, hint=", ".join(table.column_names))
    return {name: coded(table, name) for name in names}


def strata(columns: Sequence[Ints], rows: int, smallest: float) -> list[Ints]:
    """Per family of strata the stratum of each row, numbered through all families; -1 is none.

    The families: all rows (so that sizes count), each column's values with missing as its own, and for
    several columns their combinations, as far as the smallest part (its share of the whole) can expect a
    row of it; rarer combinations are left to the single columns.
    """
    values = [np.unique(column, return_inverse=True)[1].reshape(-1).astype(np.int64) for column in columns]
    families = [np.zeros(rows, np.int64), *values]
    if len(values) > 1:
        families.append(_dense_combinations(values, smallest))
    offset, numbered = 0, []
    for family in families:
        numbered.append(np.where(family < 0, -1, family + offset))
        offset += int(family.max(initial=-1)) + 1
    return numbered


def _dense_combinations(values: Sequence[Ints], smallest: float) -> Ints:
    cell = values[0]
    for column in values[1:]:
        pair = cell * (int(column.max(initial=0)) + 1) + column
        cell = np.unique(pair, return_inverse=True)[1].reshape(-1).astype(np.int64)
    dense = np.bincount(cell) * smallest >= 1
    number = np.where(dense, np.cumsum(dense) - 1, -1)
    return number[cell].astype(np.int64)


def count_strata(group: Ints, groups: int, families: Sequence[Ints]) -> Counts:
    """How often each group holds each stratum."""
    strata = max((int(family.max(initial=-1)) for family in families), default=-1) + 1
    pairs = np.concatenate([(group * strata + family)[family >= 0] for family in families])
    pair, count = np.unique(pairs, return_counts=True)
    start = np.searchsorted(pair, np.arange(groups + 1) * strata)
    return Counts(start.astype(np.int64), pair % strata, count.astype(np.int64), strata)


def kinds(groups: Counts) -> Ints:
    """A number for each group, equal for groups of equal counts, that follows from the counts alone.

    One pass per position in a line narrows the kinds down by that position's entry; groups whose line ends
    earlier keep theirs.
    """
    length = np.diff(groups.start)
    kind = np.zeros(groups.lines, np.int64)
    entry = groups.stratum * (int(groups.count.max(initial=0)) + 1) + groups.count
    entry = np.unique(entry, return_inverse=True)[1].reshape(-1).astype(np.int64)
    entries = int(entry.max(initial=0)) + 1
    active = np.flatnonzero(length > 0)
    for position in range(int(length.max(initial=0))):
        active = active[length[active] > position]
        narrowed = kind[active] * entries + entry[groups.start[active] + position]
        kind[active] = kind.max() + 1 + np.unique(narrowed, return_inverse=True)[1].reshape(-1)
        kind = np.unique(kind, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return kind
