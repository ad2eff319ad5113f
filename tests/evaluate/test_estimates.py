"""The numbers are scikit-learn's: as estimates, and in every resample."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermdata.errors import UsageError
from dermdata.evaluation.metrics import (
    WeightedMetrics,
    choose_operating_point,
    confusion_counts,
    reliability_bins,
    roc_points,
)
from dermdata.evaluation.sample import Sample
from evaluate.oracle import expected
from evaluate.predicted import binary, drawn
from support.lazy_modules import LazyModule

metrics, calibration = LazyModule("sklearn.metrics"), LazyModule("sklearn.calibration")
seeds = st.integers(0, 10_000)
sizes = st.integers(2, 60)
decimals = st.sampled_from([1, 16])


@settings(max_examples=12)
@given(seed=seeds, images=st.integers(20, 80), classes=st.integers(3, 5))
def test_several_classes_equal_scikit_learn(seed: int, images: int, classes: int) -> None:
    """Against its public functions on the whole arrays."""
    sample = drawn(seed, images, classes)
    truth, decision, scores = sample.truth, sample.decision, sample.scores
    assert scores is not None
    if len(sample.present_classes) < classes:
        return
    found = WeightedMetrics(sample, sample.present_classes, []).estimate()
    assert found["accuracy"] == metrics.accuracy_score(truth, decision)
    assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(truth, decision))
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(truth, decision, average="macro"))
    assert found["auroc"] == pytest.approx(metrics.roc_auc_score(truth, scores, multi_class="ovr"))
    wanted = metrics.average_precision_score(np.eye(classes)[truth], scores, average="macro")
    assert found["average_precision"] == pytest.approx(wanted)
    assert found["auroc_c1"] == pytest.approx(metrics.roc_auc_score(truth == 1, scores[:, 1]))
    sensitivity = metrics.recall_score(
        truth, decision, average=None, labels=range(classes), zero_division=0.0
    )
    assert [found[f"sensitivity_c{one}"] for one in range(classes)] == pytest.approx(sensitivity.tolist())
    assert found["brier"] == pytest.approx(((scores - np.eye(classes)[truth]) ** 2).sum(axis=1).mean())


@settings(max_examples=12)
@given(seed=seeds, images=sizes, decimals=decimals)
def test_one_class_equals_scikit_learn(seed: int, images: int, decimals: int) -> None:
    sample = binary(seed, images, decimals=decimals)
    assert sample.scores is not None
    truth, said = sample.truth, sample.scores[:, 1]
    if len(sample.present_classes) < 2:
        return
    found = WeightedMetrics(sample, sample.present_classes, []).estimate()
    true_negative, false_positive, false_negative, true_positive = metrics.confusion_matrix(
        truth, sample.decision
    ).ravel()
    assert found["sensitivity"] == pytest.approx(true_positive / (true_positive + false_negative))
    assert found["specificity"] == pytest.approx(true_negative / (true_negative + false_positive))
    assert found["auroc"] == pytest.approx(metrics.roc_auc_score(truth, said))
    assert found["average_precision"] == pytest.approx(metrics.average_precision_score(truth, said))
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(truth, said))


@settings(max_examples=20)
@given(seed=seeds, images=sizes, classes=st.integers(1, 5), decimals=decimals)
def test_a_resample_is_what_scikit_learn_says_of_the_rows_drawn(
    seed: int, images: int, classes: int, decimals: int
) -> None:
    """Every metric, also undefined ones, with ties, absent classes and operating points."""
    sample = (
        binary(seed, images, decimals=decimals)
        if classes == 1
        else drawn(seed, images, classes, decimals=decimals)
    )
    points = [
        choose_operating_point(text, sample)
        for text in ("sensitivity=0.8", "specificity=0.9", "threshold=0.3")
    ]
    weights = np.random.default_rng(seed).integers(0, 3, (images, 2)).astype(float)
    weights[0] = 1  # never nothing at all
    resampled = WeightedMetrics(sample, sample.present_classes, points).compute(weights)
    for column in range(2):
        rows = np.repeat(np.arange(images), weights[:, column].astype(int))
        wanted = expected(sample.select_rows(rows), sample.present_classes, points)
        found = {name: values[column] for name, values in resampled.items()}
        assert found.keys() == wanted.keys()
        assert found == pytest.approx(wanted, nan_ok=True, abs=1e-9)


def test_only_decisions_have_no_metric_of_probabilities() -> None:
    sample = drawn(1, 30, 3)
    bare = Sample(sample.classes, sample.truth, sample.decision)
    found = WeightedMetrics(bare, bare.present_classes, []).estimate()
    assert not [name for name in found if name.startswith(("auroc", "average", "brier", "ece"))]
    assert WeightedMetrics(bare, bare.present_classes, []).compute(np.ones((30, 1))).keys() == found.keys()
    with pytest.raises(UsageError, match="only decisions"):
        choose_operating_point("sensitivity=0.9", bare)


def test_bins_are_those_of_calibration_curve() -> None:
    """A probability on a bound is in the bin below, as there; empty bins have no mean."""
    said = np.array([0.0, 0.1, 0.10001, 0.5, 0.5, 0.95, 1.0])
    true = np.array([False, True, False, True, False, True, True])
    bins = reliability_bins(true, said)
    share, mean = calibration.calibration_curve(true, said, n_bins=10)
    full = [one for one in bins if one["n"]]
    assert [one["accuracy"] for one in full] == share.tolist()
    assert [one["confidence"] for one in full] == mean.tolist()
    assert [one["n"] for one in bins] == [2, 1, 0, 0, 2, 0, 0, 0, 0, 2]


@settings(max_examples=12)
@given(seed=seeds, images=sizes, decimals=decimals)
def test_thresholds_and_confusion_are_those_of_scikit_learn(seed: int, images: int, decimals: int) -> None:
    sample = binary(seed, images, decimals=decimals)
    assert sample.scores is not None
    if len(sample.present_classes) < 2:
        return
    truth, said = sample.truth == 1, sample.scores[:, 1]
    false, true, cuts = metrics.roc_curve(truth, said, drop_intermediate=False)
    found = roc_points(truth, said)
    assert (found[0] == cuts).all()
    assert found[1] == pytest.approx(true)
    assert found[2] == pytest.approx(1 - false)
    assert confusion_counts(sample) == metrics.confusion_matrix(truth, sample.decision).tolist()


def test_the_headlines_come_first() -> None:
    sample = drawn(4, 60, 3)
    points = [choose_operating_point("threshold=0.3", sample)]
    names = [*WeightedMetrics(sample, sample.present_classes, points).estimate()]
    assert names[:7] == [
        "accuracy", "balanced_accuracy", "macro_f1", "auroc", "average_precision", "brier", "ece",
    ]  # fmt: skip
    assert names[7:9] == ["auroc_c0", "auroc_c1"]
    assert names[13:15] == ["sensitivity_c0", "specificity_c0"]
    assert names[-1] == "specificity_c2_at_threshold_0.3"


@settings(max_examples=12)
@given(seed=seeds, images=st.integers(10, 60), wanted=st.sampled_from([0.5, 0.8, 0.9, 1.0]))
def test_an_operating_point_reaches_what_was_asked_and_gives_no_more_away(
    seed: int, images: int, wanted: float
) -> None:
    """The next threshold misses the sensitivity (specificity) asked for."""
    sample = binary(seed, images, decimals=1)
    assert sample.scores is not None
    if len(sample.present_classes) < 2:
        return
    said, truth = sample.scores[:, 1], sample.truth == 1
    cut = choose_operating_point(f"sensitivity={wanted}", sample).thresholds[1]
    assert (said[truth] >= cut).mean() >= wanted
    assert (said[truth] > cut).mean() < wanted
    cut = choose_operating_point(f"specificity={wanted}", sample).thresholds[1]
    assert (said[~truth] < cut).mean() >= wanted
    lower = said[said < cut]
    assert not len(lower) or (said[~truth] < lower.max()).mean() < wanted


@pytest.mark.parametrize(
    "text", ["sensitivity", "sensitivity=", "sensitivity=2", "recall=0.9", "threshold=nan", ""]
)
def test_what_is_no_operating_point(text: str) -> None:
    with pytest.raises(UsageError, match="no operating point"):
        choose_operating_point(text, binary(1, 20))


def test_a_class_that_no_image_has_is_not_asked_for() -> None:
    """Macro averages are over the classes that the whole has; a group without one of them has no AUROC."""
    sample = drawn(3, 60, 3)
    group = sample.select_rows(np.flatnonzero(sample.truth != 2))
    found = WeightedMetrics(group, sample.present_classes, []).estimate()
    assert np.isnan(found["auroc"])
    assert np.isnan(found["auroc_c2"])
    assert not np.isnan(found["auroc_c0"])
    assert not np.isnan(WeightedMetrics(group, group.present_classes, []).estimate()["auroc"])
