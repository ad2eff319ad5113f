"""Pairs of images as columns of numbers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dermdata.images.fingerprint import BACK, TURNS

Numbers = NDArray[np.int64]
Small = NDArray[np.uint8]


class Pair(NamedTuple):
    """Image i looks like image j once j is turned."""

    i: int
    j: int
    distance: int  # differing bits
    transform: str  # one of TURNS
    likeness: float | None  # correlation of the aligned images; None: not verified


@dataclass(frozen=True)
class Pairs:
    """Many pairs, ordered by i and then j; of one set i < j."""

    i: Numbers
    j: Numbers
    distance: Small  # differing bits
    turn: Small  # number into TURNS: what to do to j's image
    likeness: NDArray[np.float32] | None = field(default=None)

    def __len__(self) -> int:
        return len(self.i)

    def __iter__(self) -> Iterator[Pair]:
        likeness = [None] * len(self) if self.likeness is None else self.likeness.tolist()
        columns = (self.i.tolist(), self.j.tolist(), self.distance.tolist(), self.turn.tolist(), likeness)
        for i, j, distance, turn, like in zip(*columns, strict=True):
            yield Pair(i, j, distance, TURNS[turn], like)

    def __getitem__(self, rows: NDArray[Any] | slice) -> "Pairs":
        likeness = None if self.likeness is None else self.likeness[rows]
        return Pairs(self.i[rows], self.j[rows], self.distance[rows], self.turn[rows], likeness)


def nothing() -> Pairs:
    numbers, small = np.empty(0, np.int64), np.empty(0, np.uint8)
    return Pairs(numbers, numbers, small, small)


def joined(parts: Sequence[Pairs]) -> Pairs:
    """Each pair once, at its least distance and plainest turn."""
    if not parts:
        return nothing()
    i, j = np.concatenate([one.i for one in parts]), np.concatenate([one.j for one in parts])
    distance = np.concatenate([one.distance for one in parts])
    turn = np.concatenate([one.turn for one in parts])
    order = np.lexsort((turn, distance, j, i))
    i, j = i[order], j[order]
    first = np.ones(len(i), bool)
    first[1:] = (i[1:] != i[:-1]) | (j[1:] != j[:-1])
    return Pairs(i[first], j[first], distance[order][first], turn[order][first])


def ascending(pairs: Pairs) -> Pairs:
    """The smaller number first; the turn then is the one back."""
    swap = pairs.i > pairs.j
    return Pairs(
        np.where(swap, pairs.j, pairs.i),
        np.where(swap, pairs.i, pairs.j),
        pairs.distance,
        np.where(swap, BACK[pairs.turn], pairs.turn),
    )
