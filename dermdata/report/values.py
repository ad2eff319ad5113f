"""An evaluation's numbers and groups as people write them."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from dermdata.manifest.schema import FITZPATRICK_TYPES
from dermdata.report.page import NOT_STATED, format_estimate

ResultMapping = Mapping[str, Any]
METRIC_WORDS = {"auroc": "AUROC", "ece": "Expected calibration error", "brier": "Brier score", "f1": "F1"}
GROUP_WORDS = {
    "fitzpatrick": "skin type", "fitzpatrick_band": "skin type", "body_site": "body site", "patient_id": "patient",
}  # fmt: skip


def metric_title(metric: str) -> str:
    """`balanced_accuracy` as "Balanced accuracy"; abbreviations stay what they are."""
    words = [METRIC_WORDS.get(word, word) for word in metric.replace("-", "_").split("_")]
    text = " ".join(words)
    return text[:1].upper() + text[1:]


def value_word(by: str, value: Any, names: Mapping[str, str]) -> str:
    """A group's value as people write it."""
    if value is None:
        return NOT_STATED
    text = str(value).removesuffix(".0")
    if by == "fitzpatrick" and text in "123456":
        return FITZPATRICK_TYPES[int(text) - 1]
    return names.get(text, text)


def column_word(by: str) -> str:
    """What people are grouped by, as they write it."""
    return GROUP_WORDS.get(by, by.replace("_", " "))


def group_word(by: str, value: Any, names: Mapping[str, str]) -> str:
    """A group with what it is a group by: "skin type VI", "sex female"."""
    return f"{column_word(by)} {value_word(by, value, names)}"


def finite_or_none(number: Any) -> float | None:
    return float(number) if isinstance(number, (int, float)) and isfinite(number) else None


def finite_numbers(items: Sequence[ResultMapping], parts: Sequence[str]) -> list[float]:
    """These parts of all items, as far as they are numbers."""
    found = (finite_or_none(item.get(part)) for item in items for part in parts)
    return [number for number in found if number is not None]


def interval_words(item: ResultMapping) -> str:
    """An interval behind its estimate; nothing where there is none."""
    low, high = finite_or_none(item.get("low")), finite_or_none(item.get("high"))
    return "" if low is None or high is None else f" ({format_estimate(low)} to {format_estimate(high)})"
