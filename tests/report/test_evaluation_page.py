"""What the evaluation's page says: estimates with their intervals, gaps, and what cannot be claimed."""

import re
from typing import Any

import pytest

from dermdata.report import evaluation_page
from dermdata.report.overview import axis_scale
from report.samples import FACTS, RESULT


def page(facts: Any = FACTS, **changes: Any) -> str:
    return "".join(evaluation_page({**RESULT, **changes}, facts))


def table_of(text: str, name: str) -> str:
    found = re.search(rf'aria-label="{name}">(.*?)</table>', text, re.DOTALL)
    assert found
    return found[1]


def test_a_result_of_nothing_is_a_page_that_says_so() -> None:
    text = "".join(evaluation_page({"items": []}, {}))
    assert "There is no overall estimate." in text
    assert "No confusion matrix was made." in text
    assert "There are no probabilities to judge." in text


def test_a_number_that_is_none_is_a_dash_and_no_mark() -> None:
    """A class that is absent from a group has no AUROC."""
    items = [
        {
            "by": None,
            "value": None,
            "n": 3,
            "metric": "auroc",
            "estimate": float("nan"),
            "low": None,
            "high": None,
        },
        {
            "by": "sex",
            "value": "male",
            "n": 3,
            "metric": "auroc",
            "estimate": None,
            "low": None,
            "high": None,
        },
    ]
    text = page(items=items)
    assert ">nan<" not in text
    assert "<circle" not in table_of(text, "AUROC by group")


def test_missing_predictions_are_said_at_the_top() -> None:
    top = page().split("<main")[0]
    assert re.search(r"missing predictions</dt><dd>4</dd>", top)
    assert "the middle 95 % of 1,000 bootstrap resamples by patient, seed 7" in top


def test_groups_too_small_are_marked_and_not_filled() -> None:
    """Their numbers are shown, and that nothing is claimed."""
    shown = table_of(page(), "Balanced accuracy by group")
    (row,) = [row for row in shown.split("<tr") if ">VI " in row]
    assert '<span class="badge" title="fewer than 30 images">no claim</span>' in row
    assert 'class="hollow"' in row
    assert shown.count('class="hollow"') == 1


def test_groups_are_called_what_people_call_them() -> None:
    shown = table_of(page(), "AUROC by group")
    assert re.findall(r'<th scope="row">(\w[\w ]*)', shown) == [
        "All images",
        "II",
        "VI ",
        "not stated",
        "female",
        "male",
    ]


def test_a_gap_is_bold_where_its_interval_excludes_none() -> None:
    shown = table_of(page(too_small=[]), "Gaps between groups")
    assert re.findall(r'<tr class="overall"><th scope="row">(\w+)', shown) == ["fitzpatrick"]


def test_a_gap_to_a_group_that_is_too_small_is_no_claim() -> None:
    shown = table_of(page(), "Gaps between groups")
    assert 'class="overall"' not in shown
    assert shown.count("no claim") == 1


@pytest.mark.parametrize("reason", ["no image of nonneo", "only 3 patients", "fewer than 30 images"])
def test_a_large_group_without_a_class_is_not_called_small(reason: str) -> None:
    """The mark says that nothing is claimed, its reason why."""
    text = page(too_small=[{"by": "sex", "value": "male", "n": 1502, "reason": reason}])
    assert f'title="{reason}">no claim<' in table_of(text, "Balanced accuracy by group")
    assert f'1,502 images <span class="dim">{reason}</span>' in text
    assert "too small" not in text


def test_rows_of_the_confusion_are_the_truth() -> None:
    shown = table_of(page({"names": {"melanoma": "Melanoma"}}), "Confusion matrix")
    assert re.findall(r">([\d,]+)</td>", shown) == ["30", "5", "35", "15", "150", "165"]
    assert shown.count("right") == 2
    assert ">Melanoma</th>" in shown


def test_empty_bins_are_not_drawn() -> None:
    text = page()
    assert text.count('<circle class="dot" cx="270.0" cy="45.0"') == 1
    assert "0.00 to 0.50" not in table_of(text, "Calibration bins")


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([0.61, 0.93], 0.6, 1.0), ([0.0, 1.0], 0.0, 1.0), ([-0.03, 0.34], -0.1, 0.4), ([0.5], 0.48, 0.52),
        ([], 0.0, 1.0), ([1.0], 0.98, 1.0),
    ],
)  # fmt: skip
def test_scales_are_round_and_hold_every_value(values: list[float], low: float, high: float) -> None:
    found = axis_scale(values)
    assert (found.low, found.high) == (low, high)
    assert all(0 <= found.to_percent(value) <= 100 for value in values)
    assert found.ticks == tuple(sorted(set(found.ticks)))
