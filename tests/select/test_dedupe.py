"""`--dedupe`: which row of an image stays, what it keeps of the others, and that no group is torn by it."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermdata.errors import UsageError
from dermdata.select.dedupe import By, Deduped, dedupe
from dermdata.select.links import near_hashes
from dermdata.split import groups
from label_tables import column, judge, manifest, row, statements


def deduped(*rows: dict[str, Any], by: By = "id") -> Deduped:
    return dedupe(manifest(*rows), by, statements(), judge())


def one(dataset: str, word: str | None = None, image: str = "x", **more: Any) -> dict[str, Any]:
    return row(dataset, image, word, **{"isic_id": "ISIC_1", **more})


@pytest.mark.parametrize(
    ("by", "column"), [("id", "isic_id"), ("exact", "sha256"), ("near", "perceptual hash")]
)
def test_where_no_row_has_what_is_compared_it_is_refused(by: By, column: str) -> None:
    """Nothing folded would look like "no doubles"."""
    with pytest.raises(UsageError, match=f"no row has a {column}|no row has an {column}"):
        deduped(row("a", "x"), row("b", "x"), by=by)


def test_labels_that_contradict_are_told_and_the_image_is_still_one_row() -> None:
    """Folded by merit, reported with both sources."""
    found = deduped(one("isic-2016", "benign"), one("isic-2017", "melanoma=1"))
    assert found.table.num_rows == 1
    assert found.conflicts[0].keys == ("isic-2016/x", "isic-2017/x")


@pytest.mark.parametrize(
    ("stays", "goes", "reason"),
    [
        (one("isic-2019", "AK"), one("ham10000", "akiec", confirmation="histopathology"), "coarser label"),
        (
            one("b", confirmation="histopathology"),
            one("a", age=3.0, sex="male"),
            "not confirmed by histopathology",
        ),
        (one("b", path="x.jpg"), one("a", age=3.0), "image is not here"),
        (
            one("b", path="x.jpg"),
            one("a", path="x.jpg", image_problem="cut", sex="male"),
            "image is not here",
        ),
        (one("b", age=3.0), one("a"), "less metadata"),
        (one("a"), one("b"), "name order"),
    ],
)
def test_the_row_that_says_most_stays(stays: dict[str, Any], goes: dict[str, Any], reason: str) -> None:
    """Finer label, then histopathology, then an image that is here, then metadata, then name."""
    rows = sorted((stays, goes), key=lambda each: each["dataset"])
    found = deduped(*rows)
    assert column(found.table, "key") == [stays["key"]]
    assert [(each.key, each.kept, each.reason) for each in found.dropped] == [
        (goes["key"], stays["key"], reason)
    ]
    assert column(found.table, "also_in") == [[goes["key"]]]


def test_rows_without_the_identity_are_nobodys_double() -> None:
    """Null equals nothing."""
    found = deduped(one("a"), row("b", "x"), row("c", "x"))
    assert found.table.num_rows == 3
    assert column(found.table, "also_in") == [None, None, None]


def test_a_lesion_that_a_folded_image_has_in_two_sources_is_one_lesion() -> None:
    """A second image of it stays with the first one, under the id of the row that stays."""
    found = deduped(
        one("ham10000", "mel", lesion_id="ham10000/L1", confirmation="histopathology"),
        one("isic-2019", "MEL", lesion_id="isic-2019/L1"),
        row("isic-2019", "y", "MEL", isic_id="ISIC_2", lesion_id="isic-2019/L1"),
    )
    assert column(found.table, "lesion_id") == ["ham10000/L1", "ham10000/L1"]
    assert column(found.table, "ids_as_given") == [None, [("lesion_id", "isic-2019/L1")]]


def test_a_row_takes_the_patient_that_only_its_double_knows() -> None:
    """HAM10000 has no patients; whoever has, passes them on."""
    found = deduped(
        one("a", age=3.0, sex="male"), one("b", patient_id="b/P"), row("b", "y", patient_id="b/P")
    )
    assert column(found.table, "patient_id") == ["b/P", "b/P"]


def test_the_same_bytes_are_one_image_by_exact() -> None:
    """Whatever their names."""
    found = deduped(
        row("a", "x", sha256="00"), row("a", "y", sha256="00"), row("b", "x", sha256="01"), by="exact"
    )
    assert column(found.table, "key") == ["a/x", "b/x"]


def test_all_but_the_same_pictures_are_one_by_near() -> None:
    """Three bits apart at most, also in a chain; four bits are another picture."""
    hashes = [0, 0b111, 0b111000 << 20, 0b1111 << 40, 0b1111111 << 50]
    rows = [row("a", str(n), phash=value.to_bytes(8, "big")) for n, value in enumerate(hashes)]
    assert column(deduped(*rows, row("a", "none"), by="near").table, "image_id") == ["0", "3", "4", "none"]


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 255), max_size=40))
def test_near_hashes_are_the_chains_of_all_near_pairs(numbers: list[int]) -> None:
    """The bands lose no pair that a comparison of all with all finds."""
    found = near_hashes(number.to_bytes(8, "big") for number in numbers)
    known = sorted(set(numbers))
    parent = {number: number for number in known}

    def top(number: int) -> int:
        return number if parent[number] == number else top(parent[number])

    for number in known:
        for other in known:
            if (number ^ other).bit_count() <= 3:
                parent[max(top(number), top(other))] = min(top(number), top(other))
    expected = {number: top(number) for number in known}
    assert {number: int(found[number.to_bytes(8, "big")], 16) for number in known} == expected


def test_folding_twice_keeps_who_was_folded_first() -> None:
    """`also_in` and the ids as given outlive a second command."""
    first = deduped(one("a", age=3.0), one("b"), row("c", "x", isic_id="ISIC_2", sha256="7")).table
    again = first.set_column(
        first.column_names.index("sha256"), first.schema.field("sha256"), pa.array(["7", "7"])
    )
    found = dedupe(again, "exact", statements(), judge())
    assert column(found.table, "also_in") == [["b/x", "c/x"]]


small = st.one_of(st.none(), st.integers(0, 3).map(str))
random_rows = st.lists(
    st.tuples(small, small, small, small, small, st.sampled_from("ab")), min_size=1, max_size=12
)


@settings(max_examples=150, deadline=None)
@given(random_rows, st.sampled_from(["id", "exact"]), st.sampled_from(["auto", "lesion", "image"]))
def test_folding_never_tears_a_group_nor_joins_two(rows: list[tuple[Any, ...]], by: By, level: Any) -> None:
    """Two rows that stay are in one group of the folded table exactly if they were in one before."""
    names = ("isic_id", "sha256", "lesion_id", "patient_id", "case_id", "dataset")
    table = manifest(
        *(row(each[-1], str(n), **dict(zip(names[:-1], each, strict=False))) for n, each in enumerate(rows))
    )
    identity = {"id": "isic_id", "exact": "sha256"}[by]
    if table[identity].null_count == table.num_rows or table["lesion_id"].null_count == table.num_rows:
        return
    folded = dedupe(table, by, statements(), judge()).table
    place = [column(table, "key").index(key) for key in column(folded, "key")]
    if folded["lesion_id"].null_count == folded.num_rows:
        return
    before, after = groups(table, level).number[place], groups(folded, level).number
    same_before = before[:, None] == before[None, :]
    assert np.array_equal(same_before, after[:, None] == after[None, :])
