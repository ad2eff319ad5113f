"""The finest common label space of several datasets, and what a finer one would cost; pure.

Each raw label has an extent: the concepts it may cover. Labels whose extents overlap must share a class, so
the classes are the connected components of the overlap graph: every label falls whole into one class, and no
finer space has that. One catch-all word can glue everything; `tradeoff` shows what leaving labels out would
buy.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dermdata.alignment.extents import Extent, Extents, catch_all, whole_extent
from dermdata.alignment.tradeoff import components, frontier, worthwhile
from dermdata.errors import UsageError
from dermdata.model import Label
from dermdata.vocabulary import Space, Vocabulary

Row = tuple[str, Label, int | None]  # dataset, label, its number of images (None: not known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
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
    labels: tuple[Counted, ...]
    images: int  # as far as counts are known


@dataclass(frozen=True, slots=True, kw_only=True)
class Unassigned:
    """A label left out of the space, and why."""

    label: Counted
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forced:
    """Labels of one meaning that force a merge, and the classes that would remain without them."""

    labels: tuple[Counted, ...]
    into: str  # id of the class they glue together
    without: tuple[tuple[str, ...], ...]  # the concepts of each part


@dataclass(frozen=True, slots=True, kw_only=True)
class Wider:
    """Labels of one meaning that hold others whole, which for that share their class."""

    labels: tuple[Counted, ...]
    into: str  # id of the class
    holds: tuple[Counted, ...]

    @property
    def members(self) -> tuple[str, ...]:
        """What a lump may mean; empty for a concept that is just wider."""
        return next((one.label.members for one in self.labels if one.label.members), ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One line of the trade-off: to have this many classes or more, at least these images are lost."""

    classes: int
    images_left_out: int
    labels: tuple[Counted, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """The common space, what is outside it, and what the alternatives cost."""

    classes: tuple[AlignedClass, ...]
    unassigned: tuple[Unassigned, ...]
    tradeoff: tuple[Choice, ...]
    forced: tuple[Forced, ...]
    wider: tuple[Wider, ...]

    def space(self, name: str = "aligned") -> Space:
        """The classes as a label space: every assigned label projects to its class."""
        items = {one.id: tuple((concept, None) for concept in one.concepts) for one in self.classes}
        return Space(name, items)


@dataclass(frozen=True, slots=True)
class Group:
    """All labels of one extent: they can only be kept or left out together."""

    extent: Extent
    labels: tuple[Counted, ...]

    @property
    def images(self) -> int | None:
        """What leaving them out costs; None when a count is not known, then they cannot be left out."""
        counts = [one.count for one in self.labels]
        return None if None in counts else sum(filter(None, counts))

    def price(self, vocabulary: Vocabulary) -> int | None:
        """`images`, but a catch-all counts as far as is known: it is not in the space anyway."""
        known = sum(one.count or 0 for one in self.labels)
        return known if all(catch_all(one.label, vocabulary) for one in self.labels) else self.images


def align(
    rows: Iterable[Row], vocabulary: Vocabulary, *, max_loss: float | None = None, keep_all: bool = False
) -> Alignment:
    """Join the labels of several datasets in the finest space that keeps each of them whole.

    By default catch-all labels (root, a superclass with finer concepts, `unknown`) and mere overlaps stay
    unassigned. `max_loss` (a share of the images, 0.02 = 2%) takes the finest space within that loss instead,
    `keep_all` leaves nothing out.
    """
    if keep_all and max_loss is not None:
        raise UsageError("either keep all labels or allow a loss, not both")
    if max_loss is not None and not 0 <= max_loss <= 1:
        raise UsageError(f"a loss of {max_loss} is no share", hint="write a number from 0 to 1")
    counted = sorted((Counted(dataset=a, label=b, count=c) for a, b, c in rows), key=lambda one: one.key)
    extents = Extents(vocabulary)
    choices = tradeoff(grouped(counted, extents), vocabulary)
    if keep_all:
        left_out: dict[Counted, str] = {}
    elif max_loss is None:
        left_out = {one: reason for one in counted if (reason := catch_all(one.label, vocabulary))}
    else:
        left_out = within(max_loss, counted, choices)
    kept = grouped([one for one in counted if one not in left_out], extents)
    classes = [class_of(part, extents) for part in parts(kept)]
    classes.sort(key=lambda one: extents.place(one.concepts[0]))
    spans = {one: spanned(one, classes, extents) for one in left_out}
    return Alignment(
        classes=tuple(classes),
        unassigned=tuple(Unassigned(label=one, reason=why + spans[one]) for one, why in left_out.items()),
        tradeoff=choices,
        forced=tuple(forced_merges(kept, extents)),
        wider=tuple(wider_ones(kept, extents)),
    )


def grouped(labels: Sequence[Counted], extents: Extents) -> list[Group]:
    """Labels by extent, in an order that does not depend on the order of the datasets."""
    found: dict[Extent, list[Counted]] = {}
    for one in labels:
        found.setdefault(whole_extent(one.label, extents), []).append(one)
    return [Group(extent, tuple(found[extent])) for extent in sorted(found)]


def parts(groups: Sequence[Group]) -> list[list[Group]]:
    """The groups that must share a class, component by component."""
    return [[groups[place] for place in part] for part in components([one.extent for one in groups])]


def class_of(groups: Sequence[Group], extents: Extents) -> AlignedClass:
    concepts = covered(groups, extents)
    labels = tuple(sorted((one for group in groups for one in group.labels), key=lambda one: one.key))
    return AlignedClass(
        id="+".join(concepts),
        name=extents.title(concepts),
        concepts=concepts,
        labels=labels,
        images=sum(one.count or 0 for one in labels),
    )


def covered(groups: Iterable[Group], extents: Extents) -> tuple[str, ...]:
    """The topmost concepts of all extents together, in the vocabulary's order."""
    union = 0
    for group in groups:
        union |= group.extent
    return extents.tops(union)


def spanned(label: Counted, classes: Sequence[AlignedClass], extents: Extents) -> str:
    extent = whole_extent(label.label, extents)
    glued = sum(any(extent & extents.subtree(one) for one in each.concepts) for each in classes)
    return f": would make {glued} classes one" if glued > 1 else ""


def within(max_loss: float, counted: Sequence[Counted], choices: Sequence[Choice]) -> dict[Counted, str]:
    """The labels to leave out for the finest space within the loss."""
    allowed = max_loss * sum(one.count or 0 for one in counted)
    affordable = [one for one in choices if one.images_left_out <= allowed]
    best = max(affordable, key=lambda one: one.classes, default=None)
    return dict.fromkeys(best.labels, "left out for a finer space") if best else {}


def tradeoff(groups: Sequence[Group], vocabulary: Vocabulary) -> tuple[Choice, ...]:
    """For each number of classes, the least images to leave out, and which labels.

    The first line leaves nothing out; a number that costs no less than a higher one is not listed.
    """
    choices = []
    prices = [one.price(vocabulary) for one in groups]
    best = worthwhile(frontier([one.extent for one in groups], prices))
    for classes, (cost, left) in sorted(best.items()):
        labels = sorted((one for place in left for one in groups[place].labels), key=lambda one: one.key)
        choices.append(Choice(classes=classes, images_left_out=cost, labels=tuple(labels)))
    return tuple(choices) if groups else ()


def forced_merges(groups: Sequence[Group], extents: Extents) -> Iterable[Forced]:
    """Each group of labels without which its class would fall apart."""
    for part in parts(groups):
        whole = covered(part, extents)
        for group in part:
            rest = parts([one for one in part if one is not group])
            if len(rest) > 1:
                without = [covered(one, extents) for one in rest]
                without.sort(key=lambda one: extents.place(one[0]))
                yield Forced(labels=group.labels, into="+".join(whole), without=tuple(without))


def wider_ones(groups: Sequence[Group], extents: Extents) -> Iterable[Wider]:
    """Each group of labels that holds others of its class whole."""
    for part in parts(groups):
        whole = "+".join(covered(part, extents))
        for group in part:
            inside = [one for one in part if one is not group and not one.extent & ~group.extent]
            if inside:
                holds = sorted((label for one in inside for label in one.labels), key=lambda one: one.key)
                yield Wider(labels=group.labels, into=whole, holds=tuple(holds))


__all__ = ["AlignedClass", "Alignment", "Choice", "Counted", "Forced", "Row", "Unassigned", "Wider", "align"]
