"""imagefolder: what torchvision's ImageFolder and `datasets` see, and what lies in the folders."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dermdata import export
from dermdata.errors import UsageError
from dermdata.export import Job
from dermdata.export.row_images import portable_name, unique_names
from dermdata.progress import SilentProgress
from export.conftest import MakeJob
from export.samples import jpeg, row, table

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def torchvision_samples(root: Path) -> list[tuple[str, int]]:
    """The rule of torchvision 0.20, datasets/folder.py: sorted folders are the classes, sorted files the samples."""
    classes = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    if not classes:
        raise FileNotFoundError(f"Couldn't find any class folder in {root}.")
    found = []
    for number, name in enumerate(classes):
        files = [
            str(Path(folder, file).relative_to(root))
            for folder, _, inside in sorted(os.walk(root / name, followlinks=True))
            for file in sorted(inside)
            if file.lower().endswith(EXTENSIONS)
        ]
        if not files:
            raise FileNotFoundError(f"Found no valid file for the class {name}.")
        found += [(file, number) for file in files]
    return found


class Told(SilentProgress):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


# ------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("word", "name"),
    [("nv", "nv"), ("a/b", "a_b"), ("..", "_"), (".", "_"), ("", "_"), ("../up", "_._up"), (".hidden", "_hidden"),
     ("con", "con_"), ("NUL.txt", "NUL.txt_"), ("com1", "com1_"), ("name. ", "name"), ("a<b>:c", "a_b__c"),
     ("a\nb\0", "a_b_"), ("ünï’s", "ünï’s"), ("two words", "two words"), ("C:\\x", "C__x"), ("u\u0308", "ü")],
)  # fmt: skip
def test_any_word_becomes_a_harmless_name(word: str, name: str) -> None:
    """It stays in its folder, is not hidden, and Windows takes it too."""
    assert portable_name(word) == name


def test_a_long_name_fits_and_is_told_apart() -> None:
    """File systems take 255 bytes."""
    one, two = portable_name("ü" * 300), portable_name("ü" * 301)
    assert one != two
    assert max(len(one.encode()), len(two.encode())) <= 120


def test_names_that_some_system_takes_for_one_are_told_apart() -> None:
    """Whatever the order of the rows."""
    given = {"1": "Nv", "2": "nv", "3": "mel", "4": "MEL", "5": "bcc"}
    found = dict(zip(given, unique_names(list(given.values()), list(given)), strict=True))
    turned = dict(
        zip(reversed(given), unique_names(list(given.values())[::-1], list(given)[::-1]), strict=True)
    )
    assert found == turned
    assert len({name.casefold() for name in found.values()}) == 5
    assert found["5"] == "bcc"
    assert unique_names(["a", "a", "A"], ["x", "x", "x"]) == ["a", "a-2", "A-3"]


@pytest.mark.parametrize("word", ["../../evil", "a/b", "..", "CON", "x" * 300])
def test_a_class_cannot_choose_another_folder(job: MakeJob, root: Path, tmp_path: Path, word: str) -> None:
    """All files are in OUT, two levels deep; the true word is in the table."""
    rows = [
        row(root, 1) | {"diagnosis": word, "split": None, "fold": None},
        row(root, 2) | {"diagnosis": "nv", "split": None, "fold": None},
    ]
    export.write("imagefolder", job(table=table(rows)))
    images = sorted((tmp_path / "out").rglob("*.jpg"))
    assert [len(path.relative_to(tmp_path / "out").parts) for path in images] == [2, 2]
    assert word in pq.read_table(tmp_path / "out" / "metadata.parquet")["diagnosis"].to_pylist()


def test_two_classes_and_two_images_of_one_name(job: MakeJob, root: Path, tmp_path: Path) -> None:
    """Each keeps its own place."""
    given = [("a/b", "x/1"), ("a_b", "x_1"), ("a_b", "x/1"), ("A_B", "X_1"), ("c", "y.z"), ("c", "Y.Z")]
    rows = [
        row(root, number) | {"diagnosis": word, "split": None, "fold": None, "image_id": name}
        for number, (word, name) in enumerate(given)
    ]
    assert export.write("imagefolder", job(table=table(rows))).rows == 6
    images = list((tmp_path / "out").rglob("*.jpg"))
    assert sorted(path.read_bytes() for path in images) == sorted(jpeg(number) for number in range(6))
    assert len({str(path).casefold() for path in images}) == 6
    assert len(torchvision_samples(tmp_path / "out")) == 6


# ------------------------------------------------------------------ readers


def test_torchvision_finds_classes_and_images(job: MakeJob, tmp_path: Path, rows: pa.Table) -> None:
    """By its rule, class numbers are those of the table beside the folders."""
    told = Told()
    export.write("imagefolder", job(progress=told))
    for split, count in (("train", 7), ("test", 3)):
        samples = torchvision_samples(tmp_path / "out" / split)
        beside = pq.read_table(tmp_path / "out" / split / "metadata.parquet")
        assert len(samples) == count
        if len({number for _, number in samples}) == 2:
            assert samples == sorted(
                zip(beside["file_name"].to_pylist(), beside["label"].to_pylist(), strict=True)
            )


def test_a_class_that_a_split_lacks_is_told(job: MakeJob, tmp_path: Path, root: Path) -> None:
    """ImageFolder would number the others otherwise; the table does not."""
    rows = [
        row(root, n) | {"diagnosis": d, "split": s}
        for n, (d, s) in enumerate([("a", "train"), ("b", "train"), ("b", "val")])
    ]
    told = Told()
    export.write("imagefolder", job(table=table(rows), progress=told))
    assert [line for line in told.lines if "has no image of a" in line and "out/val" in line]
    assert pq.read_table(tmp_path / "out" / "val" / "metadata.parquet")["label"].to_pylist() == [1]


@pytest.mark.slow
def test_datasets_loads_it(job: MakeJob, load_dataset: Callable[..., Any]) -> None:
    """With the same classes in every split, and the manifest's columns."""
    export.write("imagefolder", job())
    loaded = load_dataset("imagefolder", data_dir=str(job().out))
    assert {name: part.num_rows for name, part in loaded.items()} == {"train": 7, "test": 3}
    assert loaded["train"].features["label"].names == ["melanocytic-nevus", "melanoma"]
    first = loaded["train"][0]
    assert (first["image"].size, first["key"], first["age"]) == ((6, 5), "demo/IMG_0000", 40.5)


# ------------------------------------------------------------------ files


def test_images_are_hard_links(job: MakeJob, root: Path, tmp_path: Path) -> None:
    """No copy, and they stay when the cache goes."""
    export.write("imagefolder", job())
    image = tmp_path / "out" / "train" / "melanoma" / "IMG_0000.jpg"
    assert image.samefile(root / "images" / "IMG_0000.jpg")
    assert not image.is_symlink()


@pytest.mark.parametrize("reason", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_where_hard_links_cannot_lead_they_are_symbolic(
    job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    """Another disk, another owner, too many links; it is told, with the way out."""

    def refused(*_: object, **_how: object) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, "link", refused)
    told = Told()
    export.write("imagefolder", job(progress=told))
    image = tmp_path / "out" / "train" / "melanoma" / "IMG_0000.jpg"
    assert image.is_symlink()
    assert image.read_bytes() == jpeg(0)
    assert any("10 images are symbolic links" in line and "--copy" in line for line in told.lines)
    monkeypatch.setattr(Path, "symlink_to", refused)
    export.write("imagefolder", job("other", progress=told))
    image = tmp_path / "other" / "train" / "melanoma" / "IMG_0000.jpg"
    assert image.is_file()
    assert not image.is_symlink()
    assert image.read_bytes() == jpeg(0)
    assert f"10 images are copied: {tmp_path / 'other'} can have no links to the cache" in told.lines


@pytest.mark.parametrize("choices", [{"copy": True}, {"size": 6}, {"strip": True}])
def test_copies_are_files_of_their_own(
    job: MakeJob, root: Path, tmp_path: Path, choices: dict[str, object]
) -> None:
    """Changing one changes nothing in the cache."""
    export.write("imagefolder", job(**choices))
    (tmp_path / "out" / "train" / "melanoma" / "IMG_0000.jpg").write_bytes(b"edited")
    assert (root / "images" / "IMG_0000.jpg").read_bytes() == jpeg(0)


def test_a_link_becomes_a_copy_and_a_copy_a_link(job: MakeJob, root: Path, tmp_path: Path) -> None:
    """Another choice on the same folder is carried out, and the cache stays whole."""
    image = tmp_path / "out" / "train" / "melanoma" / "IMG_0000.jpg"
    for choices, same in (({}, True), ({"copy": True}, False), ({}, True), ({"size": 6}, False)):
        export.write("imagefolder", job(**choices))
        assert image.samefile(root / "images" / "IMG_0000.jpg") is same
    assert (root / "images" / "IMG_0000.jpg").read_bytes() == jpeg(0)


def test_rows_without_class_are_listed(job: MakeJob, root: Path, tmp_path: Path) -> None:
    """They have no folder to be in; with --labels the reason is the space's."""
    rows = [row(root, 0), row(root, 1) | {"diagnosis": None}]
    export.write("imagefolder", job(table=table(rows)))
    assert "demo/IMG_0001,demo,IMG_0001,no diagnosis" in (tmp_path / "out" / "left-out.csv").read_text()
    labeled = (
        table(rows)
        .append_column("label", pa.array(["x", None]))
        .append_column("label_reason", pa.array([None, "too coarse"]))
    )
    export.write("imagefolder", job("two", table=labeled))
    assert "IMG_0001,too coarse" in (tmp_path / "two" / "left-out.csv").read_text()
    assert (tmp_path / "two" / "train" / "x" / "IMG_0000.jpg").exists()


def test_no_class_at_all_is_refused(job: MakeJob, root: Path) -> None:
    """With the way out."""
    with pytest.raises(UsageError, match="no row has a class") as caught:
        export.write("imagefolder", job(table=table([row(root, 0) | {"diagnosis": None}])))
    assert "--labels" in (caught.value.hint or "")


def test_rows_that_no_split_has_slip_into_none(job: MakeJob, root: Path, tmp_path: Path) -> None:
    """They are in a folder of their own."""
    rows = [row(root, 0) | {"split": "train"}, row(root, 3) | {"split": None, "fold": None}]
    export.write("imagefolder", job(table=table(rows)))
    assert (tmp_path / "out" / "unsplit" / "melanoma" / "IMG_0003.jpg").exists()


def test_embed_means_nothing_here(job: MakeJob) -> None:
    """And is said."""
    with pytest.raises(UsageError, match="nothing can be embedded"):
        export.write("imagefolder", job(embed=True))


def test_endings_tell_the_format(job: MakeJob, root: Path, tmp_path: Path) -> None:
    """A PNG named .jpg gets its true ending; readers go by it."""
    rows = [
        row(root, 0) | {"format": "png", "split": None, "fold": None},
        row(root, 1) | {"format": None, "split": None, "fold": None},
    ]
    export.write("imagefolder", job(table=table(rows)))
    assert sorted(path.name for path in (tmp_path / "out").rglob("IMG*")) == ["IMG_0000.png", "IMG_0001.jpg"]


def test_jobs_are_described_by_folder(job: MakeJob, tmp_path: Path) -> None:
    """A plan of 400,000 lines helps nobody."""
    made: Job = job()
    assert {str(part.path.relative_to(tmp_path / "out")): part.rows for part in export.plan("imagefolder", made)} == {
        "test/melanocytic-nevus": 3, "train/melanocytic-nevus": 3, "train/melanoma": 4,
    }  # fmt: skip
