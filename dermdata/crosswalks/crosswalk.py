"""One dataset's words to concepts: its crosswalk (`labels.tsv`), what a word means in the manifest, and SSSOM."""

import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args
from urllib.parse import quote

from dermdata.catalogs import Catalog
from dermdata.crosswalks.extents import certain_concept
from dermdata.errors import TableRefused
from dermdata.model import Label, Predicate
from dermdata.vocabulary import Vocabulary, manifest_malignancy, tsv
from dermdata.vocabulary.concepts import MALIGNANCY_STATEMENTS, SLUG, UNKNOWN, decide_malignancy, suggest_ids
from dermdata.vocabulary.spaces import NOT_STATED, UNCERTAIN

PREDICATES = get_args(Predicate)
# What a dataset may say of a word; the last two say less than any one value of the manifest, which gets null.
Match = Literal["exact", "broad", "narrow", "close", "related"]
REVIEW_COLUMNS = ("dataset", "field", "raw_label", "concept_id", "count_if_known", "reason", "about")
# what is in doubt: what the word means, what lies behind it, or only whether it is malignant
DOUBTS = ("meaning", "content", "malignancy")


@dataclass(frozen=True, slots=True, kw_only=True)
class HarmonizedLabel:
    """What the manifest says of one raw word; without a diagnosis there is a reason."""

    diagnosis: str | None  # the most specific concept that is surely true
    diagnosis_name: str | None
    diagnosis_path: tuple[str, ...]  # ids from the root down; empty without a diagnosis
    match: Match
    malignancy: str | None  # by the concept, else as the dataset states it
    malignancy_source: str | None  # the dataset's own statement
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Differential:
    """Concept -> weight of several graded words, summing to 1 unless a word is unmapped."""

    weights: Mapping[str, float]
    dropped: tuple[str, ...] = ()  # words that are no diagnosis; the others' weights are scaled up
    unmapped: tuple[str, ...] = ()  # words without a crosswalk row; their weight is missing from the sum


class Crosswalk:
    """One dataset's rows by field and exact raw word; a later row of a word replaces an earlier one.

    A word is the same in either Unicode form, as a Mac writes it and as others do.
    """

    def __init__(self, labels: Iterable[Label] = ()) -> None:
        self._rows = {word_key(label.field, label.raw_label): label for label in labels}

    def __iter__(self) -> Iterator[Label]:
        return iter(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def fields(self) -> tuple[str, ...]:
        """The dataset's label fields, in file order."""
        return tuple(dict.fromkeys(field for field, _ in self._rows))

    def lookup(self, field: str, raw: str) -> Label | None:
        """The row of this very string, or None: never a near miss."""
        return self._rows.get(word_key(field, raw))


def word_key(field: str, raw: str) -> tuple[str, str]:
    """What tells a field's words apart."""
    return unicodedata.normalize("NFC", field), unicodedata.normalize("NFC", raw)


# ------------------------------------------------------------------ reading and checking


def parse_labels(text: str, where: str = "labels.tsv") -> tuple[Label, ...]:
    """Parse a `labels.tsv`.

    Parameters
    ----------
    text : str
        The file's text.
    where : str
        The file's name in errors.

    Returns
    -------
    tuple of Label
        The rows in file order; whether their concepts exist is for `check_labels`.

    Raises
    ------
    BadCatalog
        Every issue of the text, each with its line.

    """
    issues: list[str] = []
    labels: dict[tuple[str, str], Label] = {}
    for line, row in tsv.read_rows(
        text, tsv.LABEL_COLUMNS, issues, least=tsv.LABEL_COLUMNS.index("malignancy")
    ):
        if not any(row):
            continue  # a spreadsheet's line that was emptied
        issues += [f"line {line}: {issue}" for issue in row_issues(row)]
        key = word_key(row[0], row[1])
        if key in labels:
            issues.append(f"line {line}: '{row[1]}' of {row[0]} stands there already")
        labels[key] = label_from_row(row)
    tsv.raise_issues(where, issues)
    return tuple(labels.values())


def read_labels(catalog: Catalog, name: str) -> Iterator[tuple[str, tuple[Label, ...]]]:
    """Read each crosswalk file of a dataset: the bundled one first, overlays' after it.

    Yields
    ------
    tuple of str and tuple of Label
        The file's path, and its rows.

    """
    # start-up counts: `read_table_text` comes with all that parses entries
    from dermdata.catalogs.overlays import read_table_text

    for path in catalog.label_files(name):
        yield str(path), parse_labels(read_table_text(path), str(path))


def load_crosswalk(catalog: Catalog, name: str, vocabulary: Vocabulary) -> Crosswalk:
    """A dataset's words, an overlay's row in place of the bundled one.

    Parameters
    ----------
    catalog : Catalog
        Where the dataset's `labels.tsv` files are.
    name : str
        The dataset's name.
    vocabulary : Vocabulary
        The tree in which every concept of the rows must be.

    Returns
    -------
    Crosswalk
        Empty for a dataset without a `labels.tsv`.

    Raises
    ------
    BadCatalog
        A file with issues, all of which it lists.

    """
    rows: list[Label] = []
    for where, labels in read_labels(catalog, name):
        check_labels(labels, vocabulary, where)
        rows += labels
    return Crosswalk(rows)


def labels_to_text(labels: Iterable[Label]) -> str:
    """The text of a `labels.tsv` with these rows; `parse_labels` gives them back."""
    return tsv.rows_to_text(tsv.LABEL_COLUMNS, map(label_to_row, labels))


def label_to_row(label: Label) -> list[str]:
    words = (label.field, label.raw_label, label.concept, label.predicate, label.malignancy_source or "")
    return [*words, "|".join(label.members), label.note or ""]


def label_from_row(row: list[str]) -> Label:
    field, raw, concept, predicate, malignancy, members, note = row
    return Label(
        field=field,
        raw_label=raw,
        concept=concept,
        predicate=cast("Predicate", predicate),  # `row_issues` checks it
        malignancy_source=malignancy or None,
        members=tsv.split_field(members),
        note=note or None,
    )


def row_issues(row: list[str]) -> Iterator[str]:
    """What is wrong with one row by itself."""
    field, raw, concept, predicate, malignancy, members, _ = row
    if not field or not raw:
        yield "a row needs a field and a raw label"
    if predicate not in PREDICATES:
        yield f"unknown predicate '{predicate}' of '{raw}': {'|'.join(PREDICATES)}"
    if malignancy and malignancy not in MALIGNANCY_STATEMENTS:
        yield f"unknown malignancy '{malignancy}' of '{raw}': {'|'.join(MALIGNANCY_STATEMENTS)}"
    for one in (concept, *tsv.split_field(members)):
        if not SLUG.match(one):
            yield f"'{one}' of '{raw}' is no concept id"


def check_labels(labels: Iterable[Label], vocabulary: Vocabulary, where: str = "labels.tsv") -> None:
    """Require that rows name concepts that exist, and members below their row's concept.

    Parameters
    ----------
    labels : iterable of Label
        The rows.
    vocabulary : Vocabulary
        The concepts that there are.
    where : str
        The rows' file in errors.

    Raises
    ------
    BadCatalog
        Every concept outside the vocabulary, and every member outside its row's concept.

    """
    issues: list[str] = []
    for label in labels:
        word = f"'{label.raw_label}' of {label.field}"
        unknown = [one for one in (label.concept, *label.members) if one not in vocabulary]
        issues += [f"{word}: unknown concept '{one}'{suggest_ids(one, vocabulary)}" for one in unknown]
        if not unknown:
            strays = [one for one in label.members if not vocabulary.is_under(one, label.concept)]
            issues += [f"{word}: member '{one}' does not lie under '{label.concept}'" for one in strays]
    tsv.raise_issues(where, issues)


# ------------------------------------------------------------------ harmonizing


def harmonize_words(
    field: str, words: Iterable[str], crosswalk: Crosswalk, vocabulary: Vocabulary
) -> dict[str, HarmonizedLabel]:
    """Find what words mean in the manifest.

    Parameters
    ----------
    field : str
        The label field that the words stand in.
    words : iterable of str
        The words as the source has them.
    crosswalk : Crosswalk
        The dataset's rows.
    vocabulary : Vocabulary
        The concepts' tree.

    Returns
    -------
    dict
        Word -> HarmonizedLabel; a word without a row is absent, for the caller to count.

    """
    rows = {word: crosswalk.lookup(field, word) for word in words}
    return {word: harmonize_label(label, vocabulary) for word, label in rows.items() if label}


def harmonize_label(label: Label, vocabulary: Vocabulary) -> HarmonizedLabel:
    """Say what the manifest holds of a crosswalk row's word.

    Parameters
    ----------
    label : Label
        The row.
    vocabulary : Vocabulary
        The concepts' tree.

    Returns
    -------
    HarmonizedLabel
        The diagnosis with its name and path, or the reason why there is none, and the malignancy: by the diagnosis,
        the same in every dataset, else as the dataset states it.

    """
    reason = no_diagnosis_reason(label, vocabulary)
    concept = None if reason else label.concept
    return HarmonizedLabel(
        diagnosis=concept,
        diagnosis_name=vocabulary.name(concept) if concept else None,
        diagnosis_path=vocabulary.path(concept) if concept else (),
        match=cast("Match", label.predicate.removesuffix("Match")),
        malignancy=label_malignancy(label, vocabulary),
        malignancy_source=label.malignancy_source,
        reason=reason,
    )


def label_malignancy(label: Label, vocabulary: Vocabulary) -> str | None:
    """The manifest's malignancy of a crosswalk row's word; a word without a diagnosis has what the dataset states."""
    if no_diagnosis_reason(label, vocabulary):
        return manifest_malignancy(label.malignancy_source, (label.concept,), vocabulary)
    return decide_malignancy(label.members or (label.concept,), label.malignancy_source, vocabulary)


def no_diagnosis_reason(label: Label, vocabulary: Vocabulary) -> str | None:
    """A word that is wider than our concept, only overlaps it, or says that there is no diagnosis, gives none."""
    if reason := UNCERTAIN.get(label.predicate):
        return reason
    return NOT_STATED if vocabulary.is_under(label.concept, UNKNOWN) else None


def build_differential(
    field: str, weights: Mapping[str, float], crosswalk: Crosswalk, vocabulary: Vocabulary
) -> Differential:
    """Translate graded words, as SCIN has them, into graded concepts.

    A word that only overlaps its concept counts for the root: that it is a finding is all that is sure.
    A word that is no diagnosis (an artifact of the labeling tool) is dropped.

    Parameters
    ----------
    field : str
        The label field that the words stand in.
    weights : mapping
        Word -> weight, from 0 up, in any scale.
    crosswalk : Crosswalk
        The dataset's rows.
    vocabulary : Vocabulary
        The concepts' tree.

    Returns
    -------
    Differential
        Concept -> weight, scaled to a sum of 1 of all words that are not dropped.

    Raises
    ------
    TableRefused
        A weight is negative, infinite or no number.

    """
    mapped: dict[str, Label] = {}
    dropped, unmapped = list[str](), list[str]()
    for word in weights:
        row = crosswalk.lookup(field, word)
        if row is None:
            unmapped.append(word)
        elif vocabulary.is_under(row.concept, UNKNOWN):
            dropped.append(word)
        else:
            mapped[word] = row
    total = sum(require_weight(weight, word) for word, weight in weights.items() if word not in dropped)
    sums: dict[str, float] = {}
    for word, row in mapped.items() if total else ():
        concept = certain_concept(row, vocabulary)
        sums[concept] = sums.get(concept, 0.0) + weights[word] / total
    return Differential(sums, tuple(dropped), tuple(unmapped))


def require_weight(weight: float, word: str) -> float:
    if not 0 <= weight < float("inf"):
        raise TableRefused(f"the weight of '{word}' is {weight}", hint="weights are numbers from 0 up")
    return weight


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewItem:
    """One word whose concept is our best reading, and why a person should look at it; no word: all of the dataset.

    The dataset `vocabulary` stands for the vocabulary's own synonyms.
    """

    dataset: str
    field: str | None
    raw_label: str | None
    concept: str | None
    count: int | None
    reason: str
    about: str  # of DOUBTS

    @property
    def doubts_meaning(self) -> bool:
        """Whether the word may mean another concept."""
        return self.about != "malignancy"


def parse_review(
    text: str, vocabulary: Vocabulary, where: str = "vocabulary/review.tsv"
) -> tuple[ReviewItem, ...]:
    """The doubts in file order; BadCatalog lists every issue."""
    issues: list[str] = []
    rows = tsv.read_rows(text, REVIEW_COLUMNS, issues)
    for line, row in rows:
        if row[3] and row[3] not in vocabulary:
            issues.append(f"line {line}: unknown concept '{row[3]}'")
        if row[4] and not row[4].isdecimal():
            issues.append(f"line {line}: '{row[4]}' is no number of images")
        if not row[0] or not row[5]:
            issues.append(f"line {line}: a row needs a dataset and a reason")
        if row[6] not in DOUBTS:
            issues.append(f"line {line}: '{row[6]}' is none of {', '.join(DOUBTS)}")
    tsv.raise_issues(where, issues)
    return tuple(review_item_from_row(row) for _, row in rows)


def review_item_from_row(row: list[str]) -> ReviewItem:
    dataset, field, raw, concept, count, reason, about = row
    return ReviewItem(
        dataset=dataset,
        field=field or None,
        raw_label=raw or None,
        concept=concept or None,
        count=int(count) if count else None,
        reason=reason,
        about=about,
    )


COLUMNS = (
    "subject_id", "subject_label", "predicate_id", "object_id", "object_label", "mapping_justification",
    "subject_source", "comment", "other",
)  # fmt: skip
CURATION = "semapv:ManualMappingCuration"
MAPPING_LICENSE = "https://creativecommons.org/licenses/by/4.0/"
CONCEPT_PREFIX = "urn:dermdata:concept:"
FIXED_PREFIXES = {
    "semapv": "https://w3id.org/semapv/vocab/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
}


def to_sssom(dataset: str, labels: Iterable[Label], vocabulary: Vocabulary, version: str) -> str:
    """The text of the mapping set of one dataset; `version` is that of dermdata's catalog."""
    rows = [mapping_row(dataset, label, vocabulary) for label in labels]
    body = tsv.rows_to_text(COLUMNS, rows)
    return "".join(f"#{line}\n" for line in metadata_lines(dataset, version)) + body


def metadata_lines(dataset: str, version: str) -> Iterable[str]:
    """The mapping set's metadata: YAML, of which JSON strings are a part."""
    prefixes = {**FIXED_PREFIXES, "dermdata": CONCEPT_PREFIX, dataset: subject_prefix(dataset)}
    yield "curie_map:"
    yield from (f"  {prefix}: {json.dumps(address)}" for prefix, address in sorted(prefixes.items()))
    yield f"license: {json.dumps(MAPPING_LICENSE)}"
    yield f"mapping_set_id: {json.dumps(f'urn:dermdata:labels:{dataset}')}"
    yield f"mapping_set_title: {json.dumps(f'Label words of {dataset} as concepts of dermdata')}"
    yield f"mapping_set_version: {json.dumps(version)}"
    yield f"object_source: {json.dumps('dermdata:vocabulary')}"


def subject_prefix(dataset: str) -> str:
    return f"urn:dermdata:label:{dataset}:"


def mapping_row(dataset: str, label: Label, vocabulary: Vocabulary) -> list[str]:
    return [
        f"{dataset}:{quote(label.field, safe='')}/{quote(label.raw_label, safe='')}",
        label.raw_label,
        f"skos:{label.predicate}",
        f"dermdata:{label.concept}",
        vocabulary.name(label.concept),
        CURATION,
        f"{dataset}:{quote(label.field, safe='')}",
        label.note or "",
        f"members={'|'.join(label.members)}" if label.members else "",
    ]
