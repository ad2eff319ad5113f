"""The evaluation's page shows how good a model is, for whom it is worse, and for whom nobody can say."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from dermdata.report.overview import ROMAN, AxisScale, axis_scale, shade
from dermdata.report.page import NOT_STATED, origins_from_facts, page_citations, page_facts, render_page

ResultMapping = Mapping[str, Any]
METRIC_WORDS = {"auroc": "AUROC", "ece": "Expected calibration error", "brier": "Brier score", "f1": "F1"}
LOWER_IS_BETTER = ("brier", "ece", "error", "loss")  # parts of names of metrics that are better when low
CALIBRATION_SIDE = 300  # units of the calibration's square


@dataclass(frozen=True, kw_only=True)
class EstimateRow:
    """One number and its interval, of all images or of one group."""

    word: str
    n: int | None
    estimate: float | None
    low: float | None
    high: float | None
    small: bool = False  # too small for a claim


@dataclass(frozen=True, kw_only=True)
class MetricChart:
    """One metric of all images and of each group, on one scale."""

    name: str
    title: str
    scale: AxisScale
    lower: bool  # is better
    overall: EstimateRow | None
    groups: tuple[tuple[str, tuple[EstimateRow, ...]], ...]


@dataclass(frozen=True, kw_only=True)
class ConfusionTable:
    """How often images of a true class (row) were called each class (column)."""

    classes: tuple[str, ...]
    rows: tuple[
        tuple[str, tuple[tuple[int, int], ...], int], ...
    ]  # class, (count, shade of the row's share), total


@dataclass(frozen=True, kw_only=True)
class CalibrationDot:
    """What was predicted and what was so, of the predictions within two bounds."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float
    x: float
    y: float
    radius: float


def evaluation_page(result: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
    """HTML in pieces; `result` and `facts` as the package says."""
    names = facts.get("names", {})
    found = metric_charts(result, names)
    values = {
        "title": facts.get("title") or "Evaluation",
        "facts": page_facts(facts),
        "result": {name: result.get(name) for name in RESULT_FACTS},
        "level": result.get("level") or 0.95,
        "notes": result.get("notes") or (),
        "metrics": found,
        "overall": [one for one in found if one.overall],
        "grouped": [one for one in found if one.groups],
        "gaps": [gap_row(one, groups_too_small(result), names) for one in result.get("gaps") or ()],
        "gap_scale": gap_axis(result.get("gaps") or ()),
        "too_small": [small_group_row(one, names) for one in result.get("too_small") or ()],
        "confusion": confusion_table(result.get("confusion"), names),
        "bins": calibration_dots(result.get("calibration")),
        "calibration": {name: (result.get("calibration") or {}).get(name) for name in ("ece", "brier")},
        "unit": AxisScale(low=0.0, high=1.0, ticks=(0.0, 0.25, 0.5, 0.75, 1.0)),
        "side": CALIBRATION_SIDE,
        "sources": origins_from_facts(facts),
        "citations": page_citations(facts),
    }
    yield from render_page("evaluation.html", values)


RESULT_FACTS = (
    "n", "missing_predictions", "unknown_predictions", "duplicate_predictions", "unit", "resamples", "seed",
)  # fmt: skip


def metric_title(metric: str) -> str:
    """`balanced_accuracy` as "Balanced accuracy"; abbreviations stay what they are."""
    words = [METRIC_WORDS.get(word, word) for word in metric.replace("-", "_").split("_")]
    text = " ".join(words)
    return text[:1].upper() + text[1:]


def metric_charts(result: Mapping[str, Any], names: Mapping[str, str]) -> tuple[MetricChart, ...]:
    """The items by metric, in their order; groups in theirs."""
    small = groups_too_small(result)
    by_metric: dict[str, list[ResultMapping]] = {}
    for item in result.get("items") or ():
        by_metric.setdefault(item["metric"], []).append(item)
    return tuple(make_metric_chart(name, items, small, names) for name, items in by_metric.items())


def groups_too_small(result: Mapping[str, Any]) -> set[tuple[Any, Any]]:
    return {(one.get("by"), one.get("value")) for one in result.get("too_small") or ()}


def make_metric_chart(
    name: str, items: Sequence[ResultMapping], small: set[tuple[Any, Any]], names: Mapping[str, str]
) -> MetricChart:
    groups: dict[str, list[EstimateRow]] = {}
    for item in items:
        if item.get("by") is not None:
            is_small = (item["by"], item.get("value")) in small
            groups.setdefault(item["by"], []).append(make_estimate_row(item, names, small=is_small))
    overall = next((make_estimate_row(item, names) for item in items if item.get("by") is None), None)
    numbers = [finite_or_none(item.get(part)) for item in items for part in ("estimate", "low", "high")]
    return MetricChart(
        name=name,
        title=metric_title(name),
        scale=axis_scale([one for one in numbers if one is not None]),
        lower=any(word in name.lower() for word in LOWER_IS_BETTER),
        overall=overall,
        groups=tuple((by, tuple(some)) for by, some in groups.items()),
    )


def make_estimate_row(item: ResultMapping, names: Mapping[str, str], *, small: bool = False) -> EstimateRow:
    return EstimateRow(
        word="All images" if item.get("by") is None else value_word(item["by"], item.get("value"), names),
        n=item.get("n"),
        estimate=finite_or_none(item.get("estimate")),
        low=finite_or_none(item.get("low")),
        high=finite_or_none(item.get("high")),
        small=small,
    )


def value_word(by: str, value: Any, names: Mapping[str, str]) -> str:
    """A group's value as people write it."""
    if value is None:
        return NOT_STATED
    text = str(value).removesuffix(".0")
    if by == "fitzpatrick" and text in "123456":
        return ROMAN[int(text) - 1]
    return names.get(text, text)


def finite_or_none(number: Any) -> float | None:
    return float(number) if isinstance(number, (int, float)) and isfinite(number) else None


def gap_row(item: ResultMapping, small: set[tuple[Any, Any]], names: Mapping[str, str]) -> dict[str, Any]:
    """A gap with its groups in words; `sure` where its interval excludes none and both groups are large enough."""
    low, high = finite_or_none(item.get("low")), finite_or_none(item.get("high"))
    is_small = bool({(item["by"], item.get(end)) for end in ("worst", "best")} & small)
    return {
        "by": item["by"],
        "metric": metric_title(item["metric"]),
        "worst": value_word(item["by"], item.get("worst"), names),
        "best": value_word(item["by"], item.get("best"), names),
        "gap": finite_or_none(item.get("gap")),
        "low": low,
        "high": high,
        "small": is_small,
        "sure": low is not None and low > 0 and not is_small,
    }


def small_group_row(item: ResultMapping, names: Mapping[str, str]) -> dict[str, Any]:
    word = value_word(item["by"], item.get("value"), names)
    return {"by": item["by"], "word": word, "n": item.get("n"), "reason": item.get("reason")}


def gap_axis(gaps: Sequence[ResultMapping]) -> AxisScale:
    numbers = [finite_or_none(one.get(part)) for one in gaps for part in ("gap", "low", "high")]
    return axis_scale([0.0, *(one for one in numbers if one is not None)])


def confusion_table(found: Mapping[str, Any] | None, names: Mapping[str, str]) -> ConfusionTable | None:
    if not found or not found.get("classes"):
        return None
    classes = tuple(names.get(name, name) for name in found["classes"])
    rows = [
        (name, tuple((n, shade(n, sum(row))) for n in row), sum(row))
        for name, row in zip(classes, found["matrix"], strict=True)
    ]
    return ConfusionTable(classes=classes, rows=tuple(rows))


def calibration_dots(found: Mapping[str, Any] | None) -> tuple[CalibrationDot, ...]:
    """The bins that hold predictions; a dot's area grows with their number."""
    kept = [one for one in (found or {}).get("bins") or () if one.get("n")]
    most = max((one["n"] for one in kept), default=1)
    return tuple(
        CalibrationDot(
            low=one["low"],
            high=one["high"],
            n=one["n"],
            confidence=one["confidence"],
            accuracy=one["accuracy"],
            x=round(CALIBRATION_SIDE * one["confidence"], 1),
            y=round(CALIBRATION_SIDE * (1 - one["accuracy"]), 1),
            radius=round(3 + 8 * (one["n"] / most) ** 0.5, 1),
        )
        for one in kept
    )
