"""Curves: scikit-learn's points, and bands that hold what the resamples say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermdata.evaluation.curves import MAX_POINTS, make_curves
from dermdata.evaluation.sample import EvaluationGroup, Sample
from evaluate.predicted import binary, drawn
from support.lazy_modules import LazyModule

metrics = LazyModule("sklearn.metrics")


def whole(sample: Sample) -> list[EvaluationGroup]:
    return [EvaluationGroup("", None, np.arange(len(sample.truth)))]


@settings(max_examples=15)
@given(seed=st.integers(0, 9999), images=st.integers(30, 90), decimals=st.sampled_from([1, 16]))
def test_the_points_are_scikit_learns(seed: int, images: int, decimals: int) -> None:
    """Corners alone: `drop_intermediate` leaves the same curve."""
    sample = binary(seed, images, decimals=decimals)
    assert sample.scores is not None
    truth, scores = sample.truth == 1, sample.scores[:, 1]
    curves = make_curves(sample, whole(sample), np.arange(images), 0, 0, 0.95)
    if min(truth.sum(), (~truth).sum()) < 5:
        assert curves == []
        return
    roc, pairs = curves
    alarms, recall, cuts = metrics.roc_curve(truth, scores, drop_intermediate=False)
    places = {(round(x, 9), round(y, 9)): cut for x, y, cut in zip(alarms, recall, cuts, strict=True)}
    for x, y, cut in roc["points"]:
        assert places[round(x, 9), round(y, 9)] == (np.inf if cut is None else cut)
    x, y = np.array([point[:2] for point in roc["points"]]).T
    assert metrics.auc(x, y) == pytest.approx(metrics.roc_auc_score(truth, scores))
    precision, recall, _ = metrics.precision_recall_curve(truth, scores)
    known = {(round(x, 9), round(y, 9)) for x, y in zip(recall, precision, strict=True)}
    inside = [
        (round(x, 9), round(y, 9))
        for x, y, _ in pairs["points"]
        if x < 1 or y == max(y for x, y in known if x == 1)
    ]
    assert {*inside} <= known


def test_bands_are_the_same_each_time_and_hold_the_curve() -> None:
    sample = binary(5, 300)
    first, again = (make_curves(sample, whole(sample), np.arange(300), 200, 3, 0.95) for _ in range(2))
    assert first == again
    for curve in first:
        x, low, high = np.array(curve["band"]).T
        assert (x[0], x[-1], len(x)) == (0, 1, 101)
        assert (low <= high).all()
        assert ((low >= 0) & (high <= 1)).all()
    x, low, high = np.array(first[0]["band"]).T
    points = np.array([point[:2] for point in first[0]["points"]])
    there = np.interp(x[1:-1], points[:, 0], points[:, 1])
    assert ((low[1:-1] - 0.02 <= there) & (there <= high[1:-1] + 0.02)).mean() > 0.95


def test_more_images_make_narrower_bands() -> None:
    few, many = (
        np.array(make_curves(sample, whole(sample), np.arange(len(sample.truth)), 200, 0, 0.95)[0]["band"])
        for sample in (binary(1, 60), binary(1, 2000))
    )
    assert np.diff(many[:, 1:]).mean() < 0.5 * np.diff(few[:, 1:]).mean()


def test_each_class_against_the_rest_and_each_group_that_is_large_enough() -> None:
    sample = drawn(2, 200, 3)
    groups = [
        *whole(sample),
        EvaluationGroup("sex", "male", np.arange(100)),
        EvaluationGroup("sex", "other", np.arange(100, 104), "fewer than 30 images"),
        EvaluationGroup("site", "ear", np.flatnonzero(sample.truth == 0)[:40]),  # of one class alone
    ]
    curves = make_curves(sample, groups, np.arange(200), 0, 0, 0.95)
    assert {(one["kind"], one["class"], one["value"]) for one in curves} == {
        (kind, name, value)
        for kind in ("roc", "precision-recall")
        for name in sample.classes
        for value in (None, "male")
    }


def test_decisions_alone_have_no_curve() -> None:
    sample = drawn(2, 50, 3)
    bare = Sample(sample.classes, sample.truth, sample.decision)
    assert make_curves(bare, whole(bare), np.arange(50), 100, 0, 0.95) == []


def test_a_curve_of_many_images_is_drawn_by_few_points() -> None:
    sample = binary(3, 20_000)
    for curve in make_curves(sample, whole(sample), np.arange(20_000), 5, 0, 0.95):
        points = curve["points"]
        assert 100 < len(points) <= MAX_POINTS
        assert points[-1][0] == 1


def test_bands_are_drawn_of_blocks_as_of_each_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rare class, of which the first blocks hold most: no place of the band moves by half a step of the grid."""
    sample = binary(7, 4000)
    assert sample.scores is not None
    truth = np.where(np.arange(4000) % 8 == 0, sample.truth, 0)
    rare = Sample(sample.classes, truth, sample.decision, sample.scores, 1)

    def bands() -> list[np.ndarray]:
        found = make_curves(rare, whole(rare), np.arange(4000), 100, 0, 0.95)
        return [np.array(one["band"])[5:, 1:] for one in found]

    blocks = bands()
    monkeypatch.setattr("dermdata.evaluation.curves.BAND_STEPS", 1_000_000)
    for some, every in zip(blocks, bands(), strict=True):
        assert np.abs(some - every).max() < 0.01


def test_a_curve_has_the_same_ends_when_it_is_thinned() -> None:
    sample = binary(3, 20_000)
    roc, pairs = make_curves(sample, whole(sample), np.arange(20_000), 0, 0, 0.95)
    assert roc["points"][0] == (0.0, 0.0, None)
    assert roc["points"][-1][:2] == (1.0, 1.0)
    assert pairs["points"][-1][:2] == (1.0, sample.truth.mean())
    x, y = np.array([point[:2] for point in roc["points"]]).T
    assert sample.scores is not None
    area = metrics.roc_auc_score(sample.truth, sample.scores[:, 1])
    assert metrics.auc(x, y) == pytest.approx(area, abs=1e-4)
