"""Tables of labels.

The concept tree, a dataset's words, doubtful ones, what changed, and proposals for one's own table.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dermdata.api.catalog_entries import list_cached
from dermdata.api.label_spaces import bytes_of, count_words, crosswalk_of, text_of, vocabulary_of
from dermdata.api.records import Records
from dermdata.api.resources import Resources
from dermdata.errors import BadTable, ProblemsFound, UnknownName, UsageError
from dermdata.markup import count_nouns

if TYPE_CHECKING:
    from dermdata.crosswalks.crosswalk import ReviewItem
    from dermdata.crosswalks.suggest import Proposal
    from dermdata.crosswalks.word_index import WordIndex
    from dermdata.model import Dataset, Label
    from dermdata.readers.delimited import OwnTable
    from dermdata.vocabulary import Vocabulary
    from dermdata.vocabulary.terms import ForeignTerm


Prompt = Callable[[str], str]  # puts a question to a person and gives the answer
SHOWN = 30  # columns of a table in a message
TREE_KEYS = ("concept", "name", "parent", "level", "malignancy", "synonyms", "images")


def list_concepts(resources: Resources, concept: str | None = None, depth: int | None = None) -> Records:
    """A concept (the root, unless one is named) and what is below it, each before its children.

    `depth` is how many levels below it are listed. `images` is None in all rows when nothing is cached.
    """
    vocabulary = vocabulary_of(resources)
    start = vocabulary[concept].id if concept else vocabulary.root
    images = count_cached_images(resources, vocabulary)
    rows = [
        {"concept": one, "name": vocabulary.name(one), "parent": vocabulary[one].parent, "level": vocabulary[one].level,
         "malignancy": vocabulary.malignancy(one), "synonyms": list(vocabulary[one].synonyms),
         "images": None if images is None else images.get(one, 0)}
        for one in walk_tree(vocabulary, start, depth)
    ]  # fmt: skip
    return Records(rows, TREE_KEYS)


def walk_tree(vocabulary: "Vocabulary", concept: str, depth: int | None) -> Iterator[str]:
    """The concept, then what is below it, as deep as asked for."""
    yield concept
    if depth != 0:
        for child in vocabulary.children(concept):
            yield from walk_tree(vocabulary, child, None if depth is None else depth - 1)


def count_cached_images(resources: Resources, vocabulary: "Vocabulary") -> Mapping[str, int] | None:
    """Concept -> cached images at or below it; None when nothing is cached."""
    names = list_cached(resources)
    if not names:
        return None
    from dermdata.api.targets import load
    from dermdata.manifest.columns import text_column

    resources.say(f"images of {', '.join(names)}")
    column = text_column(load(resources, names, ["diagnosis"]).table, "diagnosis").drop_null()
    counts = {one["values"]: one["counts"] for one in column.value_counts().to_pylist()}
    # a concept of an older vocabulary has no place in this tree
    known = {concept: count for concept, count in counts.items() if concept in vocabulary}
    return {concept: round(count) for concept, count in vocabulary.sum_weights(known).items()}


MAP_KEYS = (
    "dataset", "field", "raw_label", "concept", "name", "predicate", "members", "malignancy", "malignancy_source", "count",
    "note",
)  # fmt: skip
REVIEW_KEYS = ("dataset", "field", "raw_label", "concept", "name", "count", "reason", "about")
DIFF_KEYS = ("kind", "what", "name", "raw_label", "part", "old", "new")


def map_labels(resources: Resources, name: str) -> Records:
    """How a dataset's own words map to concepts, a record a word; none for a dataset without label words."""
    from dermdata.crosswalks.crosswalk import label_malignancy

    dataset = resources.catalog[name]
    vocabulary = vocabulary_of(resources)
    labels = list(crosswalk_of(resources, dataset.name, vocabulary))
    counts = count_words(resources, dataset, labels)
    rows = [
        {**vars(label), "malignancy": label_malignancy(label, vocabulary), "dataset": dataset.name,
         "name": vocabulary.name(label.concept),
         "count": counts.count_images(label.raw_label)}
        for label in labels
    ]  # fmt: skip
    return Records([{key: row[key] for key in MAP_KEYS} for row in rows], MAP_KEYS)


def export_sssom(resources: Resources, name: str) -> str:
    """The same as a text in the mapping standard's TSV; UsageError for a dataset without label words."""
    from dermdata import __version__
    from dermdata.crosswalks.crosswalk import to_sssom

    dataset = resources.catalog[name]
    vocabulary = vocabulary_of(resources)
    labels = list(crosswalk_of(resources, dataset.name, vocabulary))
    require_labels(dataset, labels)
    return to_sssom(dataset.name, labels, vocabulary, __version__)


def require_labels(dataset: "Dataset", labels: "Sequence[Label] | Records") -> None:
    """UsageError for a dataset without label words."""
    if not labels:
        hint = f"`dermdata info {dataset.name}` says what it has"
        raise UsageError(f"{dataset.name} has no label words", hint=hint)


def list_doubts(resources: Resources, names: Sequence[str] = ()) -> Records:
    """The words whose concept a dermatologist should decide, of these datasets or of all."""
    vocabulary = vocabulary_of(resources)
    wanted = {resources.catalog[name].name for name in names}
    rows = [
        {key: getattr(one, key, None) for key in REVIEW_KEYS}
        | {"name": vocabulary.name(one.concept) if one.concept else None}
        for one in read_review(resources, vocabulary)
        if not wanted or one.dataset in wanted
    ]
    return Records(rows, REVIEW_KEYS)


def compare_catalogs(resources: Resources, old: Path, new: Path) -> Records:
    """What differs between the concepts, words and label spaces of two catalog folders."""
    from dermdata.crosswalks.diff import list_changes, read_catalog_labels

    bundled = vocabulary_of(resources)
    found = list_changes(read_catalog_labels(old, bundled), read_catalog_labels(new, bundled))
    return Records([{key: getattr(one, key) for key in DIFF_KEYS} for one in found], DIFF_KEYS)


PROPOSAL_KEYS = (
    "raw_label", "count", "how", "score", "concept", "name", "matched", "candidates", "applied", "certainty", "predicate",
    "reason",
)  # fmt: skip


class ProposedLabels:
    """A proposal for each word of a table.

    Attributes
    ----------
    records : Records
        `raw_label, count, how, score, concept, name, matched, candidates, applied, certainty, predicate, reason`, the
        commonest word first.
    labels : list of Label
        The rows of the crosswalk: what was decided before, then what is sure or accepted.

    """

    def __init__(
        self, proposals: "Sequence[Proposal]", labels: "Sequence[Label]", vocabulary: "Vocabulary"
    ) -> None:
        rows = [
            {key: getattr(one, key, None) for key in PROPOSAL_KEYS}
            | {"name": one.concept and vocabulary.name(one.concept)}
            | {"predicate": (row := one.label or one.offer) and row.predicate}
            for one in proposals
        ]
        self.records = Records(rows, PROPOSAL_KEYS)
        self.labels = list(labels)

    def require_all(self) -> None:
        """ProblemsFound for words without a concept: listed with their count, never given a default class."""
        missing = [row["count"] for row in self.records if not row["applied"]]
        if missing:
            raise ProblemsFound(
                f"{count_nouns(len(missing), 'word')} ({count_nouns(sum(missing), 'row')}) without a concept yet",
                hint="--accept all takes what is likely, --accept WORD=CONCEPT decides one",
            )


def propose_labels(
    resources: Resources,
    table: Path,
    column: str,
    accept: Iterable[str] = (),
    out: Path | None = None,
    prompt: Prompt | None = None,
) -> ProposedLabels:
    """Propose a concept for each word in a column of a CSV table; nothing is written.

    `accept` is a person's: decisions as WORD=CONCEPT, and how much of the rest is taken: `sure`, `all` or `ask`, which
    puts its questions by `prompt`.
    What stands in `out` already stays.
    """
    from dermdata.readers.delimited import parse_own_table

    vocabulary = vocabulary_of(resources)
    own = parse_own_table(bytes_of(table, "table"), str(table))
    for note in own.notes:
        resources.say(note)
    words, blanks = count_column_words(own, column, str(table))
    if blanks:
        resources.say(
            f"{count_nouns(blanks.total(), 'row', 'have')} no word in {column}{describe_blanks(blanks)}"
        )
    proposals, labels = propose_words(resources, words, column, accept, prompt, read_decided(out, vocabulary))
    return ProposedLabels(proposals, labels, vocabulary)


def propose_words(
    resources: Resources,
    words: Mapping[str, int],
    field: str,
    accept: Iterable[str] = (),
    prompt: Prompt | None = None,
    before: "Sequence[Label]" = (),
) -> "tuple[list[Proposal], list[Label]]":
    """A proposal for each word and the rows to write: what stood there `before`, is decided, sure or accepted."""
    from dermdata.crosswalks import suggest

    vocabulary = vocabulary_of(resources)
    mode, decisions = suggest.split_accepted(accept)
    said = suggest.parse_decisions(decisions, field, words, vocabulary)
    new = {(row.field, row.raw_label) for row in said}
    decided = [*(row for row in before if (row.field, row.raw_label) not in new), *said]
    index = read_word_index(resources, vocabulary)
    proposals = suggest.accept_proposals(
        suggest.propose_labels(words, field, index, decided),
        mode,
        None if prompt is None else lambda one: ask_word(resources, one, prompt),
    )
    for row in said:
        if row.predicate != "exactMatch":
            resources.say(describe_decision(row))
    return proposals, suggest.merge_labels(decided, proposals)


def ask_word(resources: Resources, proposal: "Proposal", prompt: Prompt) -> "Label | None":
    """The row that the person says yes to or gives, None for no; what cannot be meant is told and asked again."""
    because = f" ({proposal.reason})" if proposal.reason else ""
    question = (
        f"{proposal.raw_label} ({count_nouns(proposal.count, 'row')}): {' or '.join(proposal.candidates)}?{because} "
        "y, n, or a concept with = > or < before it"
    )
    while True:
        try:
            return answer_proposal(resources, proposal, prompt(question))
        except (UsageError, UnknownName) as error:
            resources.say(f"{error}: {error.hint}" if error.hint else str(error))


def answer_proposal(resources: Resources, proposal: "Proposal", answer: str) -> "Label | None":
    """What a person answers when asked of a word: yes, no, or a concept after `=`, `>` or `<`.

    UsageError or UnknownName for what is none of these; yes means the first candidate where nothing is likely.
    """
    from dermdata.crosswalks import suggest

    said = answer.strip()
    if said.casefold() in ("n", "no"):
        return None
    if said.casefold() in ("y", "yes"):
        return proposal.offer or proposal.exact_row(proposal.candidates[0])
    vocabulary = vocabulary_of(resources)
    text = said if said[:1] in suggest.SIGNS else f"={said}"
    word = proposal.raw_label
    return suggest.parse_decision(f"{word}{text}", proposal.field, [word], vocabulary)


def describe_decision(row: "Label") -> str:
    """What a decision that is not exact says, in words."""
    if row.members:
        return f"{row.raw_label} is one of {', '.join(row.members)}: {row.predicate} of {row.concept}"
    if row.predicate == "broadMatch":
        return f"{row.concept} is wider than {row.raw_label}: broadMatch"
    return f"{row.concept} is narrower than {row.raw_label}: narrowMatch, which gives no diagnosis"


def count_column_words(own: "OwnTable", column: str, where: str) -> tuple[Counter[str], Counter[str]]:
    """How often each word stands in a column, and each cell that says nothing.

    UnknownName for a column that is not there, BadTable for a row of another width.
    """
    from dermdata.readers.typed_cells import NOTHING_WORDS

    names = own.rows.column_names
    if column not in names:
        raise UnknownName(
            "column", column, names, hint=f"{where} has {', '.join(names[:SHOWN]) or 'no columns'}"
        )
    if own.rejected:
        line, reason = own.rejected[0]["line"], own.rejected[0]["reason"]
        raise BadTable(
            f"{where}, line {line}: {reason}",
            hint=f"{count_nouns(len(own.rejected), 'line', 'are')} not whole",
        )
    counts = Counter(own.rows[column].to_pylist())
    blanks = {word: counts.pop(word) for word in list(counts) if word.strip().casefold() in NOTHING_WORDS}
    return counts, Counter(blanks)


def describe_blanks(blanks: Mapping[str, int]) -> str:
    """Which words were taken for none, and how a dataset's table says so."""
    words = [word for word in blanks if word.strip()]
    shown = ", ".join(f'"{word}"' for word in ["", *words])
    return f" ({', '.join(words)}: missing = [{shown}] in its [[table]] says so)" if words else ""


def read_decided(out: Path | None, vocabulary: "Vocabulary") -> "list[Label]":
    """The rows that an earlier run or a person has written; BadCatalog if they are not sound."""
    from dermdata.crosswalks import check_labels, parse_labels

    if out is None or not out.exists():
        return []
    rows = parse_labels(text_of(out, "labels.tsv"), str(out))
    check_labels(rows, vocabulary, str(out))
    return list(rows)


def read_word_index(resources: Resources, vocabulary: "Vocabulary") -> "WordIndex":
    """All that a person's words are compared with."""
    from dermdata.crosswalks.word_index import build_word_index

    return build_word_index(
        vocabulary,
        read_known_words(resources, vocabulary),
        read_terms(resources, vocabulary),
        read_review(resources, vocabulary),
    )


def read_known_words(resources: Resources, vocabulary: "Vocabulary") -> "Iterator[tuple[str, Label]]":
    """Every word of the catalog's datasets: the dataset, and the word's row."""
    for name in resources.catalog:
        for row in crosswalk_of(resources, name, vocabulary):
            yield name, row


def read_terms(resources: Resources, vocabulary: "Vocabulary") -> "Sequence[ForeignTerm]":
    """What concepts are called in other languages; BadCatalog for a broken file."""
    from dermdata.catalogs.overlays import read_text
    from dermdata.vocabulary.terms import parse_terms

    path = resources.catalog.vocabulary_file("terms.tsv")
    return parse_terms(read_text(path), vocabulary, str(path))


def read_review(resources: Resources, vocabulary: "Vocabulary") -> "Sequence[ReviewItem]":
    """The words whose concept a dermatologist should decide; BadCatalog for a broken file."""
    from dermdata.catalogs.overlays import read_text
    from dermdata.crosswalks.crosswalk import parse_review

    path = resources.catalog.vocabulary_file("review.tsv")
    return parse_review(read_text(path), vocabulary, str(path))


def write_crosswalk(resources: Resources, out: Path, labels: "Sequence[Label]") -> None:
    """Write the labels.tsv of a private catalog; a note where no entry is beside it."""
    from dermdata import disk
    from dermdata.crosswalks import labels_to_text

    disk.write_chunks(out, [labels_to_text(labels).encode()])
    resources.say(f"{count_nouns(len(labels), 'row')} written to {out}")
    if not out.with_name("dataset.toml").exists():
        resources.say("a catalog wants a dataset.toml beside it: see docs/private-catalogs.md")
