"""One picture in several rows: duplicates, ids and labels that contradict, and leaks."""

from pathlib import Path

import pytest
from PIL import Image

from dermdata.model import Finding
from support.audit_builders import audited, rows, told
from support.lesion_pictures import blurred_lesion, jpeg, turned_picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`one` and `copy` are equal bytes, `png` their pixels, `turned` the picture mirrored and coarser, `other` another."""
    (tmp_path / "one.jpg").write_bytes(jpeg(blurred_lesion(1)))
    (tmp_path / "copy.jpg").write_bytes(jpeg(blurred_lesion(1)))
    (tmp_path / "other.jpg").write_bytes(jpeg(blurred_lesion(2)))
    with Image.open(tmp_path / "one.jpg") as stored:
        stored.save(tmp_path / "png.png")
        (tmp_path / "turned.jpg").write_bytes(jpeg(turned_picture(stored, 1), quality=70))
    return tmp_path


def leaks(found: list[Finding]) -> list[tuple[str, str, str]]:
    return [(one.level, one.evidence["column"], one.evidence.get("how", "id")) for one in found]


def test_equal_bytes_equal_pixels_and_changed_pictures_are_told_apart(folder: Path) -> None:
    """Each kind under its own code; another lesion is in none."""
    table = rows(path=["one.jpg", "copy.jpg", "png.png", "turned.jpg", "other.jpg"])
    codes = ("duplicate-exact", "duplicate-pixels", "duplicate-near")
    assert told(audited(table, *codes, root=folder, near=True)) == [
        ("warning", "duplicate-exact", ("a/0", "a/1")),
        ("warning", "duplicate-pixels", ("a/0", "a/1", "a/2")),
        ("warning", "duplicate-near", ("a/0", "a/1", "a/2", "a/3")),
    ]


def test_near_duplicates_only_when_asked(folder: Path) -> None:
    table = rows(path=["one.jpg", "turned.jpg"])
    assert audited(table, "duplicate-near", root=folder) == []
    (one,) = audited(table, "duplicate-near", root=folder, near=True)
    (pair,) = one.evidence["pairs"]
    assert (pair["keys"], pair["turn"]) == (["a/0", "a/1"], "mirrored left to right")
    assert pair["likeness"] > 0.98


def test_duplicates_across_datasets_say_so(folder: Path) -> None:
    table = rows(dataset=["a", "b"], path=["one.jpg", "copy.jpg"])
    (one,) = audited(table, "duplicate-exact", root=folder)
    assert (one.dataset, one.message[-15:]) == ("a, b", "across datasets")


def test_ids_that_datasets_share_are_told_with_their_number() -> None:
    """One finding for each set of datasets: there may be ten thousand images."""
    table = rows(dataset=["a", "b", "a", "b", "a"], image_id=list("01234"), isic_id=["x", "x", "y", "y", "z"])
    (one,) = audited(table, "duplicate-near")
    assert (one.dataset, one.message) == ("a, b", "2 images, by isic_id, are in a and b")
    assert one.keys == ("a/0", "a/2", "b/1", "b/3")


def test_without_images_hashes_and_digests_of_the_manifest_are_used() -> None:
    """Hashes that nothing can verify must be nearer than others."""
    table = rows(
        sha256=["x", "x", "y", "z"], phash=[bytes(8), bytes(8), bytes(7) + b"\7", bytes(7) + b"\xff"]
    )
    found = audited(table, "duplicate-exact", "duplicate-near", near=True)
    assert told(found) == [
        ("warning", "duplicate-exact", ("a/0", "a/1")),
        ("warning", "duplicate-near", ("a/0", "a/1", "a/2")),
    ]


# ------------------------------------------------------------------ ids


def test_one_picture_of_two_patients_is_a_conflict() -> None:
    """Of one dataset: in two datasets each has its own names for a person."""
    table = rows(sha256=["x", "x"], patient_id=["a/1", "a/2"])
    (one,) = audited(table, "id-conflict")
    assert (one.level, one.evidence["patient_id"]) == ("warning", ["a/1", "a/2"])
    other = rows(dataset=["a", "b"], sha256=["x", "x"], patient_id=["a/1", "b/2"])
    assert audited(other, "id-conflict") == []


# ------------------------------------------------------------------ labels


@pytest.mark.parametrize(
    ("same", "level"),
    [
        ({"sha256": ["x"] * 2}, "error"),
        ({"isic_id": ["I"] * 2}, "warning"),
        ({"lesion_id": ["L"] * 2}, "warning"),
    ],
)
def test_labels_that_cannot_both_be_true(same: dict[str, list[str]], level: str) -> None:
    """An error where the bytes are the same: one of the two is surely wrong."""
    table = rows(**same, label_raw=["mel", "nv"], diagnosis=["melanoma", "melanocytic-nevus"])
    (one,) = audited(table, "label-conflict")
    assert (one.level, one.keys, one.evidence["labels"]["a/0"]["label_raw"]) == (level, ("a/0", "a/1"), "mel")


def test_a_finer_label_contradicts_nothing() -> None:
    """`melanocytic nevus` and one kind of it, or no label at all, can both be true."""
    table = rows(sha256=["x"] * 3, diagnosis=["melanocytic-nevus", "blue-nevus", None])
    assert audited(table, "label-conflict") == []


def test_one_contradiction_is_told_once() -> None:
    """Rows of one ISIC id with the same bytes are one contradiction, not two."""
    table = rows(sha256=["x"] * 2, isic_id=["I"] * 2, diagnosis=["melanoma", "melanocytic-nevus"])
    assert [one.level for one in audited(table, "label-conflict")] == ["error"]


# ------------------------------------------------------------------ leaks


def test_leaks_of_the_split_in_force_are_errors() -> None:
    """Of the publisher's split only where the rows have none of their own."""
    same = {"sha256": ["x", "x"], "split_official": ["train", "test"]}
    assert leaks(audited(rows(**same), "leak-image")) == [("error", "split_official", "exact")]
    own = rows(**same, split=["train", "val"])
    assert leaks(audited(own, "leak-image")) == [
        ("error", "split", "exact"),
        ("warning", "split_official", "exact"),
    ]
    assert audited(rows(**same, split=["train", "train"]), "leak-image")[0].level == "warning"


def test_patients_and_lesions_leak_too() -> None:
    table = rows(split=["train", "test"], patient_id=["p", "p"], lesion_id=["l", "l"])
    assert [(one.level, one.code) for one in audited(table, "leak-patient", "leak-lesion")] == [
        ("error", "leak-patient"),
        ("error", "leak-lesion"),
    ]


def test_changed_pictures_leak(folder: Path) -> None:
    """A mirrored copy in the test set, and the same pixels in another format."""
    table = rows(path=["one.jpg", "png.png", "turned.jpg"], split=["train", "val", "test"])
    found = audited(table, "leak-image", root=folder, near=True)
    assert leaks(found) == [("error", "split", "pixels"), ("error", "split", "near")]


def test_no_split_leaks_nothing() -> None:
    assert audited(rows(sha256=["x", "x"], patient_id=["p", "p"]), "leak-image", "leak-patient") == []
