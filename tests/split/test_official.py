"""The publisher's test set stays what it is, and nothing that touches it is trained on."""

import pyarrow as pa
import pytest

from dermdata.errors import UsageError
from dermdata.split import check_split, split_rows


def cohort(*images: tuple[str, str | None, str | None]) -> pa.Table:
    """Dataset, lesion, official split."""
    dataset, lesion, official = (list(column) for column in zip(*images, strict=True))
    return pa.table(
        {
            "dataset": pa.array(dataset),
            "image_id": [str(i) for i in range(len(images))],
            "lesion_id": pa.array(lesion, pa.string()),
            "split_official": pa.array(official, pa.string()),
            "diagnosis": ["nevus"] * len(images),
        }
    )


def parts(table: pa.Table, **request: object) -> list[str | None]:
    return split_rows(table, official=True, **request).table["split"].to_pylist()  # type: ignore[arg-type]


def test_without_any_official_row_it_is_refused() -> None:
    """Train alone is no official split either."""
    with pytest.raises(UsageError, match="no row has an official test"):
        split_rows(cohort(("a", None, "train"), ("a", None, None)), official=True)


def test_no_part_left_for_the_rest_is_refused() -> None:
    """Ratios that name only what the publisher has leave nowhere to put the others."""
    table = cohort(("a", None, "test"), ("a", None, "train"))
    with pytest.raises(UsageError, match="takes test: no part is left"):
        split_rows(table, official=True, ratios={"test": 1})


def test_test_rows_stay_and_the_rest_is_split_in_the_remaining_proportion() -> None:
    """0.6 : 0.2 without test is 75 : 25 of the rest."""
    table = cohort(*[("a", None, "test")] * 10, *[("a", None, "train")] * 40, *[("a", None, None)] * 40)
    found = parts(table, ratios={"train": 0.6, "val": 0.2, "test": 0.2})
    assert found[:10] == ["test"] * 10
    assert [found[10:].count(part) for part in ("train", "val", "test")] == [60, 20, 0]


def test_a_training_image_of_a_test_lesion_is_in_no_part() -> None:
    """Neither trained on nor added to the publisher's test set; a note counts it."""
    table = cohort(
        ("a", "l", "test"), ("a", "l", "train"), ("a", "l", None), *[("a", None, "train")] * 20
    )  # fmt: skip
    result = split_rows(table, official=True)
    assert result.table["split"].to_pylist()[:3] == ["test", None, None]
    assert any(note.startswith("2 images are in no part") for note in result.notes)
    assert check_split(result.table) == ()
    assert sum(line.images for line in result.balance) == 21


def test_the_publishers_validation_set_stays_too_whatever_it_is_called() -> None:
    """`validation` becomes the part asked for as `val`; the rest is all training."""
    table = cohort(("a", None, "Validation"), ("a", None, "test"), *[("a", None, "training")] * 5)
    assert parts(table) == ["val", "test", *["train"] * 5]


def test_validation_rows_that_share_a_lesion_with_test_give_way() -> None:
    """Where the publisher leaks, the test set wins."""
    table = cohort(("a", "l", "val"), ("a", "l", "test"), ("a", "m", "val"), *[("a", None, "train")] * 5)
    assert parts(table)[:3] == [None, "test", "val"]


def test_a_dataset_without_official_split_gets_all_parts() -> None:
    """Each dataset's rows are kept out only of the sets that its own publisher fixed."""
    table = cohort(("a", None, "test"), *[("a", None, "train")] * 20, *[("b", None, None)] * 20)
    found = parts(table)
    assert "test" not in found[1:21]
    assert {"train", "val", "test"} == set(found[21:])


def test_with_folds_the_test_set_is_beside_the_folds() -> None:
    """`split` tells test from train, `fold` numbers the training rows."""
    table = cohort(*[("a", None, "test")] * 3, *[("a", None, None)] * 10)
    done = split_rows(table, official=True, folds=5).table
    assert done["split"].to_pylist() == [*["test"] * 3, *["train"] * 10]
    assert done["fold"].to_pylist()[:3] == [None] * 3
    assert sorted(done["fold"].to_pylist()[3:]) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_stable_and_official_go_together() -> None:
    """The rest is placed by hash, the test set stays."""
    table = cohort(*[("a", None, "test")] * 3, *[("a", None, None)] * 40)
    found = parts(table, stable=True)
    assert found[:3] == ["test"] * 3
    assert set(found[3:]) == {"train", "val"}
