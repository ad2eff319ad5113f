"""Names as clinics have them: umlauts of either form, any case, blanks, line ends, folders; and folders without rights."""

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from conftest import Answer
from dermdata.cache.outside import describe_outside
from dermdata.errors import StorageError

Cli = Callable[..., Answer]
NAMES = {  # in the table -> on the disk
    "Übersicht_1.jpg": unicodedata.normalize("NFD", "Übersicht_1.JPG"),
    "läsion 2": "Läsion 2.JPEG",
    "a b (3).jpg": "sub/a b (3).jpg",
    '"new\nline4.jpg"': "sub/new\nline4.jpg",
    "x\\BILD.jpg": "x/BILD.jpg",
    "Y/bild.JPG": "y/BILD.jpg",
}


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    for number, name in enumerate(NAMES.values()):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 12), (number * 40, 60, 90)).save(path, format="JPEG")
    return tmp_path


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252"])
def test_names_of_all_kinds(cli: Cli, clinic: Path, encoding: str) -> None:
    """German numbers, dates, line ends of Windows; every picture is found, in one command and without a question."""
    lines = ["Bild;PatNr;Diagnose;Alter;Größe_mm;Datum"]
    lines += [
        f"{name};{n // 2};{('Nevus', 'Melanoma')[n % 2]};{40 + n // 2};{n},5;0{n + 1}.03.2024"
        for n, name in enumerate(NAMES)
    ]
    (clinic / "visits.csv").write_bytes("\r\n".join([*lines, ""]).encode(encoding))
    added = cli("add", "clinic", clinic / "pictures", "--table", clinic / "visits.csv", "-o", clinic / "lab")
    assert added.code == 0, added.err
    rows = {row["image_id"]: row for row in pq.read_table(added.out.splitlines()[-1]).to_pylist()}
    assert set(rows) == {
        "Übersicht_1", "läsion 2", "a b (3)", "new\nline4", "x/BILD", "Y/bild",
    }  # fmt: skip
    assert len({row["sha256"] for row in rows.values()} - {None}) == len(NAMES)
    assert (rows["x/BILD"]["patient_id"], rows["x/BILD"]["age"]) == ("clinic/2", 42.0)
    assert dict(rows["x/BILD"]["extra"])["Größe_mm"] == "4,5"
    assert cli("--catalog", clinic / "lab", "verify", "clinic").code == 0


def test_two_pictures_of_one_name_in_another_case_are_a_conflict(cli: Cli, tmp_path: Path) -> None:
    """Where the table's name is neither's: none is taken, and both are named."""
    for number, name in enumerate(("ab.jpg", "aB.JPG", "b.jpg")):
        Image.new("RGB", (16, 12), (number * 40, 60, 90)).save(tmp_path / name, format="JPEG")
    (tmp_path / "t.csv").write_text("image,dx\nab.jpg,nevus\nB.jpg,nevus\n")
    added = cli("add", "own", tmp_path, "-o", tmp_path / "lab")
    assert added.code == 0, added.err
    (tmp_path / "t.csv").write_text("image,dx\nAB.jpg,nevus\nB.jpg,nevus\n")
    added = cli("add", "own", tmp_path, "-o", tmp_path / "lab", "--force")
    assert (added.code, "2 different files, none was taken" in added.err) == (8, True), added.err


def test_names_that_no_text_can_hold(cli: Cli, tmp_path: Path) -> None:
    """A file's name that is not UTF-8 is a picture like others; a folder that is to be named in the entry is refused."""
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/p\xff")
    Path(folder).mkdir()
    Image.new("RGB", (16, 12)).save(Path(folder) / "x.jpg")
    refused = cli("add", "own", folder, "-o", tmp_path / "lab")
    assert (refused.code, "is not UTF-8, so no entry can name it" in refused.err) == (2, True)
    Path(folder, "x.jpg").rename(os.fsdecode(os.fsencode(tmp_path) + b"/x\xff.jpg"))
    Path(folder).rmdir()
    added = cli("add", "own", tmp_path, "-o", tmp_path / "lab")
    assert added.code == 0, added.err
    assert cli("--catalog", tmp_path / "lab", "verify", "own").code == 0


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 5, with what is in the way."""
    (tmp_path / "x\n.jpg").write_bytes(b"x")
    seen = describe_outside(tmp_path / "x\n.jpg", "")

    def refuse(_: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "lstat", refuse)
    with pytest.raises(StorageError, match=r"x\\n.jpg cannot be read: permission denied") as found:
        seen.check()
    assert found.value.exit_code == 5
