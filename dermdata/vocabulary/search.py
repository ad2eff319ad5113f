"""Find a concept by its label, synonyms, codes, or a dataset's own words.

Spelling is compared without case, accents and punctuation here and nowhere else: in the crosswalk the exact
string is the key.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from dermdata.vocabulary.concepts import BodySite, Concept, Vocabulary, normalize_text

if TYPE_CHECKING:
    from dermdata.model import Label

NamedConcept = tuple[str, str, float]  # concept, what it is called, factor of the score
# how well the text fits a name -> score; names of a concept itself come before words that map to it
WHOLE_NAME, FIRST_WORDS, PREFIX, ALL_WORDS = 1.0, 0.9, 0.8, 0.7
COVERED = 0.1  # the part of a score that depends on how much of the name the text covers
RAW_WORD, TYPO = 0.95, 0.6
CODED = 0.98
ACROSS = 0.6  # all words of the text, some of them from names of wider concepts
# a wrong digit is another disease: codes are never taken for misspelled ones
CODE = re.compile(r"(?P<icd>[a-z]\d[\da-z](\.[\da-z]{1,4})?)|(doid:)?(?P<doid>\d+)")
LOOKS_ALIKE = 0.8  # difflib's ratio from which a word counts as misspelled


@dataclass(frozen=True, slots=True)
class Hit:
    """One concept and the name by which it was found; `score` is 1 for the very name, less for less."""

    concept: str
    matched: str
    score: float


def find_concepts(
    text: str, vocabulary: Vocabulary, labels: Iterable["Label"] = (), limit: int = 20
) -> list[Hit]:
    """Find the concepts that fit a text best.

    A code finds what has it, else what has the wider code: C43.9 is C43 where nothing is finer. Misspellings are
    forgiven only where nothing else fits.

    Parameters
    ----------
    text : str
        A name or a part of one, or a code of ICD-10-CM or the Disease Ontology.
    vocabulary : Vocabulary
        The concepts that are searched.
    labels : iterable of Label, optional
        Crosswalk rows of datasets, whose words are searched too.
    limit : int
        The most hits.

    Returns
    -------
    list of Hit
        Each concept once, the best first.

    """
    return search_names(text, vocabulary, label_names(labels), limit)


def search_names(
    text: str, vocabulary: Vocabulary, words: Iterable[NamedConcept], limit: int = 20
) -> list[Hit]:
    """`find_concepts` among the vocabulary's own names and these words of datasets (`label_names`)."""
    wanted = normalize_text(text)
    if not wanted:
        return []
    if code := CODE.fullmatch(text.strip().lower()):
        hits = list(find_by_code(code, vocabulary))
    else:
        names = [*vocabulary_names(vocabulary), *words]
        hits = (
            list(find_by_name(wanted, names))
            or list(find_across_levels(wanted, vocabulary))
            or find_misspelled(wanted, names)
        )
    order = {concept.id: place for place, concept in enumerate(vocabulary)}
    hits.sort(key=lambda hit: (-hit.score, len(vocabulary.path(hit.concept)), order[hit.concept]))
    first: dict[str, Hit] = {}
    for hit in hits:
        first.setdefault(hit.concept, hit)
    return list(first.values())[:limit]


def find_body_sites(
    text: str, sites: Mapping[str, BodySite], limit: int | None = 20, words: Iterable[NamedConcept] = ()
) -> list[Hit]:
    """Find the body sites that fit a text best, by label, id or synonym; misspellings are forgiven where nothing fits.

    Parameters
    ----------
    text : str
        A name or a part of one.
    sites : mapping
        Id -> BodySite, as `parse_body_sites` gives them.
    limit : int, optional
        The most hits; all of them for None.
    words : iterable of NamedConcept, optional
        Further names of sites, with the factor of their score.

    Returns
    -------
    list of Hit
        Each site once, the best first, wider sites before those within them; `concept` is the site's id.

    """
    wanted = normalize_text(text)
    names = [(one.id, name, 1.0) for one in sites.values() for name in (one.label, *one.synonyms, one.id)]
    names += words
    hits = (list(find_by_name(wanted, names)) or find_misspelled(wanted, names)) if wanted else []
    hits.sort(key=lambda hit: (-hit.score, sites[hit.concept].level))
    first: dict[str, Hit] = {}
    for hit in hits:
        first.setdefault(hit.concept, hit)
    return list(first.values())[:limit]


@lru_cache(maxsize=2)
def vocabulary_names(vocabulary: Vocabulary) -> tuple[NamedConcept, ...]:
    """What the vocabulary calls its concepts."""
    return tuple((one.id, name, factor) for one in vocabulary for name, factor in concept_names(one))


def label_names(labels: Iterable["Label"]) -> Iterator[NamedConcept]:
    """What datasets call the concepts; a word that only overlaps one is no name of it."""
    for label in labels:
        if label.predicate not in ("relatedMatch", "narrowMatch"):
            exact = label.predicate == "exactMatch" and not label.members
            yield label.concept, label.raw_label, RAW_WORD if exact else RAW_WORD**2


def concept_names(concept: Concept) -> Iterator[tuple[str, float]]:
    yield concept.label, 1.0
    yield concept.id, 1.0
    for synonym in concept.synonyms:
        yield synonym, 0.99
    for code in (concept.icd10cm, concept.doid):
        if code:
            yield code, CODED


def find_by_code(code: re.Match[str], vocabulary: Vocabulary) -> Iterator[Hit]:
    """The concepts of an ICD-10-CM or Disease Ontology code; a code that is not there as the one above it."""
    wanted = code["icd"] or f"doid:{code['doid']}"
    known = vocabulary_codes(vocabulary)
    end = len(wanted)
    shortest = len("c43") if code["icd"] else end
    while end >= shortest:
        if found := coded_concepts(wanted[:end], known):
            yield from (Hit(ident, name, round(CODED * end / len(wanted), 3)) for ident, name in found)
            return
        end = len(wanted[: end - 1].rstrip("."))


def vocabulary_codes(vocabulary: Vocabulary) -> list[tuple[str, str]]:
    """Each concept's codes: (concept, code)."""
    return [(one.id, name) for one in vocabulary for name in (one.icd10cm, one.doid) if name is not None]


def coded_concepts(code: str, known: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The concepts of this very code, else those of the codes directly below it."""
    same = [(ident, name) for ident, name in known if name.lower() == code]
    return same or [(ident, name) for ident, name in known if name.lower().startswith(f"{code}.")]


def find_across_levels(wanted: str, vocabulary: Vocabulary) -> Iterator[Hit]:
    """Concepts that have every word of the text in their names or in those above them: `SCC in situ`, `BCC nodular`.

    At least one of the words is the concept's own; those of wider concepts only say where it lies.
    """
    words = set(wanted.split())
    for concept, (around, above) in words_across_levels(vocabulary).items():
        if words <= around and not words <= above:
            yield Hit(concept, vocabulary.name(concept), ACROSS)


@lru_cache(maxsize=2)
def words_across_levels(vocabulary: Vocabulary) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """Of each concept the words of its names and all above it, and of those above it alone."""
    own = {one.id: concept_words(one) for one in vocabulary}
    above = {
        one.id: frozenset().union(*map(own.__getitem__, vocabulary.ancestors(one.id))) for one in vocabulary
    }
    return {concept: (words | above[concept], above[concept]) for concept, words in own.items()}


def concept_words(concept: Concept) -> frozenset[str]:
    """The words of all its names, without what stands in brackets: `(in situ or invasive)` names its children."""
    names = (re.sub(r"\(.*?\)", "", name) for name, _ in concept_names(concept))
    return frozenset(word for name in names for word in normalize_text(name).split())


def find_by_name(wanted: str, names: Iterable[NamedConcept]) -> Iterator[Hit]:
    first = wanted.split(" ", 1)[0]
    for concept, name, factor in names:
        # four thousand names: those that cannot fit are not worth normalizing
        if first in name.lower() or not name.isascii():
            plain_name = normalize_text(name)
            if score := match_score(wanted, plain_name):
                covered = min(1, len(wanted) / len(plain_name))
                yield Hit(concept, name, round(score * factor * (1 - COVERED + COVERED * covered), 3))


def match_score(wanted: str, name: str) -> float:
    """How well the wanted text fits a name, both plain; 0 for not at all."""
    if wanted == name:
        return WHOLE_NAME
    if name.startswith(wanted):
        return FIRST_WORDS if name[len(wanted)] == " " else PREFIX
    words = name.split()
    return ALL_WORDS if all(any(one.startswith(word) for one in words) for word in wanted.split()) else 0.0


def may_look_alike(one: str, other: str) -> bool:
    """What difflib asks before it compares, by lengths and signs alone: six thousand names are no likeness."""
    total = len(one) + len(other)
    if 2 * min(len(one), len(other)) < LOOKS_ALIKE * total:
        return False
    first, second = frozenset(one), sign_set(other)
    shared = min(len(one) - len(first - second), len(other) - len(second - first))
    return 2 * shared >= LOOKS_ALIKE * total


@lru_cache(maxsize=1 << 14)
def sign_set(text: str) -> frozenset[str]:
    return frozenset(text)


def find_misspelled(wanted: str, names: Iterable[NamedConcept]) -> list[Hit]:
    """Names that look like the text as a whole."""
    from difflib import SequenceMatcher  # slow; only when nothing fits

    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(wanted)
    hits = []
    for concept, name, factor in names:
        plain_name = normalize_text(name)
        if not may_look_alike(wanted, plain_name):
            continue
        matcher.set_seq1(plain_name)
        if matcher.quick_ratio() >= LOOKS_ALIKE:
            ratio = matcher.ratio()
            if ratio >= LOOKS_ALIKE:
                hits.append(Hit(concept, name, round(TYPO * ratio * factor, 3)))
    return hits
