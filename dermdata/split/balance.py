"""Balance says how well the parts mirror the whole.

Deviation of a class in a part = (share of the class among the part's images - share among all images that
are in a part), in percentage points. A missing value is a class of its own. The largest deviation is the
largest absolute value over all parts and all classes of all stratify columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dermdata.manifest.columns import Ints
from dermdata.split.groups import FactorizedColumn


@dataclass(frozen=True, kw_only=True)
class PartBalance:
    """One part in numbers; `share` is its fraction of all images that are in a part."""

    part: str
    images: int
    groups: int
    patients: int | None  # distinct known ids, likewise lesions; None: no row of the whole has one
    lesions: int | None
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


@dataclass(frozen=True, kw_only=True)
class IdSpread:
    """Where the known ids of one column lie."""

    distinct: tuple[int, ...]  # in each part
    torn: int  # ids in more than one part
    is_known: bool = True  # whether any row has one

    def count_in(self, part: int) -> int | None:
        """How many are in a part; None where no row has one: nobody counted them."""
        return self.distinct[part] if self.is_known else None


def measure_spread(codes: Ints, part: Ints, parts: int) -> IdSpread:
    """The ids, as codes from 0 with -1 for missing, by part; -1 is no part."""
    times = np.zeros(int(codes.max(initial=-1)) + 1, np.int16)
    distinct = []
    for number in range(parts):
        here = np.zeros(len(times), bool)
        here[codes[(part == number) & (codes >= 0)]] = True
        distinct.append(int(here.sum()))
        times += here
    return IdSpread(distinct=tuple(distinct), torn=int((times > 1).sum()), is_known=len(times) > 0)


def part_balance(
    part: Ints, names: Sequence[str], groups: IdSpread, patients: IdSpread, lesions: IdSpread
) -> tuple[PartBalance, ...]:
    """A line for each part, in the order asked for; -1 is no part."""
    images = np.bincount(part[part >= 0], minlength=len(names))
    return tuple(
        PartBalance(
            part=name,
            images=int(images[number]),
            groups=groups.distinct[number],
            patients=patients.count_in(number),
            lesions=lesions.count_in(number),
            share=float(images[number] / images.sum()) if images.any() else 0.0,
        )
        for number, name in enumerate(names)
    )


def class_shares(
    columns: Mapping[str, FactorizedColumn], part: Ints, names: Sequence[str]
) -> tuple[ClassShare, ...]:
    """A line for each part, column and class; a part without images has none."""
    return tuple(
        line
        for column, values in columns.items()
        for number, name in enumerate(names)
        for line in _part_class_shares(column, values, part, number, name)
    )


def largest_deviation(lines: Sequence[ClassShare]) -> float:
    """In percentage points; 0 when nothing was stratified."""
    return max((abs(line.deviation) for line in lines), default=0.0)


def _part_class_shares(
    column: str, values: FactorizedColumn, part: Ints, number: int, name: str
) -> list[ClassShare]:
    whole = _value_shares(values, part >= 0)
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


def _value_shares(values: FactorizedColumn, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
    counts = np.bincount(values.codes[rows] + 1, minlength=len(values.values) + 1)
    return counts / max(int(rows.sum()), 1)
