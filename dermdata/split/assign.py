"""Groups to parts so that every part mirrors the whole: deal, then greedy, then improve.

Equal groups (same counts of every stratum) are dealt out by largest remainder; what is left over goes, the
largest first, where the cost falls most; `improve` then moves and swaps until nothing helps. The cost is
the chi-square distance Σ (have - want)² / want over parts and strata, and in a second run the squared
deviation in percentage points; the run with the smaller largest deviation wins. All sums run in a fixed
order (Python floats, bincount), never through BLAS, so the answer is the same on every machine.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from dermdata.errors import UsageError
from dermdata.split.columns import Ints
from dermdata.split.improve import Board, improve, sharpen
from dermdata.split.strata import count_strata, kinds, strata

FAR_OFF = 0.05  # of the whole: a group larger than any part's room by this much is refused
STARTS = 4  # greedy orders tried while the table of kinds is small, where one row more or less shows
SMALL = 2000  # entries times parts


def assign(
    group: Ints, columns: Sequence[Ints], names: Sequence[str], ratios: Sequence[float], seed: int
) -> Ints:
    """The part of each group (0 … parts-1), given each row's group and its code in every stratify column.

    `group` numbers the groups 0 … without a gap, in an order that the rows' order cannot change; `names` and
    `ratios` are the parts'. UsageError when there are fewer groups than parts or one is too large.
    """
    sizes = np.bincount(group)
    _require_possible(sizes, names, ratios)
    counts = count_strata(group, len(sizes), strata(columns, len(group), min(ratios)))
    kind = kinds(counts)
    first = np.unique(kind, return_index=True)[1]
    board = Board(counts.take(first), np.bincount(kind), np.array(ratios))
    _deal(board)
    starts = STARTS if len(board.line) * len(ratios) <= SMALL else 1
    costs = (board, board.in_points())
    tried = [_searched(one.copy(), seed, start) for start in range(starts) for one in costs]
    best = min(tried, key=Board.largest_deviation)
    return _hand_out(kind, (sharpen(best) if starts > 1 else best).placed, seed)


def _searched(board: Board, seed: int, start: int) -> Board:
    """The best board found from one greedy order."""
    _greedy(board, seed, start)
    _fill_empty(board)
    improve(board)
    return board


def noise(seed: int, count: int, purpose: str) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Random 64-bit numbers that a seed gives on every machine and with every NumPy (a Philox raw stream)."""
    key = hashlib.blake2b(f"dermdata split {purpose} {seed}".encode(), digest_size=16).digest()
    return np.random.Philox(key=int.from_bytes(key, "little")).random_raw(count)


def _deal(board: Board) -> None:
    board.place(np.floor(board.groups[:, None] * board.ratios[None, :] + 1e-9).astype(np.int64))


def _greedy(board: Board, seed: int, start: int) -> None:
    """Place what is left over, in steps of size classes; within a class the seed decides the order."""
    left = np.repeat(np.arange(board.kinds.lines), board.groups - board.placed.sum(axis=1))
    sizes = board.kinds.count[board.kinds.start[left]]  # the first stratum of every kind is "all rows"
    order = np.lexsort((noise(seed, len(left), f"order {start}"), -_size_class(sizes)))
    gap, weight = board.gap.tolist(), board.weight.tolist()
    added = np.zeros_like(board.placed)
    for kind in left[order].tolist():
        entries = board.entries(kind)
        costs = [
            sum(count * weights[s] * (2 * gaps[s] + count) for s, count in entries)
            for gaps, weights in zip(gap, weight, strict=True)
        ]
        part = costs.index(min(costs))
        added[kind, part] += 1
        for s, count in entries:
            gap[part][s] += count
    board.place(added)


def _size_class(sizes: Ints) -> Ints:
    """Sizes with all but their first three binary digits dropped: integers only, no logarithm."""
    bits = np.array([max(int(size).bit_length() - 3, 0) for size in np.unique(sizes)], np.int64)
    shift = bits[np.unique(sizes, return_inverse=True)[1].reshape(-1)] if len(sizes) else sizes
    return (sizes >> shift) << shift


def _fill_empty(board: Board) -> None:
    """Give every part at least one group; there are enough groups."""
    while (empty := np.flatnonzero(board.placed.sum(axis=0) == 0)).size:
        away, there = board.costs()
        cost = away.min(axis=0) + there[int(empty[0])]
        kind = int(cost.argmin())
        board.move(kind, int(away[:, kind].argmin()), int(empty[0]))


def _hand_out(kind: Ints, placed: Ints, seed: int) -> Ints:
    """Which of the equal groups go where is the seed's choice."""
    order = np.lexsort((noise(seed, len(kind), "equal groups"), kind))
    parts = np.tile(np.arange(placed.shape[1]), placed.shape[0])
    part = np.empty(len(kind), np.int64)
    part[order] = np.repeat(parts, placed.reshape(-1))
    return part


def _require_possible(sizes: Ints, names: Sequence[str], ratios: Sequence[float]) -> None:
    rows, groups = int(sizes.sum()), len(sizes)
    if groups < len(names):
        raise UsageError(
            f"{groups} group{'s' * (groups != 1)} cannot fill {len(names)} parts: {', '.join(names)}",
            hint=f"ask for at most {groups} parts" if groups > 1 else "more images are needed, or --by image",
        )
    largest, room = int(sizes.max()), max(ratios) * rows
    others = (rows - largest) / max(groups - 1, 1)
    if largest - room > max(FAR_OFF * rows, others):
        at_most = max(rows // largest, 1)
        raise UsageError(
            f"one group holds {largest} of {rows} images ({largest / rows:.1%}), but the largest part is to "
            f"have {max(ratios):.1%}",
            hint=f"give one part {largest / rows:.1%} or more"
            + (f", or make at most {at_most} equal parts" if at_most > 1 else ", or leave that group out"),
        )
