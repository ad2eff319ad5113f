"""The exact trade-off between classes and images: which labels to leave out, for each number of classes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

Left = tuple[Any, ...]  # the places left out: nested tuples, joined without copying


@dataclass(frozen=True, slots=True)
class Way:
    """One way to a number of classes: what is left out, how many sets that are, and what it costs."""

    cost: int
    sets: int
    left: Left

    def and_then(self, other: "Way") -> "Way":
        if not other.sets:
            return self
        return (
            Way(self.cost + other.cost, self.sets + other.sets, (self.left, other.left))
            if self.sets
            else other
        )

    def beats(self, other: "Way | None") -> bool:
        """Cheaper, or as cheap with less left out."""
        return other is None or (self.cost, self.sets) < (other.cost, other.sets)


Front = dict[int, Way]  # number of classes -> the best way to it
Found = dict[int, tuple[int, list[int]]]  # number of classes -> (cost, places left out)
FREE = Way(0, 0, ())


def components(extents: Sequence[int]) -> list[list[int]]:
    """The places of the sets that hang together by overlapping, each list and their first places in order."""
    found: list[tuple[int, list[int]]] = []
    for place, extent in enumerate(extents):
        touching = [part for part in found if part[0] & extent]
        if touching:
            found = [part for part in found if not part[0] & extent]
        union = extent
        for part in touching:
            union |= part[0]
        found.append((union, sorted([place, *(one for part in touching for one in part[1])])))
    return sorted(part for _, part in found)


def frontier(extents: Sequence[int], costs: Sequence[int | None]) -> Found:
    """Number of classes -> (least cost, places left out); a set whose cost is None cannot be left out.

    A component stays together (one class, free) or loses its most overlapping set. Only where that set is
    kept and yet does not touch everything, both ways are followed. Nested sets, which all single concepts are,
    never branch, so that the work grows only with the lumps across branches of the tree.
    """

    @cache
    def solve(free: tuple[int, ...], kept: tuple[int, ...]) -> Front:
        total: Front = {0: FREE}
        every = [*(extents[place] for place in free), *kept]
        for part in components(every):
            inside = tuple(free[place] for place in part if place < len(free))
            hold = tuple(every[place] for place in part if place >= len(free))
            total = side_by_side(total, component(inside, hold))
        return total

    @cache
    def component(free: tuple[int, ...], kept: tuple[int, ...]) -> Front:
        # what lies inside a kept set belongs to its class whatever else happens
        free = tuple(one for one in free if all(extents[one] & ~hold for hold in kept))
        best: Front = {1: FREE}
        if not free:
            return best
        touched = {one: overlaps(extents[one], free, kept) for one in free}
        pivot = max(free, key=lambda one: (touched[one], extents[one].bit_count(), -one))
        rest = tuple(one for one in free if one != pivot)
        cost = costs[pivot]
        if cost is not None and (rest or kept):
            out = Way(cost, 1, (pivot,))
            take_better(best, {classes: out.and_then(way) for classes, way in solve(rest, kept).items()})
        if touched[pivot] < len(free) + len(kept):
            take_better(best, solve(rest, merged(extents[pivot], kept)))
        return best

    def overlaps(extent: int, free: tuple[int, ...], kept: tuple[int, ...]) -> int:
        return sum(1 for one in free if extents[one] & extent) + sum(1 for hold in kept if hold & extent)

    best = solve(tuple(range(len(extents))), ())
    return {classes: (way.cost, sorted(flat(way.left))) for classes, way in best.items()}


def worthwhile(found: Found) -> Found:
    """Without the numbers of classes that cost no less than a higher one; leaving nothing out always counts."""
    return {
        classes: (cost, left)
        for classes, (cost, left) in found.items()
        if not left or all(cost < more for higher, (more, _) in found.items() if higher > classes)
    }


def merged(extent: int, kept: tuple[int, ...]) -> tuple[int, ...]:
    """The kept sets with one more, which swallows those that it touches."""
    apart = tuple(hold for hold in kept if not hold & extent)
    for hold in kept:
        extent |= hold if hold & extent else 0
    return tuple(sorted((extent, *apart)))


def take_better(best: Front, other: Front) -> None:
    for classes, way in other.items():
        if way.beats(best.get(classes)):
            best[classes] = way


def side_by_side(one: Front, other: Front) -> Front:
    """The classes of two parts that do not touch, added up."""
    total: Front = {}
    for classes, way in one.items():
        take_better(total, {classes + more: way.and_then(then) for more, then in other.items()})
    return total


def flat(left: Left) -> Iterator[int]:
    todo: list[Any] = [left]
    while todo:
        one = todo.pop()
        if isinstance(one, tuple):
            todo.extend(one)
        else:
            yield one
