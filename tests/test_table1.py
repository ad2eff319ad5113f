"""Table 1 counts every image, also those whose cells say nothing."""

import pyarrow as pa
import pytest

from dermdata.cohort.table1 import build_table1, to_markdown


def test_an_age_that_is_no_number_is_not_stated() -> None:
    """As `nan` in a CSV is read: the ages and those not stated are all images."""
    found = {
        line.name: line.cells
        for line in build_table1(pa.table({"dataset": ["a"] * 3, "age": [None, 50.0, float("nan")]})).lines
    }
    assert found["Age in years, median (quartiles)"] == ("50",)
    assert found["Age not stated"] == ("2 (66.7%)",)


def columns_by(values: list[object], name: str) -> list[str]:
    """The columns of a Table 1 that one column spreads out."""
    table = pa.table({"dataset": ["a"] * len(values), name: values})
    return list(build_table1(table, name).columns)


def test_skin_tones_stand_in_their_order() -> None:
    """As numbers: 10 after 9, not after 1; this goes into a paper."""
    tones = [10, 2, 1, 3, 10, None]
    lines = build_table1(pa.table({"dataset": ["a"] * 6, "monk": pa.array(tones, pa.int8())})).lines
    assert [line.name for line in lines if line.heading == "Monk skin tone"] == [
        "1",
        "2",
        "3",
        "10",
        "not stated",
    ]


@pytest.mark.parametrize(
    ("name", "values", "columns"),
    [
        ("split", ["test", "train", "val", None], ["train", "val", "test", "not stated", "Total"]),
        ("split_official", ["test", "extra", "train"], ["train", "test", "extra", "Total"]),
        ("monk", [10, 9, 1], ["1", "9", "10", "Total"]),
        ("fold", [11, 0, 2], ["0", "2", "11", "Total"]),
        ("label", ["b", "a", "nv"], ["a", "b", "nv", "Total"]),
    ],
)
def test_columns_stand_in_their_own_order(name: str, values: list[object], columns: list[str]) -> None:
    assert columns_by(values, name) == columns


def test_a_bar_in_a_columns_name_opens_no_column() -> None:
    text = to_markdown(build_table1(pa.table({"dataset": ["a"], "label_raw": ["x|y"]}), "label_raw"))
    assert text.splitlines()[0] == "|  | x\\|y |"


def test_cases_are_counted_where_there_are_some() -> None:
    table = pa.table({"dataset": ["a", "a", "b"], "case_id": ["1", "1", None]})
    lines = {line.name: line.cells for line in build_table1(table).lines}
    assert lines["Cases"] == ("1", "–", "1 (1 image without)")
    assert "Cases" not in {line.name for line in build_table1(table.select(["dataset"])).lines}
