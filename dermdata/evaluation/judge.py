"""Everything together: estimates, intervals, groups, gaps; the value that is shown, written as JSON, and made a page."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from dermdata.evaluation import estimates, gaps, resampling
from dermdata.evaluation.groups import Group, groups, why_small
from dermdata.evaluation.replicates import Replicates
from dermdata.evaluation.sample import Codes, Floats, Mask, Point, Sample, json_number

KEYS = ("by", "value", "n", "metric", "estimate", "low", "high")
Row = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """What to judge by; `resamples` 0 gives no intervals and no claims."""

    by: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    resamples: int = 1000
    seed: int = 0
    min_group: int = 30
    level: float = 0.95


@dataclass(frozen=True)
class Part:
    """All images or one group: its numbers, and the same numbers in each resample."""

    group: Group
    sample: Sample
    unit: Codes
    estimates: Mapping[str, float]
    resampled: Mapping[str, Floats]

    @property
    def key(self) -> tuple[str, Any]:
        return self.group.by, self.group.value


def judge(
    sample: Sample, table: pa.Table, wanted: Wanted, progress: Callable[[int], None] = lambda _: None
) -> Row:
    """The result as `dermdata.report` says, without what was left out; `table` has the sample's rows in its order.

    `progress` is told of each piece of resamples. UnknownName and UsageError for columns and operating points.
    """
    points = [estimates.point(text, sample) for text in dict.fromkeys(wanted.points)]
    unit, kind = resampling.units(table)
    found = [Group("", None, np.arange(len(sample.truth)))]
    for by in dict.fromkeys(wanted.by):
        found += [
            replace(one, why_small=why_small(sample, one.rows, unit, kind, wanted.min_group))
            for one in groups(table, by)
        ]
    parts = measured(sample, unit, found, points, resampling_of(unit, wanted, progress))
    calibration = estimates.reliability(*sample.calibrated) if sample.calibrated else None
    return {
        "items": [item for part in parts for item in items(part, wanted.level)],
        "gaps": [one for by in dict.fromkeys(wanted.by) for one in gaps_by(by, sample, parts, wanted.level)],
        "too_small": [small(group) for group in found if group.why_small],
        "n": len(sample.truth),
        "classes": list(sample.classes),
        "unit": kind,
        "units": int(unit.max()) + 1,
        "resamples": wanted.resamples,
        "seed": wanted.seed,
        "level": wanted.level,
        "operating_points": [told(point, sample) for point in points],
        "confusion": {"classes": list(sample.classes), "matrix": estimates.confusion(sample)},
        "calibration": calibration
        and {"bins": calibration, **{name: parts[0].estimates[name] for name in ("ece", "brier")}},
    }


def resampling_of(unit: Codes, wanted: Wanted, progress: Callable[[int], None]) -> Iterator[Floats]:
    for piece in resampling.weights(unit, wanted.resamples, wanted.seed):
        yield piece
        progress(piece.shape[1])


def measured(
    sample: Sample, unit: Codes, found: Sequence[Group], points: Sequence[Point], pieces: Iterator[Floats]
) -> list[Part]:
    """Each group under the same resamples of the whole: differences between groups keep what they share."""
    samples = [sample.at(group.rows) for group in found]
    prepared = [Replicates(one, sample.present, points) for one in samples]
    resampled: list[dict[str, list[Floats]]] = [{} for _ in found]
    for piece in pieces:
        for group, ready, kept in zip(found, prepared, resampled, strict=True):
            for metric, values in ready.of(piece[group.rows]).items():
                kept.setdefault(metric, []).append(values)
    return [
        Part(
            group,
            one,
            unit[group.rows],
            estimates.estimates(one, sample.present, points),
            {metric: np.concatenate(values) for metric, values in kept.items()},
        )
        for group, one, kept in zip(found, samples, resampled, strict=True)
    ]


def items(part: Part, level: float) -> Iterator[Row]:
    by, value = part.key
    for metric, estimate in part.estimates.items():
        low, high = interval(part, metric, level)
        cells = (by or None, value, len(part.group.rows), metric, json_number(estimate), low, high)
        yield dict(zip(KEYS, cells, strict=True))


def interval(part: Part, metric: str, level: float) -> tuple[float | None, float | None]:
    """Of the resamples; of shares that are 0 or 1, which no resample can move, the exact one."""
    estimate = part.estimates[metric]
    if metric not in part.resampled or not np.isfinite(estimate):
        return None, None
    if estimate in (0, 1) and (side := side_of(metric, part.sample)) is not None:
        return resampling.beyond(estimate, len(np.unique(part.unit[side])), level)
    values = part.resampled[metric]
    return resampling.interval(
        resampling.without_bias(values, estimate) if metric == "ece" else values, level
    )


def side_of(metric: str, sample: Sample) -> Mask | None:
    """The images that a metric is a share of; None for those that are no shares."""
    if metric == "accuracy":
        return np.ones(len(sample.truth), bool)
    if not metric.startswith(("sensitivity", "specificity")):
        return None
    there = sample.truth == gaps.class_of(metric, sample)
    return np.asarray(there if metric.startswith("sensitivity") else ~there)


def gaps_by(by: str, sample: Sample, parts: Sequence[Part], level: float) -> Iterator[Row]:
    """Of each metric that can be compared, the gap between the groups of one column."""
    own = [part for part in parts if part.group.by == by]
    compared = [part.group for part in own]
    none = np.zeros(0)
    for metric in own[0].estimates if own else ():
        found = {
            number: (part.estimates[metric], part.resampled.get(metric, none))
            for number, part in enumerate(own)
            if gaps.comparable(metric, sample, part.group)
        }
        if one := gaps.gap(by, metric, compared, found, level):
            yield one


def small(group: Group) -> Row:
    return {"by": group.by, "value": group.value, "n": len(group.rows), "reason": group.why_small}


def told(point: Point, sample: Sample) -> Row:
    """An operating point and where it lies on each class; a threshold that none reaches is null."""
    cuts = {sample.classes[number]: json_number(cut) for number, cut in point.thresholds.items()}
    return {"metric": point.name, "value": point.value, "thresholds": cuts}
