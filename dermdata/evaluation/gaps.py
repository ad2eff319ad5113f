"""The gap between the best and the worst group, and whether it is more than chance.

The worst of many groups looks bad by chance alone. So the interval is a simultaneous one: it is as wide as it must be for
the differences of *all* pairs of groups to be covered at once in 95 % of the resamples.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from dermdata.evaluation.groups import Group
from dermdata.evaluation.resampling import MOST_UNDEFINED
from dermdata.evaluation.sample import Floats, Sample

FEWEST = 5  # images of each side of a class, without which its numbers are no ground for a comparison
MACRO = ("balanced_accuracy", "macro_f1", "auroc")
LOWER = ("brier",)  # is better
# neither is comparable between groups: precision follows the share of the class, the error the number of images
NOT_COMPARED = ("average_precision", "ece")
POINT = re.compile(r"_at_(sensitivity|specificity|threshold)_[0-9.e-]+$")


def gap(
    by: str, metric: str, compared: Sequence[Group], found: Mapping[int, tuple[float, Floats]], level: float
) -> dict[str, Any] | None:
    """`by, metric, worst, best, gap, low, high, claimed, groups`; None where fewer than two groups can be compared.

    `found` is, by the group's number, the estimate and the resamples.
    """
    known = {number: pair for number, pair in found.items() if np.isfinite(pair[0])}
    if len(known) < 2:
        return None
    ordered = sorted(known, key=lambda number: known[number][0], reverse=metric in LOWER)
    worst, best = ordered[0], ordered[-1]
    size = abs(known[best][0] - known[worst][0])
    reach = half_width(known, worst, best, level)
    low, high = (None, None) if reach is None else (size - reach, size + reach)
    return {
        "by": by, "metric": metric, "worst": compared[worst].value, "best": compared[best].value,
        "gap": size, "low": low, "high": high,
        "claimed": low is not None and low > 0, "groups": len(known),
    }  # fmt: skip


def half_width(
    found: Mapping[int, tuple[float, Floats]], worst: int, best: int, level: float
) -> float | None:
    """How far the gap may be off, with every other pair's difference within its own reach at the same time."""
    shifts, spreads = {}, {}
    for pair in combinations(sorted(found), 2):
        first, second = (found[number] for number in pair)
        moved = (first[1] - second[1]) - (first[0] - second[0])
        if not len(moved) or np.isfinite(moved).mean() < 1 - MOST_UNDEFINED:
            return None
        shifts[pair], spreads[pair] = moved, float(np.nanstd(moved))
    own = spreads[min(worst, best), max(worst, best)]
    uneven = [np.abs(shifts[pair]) / spread for pair, spread in spreads.items() if spread > 0]
    if own == 0 or not uneven:
        return None  # no resample moves it: too few images to know by how much it might
    most = np.nanmax(np.stack(uneven), axis=0, initial=0.0)
    return float(np.quantile(most, level)) * own


def comparable(metric: str, sample: Sample, group: Group) -> bool:
    """Whether a group's number may stand in a comparison: stated, large enough, and the classes it needs are there."""
    if group.value is None or group.why_small or metric.startswith(NOT_COMPARED):
        return False
    truth = sample.truth[group.rows]
    if metric in MACRO:
        return all((truth == one).sum() >= FEWEST for one in sample.present)
    number = class_of(metric, sample)
    if number is None:
        return True
    count = int((truth == number).sum())
    side = len(truth) - count if metric.startswith("specificity") else count
    return side >= FEWEST and (not metric.startswith("auroc") or len(truth) - count >= FEWEST)


def class_of(metric: str, sample: Sample) -> int | None:
    """The class that a metric judges alone; None for those over all classes."""
    name = POINT.sub("", metric)
    if sample.positive is not None:
        return sample.positive if name in ("sensitivity", "specificity", "auroc") else None
    _, _, word = name.partition("_")
    return sample.classes.index(word) if name.startswith(("sensitivity", "specificity", "auroc_")) else None
