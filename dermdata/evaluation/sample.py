"""A sample holds the judged images as numbers: truth, decision and probabilities.

Its groups are the images with one value of a manifest column.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as kinds
from numpy.typing import NDArray

from dermdata.errors import UnknownName, UsageError
from dermdata.manifest.columns import find_extra_column
from dermdata.manifest.schema import FITZPATRICK_TYPES, SCHEMA
from dermdata.markup import count_nouns

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
REST_NAME = "not {}"  # what the images are called that are not of the one class predicted
SKIN_TYPE_BANDS = ("I-II", "III-IV", "V-VI")
# made of fitzpatrick and fitzpatrick_range: what datasets without single types state
BAND_COLUMN = "fitzpatrick_band"
MAX_GROUPS = 60  # values of a column: more are ids or measurements, not groups
MIN_UNITS = 10  # fewer patients (lesions, images) give no interval that means anything
AGE_BAND_YEARS, OLDEST_BAND = 20, 80  # years


@dataclass(frozen=True)
class Sample:
    """Images (rows) and classes (by number); `positive` where one class is told from all the rest."""

    classes: tuple[str, ...]
    truth: Codes
    decision: Codes
    scores: Floats | None = None  # (images, classes): probabilities; None where only decisions are known
    positive: int | None = None

    @cached_property
    def present_classes(self) -> tuple[int, ...]:
        """The classes that an image of the whole sample has: what a macro average is over."""
        return tuple(np.unique(self.truth).tolist())

    @cached_property
    def single_classes(self) -> tuple[int, ...]:
        """The classes that are judged one against the rest."""
        return self.present_classes if self.positive is None else (self.positive,)

    @cached_property
    def calibration_pairs(self) -> tuple[Mask, Floats] | None:
        """What came true and how probable it was: the positive class, else the class decided for."""
        if self.scores is None:
            return None
        if self.positive is not None:
            return self.truth == self.positive, self.scores[:, self.positive]
        return self.scores.argmax(axis=1) == self.truth, self.scores.max(axis=1)

    @cached_property
    def squared_errors(self) -> Floats:
        """Each image's share of the Brier score (of several classes: the sum of theirs); only with probabilities."""
        assert self.scores is not None  # noqa: S101
        if self.positive is not None:
            return np.asarray((self.scores[:, self.positive] - (self.truth == self.positive)) ** 2)
        wanted = np.eye(len(self.classes))[self.truth]
        return np.asarray(((self.scores - wanted) ** 2).sum(axis=1))

    def suffix(self, number: int) -> str:
        """What a metric of one class has behind its name."""
        return "" if self.positive is not None else f"_{self.classes[number]}"

    def select_rows(self, rows: Codes) -> "Sample":
        """Some of the images."""
        scores = None if self.scores is None else self.scores[rows]
        return Sample(self.classes, self.truth[rows], self.decision[rows], scores, self.positive)


@dataclass(frozen=True)
class OperatingPoint:
    """An operating point as it was asked for, and from which probability on each class is called present."""

    name: str  # sensitivity, specificity or threshold
    value: float
    thresholds: Mapping[int, float]

    @property
    def suffix(self) -> str:
        return f"_at_{self.name}_{self.value:g}"


def json_number(value: Any) -> float | None:
    """A finite number; None for what is not defined, which JSON has no word for."""
    return float(value) if value is not None and np.isfinite(value) else None


@dataclass(frozen=True)
class EvaluationGroup:
    """The images with one value of one column; `why_small` where nothing may be claimed of them."""

    by: str
    value: Any  # None: not stated
    rows: Codes
    why_small: str | None = None


def group_rows(table: pa.Table, by: str) -> list[EvaluationGroup]:
    """Each value's rows: numbers ascend, words by their count, what is not stated last; UnknownName, UsageError."""
    cells = group_values(table, by)
    rows: dict[Any, list[int]] = {}
    for number, cell in enumerate(cells):
        rows.setdefault(cell, []).append(number)
    if len(rows) > MAX_GROUPS:
        raise UsageError(
            f"'{by}' has {count_nouns(len(rows), 'value')}, which are no groups",
            hint="choose a column such as fitzpatrick, sex or body_site",
        )
    return [
        EvaluationGroup(by, value, np.array(rows[value], np.int64))
        for value in sorted(rows, key=lambda one: value_order(one, rows))
    ]


def value_order(value: Any, rows: dict[Any, list[int]]) -> tuple[Any, ...]:
    if value is None:
        return (3,)
    if isinstance(value, (int, float)):
        return (0, value)
    if (
        value.partition("-")[0] in FITZPATRICK_TYPES or value[:1].isdigit()
    ):  # skin types and ages in their order
        return (1, value)
    return (2, -len(rows[value]), value)


def group_values(table: pa.Table, by: str) -> list[Any]:
    """The column's cells as what people are grouped by."""
    of_skin_types = {BAND_COLUMN: skin_type_band, "fitzpatrick": skin_type_word}
    if by in of_skin_types:
        return [of_skin_types[by](types) for types in skin_types(table)]
    if (words := find_extra_column(table, by)) is not None:
        return list(words.to_pylist())
    if by not in table.column_names:
        known = dict.fromkeys((*table.column_names, *SCHEMA.names, BAND_COLUMN))
        raise UnknownName(
            "column",
            by,
            known,
            hint="columns of the manifest, such as fitzpatrick, sex; a source's own are extra.NAME",
        )
    if kinds.is_nested(table[by].type):
        raise UsageError(
            f"column '{by}' holds several values in each row", hint="choose one such as sex or fitzpatrick"
        )
    cells = map(plain_cell, table[by].to_pylist())
    return [age_band(cell) for cell in cells] if by == "age" else list(cells)


def plain_cell(cell: Any) -> Any:
    """Numbers and text as they are, other values as text; None where there is none, or no finite number."""
    if isinstance(cell, float):
        return cell if isfinite(cell) else None
    return cell if cell is None or isinstance(cell, (int, str)) else str(cell)


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


def skin_type_word(types: tuple[int, int] | None) -> int | str | None:
    if types is None or types[0] == types[1]:
        return types and types[0]
    return f"{FITZPATRICK_TYPES[types[0] - 1]}-{FITZPATRICK_TYPES[types[1] - 1]}"


def skin_type_band(types: tuple[int, int] | None) -> str | None:
    """Types I and II, III and IV, V and VI; none for a range over two of these."""
    if types is None or (types[0] - 1) // 2 != (types[1] - 1) // 2:
        return None
    return SKIN_TYPE_BANDS[(types[0] - 1) // 2]


def age_band(age: float | None) -> str | None:
    if age is None:
        return None
    first = int(age // AGE_BAND_YEARS) * AGE_BAND_YEARS
    return f"{OLDEST_BAND}+" if first >= OLDEST_BAND else f"{first}-{first + AGE_BAND_YEARS - 1}"


def explain_small(sample: Sample, rows: Codes, unit: Codes, kind: str, least: int) -> str | None:
    """Why nothing may be claimed of these images: too few, of too few people, or a class is absent."""
    count = int(np.count_nonzero(np.bincount(unit[rows])))
    if len(rows) < least:
        return f"only {count_nouns(len(rows), 'image')}, fewer than {least:,}"
    if count < (needed := min(MIN_UNITS, least)):
        return f"only {count_nouns(count, kind)}, fewer than {needed:,}"
    absent = [sample.classes[one] for one in sample.present_classes if not (sample.truth[rows] == one).any()]
    return f"no image of {list_names(absent)}" if absent else None


def list_names(names: Sequence[str], most: int = 5) -> str:
    more = f" and {count_nouns(len(names) - most, 'more class')}" if len(names) > most else ""
    return ", ".join(names[:most]) + more
