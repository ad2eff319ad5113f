"""Curves of a model: sensitivity against false alarms, and precision against recall, with bands of resamples.

A receiver operating characteristic (Metz 1978) joins its points by straight lines; precision between two recalls is that
of the next threshold, as average precision has it (Davis and Goadrich 2006). Bands are pointwise: at each place the
middle of the resamples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dermdata.evaluation.metrics import CodeOrder, draw_weights, sort_by_code, sum_by_code
from dermdata.evaluation.sample import Codes, EvaluationGroup, Floats, Mask, Sample

GRID = np.linspace(0.0, 1.0, 101)  # where bands are known
BAND_RESAMPLES = 200  # a band is drawn, not read off: more change nothing that is seen
BAND_STEPS = 400  # of each axis between thresholds of a resample: four times as fine as the grid
MAX_POINTS = 500  # of a curve as it is drawn and written
MAX_CURVE_CLASSES = 12  # the commonest: more squares than that nobody looks at
MIN_SIDE_CURVE = 5  # images with the class, and without it
ROUNDING = 1e-12
ROC, PRECISION_RECALL = "roc", "precision-recall"
CurvePoint = tuple[float, float, float | None]


@dataclass(frozen=True)
class RankedSide:
    """The images of one group from the highest probability of a class down, in blocks of some thresholds."""

    group: EvaluationGroup
    number: int  # of the class
    positives: int
    points: dict[str, list[CurvePoint]]  # by the kind of curve
    sides: CodeOrder  # images by their block, those without the class (even) before those with it
    blocks: int

    def rates(self, weights: Floats) -> tuple[Floats, Floats, Floats]:
        """False alarms, sensitivity and precision down to each block, (blocks, resamples)."""
        sums = sum_by_code(self.sides, weights, 2 * self.blocks)
        false, true = np.cumsum(sums[::2], axis=0), np.cumsum(sums[1::2], axis=0)
        return curve_rates(true, false)


def curve_rates(true: Floats, false: Floats) -> tuple[Floats, Floats, Floats]:
    """False alarms, sensitivity and precision where so many are called rightly and falsely."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return false / false[-1], true / true[-1], true / (true + false)


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
    found: list[dict[str, Any]] = []
    for number in curve_classes(sample):  # one after the other: the order of all images is held for one alone
        sides = list(rank_sides(sample, groups, number))
        moved: list[list[tuple[Floats, Floats]]] = [[] for _ in sides]
        for piece in draw_weights(unit, min(resamples, BAND_RESAMPLES), seed) if sides else ():
            for side, kept in zip(sides, moved, strict=True):
                kept.append(read_off(side, piece))
        for side, kept in zip(sides, moved, strict=True):
            found += describe_side(sample, side, kept, level)
    return found


def curve_classes(sample: Sample) -> list[int]:
    """The commonest of the classes that are judged alone, in their order; none without probabilities."""
    if sample.scores is None:
        return []
    counts = np.bincount(sample.truth, minlength=len(sample.classes))
    return sorted(sorted(sample.single_classes, key=lambda number: -counts[number])[:MAX_CURVE_CLASSES])


def rank_sides(sample: Sample, groups: Sequence[EvaluationGroup], number: int) -> Iterator[RankedSide]:
    """A class in each group that is large enough for a curve."""
    assert sample.scores is not None  # noqa: S101  # curve_classes checks it
    for group in groups:
        truth = sample.truth[group.rows] == number
        if group.why_small is None and min(truth.sum(), (~truth).sum()) >= MIN_SIDE_CURVE:
            yield rank_side(group, number, truth, sample.scores[group.rows, number])


def rank_side(group: EvaluationGroup, number: int, truth: Mask, scores: Floats) -> RankedSide:
    """The curves of a class in a group, and the blocks of its resamples."""
    order = np.argsort(-scores, kind="stable")
    ranked, there = scores[order], truth[order]
    last = np.flatnonzero(np.r_[np.diff(ranked) != 0, True])  # of the images with one probability
    true = np.cumsum(there)[last]
    alarms, recall, precision = curve_rates(true.astype(float), (last + 1 - true).astype(float))
    reached = (
        np.diff(np.floor(recall * BAND_STEPS + ROUNDING), prepend=-1) != 0
    )  # where precision is read off
    ends = last[reached | is_step(BAND_STEPS, alarms, recall)]
    block = np.searchsorted(ends, np.arange(len(order)))
    thresholds = ranked[last]
    points = {
        ROC: thin_points(np.r_[0.0, alarms], np.r_[0.0, recall], np.r_[np.inf, thresholds], both=True),
        PRECISION_RECALL: thin_points(recall, precision, thresholds, both=False),
    }
    sides = sort_by_code(2 * block + there, group.rows[order])
    return RankedSide(group, number, int(truth.sum()), points, sides, len(ends))


def is_step(steps: int, *axes: Floats) -> Mask:
    """Where an axis has gone on by a step since the place before; the last place always."""
    gone = [np.diff(np.floor(axis * steps + ROUNDING), append=np.inf) != 0 for axis in axes]
    return np.asarray(np.any(gone, axis=0))


def thin_points(x: Floats, y: Floats, thresholds: Floats, *, both: bool) -> list[CurvePoint]:
    """The corners of a curve; of more than `MAX_POINTS` one at each step of x, or of both axes. The ends stay."""
    bends = np.ones(len(x), bool)
    if len(x) > 2:
        bends[1:-1] = np.any(np.abs(np.diff([x, y], 2, axis=1)) > ROUNDING, axis=0)
    if bends.sum() > MAX_POINTS:
        steps = MAX_POINTS // 2 - 2 if both else MAX_POINTS - 2
        bends = is_step(steps, *([x, y] if both else [x]))
        bends[0] = True
    kept = np.flatnonzero(bends)
    cuts = [None if cut == np.inf else cut for cut in thresholds[kept].tolist()]
    return list(zip(x[kept].tolist(), y[kept].tolist(), cuts, strict=True))


def read_off(side: RankedSide, weights: Floats) -> tuple[Floats, Floats]:
    """Sensitivity and precision of each resample at the places of the grid, (places, resamples)."""
    alarms, recall, precision = side.rates(weights)
    sensitivity, precisions = np.full((2, len(GRID), weights.shape[1]), np.nan)
    for draw in np.flatnonzero(np.isfinite(alarms[-1]) & np.isfinite(recall[-1])):
        sensitivity[:, draw] = np.interp(GRID, np.r_[0, alarms[:, draw]], np.r_[0, recall[:, draw]])
        places = np.searchsorted(recall[:, draw], np.maximum(GRID, ROUNDING) - ROUNDING)
        precisions[:, draw] = precision[np.minimum(places, side.blocks - 1), draw]
    return sensitivity, precisions


def describe_side(
    sample: Sample, side: RankedSide, moved: Sequence[tuple[Floats, Floats]], level: float
) -> Iterator[dict[str, Any]]:
    """Both curves of a class in a group."""
    about = {
        "class": sample.classes[side.number],
        "by": side.group.by or None,
        "value": side.group.value,
        "n": len(side.group.rows),
        "positives": side.positives,
    }
    for place, (kind, points) in enumerate(side.points.items()):
        yield {
            "kind": kind,
            **about,
            "points": points,
            "band": make_band([one[place] for one in moved], level),
        }


def make_band(moved: Sequence[Floats], level: float) -> list[tuple[float, float, float]]:
    """The middle of the resamples at each place; nothing without resamples."""
    if not moved:
        return []
    values = np.concatenate(moved, axis=1)
    if not np.isfinite(values).any():
        return []
    low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2], axis=1)
    return list(zip(GRID.tolist(), low.tolist(), high.tolist(), strict=True))
