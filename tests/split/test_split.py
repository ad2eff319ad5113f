"""Splits: nothing leaks, every part mirrors the whole, and the same request gives the same answer."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from dermdata.errors import UnknownName, UsageError
from dermdata.split import SplitResult, check_split, group_rows, split_rows

PAIR = {"train": 0.6, "test": 0.4}


def cohort(lesions: list[int], classes: list[int], dataset: str = "a") -> pa.Table:
    """An image per item: its lesion (-1: unknown) and its class."""
    ids = [f"{i:04}" for i in range(len(lesions))]
    return pa.table(
        {
            "dataset": pa.array([dataset] * len(ids), pa.string()),
            "image_id": pa.array(ids, pa.string()),
            "key": pa.array([f"{dataset}/{i}" for i in ids], pa.string()),
            "lesion_id": pa.array([f"{dataset}/{n}" if n >= 0 else None for n in lesions], pa.string()),
            "diagnosis": pa.array([f"c{n}" for n in classes], pa.string()),
        }
    )


def parts_by_key(result: SplitResult) -> dict[str, str | None]:
    return dict(zip(result.table["key"].to_pylist(), result.table["split"].to_pylist(), strict=True))


@st.composite
def cohorts(draw: st.DrawFn) -> pa.Table:
    rows = draw(st.integers(4, 60))
    lesions = draw(st.lists(st.integers(-1, 25), min_size=rows, max_size=rows))
    return cohort(lesions, draw(st.lists(st.integers(0, 3), min_size=rows, max_size=rows)))


def done(table: pa.Table, **request: object) -> SplitResult:
    """The split, where one is possible at all."""
    try:
        return split_rows(table, **request)  # type: ignore[arg-type]
    except UsageError:
        assume(False)
        raise


# ------------------------------------------------------------------ the bad day


def test_an_empty_table_is_refused() -> None:
    """Nothing cannot be split."""
    with pytest.raises(UsageError, match="no rows"):
        split_rows(cohort([], []))


@pytest.mark.parametrize("lesions", [[-1], [7, 7, 7, 7]], ids=["one row", "one group"])
def test_one_group_cannot_fill_three_parts(lesions: list[int]) -> None:
    """The parts that were asked for are named."""
    with pytest.raises(UsageError, match="1 group cannot fill 3 parts: train, val, test"):
        split_rows(cohort(lesions, [0] * len(lesions)))


def test_more_folds_than_groups_says_how_many_can_be_had() -> None:
    """The best that can be had stands in the hint."""
    with pytest.raises(UsageError, match="3 groups cannot fill 5 parts") as refused:
        split_rows(cohort([0, 0, 1, 2], [0] * 4), folds=5)
    assert refused.value.hint == "ask for at most 3 parts"


def test_a_group_too_large_for_any_part_is_refused_with_the_best_there_is() -> None:
    """One patient with half of all images rules out five equal folds."""
    with pytest.raises(UsageError, match=r"one group holds 50 of 100 images \(50.0%\)") as refused:
        split_rows(cohort([0] * 50 + [-1] * 50, [0] * 100), folds=5)
    assert "at most 2 equal parts" in str(refused.value.hint)


def test_an_unknown_stratify_column_names_the_nearest() -> None:
    """A typing mistake is answered with the column that was meant."""
    with pytest.raises(UnknownName) as refused:
        split_rows(cohort([-1] * 4, [0] * 4), stratify=["diagnosys"])
    assert refused.value.near == ["diagnosis"]


def test_a_column_of_lists_cannot_be_stratified() -> None:
    """The message says what the column holds."""
    table = cohort([-1] * 4, [0] * 4).append_column("path", pa.array([["x"]] * 4))
    with pytest.raises(UsageError, match="column 'path' holds list"):
        split_rows(table, stratify=["path"])


def test_ratios_and_folds_exclude_each_other() -> None:
    """Two wishes at once are none."""
    with pytest.raises(UsageError, match="both ratios and folds"):
        split_rows(cohort([-1] * 4, [0] * 4), ratios=PAIR, folds=2)


def test_ratios_that_do_not_sum_to_one_are_refused() -> None:
    """Also when they do not come from text."""
    with pytest.raises(UsageError, match=r"sum to 0.9"):
        split_rows(cohort([-1] * 4, [0] * 4), ratios={"train": 0.6, "test": 0.3})


def test_one_class_is_split_by_size() -> None:
    """Nothing to stratify leaves the sizes to meet."""
    result = split_rows(cohort([-1] * 100, [0] * 100))
    assert [line.images for line in result.balance] == [70, 15, 15]
    assert result.largest_deviation == 0


def test_as_many_groups_as_parts_fill_every_part() -> None:
    """No part stays empty, however small its ratio."""
    result = split_rows(cohort([-1] * 3, [0] * 3), ratios={"train": 0.98, "val": 0.01, "test": 0.01})
    assert [line.images for line in result.balance] == [1, 1, 1]


def test_a_missing_class_is_a_class_of_its_own() -> None:
    """Images without a diagnosis are shared out evenly too."""
    table = cohort([-1] * 40, [0] * 40)
    table = table.set_column(4, "diagnosis", pa.array([None, "c0"] * 20))
    lines = split_rows(table, ratios={"train": 0.5, "test": 0.5}).classes
    assert [(line.part, line.value, line.images) for line in lines] == [
        ("train", None, 10),
        ("train", "c0", 10),
        ("test", None, 10),
        ("test", "c0", 10),
    ]


def test_a_class_that_cannot_be_everywhere_is_noted() -> None:
    """One image of a class can be in one part only."""
    notes = split_rows(cohort([-1] * 20, [1] + [0] * 19), ratios=PAIR).notes
    assert any("no image of c1 (" in note for note in notes)


def test_a_finer_level_than_the_patient_is_noted() -> None:
    """Who splits by image is told how many lesions that tears."""
    notes = split_rows(cohort([0, 0, 1, 1], [0] * 4), by="image", ratios={"train": 0.5, "test": 0.5}).notes
    torn = split_rows(cohort([0] * 20, [0] * 20), by="image").notes
    assert torn == ("1 value of lesion_id is in more than one part; --by auto keeps them together",)
    assert len(notes) <= 1


# ------------------------------------------------------------------ what always holds


@given(cohorts(), st.integers(0, 5))
def test_parts_are_complete_and_no_group_is_in_two(table: pa.Table, seed: int) -> None:
    """Every row has a part, every part has a row, and the check finds nothing."""
    result = done(table, seed=seed)
    assert set(result.table["split"].to_pylist()) == {"train", "val", "test"}
    assert check_split(result.table) == ()
    pairs = set(zip(group_rows(table).number.tolist(), result.table["split"].to_pylist(), strict=True))
    assert len(pairs) == result.grouping.counts["groups"]
    assert sum(line.images for line in result.balance) == table.num_rows


@given(cohorts(), st.randoms(use_true_random=False))
def test_the_order_of_rows_is_irrelevant(table: pa.Table, random: object) -> None:
    """The same key goes to the same part."""
    order = list(range(table.num_rows))
    random.shuffle(order)  # type: ignore[attr-defined]
    for stable in (False, True):
        one, other = done(table, stable=stable), done(table.take(order), stable=stable)
        assert parts_by_key(one) == parts_by_key(other)
        assert one.balance == other.balance


@given(cohorts(), st.integers(1, 59))
def test_stable_never_moves_a_group_when_rows_are_added(table: pa.Table, first: int) -> None:
    """Whatever is added: an image that was in a part stays there."""
    assume(first < table.num_rows)
    before = parts_by_key(split_rows(table.slice(first), stable=True))
    after = parts_by_key(split_rows(table, stable=True))
    assert {key: after[key] for key in before} == before


@given(cohorts(), st.integers(2, 5))
def test_folds_are_numbered_from_zero_and_balanced(table: pa.Table, folds: int) -> None:
    """No two folds differ by more than the largest group and one."""
    result = done(table, folds=folds)
    sizes = Counter(result.table["fold"].to_pylist())
    assert sorted(sizes) == list(range(folds))
    assert result.table["split"].null_count == table.num_rows
    assert max(sizes.values()) - min(sizes.values()) <= 2 * result.grouping.counts["largest"] + 1


def test_another_seed_is_another_split_and_the_same_seed_the_same() -> None:
    """Also when no two groups are equal."""
    sizes = np.repeat(np.arange(40), np.arange(40) + 1).tolist()
    table = cohort(sizes, [0] * len(sizes))
    found = [tuple(split_rows(table, seed=seed).table["split"].to_pylist()) for seed in (0, 0, 1, -1, 2**80)]
    assert found[0] == found[1]
    assert len(set(found)) == 4


def test_the_answer_is_written_down() -> None:
    """A change here moves the images of all who gave a seed: it must be meant, and be in the changelog."""
    table = cohort([0, 0, 0, 1, 1, 2, 2, 3, -1, -1, -1, -1], [0, 0, 1, 1, 0, 0, 1, 1, 0, 1, 0, 1])
    assert initials(split_rows(table, seed=3)) == "tttvvtteettt"
    assert initials(split_rows(table, seed=3, stable=True)) == "ttteettttttt"


def initials(result: SplitResult) -> str:
    """`e` for test, whose t is train's."""
    return "".join({"test": "e"}.get(part, part[0]) for part in result.table["split"].to_pylist())


PRINT_A_SPLIT = """
import sys
import pyarrow as pa
from dermdata.split import split_rows
assert not {"sklearn", "scipy", "pandas"} & set(sys.modules)  # pyarrow itself looks for pandas later on
ids = [str(i) for i in range(300)]
table = pa.table({"dataset": ["a"] * 300, "image_id": ids, "patient_id": [i[-2:] for i in ids],
                  "diagnosis": [i[0] for i in ids], "sex": [i[-1] for i in ids]})
print(split_rows(table, stratify=["diagnosis", "sex"]).table["split"].to_pylist())
"""


def test_pythonhashseed_is_irrelevant_and_nothing_heavy_is_imported() -> None:
    """Other hash seeds, locales and time zones print the same; the import needs numpy and pyarrow alone."""
    house = Path(__file__).parents[2]
    answers = {
        subprocess.run(
            [sys.executable, "-c", PRINT_A_SPLIT],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(house), "LC_ALL": locale, "TZ": zone},
            cwd=house, check=True, capture_output=True, text=True,
        ).stdout
        for seed, locale, zone in (("1", "C", "Pacific/Kiritimati"), ("2", "tr_TR.UTF-8", "America/Lima"))
    }  # fmt: skip
    assert len(answers) == 1
    assert "train" in answers.pop()


# ------------------------------------------------------------------ several columns, several datasets


def test_several_columns_are_balanced_together() -> None:
    """Diagnosis, sex and their combination mirror the whole."""
    rng = np.random.default_rng(5)
    table = cohort(rng.integers(0, 900, 2000).tolist(), rng.integers(0, 3, 2000).tolist())
    sex = rng.choice(["female", "male"], 2000).tolist()
    both = [f"{d}{s}" for d, s in zip(table["diagnosis"].to_pylist(), sex, strict=True)]
    table = table.append_column("sex", [sex]).append_column("both", [both])
    result = split_rows(table, stratify=["diagnosis", "sex"])
    assert result.largest_deviation < 0.25
    for part in ("train", "val", "test"):
        placed = zip(both, result.table["split"].to_pylist(), strict=True)
        inside = [cell for cell, where in placed if where == part]
        for cell, count in Counter(both).items():
            assert abs(Counter(inside)[cell] / len(inside) - count / 2000) < 0.005


def test_no_stratify_column_balances_sizes_alone() -> None:
    """An empty list is allowed, even without a diagnosis."""
    result = split_rows(cohort([-1] * 20, [0] * 20).drop_columns(["diagnosis"]), stratify=(), ratios=PAIR)
    assert [line.images for line in result.balance] == [12, 8]
    assert result.classes == ()


def test_balance_counts_images_groups_patients_and_lesions() -> None:
    """Ids that are not known are not counted."""
    table = cohort([0, 0, 1, -1], [0] * 4).append_column("patient_id", pa.array(["p", "p", "p", None]))
    lines = split_rows(table, ratios={"train": 0.75, "test": 0.25}).balance
    assert [(x.part, x.images, x.groups, x.patients, x.lesions, x.share) for x in lines] == [
        ("train", 3, 1, 1, 2, 0.75), ("test", 1, 1, 0, 0, 0.25)
    ]  # fmt: skip


def test_the_columns_keep_their_place_type_and_description() -> None:
    """`split` and `fold` are replaced where they stand; the other one is emptied."""
    words = pa.dictionary(pa.int16(), pa.string())
    old = pa.field("split", words, metadata={"description": "the part"})
    table = cohort([-1] * 10, [0] * 10)
    table = table.add_column(0, old, pa.array(["old"] * 10).dictionary_encode().cast(words))
    table = table.add_column(1, pa.field("fold", pa.int8()), pa.array([3] * 10, pa.int8()))
    new = split_rows(table, ratios=PAIR).table
    assert new.schema.equals(table.schema, check_metadata=True)
    assert set(new["split"].to_pylist()) == {"train", "test"}
    assert new["fold"].null_count == 10
    assert split_rows(new, folds=2).table["split"].null_count == 10


@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(cohorts())
@example(cohort([0, 1, -1, -1, -1, -1, -1, -1], [0, 0, 0, 1, 1, 1, 2, 3]))  # 6 of 8 were the "best" 0.6
def test_moves_leave_no_part_empty_and_sizes_near(table: pa.Table) -> None:
    """A part is off its ratio by no more than the largest group."""
    result = done(table, ratios=PAIR)
    largest = result.grouping.counts["largest"]
    for line in result.balance:
        assert line.images > 0
        assert abs(line.images - PAIR[line.part] * table.num_rows) <= largest
