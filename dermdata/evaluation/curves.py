"""Curves of a model: sensitivity against false alarms, and precision against recall, with bands of resamples.

A receiver operating characteristic (Metz 1978) joins its points by straight lines; precision between two recalls is that
of the next threshold, as average precision has it (Davis and Goadrich 2006). Bands are pointwise: at each place the
middle of the resamples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dermdata.evaluation.metrics import draw_weights
from dermdata.evaluation.sample import Codes, EvaluationGroup, Floats, Mask, Sample

GRID = np.linspace(0.0, 1.0, 101)  # where bands are known
BAND_RESAMPLES = 200  # a band is drawn, not read off: more change nothing that is seen
MAX_POINTS = 500  # of a curve as it is drawn and written
MAX_CURVE_CLASSES = 12  # the commonest: more squares than that nobody looks at
MIN_SIDE_CURVE = 5  # images with the class, and without it
ROUNDING = 1e-12
ROC, PRECISION_RECALL = "roc", "precision-recall"


@dataclass(frozen=True)
class RankedSide:
    """The images of one group from the highest probability of a class down."""

    group: EvaluationGroup
    number: int  # of the class
    order: Codes
    truth: Mask  # in this order
    last: Codes  # of the images with one probability
    thresholds: Floats

    def rates(self, weights: Floats) -> tuple[Floats, Floats, Floats]:
        """False alarms, sensitivity and precision at each threshold, (thresholds, resamples)."""
        ranked = weights[self.order]
        true = np.cumsum(ranked * self.truth[:, np.newaxis], axis=0)[self.last]
        called = np.cumsum(ranked, axis=0)[self.last]
        with np.errstate(divide="ignore", invalid="ignore"):
            alarms = (called - true) / (called[-1] - true[-1])
            return alarms, true / true[-1], true / called


def make_curves(
    sample: Sample, groups: Sequence[EvaluationGroup], unit: Codes, resamples: int, seed: int, level: float
) -> list[dict[str, Any]]:
    """The curves of each class, of all images and of each group of which a claim can be made.

    Parameters
    ----------
    sample : Sample
        The judged images.
    groups : sequence of EvaluationGroup
        All images first.
    unit : array of int, shape (images,)
        What is drawn together.
    resamples : int
        At most `BAND_RESAMPLES` are drawn; 0: no bands.
    seed : int
        Of the resamples.
    level : float
        Of the bands, from 0 to 1.

    Returns
    -------
    list of dict
        `kind, class, by, value, n, positives, points, band`: points are x, y and threshold, the band x, low and high.
        Nothing where there are no probabilities.

    """
    sides = [] if sample.scores is None else list(rank_sides(sample, groups))
    moved: list[list[tuple[Floats, Floats]]] = [[] for _ in sides]
    for piece in draw_weights(unit, min(resamples, BAND_RESAMPLES), seed) if sides else ():
        for side, kept in zip(sides, moved, strict=True):
            kept.append(read_off(side, piece[side.group.rows]))
    return [
        curve
        for side, kept in zip(sides, moved, strict=True)
        for curve in describe_side(sample, side, kept, level)
    ]


def rank_sides(sample: Sample, groups: Sequence[EvaluationGroup]) -> Iterator[RankedSide]:
    """Each class that is judged alone in each group that is large enough for a curve."""
    assert sample.scores is not None  # noqa: S101  # make_curves checks it
    counts = np.bincount(sample.truth, minlength=len(sample.classes))
    commonest = sorted(sample.single_classes, key=lambda number: -counts[number])[:MAX_CURVE_CLASSES]
    for number in sorted(commonest):
        for group in groups:
            truth = sample.truth[group.rows] == number
            if group.why_small is None and min(truth.sum(), (~truth).sum()) >= MIN_SIDE_CURVE:
                scores = sample.scores[group.rows, number]
                order = np.argsort(-scores, kind="stable")
                last = np.flatnonzero(np.r_[np.diff(scores[order]) != 0, True])
                yield RankedSide(group, number, order, truth[order], last, scores[order][last])


def read_off(side: RankedSide, weights: Floats) -> tuple[Floats, Floats]:
    """Sensitivity and precision of each resample at the places of the grid, (places, resamples)."""
    alarms, recall, precision = side.rates(weights)
    sensitivity, precisions = np.full((2, len(GRID), weights.shape[1]), np.nan)
    for draw in np.flatnonzero(np.isfinite(alarms[-1]) & np.isfinite(recall[-1])):
        sensitivity[:, draw] = np.interp(GRID, np.r_[0, alarms[:, draw]], np.r_[0, recall[:, draw]])
        places = np.searchsorted(recall[:, draw], np.maximum(GRID, ROUNDING) - ROUNDING)
        precisions[:, draw] = precision[np.minimum(places, len(side.last) - 1), draw]
    return sensitivity, precisions


def describe_side(
    sample: Sample, side: RankedSide, moved: Sequence[tuple[Floats, Floats]], level: float
) -> Iterator[dict[str, Any]]:
    """Both curves of a class in a group."""
    (alarms, recall, precision) = (one[:, 0] for one in side.rates(np.ones((len(side.order), 1))))
    about = {
        "class": sample.classes[side.number],
        "by": side.group.by or None,
        "value": side.group.value,
        "n": len(side.order),
        "positives": int(side.truth.sum()),
    }
    thresholds = [None, *side.thresholds.tolist()]
    points = list(zip([0.0, *alarms.tolist()], [0.0, *recall.tolist()], thresholds, strict=True))
    yield {
        "kind": ROC,
        **about,
        "points": thin_points(points),
        "band": make_band([one[0] for one in moved], level),
    }
    pairs = list(zip(recall.tolist(), precision.tolist(), thresholds[1:], strict=True))
    yield {
        "kind": PRECISION_RECALL, **about, "points": thin_points(pairs),
        "band": make_band([one[1] for one in moved], level),
    }  # fmt: skip


def thin_points(
    points: Sequence[tuple[float, float, float | None]],
) -> list[tuple[float, float, float | None]]:
    """The corners of a curve, and of more than `MAX_POINTS` evenly spread ones; the ends stay."""
    array = np.array([point[:2] for point in points])
    if len(array) > 2:
        bends = np.any(np.abs(np.diff(array, 2, axis=0)) > ROUNDING, axis=1)
        points = [points[place] for place in np.flatnonzero(np.r_[True, bends, True]).tolist()]
    if len(points) > MAX_POINTS:
        points = [points[place] for place in np.linspace(0, len(points) - 1, MAX_POINTS).astype(int).tolist()]
    return list(points)


def make_band(moved: Sequence[Floats], level: float) -> list[tuple[float, float, float]]:
    """The middle of the resamples at each place; nothing without resamples."""
    if not moved:
        return []
    values = np.concatenate(moved, axis=1)
    if not np.isfinite(values).any():
        return []
    low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2], axis=1)
    return list(zip(GRID.tolist(), low.tolist(), high.tolist(), strict=True))
