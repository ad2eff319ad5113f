"""Whether two labels of the same image can both be true, and which of them says more."""

from dataclasses import dataclass, field
from typing import Literal

from dermdata.alignment.extents import Extents, whole_extent
from dermdata.model import Label
from dermdata.vocabulary import Vocabulary
from dermdata.vocabulary.concepts import UNKNOWN

Verdict = Literal["finer", "agrees", "contradicts"]
OPPOSITE = {"benign", "malignant"}


@dataclass
class Judge:
    """Compares what rows say; each pair of statements once."""

    vocabulary: Vocabulary
    _known: dict[tuple[Label | None, Label | None], Verdict] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._extents = Extents(self.vocabulary)

    def verdict(self, own: Label | None, other: Label | None) -> Verdict:
        """What the other label is to our own: `finer` if all it may mean lies below our concept and may be ours."""
        pair = own, other
        if pair not in self._known:
            self._known[pair] = self._verdict(own, other)
        return self._known[pair]

    def depth(self, label: Label | None) -> int:
        return len(self.vocabulary.path(self.concept(label)))

    def concept(self, label: Label | None) -> str:
        """What is surely true: the root where a label says nothing, or only overlaps its concept."""
        if (
            label is None
            or label.predicate == "relatedMatch"
            or self.vocabulary.is_under(label.concept, UNKNOWN)
        ):
            return self.vocabulary.root
        return label.concept

    def _verdict(self, own: Label | None, other: Label | None) -> Verdict:
        if {one.malignancy for one in (own, other) if one} >= OPPOSITE or not self._extent(
            own
        ) & self._extent(other):
            return "contradicts"
        ours, theirs = self.concept(own), self.concept(other)
        return "finer" if theirs != ours and self.vocabulary.is_under(theirs, ours) else "agrees"

    def _extent(self, label: Label | None) -> int:
        """A lump covers its members, not all of the concept above them."""
        concept = self.concept(label)
        if label is None or concept == self.vocabulary.root:
            return self._extents.subtree(self.vocabulary.root)
        return whole_extent(label, self._extents)
