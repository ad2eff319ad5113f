"""`--check`: what a split that is there leaks."""

import pyarrow as pa
import pytest

from dermdata.errors import UsageError
from dermdata.model import Finding
from dermdata.split import check_split, measure_coverage


def table(**columns: list[object]) -> pa.Table:
    rows = len(next(iter(columns.values())))
    known = {"dataset": ["a"] * rows, "image_id": [str(i) for i in range(rows)], **columns}
    return pa.table(known)


@pytest.mark.parametrize(
    ("column", "code"),
    [
        ("patient_id", "leak-patient"),
        ("lesion_id", "leak-lesion"),
        ("case_id", "leak-patient"),
        ("isic_id", "leak-image"),
        ("sha256", "leak-image"),
    ],
)
def test_an_id_in_two_parts_is_an_error(column: str, code: str) -> None:
    """One finding per id, with its images and where they lie."""
    found = check_split(table(split=["train", "test", "train", None], **{column: ["x", "x", "y", "y"]}))
    assert found == (
        Finding(
            level="error",
            code=code,
            dataset="a",
            keys=("a/0", "a/1"),
            message=f"{column} x is in more than one part of split: test (1), train (1)",
            evidence={"column": "split", column: "x", "images": {"test": 1, "train": 1}},
        ),
    )


def test_no_split_to_check_is_refused() -> None:
    """A clean bill for nothing would mislead."""
    with pytest.raises(UsageError, match="no split to check"):
        check_split(table(split=[None, None]))


def test_unknown_ids_and_rows_in_no_part_leak_nothing() -> None:
    """Nulls are not equal to each other."""
    assert check_split(table(split=["train", "test", None], patient_id=[None, None, "p"])) == ()


def test_folds_are_judged_too() -> None:
    """A patient in two folds leaks as well as one in two parts."""
    found = check_split(table(fold=[0, 1], patient_id=["p", "p"]))
    assert [(one.code, one.evidence["column"]) for one in found] == [("leak-patient", "fold")]


def test_a_leak_across_datasets_names_both() -> None:
    """The same image under two names."""
    found = check_split(table(dataset=["b", "a"], split=["train", "test"], isic_id=["I", "I"]))
    assert [(one.dataset, one.keys) for one in found] == [("a, b", ("a/1", "b/0"))]


def test_without_a_split_of_ours_the_publishers_is_judged() -> None:
    """Official splits leak too."""
    found = check_split(table(split_official=["train", "test"], lesion_id=["l", "l"]))
    assert [one.evidence["column"] for one in found] == ["split_official"]


def test_a_part_without_any_lesion_is_not_judged() -> None:
    """The publisher's test set of ISIC 2019 has no lesions: that none of them is in `train` is no finding."""
    parts = ["train", "val", "test", "test"]
    rows = table(split=parts, lesion_id=["a", "b", None, None], isic_id=["1", "2", "3", "4"])
    seen = measure_coverage(rows)
    assert (seen.rows, seen.unjudged, seen.alone, seen.judged) == (4, 2, 0, ("lesion", "image"))
    assert measure_coverage(rows, "image").unjudged == 0
    assert measure_coverage(rows, "patient").unjudged == 4
    only_train = table(split=parts, lesion_id=["a", None, None, None], isic_id=["1", "2", "3", "4"])
    assert (measure_coverage(only_train).unjudged, measure_coverage(only_train).judged) == (4, ("image",))


def test_rows_without_a_group_in_a_part_that_has_some_are_judged_as_images() -> None:
    """Where they are known as such: by `isic_id` or `sha256`, with `near` by their hash; else not at all."""
    parts, lesions = ["train", "train", "test", "test"], ["a", None, "b", None]
    known = measure_coverage(table(split=parts, lesion_id=lesions, sha256=["1", "2", "3", "4"]))
    assert (known.unjudged, known.alone) == (0, 2)
    assert measure_coverage(table(split=parts, lesion_id=lesions)).unjudged == 2
    hashed = table(split=parts, lesion_id=lesions, phash=[b"12345678"] * 4)
    assert measure_coverage(hashed, near=True).unjudged == 0


def test_rows_in_no_part_are_counted_apart() -> None:
    """They cannot leak, and nobody need judge them."""
    seen = measure_coverage(table(split=["train", "test", None], lesion_id=["a", "b", None]))
    assert (seen.rows, seen.apart, seen.unjudged) == (2, 1, 0)


def test_one_part_is_nothing_to_judge() -> None:
    """That nothing is in two of one is no merit."""
    with pytest.raises(UsageError, match="in one part of split, 'train'"):
        measure_coverage(table(split=["train", "train", None], patient_id=["p", "p", "p"]))
