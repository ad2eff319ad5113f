"""Published lists of bad images are applied as they are, and tell what they do."""

import csv
from pathlib import Path

import pyarrow as pa
import pytest

from dermdata.audit import apply_issue_lists, find_issue_lists
from dermdata.catalogs import bundled_folder
from dermdata.errors import BadCatalog, UnknownName, UsageError
from support.audit_builders import audited, rows

HEAD = "image_id\taction\tissue\tsource\tof\n"


def listed(root: Path, text: str, name: str = "clean@1", dataset: str = "a") -> Path:
    path = root / "datasets" / dataset / "issues" / f"{name}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return root


def test_dropped_rows_are_gone_and_told(tmp_path: Path) -> None:
    """Also how many of the list are not here; rows of another dataset of the same id stay."""
    root = listed(
        tmp_path,
        f"{HEAD}0\tdrop\tirrelevant\tX 2025\t\n9\tdrop\tirrelevant\tX 2025\t\n1\tnote\tblurred\tY\t\n",
    )
    table = rows(dataset=["a", "a", "b"], image_id=["0", "1", "0"])
    done = apply_issue_lists(table, find_issue_lists([root], "clean@1"))
    assert done.table["key"].to_pylist() == ["a/1", "b/0"]
    assert [one.keys for one in done.findings] == [("a/0",), ("a/1",)]
    assert (
        done.findings[0].message
        == "clean@1: 1 of 2 listed images is here and taken away (irrelevant; X 2025)"
    )


@pytest.mark.parametrize(
    ("dataset", "dropped", "noted"), [("pad-ufes-20", 58, 3), ("ddi", 9, 8), ("derm7pt", 1, 2)]
)
def test_the_lists_of_selfclean_are_in_the_catalog(dataset: str, dropped: int, noted: int) -> None:
    """As many as the publication says; Derm7pt's duplicates are files that its own list names twice."""
    lists = find_issue_lists([bundled_folder()], "selfclean-revised@17882fe7", ["selfclean-revised"])
    [one] = [one for one in lists if one.dataset == dataset]
    actions = [issue.action for issue in one.issues]
    assert (actions.count("drop"), actions.count("note")) == (dropped, noted)
    assert not any(issue.image_id.endswith((".png", ".jpg")) for issue in one.issues)


def test_lists_of_other_datasets_are_passed_over(tmp_path: Path) -> None:
    """A list has one file a dataset: only those of the images here are told, unless none is of them."""
    root = listed(tmp_path, f"{HEAD}0\tdrop\tx\ty\t\n", dataset="a")
    listed(tmp_path, f"{HEAD}0\tdrop\tx\ty\t\n", dataset="b")
    lists = find_issue_lists([root], "clean@1")
    for dataset, told in (("a", ["a"]), ("b", ["b"]), ("c", ["a", "b"])):
        done = apply_issue_lists(rows(dataset=[dataset], image_id=["0"]), lists)
        assert [one.dataset for one in done.findings] == told


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("id\taction\n", "header"),
        (f"{HEAD}0\tdelete\tx\ty\t\n", "action 'delete'"),
        (f"{HEAD}0\tdrop\tx\n", "3 fields"),
        (f"{HEAD}\tdrop\tx\ty\t\n", "no image_id"),
        (f"{HEAD}0\tcopy\tx\ty\t\n", "needs 'of'"),
        ("", "header"),
    ],
)
def test_a_list_that_is_wrong_is_refused(tmp_path: Path, text: str, word: str) -> None:
    with pytest.raises(BadCatalog, match=word):
        find_issue_lists([listed(tmp_path, text)], "clean@1")


def test_a_list_whose_content_nobody_may_bundle_is_refused_with_the_way(tmp_path: Path) -> None:
    """A catalog entry alone is no list; an unknown name gets near ones."""
    listed(tmp_path, HEAD)
    with pytest.raises(UsageError, match="not in the catalog") as refused:
        find_issue_lists([tmp_path], "fitzpatrick17k-c@1", ["fitzpatrick17k-c"])
    assert "issues/fitzpatrick17k-c@1.tsv" in (refused.value.hint or "")
    with pytest.raises(UnknownName, match="clean@2") as unknown:
        find_issue_lists([tmp_path], "clean@2")
    assert unknown.value.near == ["clean@1"]


def test_a_later_catalog_folder_wins(tmp_path: Path) -> None:
    one = listed(tmp_path / "1", f"{HEAD}0\tdrop\tx\ty\t\n")
    two = listed(tmp_path / "2", HEAD)
    assert find_issue_lists([one, two], "clean@1")[0].issues == ()


def test_listed_copies_are_one_picture_without_any_image(tmp_path: Path) -> None:
    """They leak, and their labels contradict, as other copies do."""
    table = rows(
        image_id=["0", "1"], split=["train", "test"], diagnosis=["melanoma", "melanocytic-nevus"],
    )  # fmt: skip
    done = apply_issue_lists(
        table, find_issue_lists([listed(tmp_path, f"{HEAD}0\tcopy\tduplicate\tX\t1\n")], "clean@1")
    )
    codes = ("duplicate-near", "leak-image", "label-conflict")
    found = audited(table, *codes, published_pairs=done.copies)
    assert sorted((one.code, one.level) for one in found) == [
        ("duplicate-near", "warning"), ("label-conflict", "warning"), ("leak-image", "error"),
    ]  # fmt: skip


@pytest.mark.shared
def test_all_425_published_duplicates_of_isic_2020_are_accounted_for(shared: Path, tmp_path: Path) -> None:
    """By id: 425 groups of 2 images, no two patients in any; in 8 the lesion ids differ."""
    with (shared / "data/isic2020/ISIC_2020_Training_Duplicates.csv").open(newline="") as file:
        pairs = [tuple(pair.values()) for pair in csv.DictReader(file)]
    with (shared / "data/isic2020/ISIC_2020_Training_GroundTruth_v2.csv").open(newline="") as file:
        truth = list(csv.DictReader(file))
    columns = {"image_id": "image_name", "patient_id": "patient_id", "lesion_id": "lesion_id"}
    table = rows(
        dataset=["isic-2020"] * len(truth),
        **{ours: [row[name] for row in truth] for ours, name in columns.items()},
    )
    lines = "".join(f"{one}\tcopy\tduplicate\tISIC 2020\t{other}\n" for one, other in pairs)
    root = listed(tmp_path, HEAD + lines, "isic-2020-duplicates@1", "isic-2020")
    done = apply_issue_lists(table, find_issue_lists([root], "isic-2020-duplicates@1"))
    found = audited(table, "duplicate-near", "id-conflict", published_pairs=done.copies)
    groups = {one.keys for one in found if one.code == "duplicate-near"}
    assert groups == {tuple(sorted((f"isic-2020/{one}", f"isic-2020/{other}"))) for one, other in pairs}
    assert len(groups) == 425
    conflicts = [one for one in found if one.code == "id-conflict" and one.evidence.get("how") == "listed"]
    assert [set(one.evidence) & {"patient_id", "lesion_id"} for one in conflicts] == [{"lesion_id"}] * 8
    assert pa.compute.count_distinct(table["patient_id"]).as_py() == 2056


def test_every_row_of_a_dropped_image_goes(tmp_path: Path) -> None:
    """Keys of one's own: an image may be there once for each lesion."""
    root = listed(tmp_path, f"{HEAD}0\tdrop\tirrelevant\tX\t\n")
    table = rows(dataset=["a", "a", "a"], image_id=["0", "0", "1"], key=["a/0#1", "a/0#2", "a/1"])
    assert apply_issue_lists(table, find_issue_lists([root], "clean@1")).table["key"].to_pylist() == ["a/1"]
