"""Counts: what is not stated is counted too, and what is not known is not zero."""

import math
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermdata.cohort.stats import OVERVIEW_COLUMNS, list_measures, tabulate, tabulate_each
from dermdata.errors import UnknownName, UsageError
from export.samples import bare, manifest, table


def small(**columns: list[object]) -> pa.Table:
    return pa.table(columns)


def test_null_is_a_cell_of_its_own_and_comes_last() -> None:
    """Words by their number of images, then what is not stated, however much it is."""
    rows = tabulate(small(sex=[None, "male", None, "female", None, "male"]), ["sex"])
    assert [(row["sex"], row["images"]) for row in rows] == [("male", 2), ("female", 1), (None, 3)]


def test_patients_and_lesions_are_distinct_and_known() -> None:
    """Rows without an id add none; a cell without any id has null, not 0."""
    rows = tabulate(
        small(sex=["f", "f", "f", "m"], patient_id=["a", "a", None, None], lesion_id=["1", "2", "3", None]),
        ["sex"],
    )
    assert [(row["patients"], row["lesions"]) for row in rows] == [(1, 3), (None, None)]


def test_a_cross_table_keeps_groups_together() -> None:
    """By the first column's totals, then by the second one's."""
    columns = small(dx=["nv", "mel", "nv", "mel", "mel"], sex=["f", "f", "m", "m", "m"])
    rows = tabulate(columns, ["dx", "sex", "dx"])
    assert [(row["dx"], row["sex"], row["images"]) for row in rows] == [
        ("mel", "m", 2),
        ("mel", "f", 1),
        ("nv", "m", 1),
        ("nv", "f", 1),
    ]


def test_numbers_ascend() -> None:
    """Skin types in their own order; NaN is not stated."""
    assert [row["fitzpatrick"] for row in tabulate(small(fitzpatrick=[6, 6, 1, None]), ["fitzpatrick"])] == [
        1,
        6,
        None,
    ]
    assert [row["age"] for row in tabulate(small(age=[50.0, math.nan, 5.0, None]), ["age"])] == [
        5.0,
        50.0,
        None,
    ]


def test_an_unknown_column_gets_the_nearest_one() -> None:
    """Also one of the schema that this table happens not to have."""
    with pytest.raises(UnknownName, match="unknown column 'diagnosi'") as caught:
        tabulate(small(sex=["f"]), ["diagnosi"])
    assert "diagnosis" in caught.value.near


def test_columns_that_cannot_be_counted_by(tmp_path: Path) -> None:
    """Lists and maps hold several values in each row; `images` is the count itself."""
    with pytest.raises(UsageError, match="several values in each row"):
        tabulate(table([bare(1)]), ["extra"])
    with pytest.raises(UsageError, match="is what is counted"):
        tabulate(small(images=[1]), ["images"])


def test_no_rows_have_no_cells() -> None:
    """An empty manifest is no error."""
    assert tabulate(table([]), ["sex"]) == []
    assert tabulate_each(table([])) == []


def test_nothing_known_is_one_cell(tmp_path: Path) -> None:
    """All null: one row, so that what a dataset does not say is seen."""
    found = {"images": 3, "patients": None, "lesions": None, "share": 1.0}
    assert tabulate_each(table([bare(number) for number in range(3)])) == [
        {"by": name, "value": None, **found} for name in OVERVIEW_COLUMNS
    ]


def test_the_manifest_itself(tmp_path: Path) -> None:
    """Dictionary columns as they are in a manifest."""
    rows = tabulate(manifest(tmp_path), ["malignancy"])
    assert [(row["malignancy"], row["images"], row["patients"], row["lesions"]) for row in rows] == [
        ("benign", 7, 4, 6), ("malignant", 4, 4, 4), (None, 1, None, None),
    ]  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from([1, 2, None])), max_size=30))
def test_every_image_is_in_one_cell(pairs: list[tuple[str | None, int | None]]) -> None:
    """Images add up to the rows, shares to one; the order of the rows does not matter."""
    both = [
        small(word=[pair[0] for pair in order], number=[pair[1] for pair in order])
        for order in (pairs, pairs[::-1])
    ]
    rows, turned = (
        tabulate(one.cast(pa.schema([("word", pa.string()), ("number", pa.int8())])), ["word", "number"])
        for one in both
    )
    assert rows == turned
    assert sum(row["images"] for row in rows) == len(pairs)
    assert math.isclose(sum(row["share"] for row in rows), 1) or not pairs


def test_cases_are_counted_where_rows_are_filed_by_case() -> None:
    """SCIN has 2,988 cases and neither patients nor lesions; other tables keep their columns."""
    rows = tabulate(small(sex=["f", "f", "m"], case_id=["c1", "c1", None]), ["sex"])
    assert [(row["sex"], row["images"], row["cases"]) for row in rows] == [("f", 2, 1), ("m", 1, None)]
    assert list(rows[0]) == ["sex", "images", "patients", "lesions", "cases", "share"]
    assert list_measures(rows) == ("images", "patients", "lesions", "cases", "share")
    without = tabulate(small(sex=["f", "m"]), ["sex"])
    assert "cases" not in without[0]
    assert list_measures(without) == ("images", "patients", "lesions", "share")
