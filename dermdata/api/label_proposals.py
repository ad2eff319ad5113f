"""Which concepts the words of a person's own table may mean, and the crosswalk of what is sure or decided."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dermdata.api.label_spaces import crosswalk_of, text_of, vocabulary_of
from dermdata.api.records import Records
from dermdata.api.resources import Resources
from dermdata.errors import ProblemsFound

if TYPE_CHECKING:
    from dermdata.crosswalks.own import Proposal
    from dermdata.model import Label
    from dermdata.vocabulary import Vocabulary

KEYS = ("raw_label", "count", "how", "score", "concept", "name", "matched", "candidates", "applied")


class ProposedLabels:
    """A proposal for each word of a table.

    Attributes
    ----------
    records : Records
        `raw_label, count, how, score, concept, name, matched, candidates, applied`, the commonest word first.
    labels : list of Label
        The rows of the crosswalk: what was decided before, then what is sure.

    """

    def __init__(
        self, proposals: "Sequence[Proposal]", labels: "Sequence[Label]", vocabulary: "Vocabulary"
    ) -> None:
        rows = [
            {**{key: getattr(one, key, None) for key in KEYS}, "name": one.concept and vocabulary.name(one.concept)}
            for one in proposals
        ]  # fmt: skip
        self.records = Records(rows, KEYS)
        self.labels = list(labels)

    def require_all(self) -> None:
        """ProblemsFound for words without a concept: listed with their count, never given a default class."""
        missing = [row["count"] for row in self.records if not row["applied"]]
        if missing:
            raise ProblemsFound(
                f"{len(missing):,} words ({sum(missing):,} rows) have no concept yet",
                hint="--accept WORD=CONCEPT decides one",
            )


def propose_labels(
    resources: Resources, table: Path, column: str, decisions: Iterable[str] = (), out: Path | None = None
) -> ProposedLabels:
    """Propose a concept for each word in a column of a CSV table; nothing is written.

    `decisions` are a person's, as WORD=CONCEPT; those that stand in `out` already stay.
    """
    from dermdata.crosswalks import own

    vocabulary = vocabulary_of(resources)
    words = own.words_of(text_of(table, "table"), column, str(table))
    if blank := words.pop("", 0):
        resources.say(f"{blank:,} rows have no word in {column}")
    decided = [*read_decided(out, vocabulary), *own.accepted(decisions, column, words, vocabulary)]
    proposals = own.propose(words, column, vocabulary, read_known_words(resources, vocabulary), decided)
    return ProposedLabels(proposals, own.merged(decided, proposals), vocabulary)


def read_decided(out: Path | None, vocabulary: "Vocabulary") -> "list[Label]":
    """The rows that an earlier run or a person has written; BadCatalog if they are not sound."""
    from dermdata.crosswalks import check, parse_labels

    if out is None or not out.exists():
        return []
    rows = parse_labels(text_of(out, "labels.tsv"), str(out))
    check(rows, vocabulary, str(out))
    return list(rows)


def read_known_words(resources: Resources, vocabulary: "Vocabulary") -> "dict[str, list[tuple[str, Label]]]":
    """Raw word -> the datasets of the catalog that use it."""
    known: dict[str, list[tuple[str, Label]]] = {}
    for name in resources.catalog:
        for row in crosswalk_of(resources, name, vocabulary):
            known.setdefault(row.raw_label, []).append((name, row))
    return known


def write_crosswalk(resources: Resources, out: Path, labels: "Sequence[Label]") -> None:
    """Write the labels.tsv of a private catalog; a note where no entry is beside it."""
    from dermdata import disk
    from dermdata.crosswalks import write_labels

    disk.write(out, [write_labels(labels).encode()])
    resources.say(f"{len(labels):,} rows written to {out}")
    if not out.with_name("dataset.toml").exists():
        resources.say("a catalog wants a dataset.toml beside it: see docs/private-catalogs.md")
