"""What the evaluation's page says: estimates with their intervals, gaps, and what cannot be claimed."""

import csv
import io
import re
from typing import Any
from xml.etree import ElementTree

import pytest

from dermdata.report import evaluation_page, figure_files, model_card
from dermdata.report.overview import axis_scale
from report.samples import BAND, BEHIND, CURVES, FACTS, MODEL, POINTS, RESULT, curve


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
    assert "<dt>without a prediction</dt><dd>4</dd>" in top
    assert "<li>4 images of the target without a prediction</li>" in top
    assert "the middle 95 % of 1,000 bootstrap resamples by patient, seed 7" in top


def test_groups_too_small_are_marked_and_not_filled() -> None:
    """Their numbers are shown, and that nothing is claimed."""
    shown = table_of(page(), "Balanced accuracy by group")
    (row,) = [row for row in shown.split("<tr") if ">VI " in row]
    assert '<span class="badge">no claim: only 9 images, fewer than 30</span>' in row
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
    assert re.findall(r'<tr class="overall"><th scope="row">([\w ]+)', shown) == ["skin type"]


def test_a_gap_to_a_group_that_is_too_small_is_no_claim() -> None:
    shown = table_of(page(), "Gaps between groups")
    assert 'class="overall"' not in shown
    assert shown.count("no claim") == 1


@pytest.mark.parametrize("reason", ["no image of nonneo", "only 3 patients", "fewer than 30 images"])
def test_a_large_group_without_a_class_is_not_called_small(reason: str) -> None:
    """The mark says that nothing is claimed, its reason why."""
    text = page(too_small=[{"by": "sex", "value": "male", "n": 1502, "reason": reason}])
    assert f'<span class="badge">no claim: {reason}</span>' in table_of(text, "Balanced accuracy by group")
    assert f'1,502 images <span class="dim">{reason}</span>' in text
    assert "too small" not in text


def test_a_metric_with_too_few_images_of_a_class_says_which() -> None:
    """A group of 100 may have an accuracy of which something is claimed, and three melanomas."""
    few = [{"by": "sex", "value": "male", "metric": "auroc", "reason": "only 3 images of melanoma"}]
    text = page(too_small=[], not_compared=few)
    assert "no claim: only 3 images of melanoma" in table_of(text, "AUROC by group")
    assert "no claim" not in table_of(text, "Balanced accuracy by group")


# ------------------------------------------------------------------ the first screen


UNSURE = {
    **BEHIND,
    "by": "site",
    "value": "ear",
    "difference": 0.3,
    "low": -0.1,
    "high": 0.7,
    "claimed": False,
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            MODEL,
            "On 200 images of demo, part test the model tells melanoma from nevus with AUROC 0.900 (0.800 to 0.950), ",
        ),
        (
            MODEL,
            "better than guessing: of an image that is melanoma and one that is not, it gives the first more in 90 of 100",
        ),
        (
            {**MODEL, "confusion": {"classes": ["not melanoma", "melanoma"], "matrix": [[9, 9], [9, 9]]}},
            "tells melanoma from the rest",
        ),
        (
            MODEL,
            "It is worst for sex male: AUROC 0.700 on 100 images, against 0.900 on the 90 of the rest; the difference of "
            "0.200 (0.100 to 0.300) is more than chance.",
        ),
        (
            {},
            "the model chooses among 2 classes (melanoma, nevus) with Balanced accuracy 0.800 (0.700 to 0.850), better than "
            "guessing: averaged over the classes, it names 80 of 100 images rightly.",
        ),
        ({}, "the difference of 0.010 (-0.100 to 0.100) may be chance."),
        ({}, "<strong>Cannot be judged:</strong> skin type VI (only 9 images, fewer than 30)."),
        ({**MODEL, "against_rest": [BEHIND, UNSURE]}, "It is worst for sex male"),
        ({**MODEL, "against_rest": [UNSURE]}, "It is worst for site ear"),
        (
            {"against_rest": [{**BEHIND, "difference": 0.0, "claimed": False}]},
            "No group that could be compared falls",
        ),
        (
            {"against_rest": [{**UNSURE, "low": None, "high": None}], "resamples": 0},
            "whether the difference of 0.300 is more than chance cannot be said: no resamples were drawn.",
        ),
        ({"against_rest": [{**UNSURE, "low": None, "high": None}]}, "cannot be said: too few images."),
        (
            {"against_rest": []},
            "For whom it is worse nobody can say: no group and the rest are large enough.",
        ),
        ({"items": RESULT["items"][:1]}, "For whom it is worse was not asked"),
        ({"items": [{**RESULT["items"][0], "low": 0.4}]}, "which may be chance"),
        ({"items": [{**RESULT["items"][0], "low": 0.1, "high": 0.4}]}, "worse than guessing"),
        ({"items": [{**RESULT["items"][0], "low": None}]}, "with Balanced accuracy 0.800: averaged"),
        ({"items": []}, "There is no overall estimate."),
    ],
)
def test_the_first_screen_says_what_the_model_does_and_for_whom_it_is_worst(changes: Any, said: str) -> None:
    top = page({**FACTS, "rows": "of demo, part test"}, **changes).split("<main")[0]
    assert said in top


def test_a_sentence_is_marked_where_it_is_bad_news() -> None:
    """A good model that is surely worse for somebody is both."""
    top = page(**MODEL).split("<main")[0]
    assert re.findall(r'<p class="verdict( bad)?">(\w+)', top) == [("", "On"), (" bad", "It")]


def test_a_group_without_enough_images_of_a_class_is_named_with_its_number() -> None:
    few = [
        {"by": "sex", "value": "female", "metric": metric, "reason": "only 3 images of melanoma"}
        for metric in ("auroc", "sensitivity")
    ]
    top = page(**MODEL, not_compared=few).split("<main")[0]
    assert "<strong>Cannot be judged:</strong> sex female (only 3 images of melanoma)." in top


def test_of_many_groups_that_cannot_be_judged_some_are_named() -> None:
    small = [
        {"by": "site", "value": f"s{n}", "n": n, "reason": f"only {n} images, fewer than 30"}
        for n in range(6)
    ]
    top = page(
        too_small=[*small, {"by": "site", "value": None, "n": 2, "reason": "only 2 images, fewer than 30"}]
    )
    assert "site s3 (only 3 images, fewer than 30); and 2 more groups." in top.split("<main")[0]


def test_probabilities_in_a_doctors_words() -> None:
    bins = [
        {"low": 0.6, "high": 0.7, "n": 50, "confidence": 0.652, "accuracy": 0.5},
        {"low": 0.9, "high": 1.0, "n": 9, "confidence": 0.95, "accuracy": 1.0},
    ]
    calibration = {"bins": bins, "ece": 0.1, "brier": 0.2}
    assert "Of 100 images called with 65 %, 50 were called right (seen on 50 images)." in page(
        calibration=calibration
    )
    text = page(calibration=calibration, positive="melanoma")
    assert "Of 100 images given 65 % for melanoma, 50 were melanoma (seen on 50 images)." in text
    assert "95 %, " not in text  # nine images are no share of a hundred
    assert "On average its probabilities are 12 points higher than what came true." in text


# ------------------------------------------------------------------ curves and operating points


def test_curves_are_drawn_with_bands_and_their_areas() -> None:
    text = page(**MODEL, curves=CURVES)
    assert '<polyline class="curve c0" points="0.0,300.0 0.0,150.0 60.0,30.0 300.0,0.0"/>' in text
    assert (
        '<polygon class="band c0" points="0.0,120.0 150.0,9.0 300.0,0.0 300.0,0.0 150.0,60.0 0.0,270.0"/>'
        in text
    )
    assert "All images: AUROC 0.900 (0.800 to 0.950); 35 of 200 images have it" in text
    assert "ROC of melanoma, by sex" in text
    assert "male: AUROC 0.890 (0.790 to 0.940)" in text


def test_a_group_without_a_curve_says_why() -> None:
    """On the page and in the figure: a line that is not there is seen by nobody."""
    few = [{"by": "sex", "value": "male", "metric": "auroc", "reason": "only 3 images of melanoma"}]
    small = [{"by": "sex", "value": "other", "n": 6, "reason": "only 6 images, fewer than 30"}]
    other = {
        "by": "sex",
        "value": "other",
        "n": 6,
        "metric": "auroc",
        "estimate": 0.5,
        "low": None,
        "high": None,
    }
    result = {**MODEL, "items": [*RESULT["items"], other], "not_compared": few, "too_small": small}
    curves = [curve(), curve(by="sex", value="female")]
    text = page(**result, curves=curves)
    drawn = dict(figure_files({**RESULT, **result, "curves": curves}, {}))["roc-by-sex.svg"].decode()
    for shown in (text, drawn):
        assert "male: no curve, only 3 images of melanoma" in shown
        assert "other: no curve, only 6 images, fewer than 30" in shown
    assert "female: no curve" not in text


def test_classes_without_a_curve_are_counted() -> None:
    """Twelve classes are drawn of a hundred; the page says so."""
    assert "Curves of 1 of 2 classes: the commonest" in page(curves=[curve()])
    assert "Curves of" not in page(**MODEL, curves=[curve()])


def test_figures_of_many_groups_do_not_make_a_page_of_megabytes() -> None:
    curves = [curve(), *(curve(by=f"column {n}", value="x") for n in range(60))]
    text = page(**MODEL, curves=curves)
    assert (
        text.count("ROC of melanoma, by column") == 2 * 48
    )  # a heading, and words for those who cannot see it
    assert "12 more figures of groups are written by" in text
    assert "roc-by-column-59.svg" in dict(figure_files({**RESULT, **MODEL, "curves": curves}, {}))


def test_long_words_stay_within_a_figure() -> None:
    long = "a class with a name as long as a sentence that somebody wrote down " * 3
    result = {**RESULT, "confusion": {"classes": [long, "b"], "matrix": [[1, 0], [0, 1]]}}
    drawn = dict(figure_files({**result, "curves": [curve(by="site", value=long)]}, {}))
    for name in ("confusion.svg", "roc-by-site.svg"):
        words = [
            node.text or ""
            for node in ElementTree.fromstring(drawn[name]).iter()
            if node.tag.endswith("text")
        ]
        assert max(map(len, words)) <= 76
    assert long.strip() in drawn["confusion.csv"].decode()


def test_operating_points_are_a_table_of_all_images_and_groups() -> None:
    sides = [
        {
            "by": by,
            "value": value,
            "n": n,
            "metric": f"{side}_at_sensitivity_0.9",
            "estimate": estimate,
            "low": 0.5,
            "high": 1.0,
        }
        for by, value, n in ((None, None, 200), ("sex", "male", 100))
        for side, estimate in (("sensitivity", 0.91), ("specificity", 0.6))
    ]
    point = {"metric": "sensitivity", "value": 0.9, "thresholds": {"melanoma": 0.4}}
    small = [{"by": "sex", "value": "male", "n": 100, "reason": "only 3 patients"}]
    text = page(
        positive="melanoma", items=[*RESULT["items"], *sides], operating_points=[point], too_small=small
    )
    assert "melanoma: sensitivity 0.9" in text
    assert "threshold 0.400" in text
    shown = table_of(text, "melanoma: sensitivity 0.9")
    assert re.findall(r'class="n">(0\.\d+)', shown) == ["0.910", "0.600"] * 2
    assert "no claim: only 3 patients" in shown
    assert "Sensitivity at sensitivity" not in text  # they stand nowhere else


@pytest.mark.parametrize(("kind", "told"), [("sensitivity", True), ("threshold", False)])
def test_a_threshold_that_was_given_was_not_chosen(kind: str, *, told: bool) -> None:
    point = {"metric": kind, "value": 0.4, "thresholds": {"melanoma": 0.4}}
    item = {"by": None, "value": None, "n": 9, "estimate": 0.5, "low": None, "high": None}
    items = [*RESULT["items"], {**item, "metric": f"sensitivity_at_{kind}_0.4"}]
    text = page(positive="melanoma", items=items, operating_points=[point])
    assert (">threshold 0.400<" in text) == told


def test_a_group_with_few_images_of_a_class_has_no_claim_at_an_operating_point() -> None:
    """A hundred images with one melanoma: its sensitivity is 0 or 1, and means nothing."""
    point = {"metric": "sensitivity", "value": 0.9, "thresholds": {"melanoma": 0.4}}
    metric = "sensitivity_at_sensitivity_0.9"
    item = {
        "by": "sex",
        "value": "male",
        "n": 100,
        "metric": metric,
        "estimate": 0.0,
        "low": 0.0,
        "high": 0.975,
    }
    few = [{"by": "sex", "value": "male", "metric": metric, "reason": "only 1 image of melanoma"}]
    text = page(
        positive="melanoma",
        items=[*RESULT["items"], item],
        operating_points=[point],
        not_compared=few,
        too_small=[],
    )
    assert 'male <span class="badge">no claim: only 1 image of melanoma</span>' in table_of(
        text, "melanoma: sensitivity 0.9"
    )


def test_what_follows_how_common_a_class_is_is_not_for_comparing_groups() -> None:
    items = [{**item, "metric": "average_precision"} for item in RESULT["items"] if item["metric"] == "auroc"]
    assert "Not compared between groups" in page(items=items)
    assert "Not compared between groups" not in page()


def test_the_number_of_a_small_group_is_there_once() -> None:
    text = page()
    assert '<li>skin type VI: <span class="dim">only 9 images, fewer than 30</span></li>' in text


# ------------------------------------------------------------------ files


def test_each_figure_is_an_svg_and_a_csv() -> None:
    result = {**RESULT, **MODEL, "curves": CURVES}
    files = dict(figure_files(result, {"melanoma": "Melanoma <&>"}))
    assert [*files] == [
        f"{name}.{ending}"
        for name in (
            *(
                "roc",
                "precision-recall",
                "roc-by-sex",
                "reliability",
                "groups-balanced-accuracy",
                "groups-auroc",
                "confusion",
            ),
        )
        for ending in ("svg", "csv")
    ]
    for name, data in files.items():
        if name.endswith(".svg"):
            root = ElementTree.fromstring(data)
            assert root.tag == "{http://www.w3.org/2000/svg}svg"
            assert len(list(root.iter())) > 10
    rows = list(csv.DictReader(io.StringIO(files["roc-by-sex.csv"].decode())))
    shown = [
        (one["by"], one["group"], one["part"], one["x"], one["y"], one["threshold"], one["low"])
        for one in rows
    ]
    assert shown[3:5] == [("", "", "curve", "1.0", "1.0", "0.0", ""), ("", "", "band", "0.0", "", "", "0.1")]
    assert shown[7:9] == [
        ("sex", "male", "curve", "0.0", "0.0", "", ""),
        ("sex", "male", "curve", "0.0", "0.5", "0.9", ""),
    ]
    assert files["confusion.csv"].decode() == "true,melanoma,nevus\nmelanoma,30,5\nnevus,15,150\n"


def test_more_groups_than_colors_are_in_the_table() -> None:
    curves = [curve(), *(curve(by="site", value=f"s{n}") for n in range(9))]
    text = page(**MODEL, curves=curves)
    assert "2 more are in the figure’s table" in text
    files = dict(figure_files({**RESULT, **MODEL, "curves": curves}, {}))
    assert files["roc-by-site.csv"].decode().count("s8") == len(POINTS) + len(BAND)


def test_names_of_figures_are_safe_and_unique() -> None:
    names = ["a/b", "A b", "../../etc", "", "\x00"]
    curves = [curve(**{"class": name}) for name in names]
    found = [name for name, _ in figure_files({**RESULT, "curves": curves}, {}) if name.startswith("roc")]
    assert found == [
        f"roc-{name}.{ending}" for name in ("a-b", "a-b-2", "etc", "x", "x-2") for ending in ("svg", "csv")
    ]


# ------------------------------------------------------------------ the model card

SECTIONS = (
    "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data",
    "Quantitative analyses", "Ethical considerations", "Caveats and recommendations",
)  # fmt: skip


def test_a_model_card_has_the_sections_of_the_paper_and_guesses_nothing() -> None:
    """Mitchell et al. 2019, figure 1."""
    text = "".join(model_card({**RESULT, **MODEL}, {**FACTS, "rows": "of demo"}))
    assert tuple(re.findall(r"^## (.*)$", text, re.MULTILINE)) == SECTIONS
    assert text.count("*Not stated: to be filled in by the model's authors.*") == 4
    assert "On 200 images of demo the model tells melanoma from nevus with AUROC 0.900" in text
    assert "| AUROC | sex male | 100 | 0.890 | 0.790 to 0.940 |" in text
    assert "- 4 images have no prediction: no number is of these." in text


def test_a_model_card_says_what_was_judged_where_no_dataset_is_known() -> None:
    text = "".join(model_card({**RESULT, **MODEL, "without_class": 7}, {"rows": "of d, part test"}))
    data = text.split("## Evaluation data")[1].split("##")[0]
    assert "- 200 images judged, of d, part test." in data
    assert "- Not judged: 4 images without a prediction." in data
    assert "- Not judged: 7 images without one of the classes." in data
    assert "Dataset, version and license: *Not stated" in data


def test_a_model_card_names_metrics_that_were_measured() -> None:
    """A model that only decides has no AUROC."""
    items = [one for one in RESULT["items"] if one["metric"] != "auroc"]
    text = "".join(model_card({**RESULT, "positive": "melanoma", "items": items}, {}))
    assert "melanoma against the rest: Balanced accuracy." in text


def test_a_handful_of_images_says_nothing_of_a_model() -> None:
    top = page(units=3, unit="patient").split("<main")[0]
    assert "chooses among 2 classes (melanoma, nevus): 3 patients are too few to say how good it is." in top
    assert "of 100 images" not in top


def test_numbers_of_each_class_are_folded() -> None:
    """Seven classes of four metrics each are not what a page begins with."""
    items = [{**RESULT["items"][0], "metric": "sensitivity_nevus"}, *RESULT["items"]]
    text = page(items=items)
    assert "Sensitivity nevus" not in table_of(text, "Overall estimates")
    assert "Sensitivity nevus" in table_of(text, "Overall estimates of each class")


def test_hostile_words_stay_words_in_a_model_card() -> None:
    facts = {"rows": "of <script>", "names": {"melanoma": "| x |"}, "command": "dermdata evaluate ```\n# h"}
    text = "".join(model_card({**RESULT, **MODEL}, facts))
    assert "<script>" not in text
    assert "\\| x \\|" in text
    assert "````sh\ndermdata evaluate ```\n# h\n````" in text  # a fence that its words cannot end


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
