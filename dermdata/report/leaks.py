"""Whether anything is in more than one part of the split, as far as the rows can tell."""

from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dermdata.manifest.columns import text_column
from dermdata.manifest.schema import USUAL_PARTS
from dermdata.markup import agree_verb, count_nouns, count_share, join_words
from dermdata.model import Finding

NOT_STATED = "no two parts state them"
SPLITS = ("split", "fold", "split_official", "fold_official")


@dataclass(frozen=True)
class LeakLevel:
    """What may be in two parts, and by which columns rows say that they belong together."""

    code: str
    noun: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class JudgedLevel:
    """What was found of a level, and what could not be judged of it."""

    noun: str
    found: int
    gap: str


LEVELS = (
    LeakLevel("leak-patient", "patient", ("patient_id", "case_id")),
    LeakLevel("leak-lesion", "lesion", ("lesion_id",)),
    LeakLevel("leak-image", "picture", ()),  # by what is in the files
)


def describe_leaks(table: pa.Table, findings: Sequence[Finding], checked: Container[str] | None) -> str:
    """What is in more than one part, what is not, and what nobody could judge.

    Parameters
    ----------
    table : pyarrow.Table
        The audited rows.
    findings : sequence of Finding
        What was found.
    checked : container of str, optional
        The codes that were looked for; None: all.

    """
    split = next((name for name in SPLITS if len(list_parts(table, name)) > 1), None)
    if split is None:
        return "there is no split to judge."
    judged = [
        judge_level(table, level, split, findings) for level in LEVELS if is_checked(level.code, checked)
    ]
    if not judged:
        return "not looked for."
    where = f"in more than one part ({', '.join(list_parts(table, split))})"
    blind = is_checked("leak-image", checked) and not is_checked("duplicate-near", checked)
    sentences = (
        describe_found(judged, where),
        describe_clean(judged, where),
        describe_unjudged(judged),
        "near duplicates were not looked for (--near)" if blind else "",
    )
    return f"{'; '.join(filter(None, sentences))}."


def judge_level(table: pa.Table, level: LeakLevel, split: str, findings: Sequence[Finding]) -> JudgedLevel:
    """How often this is in two parts, and for how many rows nobody knows."""
    found = sum(one.code == level.code for one in findings)
    return JudgedLevel(level.noun, found, describe_gap(table, level, split))


def describe_found(judged: Sequence[JudgedLevel], where: str) -> str:
    """What is in two parts."""
    words = [count_nouns(level.found, level.noun) for level in judged if level.found]
    verb = agree_verb(sum(level.found for level in judged), "are")
    return f"{join_words(words)} {verb} {where}" if words else ""


def describe_clean(judged: Sequence[JudgedLevel], where: str) -> str:
    """What is not in two parts, of what could be."""
    words = [f"no {level.noun}" for level in judged if not level.found and level.gap != NOT_STATED]
    return f"{join_words(words)} is {where}" if words else ""


def describe_unjudged(judged: Sequence[JudgedLevel]) -> str:
    """What nobody can know."""
    words = [f"{level.noun}s ({level.gap})" for level in judged if level.gap]
    return f"not judged: {join_words(words)}" if words else ""


def is_checked(code: str, checked: Container[str] | None) -> bool:
    """Whether this was looked for."""
    return checked is None or code in checked


def describe_gap(table: pa.Table, level: LeakLevel, split: str) -> str:
    """How many rows in a part have no id of this level; `NOT_STATED` where fewer than two parts have one."""
    if not level.columns:
        return ""
    parts = text_column(table, split)
    known = pa.array(np.logical_or.reduce([has_id(table, name) for name in level.columns]))
    if pc.count_distinct(parts.filter(known)).as_py() < 2:
        return NOT_STATED
    placed = parts.filter(pc.invert(known)).drop_null()
    total = len(parts) - parts.null_count
    return f"{count_share(len(placed), total, 'row', 'name')} none" if len(placed) else ""


def has_id(table: pa.Table, name: str) -> NDArray[np.bool_]:
    """Which rows have this id."""
    return np.asarray(text_column(table, name).is_valid())


def list_parts(table: pa.Table, name: str) -> list[str]:
    """The parts of a split or folds, in the usual order; none where there is no such column."""
    if name not in table.column_names:
        return []
    words = map(str, text_column(table, name).drop_null().unique().to_pylist())
    usual = {part: place for place, part in enumerate(USUAL_PARTS)}
    return sorted(words, key=lambda part: (usual.get(part, len(usual)), part))
