"""What a person's words are in the label space: class ids, concepts, or the raw words of the target's datasets."""

import re
from collections.abc import Iterable, Mapping

from dermdata.model import Label
from dermdata.projection import Words
from dermdata.vocabulary import Projected, Space, Vocabulary, project

# a bounded run of marks: of a name that is a million dashes each would be tried anew
PREFIX = re.compile(r"^(?:prob|p|proba|probability|pred|score|softmax)[_. -]+(?=.)", re.IGNORECASE)
SUFFIX = re.compile(r"(?<=.)[_. -]{1,9}(?:prob|proba|probability|score|softmax)$", re.IGNORECASE)


def fold(word: str) -> str:
    """`Basal cell_carcinoma` and `basal-cell-carcinoma` are one word."""
    return re.sub(r"[\s_-]+", "-", word.strip().casefold())


def bare(column: str) -> tuple[str, str]:
    """A column's name without what marks it as a probability, and that mark."""
    for pattern in (PREFIX, SUFFIX):
        if found := pattern.search(column):
            return column.replace(found[0], "", 1), found[0].casefold()
    return column, ""


class Naming:
    """Words -> classes of one space, asked from the surest to the widest meaning."""

    def __init__(self, space: Space, vocabulary: Vocabulary, words: Words) -> None:
        self.space = space
        self._classes = {fold(name): name for name in space.classes}
        self._concepts = {
            fold(name): concept.id for concept in vocabulary for name in (concept.label, concept.id)
        }
        self._vocabulary = vocabulary
        self._raw: dict[str, list[Label]] = {}
        for labels in words.values():
            for label in labels:
                self._raw.setdefault(fold(label.raw_label), []).append(label)

    def __call__(self, word: str) -> str | None:
        """The class; None for a word that has none, or of which datasets mean different ones."""
        key = fold(word)
        if key in self._classes:
            return self._classes[key]
        if key in self._raw:
            classes = {self._projected(label).value for label in self._raw[key]}
            return classes.pop() if len(classes) == 1 else None
        if key in self._concepts:
            return project((self._concepts[key],), self.space, self._vocabulary).value
        return None

    def why_not(self, word: str) -> str:
        """Why a word has no class."""
        labels = self._raw.get(fold(word), ())
        reasons = {self._projected(label).reason for label in labels} - {None}
        if fold(word) in self._concepts and not labels:
            reasons = {project((self._concepts[fold(word)],), self.space, self._vocabulary).reason}
        return "; ".join(sorted(map(str, reasons))) or "no such class, concept or word of the target"

    def _projected(self, label: Label) -> Projected:
        return project(label, self.space, self._vocabulary)


def guessed(spaces: Mapping[str, Space], vocabulary: Vocabulary, columns: Iterable[str]) -> str | None:
    """The label space that columns are: one of which every class is there, `malignancy` for `malignant`, or concepts.

    None where several or none would do.
    """
    there = {fold(bare(column)[0]): None for column in columns}
    whole = [name for name, space in spaces.items() if {fold(one) for one in space.classes} <= there.keys()]
    if len(whole) == 1:
        return whole[0]
    if "malignant" in there:
        return "malignancy"
    concepts = [one for one in there if one in vocabulary]
    return ",".join(concepts) if concepts and not whole else None
