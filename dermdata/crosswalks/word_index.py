"""All that a person's words are compared with: names, codes, other datasets' words, other languages, doubts; pure."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dermdata.crosswalks.crosswalk import ReviewItem
from dermdata.model import Label
from dermdata.vocabulary import Vocabulary
from dermdata.vocabulary.concepts import Concept, normalize_text
from dermdata.vocabulary.search import NamedConcept
from dermdata.vocabulary.terms import ForeignTerm, name_terms, spell_term

CATEGORY = 3  # signs of a code that say which disease it is, the others which form of it
# a name beside its code: `L40.0 Psoriasis vulgaris`, `Vitiligo (L80)`, as clinics write it
NAME_AFTER = re.compile(
    r"(?P<code>[A-Z]\d[\dA-Z](?:\.[\dA-Z]{1,2}|\.-)?)(?:\s*[GVZA])?\s*[\s:;,-]\s*(?P<name>\D.{2,})"
)
NAME_BEFORE = re.compile(
    r"(?P<name>\D.{2,}?)\s*[\[(](?:ICD\W*10\W*)?(?P<code>[A-Z]\d[\dA-Z](?:\.[\dA-Z]{1,2}|\.-)?)[\])]"
)
MOST_AGREE = 2 / 3  # of the datasets that use a word
KnownRow = tuple[str, Label]  # the dataset that uses a word, and its row
Concepts = Mapping[str, frozenset[str]]  # name -> the concepts that are called so
ICD = re.compile(r"(icd\W*10\W*(cm|gm)?\W*)?(?P<code>[a-z]\d[\da-z](\.?[\da-z]{1,4})?)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class WordIndex:
    """What is called how, and by whom."""

    vocabulary: Vocabulary
    labels: Concepts  # the very labels and ids
    synonyms: Concepts
    plain: Concepts  # all of these without case, accents and punctuation
    leaves: Concepts  # the last part of ISIC's diagnoses, plain
    doids: Concepts
    icd: Concepts
    known: Mapping[str, Sequence[KnownRow]]  # the words of the catalog's datasets, plain
    terms: Mapping[str, Sequence[ForeignTerm]]  # other languages' names, plain
    doubts: Mapping[str, str]  # plain word -> why the review list doubts what it means
    term_names: Sequence[NamedConcept] = ()  # other languages' names, for the search of what looks alike

    def find_rows(self, word: str) -> Sequence[KnownRow]:
        """What the catalog's datasets say of a word."""
        return self.known.get(known_key(word), ())

    def find_icd(self, word: str) -> frozenset[str]:
        """The concepts of a code of ICD-10-CM, however it is written; none where the text is no code."""
        code = ICD.fullmatch(word.strip())
        return self.icd.get(plain_code(code["code"]), frozenset()) if code else frozenset()

    def contradicts_code(self, concept: str, code: str) -> bool:
        """Whether a code of the vocabulary's is of another category, and of no concept above or below this one."""
        tree = self.vocabulary
        coded = self.find_icd(code.removesuffix(".-"))
        own = plain_code(tree[concept].icd10cm or "")[:CATEGORY]
        if not coded or plain_code(code)[:CATEGORY] == own:
            return False
        return not any(tree.is_under(one, concept) or tree.is_under(concept, one) for one in coded)

    def find_doubt(self, word: str, concept: str) -> str | None:
        """Why the word may mean another thing than this concept: the review list, or how a dataset reads it."""
        if reason := self.doubts.get(normalize_text(word)):
            return reason
        rows = self.find_rows(word)
        agreed = agreed_row(rows)
        if agreed and (agreed.concept, agreed.predicate) == (concept, "exactMatch"):
            return None
        for dataset, row in rows:
            if (row.concept, row.predicate) != (concept, "exactMatch"):
                return f"{dataset} reads it as {row.predicate} of {row.concept}"
        return None


def agreed_row(rows: Sequence[KnownRow]) -> Label | None:
    """What the datasets that use a word say of it, two thirds of them at least; None where it gives no diagnosis."""
    if not rows:
        return None
    said = {(name, row.concept, row.predicate, row.members): row for name, row in rows}
    counts = Counter(
        key[1:] for key in said
    )  # a dataset counts once, however many of its fields have the word
    meaning, count = counts.most_common(1)[0]
    row = next(row for key, row in said.items() if key[1:] == meaning)
    agreed = count >= MOST_AGREE * len({name for name, _ in rows})
    return row if agreed and row.predicate != "relatedMatch" else None


def split_code(word: str) -> tuple[str, str] | None:
    """The name and the code of ICD-10 that stand beside each other; None where the word is not such a pair."""
    found = NAME_AFTER.fullmatch(word.strip()) or NAME_BEFORE.fullmatch(word.strip())
    return (found["name"].strip(), found["code"]) if found else None


def build_word_index(
    vocabulary: Vocabulary,
    known: Iterable[KnownRow] = (),
    terms: Iterable[ForeignTerm] = (),
    doubts: Iterable[ReviewItem] = (),
) -> WordIndex:
    """The index of a vocabulary, the rows of datasets, terms of other languages and the review list."""
    every = list(terms)
    rows: dict[str, list[KnownRow]] = {}
    for dataset, row in known:
        rows.setdefault(known_key(row.raw_label), []).append((dataset, row))
    spelled: dict[str, list[ForeignTerm]] = {}
    for term in every:
        for text in dict.fromkeys(spell_term(term)):
            spelled.setdefault(text, []).append(term)
    return WordIndex(
        vocabulary=vocabulary,
        **index_names(vocabulary),
        known=rows,
        terms=spelled,
        term_names=list(name_terms(every)),
        doubts={
            normalize_text(one.raw_label): f"{one.dataset}: {one.reason}"
            for one in doubts
            if one.raw_label and one.doubts_meaning
        },
    )


def known_key(word: str) -> str:
    """What a dataset's word is compared by: a number as it stands, for -1 is not 1."""
    plain = normalize_text(word)
    return plain if any(map(str.isalpha, plain)) else word


def index_names(vocabulary: Vocabulary) -> dict[str, Concepts]:
    """What the vocabulary's concepts are called, by the kind of name."""
    found: dict[str, dict[str, set[str]]] = {}
    for concept in vocabulary:
        for kind, names in list_names(concept).items():
            for name in names:
                found.setdefault(kind, {}).setdefault(name, set()).add(concept.id)
    return {
        kind: {name: frozenset(ids) for name, ids in found.get(kind, {}).items()}
        for kind in ("labels", "synonyms", "plain", "leaves", "doids", "icd")
    }


def list_names(concept: Concept) -> dict[str, list[str]]:
    """What one concept is called, by the kind of name."""
    very = [concept.id, concept.label]
    ends = [path.rpartition(":")[2] for path in concept.isic_paths]
    return {
        "labels": very,
        "synonyms": list(concept.synonyms),
        "plain": [normalize_text(name) for name in (*very, *concept.synonyms)],
        "leaves": [normalize_text(name) for name in (*ends, *concept.isic_paths)],
        "doids": [concept.doid.casefold()] if concept.doid else [],
        "icd": [plain_code(concept.icd10cm)] if concept.icd10cm else [],
    }


def plain_code(code: str) -> str:
    """`L82.0`, `l820` and `L820` alike."""
    return code.replace(".", "").casefold()
