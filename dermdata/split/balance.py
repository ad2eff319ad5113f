"""How well the parts mirror the whole.

Deviation of a class in a part = (share of the class among the part's images - share among all images that
are in a part), in percentage points. A missing value is a class of its own. The largest deviation is the
largest absolute value over all parts and all classes of all stratify columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dermdata.split.columns import Coded, Ints, coded
from dermdata.split.groups import Grouping


@dataclass(frozen=True, kw_only=True)
class PartBalance:
    """One part in numbers; `share` is its fraction of all images that are in a part."""

    part: str
    images: int
    groups: int
    patients: int  # distinct known ids, likewise lesions
    lesions: int
    share: float


@dataclass(frozen=True, kw_only=True)
class ClassShare:
    """One class of a stratify column in one part; shares are fractions, the deviation percentage points."""

    part: str
    column: str
    value: str | None  # None: the images without a value
    images: int
    share: float
    whole: float
    deviation: float


def part_balance(
    table: pa.Table, grouping: Grouping, part: Ints, names: Sequence[str]
) -> tuple[PartBalance, ...]:
    """A line for each part, in the order asked for; -1 is no part."""
    patients, lesions = coded(table, "patient_id").codes, coded(table, "lesion_id").codes
    total = int((part >= 0).sum())
    lines = []
    for number, name in enumerate(names):
        rows = np.flatnonzero(part == number)
        lines.append(
            PartBalance(
                part=name,
                images=len(rows),
                groups=_distinct(grouping.number[rows]),
                patients=_distinct(patients[rows]),
                lesions=_distinct(lesions[rows]),
                share=len(rows) / total if total else 0.0,
            )
        )
    return tuple(lines)


def class_shares(columns: Mapping[str, Coded], part: Ints, names: Sequence[str]) -> tuple[ClassShare, ...]:
    """A line for each part, column and class; a part without images has none."""
    return tuple(
        line
        for column, values in columns.items()
        for number, name in enumerate(names)
        for line in _lines(column, values, part, number, name)
    )


def largest_deviation(lines: Sequence[ClassShare]) -> float:
    """In percentage points; 0 when nothing was stratified."""
    return max((abs(line.deviation) for line in lines), default=0.0)


def _lines(column: str, values: Coded, part: Ints, number: int, name: str) -> list[ClassShare]:
    whole = _shares(values, part >= 0)
    images = int((part == number).sum())
    if images == 0:
        return []
    counts = np.bincount(values.codes[part == number] + 1, minlength=len(values.values) + 1)
    return [
        ClassShare(
            part=name,
            column=column,
            value=values.value(code - 1),
            images=int(counts[code]),
            share=float(counts[code] / images),
            whole=float(whole[code]),
            deviation=float(100 * (counts[code] / images - whole[code])),
        )
        for code in np.flatnonzero(whole).tolist()
    ]


def _shares(values: Coded, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
    counts = np.bincount(values.codes[rows] + 1, minlength=len(values.values) + 1)
    return counts / max(int(rows.sum()), 1)


def _distinct(codes: Ints) -> int:
    return len(np.unique(codes[codes >= 0]))
