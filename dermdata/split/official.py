"""The publisher's own test and validation sets keep their rows.

A row that is officially test (or validation) keeps that part. Every other row of a group that touches the
official test set is left out of all parts (null): to train on it would leak, and to add it to the test set
would change what the publisher measures. The same holds for groups that touch the validation set; where a
group touches both, its test rows stay and its validation rows are left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dermdata.errors import UsageError
from dermdata.manifest.columns import Ints
from dermdata.markup import count_nouns
from dermdata.split.groups import Grouping, TableLike, factorize

ROLE_WORDS: Mapping[str, tuple[str, ...]] = {
    "test": ("test", "testing"),
    "val": ("val", "validation", "valid", "dev", "development"),
}
FREE, LEFT_OUT = -1, -2


@dataclass(frozen=True, kw_only=True, eq=False)
class OfficialSplit:
    """What the publisher fixes, row by row."""

    parts: tuple[str, ...]  # all part names: those asked for, then official ones that were not
    part: Ints  # per row: a part, FREE, or LEFT_OUT
    allowed: tuple[tuple[Ints, tuple[str, ...]], ...]  # free rows, and the parts that are open to them
    notes: tuple[str, ...]


def fix_official_rows(table: TableLike, grouping: Grouping, asked: Sequence[str]) -> OfficialSplit:
    """Fix the official test and validation rows; UsageError when the publishers have none at all."""
    names = {word: _part_name(word, asked) for word in ROLE_WORDS}
    parts = (*asked, *(name for name in names.values() if name not in asked))
    role = _row_roles(table)
    if not (role >= 0).any():
        raise UsageError(
            "no row has an official test or validation split", hint="leave out --official to split all rows"
        )
    strongest = _group_roles(role, grouping)[grouping.number]  # per row: what its group touches
    fixed = np.array([parts.index(name) for name in names.values()])
    part = np.where(role >= 0, fixed[role], FREE)
    part[(strongest >= 0) & (role != strongest)] = LEFT_OUT
    cohorts = _free_cohorts(table, role, grouping, part == FREE)
    allowed = tuple((rows, _open_parts(asked, taken, names)) for rows, taken in cohorts)
    used = tuple(name for i, name in enumerate(parts) if name in asked or (part == i).any())
    return OfficialSplit(parts=used, part=part, allowed=allowed, notes=_official_notes(role, part, names))


def official_parts_notes(table: TableLike) -> tuple[str, ...]:
    """What a split that does not keep them must say of the publishers' own parts: a note a dataset that has any."""
    part, dataset, roles = factorize(table, "split_official"), factorize(table, "dataset"), _row_roles(table)
    notes = []
    for code in np.unique(dataset.codes[part.is_known]).tolist():
        rows = part.is_known & (dataset.codes == code)
        numbers, counts = np.unique(part.codes[rows], return_counts=True)
        if len(numbers) < 2 and (roles[rows] < 0).all():
            continue  # one part, for training: nothing to keep apart
        shown = ", ".join(f"{part.value(n)} {int(c):,}" for n, c in zip(numbers, counts, strict=True))
        keeps = ": --official keeps its test and validation sets" if (roles[rows] >= 0).any() else ""
        notes.append(
            f"{dataset.value(code) or 'the table'} has an official split ({shown}), which is dealt out anew{keeps}"
        )
    return (*notes, *_official_fold_notes(table))


def _official_fold_notes(table: TableLike) -> tuple[str, ...]:
    folds = factorize(table, "fold_official")
    several = len(folds.values) > 1
    return (
        (f"the publisher's {count_nouns(len(folds.values), 'fold', 'stay')} in fold_official",)
        if several
        else ()
    )


def _part_name(word: str, asked: Sequence[str]) -> str:
    return next((name for name in asked if name.lower() in ROLE_WORDS[word]), word)


def _row_roles(table: TableLike) -> Ints:
    """Per row 0 for official test, 1 for validation, -1 for anything else."""
    column = factorize(table, "split_official")
    words = [str(value).strip().lower() for value in column.values.to_pylist()]
    role_of = [
        next((i for i, known in enumerate(ROLE_WORDS.values()) if word in known), -1) for word in words
    ]
    return np.array([*role_of, -1], np.int64)[column.codes]  # code -1, missing, takes the last


def _group_roles(role: Ints, grouping: Grouping) -> Ints:
    """Per group the first role that any of its rows has: test before validation; -1 for none."""
    found = np.full(grouping.counts["groups"], len(ROLE_WORDS))
    has = role >= 0
    np.minimum.at(found, grouping.number[has], role[has])
    return np.where(found == len(ROLE_WORDS), -1, found)


def _free_cohorts(
    table: TableLike, role: Ints, grouping: Grouping, free: NDArray[np.bool_]
) -> list[tuple[Ints, set[str]]]:
    """The free rows by the official sets of their group's datasets: those parts are not open to them."""
    dataset = factorize(table, "dataset").codes + 1
    taken = np.zeros(int(dataset.max(initial=0)) + 1, np.int64)
    np.bitwise_or.at(taken, dataset[role >= 0], 1 << role[role >= 0])
    of_group = np.zeros(grouping.counts["groups"], np.int64)
    np.bitwise_or.at(of_group, grouping.number, taken[dataset])
    mask = of_group[grouping.number]
    words = list(ROLE_WORDS)
    return [
        (np.flatnonzero(free & (mask == bits)), {words[i] for i in range(len(words)) if bits >> i & 1})
        for bits in np.unique(mask[free]).tolist()
    ]


def _open_parts(asked: Sequence[str], taken: set[str], names: Mapping[str, str]) -> tuple[str, ...]:
    closed = {names[word] for word in taken}
    remaining = tuple(name for name in asked if name not in closed)
    if not remaining:
        raise UsageError(
            f"the official split takes {' and '.join(sorted(closed))}: no part is left for the other rows",
            hint="add a part for them, such as train",
        )
    return remaining


def _official_notes(role: Ints, part: Ints, names: Mapping[str, str]) -> tuple[str, ...]:
    kept = [
        f"{count_nouns(int(((role == i) & (part >= 0)).sum()), 'image', 'keep')} the official split '{names[word]}'"
        for i, word in enumerate(ROLE_WORDS)
        if (role == i).any()
    ]
    out = int((part == LEFT_OUT).sum())
    left = (
        f"{count_nouns(out, 'image', 'are')} in no part: they share a patient, lesion or image with the official "
        "test or validation set, which is left as the publisher made it"
    )
    return (*kept, left) if out else tuple(kept)
