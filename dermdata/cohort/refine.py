"""Refines labels by identity: where the same image has a finer label elsewhere, that label is taken.

The same image is the same `isic_id`. A label is taken as the other source states it and never combined with our
own: akiec (actinic keratosis or SCC in situ) that ISIC 2019 calls SCC (in situ or invasive) becomes squamous-cell
carcinoma. That it must be in situ is a conclusion that neither source stated.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dermdata.cohort.keys import row_keys
from dermdata.crosswalks.extents import LabelComparer
from dermdata.manifest.columns import first_rows, text_column
from dermdata.manifest.schema import SCHEMA
from dermdata.model import Finding, Label
from dermdata.projection import REFINED_FROM, REFINED_LABEL, LabelStatements, set_text_column

REFINED_COLUMNS = ("diagnosis", "diagnosis_name", "diagnosis_path", "diagnosis_match", "malignancy")
NEEDED_COLUMNS = (
    "dataset", "image_id", "key", "isic_id", "label_raw", *REFINED_COLUMNS, "malignancy_source",
    REFINED_FROM, REFINED_LABEL,
)  # fmt: skip


@dataclass(frozen=True)
class Refinement:
    """The table with finer labels, how many rows have one, and the labels that contradict each other."""

    table: pa.Table
    count: int
    conflicts: tuple[Finding, ...]


@dataclass(frozen=True)
class LabeledRows:
    """The rows of one table, as far as labels go."""

    table: pa.Table
    keys: Sequence[str]
    statements: Sequence[Label | None]
    place: NDArray[np.int64]

    def label(self, row: int) -> Label | None:
        return self.statements[int(self.place[row])]

    def evidence(self, row: int) -> dict[str, str | None]:
        return {name: self.table[name][row].as_py() for name in ("label_raw", "diagnosis", "malignancy")}


def refine_labels(
    table: pa.Table, others: pa.Table, statements: LabelStatements, judge: LabelComparer
) -> Refinement:
    """Take the finest consistent label that `others` has of each image; what contradicts is reported, not taken."""
    ours, theirs = label_rows(table, statements), label_rows(others, statements)
    same = group_by_identity(text_column(others, "isic_id"), text_column(table, "isic_id"))
    source = np.full(table.num_rows, -1, np.int64)
    conflicts: list[Finding] = []
    for row, isic_id in enumerate(text_column(table, "isic_id").to_pylist()):
        found = [one for one in same.get(isic_id, ()) if theirs.keys[one] != ours.keys[row]]
        if not found:
            continue
        against, best = find_finest(ours.label(row), found, theirs, judge)
        if against:
            conflicts.append(identity_conflict(isic_id, [(ours, row), *((theirs, one) for one in against)]))
        elif best is not None:
            source[row] = best
    return Refinement(take_labels(table, others, source), int((source >= 0).sum()), tuple(conflicts))


def label_rows(table: pa.Table, statements: LabelStatements) -> LabeledRows:
    found, place = statements.find_statements(table)
    return LabeledRows(table, row_keys(table).to_pylist(), found, place)


def group_by_identity(ids: pa.Array, wanted: pa.Array) -> dict[str, list[int]]:
    """isic_id -> the rows that have it, of the ids that are wanted."""
    found: dict[str, list[int]] = {}
    there = pc.and_(pc.is_valid(ids), pc.is_in(ids, wanted))
    for row in np.flatnonzero(there.to_numpy(zero_copy_only=False)):
        found.setdefault(ids[int(row)].as_py(), []).append(int(row))
    return found


def find_finest(
    own: Label | None, rows: Sequence[int], theirs: LabeledRows, judge: LabelComparer
) -> tuple[list[int], int | None]:
    """The rows that contradict ours or each other, and the finest of the others (by key among equals)."""
    against = [row for row in rows if judge.compare(own, theirs.label(row)) == "contradicts"]
    finer = [row for row in rows if judge.compare(own, theirs.label(row)) == "finer"]
    pairs = ((one, two) for number, one in enumerate(finer) for two in finer[number + 1 :])
    for pair in pairs:
        if judge.compare(*map(theirs.label, pair)) == "contradicts":
            against += pair
    best = min(finer, key=lambda row: (-judge.depth(theirs.label(row)), theirs.keys[row]), default=None)
    return list(dict.fromkeys(against)), best


def find_contradictions(
    table: pa.Table, statements: LabelStatements, judge: LabelComparer
) -> tuple[Finding, ...]:
    """The images that several rows of the table have, labeled so that not all of it can be true, by `isic_id`."""
    ids = text_column(table, "isic_id")
    first = first_rows(pa.chunked_array([ids]))
    several = ids.take(pa.array(np.flatnonzero(first != np.arange(len(first))))).unique()
    if not len(several):
        return ()
    rows = label_rows(table, statements)
    found = []
    for isic_id, same in group_by_identity(ids, several).items():
        against = [one for one in same if any(is_contradiction(rows, judge, one, other) for other in same)]
        if against:
            found.append(identity_conflict(isic_id, [(rows, one) for one in against]))
    return tuple(found)


def find_key_conflicts(
    table: pa.Table, statements: LabelStatements, judge: LabelComparer
) -> tuple[Finding, ...]:
    """The rows whose key an earlier row has with a label that contradicts theirs: one of them will be dropped."""
    first, rows = first_rows(pa.chunked_array([row_keys(table)])), label_rows(table, statements)
    again = np.flatnonzero(first != np.arange(len(first))).tolist()
    return tuple(
        key_conflict(rows, int(first[row]), row)
        for row in again
        if is_contradiction(rows, judge, int(first[row]), row)
    )


def key_conflict(rows: LabeledRows, kept: int, dropped: int) -> Finding:
    evidence = {"kept": rows.evidence(kept), "dropped": rows.evidence(dropped)}
    key, words = (
        rows.keys[kept],
        ", ".join(str(one["diagnosis"] or one["malignancy"]) for one in evidence.values()),
    )
    return Finding(
        level="warning",
        code="label-conflict",
        dataset=key.partition("/")[0],
        keys=(key,),
        message=f"{key} is there twice with labels that cannot both be true ({words})",
        evidence=evidence,
    )


def is_contradiction(rows: LabeledRows, judge: LabelComparer, one: int, other: int) -> bool:
    return judge.compare(rows.label(one), rows.label(other)) == "contradicts"


def identity_conflict(isic_id: str, rows: Sequence[tuple[LabeledRows, int]]) -> Finding:
    evidence = {one.keys[row]: one.evidence(row) for one, row in rows}
    words = ", ".join(f"{key}: {shown['label_raw']}" for key, shown in evidence.items())
    datasets = dict.fromkeys(key.partition("/")[0] for key in evidence)
    return Finding(
        level="warning",
        code="label-conflict",
        dataset=", ".join(datasets),
        keys=tuple(evidence),
        message=f"{isic_id} has labels that cannot both be true ({words})",
        evidence=evidence,
    )


# ------------------------------------------------------------------ taking


def take_labels(table: pa.Table, others: pa.Table, source: NDArray[np.int64]) -> pa.Table:
    """The label columns of `others` where `source` names a row of it, our own elsewhere."""
    index = pa.array(np.where(source < 0, np.arange(len(source)), source + table.num_rows))
    for name in REFINED_COLUMNS:
        kind = SCHEMA.field(name).type
        value = kind.value_type if pa.types.is_dictionary(kind) else kind
        own, other = (one[name].cast(value).combine_chunks() for one in (table, others))
        column = pa.concat_arrays([own, other]).take(index)
        if name == "malignancy":  # what our own source states of it stays where the other one is silent
            column = pc.coalesce(column, own)
        field = table.schema.field(name).with_type(kind)  # a manifest of an earlier version may have another
        table = table.set_column(table.column_names.index(name), field, column.cast(kind))
    return set_source_columns(table, others, source)


def set_source_columns(table: pa.Table, others: pa.Table, source: NDArray[np.int64]) -> pa.Table:
    """`refined_from` and `refined_label`; through a source that was refined itself to where its label comes from."""
    own_words = {REFINED_FROM: row_keys(others), REFINED_LABEL: text_column(others, "label_raw")}
    earlier = pc.is_valid(text_column(others, REFINED_FROM))
    row = pa.array(np.maximum(source, 0), mask=source < 0)
    for name, words in own_words.items():
        found = pc.if_else(earlier, text_column(others, name), words).take(row)
        kept = pc.if_else(pa.array(source < 0), text_column(table, name), found)
        table = set_text_column(table, name, kept.to_pylist())
    return table
