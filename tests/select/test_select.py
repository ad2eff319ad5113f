"""The steps of `select` together."""

import pyarrow as pa
import pytest

from dermdata.cohort import Selection, SelectionRequest, select_rows, selection
from dermdata.errors import UsageError
from support.bundled_labels import spaces, vocabulary
from support.label_tables import column, manifest, row, words


def selected(*rows, others=None, **wanted) -> Selection:
    return select_rows(
        manifest(*rows), SelectionRequest(**wanted), vocabulary(), words(), others and manifest(*others)
    )


def test_the_same_row_of_two_targets_is_taken_once_from_the_first() -> None:
    """A dataset and a manifest made from it."""
    found = selected(row("a", "1", split="train"), row("b", "1"), row("a", "1", split="test"))
    assert column(found.table, "split") == ["train", None]
    assert [(one.key, one.reason) for one in found.dropped] == [("a/1", "the same row in an earlier target")]


def test_a_row_that_is_there_twice_with_labels_that_exclude_each_other_is_told() -> None:
    """The first one stays, but nobody said which is right; a finer label is no contradiction."""
    twice = [
        row("ham10000", "1", "nv"),
        row("ham10000", "1", "mel"),
        row("ham10000", "2", "nv"),
        row("ham10000", "2", "nv"),
    ]
    done = selected(*twice)
    assert column(done.table, "label_raw") == ["nv", "nv"]
    [told] = done.conflicts
    assert (told.code, told.keys) == ("label-conflict", ("ham10000/1",))
    assert (
        told.message
        == "ham10000/1 is there twice with labels that cannot both be true (melanocytic-nevus, melanoma)"
    )
    assert {name: shown["label_raw"] for name, shown in told.evidence.items()} == {
        "kept": "nv",
        "dropped": "mel",
    }


def test_rows_are_in_order_of_dataset_and_image() -> None:
    """Whatever the order of the targets."""
    found = selected(row("b", "1"), row("a", "2"), row("a", "1"))
    assert column(found.table, "key") == ["a/1", "a/2", "b/1"]


def test_rows_are_not_held_twice_while_they_are_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten million rows take gigabytes: a column is gone before the next one is sorted."""
    before, held = pa.total_allocated_bytes(), []
    rows = [manifest(*(row("a", f"{number:0500}") for number in range(999, -1, -1))).combine_chunks()]
    size = pa.total_allocated_bytes() - before
    look = selection.find_contradictions

    def looked(*given: object) -> object:
        held.append(pa.total_allocated_bytes() - before)
        return look(*given)

    monkeypatch.setattr(selection, "find_contradictions", looked)
    done = select_rows(rows.pop(), SelectionRequest(), vocabulary(), words())
    assert column(done.table, "image_id") == [f"{number:0500}" for number in range(1000)]
    assert size > 1_000_000
    assert held[0] < 1.2 * size


def test_the_condition_sees_refined_labels_and_classes() -> None:
    """Refined, then named, then filtered."""
    own = [row("ham10000", name, "akiec", isic_id=f"ISIC_{name}") for name in "xy"]
    others = [
        row("isic-2019", name, word, isic_id=f"ISIC_{name}")
        for name, word in zip("xy", ("AK", "SCC"), strict=True)
    ]
    found = selected(*own, others=others, space=spaces()["isic8"], where="label = 'AK'")
    assert column(found.table, "key") == ["ham10000/x"]
    assert column(found.table, "label_reason") == [None]
    assert "2 rows take a finer label" in found.notes[0]


def test_a_row_that_the_condition_excludes_is_never_the_one_that_stays() -> None:
    """Filtered, then folded."""
    rows = [
        row("a", "x", isic_id="ISIC_1", age=3.0, sex="male"),
        row("b", "x", isic_id="ISIC_1", caption="c"),
    ]
    found = selected(*rows, where="caption is not null", dedupe="id")
    assert column(found.table, "key") == ["b/x"]


def test_a_contradiction_is_told_once() -> None:
    """Refined and folded, or seen from both of its rows."""
    rows = [row("isic-2016", "x", "benign", isic_id="ISIC_1"), row("isic-2019", "x", "MEL", isic_id="ISIC_1")]
    found = selected(*rows, others=rows, dedupe="id")
    assert len(found.conflicts) == 1


def test_a_sample_per_class_says_which_are_short_and_who_is_in_none() -> None:
    """Never silently fewer."""
    rows = [row("ham10000", str(n), word) for n, word in enumerate(["mel", "nv", "nv", None])]
    found = selected(*rows, sample=2, per_class=True)
    assert found.table.num_rows == 3
    assert found.notes[-2:] == [
        "1 row has no diagnosis and is in no class",
        "fewer than 2 rows in melanoma: all of them are taken",
    ]
    with pytest.raises(UsageError, match="--per-class needs --sample"):
        selected(*rows, per_class=True)
