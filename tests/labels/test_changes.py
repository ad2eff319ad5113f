"""Two versions of a catalog compared."""

import shutil
from pathlib import Path

import pytest

from dermdata.crosswalks.diff import LabelChange, list_changes, read_catalog_labels
from dermdata.errors import BadCatalog
from support.bundled_labels import CATALOG, vocabulary


@pytest.fixture
def versions(tmp_path: Path) -> tuple[Path, Path]:
    """Two copies of the vocabulary and of HAM10000's words."""
    for name in ("old", "new"):
        shutil.copytree(CATALOG / "vocabulary", tmp_path / name / "vocabulary")
        shutil.copytree(CATALOG / "datasets/ham10000", tmp_path / name / "datasets/ham10000")
    return tmp_path / "old", tmp_path / "new"


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def compared(versions: tuple[Path, Path]) -> list[LabelChange]:
    old, new = (read_catalog_labels(folder, vocabulary()) for folder in versions)
    return list_changes(old, new)


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    """An empty or missing one is not a catalog from which all was removed."""
    for folder in (tmp_path, tmp_path / "nosuch"):
        with pytest.raises(BadCatalog, match="no catalog with labels"):
            read_catalog_labels(folder, vocabulary())


def test_a_broken_file_is_refused(versions: tuple[Path, Path]) -> None:
    """With its name."""
    (versions[1] / "datasets/ham10000/labels.tsv").write_bytes(b"\xff")
    with pytest.raises(BadCatalog, match=r"labels\.tsv is not UTF-8"):
        read_catalog_labels(versions[1], vocabulary())


def test_a_copy_does_not_differ(versions: tuple[Path, Path]) -> None:
    """Nor does the order of its lines count."""
    path = versions[1] / "datasets/ham10000/labels.tsv"
    head, *rows = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([head, *reversed(rows)]) + "\n", encoding="utf-8")
    assert compared(versions) == []


def test_each_change_is_named_with_what_it_was(versions: tuple[Path, Path]) -> None:
    """A concept, a word and a class, changed, added and removed."""
    new = versions[1]
    edited(new / "datasets/ham10000/labels.tsv", "dx\tdf\tdermatofibroma\t", "dx\tdf\tfibroma\t")
    edited(new / "datasets/ham10000/labels.tsv", "dx\tnv\t", "dx\tnv2\t")
    edited(
        new / "vocabulary/spaces.toml",
        'DF = ["dermatofibroma"]\nVASC = ["vascular-lesion"]\n\n[isic8]',
        "[isic8]",
    )
    edited(new / "vocabulary/concepts.tsv", "\nmilium\tMilium\t", "\nmilium\tMilia\t")
    found = compared(versions)
    assert (
        LabelChange(kind="concept", what="changed", name="milium", part="label", old="Milium", new="Milia")
        in found
    )
    words = {(one.what, one.raw_label, one.part, one.old, one.new) for one in found if one.kind == "label"}
    assert words == {
        ("changed", "df", "concept", "dermatofibroma", "fibroma"),
        ("added", "nv2", None, None, "melanocytic-nevus"),
        ("removed", "nv", None, "melanocytic-nevus", None),
    }
    spaces = {(one.what, one.name, one.raw_label, one.old) for one in found if one.kind == "space"}
    assert spaces == {
        ("removed", "ham7", "DF", "dermatofibroma"), ("removed", "ham7", "VASC", "vascular-lesion"),
    }  # fmt: skip


def test_an_overlay_has_words_only(versions: tuple[Path, Path]) -> None:
    """Without a vocabulary of its own no concept was removed."""
    shutil.rmtree(versions[1] / "vocabulary")
    assert {one.kind for one in compared(versions)} == {"space"}
