"""Who the images are of: groups by any column of the manifest, and those that are too small for a claim."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as kinds

from dermdata.errors import UnknownName, UsageError
from dermdata.evaluation.sample import Codes, Sample
from dermdata.manifest.schema import SCHEMA

BANDS = ("I-II", "III-IV", "V-VI")
BAND = (
    "fitzpatrick_band"  # made of fitzpatrick and fitzpatrick_range: what datasets without single types state
)
MOST = 60  # values of a column: more are ids or measurements, not groups
FEWEST_UNITS = 10  # patients (lesions, images) without which no interval means anything
AGE_STEP, OLDEST = 20, 80  # years
ROMAN = ("I", "II", "III", "IV", "V", "VI")


@dataclass(frozen=True)
class Group:
    """The images with one value of one column; `why_small` where nothing may be claimed of them."""

    by: str
    value: Any  # None: not stated
    rows: Codes
    why_small: str | None = None


def groups(table: pa.Table, by: str) -> list[Group]:
    """Each value's rows: numbers ascend, words by their count, what is not stated last; UnknownName, UsageError."""
    cells = values(table, by)
    rows: dict[Any, list[int]] = {}
    for number, cell in enumerate(cells):
        rows.setdefault(cell, []).append(number)
    if len(rows) > MOST:
        raise UsageError(
            f"'{by}' has {len(rows):,} values, which are no groups",
            hint="choose a column such as fitzpatrick, sex or body_site",
        )
    return [
        Group(by, value, np.array(rows[value], np.int64))
        for value in sorted(rows, key=lambda one: rank(one, rows))
    ]


def rank(value: Any, rows: dict[Any, list[int]]) -> tuple[Any, ...]:
    if value is None:
        return (3,)
    if isinstance(value, (int, float)):
        return (0, value)
    if value.partition("-")[0] in ROMAN or value[:1].isdigit():  # skin types and ages in their order
        return (1, value)
    return (2, -len(rows[value]), value)


def values(table: pa.Table, by: str) -> list[Any]:
    """The column's cells as what people are grouped by."""
    if by == BAND:
        return [band(types) for types in skin_types(table)]
    if by == "fitzpatrick":
        return [single(types) for types in skin_types(table)]
    if by not in table.column_names:
        known = dict.fromkeys((*table.column_names, *SCHEMA.names, BAND))
        raise UnknownName(
            "column", by, known, hint="columns of the manifest, such as fitzpatrick, sex, body_site"
        )
    column = table[by]
    if kinds.is_nested(column.type):
        raise UsageError(
            f"column '{by}' holds several values in each row", hint="choose one such as sex or fitzpatrick"
        )
    cells = [None if isinstance(cell, float) and not isfinite(cell) else cell for cell in column.to_pylist()]
    if by == "age":
        return [age_band(cell) for cell in cells]
    return [cell if cell is None or isinstance(cell, (int, float, str)) else str(cell) for cell in cells]


def skin_types(table: pa.Table) -> list[tuple[int, int] | None]:
    """Lowest and highest Fitzpatrick type of each row: the one stated, else the range."""
    nothing = [None] * table.num_rows
    one, several = (
        table[name].to_pylist() if name in table.column_names else nothing
        for name in ("fitzpatrick", "fitzpatrick_range")
    )
    return [
        (first, first) if first is not None else (min(some), max(some)) if some else None
        for first, some in zip(one, several, strict=True)
    ]


def single(types: tuple[int, int] | None) -> int | str | None:
    if types is None or types[0] == types[1]:
        return types and types[0]
    return f"{ROMAN[types[0] - 1]}-{ROMAN[types[1] - 1]}"


def band(types: tuple[int, int] | None) -> str | None:
    """Types I and II, III and IV, V and VI; none for a range over two of these."""
    if types is None or (types[0] - 1) // 2 != (types[1] - 1) // 2:
        return None
    return BANDS[(types[0] - 1) // 2]


def age_band(age: float | None) -> str | None:
    if age is None:
        return None
    first = int(age // AGE_STEP) * AGE_STEP
    return f"{OLDEST}+" if first >= OLDEST else f"{first}-{first + AGE_STEP - 1}"


def why_small(sample: Sample, rows: Codes, unit: Codes, kind: str, least: int) -> str | None:
    """Why nothing may be claimed of these images: too few, of too few people, or a class is absent."""
    count = len(np.unique(unit[rows]))
    if len(rows) < least:
        return f"fewer than {least} images"
    if count < min(FEWEST_UNITS, least):
        return f"only {count} {kind}{'' if count == 1 else 's'}"
    absent = [sample.classes[one] for one in sample.present if not (sample.truth[rows] == one).any()]
    return f"no image of {listed(absent)}" if absent else None


def listed(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more classes" if len(names) > most else ""
    return ", ".join(names[:most]) + more
