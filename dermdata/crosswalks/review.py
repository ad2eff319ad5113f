"""The rows of the crosswalks that a dermatologist should decide, with the reason; pure."""

from dataclasses import dataclass

from dermdata.vocabulary import Vocabulary, tsv

HEADER = ("dataset", "field", "raw_label", "concept_id", "count_if_known", "reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """One word whose concept is our best reading, and why a person should look at it; no word: all of the dataset."""

    dataset: str
    field: str | None
    raw_label: str | None
    concept: str | None
    count: int | None
    reason: str


def parse_review(
    text: str, vocabulary: Vocabulary, where: str = "vocabulary/review.tsv"
) -> tuple[Doubt, ...]:
    """The doubts in file order; BadCatalog lists every issue."""
    issues: list[str] = []
    rows = tsv.read(text, HEADER, issues)
    for line, row in rows:
        if row[3] and row[3] not in vocabulary:
            issues.append(f"line {line}: unknown concept '{row[3]}'")
        if row[4] and not row[4].isdecimal():
            issues.append(f"line {line}: '{row[4]}' is no number of images")
        if not row[0] or not row[5]:
            issues.append(f"line {line}: a row needs a dataset and a reason")
    tsv.complain(where, issues)
    return tuple(doubt_of(row) for _, row in rows)


def doubt_of(row: list[str]) -> Doubt:
    dataset, field, raw, concept, count, reason = row
    return Doubt(
        dataset=dataset,
        field=field or None,
        raw_label=raw or None,
        concept=concept or None,
        count=int(count) if count else None,
        reason=reason,
    )
