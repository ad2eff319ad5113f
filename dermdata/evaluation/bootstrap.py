"""The bootstrap resamples patients, else lesions, else images, and gives every metric of many resamples at once.

A resample is a weight of each image: how often it was drawn. Sums over images are one sparse product; AUROC and average
precision of all resamples come from one sorting. With all weights 1 the numbers are those of `metrics`.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse  # type: ignore[import-untyped]

from dermdata.evaluation.metrics import CALIBRATION_BINS, bin_numbers
from dermdata.evaluation.sample import Codes, Floats, Mask, OperatingPoint, Sample
from dermdata.manifest.columns import text_column

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
    """The middle `level` of the resamples; none where the metric has no number in more than a tenth of them."""
    known = values[np.isfinite(values)]
    if not len(known) or len(known) < (1 - MAX_UNDEFINED_SHARE) * len(values):
        return None, None
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    if known.min() == known.max():
        return None, None  # no resample moves it: too little to know by how much it might
    return float(low), float(high)


def clopper_pearson_interval(share: float, count: int, level: float) -> tuple[float, float]:
    """The exact interval (Clopper and Pearson) of a share of none or all of `count` units.

    All resamples of 20 hits of 20 are 20 of 20: they would claim that the share is 1 and nothing else.
    """
    reach = ((1 - level) / 2) ** (1 / count)
    return (reach, 1.0) if share == 1 else (0.0, 1 - reach)


def correct_bias(values: Floats, estimate: float) -> Floats:
    """Resamples of an error that noise alone makes larger, moved to their estimate; never below nothing."""
    known = values[np.isfinite(values)]
    return np.maximum(0.0, values - known.mean() + estimate) if len(known) else values


NO_ROWS = np.zeros(0, np.int64)


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


def auroc_and_precision(found: ScoreOrder, weights: Floats) -> tuple[Floats, Floats]:
    """AUROC and average precision of each resample (column of `weights`); not a number where a side has no weight."""
    count = weights.shape[1]
    if not len(found.positive):
        return np.full(count, np.nan), np.full(count, np.nan)
    stretches = np.add.reduceat(weights[found.rows], found.cuts, axis=0)
    above = np.vstack([np.zeros(count), np.cumsum(stretches, axis=0)])
    hits = np.add.reduceat(weights[found.positive], found.score_starts, axis=0)
    true = np.cumsum(hits, axis=0)
    all_true, everything = true[-1], above[-1]
    false_before, false_until = (
        above[found.stretches_above] - (true - hits),
        above[found.stretches_through] - true,
    )
    negatives = everything - all_true
    passed = (hits * (negatives - (false_before + false_until) / 2)).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        area = passed / (all_true * negatives)
        shares = np.where(hits > 0, hits * true / above[found.stretches_through], 0.0)
        precision = np.where(negatives > 0, shares.sum(axis=0) / all_true, np.nan)
    return area, precision


ResampledMetrics = dict[str, Floats]


class BootstrapMetrics:
    """Some images, prepared once; `of` gives their metrics under any weights."""

    def __init__(self, sample: Sample, present: Sequence[int], points: Sequence[OperatingPoint]) -> None:
        self.sample = sample
        self.single_classes = (sample.positive,) if sample.positive is not None else tuple(present)
        self.points = points
        self._orders = (
            {} if sample.scores is None else sort_each_class(sample.truth, sample.scores, self.single_classes)
        )
        self._sums = sparse.hstack(list(self._summed_columns()), format="csr").T.tocsr()

    def compute(self, weights: Floats) -> ResampledMetrics:
        """Each metric in each resample; `weights` is (images, resamples)."""
        sums = iter_blocks(self._sums @ weights, self._block_widths())
        true, called, right = next(sums), next(sums), next(sums)
        values = weighted_decision_metrics(true, called, right)
        values |= self._ranking_metrics(weights)
        total = true.sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            values |= self._sensitivity_and_specificity(true, called, right, total, "")
            for point in self.points if self.sample.scores is not None else ():
                values |= self._sensitivity_and_specificity(true, next(sums), next(sums), total, point.suffix)
            if self.sample.scores is not None:
                values["brier"] = next(sums)[0] / total
                values["ece"] = np.abs(next(sums) - next(sums)).sum(axis=0) / total
        return values

    # -------------------------------------------------------------- sums

    def _summed_columns(self) -> Iterator[sparse.csr_matrix]:
        """One row per image; each block of columns is what `of` takes in turn."""
        sample, width = self.sample, len(self.sample.classes)
        yield one_hot(sample.truth, width)
        yield one_hot(sample.decision, width)
        yield one_hot(sample.truth, width, sample.truth == sample.decision)
        if sample.scores is None or sample.calibration_pairs is None:
            return
        for point in self.points:
            cuts = np.array([point.thresholds.get(number, np.nan) for number in range(width)])
            hit = sample.scores >= cuts
            yield sparse.csr_matrix(hit.astype(float))
            yield one_hot(sample.truth, width, hit[np.arange(len(hit)), sample.truth])
        yield sparse.csr_matrix(squared_errors(sample).reshape(-1, 1))
        came_true, said = sample.calibration_pairs
        yield one_hot(bin_numbers(said), CALIBRATION_BINS, came_true)
        yield one_hot(bin_numbers(said), CALIBRATION_BINS, said)

    def _block_widths(self) -> list[int]:
        width = len(self.sample.classes)
        if self.sample.scores is None:
            return [width] * 3
        return [*[width] * (3 + 2 * len(self.points)), 1, CALIBRATION_BINS, CALIBRATION_BINS]

    def _sensitivity_and_specificity(
        self, true: Floats, called: Floats, right: Floats, total: Floats, more: str
    ) -> ResampledMetrics:
        """Sensitivity and specificity of each class that is judged alone."""
        values = {}
        for number in self.single_classes:
            name = f"{self.sample.suffix(number)}{more}"
            others = total - true[number]
            values[f"sensitivity{name}"] = right[number] / true[number]
            values[f"specificity{name}"] = (others - (called[number] - right[number])) / others
        return values

    def _ranking_metrics(self, weights: Floats) -> ResampledMetrics:
        found = {number: auroc_and_precision(order, weights) for number, order in self._orders.items()}
        values = {}
        for place, name in enumerate(("auroc", "average_precision") if found else ()):
            values[name] = np.mean([both[place] for both in found.values()], axis=0)
            if self.sample.positive is None:
                for number, both in found.items():
                    values[f"{name}{self.sample.suffix(number)}"] = both[place]
        return values


def sort_each_class(truth: Codes, scores: Floats, numbers: Sequence[int]) -> dict[int, ScoreOrder]:
    return {number: sort_scores(scores[:, number], truth == number) for number in numbers}


def weighted_decision_metrics(true: Floats, called: Floats, right: Floats) -> ResampledMetrics:
    """Averages over the classes that a resample holds: a class that was not drawn is not there."""
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = np.where(true > 0, right / true, 0.0)
        f1 = np.where(true + called > 0, 2 * right / (true + called), 0.0)
        return {
            "accuracy": right.sum(axis=0) / true.sum(axis=0),
            "balanced_accuracy": recall.sum(axis=0) / (true > 0).sum(axis=0),
            "macro_f1": f1.sum(axis=0) / (true + called > 0).sum(axis=0),
        }


def one_hot(codes: Codes, width: int, values: Floats | Mask | None = None) -> sparse.csr_matrix:
    """(images, width): each image's value (else 1) in the column of its code."""
    data = np.ones(len(codes)) if values is None else values.astype(float)
    found = sparse.csr_matrix((data, codes, np.arange(len(codes) + 1)), shape=(len(codes), width))
    found.eliminate_zeros()
    return found


def squared_errors(sample: Sample) -> Floats:
    """Each image's share of the Brier score."""
    assert sample.scores is not None  # noqa: S101  # only asked for with probabilities
    if sample.positive is not None:
        missed = sample.scores[:, sample.positive] - (sample.truth == sample.positive)
        return np.asarray(missed**2)
    wanted = np.eye(len(sample.classes))[sample.truth]
    return np.asarray(((sample.scores - wanted) ** 2).sum(axis=1))


def iter_blocks(sums: Floats, widths: Sequence[int]) -> Iterator[Floats]:
    return iter(np.split(sums, np.cumsum(widths)[:-1]))
