"""The result of an evaluation: estimates, intervals, groups, and the gap between the best and the worst group.

The worst of many groups looks bad by chance alone. So a gap's interval is a simultaneous one: it is as wide as it must be
for the differences of *all* pairs of groups to be covered at once in 95 % of the resamples.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa

from dermdata.evaluation.curves import make_curves
from dermdata.evaluation.metrics import (
    MAX_UNDEFINED_SHARE,
    WeightedMetrics,
    choose_operating_point,
    clopper_pearson_interval,
    confusion_counts,
    correct_bias,
    draw_weights,
    percentile_interval,
    reliability_bins,
    resampling_units,
)
from dermdata.evaluation.sample import (
    Codes,
    EvaluationGroup,
    Floats,
    Mask,
    OperatingPoint,
    Sample,
    explain_small,
    group_rows,
    json_number,
)
from dermdata.markup import count_nouns

# images of each side of a class, without which its numbers are no ground for a comparison
MIN_SIDE_IMAGES = 5
MACRO_METRICS = ("balanced_accuracy", "macro_f1", "auroc")
LOWER_IS_BETTER = ("brier",)
# neither is comparable between groups: precision follows the share of the class, the error the number of images
NOT_COMPARED = ("average_precision", "ece")
POINT_SUFFIX = re.compile(r"_at_(sensitivity|specificity|threshold)_[0-9.e-]+$")
KEYS = ("by", "value", "n", "metric", "estimate", "low", "high")
ResultItem = dict[str, Any]


@dataclass(frozen=True)
class EvaluationOptions:
    """What to judge by.

    Parameters
    ----------
    by : tuple of str
        Columns of the manifest whose values are groups.
    points : tuple of str
        Operating points, such as "sensitivity=0.9".
    resamples : int, default 1000
        Of the bootstrap; 0 gives no intervals and no claims.
    seed : int, default 0
        Another seed, other resamples.
    min_group : int, default 30
        Images; nothing is claimed of a group with fewer.
    level : float, default 0.95
        Of the intervals, from 0 to 1.

    """

    by: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    resamples: int = 1000
    seed: int = 0
    min_group: int = 30
    level: float = 0.95


@dataclass(frozen=True)
class GroupResult:
    """All images or one group: its numbers, and the same numbers in each resample."""

    group: EvaluationGroup
    sample: Sample
    unit: Codes
    estimates: Mapping[str, float]
    resampled: Mapping[str, Floats]

    @property
    def key(self) -> tuple[str, Any]:
        return self.group.by, self.group.value


def evaluate_sample(
    sample: Sample,
    table: pa.Table,
    wanted: EvaluationOptions,
    progress: Callable[[int], None] = lambda _: None,
) -> ResultItem:
    """Measure how good predictions are, overall and by group.

    Parameters
    ----------
    sample : Sample
        The judged images.
    table : pyarrow.Table
        Their rows of a manifest, in the same order.
    wanted : EvaluationOptions
        What to judge by.
    progress : callable
        Gets the number of resamples that each step has made.

    Returns
    -------
    dict
        The result as `dermdata.report` describes it, without the counts of what was not judged.

    Raises
    ------
    UnknownName, UsageError
        For columns and operating points.

    """
    columns = tuple(dict.fromkeys(wanted.by))
    points = [choose_operating_point(text, sample) for text in dict.fromkeys(wanted.points)]
    unit, kind = resampling_units(table)
    groups = list(find_groups(sample, table, columns, unit, kind, wanted.min_group))
    parts = measure_groups(sample, unit, groups, points, draw_pieces(unit, wanted, progress))
    return {
        **describe_groups(parts, columns, sample, wanted.level),
        "n": len(sample.truth),
        "classes": list(sample.classes),
        "positive": None if sample.positive is None else sample.classes[sample.positive],
        "unit": kind,
        "units": int(unit.max()) + 1,
        "resamples": wanted.resamples,
        "seed": wanted.seed,
        "level": wanted.level,
        "operating_points": [operating_point_item(point, sample) for point in points],
        "confusion": {"classes": list(sample.classes), "matrix": confusion_counts(sample)},
        "calibration": calibration_item(sample, parts[0].estimates),
    }


def describe_groups(
    parts: Sequence[GroupResult], columns: Sequence[str], sample: Sample, level: float
) -> ResultItem:
    """The numbers of all images and of each group, what may be claimed of their differences, and of whom nothing."""
    return {
        "items": [item for part in parts for item in metric_items(part, level)],
        "gaps": [one for by in columns for one in column_gaps(by, sample, parts, level)],
        "too_small": [small_group_item(part.group) for part in parts if part.group.why_small],
        "not_compared": [one for part in parts for one in list_uncompared(part, sample)],
    }


def draw_curves(sample: Sample, table: pa.Table, wanted: EvaluationOptions) -> list[ResultItem]:
    """The curves of the same images and groups, see `make_curves`."""
    unit, kind = resampling_units(table)
    groups = list(find_groups(sample, table, tuple(dict.fromkeys(wanted.by)), unit, kind, wanted.min_group))
    return make_curves(sample, groups, unit, wanted.resamples, wanted.seed, wanted.level)


def find_groups(
    sample: Sample, table: pa.Table, columns: Sequence[str], unit: Codes, kind: str, least: int
) -> Iterator[EvaluationGroup]:
    """All images, then the groups of each column."""
    yield EvaluationGroup("", None, np.arange(len(sample.truth)))
    for by in columns:
        for group in group_rows(table, by):
            yield replace(group, why_small=explain_small(sample, group.rows, unit, kind, least))


def draw_pieces(unit: Codes, wanted: EvaluationOptions, progress: Callable[[int], None]) -> Iterator[Floats]:
    for piece in draw_weights(unit, wanted.resamples, wanted.seed):
        yield piece
        progress(piece.shape[1])


def measure_groups(
    sample: Sample,
    unit: Codes,
    found: Sequence[EvaluationGroup],
    points: Sequence[OperatingPoint],
    pieces: Iterator[Floats],
) -> list[GroupResult]:
    """Each group under the same resamples of the whole: differences between groups keep what they share."""
    samples = [sample.select_rows(group.rows) for group in found]
    prepared = [WeightedMetrics(one, sample.present_classes, points) for one in samples]
    resampled: list[dict[str, list[Floats]]] = [{} for _ in found]
    for piece in pieces:
        for group, ready, kept in zip(found, prepared, resampled, strict=True):
            for metric, values in ready.compute(piece[group.rows]).items():
                kept.setdefault(metric, []).append(values)
    return [
        GroupResult(
            group,
            one,
            unit[group.rows],
            ready.estimate(),
            {metric: np.concatenate(values) for metric, values in kept.items()},
        )
        for group, one, ready, kept in zip(found, samples, prepared, resampled, strict=True)
    ]


def metric_items(part: GroupResult, level: float) -> Iterator[ResultItem]:
    by, value = part.key
    for metric, estimate in part.estimates.items():
        low, high = metric_interval(part, metric, level)
        cells = (by or None, value, len(part.group.rows), metric, json_number(estimate), low, high)
        yield dict(zip(KEYS, cells, strict=True))


def metric_interval(part: GroupResult, metric: str, level: float) -> tuple[float | None, float | None]:
    """Of the resamples; of shares that are 0 or 1, which no resample can move, the exact one."""
    estimate = part.estimates[metric]
    if metric not in part.resampled or not np.isfinite(estimate):
        return None, None
    if estimate in (0, 1) and (side := share_mask(metric, part.sample)) is not None:
        return clopper_pearson_interval(estimate, len(np.unique(part.unit[side])), level)
    values = part.resampled[metric]
    return percentile_interval(correct_bias(values, estimate) if metric == "ece" else values, level)


def share_mask(metric: str, sample: Sample) -> Mask | None:
    """The images that a metric is a share of; None for those that are no shares."""
    if metric == "accuracy":
        return np.ones(len(sample.truth), bool)
    if not metric.startswith(("sensitivity", "specificity")):
        return None
    there = sample.truth == metric_class(metric, sample)
    return np.asarray(there if metric.startswith("sensitivity") else ~there)


def column_gaps(by: str, sample: Sample, parts: Sequence[GroupResult], level: float) -> Iterator[ResultItem]:
    """Of each metric that can be compared, the gap between the groups of one column."""
    own = [part for part in parts if part.group.by == by]
    compared = [part.group for part in own]
    none = np.zeros(0)
    for metric in own[0].estimates if own else ():
        found = {
            number: (part.estimates[metric], part.resampled.get(metric, none))
            for number, part in enumerate(own)
            if is_comparable(metric, sample, part.group)
        }
        if one := measure_gap(by, metric, compared, found, level):
            yield one


def measure_gap(
    by: str,
    metric: str,
    compared: Sequence[EvaluationGroup],
    found: Mapping[int, tuple[float, Floats]],
    level: float,
) -> dict[str, Any] | None:
    """`by, metric, worst, best, gap, low, high, claimed, groups`; None where fewer than two groups can be compared.

    `found` is, by the group's number, the estimate and the resamples.
    """
    known = {number: pair for number, pair in found.items() if np.isfinite(pair[0])}
    if len(known) < 2:
        return None
    ordered = sorted(known, key=lambda number: known[number][0], reverse=metric in LOWER_IS_BETTER)
    worst, best = ordered[0], ordered[-1]
    size = abs(known[best][0] - known[worst][0])
    reach = gap_half_width(known, worst, best, level)
    low, high = (None, None) if reach is None else (size - reach, size + reach)
    return {
        "by": by, "metric": metric, "worst": compared[worst].value, "best": compared[best].value,
        "gap": size, "low": low, "high": high,
        "claimed": low is not None and low > 0, "groups": len(known),
    }  # fmt: skip


def gap_half_width(
    found: Mapping[int, tuple[float, Floats]], worst: int, best: int, level: float
) -> float | None:
    """How far the gap may be off, with every other pair's difference within its own reach at the same time."""
    shifts, spreads = {}, {}
    for pair in combinations(sorted(found), 2):
        first, second = (found[number] for number in pair)
        moved = (first[1] - second[1]) - (first[0] - second[0])
        if not len(moved) or np.isfinite(moved).mean() < 1 - MAX_UNDEFINED_SHARE:
            return None
        shifts[pair], spreads[pair] = moved, float(np.nanstd(moved))
    own = spreads[min(worst, best), max(worst, best)]
    uneven = [np.abs(shifts[pair]) / spread for pair, spread in spreads.items() if spread > 0]
    if own == 0 or not uneven:
        return None  # no resample moves it: too few images to know by how much it might
    most = np.nanmax(np.stack(uneven), axis=0, initial=0.0)
    return float(np.quantile(most, level)) * own


def is_comparable(metric: str, sample: Sample, group: EvaluationGroup) -> bool:
    """Whether a group's number may stand in a comparison: stated, large enough, and the classes it needs are there."""
    if group.value is None or group.why_small or metric.startswith(NOT_COMPARED):
        return False
    return explain_sides(metric, sample, group.rows) is None


def explain_sides(metric: str, sample: Sample, rows: Codes) -> str | None:
    """Which class a metric has too few images of in these rows; None where there are enough."""
    truth = sample.truth[rows]
    if metric in MACRO_METRICS:
        counts = {sample.classes[one]: int((truth == one).sum()) for one in sample.present_classes}
    else:
        number = metric_class(metric, sample)
        if number is None:
            return None
        there = int((truth == number).sum())
        sides = {sample.classes[number]: there, f"other than {sample.classes[number]}": len(truth) - there}
        own, rest = sides.items()
        counts = dict(
            sides if metric.startswith("auroc") else [rest if metric.startswith("specificity") else own]
        )
    few = [f"{count_nouns(n, 'image')} of {one}" for one, n in counts.items() if n < MIN_SIDE_IMAGES]
    return f"only {', '.join(few)}".replace(" of other than", " other than") if few else None


def list_uncompared(part: GroupResult, sample: Sample) -> Iterator[ResultItem]:
    """The metrics of a group that is large enough for others, with the class they have too few images of."""
    by, value = part.key
    if not by or value is None or part.group.why_small:
        return
    for metric in part.estimates:
        if why := explain_sides(metric, sample, part.group.rows):
            yield {"by": by, "value": value, "metric": metric, "reason": why}


def metric_class(metric: str, sample: Sample) -> int | None:
    """The class that a metric judges alone; None for those over all classes."""
    name = POINT_SUFFIX.sub("", metric)
    if sample.positive is not None:
        return sample.positive if name in ("sensitivity", "specificity", "auroc") else None
    _, _, word = name.partition("_")
    return sample.classes.index(word) if name.startswith(("sensitivity", "specificity", "auroc_")) else None


def small_group_item(group: EvaluationGroup) -> ResultItem:
    return {"by": group.by, "value": group.value, "n": len(group.rows), "reason": group.why_small}


def calibration_item(sample: Sample, estimates: Mapping[str, float]) -> ResultItem | None:
    if sample.calibration_pairs is None:
        return None
    bins = reliability_bins(*sample.calibration_pairs)
    return {"bins": bins, "ece": estimates["ece"], "brier": estimates["brier"]}


def operating_point_item(point: OperatingPoint, sample: Sample) -> ResultItem:
    """An operating point and where it lies on each class; a threshold that none reaches is null."""
    cuts = {sample.classes[number]: json_number(cut) for number, cut in point.thresholds.items()}
    return {"metric": point.name, "value": point.value, "thresholds": cuts}
