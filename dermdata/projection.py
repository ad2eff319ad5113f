"""A manifest's labels as the classes of one label space, row by row; null with a reason where there is no one class.

What a row says is its crosswalk row, not only its `diagnosis`: a lump's members decide, and `diagnosis` is what they
have in common. A row that `select --refine` refined says what the row says that it was refined from.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dermdata.crosswalks import harmonize_label
from dermdata.manifest.columns import distinct_rows, text_column
from dermdata.manifest.schema import WORDS
from dermdata.manifest.split_classes import forget_split_classes
from dermdata.markup import count_nouns
from dermdata.model import Label, Predicate
from dermdata.vocabulary import (
    LabelSpace,
    Projection,
    Vocabulary,
    WeightedClasses,
    project_label,
    project_weights,
)
from dermdata.vocabulary.concepts import UNKNOWN, concept_malignancy
from dermdata.vocabulary.spaces import NOT_STATED

DatasetLabels = Mapping[str, Iterable[Label]]  # dataset -> crosswalk rows of the fields its labels come from
ALL, TOP = (
    1.0,
    0.0,
)  # shares of a differential's weight that its class needs: all of it; what the heaviest has
SAME = 1e-6  # weights are rounded: shares that differ by less are equal
LABEL, REASON = "label", "label_reason"
NO_CLASS = "no class"
REFINED_FROM, REFINED_LABEL = "refined_from", "refined_label"
DESCRIPTIONS = {
    LABEL: "class of the label space asked for; null where the row fits no one class",
    REASON: "why `label` is null",
    REFINED_FROM: "key of the row whose finer label of the same image `diagnosis` is; null: its own",
    REFINED_LABEL: "that row's own word; `label_raw` stays",
}
STATEMENT_COLUMNS = (
    "dataset",
    "label_raw",
    "diagnosis",
    "diagnosis_match",
    "malignancy",
    "malignancy_source",
    REFINED_FROM,
    REFINED_LABEL,
)


@dataclass(frozen=True, slots=True)
class RowStatement:
    """What the manifest holds of one row's label."""

    dataset: str | None
    word: str | None
    diagnosis: str | None
    match: str | None
    malignancy: str | None
    malignancy_source: str | None


class LabelStatements:
    """What each row says, as the crosswalk row it came from; the same words are looked up once."""

    def __init__(self, words: DatasetLabels, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._rows: dict[tuple[str | None, str | None], list[Label]] = {}
        for dataset, labels in words.items():
            for label in labels:
                self._rows.setdefault((dataset, label.raw_label), []).append(label)

    def find_statements(self, table: pa.Table) -> tuple[list[Label | None], NDArray[np.int64]]:
        """The distinct statements of a table, and for each row which of them is its own."""
        first, place = distinct_rows([text_column(table, name) for name in STATEMENT_COLUMNS])
        columns = [text_column(table, name).take(pa.array(first)).to_pylist() for name in STATEMENT_COLUMNS]
        return [self.find_label(parse_statement(row)) for row in zip(*columns, strict=True)], place

    def find_label(self, row: RowStatement) -> Label | None:
        """The crosswalk row that gave the row its diagnosis, else the diagnosis itself; None if it says nothing."""
        for label in self._rows.get((row.dataset, row.word), ()):
            if harmonize_label(label, self.vocabulary).diagnosis == row.diagnosis:
                stated = row.malignancy_source or label.malignancy_source
                return replace(label, malignancy=row.malignancy, malignancy_source=stated)
        if row.diagnosis is None and row.malignancy is None and row.malignancy_source is None:
            return None
        return Label(
            field="",
            raw_label=row.word or "",
            concept=self.vocabulary[row.diagnosis or UNKNOWN].id,
            predicate=cast("Predicate", f"{row.match or 'exact'}Match"),
            malignancy=row.malignancy,
            malignancy_source=row.malignancy_source,
        )


def parse_statement(row: Sequence[str | None]) -> RowStatement:
    """A row's statement; a refined row has the word of the row that it was refined from."""
    dataset, word, diagnosis, match, malignancy, stated, source, source_word = row
    if source:
        dataset, word = source.partition("/")[0], source_word
    return RowStatement(dataset, word, diagnosis, match, malignancy, stated)


def project_table(
    table: pa.Table,
    space: LabelSpace,
    vocabulary: Vocabulary,
    words: DatasetLabels,
    *,
    related: bool = False,
    share: float = ALL,
) -> pa.Table:
    """Add the columns `label` and `label_reason`, of which each row has one.

    A graded differential has a class where all its weight lies in that one, unless `share` says that less will do.

    Parameters
    ----------
    table : pyarrow.Table
        Rows of manifests.
    space : LabelSpace
        The classes.
    vocabulary : Vocabulary
        The concepts' tree.
    words : mapping
        Dataset -> crosswalk rows of the fields that its labels come from.
    related : bool
        Project labels that only overlap their concept as if they were it.
    share : float
        Of a differential, the class that has most of the weight, if it has at least this share; 1: all, 0: any.

    Returns
    -------
    pyarrow.Table
        The same rows with the two columns, in their place or at the end.

    Raises
    ------
    UnknownName
        A row's diagnosis is no concept of the vocabulary.

    """
    statements, place = LabelStatements(words, vocabulary).find_statements(table)
    found = [project_statement(one, space, vocabulary, related=related) for one in statements]
    rows = [found[number] for number in place]
    for number, weights in graded_rows(table):
        rows[number] = project_differential(weights, space, vocabulary, share)
    table = set_text_column(forget_split_classes(table, LABEL), LABEL, [row.value for row in rows])
    return set_text_column(table, REASON, [row.reason for row in rows])


def project_statement(
    label: Label | None, space: LabelSpace, vocabulary: Vocabulary, *, related: bool
) -> Projection:
    if label is None:
        return Projection(None, NOT_STATED)
    return project_label(label, space, vocabulary, related=related)


def graded_rows(table: pa.Table) -> Iterable[tuple[int, list[dict[str, Any]]]]:
    """The rows that have a differential and no diagnosis."""
    if "differential" not in table.column_names or "diagnosis" not in table.column_names:
        return
    there = pc.and_(pc.is_valid(table["differential"]), pc.is_null(table["diagnosis"]))
    for number in np.flatnonzero(there.to_numpy()).tolist():
        yield number, table["differential"][number].as_py()


def project_differential(
    weights: list[dict[str, Any]], space: LabelSpace, vocabulary: Vocabulary, share: float = ALL
) -> Projection:
    """The class that has all the weight; with a `share` below 1, the one that has most of it, and at least this share.

    Weight without a class counts like one more class. Two that have the same weight have no class.
    """
    if any(one is None or one["concept"] is None or one["weight"] is None for one in weights):
        return Projection(None, "a differential that lacks a concept or a weight")
    parts = project_weights(add_weights(weights), space, vocabulary)
    if len(parts.classes) == 1 and not parts.unassigned:
        return Projection(next(iter(parts.classes)))
    if not parts.classes:
        return Projection(None, "; ".join(sorted(parts.unassigned)))
    if share < ALL:
        return find_top_class(parts, share)
    names = [*sorted(parts.classes), *([NO_CLASS] if parts.unassigned else [])]
    return Projection(None, f"a differential: {' or '.join(names)}")


def resolve_differentials(table: pa.Table, share: float, vocabulary: Vocabulary) -> tuple[pa.Table, int]:
    """Diagnose the rows that have a differential and no diagnosis: the heaviest concept, if it has this share.

    What is chosen of several is no certainty: its match is `close`. A tie, and what states no diagnosis, stays null.

    Parameters
    ----------
    table : pyarrow.Table
        Rows of manifests.
    share : float
        The least share of the weight; 0: any.
    vocabulary : Vocabulary
        The concepts' tree.

    Returns
    -------
    tuple of pyarrow.Table and int
        The same rows, and how many have a diagnosis now.

    """
    found = {
        number: concept
        for number, weights in graded_rows(table)
        if (concept := find_top_concept(weights, share, vocabulary))
    }
    if not found:
        return table, 0
    told: dict[str, Mapping[int, Any]] = {
        "diagnosis": found,
        "diagnosis_name": {number: vocabulary.name(one) for number, one in found.items()},
        "diagnosis_path": {number: list(vocabulary.path(one)) for number, one in found.items()},
        "diagnosis_match": dict.fromkeys(found, "close"),
        "malignancy": {number: concept_malignancy(one, vocabulary) for number, one in found.items()},
    }
    for name, cells in told.items():
        if name in table.column_names:
            values = table[name].to_pylist()
            for number, value in cells.items():
                values[number] = value
            place = table.column_names.index(name)
            table = table.set_column(place, table.field(place), pa.array(values, table.field(place).type))
    return table, len(found)


def find_top_concept(weights: list[dict[str, Any]], share: float, vocabulary: Vocabulary) -> str | None:
    """The heaviest concept of a differential; None for a tie, too small a share, or no diagnosis at all."""
    if any(one is None or one["concept"] not in vocabulary or one["weight"] is None for one in weights):
        return None
    sums = add_weights(weights)
    most, total = max(sums.values(), default=0.0), sum(sums.values())
    top = [concept for concept, weight in sums.items() if most - weight < SAME * total]
    if len(top) != 1 or most < (share - SAME) * total or vocabulary.is_under(top[0], UNKNOWN):
        return None
    return top[0]


def add_weights(weights: list[dict[str, Any]]) -> dict[str, float]:
    """The weight of each concept; one may stand there twice."""
    sums: dict[str, float] = {}
    for one in weights:
        sums[one["concept"]] = sums.get(one["concept"], 0.0) + one["weight"]
    return sums


def find_top_class(parts: WeightedClasses, share: float) -> Projection:
    """The heaviest class, if nothing else is as heavy and it has this share of the weight."""
    weights: dict[str | None, float] = {None: sum(parts.unassigned.values())}
    weights.update(parts.classes.items())
    total = sum(weights.values())
    if not 0 < total < math.inf or min(weights.values()) < 0:
        return Projection(None, "a differential whose weights are no shares")
    most = max(weights.values())
    top = [name for name, weight in weights.items() if most - weight < SAME * total]
    if len(top) > 1:
        names = [*sorted(filter(None, top)), *([NO_CLASS] if None in top else [])]
        return Projection(None, f"a differential with a tie: {' or '.join(names)}")
    if most < (share - SAME) * total:
        return Projection(None, f"a differential: no class has {share:g} of the weight")
    if top == [None]:
        return Projection(None, "a differential: most of its weight has no class")
    return Projection(top[0])


def describe_top(table: pa.Table, space: LabelSpace, vocabulary: Vocabulary, share: float = ALL) -> list[str]:
    """In words, how many rows of a projected table have a class that has not all the weight of their differential."""
    if share >= ALL:
        return []
    there = table.filter(pc.is_valid(table[LABEL]))
    graded = (project_differential(weights, space, vocabulary) for _, weights in graded_rows(there))
    count = sum(one.value is None for one in graded)
    least = f", where it has at least {share:g} of the weight" if share else ""
    return [f"{count_nouns(count, 'row', 'have')} the class at the top of their differential{least}"]


def count_unprojected(table: pa.Table) -> list[dict[str, Any]]:
    """What has no class: `dataset, label_raw, diagnosis, reason, images`, most images first."""
    rows = pa.table(
        {name: text_column(table, name) for name in ("dataset", "label_raw", "diagnosis", REASON)}
    )
    cells = rows.filter(pc.is_valid(rows[REASON])).group_by(rows.column_names, use_threads=False)
    found = [
        {**{name: cell[name] for name in rows.column_names[:-1]}, "reason": cell[REASON], "images": cell["count_all"]}
        for cell in cells.aggregate([([], "count_all")]).to_pylist()
    ]  # fmt: skip
    return sorted(found, key=lambda row: (-row["images"], [str(value) for value in row.values()]))


def set_text_column(table: pa.Table, name: str, values: Sequence[str | None]) -> pa.Table:
    """The table with this column of words, in its place or at the end."""
    field = pa.field(name, WORDS, metadata={"description": DESCRIPTIONS[name]})
    array = pa.array(values, pa.string()).cast(WORDS)
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), field, array)
    return table.append_column(field, array)
