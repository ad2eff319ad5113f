"""The evaluation's page shows how good a model is, for whom it is worse, and for whom nobody can say."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from operator import attrgetter
from typing import Any

from dermdata.manifest.schema import FITZPATRICK_TYPES
from dermdata.report.overview import AxisScale, axis_scale, shade
from dermdata.report.page import NOT_STATED, origins_from_facts, page_citations, page_facts, render_page

ResultMapping = Mapping[str, Any]
SmallGroups = Mapping[tuple[Any, Any], str]  # column and value -> why nothing is claimed of it
METRIC_WORDS = {"auroc": "AUROC", "ece": "Expected calibration error", "brier": "Brier score", "f1": "F1"}
LOWER_IS_BETTER = ("brier", "ece", "error", "loss")  # parts of names of metrics that are better when low
CALIBRATION_SIDE = 300  # units of the calibration's square
RESULT_FACTS = (
    "n", "missing_predictions", "unknown_predictions", "duplicate_predictions", "unit", "resamples", "seed",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class EstimateRow:
    """One number and its interval, of all images or of one group."""

    word: str
    n: int | None
    estimate: float | None
    low: float | None
    high: float | None
    why_small: str | None = None  # why nothing is claimed of it


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
    ]  # class, (count, shade of its share), total


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


def evaluation_page(result: ResultMapping, facts: Mapping[str, Any]) -> Iterator[str]:
    """Make the page of an evaluation.

    Parameters
    ----------
    result : mapping
        The answer of `evaluate`, as `dermdata.report` describes it.
    facts : mapping
        What is known beside it, as `dermdata.report` describes it.

    Yields
    ------
    str
        Pieces of HTML.

    """
    names = facts.get("names", {})
    lists = {name: result.get(name) or () for name in ("items", "gaps", "too_small", "notes")}
    small = small_groups(lists["too_small"])
    charts = metric_charts(lists["items"], small, names)
    calibration = result.get("calibration") or {}
    values = {
        "title": facts.get("title") or "Evaluation",
        "facts": page_facts(facts),
        "result": {name: result.get(name) for name in RESULT_FACTS},
        "level": result.get("level") or 0.95,
        "notes": lists["notes"],
        "overall": list(filter(attrgetter("overall"), charts)),
        "grouped": list(filter(attrgetter("groups"), charts)),
        "gaps": [gap_row(one, small, names) for one in lists["gaps"]],
        "gap_scale": axis_scale([0.0, *finite_numbers(lists["gaps"], ("gap", "low", "high"))]),
        "too_small": [small_group_row(one, names) for one in lists["too_small"]],
        "confusion": confusion_table(result.get("confusion"), names),
        "bins": calibration_dots(calibration.get("bins") or ()),
        "calibration": {"ece": calibration.get("ece"), "brier": calibration.get("brier")},
        "unit": AxisScale(low=0.0, high=1.0, ticks=(0.0, 0.25, 0.5, 0.75, 1.0)),
        "side": CALIBRATION_SIDE,
        "sources": origins_from_facts(facts),
        "citations": page_citations(facts),
    }
    yield from render_page("evaluation.html", values)


def metric_title(metric: str) -> str:
    """`balanced_accuracy` as "Balanced accuracy"; abbreviations stay what they are."""
    words = [METRIC_WORDS.get(word, word) for word in metric.replace("-", "_").split("_")]
    text = " ".join(words)
    return text[:1].upper() + text[1:]


def metric_charts(
    items: Sequence[ResultMapping], small: SmallGroups, names: Mapping[str, str]
) -> tuple[MetricChart, ...]:
    """The items by metric, in their order; groups in theirs."""
    by_metric: dict[str, list[ResultMapping]] = {}
    for item in items:
        by_metric.setdefault(item["metric"], []).append(item)
    return tuple(make_metric_chart(name, some, small, names) for name, some in by_metric.items())


def small_groups(items: Sequence[ResultMapping]) -> SmallGroups:
    """The groups of which nothing is claimed, with the reason of each."""
    return {(one.get("by"), one.get("value")): one.get("reason") or "too small" for one in items}


def make_metric_chart(
    name: str, items: Sequence[ResultMapping], small: SmallGroups, names: Mapping[str, str]
) -> MetricChart:
    groups: dict[str, list[EstimateRow]] = {}
    for item in items:
        if item.get("by") is not None:
            why_small = small.get((item["by"], item.get("value")))
            groups.setdefault(item["by"], []).append(make_estimate_row(item, names, why_small))
    overall = next((make_estimate_row(item, names) for item in items if item.get("by") is None), None)
    return MetricChart(
        name=name,
        title=metric_title(name),
        scale=axis_scale(finite_numbers(items, ("estimate", "low", "high"))),
        lower=any(word in name.lower() for word in LOWER_IS_BETTER),
        overall=overall,
        groups=tuple((by, tuple(some)) for by, some in groups.items()),
    )


def make_estimate_row(
    item: ResultMapping, names: Mapping[str, str], why_small: str | None = None
) -> EstimateRow:
    return EstimateRow(
        word="All images" if item.get("by") is None else value_word(item["by"], item.get("value"), names),
        n=item.get("n"),
        estimate=finite_or_none(item.get("estimate")),
        low=finite_or_none(item.get("low")),
        high=finite_or_none(item.get("high")),
        why_small=why_small,
    )


def value_word(by: str, value: Any, names: Mapping[str, str]) -> str:
    """A group's value as people write it."""
    if value is None:
        return NOT_STATED
    text = str(value).removesuffix(".0")
    if by == "fitzpatrick" and text in "123456":
        return FITZPATRICK_TYPES[int(text) - 1]
    return names.get(text, text)


def finite_or_none(number: Any) -> float | None:
    return float(number) if isinstance(number, (int, float)) and isfinite(number) else None


def finite_numbers(items: Sequence[ResultMapping], parts: Sequence[str]) -> list[float]:
    """These parts of all items, as far as they are numbers."""
    found = (finite_or_none(item.get(part)) for item in items for part in parts)
    return [number for number in found if number is not None]


def gap_row(item: ResultMapping, small: SmallGroups, names: Mapping[str, str]) -> dict[str, Any]:
    """A gap with its groups in words; `sure` where its interval excludes none and a claim can be made of both groups."""
    low, high = finite_or_none(item.get("low")), finite_or_none(item.get("high"))
    reasons = [why for end in ("worst", "best") if (why := small.get((item["by"], item.get(end))))]
    return {
        "by": item["by"],
        "metric": metric_title(item["metric"]),
        "worst": value_word(item["by"], item.get("worst"), names),
        "best": value_word(item["by"], item.get("best"), names),
        "gap": finite_or_none(item.get("gap")),
        "low": low,
        "high": high,
        "why_small": "; ".join(dict.fromkeys(reasons)) or None,
        "sure": low is not None and low > 0 and not reasons,
    }


def small_group_row(item: ResultMapping, names: Mapping[str, str]) -> dict[str, Any]:
    word = value_word(item["by"], item.get("value"), names)
    return {"by": item["by"], "word": word, "n": item.get("n"), "reason": item.get("reason")}


def confusion_table(found: Mapping[str, Any] | None, names: Mapping[str, str]) -> ConfusionTable | None:
    if not found or not found.get("classes"):
        return None
    classes = tuple(names.get(name, name) for name in found["classes"])
    rows = [
        (name, tuple((n, shade(n, sum(row))) for n in row), sum(row))
        for name, row in zip(classes, found["matrix"], strict=True)
    ]
    return ConfusionTable(classes=classes, rows=tuple(rows))


def calibration_dots(bins: Sequence[ResultMapping]) -> tuple[CalibrationDot, ...]:
    """The bins that hold predictions; a dot's area grows with their number."""
    kept = [one for one in bins if one.get("n")]
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
