"""Near duplicates in splits: they join groups, and lie in one part."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermdata.duplicates import NearDuplicates, Pairs, find_near_duplicates
from dermdata.errors import UsageError
from dermdata.split import check_split, count_leaks, group_rows, split_rows

ROWS = 24
NOTHING = Pairs(*(np.empty(0, kind) for kind in (np.int64, np.int64, np.uint8, np.uint8)))
LINK = st.tuples(st.integers(0, ROWS - 1), st.integers(0, ROWS - 1))
links, few = st.lists(LINK, max_size=8), st.lists(LINK, max_size=3)  # more may not fit into one part


def pairs(*linked: tuple[int, int]) -> Pairs:
    i, j = (
        (np.array(side, np.int64) for side in zip(*linked, strict=True)) if linked else (NOTHING.i, NOTHING.j)
    )
    return Pairs(i, j, np.zeros(len(i), np.uint8), np.zeros(len(i), np.uint8))


def near(*linked: tuple[int, int]) -> NearDuplicates:
    return NearDuplicates(verified=pairs(*linked), by_hash=NOTHING)


def table(**columns: list[object]) -> pa.Table:
    rows = len(next(iter(columns.values())))
    return pa.table({"dataset": ["a"] * rows, "image_id": [f"{i:02}" for i in range(rows)], **columns})


LESIONS = table(lesion_id=[str(row // 2) for row in range(ROWS)], diagnosis=["nv"] * ROWS)


@given(links)
def test_near_duplicates_join_whole_groups(linked: list[tuple[int, int]]) -> None:
    """Groups that were, stay whole; those of a pair become one; no other ones do."""
    before, after = group_rows(LESIONS).number, group_rows(LESIONS, near=near(*linked)).number
    assert all(after[i] == after[j] for i, j in linked)
    assert all(len(set(after[before == one].tolist())) == 1 for one in set(before.tolist()))
    if not linked:
        assert after.tolist() == before.tolist()


@given(few, st.permutations(range(ROWS)), st.booleans())
def test_parts_do_not_depend_on_the_order_of_rows(
    linked: list[tuple[int, int]], order: list[int], stable: bool
) -> None:
    """The same rows, pairs and seed: the same parts; and the check finds nothing near across them."""
    one = split_rows(LESIONS, ratios={"a": 0.5, "b": 0.5}, stable=stable, near=near(*linked))
    place = {row: number for number, row in enumerate(order)}
    moved = near(*((place[i], place[j]) for i, j in linked))
    other = split_rows(LESIONS.take(order), ratios={"a": 0.5, "b": 0.5}, stable=stable, near=moved)
    assert one.table.take(order)["split"].to_pylist() == other.table["split"].to_pylist()
    assert check_split(one.table, near(*linked)) == ()


def test_a_pair_across_parts_is_an_error_and_by_hash_alone_a_warning() -> None:
    """What nobody has looked at is no proof."""
    rows = table(split=["train", "test", "train", "test"], sha256=["0", "1", "2", "3"])
    (found,) = check_split(rows, near((0, 1)))
    assert (found.level, found.code, found.keys) == ("error", "leak-image", ("a/00", "a/01"))
    assert found.message == "a/00, a/01 show one picture, in more than one part of split: test (1), train (1)"
    assert count_leaks((found,)) == {"near duplicates": 1}
    (doubtful,) = check_split(rows, NearDuplicates(verified=NOTHING, by_hash=pairs((2, 3))))
    assert (doubtful.level, doubtful.keys) == ("warning", ("a/02", "a/03"))


def test_what_has_the_bytes_of_a_near_duplicate_leaks_with_it() -> None:
    """Pairs name one row of each file; the other rows of the file count."""
    rows = table(split=["train", "train", "test"], sha256=["0", "1", "0"])
    assert [one.evidence.get("near") for one in check_split(rows, near((0, 1)))] == [None, "a/00"]


def test_near_duplicates_in_one_part_or_in_none_do_not_leak() -> None:
    rows = table(split=["train", "train", None])
    assert check_split(rows, near((0, 1), (1, 2))) == ()


@pytest.mark.parametrize("jobs", [1, 5])
def test_any_number_of_workers_finds_the_same(jobs: int) -> None:
    """In the same order."""
    rng = np.random.default_rng(0)
    base = rng.integers(0, 2**63, 40).tolist()
    hashes = [(one ^ (change << 9)).to_bytes(8, "big") for one in base for change in (0, 1, 3)]
    found = find_near_duplicates(hashes, [None] * len(hashes), lambda _: None, jobs=jobs)
    assert [*found.row_pairs()] == [
        (n + i, n + j) for n in range(0, 120, 3) for i, j in ((0, 1), (0, 2), (1, 2))
    ]
    assert "their images are not here" in found.summary


def test_a_list_with_an_image_in_two_parts_leaks_it() -> None:
    """Also where no dataset gives it an isic_id."""
    rows = table(split=["train", "test"]).set_column(1, "image_id", pa.array(["x", "x"]))
    (found,) = check_split(rows)
    assert count_leaks((found,)) == {"images": 1}


def test_nothing_to_judge_is_still_refused() -> None:
    with pytest.raises(UsageError, match="no split to check"):
        check_split(table(split=[None, None]), near((0, 1)))
