"""The whole selection: refine, name the classes, filter, fold, sample; each step counted."""

from dataclasses import dataclass, field

import pyarrow as pa

from dermdata.agreement import Judge
from dermdata.errors import UsageError
from dermdata.finding import Finding
from dermdata.projection import Statements, Words, project_table, words_of
from dermdata.selection.dedupe import By, FindNear, dedupe
from dermdata.selection.refine import clashes, contradictions, refine
from dermdata.selection.rows import Dropped, arranged
from dermdata.selection.sample import class_column, sample
from dermdata.selection.where import strangers, where
from dermdata.vocabulary import Space, Vocabulary


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is asked of the rows."""

    where: str | None = None
    space: Space | None = None
    dedupe: By | None = None
    sample: int | None = None
    per_class: bool = False
    seed: int = 0
    near: FindNear | None = None  # how `dedupe` finds near duplicates


@dataclass(kw_only=True)
class Selection:
    """The selected rows, those that another stands for, contradicting labels, and in words what was done."""

    table: pa.Table
    dropped: tuple[Dropped, ...] = ()
    conflicts: tuple[Finding, ...] = ()
    notes: list[str] = field(default_factory=list)


def select(
    table: pa.Table, wanted: Wanted, vocabulary: Vocabulary, words: Words, refine_with: pa.Table | None = None
) -> Selection:
    """The rows of a manifest that are wanted, by dataset and image.

    The condition sees refined labels and classes; folding comes after it, so that a row which it excludes is never
    the one that stays. UsageError, UnknownName or BadTable for what cannot be done.
    """
    if wanted.per_class and wanted.sample is None:
        raise UsageError("--per-class needs --sample N")
    rows, twice = arranged(table)
    done = Selection(table=rows, dropped=twice)
    statements, judge = Statements(words, vocabulary), Judge(vocabulary)
    if twice:
        done.notes.append(f"{len(twice):,} rows are in more than one target: taken once")
        done.conflicts = clashes(table, statements, judge)
    if refine_with is not None:
        refining(done, refine_with, statements, judge)
    if wanted.space:
        done.table = project_table(done.table, wanted.space, vocabulary, words)
    if wanted.where:
        filtering(done, wanted.where, vocabulary)
    done.conflicts += contradictions(done.table, statements, judge)
    if wanted.dedupe:
        folding(done, wanted, wanted.dedupe, statements, judge)
    if wanted.sample is not None:
        sampling(done, wanted.sample, wanted)
    done.conflicts = once(done.conflicts)
    return done


def refining(done: Selection, others: pa.Table, statements: Statements, judge: Judge) -> None:
    found = refine(done.table, others, statements, judge)
    done.table, done.conflicts = found.table, done.conflicts + found.conflicts
    done.notes.append(f"{found.count:,} rows take a finer label of the same image")


def filtering(done: Selection, condition: str, vocabulary: Vocabulary) -> None:
    found = where(done.table, condition, vocabulary)
    done.notes += strangers(done.table, condition)
    done.notes.append(f"{found.num_rows:,} of {done.table.num_rows:,} rows are as the condition says")
    done.table = found


def folding(done: Selection, wanted: Wanted, by: By, statements: Statements, judge: Judge) -> None:
    found = dedupe(done.table, by, statements, judge, wanted.near)
    done.notes += [found.note] if found.note else []
    done.table, done.dropped = found.table, done.dropped + found.dropped
    done.conflicts += found.conflicts
    reasons: dict[str, int] = {}
    for one in found.dropped:
        reasons[one.reason] = reasons.get(one.reason, 0) + 1
    why = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
    done.notes.append(f"{len(found.dropped):,} rows are folded into others{f' ({why})' if why else ''}")


def sampling(done: Selection, count: int, wanted: Wanted) -> None:
    before = done.table
    done.table = sample(before, count, wanted.seed, per_class=wanted.per_class)
    done.notes.append(f"{done.table.num_rows:,} of {before.num_rows:,} rows are sampled (seed {wanted.seed})")
    if wanted.per_class:
        lacking = words_of(before, class_column(before)).null_count
        short = [name for name, have in sizes(before) if have < count]
        if lacking:
            done.notes.append(f"{lacking:,} rows have no {class_column(before)} and are in no class")
        if short:
            done.notes.append(f"fewer than {count:,} rows in {', '.join(short)}: all of them are taken")


def sizes(table: pa.Table) -> list[tuple[str, int]]:
    """Each class and its rows, by name."""
    counts = words_of(table, class_column(table)).value_counts().to_pylist()
    return sorted((one["values"], one["counts"]) for one in counts if one["values"] is not None)


def once(conflicts: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Each contradiction once, whichever of its rows was looked at first: not again with fewer of its rows."""
    found: list[int] = []
    by_key: dict[str, list[frozenset[str]]] = {}
    for place, one in sorted(enumerate(conflicts), key=lambda pair: -len(pair[1].keys)):
        keys = frozenset(one.keys)
        if not any(keys <= other for other in by_key.get(one.keys[0], ())):
            found.append(place)
            for key in keys:
                by_key.setdefault(key, []).append(keys)
    return tuple(conflicts[place] for place in sorted(found))
