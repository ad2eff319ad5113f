"""Judge a split that is there: which patients, lesions, cases and images lie in more than one part."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from dermdata.errors import UsageError
from dermdata.finding import Finding, Level
from dermdata.split.columns import Coded, Ints, coded, row_keys
from dermdata.split.groups import components

if TYPE_CHECKING:
    from dermdata.duplicates import Alike, Pairs

KEY, NEAR = "key", "near"
LEAKS: Mapping[str, str] = {
    "patient_id": "leak-patient",
    "lesion_id": "leak-lesion",
    "case_id": "leak-patient",  # a case is one person's
    "isic_id": "leak-image",
    "sha256": "leak-image",
    KEY: "leak-image",  # in a list of files an image may stand twice
}
PLURALS: Mapping[str, str] = {
    "patient_id": "patients", "lesion_id": "lesions", "case_id": "cases", "isic_id": "ISIC ids",
    "sha256": "files of equal bytes", KEY: "images", NEAR: "near duplicates",
}  # fmt: skip
OURS, OFFICIAL = ("split", "fold"), ("split_official", "fold_official")


def check(table: pa.Table, near: "Alike | None" = None) -> tuple[Finding, ...]:
    """The leaks of the columns `split` and `fold`, or of the publisher's own where both are empty: an id in several parts.

    Rows in no part cannot leak. Near duplicates are an error where their images lie upon each other, and a warning
    where only their hashes are near. UsageError when the table has no split of either kind.
    """
    columns = _columns_to_judge(table)
    names, dataset = row_keys(table), coded(table, "dataset")
    known = {identity: coded(table, identity) for identity in LEAKS if identity != KEY}
    known[KEY] = Coded(np.where(known["isic_id"].known, -1, names.codes), names.values)
    by_id = (
        _finding(column, parts, identity, ids, code, rows, names, dataset)
        for column, parts in columns.items()
        for identity, ids in known.items()
        for code, rows in _leaks(ids, parts)
    )
    groups: dict[Level, Pairs] = {"error": near.verified, "warning": near.by_hash} if near else {}
    by_picture = (
        _near_finding(level, column, parts, rows, names, dataset)
        for column, parts in columns.items()
        for level, pairs in groups.items()
        for rows in _leaks_of_pictures(pairs, known["sha256"], parts)
    )
    return (*by_id, *by_picture)


def counted(findings: tuple[Finding, ...]) -> dict[str, int]:
    """How many of what leaks, in words: lesions -> 1,956; each once, in how many columns it may."""
    found: dict[str, set[str]] = {}
    for one in findings:
        identity = next(name for name in PLURALS if name in one.evidence)
        value = one.evidence[identity]
        found.setdefault(PLURALS[identity], set()).add(str(value))
    return {name: len(values) for name, values in found.items()}


def _columns_to_judge(table: pa.Table) -> dict[str, Coded]:
    for names in (OURS, OFFICIAL):
        found = {name: column for name in names if (column := coded(table, name)).known.any()}
        if found:
            return found
    raise UsageError("there is no split to check", hint="make one first: dermdata split TARGET -o OUT")


def _leaks(ids: Coded, parts: Coded) -> list[tuple[int, Ints]]:
    """Each id in more than one part, in the order of the ids, and its rows."""
    rows = np.flatnonzero(ids.known & parts.known)
    low, high = np.full(len(ids.values), len(parts.values)), np.full(len(ids.values), -1)
    np.minimum.at(low, ids.codes[rows], parts.codes[rows])
    np.maximum.at(high, ids.codes[rows], parts.codes[rows])
    rows = rows[(low < high)[ids.codes[rows]]]
    rows = rows[np.argsort(ids.codes[rows], kind="stable")]
    codes, starts = np.unique(ids.codes[rows], return_index=True)
    pieces = np.split(rows, starts[1:]) if len(codes) else []
    return list(zip(codes.tolist(), pieces, strict=True))


def _finding(
    column: str, parts: Coded, identity: str, ids: Coded, code: int, rows: Ints, names: Coded, dataset: Coded
) -> Finding:
    value, images = ids.value(code), _counted(parts, rows)
    shown = ", ".join(f"{part} ({count})" for part, count in images.items())
    return Finding(
        level="error",
        code=LEAKS[identity],
        dataset=", ".join(name for name in _counted(dataset, rows)) or None,
        keys=tuple(str(names.value(key)) for key in np.sort(names.codes[rows])),
        message=f"{identity} {value} is in more than one part of {column}: {shown}",
        evidence={"column": column, identity: value, "images": images},
    )


def _leaks_of_pictures(pairs: "Pairs", digests: Coded, parts: Coded) -> Iterator[Ints]:
    """The rows of each chain of pictures that show the same, in more than one part; equal bytes are one picture."""
    if not len(pairs):
        return
    linked = zip(pairs.i.tolist(), pairs.j.tolist(), strict=True)
    root = components(len(parts.codes), (digests.same,), linked)
    wanted = np.isin(root, root[pairs.i]) & parts.known
    chain = Coded(
        np.where(wanted, np.unique(root, return_inverse=True)[1].reshape(-1), -1), pa.nulls(len(root))
    )
    yield from (rows for _, rows in _leaks(chain, parts))


def _near_finding(
    level: Level, column: str, parts: Coded, rows: Ints, names: Coded, dataset: Coded
) -> Finding:
    keys, images = tuple(str(names.value(key)) for key in np.sort(names.codes[rows])), _counted(parts, rows)
    shown = ", ".join(f"{part} ({count})" for part, count in images.items())
    others = f" and {len(keys) - 2:,} more" if len(keys) > 2 else ""
    what = "show one picture" if level == "error" else "may show one picture (by hash alone)"
    return Finding(
        level=level,
        code="leak-image",
        dataset=", ".join(name for name in _counted(dataset, rows)) or None,
        keys=keys,
        message=f"{keys[0]}, {keys[1]}{others} {what}, in more than one part of {column}: {shown}",
        evidence={"column": column, NEAR: keys[0], "images": images},
    )


def _counted(column: Coded, rows: Ints) -> dict[str, int]:
    """How many of the rows have each value, in the values' order."""
    codes, counts = np.unique(column.codes[rows], return_counts=True)
    return {str(column.value(c)): int(n) for c, n in zip(codes, counts, strict=True) if c >= 0}
