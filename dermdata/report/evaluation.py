"""The evaluation's page shows how good a model is, for whom it is worse, and for whom nobody can say."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from dermdata.markup import count_nouns
from dermdata.report.judgment import HEADLINES, describe_bins, describe_trust, is_sure, judge_result
from dermdata.report.overview import AxisScale, axis_scale, shade
from dermdata.report.page import origins_from_facts, page_citations, page_facts, render_page
from dermdata.report.plots import SIDE, Plot, curve_plots, reliability_plot
from dermdata.report.values import (
    ResultMapping,
    column_word,
    finite_numbers,
    finite_or_none,
    group_word,
    metric_title,
    value_word,
)

SmallGroups = Mapping[tuple[Any, Any], str]  # column and value -> why nothing is claimed of it
POINT_SIDES = ("sensitivity", "specificity")
GENERAL = (*HEADLINES, "macro_f1", "average_precision", "brier", "ece", *POINT_SIDES)
NOT_COMPARED = ("average_precision", "ece")  # follow how common a class is, and how large a group
MOST_SQUARES = 48  # of groups: more make a page of many megabytes
MOST_UNFOLDED = 4  # squares and tables: more are folded
LOWER_IS_BETTER = ("brier", "ece", "error", "loss")  # parts of names of metrics that are better when low
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
    compared: bool  # between groups
    overall: EstimateRow | None
    groups: tuple[tuple[str, tuple[EstimateRow, ...]], ...]


@dataclass(frozen=True, kw_only=True)
class ConfusionTable:
    """How often images of a true class (row) were called each class (column)."""

    classes: tuple[str, ...]
    rows: tuple[
        tuple[str, tuple[tuple[int, int], ...], int], ...
    ]  # class, (count, shade of its share), total


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
    yield from render_page(
        "evaluation.html",
        {
            "title": facts.get("title") or "Evaluation",
            "facts": page_facts(facts),
            "judgment": judge_result(result, names, facts.get("rows") or ""),
            "result": {name: result.get(name) for name in RESULT_FACTS},
            "level": result.get("level") or 0.95,
            "notes": result.get("notes") or (),
            **show_groups(result, names),
            **show_curves(result, names),
            **show_reliability(result, names),
            "confusion": confusion_table(result.get("confusion"), names),
            "unit": AxisScale(low=0.0, high=1.0, ticks=(0.0, 0.25, 0.5, 0.75, 1.0)),
            "side": SIDE,
            "folded_from": MOST_UNFOLDED,
            "sources": origins_from_facts(facts),
            "citations": page_citations(facts),
        },
    )


def show_groups(result: ResultMapping, names: Mapping[str, str]) -> dict[str, Any]:
    """The numbers of all images and of groups, their gaps, and those of whom nothing is claimed."""
    lists = {name: result.get(name) or () for name in ("items", "gaps", "too_small", "not_compared")}
    small = small_groups(lists["too_small"])
    reasons = ReasonFinder(small, lists["not_compared"])
    plain = [item for item in lists["items"] if not is_at_point(item["metric"])]
    charts = metric_charts(plain, reasons, names)
    return {
        "overall": split_classes(filter(attrgetter("overall"), charts)),
        "grouped": split_classes(sort_headlines(filter(attrgetter("groups"), charts))),
        "gaps": [gap_row(one, small, names) for one in sort_gaps(lists["gaps"])],
        "gap_scale": axis_scale([0.0, *finite_numbers(lists["gaps"], ("gap", "low", "high"))]),
        "too_small": [small_group_row(one, names) for one in lists["too_small"]],
        "points": point_tables(result, reasons, names),
    }


def show_curves(result: ResultMapping, names: Mapping[str, str]) -> dict[str, Any]:
    """The curves of all images, and those of groups by their column."""
    curves = curve_plots(result, names)
    groups = [one for one in curves if one.by is not None]
    drawn = len({one["class"] for one in result.get("curves") or ()})
    classes = present_classes(result)
    return {
        "curves": [one for one in curves if one.by is None],
        "group_curves": plots_by_column(groups[:MOST_SQUARES]),
        "more_curves": max(0, len(groups) - MOST_SQUARES),
        "undrawn": f"{drawn} of {count_nouns(classes, 'class')}" if 0 < drawn < classes else "",
    }


def present_classes(result: ResultMapping) -> int:
    """How many classes could have a curve: those that an image has, or the one told from the rest."""
    matrix = (result.get("confusion") or {}).get("matrix") or ()
    return 1 if result.get("positive") else sum(any(row) for row in matrix)


def show_reliability(result: ResultMapping, names: Mapping[str, str]) -> dict[str, Any]:
    """What probabilities are worth, as a figure and in words."""
    calibration = result.get("calibration") or {}
    return {
        "reliability": reliability_plot(result, names),
        "bin_words": describe_bins(result, names),
        "trust": describe_trust(result),
        "calibration": {"ece": calibration.get("ece"), "brier": calibration.get("brier")},
    }


def is_at_point(metric: str) -> bool:
    """Whether a metric is measured at an operating point, which has a table of its own."""
    return any(f"_at_{kind}_" in metric for kind in ("sensitivity", "specificity", "threshold"))


def split_classes(charts: Iterable[MetricChart]) -> tuple[list[MetricChart], list[MetricChart]]:
    """The metrics of all classes together, and those of each class, of which there are many."""
    found = list(charts)
    return [one for one in found if one.name in GENERAL], [one for one in found if one.name not in GENERAL]


def sort_headlines(charts: Iterable[MetricChart]) -> list[MetricChart]:
    """What most people ask for first."""
    return sorted(
        charts, key=lambda one: HEADLINES.index(one.name) if one.name in HEADLINES else len(HEADLINES)
    )


def sort_gaps(gaps: Sequence[ResultMapping]) -> list[ResultMapping]:
    """The gaps that are more than chance first, then the headlines; those at operating points are in their table."""
    plain = [one for one in gaps if not is_at_point(one["metric"])]
    return sorted(plain, key=lambda one: (not is_sure(one), one["metric"] not in HEADLINES))


def plots_by_column(curves: Sequence[Plot]) -> dict[str, list[Plot]]:
    """The curves of groups by the column of the groups."""
    found: dict[str, list[Plot]] = {}
    for one in curves:
        found.setdefault(column_word(one.by or ""), []).append(one)
    return found


class ReasonFinder:
    """Why nothing is claimed of a group's number: of the whole group, or of one metric."""

    def __init__(self, small: SmallGroups, uncompared: Sequence[ResultMapping]) -> None:
        self.small = small
        self.uncompared = {(one["by"], one["value"], one["metric"]): one["reason"] for one in uncompared}

    def find(self, item: ResultMapping) -> str | None:
        """The reason in words; None where a claim can be made."""
        place = (item["by"], item.get("value"))
        return self.small.get(place) or self.uncompared.get((*place, item["metric"]))


def metric_charts(
    items: Sequence[ResultMapping], small: ReasonFinder, names: Mapping[str, str]
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
    name: str, items: Sequence[ResultMapping], small: ReasonFinder, names: Mapping[str, str]
) -> MetricChart:
    groups: dict[str, list[EstimateRow]] = {}
    for item in items:
        if item.get("by") is not None:
            groups.setdefault(item["by"], []).append(make_estimate_row(item, names, small.find(item)))
    overall = next((make_estimate_row(item, names) for item in items if item.get("by") is None), None)
    return MetricChart(
        name=name,
        title=metric_title(name),
        scale=axis_scale(finite_numbers(items, ("estimate", "low", "high"))),
        lower=any(word in name.lower() for word in LOWER_IS_BETTER),
        compared=not name.startswith(NOT_COMPARED),
        overall=overall,
        groups=tuple((column_word(by), tuple(some)) for by, some in groups.items()),
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


def gap_row(item: ResultMapping, small: SmallGroups, names: Mapping[str, str]) -> dict[str, Any]:
    """A gap with its groups in words; `sure` where its interval excludes none and a claim can be made of both groups."""
    low, high = finite_or_none(item.get("low")), finite_or_none(item.get("high"))
    reasons = [why for end in ("worst", "best") if (why := small.get((item["by"], item.get(end))))]
    return {
        "by": column_word(item["by"]),
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
    word = group_word(item["by"], item.get("value"), names)
    told = str(item.get("n")) in (item.get("reason") or "")
    return {"told": told, "word": word, "n": item.get("n"), "reason": item.get("reason")}


def confusion_table(found: Mapping[str, Any] | None, names: Mapping[str, str]) -> ConfusionTable | None:
    if not found or not found.get("classes"):
        return None
    classes = tuple(names.get(name, name) for name in found["classes"])
    rows = [
        (name, tuple((n, shade(n, sum(row))) for n in row), sum(row))
        for name, row in zip(classes, found["matrix"], strict=True)
    ]
    return ConfusionTable(classes=classes, rows=tuple(rows))


# ------------------------------------------------------------------ operating points


@dataclass(frozen=True, kw_only=True)
class PointRow:
    """Sensitivity and specificity of all images or of one group, at one threshold."""

    word: str
    n: int | None
    sides: tuple[EstimateRow | None, ...]  # sensitivity, specificity
    why_small: str | None = None


@dataclass(frozen=True, kw_only=True)
class PointTable:
    """One operating point on one class: what is called present from this probability on."""

    title: str
    threshold: float | None
    given: bool  # not chosen
    rows: tuple[tuple[str, PointRow], ...]  # with the column of the group, "" for all images


def point_tables(
    result: ResultMapping, reasons: ReasonFinder, names: Mapping[str, str]
) -> tuple[PointTable, ...]:
    """Each operating point on each class, with its groups."""
    found: dict[str, list[ResultMapping]] = {}
    for item in result["items"]:
        found.setdefault(item["metric"], []).append(item)
    return tuple(
        PointTable(
            title=f"{names.get(name, name)}: {point['metric']} {point['value']:g}",
            threshold=cut,
            given=point["metric"] == "threshold",
            rows=tuple(point_rows(found, point_suffix(point, name, result), reasons, names)),
        )
        for point in result.get("operating_points") or ()
        for name, cut in point["thresholds"].items()
    )


def point_suffix(point: ResultMapping, name: str, result: ResultMapping) -> str:
    """What metrics at a point have behind their name."""
    own = f"_at_{point['metric']}_{point['value']:g}"
    return own if result.get("positive") else f"_{name}{own}"


def point_rows(
    found: Mapping[str, Sequence[ResultMapping]], suffix: str, reasons: ReasonFinder, names: Mapping[str, str]
) -> Iterator[tuple[str, PointRow]]:
    """All images, then each group, with both sides."""
    sides: dict[tuple[Any, Any], dict[str, EstimateRow]] = {}
    for side in POINT_SIDES:
        for item in found.get(f"{side}{suffix}", ()):
            row = make_estimate_row(item, names, reasons.find(item))
            sides.setdefault((item["by"], item.get("value")), {})[side] = row
    for (by, _), both in sides.items():
        first = next(iter(both.values()))
        why = dict.fromkeys(row.why_small for row in both.values() if row.why_small)
        shown = tuple(both.get(side) for side in POINT_SIDES)
        point = PointRow(word=first.word, n=first.n, sides=shown, why_small="; ".join(why) or None)
        yield column_word(by or ""), point
