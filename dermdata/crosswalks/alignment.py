"""The finest common label space of several datasets, and what a finer one would cost; pure.

Each raw label has an extent: the concepts it may cover. Labels whose extents overlap must share a class, so the classes
are the connected components of the overlap graph: every label falls whole into one class, and no finer space has that.
One catch-all word can glue everything; the trade-off between classes and images is solved exactly.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Any

from dermdata.crosswalks.extents import Extent, Extents, catch_all_reason, label_extent
from dermdata.errors import UsageError
from dermdata.markup import count_nouns
from dermdata.model import Label
from dermdata.vocabulary import LabelSpace, Vocabulary

LeftOut = tuple[Any, ...]  # the places left out: nested tuples, joined without copying
Solutions = dict[int, tuple[int, list[int]]]  # number of classes -> (cost, places left out)
LabelRow = tuple[str, Label, int | None]  # dataset, label, its number of images (None: not known)


@dataclass(frozen=True, slots=True)
class PartialSolution:
    """One way to a number of classes: what is left out, how many sets that are, and what it costs."""

    cost: int
    sets: int
    left: LeftOut

    def combine(self, other: "PartialSolution") -> "PartialSolution":
        if not other.sets:
            return self
        return (
            PartialSolution(self.cost + other.cost, self.sets + other.sets, (self.left, other.left))
            if self.sets
            else other
        )

    def is_better(self, other: "PartialSolution | None") -> bool:
        """Cheaper, or as cheap with less left out."""
        return other is None or (self.cost, self.sets) < (other.cost, other.sets)


Frontier = dict[int, PartialSolution]  # number of classes -> the best way to it
NOTHING_LEFT_OUT = PartialSolution(0, 0, ())


def connected_components(extents: Sequence[int]) -> list[list[int]]:
    """The places of the sets that hang together by overlapping, each list and their first places in order."""
    found: list[tuple[int, list[int]]] = []
    for place, extent in enumerate(extents):
        touching = [part for part in found if part[0] & extent]
        if touching:
            found = [part for part in found if not part[0] & extent]
        union, places = extent, [place]
        for other, more in touching:
            union |= other
            places += more
        found.append((union, sorted(places)))
    return sorted(part for _, part in found)


def solve_frontier(extents: Sequence[int], costs: Sequence[int | None]) -> Solutions:
    """Number of classes -> (least cost, places left out); a set whose cost is None cannot be left out.

    A component stays together (one class, free) or loses its most overlapping set. Only where that set is
    kept and yet does not touch everything, both ways are followed. Nested sets, which all single concepts are,
    never branch, so that the work grows only with the lumps across branches of the tree.
    """

    @cache
    def solve(free: tuple[int, ...], kept: tuple[int, ...]) -> Frontier:
        total: Frontier = {0: NOTHING_LEFT_OUT}
        every = [*(extents[place] for place in free), *kept]
        for part in connected_components(every):
            inside = tuple(free[place] for place in part if place < len(free))
            hold = tuple(every[place] for place in part if place >= len(free))
            total = combine_frontiers(total, component(inside, hold))
        return total

    @cache
    def component(free: tuple[int, ...], kept: tuple[int, ...]) -> Frontier:
        # what lies inside a kept set belongs to its class whatever else happens
        free = tuple(one for one in free if all(extents[one] & ~hold for hold in kept))
        best: Frontier = {1: NOTHING_LEFT_OUT}
        if not free:
            return best
        touched = {one: overlaps(extents[one], free, kept) for one in free}
        pivot = max(free, key=lambda one: (touched[one], extents[one].bit_count(), -one))
        rest = tuple(one for one in free if one != pivot)
        cost = costs[pivot]
        if cost is not None and (rest or kept):
            out = PartialSolution(cost, 1, (pivot,))
            keep_better(best, {classes: out.combine(way) for classes, way in solve(rest, kept).items()})
        if touched[pivot] < len(free) + len(kept):
            keep_better(best, solve(rest, absorb_overlaps(extents[pivot], kept)))
        return best

    def overlaps(extent: int, free: tuple[int, ...], kept: tuple[int, ...]) -> int:
        return sum(1 for one in free if extents[one] & extent) + sum(1 for hold in kept if hold & extent)

    best = solve(tuple(range(len(extents))), ())
    return {classes: (way.cost, sorted(flatten(way.left))) for classes, way in best.items()}


def drop_dominated(found: Solutions) -> Solutions:
    """Without the numbers of classes that cost no less than a higher one; leaving nothing out always counts."""
    return {
        classes: (cost, left)
        for classes, (cost, left) in found.items()
        if not left or all(cost < more for higher, (more, _) in found.items() if higher > classes)
    }


def absorb_overlaps(extent: int, kept: tuple[int, ...]) -> tuple[int, ...]:
    """The kept sets with one more, which is joined with those that it overlaps."""
    apart = tuple(hold for hold in kept if not hold & extent)
    for hold in kept:
        extent |= hold if hold & extent else 0
    return tuple(sorted((extent, *apart)))


def keep_better(best: Frontier, other: Frontier) -> None:
    for classes, way in other.items():
        if way.is_better(best.get(classes)):
            best[classes] = way


def combine_frontiers(one: Frontier, other: Frontier) -> Frontier:
    """The classes of two parts that do not touch, added up."""
    total: Frontier = {}
    for classes, way in one.items():
        keep_better(total, {classes + more: way.combine(then) for more, then in other.items()})
    return total


def flatten(left: LeftOut) -> Iterator[int]:
    todo: list[Any] = [left]
    while todo:
        one = todo.pop()
        if isinstance(one, tuple):
            todo.extend(one)
        else:
            yield one


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCount:
    """One dataset's label and its number of images, None where nobody stated it."""

    dataset: str
    label: Label
    count: int | None

    @property
    def key(self) -> tuple[str, str, str]:
        return self.dataset, self.label.field, self.label.raw_label


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignedClass:
    """One class of the common space; its id, `a+b` of its concepts, can be written in `--labels`."""

    id: str
    name: str
    concepts: tuple[str, ...]  # whole subtrees, none inside another
    labels: tuple[LabelCount, ...]
    images: int  # as far as counts are known


@dataclass(frozen=True, slots=True, kw_only=True)
class UnassignedLabel:
    """A label left out of the space, and why."""

    label: LabelCount
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForcedMerge:
    """Labels of one meaning that force a merge, and the classes that would remain without them."""

    labels: tuple[LabelCount, ...]
    into: str  # id of the class they glue together
    without: tuple[tuple[str, ...], ...]  # the concepts of each part


@dataclass(frozen=True, slots=True, kw_only=True)
class WiderLabels:
    """Labels of one meaning that hold others whole, which for that share their class."""

    labels: tuple[LabelCount, ...]
    into: str  # id of the class
    holds: tuple[LabelCount, ...]

    @property
    def members(self) -> tuple[str, ...]:
        """What a lump may mean; empty for a concept that is just wider."""
        return next((one.label.members for one in self.labels if one.label.members), ())


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeoffChoice:
    """One line of the trade-off: to have this many classes or more, at least these images are lost."""

    classes: int
    images_left_out: int
    labels: tuple[LabelCount, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """The common space, what is outside it, and what the alternatives cost."""

    classes: tuple[AlignedClass, ...]
    unassigned: tuple[UnassignedLabel, ...]
    tradeoff: tuple[TradeoffChoice, ...]
    forced: tuple[ForcedMerge, ...]
    wider: tuple[WiderLabels, ...]

    def space(self, name: str = "aligned") -> LabelSpace:
        """The classes as a label space: every assigned label projects to its class."""
        items = {one.id: tuple((concept, None) for concept in one.concepts) for one in self.classes}
        return LabelSpace(name, items)


@dataclass(frozen=True, slots=True)
class ExtentGroup:
    """All labels of one extent: they can only be kept or left out together."""

    extent: Extent
    labels: tuple[LabelCount, ...]

    @property
    def images(self) -> int | None:
        """What leaving them out costs; None when a count is not known, then they cannot be left out."""
        counts = [one.count for one in self.labels]
        return None if None in counts else sum(filter(None, counts))

    def price(self, vocabulary: Vocabulary) -> int | None:
        """`images`, but a catch-all counts as far as is known: it is not in the space anyway."""
        known = sum(one.count or 0 for one in self.labels)
        return known if all(catch_all_reason(one.label, vocabulary) for one in self.labels) else self.images


def align_labels(
    rows: Iterable[LabelRow], vocabulary: Vocabulary, *, max_loss: float | None = None, keep_all: bool = False
) -> Alignment:
    """Join the labels of several datasets in the finest space that keeps each of them whole.

    By default catch-all labels (root, a superclass with finer concepts, `unknown`) and mere overlaps stay
    unassigned.

    Parameters
    ----------
    rows : iterable of (str, Label, int or None)
        Dataset, label, and its number of images where that is known.
    vocabulary : Vocabulary
        The concepts' tree.
    max_loss : float, optional
        Leave out what the finest space within this loss leaves out instead: a share of the images, 0.02 = 2 %.
    keep_all : bool
        Leave nothing out.

    Returns
    -------
    Alignment
        The classes, the labels outside them, and what more classes would cost.

    Raises
    ------
    UsageError
        `max_loss` is no share, or is given together with `keep_all`.

    """
    if max_loss is not None:
        require_share(max_loss, keep_all=keep_all)
    counted = sorted((LabelCount(dataset=a, label=b, count=c) for a, b, c in rows), key=attrgetter("key"))
    extents = Extents(vocabulary)
    choices = list_tradeoffs(group_labels(counted, extents), vocabulary)
    if keep_all:
        left_out: dict[LabelCount, str] = {}
    elif max_loss is None:
        left_out = list_catch_alls(counted, vocabulary)
    else:
        left_out = choose_left_out(max_loss, counted, choices)
    kept = group_labels([one for one in counted if one not in left_out], extents)
    classes = build_classes(kept, extents)
    return Alignment(
        classes=classes,
        unassigned=tuple(
            UnassignedLabel(label=one, reason=why + glue_note(one, classes, extents))
            for one, why in left_out.items()
        ),
        tradeoff=choices,
        forced=tuple(list_forced_merges(kept, extents)),
        wider=tuple(list_wider_labels(kept, extents)),
    )


def require_share(max_loss: float, *, keep_all: bool) -> None:
    """UsageError for a loss that is no share, or that is allowed where all labels are kept."""
    if keep_all:
        raise UsageError("either keep all labels or allow a loss, not both")
    if not 0 <= max_loss <= 1:
        raise UsageError(f"a loss of {max_loss} is no share", hint="write a number from 0 to 1")


def group_labels(labels: Sequence[LabelCount], extents: Extents) -> list[ExtentGroup]:
    """Labels by extent, in an order that does not depend on the order of the datasets."""
    found: dict[Extent, list[LabelCount]] = {}
    for one in labels:
        found.setdefault(label_extent(one.label, extents), []).append(one)
    return [ExtentGroup(extent, tuple(found[extent])) for extent in sorted(found)]


def group_components(groups: Sequence[ExtentGroup]) -> list[list[ExtentGroup]]:
    """The groups that must share a class, component by component."""
    return [
        [groups[place] for place in part] for part in connected_components([one.extent for one in groups])
    ]


def build_classes(groups: Sequence[ExtentGroup], extents: Extents) -> tuple[AlignedClass, ...]:
    """One class of each component, in the vocabulary's order."""
    classes = [build_class(part, extents) for part in group_components(groups)]
    return tuple(sorted(classes, key=lambda one: extents.position(one.concepts[0])))


def build_class(groups: Sequence[ExtentGroup], extents: Extents) -> AlignedClass:
    concepts = top_concepts(groups, extents)
    labels = tuple(sorted((one for group in groups for one in group.labels), key=lambda one: one.key))
    return AlignedClass(
        id="+".join(concepts),
        name=extents.title(concepts),
        concepts=concepts,
        labels=labels,
        images=sum(one.count or 0 for one in labels),
    )


def top_concepts(groups: Iterable[ExtentGroup], extents: Extents) -> tuple[str, ...]:
    """The topmost concepts of all extents together, in the vocabulary's order."""
    union = 0
    for group in groups:
        union |= group.extent
    return extents.top_concepts(union)


def glue_note(label: LabelCount, classes: Sequence[AlignedClass], extents: Extents) -> str:
    extent = label_extent(label.label, extents)
    glued = sum(any(extent & extents.subtree(one) for one in each.concepts) for each in classes)
    return f": would make {count_nouns(glued, 'class')} one" if glued > 1 else ""


def list_catch_alls(counted: Iterable[LabelCount], vocabulary: Vocabulary) -> dict[LabelCount, str]:
    """The labels that say too little to be aligned, each with the reason."""
    return {one: reason for one in counted if (reason := catch_all_reason(one.label, vocabulary))}


def choose_left_out(
    max_loss: float, counted: Sequence[LabelCount], choices: Sequence[TradeoffChoice]
) -> dict[LabelCount, str]:
    """The labels to leave out for the finest space within the loss."""
    allowed = max_loss * sum(one.count or 0 for one in counted)
    affordable = [one for one in choices if one.images_left_out <= allowed]
    best = max(affordable, key=lambda one: one.classes, default=None)
    return dict.fromkeys(best.labels, "left out for a finer space") if best else {}


def list_tradeoffs(groups: Sequence[ExtentGroup], vocabulary: Vocabulary) -> tuple[TradeoffChoice, ...]:
    """For each number of classes, the least images to leave out, and which labels.

    The first line leaves nothing out; a number that costs no less than a higher one is not listed.
    """
    choices = []
    prices = [one.price(vocabulary) for one in groups]
    best = drop_dominated(solve_frontier([one.extent for one in groups], prices))
    for classes, (cost, left) in sorted(best.items()):
        labels = sorted((one for place in left for one in groups[place].labels), key=lambda one: one.key)
        choices.append(TradeoffChoice(classes=classes, images_left_out=cost, labels=tuple(labels)))
    return tuple(choices) if groups else ()


def list_forced_merges(groups: Sequence[ExtentGroup], extents: Extents) -> Iterable[ForcedMerge]:
    """Each group of labels without which its class would fall apart."""
    for part in group_components(groups):
        whole = top_concepts(part, extents)
        for group in part:
            rest = group_components([one for one in part if one is not group])
            if len(rest) > 1:
                without = [top_concepts(one, extents) for one in rest]
                without.sort(key=lambda one: extents.position(one[0]))
                yield ForcedMerge(labels=group.labels, into="+".join(whole), without=tuple(without))


def list_wider_labels(groups: Sequence[ExtentGroup], extents: Extents) -> Iterable[WiderLabels]:
    """Each group of labels that holds others of its class whole."""
    for part in group_components(groups):
        whole = "+".join(top_concepts(part, extents))
        for group in part:
            inside = [one for one in part if one is not group and not one.extent & ~group.extent]
            if inside:
                holds = sorted((label for one in inside for label in one.labels), key=lambda one: one.key)
                yield WiderLabels(labels=group.labels, into=whole, holds=tuple(holds))
