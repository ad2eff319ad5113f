"""Judge a split that is there: which patients, lesions, cases and images lie in more than one part."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from dermdata.errors import UsageError
from dermdata.finding import Finding
from dermdata.split.columns import Coded, Ints, coded, row_keys

LEAKS: Mapping[str, str] = {
    "patient_id": "leak-patient",
    "lesion_id": "leak-lesion",
    "case_id": "leak-patient",  # a case is one person's
    "isic_id": "leak-image",
    "sha256": "leak-image",
}
OURS, OFFICIAL = ("split", "fold"), ("split_official", "fold_official")


def check(table: pa.Table) -> tuple[Finding, ...]:
    """The leaks of the columns `split` and `fold`, or of the publisher's own where both are empty: an id in several parts.

    Rows in no part cannot leak. UsageError when the table has no split of either kind.
    """
    columns = _columns_to_judge(table)
    names, dataset = row_keys(table), coded(table, "dataset")
    return tuple(
        _finding(column, parts, identity, ids, code, rows, names, dataset)
        for column, parts in columns.items()
        for identity in LEAKS
        for ids in (coded(table, identity),)
        for code, rows in _leaks(ids, parts)
    )


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


def _counted(column: Coded, rows: Ints) -> dict[str, int]:
    """How many of the rows have each value, in the values' order."""
    codes, counts = np.unique(column.codes[rows], return_counts=True)
    return {str(column.value(c)): int(n) for c, n in zip(codes, counts, strict=True) if c >= 0}
