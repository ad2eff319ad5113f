"""`--dedupe`: which row of an image stays, what it keeps of the others, and that no group is torn by it."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermdata.cohort.dedupe import DedupeMethod, Deduplication, drop_duplicates
from dermdata.duplicates import NearDuplicates, find_near_duplicates
from dermdata.errors import UsageError
from dermdata.images import inspect_image
from dermdata.split import group_rows
from support.label_tables import column, judge, manifest, row, statements
from support.lesion_pictures import blurred_lesion, jpeg, turned_picture


def deduped(*rows: dict[str, Any], by: DedupeMethod = "id") -> Deduplication:
    return drop_duplicates(manifest(*rows), by, statements(), judge())


def one(dataset: str, word: str | None = None, image: str = "x", **more: Any) -> dict[str, Any]:
    return row(dataset, image, word, **{"isic_id": "ISIC_1", **more})


@pytest.mark.parametrize(
    ("by", "column"), [("id", "isic_id"), ("exact", "sha256"), ("near", "perceptual hash")]
)
def test_where_no_row_has_what_is_compared_it_is_refused(by: DedupeMethod, column: str) -> None:
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


def pictures(table: pa.Table, root: Path | None = None) -> NearDuplicates:
    """As the command line finds them: by the files below `root`, by hash alone where there are none."""
    paths = column(table, "path") if "path" in table.column_names else [None] * table.num_rows
    hashes, digests = column(table, "phash"), [None] * table.num_rows
    return find_near_duplicates(
        hashes, digests, lambda row: root / paths[row] if root and paths[row] else None
    )


def near(*rows: dict[str, Any], root: Path | None = None) -> Deduplication:
    return drop_duplicates(
        manifest(*rows), "near", statements(), judge(), lambda table: pictures(table, root)
    )


def test_without_the_images_only_all_but_equal_hashes_are_one_and_it_is_said() -> None:
    """Three bits apart at most, also in a chain; four bits are another picture."""
    first = 0x123456789ABCDEF0
    hashes = [first ^ change for change in (0, 0b111, 0b111000 << 20, 0b1111 << 40, 0b1111111 << 50)]
    rows = [row("a", str(n), phash=value.to_bytes(8, "big")) for n, value in enumerate(hashes)]
    found = near(*rows, row("a", "none"))
    assert column(found.table, "image_id") == ["0", "3", "4", "none"]
    assert "their images are not here" in str(found.note)


def test_the_images_decide_where_they_are_here(tmp_path: Path) -> None:
    """A turned copy is folded with the label that says more; another lesion stays, however near its hash is claimed."""
    picture = blurred_lesion(1)
    for name, data in {
        "a.jpg": jpeg(picture),
        "b.jpg": jpeg(turned_picture(picture, 3), quality=60),
        "c.jpg": jpeg(blurred_lesion(2)),
    }.items():
        (tmp_path / name).write_bytes(data)
    hashes = {name: inspect_image(tmp_path / name).phash for name in ("a.jpg", "b.jpg")}
    rows = [
        row("isic-2019", "x", "AK", path="a.jpg", phash=hashes["a.jpg"], lesion_id="isic-2019/L"),
        row("ham10000", "x", "akiec", path="b.jpg", phash=hashes["b.jpg"], patient_id="ham10000/P"),
        row("ham10000", "y", "nv", path="c.jpg", phash=hashes["a.jpg"]),
    ]
    found = near(*rows, root=tmp_path)
    assert column(found.table, "key") == ["isic-2019/x", "ham10000/y"]
    assert column(found.table, "patient_id") == ["ham10000/P", None]
    assert [(one.key, one.kept, one.reason) for one in found.dropped] == [
        ("ham10000/x", "isic-2019/x", "coarser label")
    ]
    assert str(found.note).startswith("1 of 3 pairs of near hashes shows one picture")


def test_equal_bytes_are_one_by_near_too_even_of_one_color() -> None:
    """What has no perceptual hash has a checksum."""
    rows = [row("a", name, sha256="00") for name in "xy"]
    assert column(near(*rows, row("a", "z", phash=bytes(8))).table, "image_id") == ["x", "z"]


def test_folding_twice_keeps_who_was_folded_first() -> None:
    """`also_in` and the ids as given outlive a second command."""
    first = deduped(one("a", age=3.0), one("b"), row("c", "x", isic_id="ISIC_2", sha256="7")).table
    again = first.set_column(
        first.column_names.index("sha256"), first.schema.field("sha256"), pa.array(["7", "7"])
    )
    found = drop_duplicates(again, "exact", statements(), judge())
    assert column(found.table, "also_in") == [["b/x", "c/x"]]


small = st.one_of(st.none(), st.integers(0, 3).map(str))
random_rows = st.lists(
    st.tuples(small, small, small, small, small, st.sampled_from("ab")), min_size=1, max_size=12
)


@settings(max_examples=150, deadline=None)
@given(random_rows, st.sampled_from(["id", "exact"]), st.sampled_from(["auto", "lesion", "image"]))
def test_folding_never_tears_a_group_nor_joins_two(
    rows: list[tuple[Any, ...]], by: DedupeMethod, level: Any
) -> None:
    """Two rows that stay are in one group of the folded table exactly if they were in one before."""
    names = ("isic_id", "sha256", "lesion_id", "patient_id", "case_id", "dataset")
    table = manifest(
        *(row(each[-1], str(n), **dict(zip(names[:-1], each, strict=False))) for n, each in enumerate(rows))
    )
    identity = {"id": "isic_id", "exact": "sha256"}[by]
    if table[identity].null_count == table.num_rows or table["lesion_id"].null_count == table.num_rows:
        return
    folded = drop_duplicates(table, by, statements(), judge()).table
    place = [column(table, "key").index(key) for key in column(folded, "key")]
    if folded["lesion_id"].null_count == folded.num_rows:
        return
    before, after = group_rows(table, level).number[place], group_rows(folded, level).number
    same_before = before[:, None] == before[None, :]
    assert np.array_equal(same_before, after[:, None] == after[None, :])
