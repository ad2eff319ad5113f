"""Local search over kinds of groups: the best single move, else the best swap, until neither helps."""

import copy
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dermdata.split.columns import Ints
from dermdata.split.strata import Counts

Floats = NDArray[np.float64]

HELPS = -1e-9  # a cost change above this is rounding
WORK = 500_000_000  # entry visits after which the search stops, so that huge tables end in minutes
SWAP_WORK = 20_000_000  # the same for one round of swaps
SHARPENINGS = 16
SIZES_COUNT = (1, 0.25)  # weight of the parts' sizes beside the strata's, each tried
CANDIDATES = 256  # kinds considered on each side of a swap


class Board:
    """How many groups of each kind lie in each part, and how far each part's strata are from their goal."""

    def __init__(self, kinds: Counts, groups: Ints, ratios: Floats) -> None:
        self.kinds, self.groups, self.ratios = kinds, groups, ratios
        self.line = kinds.line
        self.placed = np.zeros((kinds.lines, len(ratios)), np.int64)
        # stratum 0 is "all rows"
        rows = np.bincount(kinds.stratum, groups[self.line] * kinds.count, kinds.strata)
        self.total: Floats = rows.astype(np.float64)
        self.gap: Floats = -ratios[:, None] * self.total[None, :]  # rows over the goal, parts x strata
        self.weight: Floats = 1 / np.maximum(-self.gap, 1e-12)  # chi-square

    def copy(self) -> "Board":
        """A board to play on without touching this one."""
        other = copy.copy(self)
        other.placed, other.gap = self.placed.copy(), self.gap.copy()
        return other

    def in_points(self) -> "Board":
        """A board whose cost is the squared deviations in percentage points: rare strata weigh no more."""
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

    def entries(self, kind: int) -> list[tuple[int, int]]:
        """Stratum and rows of one group of this kind."""
        at = slice(self.kinds.start[kind], self.kinds.start[kind + 1])
        return list(zip(self.kinds.stratum[at].tolist(), self.kinds.count[at].tolist(), strict=True))

    def place(self, groups: Ints) -> None:
        """Put so many groups of each kind (kinds x parts) down, beside those that lie there."""
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

    def costs(self, *, keep_one: bool = True) -> tuple[Floats, Floats]:
        """The cost change of taking one group of each kind out of, and putting it into, each part.

        Both parts x kinds; infinite where there is none to take, or (`keep_one`) it is the part's last group.
        """
        gap, weight = self.gap[:, self.kinds.stratum], self.weight[:, self.kinds.stratum]
        count = self.kinds.count.astype(np.float64)
        linear, square = 2 * count * weight * gap, count * count * weight
        away, there = self._per_kind(square - linear), self._per_kind(square + linear)
        away[self.placed.T == 0] = np.inf
        if keep_one:
            away[self.placed.sum(axis=0) <= 1] = np.inf
        return away, there

    def _per_kind(self, values: Floats) -> Floats:
        lines = self.kinds.lines
        return np.stack([np.bincount(self.line, part, lines) for part in values])


def improve(board: Board) -> None:
    """Lower the board's cost until no move and no swap helps, or the work is worth no more."""
    rounds = max(WORK // max(board.gap.shape[0] * len(board.line), 1), 50)
    for _ in range(rounds):
        if not (_best_move(board) or _best_swap(board)):
            return


def sharpen(board: Board) -> Board:
    """The best board found while the worst strata weigh ever more.

    Squares spread an error; this goes on to lower the largest one, if need be at the price of a row more or
    less in a part's size.
    """
    sharpened = [one for size in SIZES_COUNT for one in _sharpened(board.in_points(), size)]
    return min(board, *sharpened, key=Board.largest_deviation)


def _sharpened(board: Board, size: float) -> Iterator[Board]:
    board.weight = board.weight.copy()
    board.weight[:, 0] *= size
    for _ in range(SHARPENINGS):
        worst = board.deviations()
        board.weight[worst > 0.99 * worst.max()] *= 2
        improve(board)
        yield board.copy()


def _best_move(board: Board) -> bool:
    """A part is never its own best target: out and in again costs twice the square."""
    away, there = board.costs()
    cost = away.min(axis=0) + there.min(axis=0)
    kind = int(cost.argmin())
    if not cost[kind] < HELPS:
        return False
    board.move(kind, int(away[:, kind].argmin()), int(there[:, kind].argmin()))
    return True


def _best_swap(board: Board) -> bool:
    away, there = board.costs(keep_one=False)
    parts = len(board.ratios)
    pairs = [(p, q) for p in range(parts) for q in range(p + 1, parts)]
    side = _candidates_that_fit(len(pairs), board)
    found = [_swap_between(board, p, q, away, there, side) for p, q in pairs]
    cost, kind, other, p, q = min(found, default=(0.0, 0, 0, 0, 0))
    if not cost < HELPS:
        return False
    board.move(kind, p, q)
    board.move(other, q, p)
    return True


def _candidates_that_fit(pairs: int, board: Board) -> int:
    per_pair = SWAP_WORK / max(pairs * board.kinds.strata, 1)
    return int(min(CANDIDATES, max(per_pair**0.5, 8)))


def _swap_between(
    board: Board, p: int, q: int, away: Floats, there: Floats, side: int
) -> tuple[float, int, int, int, int]:
    """The best swap of a group in p for one in q: both moves less what they cancel in each stratum."""
    forth, back = away[p] + there[q], away[q] + there[p]
    left, right = _cheapest(forth, side), _cheapest(back, side)
    if not (left.size and right.size):
        return (0.0, 0, 0, p, q)
    cost = forth[left][:, None] + back[right][None, :]
    ours, theirs = _dense(board.kinds, left), _dense(board.kinds, right)
    for stratum in np.flatnonzero(ours.any(axis=0) & theirs.any(axis=0)):
        weight = 2 * (board.weight[p, stratum] + board.weight[q, stratum])
        cost -= weight * ours[:, stratum, None] * theirs[None, :, stratum]
    best = int(cost.argmin())
    i, j = divmod(best, len(right))
    return (float(cost[i, j]), int(left[i]), int(right[j]), p, q)


def _cheapest(cost: Floats, side: int) -> Ints:
    order = np.argsort(cost, kind="stable")[:side]
    return order[np.isfinite(cost[order])]


def _dense(kinds: Counts, lines: Ints) -> Floats:
    """The counts of a few kinds as a full table, kinds x strata."""
    taken = kinds.take(lines)
    full = np.zeros((len(lines), kinds.strata))
    full[taken.line, taken.stratum] = taken.count
    return full
