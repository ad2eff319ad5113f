"""The metrics as scikit-learn computes them, one sample at a time: what dermdata's must equal."""

from collections.abc import Iterator, Sequence

import numpy as np

from dermdata.evaluation.sample import Mask, OperatingPoint, Sample
from support.lazy_modules import LazyModule

metrics, calibration = LazyModule("sklearn.metrics"), LazyModule("sklearn.calibration")
NAN = float("nan")


def expected(sample: Sample, present: Sequence[int], points: Sequence[OperatingPoint]) -> dict[str, float]:
    """Every metric of these images; macro averages of probabilities are over the classes `present`."""
    single = (sample.positive,) if sample.positive is not None else tuple(present)
    found = dict(of_decisions(sample))
    for number in single:
        truth, suffix = sample.truth == number, sample.suffix(number)
        found |= of_one_class(truth, sample.decision == number, suffix)
        for point in points if sample.scores is not None else ():
            hit = sample.scores[:, number] >= point.thresholds[number]
            found |= of_one_class(truth, hit, f"{suffix}{point.suffix}")
    return found if sample.scores is None else found | dict(of_probabilities(sample, single))


def of_decisions(sample: Sample) -> Iterator[tuple[str, float]]:
    truth, decision = sample.truth, sample.decision
    there = np.unique(truth)
    yield "accuracy", metrics.accuracy_score(truth, decision)
    # balanced_accuracy_score is this average, but warns where a class is decided for that no image has
    recall = metrics.recall_score(truth, decision, labels=there, average="macro", zero_division=0.0)
    yield "balanced_accuracy", recall
    yield "macro_f1", metrics.f1_score(truth, decision, average="macro", zero_division=0.0)


def of_one_class(truth: Mask, hit: Mask, suffix: str) -> dict[str, float]:
    """Sensitivity and specificity; neither has a number where no image is of its side."""
    return {
        f"{name}{suffix}": metrics.recall_score(truth, hit, pos_label=side, zero_division=0.0)
        if (truth == side).any()
        else NAN
        for name, side in (("sensitivity", True), ("specificity", False))
    }


def of_probabilities(sample: Sample, single: Sequence[int]) -> Iterator[tuple[str, float]]:
    assert sample.scores is not None
    rankings = {"auroc": metrics.roc_auc_score, "average_precision": metrics.average_precision_score}
    for name, function in rankings.items():
        found = []
        for number in single:
            truth = sample.truth == number
            defined = truth.any() and not truth.all()
            found.append(function(truth, sample.scores[:, number]) if defined else NAN)
            if sample.positive is None:
                yield f"{name}{sample.suffix(number)}", found[-1]
        yield name, np.mean(found)
    numbers = range(len(sample.classes)) if sample.positive is None else (sample.positive,)
    yield (
        "brier",
        sum(
            metrics.brier_score_loss(sample.truth == one, sample.scores[:, one], pos_label=True)
            for one in numbers
        ),
    )
    assert sample.calibration_pairs is not None
    came_true, said = sample.calibration_pairs
    share, mean = calibration.calibration_curve(came_true.astype(int), said, n_bins=10, pos_label=1)
    counts = np.bincount(np.searchsorted(np.linspace(0.0, 1.0, 11)[1:-1], said))
    yield "ece", (np.abs(share - mean) * counts[counts > 0]).sum() / len(said)
