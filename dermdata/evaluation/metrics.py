"""The metrics of a sample under any weights of its images, and the bootstrap that weighs them."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dermdata.errors import UsageError
from dermdata.evaluation.sample import Codes, Floats, Mask, OperatingPoint, Sample
from dermdata.manifest.columns import text_column

CALIBRATION_BINS = 10  # of equal width
NAN = float("nan")
ROUNDING = 1e-12  # a share may be less than asked for by so much
NO_ROWS = np.zeros(0, np.int64)
RANKINGS = ("auroc", "average_precision")  # as rank_metrics gives them
HEADLINES = ("accuracy", "balanced_accuracy", "macro_f1", *RANKINGS, "brier", "ece")  # come first

MetricValues = dict[str, Floats]


class WeightedMetrics:
    """The metrics of some images, prepared once and computed under any weights.

    Parameters
    ----------
    sample : Sample
        The images; at least one.
    present : sequence of int
        The classes of the whole sample, also where `sample` is one group of it: macro averages of probabilities are
        over these.
    points : sequence of OperatingPoint
        Ignored where the sample has no probabilities.

    """

    def __init__(self, sample: Sample, present: Sequence[int], points: Sequence[OperatingPoint]) -> None:
        self.sample = sample
        self.single_classes = (sample.positive,) if sample.positive is not None else tuple(present)
        right = np.flatnonzero(sample.truth == sample.decision)
        self._true = sort_by_code(sample.truth)
        self._called = sort_by_code(sample.decision)
        self._hit = sort_by_code(sample.truth[right], right)
        self._score_orders: dict[int, ScoreOrder] = {}
        self._at_points: dict[str, tuple[CodeOrder, CodeOrder]] = {}  # suffix -> called, hit
        if sample.scores is None:
            return
        for number in self.single_classes:
            self._score_orders[number] = sort_scores(sample.scores[:, number], sample.truth == number)
        for point in points:
            cuts = [point.thresholds.get(number, NAN) for number in range(len(sample.classes))]
            classes, rows = np.nonzero((sample.scores >= cuts).T)
            own = sample.truth[rows] == classes
            self._at_points[point.suffix] = sort_by_code(classes, rows), sort_by_code(classes[own], rows[own])

    def estimate(self) -> dict[str, float]:
        """Each metric of the images themselves, the headlines first."""
        found = self.compute(np.ones((len(self.sample.truth), 1)))
        return {name: float(found[name][0]) for name in sorted(found, key=lambda name: name not in HEADLINES)}

    def compute(self, weights: Floats) -> MetricValues:
        """Each metric in each resample.

        Parameters
        ----------
        weights : array of float, shape (images, resamples)
            How often each image was drawn.

        Returns
        -------
        dict of str to array of float, shape (resamples,)

        """
        width = len(self.sample.classes)
        true, called, hit = (
            sum_by_code(order, weights, width) for order in (self._true, self._called, self._hit)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            values = decision_metrics(true, called, hit) | self._ranking_metrics(weights)
            values |= self._sensitivity_and_specificity(true, called, hit, "")
            for suffix, orders in self._at_points.items():
                called, hit = (sum_by_code(order, weights, width) for order in orders)
                values |= self._sensitivity_and_specificity(true, called, hit, suffix)
            return values | self._calibration_metrics(weights)

    def _ranking_metrics(self, weights: Floats) -> MetricValues:
        """AUROC and average precision, of all classes (macro, one against the rest) and of each."""
        found = {number: rank_metrics(order, weights) for number, order in self._score_orders.items()}
        values = {}
        for place, name in enumerate(RANKINGS if found else ()):
            values[name] = np.mean([both[place] for both in found.values()], axis=0)
            if self.sample.positive is None:
                for number, both in found.items():
                    values[f"{name}{self.sample.suffix(number)}"] = both[place]
        return values

    def _sensitivity_and_specificity(
        self, true: Floats, called: Floats, hit: Floats, suffix: str
    ) -> MetricValues:
        """Sensitivity and specificity of each class that is judged alone."""
        values = {}
        total = true.sum(axis=0)
        for number in self.single_classes:
            name = f"{self.sample.suffix(number)}{suffix}"
            others = total - true[number]
            values[f"sensitivity{name}"] = hit[number] / true[number]
            values[f"specificity{name}"] = (others - (called[number] - hit[number])) / others
        return values

    def _calibration_metrics(self, weights: Floats) -> MetricValues:
        """Brier score (1950; of several classes the sum of theirs, 0 to 2) and expected calibration error.

        The error is that of Naeini, Cooper and Hauskrecht (2015), in bins of equal width.
        """
        if self.sample.calibration_pairs is None:
            return {}
        came_true, stated = self.sample.calibration_pairs
        total = weights.sum(axis=0)
        excess = weights * (came_true - stated)[:, np.newaxis]
        errors = np.abs(sum_by_code(sort_by_code(bin_numbers(stated)), excess, CALIBRATION_BINS))
        return {
            "brier": (weights * self.sample.squared_errors[:, np.newaxis]).sum(axis=0) / total,
            "ece": errors.sum(axis=0) / total,
        }


# ------------------------------------------------------------------ sums over images


class CodeOrder(NamedTuple):
    """Images in the order of a code that each has."""

    rows: Codes
    codes: Codes  # those that an image has
    starts: Codes  # where in `rows` each of them begins


def sort_by_code(codes: Codes, rows: Codes | None = None) -> CodeOrder:
    """Of all images, or of `rows` with these codes."""
    order = np.argsort(codes, kind="stable")
    present, starts = np.unique(codes[order], return_index=True)
    return CodeOrder(order if rows is None else rows[order], present, starts)


def sum_by_code(order: CodeOrder, weights: Floats, width: int) -> Floats:
    """The sum of each code's weights, (width, resamples)."""
    sums = np.zeros((width, weights.shape[1]))
    if len(order.rows):
        sums[order.codes] = np.add.reduceat(weights[order.rows], order.starts, axis=0)
    return sums


def decision_metrics(true: Floats, called: Floats, hit: Floats) -> MetricValues:
    """Averages over the classes that a resample holds: a class that was not drawn is not there."""
    recall = np.where(true > 0, hit / true, 0.0)
    f1 = np.where(true + called > 0, 2 * hit / (true + called), 0.0)
    return {
        "accuracy": hit.sum(axis=0) / true.sum(axis=0),
        "balanced_accuracy": recall.sum(axis=0) / (true > 0).sum(axis=0),
        "macro_f1": f1.sum(axis=0) / (true + called > 0).sum(axis=0),
    }


# ------------------------------------------------------------------ ranking


class ScoreOrder(NamedTuple):
    """Images from the highest score down, and where scores lie that an image of the class has.

    Both measures are sums over these scores alone; what lies between two of them is only counted.
    """

    rows: Codes
    positive: Codes  # those of the class, in this order
    score_starts: Codes  # where in `positive` each score begins
    cuts: Codes  # where in `rows` stretches begin: a score's own images, or what lies between two scores
    stretches_above: Codes  # number of stretches above each score
    stretches_through: Codes  # … and with its own


def sort_scores(scores: Floats, truth: Mask) -> ScoreOrder:
    rows = np.argsort(-scores, kind="stable")
    sorted_scores, there = scores[rows], truth[rows]
    if not there.any():
        return ScoreOrder(rows, NO_ROWS, NO_ROWS, NO_ROWS, NO_ROWS, NO_ROWS)
    starts = np.flatnonzero(np.r_[True, np.diff(sorted_scores) != 0])
    block = np.cumsum(np.r_[True, np.diff(sorted_scores) != 0]) - 1
    blocks, of_score = np.unique(block[there], return_index=True)
    ends = np.r_[starts[1:], len(rows)]
    edges = np.unique(np.r_[0, starts[blocks], ends[blocks]])
    before, until = np.searchsorted(edges, starts[blocks]), np.searchsorted(edges, ends[blocks])
    return ScoreOrder(rows, rows[there], of_score, edges[edges < len(rows)], before, until)


def rank_metrics(order: ScoreOrder, weights: Floats) -> tuple[Floats, Floats]:
    """AUROC and average precision of each resample (column of `weights`); not a number where a side has no weight.

    AUROC is the share of pairs in which the image of the class has the higher score, ties counting half (Mann and
    Whitney 1947); average precision the mean precision at each score, weighted by the recall it adds, without
    interpolation.
    """
    count = weights.shape[1]
    if not len(order.positive):
        return np.full(count, np.nan), np.full(count, np.nan)
    stretches = np.add.reduceat(weights[order.rows], order.cuts, axis=0)
    above = np.vstack([np.zeros(count), np.cumsum(stretches, axis=0)])
    hits = np.add.reduceat(weights[order.positive], order.score_starts, axis=0)
    true = np.cumsum(hits, axis=0)
    all_true, everything = true[-1], above[-1]
    false_before, false_until = (
        above[order.stretches_above] - (true - hits),
        above[order.stretches_through] - true,
    )
    negatives = everything - all_true
    passed = (hits * (negatives - (false_before + false_until) / 2)).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        area = passed / (all_true * negatives)
        shares = np.where(hits > 0, hits * true / above[order.stretches_through], 0.0)
        precision = np.where(negatives > 0, shares.sum(axis=0) / all_true, np.nan)
    return area, precision


# ------------------------------------------------------------------ calibration and confusion


def reliability_bins(true: Mask, stated: Floats) -> list[dict[str, Any]]:
    """Each bin's bounds, images, mean probability and share that came true; a bin holds its upper bound."""
    bins = bin_numbers(stated)
    counts, expected, happened = (
        np.bincount(bins, weights=values, minlength=CALIBRATION_BINS).tolist()
        for values in (None, stated, true.astype(float))
    )
    return [
        {
            "low": low / CALIBRATION_BINS,
            "high": (low + 1) / CALIBRATION_BINS,
            "n": n,
            "confidence": expected[low] / n if n else None,
            "accuracy": happened[low] / n if n else None,
        }
        for low, n in enumerate(counts)
    ]


def bin_numbers(stated: Floats) -> Codes:
    """The bin of each probability, which holds its upper bound; the first one holds 0 as well."""
    return np.searchsorted(np.linspace(0.0, 1.0, CALIBRATION_BINS + 1)[1:-1], stated)


def confusion_counts(sample: Sample) -> list[list[int]]:
    """Images of a true class (row) called each class (column)."""
    width = len(sample.classes)
    counts = np.bincount(sample.truth * width + sample.decision, minlength=width * width)
    found: list[list[int]] = counts.reshape(width, width).tolist()
    return found


# ------------------------------------------------------------------ operating points


def choose_operating_point(text: str, sample: Sample) -> OperatingPoint:
    """`sensitivity=0.9`: of each class the highest threshold that reaches it, on all images; UsageError.

    `specificity=0.9`: the lowest that reaches it. `threshold=0.3`: this one.
    """
    name, value = parse_operating_point(text)
    if sample.scores is None:
        raise UsageError("an operating point is chosen on probabilities; there are only decisions")
    thresholds = {number: choose_threshold(sample, number, name, value) for number in sample.single_classes}
    return OperatingPoint(name, value, thresholds)


def parse_operating_point(text: str) -> tuple[str, float]:
    name, _, words = text.partition("=")
    try:
        value = float(words)
    except ValueError:
        value = NAN
    if name not in ("sensitivity", "specificity", "threshold") or not 0 <= value <= 1:
        raise UsageError(
            f"'{text}' is no operating point",
            hint="sensitivity=0.9, specificity=0.9 or threshold=0.3; a number from 0 to 1",
        )
    return name, value


def choose_threshold(sample: Sample, number: int, name: str, value: float) -> float:
    """One of the scores, or infinity where only calling no image this class is specific enough."""
    assert sample.scores is not None  # noqa: S101  # choose_operating_point checks it
    if name == "threshold":
        return value
    truth = sample.truth == number
    if truth.all() or not truth.any():
        return NAN  # nothing to choose it on: no image is called this class
    cuts, sensitivity, specificity = roc_points(truth, sample.scores[:, number])
    if name == "sensitivity":
        return float(cuts[np.argmax(sensitivity >= value - ROUNDING)])
    return float(cuts[np.flatnonzero(specificity >= value - ROUNDING)[-1]])


def roc_points(truth: Mask, scores: Floats) -> tuple[Floats, Floats, Floats]:
    """Every threshold that makes a difference, from infinity down, with its sensitivity and specificity."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(truth[order])
    last = np.flatnonzero(np.r_[np.diff(ranked) != 0, True])  # of the images with one score
    true, called = np.r_[0, hits[last]], np.r_[0, last + 1]
    return np.r_[np.inf, ranked[last]], true / hits[-1], 1 - (called - true) / (len(truth) - hits[-1])


MAX_WEIGHTS = 2_000_000  # weights that are held at once
UNIT_COLUMNS = (("patient", "patient_id"), ("lesion", "lesion_id"))
MAX_UNDEFINED_SHARE = 0.1  # share of resamples in which a metric may have no number


def resampling_units(table: pa.Table) -> tuple[Codes, str]:
    """Each row's unit by number, and what most units are: a row without patient counts by its lesion, else alone."""
    place = pc.binary_join_element_wise("image", pa.array(map(str, range(table.num_rows)), pa.string()), ":")
    kind = "image"
    for name, column in reversed(UNIT_COLUMNS):
        ids = text_column(table, column)
        kind = name if ids.null_count < len(ids) else kind
        place = pc.coalesce(pc.binary_join_element_wise(name, ids, ":"), place)
    encoded = place.dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    return np.asarray(encoded.indices.to_numpy(zero_copy_only=False), np.int64), kind


def draw_weights(unit: Codes, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each image is drawn, (images, resamples) in pieces: units are drawn with replacement."""
    random = np.random.default_rng(seed)
    count = int(unit.max()) + 1 if len(unit) else 0
    step = max(1, MAX_WEIGHTS // max(1, len(unit)))
    for first in range(0, resamples, step):
        drawn = [
            np.bincount(random.integers(0, count, count), minlength=count)
            for _ in range(min(step, resamples - first))
        ]
        yield np.stack(drawn, axis=1).astype(np.float64)[unit]


def percentile_interval(values: Floats, level: float) -> tuple[float | None, float | None]:
    """The middle `level` of the resamples (Efron 1979); none where more than a tenth of them have no number."""
    known = values[np.isfinite(values)]
    if not len(known) or len(known) < (1 - MAX_UNDEFINED_SHARE) * len(values):
        return None, None
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    if known.min() == known.max():
        return None, None  # no resample moves it: too little to know by how much it might
    return float(low), float(high)


def clopper_pearson_interval(share: float, count: int, level: float) -> tuple[float, float]:
    """The exact interval (Clopper and Pearson 1934) of a share of none or all of `count` units.

    All resamples of 20 hits of 20 are 20 of 20: they would claim that the share is 1 and nothing else.
    """
    reach = ((1 - level) / 2) ** (1 / count)
    return (reach, 1.0) if share == 1 else (0.0, 1 - reach)


def correct_bias(values: Floats, estimate: float) -> Floats:
    """Resamples of an error that noise alone makes larger, moved to their estimate; never below nothing."""
    known = values[np.isfinite(values)]
    return np.maximum(0.0, values - known.mean() + estimate) if len(known) else values
