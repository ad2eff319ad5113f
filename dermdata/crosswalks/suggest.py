"""Suggests concepts for the words of a person's own table, and says how sure each suggestion is; pure.

Only here is spelling forgiven, and never in silence: every proposal says how it was found. A word is mapped by itself
only where it is the name of one concept, and where neither the review list nor another dataset reads it otherwise.
What looks like a name, is a name in another language, a code, or a word of other datasets (where `SCC` means what
*they* say), is likely at most: it is proposed and left to the person.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from dermdata.crosswalks.word_index import KnownRow, WordIndex, agreed_row, split_code
from dermdata.errors import UnknownName, UsageError
from dermdata.model import Label, Predicate
from dermdata.vocabulary import Vocabulary
from dermdata.vocabulary.concepts import normalize_text
from dermdata.vocabulary.search import search_names
from dermdata.vocabulary.terms import LANGUAGES, plain_term

MatchKind = Literal[
    "decided", "accepted", "exact", "synonym", "normalized", "isic", "code", "ambiguous", "doubt", "dataset", "foreign",
    "fuzzy", "none",
]  # fmt: skip
Certainty = Literal["sure", "likely", "open"]
AcceptMode = Literal["sure", "all", "ask"]
MOST_CANDIDATES = 3  # candidates that are shown of a word
LEAST_SIMILARITY = 0.5  # the likeness from which a proposal is worth showing
MOST_CODE_SIGNS = 3  # of a word that is a code, which another dataset may use otherwise: D, CD, INF
LIKELY_SIMILARITY = 0.9  # … and from which it may be accepted as it is
OPPOSITES = ("hypo", "hyper", "benign", "malign", "micro", "macro", "non")  # look alike, mean the reverse
SIGNS: Mapping[str, Predicate] = {"=": "exactMatch", ">": "broadMatch", "<": "narrowMatch"}
DECISION = "WORD=CONCEPT"
MODES: tuple[AcceptMode, ...] = ("sure", "all", "ask")
Ask = Callable[["Proposal"], Label | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One word of the table, and what it may mean."""

    field: str
    raw_label: str
    count: int
    how: MatchKind = "none"
    score: float | None = None  # 1 for the very name; None where nothing was found
    concept: str | None = None  # the best candidate
    matched: str | None = None  # the name that it was found by
    candidates: tuple[str, ...] = ()
    label: Label | None = None  # the row to write; None where a person must decide
    offer: Label | None = None  # the row that is written once a person accepts it
    reason: str | None = None  # why it is left to the person, where that is known

    @property
    def applied(self) -> bool:
        return self.label is not None

    @property
    def certainty(self) -> Certainty:
        """`likely` can be accepted as it is, `open` has to be decided."""
        if self.label:
            return "sure"
        return "likely" if self.offer else "open"

    def name_candidates(
        self, how: MatchKind, concepts: Iterable[str], matched: str, score: float = 1.0
    ) -> "Proposal":
        """The same with what was found: concepts, the best first, and the name that they were found by."""
        every = tuple(concepts)
        return replace(
            self, how=how, score=score, matched=matched, concept=every[0], candidates=every[:MOST_CANDIDATES]
        )

    def exact_row(self, concept: str, note: str | None = None) -> Label:
        """The row which says that the word means the concept."""
        return Label(
            field=self.field, raw_label=self.raw_label, concept=concept, predicate="exactMatch", note=note
        )

    def copy_row(self, row: Label, note: str | None = None) -> Label:
        """The row of a dataset for this word; malignancy is what that dataset says of its own images."""
        return replace(row, field=self.field, raw_label=self.raw_label, malignancy_source=None, note=note)


# ------------------------------------------------------------------ proposing


def propose_labels(
    words: Mapping[str, int], field: str, index: WordIndex, decided: Iterable[Label] = ()
) -> list[Proposal]:
    """A proposal for each word, the commonest first; rows that a person has `decided` stand as they are."""
    rows = {row.raw_label: row for row in decided if row.field == field}
    found = [
        propose_label(Proposal(field=field, raw_label=word, count=count), index, rows.get(word))
        for word, count in words.items()
    ]
    return sorted(found, key=lambda one: (-one.count, one.raw_label))


def propose_label(word: Proposal, index: WordIndex, decided: Label | None = None) -> Proposal:
    """What is called so, from the surest way of being called so on; then what other datasets and languages say."""
    if decided:
        return replace(word, how="decided", score=1.0, concept=decided.concept, label=decided)
    return (
        propose_named(word, index)
        or propose_from_datasets(word, index)
        or propose_coded(word, index)
        or propose_foreign(word, index)
        or propose_beside_code(word, index)
        or propose_similar(word, index)
    )


def propose_named(word: Proposal, index: WordIndex) -> Proposal | None:
    """The concept of this name: sure, unless someone doubts that it means just this."""
    text = word.raw_label
    for how, concepts in find_named_concepts(text, index):
        if len(concepts) > 1:
            return word.name_candidates("ambiguous", sorted(concepts), text)
        (concept,) = concepts
        found = word.name_candidates(how, concepts, text, 0.99 if how == "normalized" else 1.0)
        if reason := index.find_doubt(text, concept):
            return doubt_proposal(found, concept, index.find_rows(text), reason)
        return replace(found, label=word.exact_row(concept, match_note(how)))
    return None


def find_named_concepts(word: str, index: WordIndex) -> Iterable[tuple[MatchKind, frozenset[str]]]:
    """The concepts that are called so, from the surest way of being called so on."""
    tries: tuple[tuple[MatchKind, Mapping[str, frozenset[str]], str], ...] = (
        ("exact", index.labels, word),
        ("synonym", index.synonyms, word),
        ("normalized", index.plain, normalize_text(word)),
        ("isic", index.leaves, normalize_text(word)),
        ("code", index.doids, word.strip().casefold()),
    )
    yield from ((how, where[key]) for how, where, key in tries if key in where)


def doubt_proposal(found: Proposal, concept: str, rows: Sequence[KnownRow], reason: str) -> Proposal:
    """Left to the person: as the datasets read it, where they agree; as the name says where none has it."""
    meant = agreed_row(rows)
    if meant:
        offer: Label | None = found.copy_row(meant)
    else:
        offer = None if rows else found.exact_row(concept)
    concepts = dict.fromkeys([*(row.concept for _, row in rows), concept])
    named = found.name_candidates("doubt", concepts, found.raw_label)
    return replace(named, offer=offer, reason=reason)


def propose_from_datasets(word: Proposal, index: WordIndex) -> Proposal | None:
    """A word of other datasets: what it means there, each in its own way."""
    text = word.raw_label
    rows = index.find_rows(text)
    if not rows:
        return None
    datasets = ", ".join(dict.fromkeys(name for name, _ in rows))
    concepts = dict.fromkeys(row.concept for _, row in rows)
    found = word.name_candidates("dataset", concepts, f"{text} of {datasets}")
    meant = agreed_row(rows)
    if meant is None or (len(text) <= MOST_CODE_SIGNS and len(rows) < 2):
        return found
    offer = word.copy_row(meant, f"as {datasets} read it")
    return replace(found, offer=offer, reason=index.doubts.get(normalize_text(text)))


def propose_coded(word: Proposal, index: WordIndex) -> Proposal | None:
    """A code of ICD-10-CM: an aid, coarser than the concepts, so never sure; of several the one that holds them all."""
    concepts = index.find_icd(word.raw_label)
    if not concepts:
        return None
    concept = index.vocabulary.lowest_common_ancestor(concepts)
    if concept not in concepts:
        return word.name_candidates("ambiguous", sorted(concepts), word.raw_label)
    found = word.name_candidates("code", [concept], word.raw_label)
    reason = "a code of ICD-10-CM may be coarser than the concept"
    return replace(found, offer=word.exact_row(concept, reason), reason=reason)


def propose_foreign(word: Proposal, index: WordIndex) -> Proposal | None:
    """What another language calls so, with its source."""
    terms = index.terms.get(plain_term(word.raw_label), ())
    if not terms:
        return None
    languages = " or ".join(dict.fromkeys(LANGUAGES[one.language] for one in terms))
    concepts = tuple(dict.fromkeys(one.concept for one in terms))
    matched = f"{terms[0].text} ({languages})"
    if len(concepts) > 1:
        return word.name_candidates("ambiguous", concepts, matched)
    reason = f"{languages}: {terms[0].source}"
    found = word.name_candidates("foreign", concepts, matched)
    return replace(found, offer=word.exact_row(concepts[0], reason), reason=reason)


def propose_beside_code(word: Proposal, index: WordIndex) -> Proposal | None:
    """A name with its code of ICD-10 beside it: the name decides, unless the code is another disease's."""
    pair = split_code(word.raw_label)
    if pair is None:
        return None
    name, code = pair
    found = propose_label(replace(word, raw_label=name), index)
    label, offer = (row and replace(row, raw_label=word.raw_label) for row in (found.label, found.offer))
    whole = replace(found, raw_label=word.raw_label, label=label, offer=offer)
    if found.concept and index.contradicts_code(found.concept, code):
        return replace(whole, label=None, offer=None, reason=f"{code} is the code of another disease")
    return whole


def propose_similar(word: Proposal, index: WordIndex) -> Proposal:
    """What looks like the word, best first; the word alone where nothing does."""
    text = word.raw_label
    near = [
        (hit, similarity(text, hit.matched))
        for hit in search_names(text, index.vocabulary, index.term_names, MOST_CANDIDATES)
    ]
    hits = sorted(((hit, score) for hit, score in near if score >= LEAST_SIMILARITY), key=lambda one: -one[1])
    if not hits:
        return word
    best, score = hits[0]
    found = word.name_candidates("fuzzy", (hit.concept for hit, _ in hits), best.matched, score)
    reason = index.find_doubt(best.matched, best.concept)
    if score < LIKELY_SIMILARITY or reason or says_opposite(text, best.matched):
        return replace(found, reason=reason)
    return replace(found, offer=word.exact_row(best.concept, f"looks like {best.matched}"))


def similarity(one: str, other: str) -> float:
    """From 0 to 1 for the same words, whatever their order."""
    from difflib import SequenceMatcher  # slow to import; only when nothing is called so

    first, second = (" ".join(sorted(normalize_text(text).split())) for text in (one, other))
    return round(SequenceMatcher(None, first, second, autojunk=False).ratio(), 3)


def says_opposite(one: str, other: str) -> bool:
    """Whether two words look alike and differ in what turns the meaning round: hypo- and hyperpigmentation."""
    first, second = normalize_text(one), normalize_text(other)
    return any((part in first) != (part in second) for part in OPPOSITES)


def match_note(how: MatchKind) -> str | None:
    """What the row should say of itself: that its spelling was forgiven, or that it is a code."""
    notes: Mapping[str, str] = {
        "normalized": "matched without case, accents and punctuation",
        "isic": "a leaf of ISIC's diagnoses",
        "code": "a code of the Disease Ontology",
    }
    return notes.get(how)


# ------------------------------------------------------------------ deciding


def split_accepted(texts: Iterable[str]) -> tuple[AcceptMode, list[str]]:
    """What --accept says: how much of the proposals is taken, and single decisions; UsageError for two modes."""
    every = list(texts)
    modes = list(dict.fromkeys(mode for mode in MODES if mode in every))
    if len(modes) > 1:
        raise UsageError(f"--accept {' and --accept '.join(modes)} say two things", hint="give one of them")
    return (modes[0] if modes else "sure"), [text for text in every if text not in MODES]


def parse_decisions(
    texts: Iterable[str], field: str, words: Iterable[str], vocabulary: Vocabulary
) -> list[Label]:
    """What a person decides, a row each; UsageError or UnknownName for what cannot be meant.

    `WORD=CONCEPT`: the word means the concept. `WORD>CONCEPT`: the concept is wider than the word (broadMatch).
    `WORD<CONCEPT`: the concept is narrower (narrowMatch), so that it gives no diagnosis. `WORD=a+b`: the word means
    one of several; the row names them as members of what they have in common.
    """
    known = list(words)
    return [parse_decision(text, field, known, vocabulary) for text in texts]


def parse_decision(text: str, field: str, words: Sequence[str], vocabulary: Vocabulary) -> Label:
    place = max(text.rfind(sign) for sign in SIGNS)
    word, sign, meaning = text[: max(place, 0)], text[place : place + 1], text[place + 1 :].strip()
    if place < 0 or not word or not meaning:
        raise UsageError(
            f"'{text}' says not what a word means",
            hint=f"write --accept {DECISION}, 'WORD>CONCEPT' for a wider concept, or one of {', '.join(MODES)}",
        )
    if word not in words:
        raise UnknownName("word", word, words, hint=f"it does not stand in {field}")
    return decide_meaning(word, SIGNS[sign], meaning, field, vocabulary)


def decide_meaning(
    word: str, predicate: Predicate, meaning: str, field: str, vocabulary: Vocabulary
) -> Label:
    """The row of one decision; several concepts are members of what they have in common."""
    concepts = tuple(vocabulary[one.strip()].id for one in meaning.split("+"))
    if len(concepts) == 1:
        return Label(field=field, raw_label=word, concept=concepts[0], predicate=predicate)
    if predicate == "narrowMatch":
        raise UsageError(
            f"'{word}<{meaning}' names several concepts", hint=f"write '{word}={meaning}': one of several"
        )
    common = vocabulary.lowest_common_ancestor(concepts)
    return Label(field=field, raw_label=word, concept=common, predicate="broadMatch", members=concepts)


def accept_proposals(
    proposals: Iterable[Proposal], mode: AcceptMode, ask: Ask | None = None
) -> list[Proposal]:
    """The proposals with what the person accepts: all that is likely, what they say when asked, or nothing more.

    UsageError where nobody can be asked.
    """
    if mode == "ask" and ask is None:
        raise UsageError(
            "--accept ask needs a terminal to ask on",
            hint=f"--accept all takes what is likely, --accept {DECISION} decides a word",
        )
    return [accept_proposal(one, mode, ask) for one in proposals]


def accept_proposal(proposal: Proposal, mode: AcceptMode, ask: Ask | None) -> Proposal:
    if proposal.applied or mode == "sure":
        return proposal
    label = ask(proposal) if mode == "ask" and ask and proposal.candidates else None
    if mode == "all":
        label = proposal.offer
    return replace(proposal, how="accepted", concept=label.concept, label=label) if label else proposal


def merge_labels(decided: Iterable[Label], proposals: Iterable[Proposal]) -> list[Label]:
    """The rows to write: those that were decided, in their order, then what is sure or accepted of the others."""
    rows = {(row.field, row.raw_label): row for row in decided}
    for one in proposals:
        if one.label:
            rows.setdefault((one.label.field, one.label.raw_label), one.label)
    return list(rows.values())
