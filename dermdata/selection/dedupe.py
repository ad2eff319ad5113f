"""Several rows of one image become one row: the one that says most, which keeps what joined the others to more rows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dermdata.agreement import Judge
from dermdata.errors import UsageError
from dermdata.finding import Finding
from dermdata.manifest.schema import SCHEMA
from dermdata.projection import Statements, words_of
from dermdata.selection.links import Links
from dermdata.selection.merge import merged
from dermdata.selection.refine import Side, conflict, side
from dermdata.selection.rows import Dropped, keys_of

if TYPE_CHECKING:
    from dermdata.duplicates import Alike

By = Literal["id", "exact", "near"]
FindNear = Callable[[pa.Table], "Alike"]
COLUMN = {"id": "isic_id", "exact": "sha256"}
WHY_NOT = {
    "id": "no row has an isic_id",
    "exact": "no row has a sha256: no image is fetched",
    "near": "no row has a perceptual hash: no image is fetched, or an older version fetched it",
}
# told in words, in the order in which they decide
REASONS = (
    "coarser label",
    "not confirmed by histopathology",
    "image is not here",
    "less metadata",
    "name order",
)


@dataclass(frozen=True)
class Deduped:
    """The folded table, the rows that are gone, and folded rows whose labels contradict each other."""

    table: pa.Table
    dropped: tuple[Dropped, ...]
    conflicts: tuple[Finding, ...]
    note: str | None = None  # how near duplicates were told


def dedupe(
    table: pa.Table, by: By, statements: Statements, judge: Judge, near: "FindNear | None" = None
) -> Deduped:
    """One row of each image: by `isic_id`, by the bytes (`sha256`), or by what `near` finds to be one picture.

    The finer label stays (deeper, and below the other one); then what histopathology confirms; an image that is
    here; more metadata; the first dataset by name. UsageError where no row has what is compared.
    """
    identity, note = identities(table, by, near)
    if not any(identity) and table.num_rows:
        raise UsageError(
            f"cannot --dedupe {by}: {WHY_NOT[by]}", hint="`--dedupe id` compares isic_id, `exact` the files"
        )
    rows = side(table, statements)
    merits = merits_of(table)
    kept_for: dict[int, int] = {}
    dropped: list[Dropped] = []
    conflicts: list[Finding] = []
    for name, group in several(identity):
        best = best_of(group, rows, merits, judge)
        for row in group:
            if row != best:
                kept_for[row] = best
                dropped.append(
                    Dropped(
                        key=rows.keys[row],
                        kept=rows.keys[best],
                        reason=reason(row, best, rows, merits, judge),
                    )
                )
        against = [row for row in group if judge.verdict(rows.says(best), rows.says(row)) == "contradicts"]
        if against:
            conflicts.append(conflict(name, [(rows, row) for row in (best, *against)]))
    return Deduped(merged(table, kept_for), tuple(dropped), tuple(conflicts), note)


def identities(
    table: pa.Table, by: By, near: "FindNear | None" = None
) -> tuple[list[str | None], str | None]:
    """The word that rows of one image share; and how near duplicates were told."""
    if by == "near":
        return pictures(table, near)
    return words_of(table, COLUMN[by]).to_pylist(), None


def pictures(table: pa.Table, near: "FindNear | None") -> tuple[list[str | None], str | None]:
    """Of each row with a perceptual hash the key of the first row that shows its picture, by a chain of likenesses."""
    if near is None or "phash" not in table.column_names or not table.num_rows:
        return [None] * table.num_rows, None
    if table["phash"].null_count == table.num_rows:
        return [None] * table.num_rows, None
    found = near(table)
    keys, digests = keys_of(table).to_pylist(), words_of(table, "sha256").to_pylist()
    links, first = Links(), dict[str, str]()
    for key, digest in zip(keys, digests, strict=True):
        if digest is not None:
            links.join(first.setdefault(digest, key), key)
    for i, j in found.pairs():
        links.join(keys[i], keys[j])
    return [links.top(key) for key in keys], found.said


def several(identity: Sequence[str | None]) -> Iterator[tuple[str, list[int]]]:
    """Each identity that more than one row has, with its rows."""
    found: dict[str, list[int]] = {}
    for row, name in enumerate(identity):
        if name is not None:
            found.setdefault(name, []).append(row)
    yield from ((name, rows) for name, rows in found.items() if len(rows) > 1)


# ------------------------------------------------------------------ which one stays

Merit = tuple[bool, bool, int]  # what decides after the label, smaller is better


def merits_of(table: pa.Table) -> list[Merit]:
    """Of each row: not confirmed by histopathology, image not here, fields not filled."""
    proven = pc.fill_null(pc.equal(words_of(table, "confirmation"), "histopathology"), fill_value=False)
    here = pc.and_(pc.is_valid(words_of(table, "path")), pc.is_null(words_of(table, "image_problem")))
    empty = np.zeros(table.num_rows, np.int64)
    for name in SCHEMA.names:
        if name in table.column_names:
            empty += table[name].is_null().to_numpy()
    merits = zip(proven.to_pylist(), here.to_pylist(), empty.tolist(), strict=True)
    return [(not is_proven, not is_here, fields) for is_proven, is_here, fields in merits]


def best_of(group: Sequence[int], rows: Side, merits: Sequence[Merit], judge: Judge) -> int:
    """The row that stays: of those that no other one is finer than, the one of most merit (rows are in name order)."""
    finest = [
        row
        for row in group
        if not any(judge.verdict(rows.says(row), rows.says(other)) == "finer" for other in group)
    ]
    return min(finest, key=lambda row: (*merits[row], row))


def reason(row: int, best: int, rows: Side, merits: Sequence[Merit], judge: Judge) -> str:
    """What decided against the row."""
    if judge.verdict(rows.says(row), rows.says(best)) == "finer":
        return REASONS[0]
    differs = [one > other for one, other in zip(merits[row], merits[best], strict=True)]
    # a row of more merit than the one that stayed was coarser than a third one
    return REASONS[1 + differs.index(True)] if True in differs else REASONS[-1 if row > best else 0]
