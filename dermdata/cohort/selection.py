"""Selects rows of manifests: refines, projects, filters, deduplicates and samples them; each step is counted."""

from dataclasses import dataclass, field

import pyarrow as pa

from dermdata.cohort.dedupe import DedupeMethod, FindNear, drop_duplicates
from dermdata.cohort.keys import DroppedRow, class_column, drop_repeated_rows, find_order, sample_rows
from dermdata.cohort.refine import find_contradictions, find_key_conflicts, refine_labels
from dermdata.crosswalks.extents import LabelComparer
from dermdata.errors import UsageError
from dermdata.manifest.columns import text_column
from dermdata.manifest.parquet import take_from_columns
from dermdata.markup import agree_verb, count_nouns, count_share
from dermdata.model import Finding
from dermdata.projection import ALL, DatasetLabels, LabelStatements, describe_top, project_table
from dermdata.vocabulary import LabelSpace, Vocabulary


@dataclass(frozen=True, kw_only=True)
class SelectionRequest:
    """What is asked of the rows."""

    where: str | None = None
    space: LabelSpace | None = None
    share: float = ALL  # of a differential's weight that a class needs
    dedupe: DedupeMethod | None = None
    sample: int | None = None
    per_class: bool = False
    seed: int = 0
    near: FindNear | None = None  # how `dedupe` finds near duplicates


@dataclass(kw_only=True)
class Selection:
    """The selected rows, those that another stands for, contradicting labels, and in words what was done."""

    table: pa.Table
    dropped: tuple[DroppedRow, ...] = ()
    conflicts: tuple[Finding, ...] = ()
    notes: list[str] = field(default_factory=list)


def select_rows(
    table: pa.Table,
    wanted: SelectionRequest,
    vocabulary: Vocabulary,
    words: DatasetLabels,
    refine_with: pa.Table | None = None,
) -> Selection:
    """Select rows of a manifest.

    The condition sees refined labels and classes; folding comes after it, so that a row which it excludes is never
    the one that stays.

    Parameters
    ----------
    table : pyarrow.Table
        A manifest. Where the caller does not hold it, its columns are gone as they are sorted.
    wanted : SelectionRequest
        What is asked of the rows.
    vocabulary : Vocabulary
        Where concepts lie.
    words : mapping
        What the datasets' label words mean.
    refine_with : pyarrow.Table, optional
        Rows of other manifests whose finer labels of the same images are taken.

    Returns
    -------
    Selection
        The rows by dataset and image, and what was done.

    Raises
    ------
    UsageError, UnknownName, BadTable
        For what cannot be done.

    """
    if wanted.per_class and wanted.sample is None:
        raise UsageError("--per-class needs --sample N")
    rows, twice = drop_repeated_rows(table)
    done = Selection(table=rows, dropped=twice)
    del rows
    statements, judge = LabelStatements(words, vocabulary), LabelComparer(vocabulary)
    if twice:
        done.notes.append(f"{count_nouns(len(twice), 'row', 'are')} in more than one target: taken once")
        done.conflicts = find_key_conflicts(table, statements, judge)
    del table
    if refine_with is not None:
        arrange_rows(done)
        apply_refinement(done, refine_with, statements, judge)
    if wanted.space:
        done.table = project_table(done.table, wanted.space, vocabulary, words, share=wanted.share)
        done.notes += describe_top(done.table, wanted.space, vocabulary, wanted.share)
    if wanted.where:
        apply_condition(done, wanted.where, vocabulary)
    arrange_rows(done)  # not before: fewer rows are sorted
    done.conflicts += find_contradictions(done.table, statements, judge)
    if wanted.dedupe:
        apply_deduplication(done, wanted, wanted.dedupe, statements, judge)
    if wanted.sample is not None:
        apply_sample(done, wanted.sample, wanted)
    done.conflicts = drop_repeated_conflicts(done.conflicts)
    return done


def arrange_rows(done: Selection) -> None:
    """Sort the rows by dataset, image and key, a column at a time: ten million rows are not held twice."""
    order = find_order(done.table)
    if order is None:
        return
    schema, columns = done.table.schema, done.table.columns
    done.table = schema.empty_table()  # now nobody but the list holds the columns
    done.table = pa.Table.from_arrays(take_from_columns(columns, order), schema=schema)


def apply_refinement(
    done: Selection, others: pa.Table, statements: LabelStatements, judge: LabelComparer
) -> None:
    found = refine_labels(done.table, others, statements, judge)
    done.table, done.conflicts = found.table, done.conflicts + found.conflicts
    done.notes.append(f"{count_nouns(found.count, 'row', 'take')} a finer label of the same image")


def apply_condition(done: Selection, condition: str, vocabulary: Vocabulary) -> None:
    from dermdata.cohort.where import (
        filter_rows,
        unknown_word_notes,
    )  # here: the engine takes 0.1 s to import

    found = filter_rows(done.table, condition, vocabulary)
    done.notes += unknown_word_notes(done.table, condition)
    done.notes.append(
        f"{count_share(found.num_rows, done.table.num_rows, 'row', 'are')} as the condition says"
    )
    done.table = found


def apply_deduplication(
    done: Selection,
    wanted: SelectionRequest,
    by: DedupeMethod,
    statements: LabelStatements,
    judge: LabelComparer,
) -> None:
    found = drop_duplicates(done.table, by, statements, judge, wanted.near)
    done.notes += [found.note] if found.note else []
    done.table, done.dropped = found.table, done.dropped + found.dropped
    done.conflicts += found.conflicts
    reasons: dict[str, int] = {}
    for one in found.dropped:
        reasons[one.reason] = reasons.get(one.reason, 0) + 1
    why = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
    done.notes.append(
        f"{count_nouns(len(found.dropped), 'row', 'are')} folded into others{f' ({why})' if why else ''}"
    )


def apply_sample(done: Selection, count: int, wanted: SelectionRequest) -> None:
    before = done.table
    done.table = sample_rows(before, count, wanted.seed, per_class=wanted.per_class)
    done.notes.append(
        f"{count_share(done.table.num_rows, before.num_rows, 'row', 'are')} sampled (seed {wanted.seed})"
    )
    if wanted.per_class:
        lacking = text_column(before, class_column(before)).null_count
        short = [name for name, have in class_sizes(before) if have < count]
        if lacking:
            done.notes.append(
                f"{count_nouns(lacking, 'row', 'have')} no {class_column(before)} "
                f"and {agree_verb(lacking, 'are')} in no class"
            )
        if short:
            done.notes.append(
                f"fewer than {count_nouns(count, 'row')} in {', '.join(short)}: all of them are taken"
            )


def class_sizes(table: pa.Table) -> list[tuple[str, int]]:
    """Each class and its rows, by name."""
    counts = text_column(table, class_column(table)).value_counts().to_pylist()
    return sorted((one["values"], one["counts"]) for one in counts if one["values"] is not None)


def drop_repeated_conflicts(conflicts: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Each contradiction once, whichever of its rows came first: not again with fewer of its rows."""
    found: list[int] = []
    by_key: dict[str, list[frozenset[str]]] = {}
    for place, one in sorted(enumerate(conflicts), key=lambda pair: -len(pair[1].keys)):
        keys = frozenset(one.keys)
        if not any(keys <= other for other in by_key.get(one.keys[0], ())):
            found.append(place)
            for key in keys:
                by_key.setdefault(key, []).append(keys)
    return tuple(conflicts[place] for place in sorted(found))
