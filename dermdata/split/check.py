"""A check of an existing split finds patients, lesions, cases and images that lie in more than one part.

It also says what it could see: rows of which nothing but a name is known cannot be judged, and are counted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from dermdata.errors import UsageError
from dermdata.manifest.columns import Ints, connected_components
from dermdata.manifest.schema import OFFICIAL_SPLIT, OWN_SPLIT
from dermdata.markup import count_nouns
from dermdata.model import Finding, Level
from dermdata.split.groups import (
    LEVEL_COLUMNS,
    FactorizedColumn,
    GroupBy,
    KnownRows,
    factorize,
    has_value,
    key_columns,
    row_keys,
)
from dermdata.split.published import LISTED_SPLIT, UNPLACED

if TYPE_CHECKING:
    from dermdata.duplicates import NearDuplicates, Pairs

KEY_IDENTITY, NEAR_IDENTITY = "key", "near"
LEAK_CODES: Mapping[str, str] = {
    "patient_id": "leak-patient",
    "lesion_id": "leak-lesion",
    "case_id": "leak-patient",  # a case is one person's
    "isic_id": "leak-image",
    "sha256": "leak-image",
    KEY_IDENTITY: "leak-image",  # in a list of files an image may stand twice
}
IDENTITY_PLURALS: Mapping[str, str] = {
    "patient_id": "patients", "lesion_id": "lesions", "case_id": "cases", "isic_id": "ISIC ids",
    "sha256": "files of equal bytes", KEY_IDENTITY: "images", NEAR_IDENTITY: "near duplicates",
}  # fmt: skip


def check_split(
    table: pa.Table, near: "NearDuplicates | None" = None, by: GroupBy = "auto"
) -> tuple[Finding, ...]:
    """Find the ids and images in more than one part of `split` and `fold`, or of the publisher's own if both are empty.

    Parameters
    ----------
    table : pyarrow.Table
        A manifest; rows in no part cannot leak.
    near : NearDuplicates, optional
        Near duplicates among the rows: an error where their images correlate, a warning where only hashes are near.
    by : {"auto", "patient", "lesion", "case", "image"}
        What must not be in two parts: as a split's `by`, a level brings the finer ones with it.

    Returns
    -------
    tuple of Finding

    Raises
    ------
    UsageError
        When the table has no split of either kind.

    """
    columns = _split_columns(table)
    names = row_keys(table)
    describe = LeakReporter(names, factorize(table, "dataset"))
    known = [
        (identity, factorize(table, column))
        for identity in key_columns(by)
        for column in (identity, identity + UNPLACED)
    ]
    unnamed = factorize(table, "isic_id").is_known  # their `isic_id` says more
    known.append((KEY_IDENTITY, FactorizedColumn(np.where(unnamed, -1, names.codes), names.values)))
    by_id = (
        describe.leaking_id(column, parts, rows, identity, ids.value(code))
        for column, parts in columns.items()
        for identity, ids in known
        for code, rows in _find_leaks(ids, parts)
    )
    groups: dict[Level, Pairs] = {"error": near.verified, "warning": near.by_hash} if near else {}
    by_image = (
        describe.near_duplicates(column, parts, rows, level)
        for column, parts in columns.items()
        for level, pairs in groups.items()
        for rows in _image_leaks(pairs, factorize(table, "sha256"), parts)
    )
    return (*by_id, *by_image)


@dataclass(frozen=True, kw_only=True)
class SplitCoverage:
    """What a check could see of a split."""

    rows: int  # in a part
    apart: int  # rows in no part
    unjudged: int  # rows in a part that could leak unseen: nothing tells what they belong to
    alone: int  # rows in a part that are judged as images only: no patient, lesion or case of theirs is known
    judged: tuple[
        str, ...
    ]  # "patient", "lesion", "case" where rows in two parts have such an id; and "image"


def measure_coverage(table: pa.Table, by: GroupBy = "auto", *, near: bool = False) -> SplitCoverage:
    """Count the rows that `check_split` with the same `by` can judge.

    A row is judged that has an id of the level, or is known as an image by `isic_id` or `sha256` (with `near`, by its
    perceptual hash). A part of which no row has an id of the level is not judged at all: a test set without lesions is
    never found to share one. Only `by="image"` is content with images.

    Raises
    ------
    UsageError
        Where there is no split, or all rows are in one part: there is nothing to judge.

    """
    columns = _split_columns(table)
    _require_parts(columns)
    in_part = np.logical_or.reduce([column.is_known for column in columns.values()])
    known = _known_rows(table, in_part, by, near=near)
    levels = [
        level
        for level, column in LEVEL_COLUMNS.items()
        if column in known and any(_has_two_parts(parts, known[column]) for parts in columns.values())
    ]
    nowhere = np.zeros_like(in_part)
    grouped = np.logical_or.reduce([nowhere, *(known[LEVEL_COLUMNS[level]] for level in levels)])
    if by == "image":
        unjudged, grouped = nowhere, in_part
    elif by in ("auto", *levels):
        unjudged = in_part & ~np.logical_or.reduce(list(known.values()))
        unjudged |= np.logical_or.reduce(
            [_rows_of_unknown_parts(parts, grouped) for parts in columns.values()]
        )
    else:
        unjudged = in_part
    return SplitCoverage(
        rows=int(in_part.sum()),
        apart=int((~in_part).sum()),
        unjudged=int(unjudged.sum()),
        alone=int((in_part & ~unjudged & ~grouped).sum()),
        judged=(*levels, "image"),
    )


def _known_rows(table: pa.Table, in_part: KnownRows, by: GroupBy, *, near: bool) -> dict[str, KnownRows]:
    """Of each id that is judged, the rows in a part that have one."""
    known = {name: has_value(table, name) & in_part for name in key_columns(by)}
    if near and "phash" in table.column_names:
        known["phash"] = table["phash"].is_valid().to_numpy() & in_part
    return known


def _has_two_parts(parts: FactorizedColumn, rows: KnownRows) -> bool:
    return len(np.unique(parts.codes[rows & parts.is_known])) > 1


def _rows_of_unknown_parts(parts: FactorizedColumn, grouped: KnownRows) -> KnownRows:
    """The rows of parts of which no row has an id of a group: what leaks into these is not seen."""
    seeing = np.unique(parts.codes[grouped & parts.is_known])
    return parts.is_known & ~np.isin(parts.codes, seeing)


def count_leaks(findings: tuple[Finding, ...]) -> dict[str, int]:
    """Count what leaks, by kind in words, as {"lesions": 1956}.

    Parameters
    ----------
    findings : tuple of Finding
        Of `check_split`.

    Returns
    -------
    dict of str to int
        What leaks in several columns counts once.

    """
    found: dict[str, set[str]] = {}
    for one in findings:
        identity = next(name for name in IDENTITY_PLURALS if name in one.evidence)
        value = one.evidence[identity]
        found.setdefault(IDENTITY_PLURALS[identity], set()).add(str(value))
    return {name: len(values) for name, values in found.items()}


def _split_columns(table: pa.Table) -> dict[str, FactorizedColumn]:
    for names in ((*OWN_SPLIT, LISTED_SPLIT), OFFICIAL_SPLIT):
        found = {name: column for name in names if (column := factorize(table, name)).is_known.any()}
        if found:
            return found
    raise UsageError("there is no split to check", hint="make one first: dermdata split TARGET -o OUT")


def _require_parts(columns: Mapping[str, FactorizedColumn]) -> None:
    """UsageError where all rows are in one part."""
    if all(len(column.values) < 2 for column in columns.values()):
        name, column = next(iter(columns.items()))
        raise UsageError(
            f"all {count_nouns(int(column.is_known.sum()), 'image', 'are')} in one part of {name}, '{column.value(0)}': "
            "there is nothing to judge",
            hint="give the other parts too: a file for each, or a column of parts",
        )


def _find_leaks(ids: FactorizedColumn, parts: FactorizedColumn) -> list[tuple[int, Ints]]:
    """Each id in more than one part, in the order of the ids, and its rows."""
    rows = np.flatnonzero(ids.is_known & parts.is_known)
    low, high = np.full(len(ids.values), len(parts.values)), np.full(len(ids.values), -1)
    np.minimum.at(low, ids.codes[rows], parts.codes[rows])
    np.maximum.at(high, ids.codes[rows], parts.codes[rows])
    rows = rows[(low < high)[ids.codes[rows]]]
    rows = rows[np.argsort(ids.codes[rows], kind="stable")]
    codes, starts = np.unique(ids.codes[rows], return_index=True)
    pieces = np.split(rows, starts[1:]) if len(codes) else []
    return list(zip(codes.tolist(), pieces, strict=True))


def _image_leaks(pairs: "Pairs", digests: FactorizedColumn, parts: FactorizedColumn) -> Iterator[Ints]:
    """The rows of each chain of pictures that show the same, in more than one part; equal bytes are one picture."""
    if not len(pairs):
        return
    linked = zip(pairs.i.tolist(), pairs.j.tolist(), strict=True)
    root = connected_components(len(parts.codes), (digests.same_value_rows,), linked)
    wanted = np.isin(root, root[pairs.i]) & parts.is_known
    chain = FactorizedColumn(
        np.where(wanted, np.unique(root, return_inverse=True)[1].reshape(-1), -1), pa.nulls(len(root))
    )
    yield from (rows for _, rows in _find_leaks(chain, parts))


@dataclass(frozen=True)
class LeakReporter:
    """Writes findings about rows in more than one part of a column."""

    names: FactorizedColumn  # the rows' keys
    dataset: FactorizedColumn

    def leaking_id(
        self, column: str, parts: FactorizedColumn, rows: Ints, identity: str, value: str | None
    ) -> Finding:
        """An id that these rows have."""
        what = f"{identity} {value} is"
        return self._finding("error", LEAK_CODES[identity], column, parts, rows, what, {identity: value})

    def near_duplicates(self, column: str, parts: FactorizedColumn, rows: Ints, level: Level) -> Finding:
        """Rows that show one picture."""
        keys = self._keys(rows)
        others = f" and {len(keys) - 2:,} more" if len(keys) > 2 else ""
        how = "show one picture" if level == "error" else "may show one picture (by hash alone)"
        what = f"{keys[0]}, {keys[1]}{others} {how},"
        return self._finding(level, "leak-image", column, parts, rows, what, {NEAR_IDENTITY: keys[0]})

    def _finding(
        self,
        level: Level,
        code: str,
        column: str,
        parts: FactorizedColumn,
        rows: Ints,
        what: str,
        evidence: Mapping[str, str | None],
    ) -> Finding:
        images = _count_values(parts, rows)
        shown = ", ".join(f"{part} ({count})" for part, count in images.items())
        return Finding(
            level=level,
            code=code,
            dataset=", ".join(_count_values(self.dataset, rows)) or None,
            keys=self._keys(rows),
            message=f"{what} in more than one part of {column}: {shown}",
            evidence={"column": column, **evidence, "images": images},
        )

    def _keys(self, rows: Ints) -> tuple[str, ...]:
        return tuple(str(self.names.value(key)) for key in np.sort(self.names.codes[rows]))


def _count_values(column: FactorizedColumn, rows: Ints) -> dict[str, int]:
    """How many of the rows have each value, in the values' order."""
    codes, counts = np.unique(column.codes[rows], return_counts=True)
    return {str(column.value(c)): int(n) for c, n in zip(codes, counts, strict=True) if c >= 0}
