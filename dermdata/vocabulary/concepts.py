"""The tree itself: one parent a concept, one root."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from dermdata.errors import UnknownName, UsageError

LEVELS = ("root", "superclass", "category", "group", "diagnosis", "subtype")
MALIGNANCIES = ("benign", "indeterminate", "malignant", "not-applicable", "mixed")
# What the manifest can say; `mixed`, and `non-malignant` (benign or no neoplasm at all), say less than these.
IN_MANIFEST = ("benign", "premalignant", "malignant", "indeterminate", "not-applicable")
# Indeterminate in the vocabulary, as in ISIC; the manifest calls these two, and all below them, premalignant.
PREMALIGNANT = ("actinic-keratosis", "actinic-cheilitis")
UNKNOWN = "unknown"  # the concept "diagnosis not stated"


@dataclass(frozen=True, slots=True)
class Concept:
    """One node of the vocabulary; `id` is a stable slug and never reused."""

    id: str
    label: str
    parent: str | None
    level: str
    malignancy: str
    synonyms: tuple[str, ...] = ()
    doid: str | None = None  # Disease Ontology
    icd10cm: str | None = None  # a classification aid, coarser than the concept
    isic_paths: tuple[str, ...] = ()  # diagnosis_1:diagnosis_2:… of the ISIC Archive
    note: str | None = None


class Vocabulary:
    """Concepts by id, in file order; asking for an unknown one raises UnknownName with the nearest ids."""

    def __init__(self, concepts: Iterable[Concept]) -> None:
        """Take a well-formed tree; `parse` is what checks one."""
        self._concepts = {concept.id: concept for concept in concepts}
        self._children: dict[str | None, list[str]] = {}
        for concept in self._concepts.values():
            self._children.setdefault(concept.parent, []).append(concept.id)
        self._paths: dict[str, tuple[str, ...]] = {}

    def __iter__(self) -> Iterator[Concept]:
        return iter(self._concepts.values())

    def __len__(self) -> int:
        return len(self._concepts)

    def __contains__(self, concept: object) -> bool:
        return concept in self._concepts

    def __getitem__(self, concept: str) -> Concept:
        try:
            return self._concepts[concept]
        except KeyError:
            hint = "`dermdata labels find TEXT` searches the vocabulary"
            raise UnknownName("concept", concept, self._concepts, hint=hint) from None

    @property
    def root(self) -> str:
        return self._children[None][0]

    def name(self, concept: str) -> str:
        """The preferred label."""
        return self[concept].label

    def malignancy(self, concept: str) -> str:
        """The vocabulary's own facet; `manifest_malignancy` says it in the manifest's words."""
        return self[concept].malignancy

    def path(self, concept: str) -> tuple[str, ...]:
        """Ids from the root down to the concept itself."""
        if concept not in self._paths:
            parent = self[concept].parent
            self._paths[concept] = (*(self.path(parent) if parent else ()), concept)
        return self._paths[concept]

    def ancestors(self, concept: str) -> tuple[str, ...]:
        """Ids from the root down to the parent."""
        return self.path(concept)[:-1]

    def children(self, concept: str) -> tuple[str, ...]:
        return tuple(self._children.get(self[concept].id, ()))

    def is_under(self, concept: str, ancestor: str) -> bool:
        """Whether the concept is the ancestor or lies below it."""
        return self[ancestor].id in self.path(concept)

    def descendants(self, concept: str) -> tuple[str, ...]:
        """Ids below the concept, without it, depth first in file order."""
        return tuple(below for child in self.children(concept) for below in (child, *self.descendants(child)))

    def leaves(self, concept: str) -> tuple[str, ...]:
        """The finest concepts at or below this one."""
        return tuple(one for one in (concept, *self.descendants(concept)) if one not in self._children)

    def lowest_common(self, concepts: Iterable[str]) -> str:
        """The finest concept that covers them all; UsageError when there are none."""
        paths = [self.path(concept) for concept in concepts]
        if not paths:
            raise UsageError("no concepts to find a common one of")
        shared = [one for one in paths[0] if all(one in path for path in paths)]
        return shared[-1]

    def add_up(self, weights: Mapping[str, float]) -> dict[str, float]:
        """A weighted differential summed along ancestors: p(concept) = sum over itself and all below it."""
        sums: dict[str, float] = {}
        for concept, weight in weights.items():
            for one in self.path(concept):
                sums[one] = sums.get(one, 0.0) + weight
        return sums


def manifest_malignancy(statement: str | None, concepts: Iterable[str], vocabulary: Vocabulary) -> str | None:
    """What the manifest may say of these concepts when the dataset or the vocabulary states this malignancy.

    `mixed` and `non-malignant` become None: a word for both, or for "benign or no neoplasm", is neither.
    """
    if statement == "indeterminate" and all(is_premalignant(one, vocabulary) for one in concepts):
        return "premalignant"
    return statement if statement in IN_MANIFEST else None


def is_premalignant(concept: str, vocabulary: Vocabulary) -> bool:
    return any(one in PREMALIGNANT for one in vocabulary.path(concept))
