"""The metrics of a sample, all computed by scikit-learn: a paper's numbers and ours are the same ones.

Names: `accuracy, balanced_accuracy, macro_f1, auroc, average_precision, brier, ece`; of one class against the rest
`auroc_CLASS, average_precision_CLASS, sensitivity_CLASS, specificity_CLASS`, and `…_at_sensitivity_0.9` at an operating
point. Where one class is told from the rest there is no `_CLASS`. Not a number: not defined for these images.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sklearn import metrics
from sklearn.calibration import calibration_curve

from dermdata.errors import UsageError
from dermdata.evaluation.sample import Codes, Floats, Mask, OperatingPoint, Sample

CALIBRATION_BINS = 10  # of the calibration; of equal width
NAN = float("nan")
HEADLINES = (
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "auroc",
    "average_precision",
    "brier",
    "ece",
)  # come first


def compute_metrics(
    sample: Sample, present: Sequence[int], points: Sequence[OperatingPoint]
) -> dict[str, float]:
    """Every metric of these images; macro averages of probabilities are over the classes `present` in the whole."""
    single = (sample.positive,) if sample.positive is not None else tuple(present)
    found = {
        **decision_metrics(sample),
        **dict(ranking_metrics(sample, single)),
        **dict(class_metrics(sample, single)),
        **dict(operating_point_metrics(sample, single, points)),
        **dict(calibration_metrics(sample)),
    }
    return {name: found[name] for name in sorted(found, key=lambda name: name not in HEADLINES)}


def decision_metrics(sample: Sample) -> dict[str, float]:
    truth, decision = sample.truth, sample.decision
    there = np.unique(truth)
    # balanced_accuracy_score is this average, but warns where a class is decided for that no image has
    balanced = metrics.recall_score(truth, decision, labels=there, average="macro", zero_division=0.0)
    return {
        "accuracy": float(metrics.accuracy_score(truth, decision)),
        "balanced_accuracy": float(balanced),
        "macro_f1": float(metrics.f1_score(truth, decision, average="macro", zero_division=0.0)),
    }


def ranking_metrics(sample: Sample, single: Sequence[int]) -> Iterator[tuple[str, float]]:
    """AUROC and average precision, of all classes (macro, one against the rest) and of each."""
    if sample.scores is None:
        return
    for name, function in (
        ("auroc", metrics.roc_auc_score),
        ("average_precision", metrics.average_precision_score),
    ):
        found = {}
        for number in single:
            truth = sample.truth == number
            defined = truth.any() and not truth.all()
            found[number] = float(function(truth, sample.scores[:, number])) if defined else NAN
        yield name, float(np.mean([*found.values()])) if found else NAN
        if sample.positive is None:
            yield from ((f"{name}{sample.suffix(number)}", value) for number, value in found.items())


def class_metrics(sample: Sample, single: Sequence[int]) -> Iterator[tuple[str, float]]:
    """Sensitivity and specificity of each class, as decided."""
    for number in single:
        yield from sensitivity_and_specificity(
            sample.truth == number, sample.decision == number, sample.suffix(number)
        )


def operating_point_metrics(
    sample: Sample, single: Sequence[int], points: Sequence[OperatingPoint]
) -> Iterator[tuple[str, float]]:
    if sample.scores is None:
        return
    for point in points:
        for number in single:
            hit = sample.scores[:, number] >= point.thresholds[number]
            yield from sensitivity_and_specificity(
                sample.truth == number, hit, f"{sample.suffix(number)}{point.suffix}"
            )


def sensitivity_and_specificity(truth: Mask, hit: Mask, suffix: str) -> Iterator[tuple[str, float]]:
    """Sensitivity and specificity; neither has a number where no image is of its side."""
    yield f"sensitivity{suffix}", recall_or_nan(truth, hit, 1)
    yield f"specificity{suffix}", recall_or_nan(truth, hit, 0)


def recall_or_nan(truth: Mask, hit: Mask, side: int) -> float:
    if not (truth == bool(side)).any():
        return NAN
    return float(metrics.recall_score(truth.astype(int), hit.astype(int), pos_label=side, zero_division=0.0))


def calibration_metrics(sample: Sample) -> Iterator[tuple[str, float]]:
    """Brier score (of several classes: the sum of theirs, 0 to 2) and expected calibration error."""
    if sample.scores is None or sample.calibration_pairs is None:
        return
    numbers = range(len(sample.classes)) if sample.positive is None else (sample.positive,)
    parts = [
        metrics.brier_score_loss(sample.truth == one, sample.scores[:, one], pos_label=True)
        for one in numbers
    ]
    yield "brier", float(sum(parts))
    bins = reliability_bins(*sample.calibration_pairs)
    yield (
        "ece",
        sum(one["n"] * abs(one["accuracy"] - one["confidence"]) for one in bins if one["n"])
        / len(sample.truth),
    )


def reliability_bins(true: Mask, said: Floats) -> list[dict[str, Any]]:
    """Each bin's bounds, images, mean probability said and share that came true; a bin holds its upper bound."""
    share, mean = calibration_curve(true.astype(int), said, n_bins=CALIBRATION_BINS, pos_label=1)
    counts = np.bincount(bin_numbers(said), minlength=CALIBRATION_BINS)
    full = iter(zip(share.tolist(), mean.tolist(), strict=True))
    empty = (None, None)
    return [
        {
            "low": low / CALIBRATION_BINS,
            "high": (low + 1) / CALIBRATION_BINS,
            "n": n,
            "confidence": confidence,
            "accuracy": accuracy,
        }
        for low, n in enumerate(counts.tolist())
        for accuracy, confidence in (next(full) if n else empty,)
    ]


def bin_numbers(said: Floats) -> Codes:
    """The bin of each probability, as scikit-learn's calibration_curve counts them."""
    return np.searchsorted(np.linspace(0.0, 1.0, CALIBRATION_BINS + 1)[1:-1], said)


def confusion_counts(sample: Sample) -> list[list[int]]:
    """Images of a true class (row) called each class (column)."""
    found: list[list[int]] = metrics.confusion_matrix(
        sample.truth, sample.decision, labels=range(len(sample.classes))
    ).tolist()
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
    assert sample.scores is not None  # noqa: S101  # `point` has looked
    if name == "threshold":
        return value
    truth = sample.truth == number
    if truth.all() or not truth.any():
        return NAN  # nothing to choose it on: no image is called this class
    false, true, cuts = metrics.roc_curve(truth, sample.scores[:, number], drop_intermediate=False)
    if name == "sensitivity":
        return float(cuts[np.argmax(true >= value - 1e-12)])
    return float(cuts[np.flatnonzero(1 - false >= value - 1e-12)[-1]])
