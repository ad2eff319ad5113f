"""Groups are assigned to parts so that every part mirrors the whole: deal, place greedily, then search locally.

Equal groups (same counts of every stratum) are dealt out by largest remainder; what is left over goes, the
largest first, where the cost falls most; a local search then moves and swaps until nothing helps. The cost is
the chi-square distance Σ (have - want)² / want over parts and strata, and in a second run the squared
deviation in percentage points; the run with the smaller largest deviation wins. All sums run in a fixed
order (Python floats, bincount), never through BLAS, so the answer is the same on every machine.
"""

import copy
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dermdata.errors import UnknownName, UsageError
from dermdata.manifest.columns import Ints, find_extra_column
from dermdata.markup import count_nouns
from dermdata.split.groups import FactorizedColumn, TableLike, factorize

Floats = NDArray[np.float64]
MIN_COST_CHANGE = -1e-9  # a cost change above this is rounding
MAX_WORK = 500_000_000  # entry visits after which the search stops, so that huge tables end in minutes
MAX_SWAP_WORK = 20_000_000  # the same for one round of swaps
REWEIGHT_ROUNDS = 16
SIZE_WEIGHTS = (1, 0.25)  # weight of the parts' sizes beside the strata's, each tried
MAX_CANDIDATES = 256  # kinds considered on each side of a swap
MAX_OVERSIZE = 0.05  # of the whole: a group larger than any part's room by this much is refused
GREEDY_STARTS = 4  # greedy orders tried while the table of kinds is small, where one row more or less shows
SMALL_TABLE = 2000  # entries times parts


@dataclass(frozen=True, eq=False)
class StratumCounts:
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

    def take(self, lines: Ints) -> "StratumCounts":
        """Only these lines, in this order."""
        length = np.diff(self.start)[lines]
        start = np.concatenate(([0], np.cumsum(length)))
        entry = np.arange(start[-1]) + np.repeat(self.start[lines] - start[:-1], length)
        return StratumCounts(start, self.stratum[entry], self.count[entry], self.strata)


def stratify_columns(table: TableLike, names: Sequence[str]) -> dict[str, FactorizedColumn]:
    """The columns to stratify by; UnknownName, with the nearest names, for one that is not there."""
    return {name: stratify_column(table, name) for name in names}


def stratify_column(table: TableLike, name: str) -> FactorizedColumn:
    if (words := find_extra_column(table, name)) is not None:
        return factorize(pa.table({name: words}), name)
    if name not in table.column_names:
        raise UnknownName("column", name, table.column_names, hint=", ".join(table.column_names))
    return factorize(table, name)


def number_strata(columns: Sequence[Ints], rows: int, smallest: float) -> list[Ints]:
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


def count_strata(group: Ints, groups: int, families: Sequence[Ints]) -> StratumCounts:
    """How often each group holds each stratum."""
    strata = max((int(family.max(initial=-1)) for family in families), default=-1) + 1
    pairs = np.concatenate([(group * strata + family)[family >= 0] for family in families])
    pair, count = np.unique(pairs, return_counts=True)
    start = np.searchsorted(pair, np.arange(groups + 1) * strata)
    return StratumCounts(start.astype(np.int64), pair % strata, count.astype(np.int64), strata)


def number_kinds(groups: StratumCounts) -> Ints:
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


class Assignment:
    """How many groups of each kind lie in each part, and how far each part's strata are from their goal."""

    def __init__(self, kinds: StratumCounts, groups: Ints, ratios: Floats) -> None:
        self.kinds, self.groups, self.ratios = kinds, groups, ratios
        self.line = kinds.line
        self.placed = np.zeros((kinds.lines, len(ratios)), np.int64)
        # stratum 0 is "all rows"
        rows = np.bincount(kinds.stratum, groups[self.line] * kinds.count, kinds.strata)
        self.total: Floats = rows.astype(np.float64)
        self.gap: Floats = -ratios[:, None] * self.total[None, :]  # rows over the goal, parts x strata
        self.weight: Floats = 1 / np.maximum(-self.gap, 1e-12)  # chi-square

    def copy(self) -> "Assignment":
        """A copy that can change without this one."""
        other = copy.copy(self)
        other.placed, other.gap = self.placed.copy(), self.gap.copy()
        return other

    def to_percentage_points(self) -> "Assignment":
        """A copy whose cost is the squared deviations in percentage points: rare strata weigh no more."""
        other = self.copy()
        other.weight = np.broadcast_to((1 / self.ratios**2)[:, None] / self.total[0], self.gap.shape)
        return other

    def deviations(self) -> Floats:
        """Of each stratum's share in a part from its share in the whole, without sign; parts x strata."""
        have = self.gap + self.ratios[:, None] * self.total
        off: Floats = have / np.maximum(have[:, :1], 1) - self.total / self.total[0]
        return np.abs(off)

    def largest_deviation(self) -> float:
        return float(self.deviations().max())

    def badness(self) -> tuple[bool, float]:
        """What makes one assignment worse than another.

        First whether a part's size is off its goal by more rows than the largest group has, then the largest deviation.
        """
        largest_group = self.kinds.count[self.kinds.start[:-1]].max()  # a kind's first entry is "all rows"
        excess = np.abs(self.gap[:, 0]).max()
        return bool(excess > largest_group - MIN_COST_CHANGE), self.largest_deviation()

    def entries(self, kind: int) -> list[tuple[int, int]]:
        """Stratum and rows of one group of this kind."""
        at = slice(self.kinds.start[kind], self.kinds.start[kind + 1])
        return list(zip(self.kinds.stratum[at].tolist(), self.kinds.count[at].tolist(), strict=True))

    def place(self, groups: Ints) -> None:
        """Add so many groups of each kind (kinds x parts)."""
        self.placed += groups
        for part in range(len(self.ratios)):
            rows = groups[self.line, part] * self.kinds.count
            self.gap[part] += np.bincount(self.kinds.stratum, rows, self.kinds.strata)

    def move(self, kind: int, source: int, target: int) -> None:
        """Move one group of this kind."""
        at = slice(self.kinds.start[kind], self.kinds.start[kind + 1])
        self.gap[source, self.kinds.stratum[at]] -= self.kinds.count[at]
        self.gap[target, self.kinds.stratum[at]] += self.kinds.count[at]
        self.placed[kind, source] -= 1
        self.placed[kind, target] += 1

    def move_costs(self, *, keep_one: bool = True) -> tuple[Floats, Floats]:
        """The cost change of taking one group of each kind out of, and putting it into, each part.

        Both parts x kinds; infinite where there is none to take, or (`keep_one`) it is the part's last group.
        """
        gap, weight = self.gap[:, self.kinds.stratum], self.weight[:, self.kinds.stratum]
        count = self.kinds.count.astype(np.float64)
        linear, square = 2 * count * weight * gap, count * count * weight
        away, there = self._sum_by_kind(square - linear), self._sum_by_kind(square + linear)
        away[self.placed.T == 0] = np.inf
        if keep_one:
            away[self.placed.sum(axis=0) <= 1] = np.inf
        return away, there

    def _sum_by_kind(self, values: Floats) -> Floats:
        lines = self.kinds.lines
        return np.stack([np.bincount(self.line, part, lines) for part in values])


def minimize_cost(assignment: Assignment) -> None:
    """Lower the cost until no move and no swap helps, or the work is worth no more."""
    rounds = max(MAX_WORK // max(assignment.gap.shape[0] * len(assignment.line), 1), 50)
    for _ in range(rounds):
        if not (_best_move(assignment) or _best_swap(assignment)):
            return


def minimize_worst(assignment: Assignment) -> Assignment:
    """The best assignment found while the worst strata weigh ever more.

    Squares spread an error; this goes on to lower the largest one, if need be at the price of a row more or
    less in a part's size.
    """
    sharpened = [
        one for size in SIZE_WEIGHTS for one in _reweight_worst(assignment.to_percentage_points(), size)
    ]
    return min(assignment, *sharpened, key=Assignment.badness)


def _reweight_worst(assignment: Assignment, size: float) -> Iterator[Assignment]:
    assignment.weight = assignment.weight.copy()
    assignment.weight[:, 0] *= size
    for _ in range(REWEIGHT_ROUNDS):
        worst = assignment.deviations()
        assignment.weight[worst > 0.99 * worst.max()] *= 2
        minimize_cost(assignment)
        yield assignment.copy()


def _best_move(assignment: Assignment) -> bool:
    """A part is never its own best target: out and in again costs twice the square."""
    away, there = assignment.move_costs()
    cost = away.min(axis=0) + there.min(axis=0)
    kind = int(cost.argmin())
    if not cost[kind] < MIN_COST_CHANGE:
        return False
    assignment.move(kind, int(away[:, kind].argmin()), int(there[:, kind].argmin()))
    return True


def _best_swap(assignment: Assignment) -> bool:
    away, there = assignment.move_costs(keep_one=False)
    parts = len(assignment.ratios)
    pairs = [(p, q) for p in range(parts) for q in range(p + 1, parts)]
    side = _count_candidates(len(pairs), assignment)
    found = [_swap_between(assignment, p, q, away, there, side) for p, q in pairs]
    cost, kind, other, p, q = min(found, default=(0.0, 0, 0, 0, 0))
    if not cost < MIN_COST_CHANGE:
        return False
    assignment.move(kind, p, q)
    assignment.move(other, q, p)
    return True


def _count_candidates(pairs: int, assignment: Assignment) -> int:
    per_pair = MAX_SWAP_WORK / max(pairs * assignment.kinds.strata, 1)
    return int(min(MAX_CANDIDATES, max(per_pair**0.5, 8)))


def _swap_between(
    assignment: Assignment, p: int, q: int, away: Floats, there: Floats, side: int
) -> tuple[float, int, int, int, int]:
    """The best swap of a group in p for one in q: both moves less what they cancel in each stratum."""
    forth, back = away[p] + there[q], away[q] + there[p]
    left, right = _cheapest(forth, side), _cheapest(back, side)
    if not (left.size and right.size):
        return (0.0, 0, 0, p, q)
    cost = forth[left][:, None] + back[right][None, :]
    ours, theirs = _dense_counts(assignment.kinds, left), _dense_counts(assignment.kinds, right)
    for stratum in np.flatnonzero(ours.any(axis=0) & theirs.any(axis=0)):
        weight = 2 * (assignment.weight[p, stratum] + assignment.weight[q, stratum])
        cost -= weight * ours[:, stratum, None] * theirs[None, :, stratum]
    best = int(cost.argmin())
    i, j = divmod(best, len(right))
    return (float(cost[i, j]), int(left[i]), int(right[j]), p, q)


def _cheapest(cost: Floats, side: int) -> Ints:
    order = np.argsort(cost, kind="stable")[:side]
    return order[np.isfinite(cost[order])]


def _dense_counts(kinds: StratumCounts, lines: Ints) -> Floats:
    """The counts of a few kinds as a full table, kinds x strata."""
    taken = kinds.take(lines)
    full = np.zeros((len(lines), kinds.strata))
    full[taken.line, taken.stratum] = taken.count
    return full


def assign_groups(
    group: Ints, columns: Sequence[Ints], names: Sequence[str], ratios: Sequence[float], seed: int
) -> Ints:
    """The part of each group (0 … parts-1), given each row's group and its code in every stratify column.

    `group` numbers the groups 0 … without a gap, in an order that the rows' order cannot change; `names` and
    `ratios` are the parts'. UsageError when there are fewer groups than parts or one is too large.
    """
    sizes = np.bincount(group)
    _require_possible(sizes, names, ratios)
    counts = count_strata(group, len(sizes), number_strata(columns, len(group), min(ratios)))
    kind = number_kinds(counts)
    first = np.unique(kind, return_index=True)[1]
    assignment = Assignment(counts.take(first), np.bincount(kind), np.array(ratios))
    _deal_equal_groups(assignment)
    starts = GREEDY_STARTS if len(assignment.line) * len(ratios) <= SMALL_TABLE else 1
    costs = (assignment, assignment.to_percentage_points())
    tried = [_search_from_start(one.copy(), seed, start) for start in range(starts) for one in costs]
    best = min(tried, key=Assignment.badness)
    return _distribute_groups(kind, (minimize_worst(best) if starts > 1 else best).placed, seed)


def _search_from_start(assignment: Assignment, seed: int, start: int) -> Assignment:
    """The best assignment found from one greedy order."""
    _place_greedily(assignment, seed, start)
    _fill_empty(assignment)
    minimize_cost(assignment)
    return assignment


def random_numbers(seed: int, count: int, purpose: str) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Random 64-bit numbers that a seed gives on every machine and with every NumPy (a Philox raw stream)."""
    key = hashlib.blake2b(f"dermdata split {purpose} {seed}".encode(), digest_size=16).digest()
    return np.random.Philox(key=int.from_bytes(key, "little")).random_raw(count)


def _deal_equal_groups(assignment: Assignment) -> None:
    assignment.place(
        np.floor(assignment.groups[:, None] * assignment.ratios[None, :] + 1e-9).astype(np.int64)
    )


def _place_greedily(assignment: Assignment, seed: int, start: int) -> None:
    """Place what is left over, in steps of size classes; within a class the seed decides the order."""
    left = np.repeat(np.arange(assignment.kinds.lines), assignment.groups - assignment.placed.sum(axis=1))
    # the first stratum of every kind is "all rows"
    sizes = assignment.kinds.count[assignment.kinds.start[left]]
    order = np.lexsort((random_numbers(seed, len(left), f"order {start}"), -_size_class(sizes)))
    gap, weight = assignment.gap.tolist(), assignment.weight.tolist()
    added = np.zeros_like(assignment.placed)
    for kind in left[order].tolist():
        entries = assignment.entries(kind)
        costs = [
            sum(count * weights[s] * (2 * gaps[s] + count) for s, count in entries)
            for gaps, weights in zip(gap, weight, strict=True)
        ]
        part = costs.index(min(costs))
        added[kind, part] += 1
        for s, count in entries:
            gap[part][s] += count
    assignment.place(added)


def _size_class(sizes: Ints) -> Ints:
    """Sizes with all but their first three binary digits dropped: integers only, no logarithm."""
    bits = np.array([max(int(size).bit_length() - 3, 0) for size in np.unique(sizes)], np.int64)
    shift = bits[np.unique(sizes, return_inverse=True)[1].reshape(-1)] if len(sizes) else sizes
    return (sizes >> shift) << shift


def _fill_empty(assignment: Assignment) -> None:
    """Give every part at least one group; there are enough groups."""
    while (empty := np.flatnonzero(assignment.placed.sum(axis=0) == 0)).size:
        away, there = assignment.move_costs()
        cost = away.min(axis=0) + there[int(empty[0])]
        kind = int(cost.argmin())
        assignment.move(kind, int(away[:, kind].argmin()), int(empty[0]))


def _distribute_groups(kind: Ints, placed: Ints, seed: int) -> Ints:
    """Which of the equal groups go where is the seed's choice."""
    order = np.lexsort((random_numbers(seed, len(kind), "equal groups"), kind))
    parts = np.tile(np.arange(placed.shape[1]), placed.shape[0])
    part = np.empty(len(kind), np.int64)
    part[order] = np.repeat(parts, placed.reshape(-1))
    return part


def _require_possible(sizes: Ints, names: Sequence[str], ratios: Sequence[float]) -> None:
    rows, groups = int(sizes.sum()), len(sizes)
    if groups < len(names):
        raise UsageError(
            f"{count_nouns(groups, 'group')} cannot fill {count_nouns(len(names), 'part')}: {', '.join(names)}",
            hint=f"ask for at most {count_nouns(groups, 'part')}"
            if groups > 1
            else "more images are needed, or --by image",
        )
    largest, room = int(sizes.max()), max(ratios) * rows
    others = (rows - largest) / max(groups - 1, 1)
    if largest - room > max(MAX_OVERSIZE * rows, others):
        at_most = max(rows // largest, 1)
        raise UsageError(
            f"one group holds {largest} of {count_nouns(rows, 'image')} ({largest / rows:.1%}), but the largest part is to "
            f"have {max(ratios):.1%}",
            hint=f"give one part {largest / rows:.1%} or more"
            + (
                f", or make at most {count_nouns(at_most, 'equal part')}"
                if at_most > 1
                else ", or leave that group out"
            ),
        )
