"""Which groups may be compared, how far they are apart, and how far each is from all the others.

The worst of many groups looks bad by chance alone. So the intervals of differences are simultaneous ones: as wide as they
must be for *all* differences of a family to be covered at once in 95 % of the resamples.
"""

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeVar

import numpy as np

from dermdata.evaluation.metrics import MAX_UNDEFINED_SHARE
from dermdata.evaluation.sample import Codes, EvaluationGroup, Floats, Sample
from dermdata.markup import count_nouns

# images of each side of a class, without which its numbers are no ground for a comparison
MIN_SIDE_IMAGES = 5
MACRO_METRICS = ("balanced_accuracy", "macro_f1", "auroc")
LOWER_IS_BETTER = ("brier",)
# neither is comparable between groups: precision follows the share of the class, the error the number of images
NOT_COMPARED = ("average_precision", "ece")
POINT_SUFFIX = re.compile(r"_at_(sensitivity|specificity|threshold)_[0-9.e-]+$")
AGAINST_REST = (
    "auroc",
    "balanced_accuracy",
    "accuracy",
)  # in which the worst group is looked for: the first that can be
Key = TypeVar("Key", bound=Hashable)
ComparedItem = dict[str, Any]


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


# ------------------------------------------------------------------ between groups


def column_gaps(
    by: str, sample: Sample, parts: Sequence[GroupResult], level: float
) -> Iterator[ComparedItem]:
    """Of each metric that can be compared, the gap between the groups of one column."""
    own = [part for part in parts if part.group.by == by]
    compared = [part.group for part in own]
    counts = [class_counts(part.sample) for part in own]
    none = np.zeros(0)
    for metric in own[0].estimates if own else ():
        found = {
            number: (part.estimates[metric], part.resampled.get(metric, none))
            for number, part in enumerate(own)
            if is_comparable(metric, sample, part.group)
        }
        least = null_variances(metric, parts[0], counts)
        if one := measure_gap(by, metric, compared, found, level, least):
            yield one


def null_variances(metric: str, whole: GroupResult, counts: Sequence[Codes]) -> Floats:
    """The variance that a metric would have in some groups were the model equally good for all.

    A group that looks perfect by luck hardly moves in its resamples: 8 of 8 melanomas found are 8 of 8 in each, and its
    difference to the others would pass for sure. As in a score test, the variance is taken where no difference is: that of
    all images, carried over to the group's images of each class, `counts`.
    """
    spread = float(np.nanstd(whole.resampled[metric])) if metric in whole.resampled else 0.0
    scale = spread**2 * effective_size(metric, whole.sample, class_counts(whole.sample))
    sizes = [effective_size(metric, whole.sample, one) for one in counts]
    return np.array([scale / size if size > 0 else 0.0 for size in sizes])


def class_counts(sample: Sample) -> Codes:
    """Images of each class."""
    return np.bincount(sample.truth, minlength=len(sample.classes))


def effective_size(metric: str, sample: Sample, counts: Codes) -> float:
    """Of how many images a metric is, as far as its variance goes; 0 where it has no number."""
    number = metric_class(metric, sample)
    if metric in MACRO_METRICS:
        sizes = counts[list(sample.present_classes)].astype(float)
    elif number is None:
        sizes = np.array([counts.sum()], float)
    else:
        there = float(counts[number])
        sides = {"sensitivity": [there], "specificity": [counts.sum() - there]}
        sizes = np.array(sides.get(metric.split("_")[0], [there, counts.sum() - there]), float)
    return float(1 / (1 / sizes).sum()) if (sizes > 0).all() else 0.0


def measure_gap(
    by: str,
    metric: str,
    compared: Sequence[EvaluationGroup],
    found: Mapping[int, tuple[float, Floats]],
    level: float,
    least: Floats | None = None,
) -> ComparedItem | None:
    """`by, metric, worst, best, gap, low, high, claimed, groups`; None where fewer than two groups can be compared.

    `found` is, by the group's number, the estimate and the resamples; `least` the variance that each group has at least.
    """
    known = {number: pair for number, pair in found.items() if np.isfinite(pair[0])}
    if len(known) < 2:
        return None
    ordered = sorted(known, key=lambda number: known[number][0], reverse=metric in LOWER_IS_BETTER)
    worst, best = ordered[0], ordered[-1]
    size = abs(known[best][0] - known[worst][0])
    reach = gap_half_width(known, worst, best, level, least)
    low, high = (None, None) if reach is None else (size - reach, size + reach)
    return {
        "by": by, "metric": metric, "worst": compared[worst].value, "best": compared[best].value,
        "gap": size, "low": low, "high": high,
        "claimed": low is not None and low > 0, "groups": len(known),
    }  # fmt: skip


def gap_half_width(
    found: Mapping[int, tuple[float, Floats]],
    worst: int,
    best: int,
    level: float,
    least: Floats | None = None,
) -> float | None:
    """How far the gap may be off, with every other pair's difference within its own reach at the same time."""
    shifts, floors = {}, {}
    for pair in combinations(sorted(found), 2):
        first, second = (found[number] for number in pair)
        shifts[pair] = (first[1] - second[1]) - (first[0] - second[0])
        floors[pair] = 0.0 if least is None else float(np.sqrt(least[list(pair)].sum()))
    return half_widths(shifts, floors, level).get((min(worst, best), max(worst, best)))


def half_widths(shifts: Mapping[Key, Floats], floors: Mapping[Key, float], level: float) -> dict[Key, float]:
    """How far each difference may be off, with all of them within their reach at once.

    `shifts` is, of each difference, how far the resamples lie from its estimate; `floors` the spread that it has at least.
    There is no reach of a difference that no resample moves, which are too few images to know by how much it might; and of
    none where one is often undefined.
    """
    if not all(map(is_known, shifts.values())):
        return {}
    spreads = {key: spread for key, one in shifts.items() if (spread := float(np.nanstd(one))) > 0}
    if not spreads:
        return {}
    uneven = [np.abs(shifts[key]) / spread for key, spread in spreads.items()]
    most = float(np.quantile(np.nanmax(np.stack(uneven), axis=0, initial=0.0), level))
    return {key: most * max(spread, floors[key]) for key, spread in spreads.items()}


def is_known(values: Floats) -> bool:
    """Whether there are resamples, and hardly one without a number."""
    return len(values) > 0 and bool(np.isfinite(values).mean() >= 1 - MAX_UNDEFINED_SHARE)


# ------------------------------------------------------------------ what may be compared


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


def list_uncompared(part: GroupResult, sample: Sample) -> Iterator[ComparedItem]:
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
