"""The result of an evaluation: estimates and intervals, overall and by group, and how groups compare."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from dermdata.evaluation.against_rest import RestsOfColumn, compare_with_rest, find_rests
from dermdata.evaluation.comparison import (
    GroupResult,
    column_gaps,
    list_uncompared,
    metric_class,
)
from dermdata.evaluation.curves import make_curves
from dermdata.evaluation.metrics import (
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
    rests = find_rests(sample, groups, lambda rows: explain_small(sample, rows, unit, kind, wanted.min_group))
    parts = measure_groups(sample, unit, groups, points, draw_pieces(unit, wanted, rests, progress))
    return {
        **describe_groups(parts, columns, sample, wanted.level),
        "against_rest": compare_with_rest(rests, parts, wanted.level),
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


def draw_pieces(
    unit: Codes, wanted: EvaluationOptions, rests: Sequence[RestsOfColumn], progress: Callable[[int], None]
) -> Iterator[Floats]:
    """The resamples of all images in pieces, which the rests of the columns are given too."""
    for piece in draw_weights(unit, wanted.resamples, wanted.seed):
        for rest in rests:
            rest.add(piece)
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
