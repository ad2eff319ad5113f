"""Find a concept by its label, synonyms, codes, or a dataset's own words.

Spelling is compared without case, accents and punctuation here and nowhere else: in the crosswalk the exact
string is the key.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dermdata.model import Label
from dermdata.vocabulary.concepts import Concept, Vocabulary

PUNCTUATION = str.maketrans(dict.fromkeys("-_/,;:()[]|'\u2019\"=", " "))
# how well the text fits a name -> score; names of a concept itself come before words that map to it
WHOLE, FIRST_WORDS, PREFIX, ALL_WORDS = 1.0, 0.9, 0.8, 0.7
COVERED = 0.1  # the part of a score that depends on how much of the name the text covers
RAW_WORD, TYPO = 0.95, 0.6
LOOKS_ALIKE = 0.8  # difflib's ratio from which a word counts as misspelt


@dataclass(frozen=True, slots=True)
class Hit:
    """One concept and the name by which it was found; `score` is 1 for the very name, less for less."""

    concept: str
    matched: str
    score: float


def find(text: str, vocabulary: Vocabulary, labels: Iterable[Label] = (), limit: int = 20) -> list[Hit]:
    """The best fitting concepts, each once; misspelt text is tried only when nothing else fits."""
    wanted = plain(text)
    if not wanted:
        return []
    names = list(all_names(vocabulary, labels))
    hits = list(fitting(wanted, names)) or misspelt(wanted, names)
    order = {concept.id: place for place, concept in enumerate(vocabulary)}
    hits.sort(key=lambda hit: (-hit.score, len(vocabulary.path(hit.concept)), order[hit.concept]))
    first: dict[str, Hit] = {}
    for hit in hits:
        first.setdefault(hit.concept, hit)
    return list(first.values())[:limit]


def all_names(vocabulary: Vocabulary, labels: Iterable[Label]) -> Iterator[tuple[str, str, float]]:
    """(concept, name, factor) of everything a concept is called."""
    for concept in vocabulary:
        for name, factor in own_names(concept):
            yield concept.id, name, factor
    for label in labels:
        if label.predicate != "relatedMatch":
            exact = label.predicate == "exactMatch" and not label.members
            yield label.concept, label.raw_label, RAW_WORD if exact else RAW_WORD**2


def own_names(concept: Concept) -> Iterator[tuple[str, float]]:
    yield concept.label, 1.0
    yield concept.id, 1.0
    for synonym in concept.synonyms:
        yield synonym, 0.99
    for code in (concept.icd10cm, concept.doid):
        if code:
            yield code, 0.98


def plain(text: str) -> str:
    """Lower case, no accents, punctuation as single blanks."""
    if not text.isascii():
        apart = unicodedata.normalize("NFKD", text)
        text = "".join(sign for sign in apart if not unicodedata.combining(sign))
    return " ".join(text.casefold().translate(PUNCTUATION).split())


def fitting(wanted: str, names: Iterable[tuple[str, str, float]]) -> Iterator[Hit]:
    first = wanted.split(" ", 1)[0]
    for concept, name, factor in names:
        # four thousand names: those that cannot fit are not worth normalizing
        if first in name.lower() or not name.isascii():
            plain_name = plain(name)
            if score := fit(wanted, plain_name):
                covered = min(1, len(wanted) / len(plain_name))
                yield Hit(concept, name, round(score * factor * (1 - COVERED + COVERED * covered), 3))


def fit(wanted: str, name: str) -> float:
    """How well the wanted text fits a name, both plain; 0 for not at all."""
    if wanted == name:
        return WHOLE
    if name.startswith(wanted):
        return FIRST_WORDS if name[len(wanted)] == " " else PREFIX
    words = name.split()
    return ALL_WORDS if all(any(one.startswith(word) for one in words) for word in wanted.split()) else 0.0


def misspelt(wanted: str, names: Iterable[tuple[str, str, float]]) -> list[Hit]:
    """Names that look like the text as a whole."""
    from difflib import SequenceMatcher  # slow; only when nothing fits

    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(wanted)
    hits = []
    for concept, name, factor in names:
        matcher.set_seq1(plain(name))
        if matcher.real_quick_ratio() >= LOOKS_ALIKE <= matcher.quick_ratio():
            ratio = matcher.ratio()
            if ratio >= LOOKS_ALIKE:
                hits.append(Hit(concept, name, round(TYPO * ratio * factor, 3)))
    return hits
