"""Table 1 counts every image, also those whose cells say nothing."""

import pyarrow as pa

from dermdata.table1 import markdown, table1


def test_an_age_that_is_no_number_is_not_stated() -> None:
    """As `nan` in a CSV is read: the ages and those not stated are all images."""
    found = {
        line.name: line.cells
        for line in table1(pa.table({"dataset": ["a"] * 3, "age": [None, 50.0, float("nan")]})).lines
    }
    assert found["Age in years, median (quartiles)"] == ("50",)
    assert found["Age not stated"] == ("2 (66.7%)",)


def test_a_bar_in_a_columns_name_opens_no_column() -> None:
    text = markdown(table1(pa.table({"dataset": ["a"], "label_raw": ["x|y"]}), "label_raw"))
    assert text.splitlines()[0] == "|  | x\\|y |"
