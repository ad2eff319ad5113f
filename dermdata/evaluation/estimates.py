"""The numbers themselves, all from scikit-learn: a paper's numbers and ours are the same ones.

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
from dermdata.evaluation.sample import Codes, Floats, Mask, Point, Sample

BINS = 10  # of the calibration; of equal width
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


def estimates(sample: Sample, present: Sequence[int], points: Sequence[Point]) -> dict[str, float]:
    """Every metric of these images; macro averages of probabilities are over the classes `present` in the whole."""
    single = (sample.positive,) if sample.positive is not None else tuple(present)
    found = {
        **decided(sample),
        **dict(ranked(sample, single)),
        **dict(one_by_one(sample, single)),
        **dict(at_points(sample, single, points)),
        **dict(calibration(sample)),
    }
    return {name: found[name] for name in sorted(found, key=lambda name: name not in HEADLINES)}


def decided(sample: Sample) -> dict[str, float]:
    truth, decision = sample.truth, sample.decision
    there = np.unique(truth)
    # balanced_accuracy_score is this average, but warns where a class is decided for that no image has
    balanced = metrics.recall_score(truth, decision, labels=there, average="macro", zero_division=0.0)
    return {
        "accuracy": float(metrics.accuracy_score(truth, decision)),
        "balanced_accuracy": float(balanced),
        "macro_f1": float(metrics.f1_score(truth, decision, average="macro", zero_division=0.0)),
    }


def ranked(sample: Sample, single: Sequence[int]) -> Iterator[tuple[str, float]]:
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


def one_by_one(sample: Sample, single: Sequence[int]) -> Iterator[tuple[str, float]]:
    """Sensitivity and specificity of each class, as decided."""
    for number in single:
        yield from sides(sample.truth == number, sample.decision == number, sample.suffix(number))


def at_points(sample: Sample, single: Sequence[int], points: Sequence[Point]) -> Iterator[tuple[str, float]]:
    if sample.scores is None:
        return
    for point in points:
        for number in single:
            hit = sample.scores[:, number] >= point.thresholds[number]
            yield from sides(sample.truth == number, hit, f"{sample.suffix(number)}{point.suffix}")


def sides(truth: Mask, hit: Mask, suffix: str) -> Iterator[tuple[str, float]]:
    """Sensitivity and specificity; neither has a number where no image is of its side."""
    yield f"sensitivity{suffix}", recall(truth, hit, 1)
    yield f"specificity{suffix}", recall(truth, hit, 0)


def recall(truth: Mask, hit: Mask, side: int) -> float:
    if not (truth == bool(side)).any():
        return NAN
    return float(metrics.recall_score(truth.astype(int), hit.astype(int), pos_label=side, zero_division=0.0))


def calibration(sample: Sample) -> Iterator[tuple[str, float]]:
    """Brier score (of several classes: the sum of theirs, 0 to 2) and expected calibration error."""
    if sample.scores is None or sample.calibrated is None:
        return
    numbers = range(len(sample.classes)) if sample.positive is None else (sample.positive,)
    parts = [
        metrics.brier_score_loss(sample.truth == one, sample.scores[:, one], pos_label=True)
        for one in numbers
    ]
    yield "brier", float(sum(parts))
    bins = reliability(*sample.calibrated)
    yield (
        "ece",
        sum(one["n"] * abs(one["accuracy"] - one["confidence"]) for one in bins if one["n"])
        / len(sample.truth),
    )


def reliability(true: Mask, said: Floats) -> list[dict[str, Any]]:
    """Each bin's bounds, images, mean probability said and share that came true; a bin holds its upper bound."""
    share, mean = calibration_curve(true.astype(int), said, n_bins=BINS, pos_label=1)
    counts = np.bincount(bin_of(said), minlength=BINS)
    full = iter(zip(share.tolist(), mean.tolist(), strict=True))
    empty = (None, None)
    return [
        {"low": low / BINS, "high": (low + 1) / BINS, "n": n, "confidence": confidence, "accuracy": accuracy}
        for low, n in enumerate(counts.tolist())
        for accuracy, confidence in (next(full) if n else empty,)
    ]


def bin_of(said: Floats) -> Codes:
    """The bin of each probability, as scikit-learn's calibration_curve counts them."""
    return np.searchsorted(np.linspace(0.0, 1.0, BINS + 1)[1:-1], said)


def confusion(sample: Sample) -> list[list[int]]:
    """Images of a true class (row) called each class (column)."""
    found: list[list[int]] = metrics.confusion_matrix(
        sample.truth, sample.decision, labels=range(len(sample.classes))
    ).tolist()
    return found


# ------------------------------------------------------------------ operating points


def point(text: str, sample: Sample) -> Point:
    """`sensitivity=0.9`: of each class the highest threshold that reaches it, on all images; UsageError.

    `specificity=0.9`: the lowest that reaches it. `threshold=0.3`: this one.
    """
    name, value = parsed(text)
    if sample.scores is None:
        raise UsageError("an operating point is chosen on probabilities; there are only decisions")
    thresholds = {number: threshold(sample, number, name, value) for number in sample.single}
    return Point(name, value, thresholds)


def parsed(text: str) -> tuple[str, float]:
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


def threshold(sample: Sample, number: int, name: str, value: float) -> float:
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
