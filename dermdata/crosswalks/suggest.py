"""Suggests concepts for the words of a person's own table, and says how sure each suggestion is; pure.

Only here is spelling forgiven, and never in silence: every proposal says how it was found. A word is mapped by itself
only where it is the name of one concept. What looks like a name, or is a word of other datasets (where `SCC` means
what *they* say), is proposed and left to the person.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from dermdata.errors import UnknownName, UsageError
from dermdata.model import Label
from dermdata.vocabulary import Vocabulary
from dermdata.vocabulary.concepts import normalize_text
from dermdata.vocabulary.search import find_concepts

MatchKind = Literal["decided", "exact", "synonym", "normalized", "ambiguous", "dataset", "fuzzy", "none"]
MOST_CANDIDATES = 3  # candidates that are shown of a word
LEAST_SIMILARITY = 0.5  # the likeness from which a proposal is worth showing
KnownWords = Mapping[str, Sequence[tuple[str, Label]]]  # raw word -> the datasets that use it, and their rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One word of the table, and what it may mean."""

    raw_label: str
    count: int
    how: MatchKind
    score: float | None  # 1 for the very name; None where nothing was found
    concept: str | None  # the best candidate
    matched: str | None  # the name that it was found by
    candidates: tuple[str, ...] = ()
    label: Label | None = None  # the row to write; None where a person must decide

    @property
    def applied(self) -> bool:
        return self.label is not None


@dataclass(frozen=True)
class ConceptNames:
    """What every concept is called: the very names, and the same without case, accents and punctuation."""

    labels: Mapping[str, frozenset[str]]
    synonyms: Mapping[str, frozenset[str]]
    plain: Mapping[str, frozenset[str]]


# ------------------------------------------------------------------ proposing


def propose_labels(
    words: Mapping[str, int],
    field: str,
    vocabulary: Vocabulary,
    known: KnownWords,
    decided: Iterable[Label] = (),
) -> list[Proposal]:
    """A proposal for each word, the commonest first; rows that a person has `decided` stand as they are."""
    names = index_concept_names(vocabulary)
    rows = {row.raw_label: row for row in decided if row.field == field}
    found = [
        decided_proposal(word, count, rows[word])
        if word in rows
        else propose_label(word, count, field, vocabulary, names, known)
        for word, count in words.items()
    ]
    return sorted(found, key=lambda one: (-one.count, one.raw_label))


def decided_proposal(word: str, count: int, row: Label) -> Proposal:
    return Proposal(
        raw_label=word, count=count, how="decided", score=1.0, concept=row.concept, matched=None, label=row
    )


def propose_label(
    word: str, count: int, field: str, vocabulary: Vocabulary, names: ConceptNames, known: KnownWords
) -> Proposal:
    for how, concepts in find_named_concepts(word, names):
        if len(concepts) > 1:
            return open_proposal(word, count, "ambiguous", tuple(sorted(concepts)), 1.0, word)
        (concept,) = concepts
        label = Label(
            field=field, raw_label=word, concept=concept, predicate="exactMatch", note=match_note(how)
        )
        score = 0.99 if how == "normalized" else 1.0
        return Proposal(
            raw_label=word, count=count, how=how, score=score, concept=concept, matched=word,
            candidates=(concept,), label=label,
        )  # fmt: skip
    if word in known:
        return propose_from_datasets(word, count, known[word])
    return propose_similar(word, count, vocabulary)


def find_named_concepts(word: str, names: ConceptNames) -> Iterable[tuple[MatchKind, frozenset[str]]]:
    """The concepts that are called so, from the surest way of being called so on."""
    tries: tuple[tuple[MatchKind, Mapping[str, frozenset[str]], str], ...] = (
        ("exact", names.labels, word),
        ("synonym", names.synonyms, word),
        ("normalized", names.plain, normalize_text(word)),
    )
    yield from ((how, where[key]) for how, where, key in tries if key in where)


def propose_from_datasets(word: str, count: int, rows: Sequence[tuple[str, Label]]) -> Proposal:
    """A word of other datasets: what it means there, each in its own way."""
    concepts = tuple(dict.fromkeys(row.concept for _, row in rows))
    datasets = ", ".join(dict.fromkeys(name for name, _ in rows))
    return open_proposal(word, count, "dataset", concepts, 1.0, f"{word} of {datasets}")


def propose_similar(word: str, count: int, vocabulary: Vocabulary) -> Proposal:
    """What looks like the word, best first."""
    near = [
        (hit, similarity(word, hit.matched)) for hit in find_concepts(word, vocabulary, limit=MOST_CANDIDATES)
    ]
    hits = [(hit, score) for hit, score in near if score >= LEAST_SIMILARITY]
    if not hits:
        return open_proposal(word, count, "none", (), None, None)
    best, score = hits[0]
    return open_proposal(word, count, "fuzzy", tuple(hit.concept for hit, _ in hits), score, best.matched)


def similarity(one: str, other: str) -> float:
    """From 0 to 1 for the same words, whatever their order."""
    from difflib import SequenceMatcher  # slow to import; only when nothing is called so

    first, second = (" ".join(sorted(normalize_text(text).split())) for text in (one, other))
    return round(SequenceMatcher(None, first, second, autojunk=False).ratio(), 3)


def open_proposal(
    word: str,
    count: int,
    how: MatchKind,
    candidates: tuple[str, ...],
    score: float | None,
    matched: str | None,
) -> Proposal:
    return Proposal(
        raw_label=word, count=count, how=how, score=score, concept=candidates[0] if candidates else None,
        matched=matched, candidates=candidates[:MOST_CANDIDATES],
    )  # fmt: skip


def match_note(how: MatchKind) -> str | None:
    """What the row should say of itself: that its spelling was forgiven."""
    return "matched without case, accents and punctuation" if how == "normalized" else None


def index_concept_names(vocabulary: Vocabulary) -> ConceptNames:
    labels: dict[str, set[str]] = {}
    synonyms: dict[str, set[str]] = {}
    plainly: dict[str, set[str]] = {}
    for concept in vocabulary:
        for name in (concept.id, concept.label):
            labels.setdefault(name, set()).add(concept.id)
        for name in concept.synonyms:
            synonyms.setdefault(name, set()).add(concept.id)
        for name in (concept.id, concept.label, *concept.synonyms):
            plainly.setdefault(normalize_text(name), set()).add(concept.id)
    return ConceptNames(
        *({name: frozenset(ids) for name, ids in one.items()} for one in (labels, synonyms, plainly))
    )


# ------------------------------------------------------------------ deciding


def parse_decisions(
    texts: Iterable[str], field: str, words: Iterable[str], vocabulary: Vocabulary
) -> list[Label]:
    """What a person decides as `WORD=CONCEPT`: a row each; UsageError or UnknownName for what cannot be meant.

    `WORD=a+b` says that the word means one of several: the row names them as members of what they have in common.
    """
    known = list(words)
    return [parse_decision(text, field, known, vocabulary) for text in texts]


def parse_decision(text: str, field: str, words: Sequence[str], vocabulary: Vocabulary) -> Label:
    word, sign, meaning = text.rpartition("=")
    if not sign or not word or not meaning:
        raise UsageError(f"'{text}' says not what a word means", hint="write --accept WORD=CONCEPT")
    if word not in words:
        raise UnknownName("word", word, words, hint=f"it does not stand in {field}")
    concepts = tuple(vocabulary[one.strip()].id for one in meaning.split("+"))
    if len(concepts) == 1:
        return Label(field=field, raw_label=word, concept=concepts[0], predicate="exactMatch")
    common = vocabulary.lowest_common_ancestor(concepts)
    return Label(field=field, raw_label=word, concept=common, predicate="broadMatch", members=concepts)


def merge_labels(decided: Iterable[Label], proposals: Iterable[Proposal]) -> list[Label]:
    """The rows to write: those that were decided, in their order, then what is sure of the others."""
    rows = {(row.field, row.raw_label): row for row in decided}
    for one in proposals:
        if one.label:
            rows.setdefault((one.label.field, one.label.raw_label), one.label)
    return list(rows.values())
