"""Predictions meet the manifest: what is detected, what is refused with its rows, and what is counted."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dermdata.errors import BadTable
from dermdata.evaluation import guess_space, parse_predictions
from dermdata.evaluation.predictions import normalize_word, strip_probability_mark
from dermdata.vocabulary import LabelSpace
from evaluate.predicted import SPACE, prepared, target
from support.bundled_labels import vocabulary

FACET = LabelSpace(
    "malignancy",
    {one: (("skin-finding", one),) for one in ("benign", "premalignant", "malignant", "indeterminate")},
    facet="malignancy",
)
TWO = target(["MEL", "NV"])

# ------------------------------------------------------------------ the file


def parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


TWICE = pa.Table.from_arrays([pa.array(["a"]), pa.array([0.1]), pa.array([0.9])], ["key", "MEL", "MEL"])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"key": "a", "MEL": 0.1, "MEL": 0.9}', "line 1: 'MEL' is there more than once"),
        (b'{"key": "a", "MEL": 0.1, "p": {"MEL": 0.9}}', "line 1: 'MEL' is there more than once"),
        (parquet(TWICE), "two columns MEL"),
        (parquet(pa.table({"key": [b"\xff"], "MEL": [0.1]})), "column key is no text"),
        (b'{"key": "a\xff", "MEL": 0.1}', "not UTF-8"),
        (b'{"key": "\\ud800", "MEL": 0.1}', "half of a character"),
        (b'{"key": "a", "MEL": ' + b"[" * 99_999 + b"]" * 99_999 + b"}", "line 1: nested deeper"),
        (b'{"key": "a", "MEL": ' + b"9" * 9_999 + b"}", "line 1: .*digits"),
    ],
    ids=["key twice", "key within", "column twice", "bytes", "not utf-8", "surrogate", "deep", "long number"],
)
def test_what_can_be_read_in_two_ways_or_in_none_is_refused(data: bytes, said: str) -> None:
    """Never one of two values in silence, never a traceback."""
    with pytest.raises(BadTable, match=said):
        parse_predictions(data, "p")


def test_nested_columns_of_parquet_are_read_as_those_of_json_lines() -> None:
    """A list is no probability, but there: it is told as not read."""
    row = {"key": "demo/r0", "p": {"MEL": 0.25, "NV": 0.75}, "run.id": 3, "logits": [1.0, 2.0]}
    found = parse_predictions(parquet(pa.Table.from_pylist([row])), "p")
    plain = {"key": "demo/r0", "MEL": "0.25", "NV": "0.75", "run.id": "3", "logits": "[…]"}
    assert found.to_pylist() == [plain]
    assert "not read: run.id, logits" in prepared(found.to_pydict(), TWO).notes


def test_a_line_of_json_ends_where_json_says() -> None:
    """U+2028 is a character like any other in a string."""
    data = '{"key": "a\u2028b", "MEL": 1}\r\n{"key": "c", "MEL": 0}\r\n'.encode()
    assert [row["key"] for row in parse_predictions(data, "p").to_pylist()] == ["a\u2028b", "c"]


@pytest.mark.parametrize("mark", [",", "\t", ";"])
def test_text_is_told_by_its_header(mark: str) -> None:
    table = parse_predictions(f"\ufeffkey{mark}MEL\r\nNA{mark}0001\r\n".encode(), "p")
    assert table.to_pylist() == [{"key": "NA", "MEL": "0001"}]


def test_json_lines_may_hold_the_probabilities_as_an_object() -> None:
    """A key that a line lacks is null; blank lines are none."""
    data = b'{"key": "a", "probabilities": {"MEL": 0.25, "NV": 0.75}}\n\n{"key": 7, "MEL": 1}\n'
    assert parse_predictions(data, "p").to_pylist() == [
        {"key": "a", "MEL": "0.25", "NV": "0.75"},
        {"key": "7", "MEL": "1", "NV": None},
    ]


def test_numbers_of_parquet_are_the_same_numbers_as_text_and_ids_stay_ids() -> None:
    """Of any size and precision; a column of whole numbers may be one of ids."""
    values = np.array([0.1, 1 / 3, 1e-7, 5e-324, 1.7e308, -0.0, np.inf, 2.0])
    for kind in (np.float64, np.float32, np.float16):
        with np.errstate(over="ignore"):
            column = values.astype(kind)
        found = parse_predictions(parquet(pa.table({"p": column, "id": [1.0, 2.0, None, 4.0] * 2})), "p")
        assert [float(cell) for cell in found["p"].to_pylist()] == column.tolist()
        assert found["id"].to_pylist() == ["1.0", "2.0", None, "4.0"] * 2


def test_parquet_keeps_every_digit() -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"key": ["a"], "MEL": pa.array([0.1 + 0.2]), "features": [[1.0]]}), buffer)
    assert parse_predictions(buffer.getvalue(), "p").to_pylist() == [
        {"key": "a", "MEL": "0.30000000000000004", "features": "[…]"}
    ]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "p is empty"),
        (b"key,MEL\n", "no predictions"),
        (b"key,MEL\na,1\nb,1,2\n", r"line 3 \(3 cells, the header has 2\)"),
        (b'key,MEL\n"a,1\n', "line 2: a quotation mark is never closed"),
        (b"key,key\na,b\n", "'key' more than once"),
        (b"\xff\x00\x01", "not utf-8"),
        (b"PAR1 and nothing", "not a Parquet file"),
        (b'{"key": "a"}\n[1]\n', "line 2: no JSON object"),
        (b'{"key": ', "line 1"),
    ],
)
def test_files_that_are_no_predictions(data: bytes, told: str) -> None:
    with pytest.raises(BadTable, match=told):
        parse_predictions(data, "p")


# ------------------------------------------------------------------ columns


@pytest.mark.parametrize(
    "columns",
    [
        {"image_id": ["r0", "r1"], "MEL": [0.7, 0.2], "NV": [0.3, 0.8]},
        {"KEY": ["demo/r0", "demo/r1"], "prob_mel": [0.7, 0.2], "prob_nv": [0.3, 0.8]},
        {"image": ["x/r0.JPG", "r1.png"], "Melanoma": [0.7, 0.2], "melanocytic nevus": [0.3, 0.8]},
        {"id": [" r0", "r1 "], "p_mel": [0.7, 0.2], "p_melanocytic-nevus": [0.3, 0.8], "fold": [1, 2]},
        {"id": ["r0", "r1"], "MEL": [0, 1], "NV": [1, 0], "pred_MEL": [0.7, 0.2], "pred_NV": [0.3, 0.8]},
    ],
)
def test_columns_by_class_concept_or_word(columns: Mapping[str, Sequence[Any]]) -> None:
    """Marks, case, folders and endings do not matter; of truth and prediction side by side the marked set is read."""
    found = prepared(columns, TWO)
    assert found.sample.scores is not None
    assert found.sample.classes == ("MEL", "NV")
    assert found.sample.scores.tolist() == [[0.7, 0.3], [0.2, 0.8]]
    assert found.counts == dict.fromkeys(found.counts, 0)


def test_what_was_detected_is_told() -> None:
    columns = {
        "id": ["r0.jpg", "r1.jpg"],
        "p_mel": [0.7, 0.2],
        "NV": [1, 1],
        "p_nv": [0.3, 0.8],
        "fold": [1, 2],
    }
    notes = prepared(columns, TWO).notes
    assert "read from the predictions: the image by id; probabilities p_mel = MEL, p_nv = NV" in notes
    assert "images found by image_id, without file endings" in notes
    assert "not read: NV, fold" in notes


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"foo": ["r0"], "MEL": [1], "NV": [0]}, "no column says which image"),
        ({"key": ["r0"], "label": ["MEL"], "x": [1]}, "no column is a class or a predicted label"),
        ({"key": ["r0"], "MEL": [1], "mel": [1]}, "two columns are called"),
        (
            {"key": ["r0", "r1"], "MEL": [1, "oops"], "NV": [0, 0]},
            "column MEL is not of numbers: row 2 holds 'oops'",
        ),
        ({"key": ["r0", "r1"], "MEL": [1, "nan"], "NV": [0, 0]}, "no number in some classes: row 2"),
        ({"key": ["r0", "r1"], "MEL": [1, 2.5], "NV": [0, -1.5]}, "no probability.*: row 2"),
        ({"key": ["r0", "r1"], "MEL": ["inf", 1], "NV": [0, 0]}, "no probability.*: row 1"),
        ({"key": ["r0", "r1"], "MEL": [0.5, 0.9], "NV": [0.1, 0.9]}, "do not add up to one.*: rows 1, 2"),
        ({"key": ["r0"], "prediction": ["3"]}, "no class of two: '3'"),
        ({"key": ["a", "b"], "prediction": ["MEL", "NV"]}, "no prediction is of an image of the target"),
        ({"key": ["r0", "r1"], "MEL": ["", ""], "NV": ["", ""]}, "no image of the target has both"),
    ],
)
def test_predictions_that_are_refused(columns: Mapping[str, Sequence[Any]], told: str) -> None:
    with pytest.raises(BadTable, match=told):
        prepared(columns, TWO)


def test_sums_that_are_rounded_are_told_and_used() -> None:
    found = prepared({"key": ["r0", "r1"], "MEL": [0.33, 0.5], "NV": [0.66, 0.5]}, TWO)
    assert any("1 row add up to one only when rounded (row 1)" in note for note in found.notes)


# ------------------------------------------------------------------ rows


def test_everything_that_is_not_judged_is_counted() -> None:
    """Rows of the target are judged, missing or without class: nothing else, and nothing twice."""
    rows = target(["MEL", "NV", "NV", None, "MEL", "NV"])
    columns = {
        "image_id": ["r0", "r1", "r1", "r1", "r3", "gone", "r4"],
        "MEL": [0.9, 0.1, 0.1, 0.6, 0.5, 0.5, None],
        "NV": [0.1, 0.9, 0.9, 0.4, 0.5, 0.5, None],
    }
    found = prepared(columns, rows)
    assert found.counts == {
        "unknown_predictions": 1,
        "duplicate_predictions": 2,
        "empty_predictions": 1,
        "missing_predictions": 3,
        "without_class": 1,
        "repeated_rows": 0,
    }
    assert found.missing == ["demo/r2", "demo/r4", "demo/r5"]
    assert found.table["key"].to_pylist() == ["demo/r0", "demo/r1"]
    assert found.sample.decision.tolist() == [0, 1]  # the first of several counts
    assert any("1 prediction said something else (row 4)" in note for note in found.notes)


def test_a_row_that_the_target_has_twice_is_judged_once() -> None:
    found = prepared(
        {"key": ["demo/r0", "demo/r1"], "prediction": ["MEL", "NV"]}, pa.concat_tables([TWO, TWO])
    )
    assert (len(found.sample.truth), found.counts["repeated_rows"]) == (2, 2)


def test_an_image_id_of_two_datasets_needs_keys() -> None:
    rows = TWO.set_column(1, "image_id", pa.array(["r0", "r0"]))
    with pytest.raises(BadTable, match="that of several images"):
        prepared({"image_id": ["r0"], "prediction": ["MEL"]}, rows)
    assert len(prepared({"key": ["demo/r0"], "prediction": ["MEL"]}, rows).sample.truth) == 1


# ------------------------------------------------------------------ classes


def test_a_class_that_the_model_does_not_know_is_always_wrong() -> None:
    space = LabelSpace("three", {**SPACE.classes, "BCC": (("basal-cell-carcinoma", None),)})
    columns = {"key": ["r0", "r1", "r2"], "MEL": [1, 0, 0], "NV": [0, 1, 1]}
    found = prepared(columns, target(["MEL", "NV", "BCC"]), space)
    assert found.sample.classes == ("MEL", "NV", "BCC")
    assert found.sample.scores is not None
    assert not found.sample.scores[:, 2].any()
    assert "never predicted, so always wrong: BCC" in found.notes


def test_finer_columns_add_up_to_a_class() -> None:
    """A model of three classes, judged on malignancy."""
    columns = {"key": ["r0"], "melanoma": [0.3], "basal_cell_carcinoma": [0.4], "melanocytic-nevus": [0.3]}
    found = prepared(columns, target(["malignant"]), FACET).sample
    assert (found.classes, found.positive) == (("benign", "malignant"), 1)
    assert found.scores is not None
    assert found.scores[0] == pytest.approx([0.3, 0.7])


def test_one_probability_is_judged_against_the_rest() -> None:
    """But not against what may be either: `indeterminate`."""
    rows = target(["malignant", "benign", "premalignant", "indeterminate"])
    found = prepared({"key": ["r0", "r1", "r2", "r3"], "malignant": [0.5, 0.4, 0.6, 0.9]}, rows, FACET)
    assert found.sample.classes == ("not malignant", "malignant")
    assert found.sample.truth.tolist() == [1, 0, 0]
    assert found.sample.decision.tolist() == [1, 0, 1]
    assert found.counts["without_class"] == 1


@pytest.mark.parametrize("decided", [["malignant", "benign"], ["benign", "benign"]])
def test_who_tells_benign_from_malignant_is_judged_on_these(decided: list[str]) -> None:
    """Also a model that always says the same."""
    rows = target(["malignant", "benign", "premalignant"])
    found = prepared({"key": ["r0", "r1", "r2"], "prediction": [*decided, "benign"]}, rows, FACET)
    assert (found.sample.classes, found.sample.positive) == (("benign", "malignant"), 1)
    assert found.counts["without_class"] == 1


def test_label_spaces_after_the_columns() -> None:
    """All classes of one space, a lone `malignant`, concepts; else nothing is guessed."""
    spaces = {"two": SPACE, "other": LabelSpace("other", {**SPACE.classes, "X": ()}), "malignancy": FACET}
    assert guess_space(spaces, vocabulary(), ["image", "p_mel", "p_nv"]) == "two"
    assert guess_space(spaces, vocabulary(), ["image", "mel", "nv", "x"]) is None
    assert guess_space(spaces, vocabulary(), ["image", "malignant"]) == "malignancy"
    assert (
        guess_space(spaces, vocabulary(), ["image", "melanoma_prob", "acne vulgaris", "fold"])
        == "melanoma,acne-vulgaris"
    )
    assert guess_space(spaces, vocabulary(), ["image", "prediction"]) is None


def test_marks_of_probabilities() -> None:
    assert [strip_probability_mark(one) for one in ("p_MEL", "MEL_prob", "prob MEL", "p", "psoriasis", "score.nv")] == [
        ("MEL", "p_"), ("MEL", "_prob"), ("MEL", "prob "), ("p", ""), ("psoriasis", ""), ("nv", "score."),
    ]  # fmt: skip
    assert normalize_word(" Basal cell_carcinoma") == "basal-cell-carcinoma"
    assert np.unique([normalize_word(one) for one in ("a b", "a_b", "A-B")]).tolist() == ["a-b"]


def test_a_row_that_is_there_again_with_another_class_is_told() -> None:
    """The same row twice is no news beyond its count; two truths of one image are."""
    one, other = (target([label, "NV"]) for label in ("MEL", "NV"))
    columns = {"key": ["demo/r0", "demo/r1"], "MEL": [0.9, 0.1], "NV": [0.1, 0.9]}
    told = "1 row of the target is there again with another class: the first counts"
    assert told in prepared(columns, pa.concat_tables([one, other])).notes
    assert not any("again" in note for note in prepared(columns, pa.concat_tables([one, one])).notes)
