"""Intervals, gaps and groups: they cover the truth, claim what is planted, and claim nothing by chance or of too few."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dermdata.errors import UnknownName, UsageError
from dermdata.evaluation import EvaluationOptions, evaluate_sample
from dermdata.evaluation.against_rest import find_rests
from dermdata.evaluation.comparison import effective_size, measure_gap
from dermdata.evaluation.metrics import clopper_pearson_interval, draw_weights, resampling_units
from dermdata.evaluation.sample import EvaluationGroup, Sample, group_rows
from evaluate.oracle import metrics as sklearn_metrics
from evaluate.predicted import binary, drawn, target


def one(result: Mapping[str, Any], metric: str, by: str | None = None, value: Any = None) -> Any:
    (found,) = [
        item for item in result["items"] if (item["metric"], item["by"], item["value"]) == (metric, by, value)
    ]
    return found


def rows_of(sample: Sample, **columns: Any) -> pa.Table:
    return target(["c0"] * len(sample.truth), **columns)


def by_people(random: np.random.Generator, people: int, images: int) -> tuple[Sample, pa.Table]:
    """Each patient's images are right (truth 1, called 1) as often as the patient's own share, 0.8 in the mean."""
    share = random.beta(4, 1, people).repeat(images)
    truth = np.ones(people * images, np.int64)
    decision = (random.random(people * images) < share).astype(np.int64)
    table = target(["c1"] * len(truth), patient_id=[f"p{n}" for n in np.arange(people).repeat(images)])
    return Sample(("not c1", "c1"), truth, decision, None, 1), table


def test_intervals_cover_the_truth_in_95_percent() -> None:
    """Patients with five images each, of whom some are hard: images drawn alone would cover it in far fewer."""
    random = np.random.default_rng(20)
    wanted = EvaluationOptions(resamples=200)
    covered = {"patient": 0, "image": 0}
    for _ in range(150):
        sample, table = by_people(random, 80, 5)
        for unit, rows in (("patient", table), ("image", table.drop_columns(["patient_id"]))):
            item = one(evaluate_sample(sample, rows, wanted), "accuracy")
            covered[unit] += item["low"] <= 0.8 <= item["high"]
    assert 0.92 <= covered["patient"] / 150 <= 0.98
    assert covered["image"] / 150 < 0.89


def test_intervals_of_the_auroc_cover_the_truth() -> None:
    """Normal scores one apart: the area is known."""
    random = np.random.default_rng(21)
    truth = np.arange(200) % 4 == 0
    covered = 0
    for _ in range(100):
        said = 1 / (1 + np.exp(-random.normal(size=200) - 1.4142135623730951 * truth))
        scores = np.stack([1 - said, said], axis=1)
        sample = Sample(("not c1", "c1"), truth.astype(np.int64), scores.argmax(axis=1), scores, 1)
        item = one(evaluate_sample(sample, rows_of(sample), EvaluationOptions(resamples=200)), "auroc")
        covered += item["low"] <= 0.8413447460685429 <= item["high"]  # the normal distribution at 1
    assert 0.91 <= covered / 100 <= 0.985


def skin(count: int, planted: float, seed: int = 0) -> tuple[Sample, pa.Table]:
    """Six skin types of `count` images; in V and VI the model is wrong more often by `planted`."""
    random = np.random.default_rng(seed)
    types = np.arange(6).repeat(count) + 1
    truth = random.integers(0, 2, 6 * count)
    wrong = random.random(6 * count) < np.where(types >= 5, 0.1 + planted, 0.1)
    said = np.where(truth ^ wrong, 0.9, 0.1) + random.random(6 * count) / 20
    scores = np.stack([1 - said, said], axis=1)
    sample = Sample(("not c1", "c1"), truth, (said >= 0.5).astype(np.int64), scores, 1)
    return sample, rows_of(sample, fitzpatrick=pa.array(types, pa.int8()))


def test_a_planted_gap_for_fitzpatrick_v_and_vi_is_flagged() -> None:
    sample, table = skin(150, 0.25)
    result = evaluate_sample(
        sample, table, EvaluationOptions(by=("fitzpatrick", "fitzpatrick_band"), resamples=300)
    )
    gaps = {(gap["by"], gap["metric"]): gap for gap in result["gaps"]}
    by_type, by_band = gaps["fitzpatrick", "balanced_accuracy"], gaps["fitzpatrick_band", "balanced_accuracy"]
    assert by_type["worst"] in (5, 6)
    assert by_type["best"] in (1, 2, 3, 4)
    assert by_type["claimed"]
    assert by_type["low"] > 0
    assert (by_band["worst"], by_band["claimed"], by_band["groups"]) == ("V-VI", True, 3)
    assert not result["too_small"]


def test_without_a_gap_none_is_claimed_more_often_than_by_chance() -> None:
    """The worst of six equal groups is not news: about 5 % of such comparisons claim a gap, of two groups as well."""
    random = np.random.default_rng(22)
    for count in (2, 6):
        compared = [EvaluationGroup("fitzpatrick", one, np.arange(100)) for one in range(count)]
        claimed = 0
        for _ in range(400):
            shares = random.binomial(100, 0.8, count) / 100
            found = {one: (share, random.binomial(100, share, 300) / 100) for one, share in enumerate(shares)}
            row = measure_gap("fitzpatrick", "accuracy", compared, found, 0.95)
            claimed += row is not None and row["claimed"]
        assert 0.02 <= claimed / 400 <= 0.075


def test_nothing_is_claimed_of_groups_that_are_too_small() -> None:
    """Too few images, too few people, a class absent: each with its reason, in no gap, but with its numbers."""
    sample = drawn(5, 240, 2, skill=2.0)
    truth = sample.truth
    sex = np.array(["male", "female"], object)[np.arange(240) % 2]
    sex[:10] = "other"
    sex[10:80] = "one person"
    sex[(truth == 1) & (np.arange(240) >= 200)] = "only c1"
    patient = np.where(sex == "one person", "p", [f"p{n}" for n in range(240)])
    table = rows_of(sample, sex=sex.tolist(), patient_id=patient.tolist())
    result = evaluate_sample(sample, table, EvaluationOptions(by=("sex",), resamples=50, min_group=12))
    assert {row["value"]: row["reason"] for row in result["too_small"]} == {
        "other": "only 10 images, fewer than 12",
        "one person": "only 1 patient, fewer than 10",
        "only c1": "no image of c0",
    }
    assert {gap["worst"] for gap in result["gaps"]} | {gap["best"] for gap in result["gaps"]} == {
        "male",
        "female",
    }
    assert one(result, "accuracy", "sex", "other")["n"] == 10


def test_what_is_not_stated_is_a_group_and_in_no_gap() -> None:
    sample = drawn(6, 120, 2)
    table = rows_of(sample, sex=[None, "male", "female"] * 40)
    result = evaluate_sample(sample, table, EvaluationOptions(by=("sex",), resamples=50))
    assert [item["value"] for item in result["items"] if item["metric"] == "accuracy"] == [
        None,
        "female",
        "male",
        None,
    ]
    assert result["gaps"]
    assert all(None not in (gap["worst"], gap["best"]) for gap in result["gaps"])


def test_a_class_with_few_images_in_a_group_is_no_ground_for_its_gap() -> None:
    """One melanoma hit here and one missed there is a gap of 1 that no resample moves."""
    truth = np.r_[1, np.zeros(40, int), 1, np.zeros(40, int)]
    decision = np.r_[1, np.zeros(81, int)]
    sample = Sample(("not c1", "c1"), truth, decision, None, 1)
    result = evaluate_sample(
        sample,
        rows_of(sample, sex=["male"] * 41 + ["female"] * 41),
        EvaluationOptions(by=("sex",), resamples=100),
    )
    assert not result["too_small"]
    assert {gap["metric"] for gap in result["gaps"]} == {"accuracy", "specificity"}
    assert not any(gap["claimed"] for gap in result["gaps"])


def test_the_same_seed_gives_the_same_numbers() -> None:
    """Another seed gives others; estimates never change."""
    sample, table = skin(40, 0.2)
    first, again, other = (
        evaluate_sample(sample, table, EvaluationOptions(by=("fitzpatrick",), seed=seed, resamples=50))
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first["items"] != other["items"]
    assert [item["estimate"] for item in first["items"]] == [item["estimate"] for item in other["items"]]


def test_no_resamples_give_numbers_without_intervals_and_claims() -> None:
    sample, table = skin(40, 0.5)
    result = evaluate_sample(sample, table, EvaluationOptions(by=("fitzpatrick",), resamples=0))
    assert all(item["low"] is None for item in result["items"])
    assert result["gaps"]
    assert not any(gap["claimed"] for gap in result["gaps"])


def test_a_perfect_share_has_the_exact_interval() -> None:
    """All of 20 right is not sure to be all: Clopper and Pearson say 0.832 to 1."""
    sample = Sample(("a", "b"), np.arange(20) % 2, np.arange(20) % 2)
    item = one(evaluate_sample(sample, rows_of(sample), EvaluationOptions(resamples=20)), "accuracy")
    assert (round(item["low"], 3), item["high"]) == (0.832, 1.0)
    assert clopper_pearson_interval(0, 20, 0.95)[1] == pytest.approx(0.168, abs=1e-3)
    assert (
        one(evaluate_sample(sample, rows_of(sample), EvaluationOptions(resamples=20)), "macro_f1")["low"]
        is None
    )


def test_patients_are_drawn_else_lesions_else_images() -> None:
    """The unit is said; a row without patient counts by its lesion, one without both alone."""
    rows = target(["a"] * 5, patient_id=["p", "p", None, None, None], lesion_id=["l", "m", "n", "n", None])
    place, kind = resampling_units(rows)
    assert (place.tolist(), kind) == ([0, 0, 1, 1, 2], "patient")
    assert resampling_units(rows.drop_columns(["patient_id"]))[1] == "lesion"
    assert resampling_units(target(["a"]))[1] == "image"


def test_weights_do_not_depend_on_the_pieces_they_come_in(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate([*draw_weights(np.arange(10), 7, 3)], axis=1)
    monkeypatch.setattr("dermdata.evaluation.metrics.MAX_WEIGHTS", 20)
    pieces = [*draw_weights(np.arange(10), 7, 3)]
    assert len(pieces) == 4
    assert (np.concatenate(pieces, axis=1) == whole).all()
    assert (whole.sum(axis=0) == 10).all()


def test_skin_types_that_are_only_known_as_a_range() -> None:
    """They are groups of their own; bands take both, and none for a range over two of them."""
    rows = target(
        ["a"] * 5,
        fitzpatrick=pa.array([1, None, None, None, 6], pa.int8()),
        fitzpatrick_range=pa.array([None, [1, 2], [5, 6], [2, 3], None], pa.list_(pa.int8())),
    )
    assert [one.value for one in group_rows(rows, "fitzpatrick")] == [1, 6, "I-II", "II-III", "V-VI"]
    found = {one.value: one.rows.tolist() for one in group_rows(rows, "fitzpatrick_band")}
    assert found == {"I-II": [0, 1], "V-VI": [2, 4], None: [3]}


def test_ages_go_by_twenty_years() -> None:
    rows = target(["a"] * 5, age=pa.array([5.0, 19.9, 81.0, float("nan"), None], pa.float32()))
    assert {one.value: one.rows.tolist() for one in group_rows(rows, "age")} == {
        "0-19": [0, 1],
        "80+": [2],
        None: [3, 4],
    }


def test_days_are_words() -> None:
    """What JSON has no word for is shown as text."""
    rows = target(["a"] * 2, day=pa.array([20000, None], pa.date32()))
    assert [one.value for one in group_rows(rows, "day")] == ["2024-10-04", None]


def test_columns_that_make_no_groups() -> None:
    with pytest.raises(UnknownName, match="sexx"):
        group_rows(target(["a"], sex=["male"]), "sexx")
    with pytest.raises(UsageError, match="61 values"):
        group_rows(target(["a"] * 61), "image_id")
    with pytest.raises(UsageError, match="several values"):
        group_rows(target(["a"], path=[["x"]]), "path")


def test_error_of_the_calibration_lies_in_its_interval() -> None:
    """Resampling makes the error larger: its interval is moved back to the estimate."""
    sample = binary(9, 150)
    item = one(evaluate_sample(sample, rows_of(sample), EvaluationOptions(resamples=200)), "ece")
    assert 0 <= item["low"] < item["estimate"] < item["high"]


def test_an_age_that_is_no_number_is_of_no_group() -> None:
    """As `inf` and `nan` in a CSV are read."""
    found = group_rows(target(["MEL"] * 3, age=[float("inf"), float("nan"), 41.0]), "age")
    assert {one.value: one.rows.tolist() for one in found} == {"40-59": [2], None: [0, 1]}


# ------------------------------------------------------------------ each group against the rest


def test_a_planted_group_falls_behind_the_rest_and_its_numbers_are_scikit_learns() -> None:
    """The rest are the images that state another value; what is not stated is neither."""
    sample, table = skin(150, 0.25)
    bands = ["V-VI" if one >= 5 else "I-IV" for one in table["fitzpatrick"].to_pylist()]
    bands[:5] = [None] * 5
    table = table.append_column("band", pa.array(bands))
    (first, second) = evaluate_sample(sample, table, EvaluationOptions(by=("band",), resamples=200))[
        "against_rest"
    ]
    assert sample.scores is not None
    mine, others = (np.array([one == name for one in bands]) for name in ("V-VI", "I-IV"))
    area = [
        sklearn_metrics.roc_auc_score(sample.truth[rows], sample.scores[rows, 1]) for rows in (mine, others)
    ]
    assert (first["value"], first["n"], first["rest_n"], first["metric"]) == ("V-VI", 300, 595, "auroc")
    assert [first["estimate"], first["rest"]] == pytest.approx(area)
    assert first["difference"] == pytest.approx(area[1] - area[0])
    assert (first["claimed"], second["claimed"]) == (True, False)
    assert first["low"] < first["difference"] < first["high"]
    assert second["difference"] == pytest.approx(-first["difference"])


@pytest.mark.parametrize("decimals", [1, 16], ids=["ties", "no ties"])
def test_the_rest_of_each_group_in_each_resample_is_what_scikit_learn_says_of_its_rows(decimals: int) -> None:
    """The sums of a column less the group's own are those of the rest, in the AUROC and in decisions."""
    sample = binary(4, 120, decimals=decimals)
    groups = [EvaluationGroup("site", one, np.flatnonzero(np.arange(120) % 4 == one)) for one in range(4)]
    groups += [EvaluationGroup("", None, np.arange(120)), EvaluationGroup("site", None, np.arange(3))]
    (weights,) = draw_weights(np.arange(120), 5, 0)
    bare = Sample(sample.classes, sample.truth, sample.decision, None, 1)
    for judged, metric in ((sample, "auroc"), (bare, "balanced_accuracy")):
        (column,) = find_rests(judged, groups, lambda _: None)
        assert column.metric == metric
        column.add(weights)
        own, rest = np.zeros((2, 4, 5))
        for group in range(4):
            for draw in range(5):
                drawn_rows = np.arange(120).repeat(weights[:, draw].astype(int))
                mine = drawn_rows % 4 == group
                own[group, draw] = score(judged, drawn_rows[mine])
                rest[group, draw] = score(judged, drawn_rows[~mine])
        assert column.resampled(own) == pytest.approx(rest)


def score(sample: Sample, rows: Any) -> float:
    if sample.scores is not None:
        return float(sklearn_metrics.roc_auc_score(sample.truth[rows], sample.scores[rows, 1]))
    return float(sklearn_metrics.balanced_accuracy_score(sample.truth[rows], sample.decision[rows]))


def test_without_a_difference_the_worst_of_six_is_claimed_no_more_often_than_by_chance() -> None:
    claimed = 0
    for seed in range(40):
        sample, table = skin(40, 0.0, seed)
        found = evaluate_sample(sample, table, EvaluationOptions(by=("fitzpatrick",), resamples=100))[
            "against_rest"
        ]
        claimed += any(row["claimed"] for row in found)
    assert claimed / 40 <= 0.12


def test_a_small_group_that_looks_perfect_by_luck_makes_nobody_else_worse() -> None:
    """Seven melanomas that all rank first hardly move in resamples; a fifth of such pairs was claimed to differ."""
    claimed = {"rest": 0, "gap": 0}
    for seed in range(60):
        random = np.random.default_rng(seed)
        truth = (random.random(435) < 0.2).astype(np.int64)
        said = 1 / (1 + np.exp(-random.normal(size=435) - 2.5 * truth + 1.2))
        scores = np.stack([1 - said, said], axis=1)
        sample = Sample(("not c1", "c1"), truth, (said >= 0.5).astype(np.int64), scores, 1)
        table = rows_of(sample, sex=["male"] * 400 + ["female"] * 35)
        result = evaluate_sample(sample, table, EvaluationOptions(by=("sex",), resamples=100))
        claimed["rest"] += any(row["claimed"] for row in result["against_rest"])
        claimed["gap"] += any(row["claimed"] for row in result["gaps"] if row["metric"] == "auroc")
    assert max(claimed.values()) / 60 <= 0.1


@pytest.mark.parametrize(
    ("metric", "size"),
    [
        ("accuracy", 50), ("auroc", 8), ("balanced_accuracy", 8), ("sensitivity", 10), ("specificity", 40),
        ("sensitivity_at_sensitivity_0.9", 10), ("brier", 50),
    ],
)  # fmt: skip
def test_a_metric_is_of_so_many_images_as_its_variance_says(metric: str, size: float) -> None:
    """Ten with the class and forty without: the variance of an AUROC is about that of 1/(1/10 + 1/40) images."""
    assert effective_size(metric, binary(1, 50), np.array([40, 10])) == pytest.approx(size)


def test_a_difference_that_is_sure_comes_before_a_wider_one_that_is_not() -> None:
    """A few images may be far off by chance; who is surely worse is what must be known."""
    sample, table = skin(300, 0.15)
    bands = ["V-VI" if one >= 5 else "I-IV" for one in table["fitzpatrick"].to_pylist()]
    wrong = np.flatnonzero(sample.truth != sample.decision)
    few = np.r_[wrong[:14], np.flatnonzero(sample.truth == sample.decision)[:18]]
    place = np.full(len(sample.truth), "back", object)
    place[few] = "ear"
    table = table.append_column("band", pa.array(bands)).append_column("place", pa.array(place.tolist()))
    wanted = EvaluationOptions(by=("band", "place"), resamples=100)
    found = evaluate_sample(sample, table, wanted)["against_rest"]
    claims = [row["claimed"] for row in found]
    assert claims == sorted(claims, reverse=True)
    assert claims[0]


def test_where_a_class_is_scarce_groups_are_compared_by_accuracy() -> None:
    """A group without five images of each of seven classes has no balanced accuracy that is comparable."""
    sample = drawn(8, 300, 7)
    table = rows_of(sample, sex=["male", "female", "other"] * 100)
    wanted = EvaluationOptions(by=("sex",), resamples=20)
    assert {row["metric"] for row in evaluate_sample(sample, table, wanted)["against_rest"]} == {
        "balanced_accuracy"
    }
    few = Sample(sample.classes, np.where(sample.truth == 6, 5, sample.truth), sample.decision, sample.scores)
    few.truth[:3] = 6
    assert {row["metric"] for row in evaluate_sample(few, table, wanted)["against_rest"]} == {"accuracy"}


def test_nobody_is_compared_without_a_rest_that_is_large_enough() -> None:
    sample = drawn(9, 60, 2)
    wanted = EvaluationOptions(by=("sex",), resamples=20)
    alone = rows_of(sample, sex=["male"] * 60)
    assert evaluate_sample(sample, alone, wanted)["against_rest"] == []
    scarce = rows_of(sample, sex=["male"] * 57 + ["female"] * 3)
    assert evaluate_sample(sample, scarce, wanted)["against_rest"] == []
    without = EvaluationOptions(by=("sex",), resamples=0)
    halves = evaluate_sample(sample, rows_of(sample, sex=["male", "female"] * 30), without)["against_rest"]
    assert [(row["low"], row["claimed"]) for row in halves] == [(None, False)] * 2


def test_a_rest_that_lacks_a_class_in_a_resample_has_no_number_there() -> None:
    """Not an infinite one, which sums that are off by a rounding would give."""
    sample = binary(11, 90)
    sample.truth[:] = 0
    sample.truth[np.r_[0:9, 50:55]] = 1
    groups = [
        EvaluationGroup("sex", "male", np.arange(45)),
        EvaluationGroup("sex", "female", np.arange(45, 90)),
    ]
    (column,) = find_rests(sample, groups, lambda _: None)
    weights = np.ones((90, 1))
    weights[50:55] = 0
    column.add(weights)
    found = column.resampled(np.array([[1 / 3], [np.nan]]))
    assert np.isnan(found[0, 0])  # the rest of the men has no image of the class
    assert 0 <= found[1, 0] <= 1
