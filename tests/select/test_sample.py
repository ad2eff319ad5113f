"""`--sample`: the same rows whatever their order and company."""

import pytest

from dermdata.cohort.keys import sample_rows
from dermdata.errors import BadTable, UsageError
from support.label_tables import column, manifest, row

WORDS = ["mel", "nv", "nv", "nv", "bcc", None]


def table(rows: int = 60, start: int = 0):
    return manifest(*(row("ham10000", f"{n:03}", WORDS[n % 6]) for n in range(start, start + rows)))


def test_a_sample_of_none_and_a_row_without_a_name_are_refused() -> None:
    """A hash of nothing is no choice."""
    with pytest.raises(UsageError, match="sample of 0"):
        sample_rows(table(), 0, 0)
    with pytest.raises(BadTable, match="1 row has no key"):
        sample_rows(manifest({"dataset": "a", "image_id": None, "key": None}), 1, 0)


def test_the_order_of_rows_does_not_matter() -> None:
    """By hash of the key; the rows keep the order they had."""
    there = column(sample_rows(table(), 20, 7), "key")
    assert there == sorted(there)
    back = table().take(list(range(59, -1, -1)))
    assert sorted(column(sample_rows(back, 20, 7), "key")) == there


def test_a_larger_sample_holds_the_smaller_and_another_seed_is_another_sample() -> None:
    """Prefixes of one order."""
    twenty, thirty = (set(column(sample_rows(table(), count, 0), "key")) for count in (20, 30))
    assert twenty < thirty
    assert twenty != set(column(sample_rows(table(), 20, 1), "key"))
    assert sample_rows(table(), 100, 0).num_rows == 60


def test_more_rows_change_a_sample_only_where_they_are_in_it() -> None:
    """A new release of a dataset does not shuffle the old rows."""
    before = set(column(sample_rows(table(), 20, 0), "key"))
    after = set(column(sample_rows(table(90), 20, 0), "key"))
    assert {key for key in after if key < "ham10000/060"} <= before


def test_so_many_of_each_class() -> None:
    """All where there are fewer; rows without a diagnosis are in no class."""
    found = column(sample_rows(table(), 12, 0, per_class=True), "diagnosis")
    assert {name: found.count(name) for name in set(found)} == {
        "melanoma": 10, "melanocytic-nevus": 12, "basal-cell-carcinoma": 10,
    }  # fmt: skip
