"""What belongs together: components over patients, lesions, cases and equal images."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermdata.errors import BadTable, UnknownName, UsageError
from dermdata.manifest.columns import connected_components
from dermdata.split import group_rows
from dermdata.split.groups import FactorizedColumn


def table(rows: int, **columns: list[str | None]) -> pa.Table:
    """A manifest of `rows` images a/0, a/1, … with these columns."""
    known = {"dataset": ["a"] * rows, "image_id": [str(i) for i in range(rows)], **columns}
    known["key"] = [f"{d}/{i}" for d, i in zip(known["dataset"], known["image_id"], strict=True)]
    return pa.table({name: pa.array(values, pa.string()) for name, values in known.items()})


def together(cohort: pa.Table, by: str = "auto") -> list[list[int]]:
    """The rows of each group."""
    number = group_rows(cohort, by).number  # type: ignore[arg-type]
    return [np.flatnonzero(number == n).tolist() for n in range(number.max(initial=-1) + 1)]


def test_null_keys_join_nothing() -> None:
    """Two images of unknown patients are not one patient's; nor are two blank ids."""
    assert together(table(3, patient_id=[None, None, "p"])) == [[0], [1], [2]]
    assert together(table(3, patient_id=["", "", "p"])) == [[0], [1], [2]]


def test_a_column_of_nulls_only_is_missing() -> None:
    """A column that pyarrow read as type null holds no key."""
    cohort = table(2).append_column("patient_id", pa.nulls(2))
    assert group_rows(cohort).level_summary == "image"


def test_a_row_without_patient_falls_back_to_its_lesion() -> None:
    """By patient, rows without one stay with their lesion, then their case."""
    cohort = table(
        6,
        patient_id=["p", "p", None, None, None, None],
        lesion_id=[None, None, "l", "l", None, None],
        case_id=[None, None, None, None, "c", "c"],
    )
    assert together(cohort, "patient") == [[0, 1], [2, 3], [4, 5]]
    assert "4 rows without patient_id fall back" in group_rows(cohort, "patient").why


def test_a_lesion_is_never_torn_by_two_patient_ids() -> None:
    """A lesion that the source files under two patients joins both."""
    cohort = table(4, patient_id=["p", "q", "p", "q"], lesion_id=["l", "l", None, None])
    assert together(cohort, "patient") == [[0, 1, 2, 3]]


def test_the_same_image_joins_across_datasets() -> None:
    """An isic_id in two datasets joins the lesions around it, at every level."""
    cohort = table(
        4, dataset=["a", "a", "b", "b"], lesion_id=["l", "l", "m", "m"], isic_id=[None, "I", "I", None]
    )
    found = group_rows(cohort, "lesion")
    assert together(cohort, "lesion") == [[0, 1, 2, 3]]
    assert found.counts == {"rows": 4, "groups": 1, "largest": 4, "across_datasets": 1}
    assert together(cohort, "image") == [[0], [1, 2], [3]]


def test_equal_bytes_are_one_image() -> None:
    """Equal sha256 joins, whatever the files are called."""
    assert together(table(3, sha256=["s", "t", "s"]), "image") == [[0, 2], [1]]


def test_a_finer_level_ignores_the_coarser_key() -> None:
    """By lesion, two lesions of a patient may part."""
    cohort = table(2, patient_id=["p", "p"], lesion_id=["l", "m"])
    assert together(cohort, "lesion") == [[0], [1]]
    assert together(cohort, "patient") == [[0, 1]]


def test_auto_chooses_for_each_dataset_and_says_why() -> None:
    """The coarsest key that most rows have names the level; every known key joins all the same."""
    cohort = table(
        5,
        dataset=["a", "a", "b", "b", "b"],
        patient_id=["p", "q", "r", None, None],
        lesion_id=["l", "m", "n", "o", "o"],
    )
    found = group_rows(cohort)
    assert found.levels == {"a": "patient", "b": "lesion"}
    assert found.level_summary == "a: patient, b: lesion"
    assert "patient_id in 1, lesion_id in 3 of 3 rows" in found.why


def test_where_no_row_has_an_id_that_is_said() -> None:
    """Images are parted one by one: no key was chosen, there is none."""
    assert "a: by image, none of 3 rows has a patient, lesion or case id" in group_rows(table(3)).why
    assert "a: by image, none of 3 rows has" in group_rows(table(3), "image").why


def test_a_level_that_no_row_knows_is_refused() -> None:
    """By patient without a single patient would promise what it cannot hold."""
    with pytest.raises(UsageError, match="no row has a patient_id") as refused:
        group_rows(table(2, lesion_id=["l", "m"]), "patient")
    assert "--by lesion" in str(refused.value.hint)


def test_an_unknown_level_names_the_nearest() -> None:
    """A typing mistake is answered with the word that was meant."""
    with pytest.raises(UnknownName) as refused:
        group_rows(table(1), "patients")  # type: ignore[arg-type]
    assert refused.value.near == ["patient"]


def test_rows_without_identity_are_refused() -> None:
    """A row needs a key, or dataset and image_id."""
    with pytest.raises(BadTable, match="no column dataset"):
        group_rows(pa.table({"image_id": ["1"]}))
    with pytest.raises(BadTable, match="1 row has no key"):
        group_rows(pa.table({"dataset": ["a", "a"], "image_id": ["1", None]}))


def test_key_is_made_from_dataset_and_image_id() -> None:
    """A table of the user's own without `key` works."""
    assert together(table(2).drop_columns(["key"])) == [[0], [1]]


def test_dictionary_columns_in_chunks_equal_plain_ones() -> None:
    """How Arrow stores the words cannot matter."""
    plain = table(4, lesion_id=["x", "y", "x", None])
    halves = pa.concat_tables([plain.slice(0, 2), plain.slice(2)])
    stored = pa.table({name: halves[name].dictionary_encode() for name in plain.column_names})
    assert together(stored) == together(plain) == [[0, 2], [1], [3]]


edges = st.integers(1, 30).flatmap(
    lambda n: st.lists(st.lists(st.integers(-1, n // 2), min_size=n, max_size=n), min_size=1, max_size=3)
)


@given(edges)
def test_components_are_those_of_a_plain_union_find(columns: list[list[int]]) -> None:
    """Against the textbook's one-step-at-a-time version."""
    rows = len(columns[0])
    coded = [
        FactorizedColumn(np.array(c, np.int64), pa.array([str(i) for i in range(rows + 1)])) for c in columns
    ]
    assert connected_components(rows, [one.same_value_rows for one in coded]).tolist() == plain_components(
        rows, columns
    )


def plain_components(rows: int, columns: list[list[int]]) -> list[int]:
    parent = list(range(rows))

    def find(row: int) -> int:
        while parent[row] != row:
            row = parent[row]
        return row

    for column in columns:
        first: dict[int, int] = {}
        for row, code in enumerate(column):
            if code >= 0:
                a, b = find(row), find(first.setdefault(code, row))
                parent[max(a, b)] = min(a, b)
    return [find(row) for row in range(rows)]


def test_a_long_chain_is_one_component() -> None:
    """100,000 rows, each joined to the next by one of two columns."""
    rows = np.arange(100_000)
    columns = [
        FactorizedColumn(codes, pa.array(rows[:50_001].astype(str))) for codes in (rows // 2, (rows + 1) // 2)
    ]
    assert not connected_components(len(rows), [one.same_value_rows for one in columns]).any()
