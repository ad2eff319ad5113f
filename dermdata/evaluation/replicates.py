"""Every metric of many resamples at once: what is a sum over images is one sparse product, ranks have their own way.

A resample is a weight of each image: how often it was drawn. With all weights 1 the numbers are those of `estimates`.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import sparse  # type: ignore[import-untyped]

from dermdata.evaluation import ranks
from dermdata.evaluation.estimates import BINS, bin_of
from dermdata.evaluation.sample import Codes, Floats, Mask, Point, Sample

Values = dict[str, Floats]


class Replicates:
    """Some images, prepared once; `of` gives their metrics under any weights."""

    def __init__(self, sample: Sample, present: Sequence[int], points: Sequence[Point]) -> None:
        self.sample = sample
        self.single = (sample.positive,) if sample.positive is not None else tuple(present)
        self.points = points
        self._orders = {} if sample.scores is None else orders(sample.truth, sample.scores, self.single)
        self._sums = sparse.hstack(list(self._columns()), format="csr").T.tocsr()

    def of(self, weights: Floats) -> Values:
        """Each metric in each resample; `weights` is (images, resamples)."""
        sums = iter_blocks(self._sums @ weights, self._widths())
        true, called, right = next(sums), next(sums), next(sums)
        values = decided(true, called, right)
        values |= self._ranked(weights)
        total = true.sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            values |= self._sides(true, called, right, total, "")
            for point in self.points if self.sample.scores is not None else ():
                values |= self._sides(true, next(sums), next(sums), total, point.suffix)
            if self.sample.scores is not None:
                values["brier"] = next(sums)[0] / total
                values["ece"] = np.abs(next(sums) - next(sums)).sum(axis=0) / total
        return values

    # -------------------------------------------------------------- sums

    def _columns(self) -> Iterator[sparse.csr_matrix]:
        """One row per image; each block of columns is what `of` takes in turn."""
        sample, width = self.sample, len(self.sample.classes)
        yield one_hot(sample.truth, width)
        yield one_hot(sample.decision, width)
        yield one_hot(sample.truth, width, sample.truth == sample.decision)
        if sample.scores is None or sample.calibrated is None:
            return
        for point in self.points:
            cuts = np.array([point.thresholds.get(number, np.nan) for number in range(width)])
            hit = sample.scores >= cuts
            yield sparse.csr_matrix(hit.astype(float))
            yield one_hot(sample.truth, width, hit[np.arange(len(hit)), sample.truth])
        yield sparse.csr_matrix(squares(sample).reshape(-1, 1))
        came_true, said = sample.calibrated
        yield one_hot(bin_of(said), BINS, came_true)
        yield one_hot(bin_of(said), BINS, said)

    def _widths(self) -> list[int]:
        width = len(self.sample.classes)
        if self.sample.scores is None:
            return [width] * 3
        return [*[width] * (3 + 2 * len(self.points)), 1, BINS, BINS]

    def _sides(self, true: Floats, called: Floats, right: Floats, total: Floats, more: str) -> Values:
        """Sensitivity and specificity of each class that is judged alone."""
        values = {}
        for number in self.single:
            name = f"{self.sample.suffix(number)}{more}"
            others = total - true[number]
            values[f"sensitivity{name}"] = right[number] / true[number]
            values[f"specificity{name}"] = (others - (called[number] - right[number])) / others
        return values

    def _ranked(self, weights: Floats) -> Values:
        found = {number: ranks.areas(order, weights) for number, order in self._orders.items()}
        values = {}
        for place, name in enumerate(("auroc", "average_precision") if found else ()):
            values[name] = np.mean([both[place] for both in found.values()], axis=0)
            if self.sample.positive is None:
                for number, both in found.items():
                    values[f"{name}{self.sample.suffix(number)}"] = both[place]
        return values


def orders(truth: Codes, scores: Floats, numbers: Sequence[int]) -> dict[int, ranks.Order]:
    return {number: ranks.order(scores[:, number], truth == number) for number in numbers}


def decided(true: Floats, called: Floats, right: Floats) -> Values:
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


def squares(sample: Sample) -> Floats:
    """Each image's share of the Brier score."""
    assert sample.scores is not None  # noqa: S101  # only asked for with probabilities
    if sample.positive is not None:
        missed = sample.scores[:, sample.positive] - (sample.truth == sample.positive)
        return np.asarray(missed**2)
    wanted = np.eye(len(sample.classes))[sample.truth]
    return np.asarray(((sample.scores - wanted) ** 2).sum(axis=1))


def iter_blocks(sums: Floats, widths: Sequence[int]) -> Iterator[Floats]:
    return iter(np.split(sums, np.cumsum(widths)[:-1]))
