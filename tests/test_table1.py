"""Table 1 counts every image, also those whose cells say nothing."""

import pyarrow as pa

from dermdata.cohort.table1 import build_table1, to_markdown


def test_an_age_that_is_no_number_is_not_stated() -> None:
    """As `nan` in a CSV is read: the ages and those not stated are all images."""
    found = {
        line.name: line.cells
        for line in build_table1(pa.table({"dataset": ["a"] * 3, "age": [None, 50.0, float("nan")]})).lines
    }
    assert found["Age in years, median (quartiles)"] == ("50",)
    assert found["Age not stated"] == ("2 (66.7%)",)


def test_a_bar_in_a_columns_name_opens_no_column() -> None:
    text = to_markdown(build_table1(pa.table({"dataset": ["a"], "label_raw": ["x|y"]}), "label_raw"))
    assert text.splitlines()[0] == "|  | x\\|y |"
