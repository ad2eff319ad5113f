"""For whom the data can say anything: skin types, classes, places, and what is missing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermdata.audit.metadata_checks import wilson_interval
from support.audit_builders import audited, rows

TONE = "skin-tone-coverage"


# ------------------------------------------------------------------ the interval


@pytest.mark.parametrize(
    ("n", "rate", "low", "high"),
    [(10, 0.5, 0.2366, 0.7634), (100, 0.8, 0.7112, 0.8666), (5, 0, 0, 0.4345), (0, 0.5, 0, 1)],
)
def test_wilsons_interval(n: int, rate: float, low: float, high: float) -> None:
    """Figures of Newcombe's table and of R's `prop.test(correct = FALSE)`."""
    assert wilson_interval(n, rate) == pytest.approx((low, high), abs=2e-4)


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_the_interval_holds_the_rate_and_lies_in_0_to_1(n: int, rate: float) -> None:
    low, high = wilson_interval(n, rate)
    assert 0 <= low <= rate + 1e-9
    assert rate - 1e-9 <= high <= 1


# ------------------------------------------------------------------ skin types


def test_each_type_with_too_few_people_is_a_warning() -> None:
    """In the order of the types; 93 people give half a width of 10 points, 90 do not."""
    types = [number for number, count in ((1, 93), (2, 90), (3, 200)) for _ in range(count)]
    found = audited(rows(fitzpatrick=types), TONE)
    assert [(one.level, one.evidence["fitzpatrick"]) for one in found] == [
        ("warning", n) for n in (2, 4, 5, 6)
    ]
    assert "may be 40 to 60 %" in found[0].message
    assert "no image of skin type IV" in found[1].message


def test_images_of_one_patient_count_once() -> None:
    """They are not independent of each other."""
    found = audited(rows(fitzpatrick=[6] * 200, patient_id=["p"] * 200), TONE)
    assert next(one.evidence["people"] for one in found if one.evidence["fitzpatrick"] == 6) == 1


def test_classes_of_a_type_are_counted() -> None:
    """A type may have enough images while its melanomas are too few: a note with both figures."""
    table = rows(fitzpatrick=[1] * 100, diagnosis=["melanoma"] * 4 + ["melanocytic-nevus"] * 96)
    one = next(one for one in audited(table, TONE) if one.evidence["fitzpatrick"] == 1)
    assert one.level == "note"
    assert {name: cell["images"] for name, cell in one.evidence["classes"].items()} == {
        "melanocytic-nevus": 96,
        "melanoma": 4,
    }


def test_no_skin_type_at_all_is_one_warning() -> None:
    (one,) = audited(rows(2), TONE)
    assert "no image states a skin type" in one.message
    assert audited(rows(fitzpatrick_range=[[1, 2], [5, 6]]), TONE) == []


# ------------------------------------------------------------------ classes and places


def test_a_class_with_a_tenth_of_the_images_of_another_is_noted() -> None:
    table = rows(diagnosis=["melanoma"] * 2 + ["melanocytic-nevus"] * 20)
    (one,) = audited(table, "class-imbalance")
    assert (one.level, one.evidence["images"]) == ("note", {"melanocytic-nevus": 20, "melanoma": 2})


def test_a_class_that_comes_from_one_place_only_is_a_warning() -> None:
    """A model can tell the site instead of the disease; a place where most images are from confines nothing."""
    table = rows(
        dataset=["a"] * 20 + ["b"] * 30, image_id=[str(n) for n in range(50)],
        diagnosis=["melanoma"] * 20 + ["melanocytic-nevus"] * 30,
    )  # fmt: skip
    (one,) = audited(table, "class-imbalance")
    assert (one.level, one.evidence["class"], one.evidence["value"]) == ("warning", "melanoma", "a")


# ------------------------------------------------------------------ malignancy


@pytest.mark.parametrize(
    ("ours", "theirs", "contradicts"),
    [
        ("premalignant", "malignant", True),  # actinic keratosis in Fitzpatrick17k
        ("premalignant", "benign", True),  # … in DDI
        ("premalignant", "indeterminate", False),  # … in ISIC
        ("indeterminate", "malignant", True),
        ("malignant", "non-malignant", True),
        ("not-applicable", "malignant", True),
        ("not-applicable", "benign", False),  # a wart where there are two words only
        ("premalignant", "non-malignant", False),
        ("malignant", "mixed", False),
        ("malignant", None, False),
        (None, "malignant", False),
    ],
)
def test_a_datasets_own_word_on_malignancy_that_contradicts_ours_is_counted(
    ours, theirs, contradicts
) -> None:
    table = rows(
        malignancy=[ours, ours], malignancy_source=[theirs, theirs], diagnosis=["actinic-keratosis"] * 2
    )
    found = audited(table, "malignancy-differs")
    assert len(found) == contradicts
    for one in found:
        assert one.level == "note"
        assert f"in 2 images: it says {theirs} of actinic-keratosis, which is {ours} (2)" in one.message


# ------------------------------------------------------------------ missing


def test_what_some_rows_lack_is_noted_with_the_images() -> None:
    """A missing label is a warning."""
    table = rows(label_raw=["x", None], age=[float("nan"), 3], age_raw=[None, None], patient_id=["p", "q"])
    found = {one.evidence.get("column"): one for one in audited(table, "metadata-missing")}
    assert (found["diagnosis"].level, found["diagnosis"].keys) == ("warning", ("a/1",))
    assert (found["age"].level, found["age"].message) == (
        "note",
        "age is missing in 1 of 2 images (1 patient)",
    )


def test_what_no_row_states_is_one_note() -> None:
    """And without any id for people, only copies can keep a split honest."""
    never, ids = sorted(audited(rows(3), "metadata-missing"), key=lambda one: one.level)
    assert (never.level, never.evidence["columns"][:2]) == ("note", ["diagnosis", "age"])
    assert (ids.level, ids.keys) == ("warning", ())


def test_a_range_or_a_graded_label_states_the_thing() -> None:
    table = rows(
        differential=[[{"concept": "melanoma", "weight": 1.0}], None], label_raw=[None, "x"],
        age_raw=["AGE_40_TO_49", None], age=[None, 5], fitzpatrick_range=[[1, 2], None], fitzpatrick=[None, 3],
    )  # fmt: skip
    columns = {one.evidence.get("column") for one in audited(table, "metadata-missing")}
    assert not columns & {"diagnosis", "age", "fitzpatrick"}
