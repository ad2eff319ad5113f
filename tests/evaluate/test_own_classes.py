"""Predictions in the target's own words: which of them they are is found, and never guessed."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pytest

from dermdata.errors import BadTable, UsageError
from dermdata.evaluation import class_of_diagnoses, find_own_classes, list_predicted_words
from dermdata.evaluation.own_classes import OwnClasses
from evaluate.predicted import predictions, prepared, target
from support.bundled_labels import vocabulary

TWO = target(["MEL", "NV"])
ROWS = target(
    ["AKIEC", "NV", "MEL"],
    diagnosis=["squamous-neoplasia", "melanocytic-nevus", "melanoma"],
    label_raw=["akiec", "nv", "mel"],
)


def own(columns: Mapping[str, Sequence[Any]], rows: pa.Table = ROWS) -> OwnClasses | None:
    return find_own_classes(list_predicted_words(predictions(columns)), rows, vocabulary())


# ------------------------------------------------------------------ what is not of the target


@pytest.mark.parametrize(
    "decided", [["3", "1"], ["melanoma", "naevus maybe"], ["mel", "melanoma"], ["psoriasis"], ["", None]]
)
def test_words_that_are_not_all_of_one_kind_are_no_classes(decided: list[str | None]) -> None:
    """A mixture, numbers, concepts of which the target has none: the person says what they are."""
    assert own({"image_id": [f"r{n}" for n in range(len(decided))], "prediction": decided}) is None


def test_a_raw_word_that_two_datasets_use_differently_is_no_class() -> None:
    """`scc` of the one is not that of the other."""
    rows = target([None] * 2, diagnosis=["melanoma", "melanocytic-nevus"], label_raw=["n", "n"])
    with pytest.raises(
        UsageError, match="'n' means different things in the target: melanocytic-nevus, melanoma"
    ):
        own({"image_id": ["r0"], "prediction": ["n"]}, rows)


# ------------------------------------------------------------------ what is


@pytest.mark.parametrize(
    ("columns", "column"),
    [
        ({"image_id": ["r0"], "prediction": ["AKIEC"]}, "label"),
        ({"image_id": ["r0"], "prediction": ["Squamous neoplasia"]}, "diagnosis"),
        ({"image_id": ["r0", "r1"], "pred": ["melanoma", "psoriasis"]}, "diagnosis"),
        ({"image_id": ["r0"], "diagnosis": ["nv"]}, "label"),
        ({"image_id": ["r0"], "prediction": ["AKiec"]}, "label"),
        ({"image_id": ["r0"], "p_mel": [0.5], "p_nv": [0.5]}, "label"),
        ({"image_id": ["r0"], "melanoma": [0.5], "melanocytic-nevus": [0.5]}, "diagnosis"),
    ],
)
def test_the_kind_of_words_is_found(columns: Mapping[str, Sequence[Any]], column: str) -> None:
    """Labels before diagnosis ids before raw words; case and punctuation are none of it."""
    found = own(columns)
    assert found
    assert found.column == column


def test_raw_words_are_classes_however_they_are_written() -> None:
    """Two spellings of one word are one class, not two of which one is never predicted."""
    rows = target([None] * 3, label_raw=["Nevus, blue", "nevus,  blue", "mel"], diagnosis=["melanoma"] * 3)
    found = own({"image_id": ["r0", "r1"], "prediction": ["NEVUS, BLUE", "mel"]}, rows)
    assert found
    assert found.label_rows(rows)["label"].to_pylist() == ["Nevus, blue", "Nevus, blue", "mel"]


def test_a_concept_that_is_predicted_and_never_true_is_a_class() -> None:
    """It is wrong each time, which is no reason to refuse the model."""
    found = own({"image_id": ["r0", "r1"], "prediction": ["melanoma", "psoriasis"]})
    assert found
    assert "psoriasis" in found.classes.values()
    assert "melanoma" in found.label_rows(ROWS)["label"].to_pylist()


def test_a_diagnosis_has_the_class_that_its_rows_have() -> None:
    """`squamous-neoplasia` is wider than AKIEC, but here all of it is AKIEC; a diagnosis of two classes has none."""
    assert class_of_diagnoses(ROWS)["squamous-neoplasia"] == "AKIEC"
    assert class_of_diagnoses(target(["A", "B"], diagnosis=["melanoma"] * 2)) == {}


# ------------------------------------------------------------------ numbers


@pytest.mark.parametrize(
    "cells",
    [
        {"MEL": ["0,75", "0,25"], "NV": ["0,25", "0,75"]},
        {"MEL": ["0,75", "0.25"], "NV": ["0.25", "0,75"]},
        {"MEL": [",75", "2,5e-1"], "NV": ["0,250", " 0,75 "]},
        {"MEL": ["7,5E-01", "0,25"], "NV": ["0,25", "+0,75"]},
    ],
)
def test_a_decimal_comma_is_a_point(cells: dict[str, list[str]]) -> None:
    found = prepared({"key": ["demo/r0", "demo/r1"], **cells}, TWO)
    assert found.sample.scores is not None
    assert found.sample.scores.tolist() == [[0.75, 0.25], [0.25, 0.75]]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            {"MEL": ["75 %", "25 %"], "NV": ["0.25", "0.75"]},
            "column MEL is not of numbers: row 1 holds '75 %'",
        ),
        ({"MEL": ["high", "low"], "NV": ["0", "0"]}, "column MEL is not of numbers: row 1 holds 'high'"),
        ({"MEL": ["yes", "no"], "NV": ["no", "yes"]}, "column MEL is not of numbers: row 1 holds 'yes'"),
        ({"p_MEL": ["x", "x"], "p_NV": ["1", "0"], "MEL": ["1", "0"]}, "column p_MEL is not of numbers"),
        ({"MEL": ["1,234.5", "0"], "NV": ["0", "1"]}, "row 1 holds '1,234.5'"),
        ({"MEL": ["1,234", "0"], "NV": ["0", "1"]}, r"no probability \(0 to 1\): row 1"),
    ],
)
def test_a_class_in_words_is_never_passed_over(columns: dict[str, list[str]], said: str) -> None:
    """Without it the model would be judged as another one, with an accuracy of its own."""
    with pytest.raises(BadTable, match=said):
        prepared({"key": ["demo/r0", "demo/r1"], **columns}, TWO)


# ------------------------------------------------------------------ ids


@pytest.mark.parametrize(
    ("own_ids", "predicted"),
    [
        (["1234", "5"], ["1234.0", "5.0"]),
        (["a/x", "b/y"], ["C:\\data\\a\\x.jpg", "C:\\data\\b\\y.jpg"]),
        (["nävus", "b"], ["na\u0308vus.png", " b"]),
        (["na\u0308vus", "b"], ["nävus", "b"]),
    ],
)
def test_images_are_found_however_their_ids_are_written(own_ids: list[str], predicted: list[str]) -> None:
    rows = pa.table(
        {"key": own_ids, "image_id": [one.rpartition("/")[2] for one in own_ids], "label": ["MEL", "NV"]}
    )
    found = prepared({"image": predicted, "prediction": ["MEL", "NV"]}, rows)
    assert found.missing == []
