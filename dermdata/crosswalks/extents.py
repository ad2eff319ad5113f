"""The concepts that a label may cover (an integer whose bit n is the n-th concept), and whether two labels agree."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from dermdata.markup import count_nouns
from dermdata.model import Label
from dermdata.vocabulary import Vocabulary
from dermdata.vocabulary.concepts import UNKNOWN
from dermdata.vocabulary.spaces import NOT_STATED, UNCERTAIN

Extent = int
Agreement = Literal["finer", "agrees", "contradicts"]
OPPOSITES = {"benign", "malignant"}


class Extents:
    """Subtrees of a vocabulary as bit sets."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._ids = [concept.id for concept in vocabulary]
        self._places = {concept: place for place, concept in enumerate(self._ids)}
        self._subtrees: dict[str, Extent] = {}

    def subtree(self, concept: str) -> Extent:
        """The concept and all below it."""
        if concept not in self._subtrees:
            extent = 1 << self._places[self.vocabulary[concept].id]
            for child in self.vocabulary.children(concept):
                extent |= self.subtree(child)
            self._subtrees[concept] = extent
        return self._subtrees[concept]

    def position(self, concept: str) -> int:
        """Where the concept stands in the vocabulary's file."""
        return self._places[concept]

    def top_concepts(self, extent: Extent) -> tuple[str, ...]:
        """The concepts of a set whose parent is not in it, in file order."""
        inside = [self._ids[place] for place in bit_positions(extent)]
        parents = {one: self.vocabulary[one].parent for one in inside}
        return tuple(one for one, parent in parents.items() if parent not in parents)

    def title(self, concepts: tuple[str, ...]) -> str:
        """A name for people: up to three concepts, else what they have in common."""
        if len(concepts) <= 3:
            return " or ".join(self.vocabulary.name(one) for one in concepts)
        common = self.vocabulary.lowest_common_ancestor(concepts)
        return f"{self.vocabulary.name(common)}: {count_nouns(len(concepts), 'concept')}"


def bit_positions(extent: Extent) -> Iterator[int]:
    """The places of the bits that are set, lowest first."""
    while extent:
        lowest = extent & -extent
        yield lowest.bit_length() - 1
        extent ^= lowest


def label_extent(label: Label, extents: Extents) -> Extent:
    """What the label may cover.

    `exactMatch` says that the word means all of our concept, whatever members are named. A wider concept
    stands for its members where they are known, else for all it covers. "Not stated" may be anything.
    """
    if label.concept == UNKNOWN:
        return extents.subtree(extents.vocabulary.root)
    extent = 0
    if label.predicate == "exactMatch" or not label.members:
        extent = extents.subtree(label.concept)
    for member in label.members:
        extent |= extents.subtree(member)
    return extent


def certain_concept(label: Label | None, vocabulary: Vocabulary) -> str:
    """What is surely true: the root where a label says nothing, only overlaps its concept, or is wider."""
    if label is None or label.predicate in UNCERTAIN or vocabulary.is_under(label.concept, UNKNOWN):
        return vocabulary.root
    return label.concept


def catch_all_reason(label: Label, vocabulary: Vocabulary) -> str | None:
    """Why the label says too little to be aligned, or None.

    A superclass without finer concepts (normal skin) is as good a class as any diagnosis.
    """
    if reason := UNCERTAIN.get(label.predicate):
        return reason
    if label.concept == UNKNOWN:
        return NOT_STATED
    level = vocabulary[label.concept].level
    known = label.members and label.predicate != "exactMatch"
    if level in ("root", "superclass") and vocabulary.children(label.concept) and not known:
        return f"'{label.concept}' is all that is known"
    return None


@dataclass
class LabelComparer:
    """Compares what rows say; each pair of statements once."""

    vocabulary: Vocabulary
    _known: dict[tuple[Label | None, Label | None], Agreement] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._extents = Extents(self.vocabulary)

    def compare(self, own: Label | None, other: Label | None) -> Agreement:
        """What the other label is to our own: `finer` if all it may mean lies below our concept and may be ours."""
        pair = own, other
        if pair not in self._known:
            self._known[pair] = self._compare(own, other)
        return self._known[pair]

    def depth(self, label: Label | None) -> int:
        return len(self.vocabulary.path(certain_concept(label, self.vocabulary)))

    def _compare(self, own: Label | None, other: Label | None) -> Agreement:
        if {one.malignancy for one in (own, other) if one} >= OPPOSITES or not self._label_extent(
            own
        ) & self._label_extent(other):
            return "contradicts"
        ours, theirs = (certain_concept(one, self.vocabulary) for one in (own, other))
        return "finer" if theirs != ours and self.vocabulary.is_under(theirs, ours) else "agrees"

    def _label_extent(self, label: Label | None) -> int:
        """A lump covers its members, not all of the concept above them."""
        concept = certain_concept(label, self.vocabulary)
        if label is None or concept == self.vocabulary.root:
            return self._extents.subtree(self.vocabulary.root)
        return label_extent(label, self._extents)
