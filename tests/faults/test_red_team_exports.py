"""Findings 2, 4, 9 and 14 of the attack on the first version, as a person meets them at the command line."""

import csv
import fcntl
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dermdata import manifest
from dermdata.export import record
from dermdata.export.record import ExportRun
from dermdata.object_store import LocalFolder
from export.folder_contents import contents
from export.pictures import photograph, saved, segment
from export.samples import jpeg, row, table
from export.samples import manifest as sample

Cli = Callable[..., Any]
WAYS = ["webdataset", "huggingface", "imagefolder", "imagefolder --copy", "parquet --embed", "webdataset --size 6",
        "coco", "coco --copy", "croissant --embed", "imagefolder --strip-exif"]  # fmt: skip


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    """The folder of a dataset in the cache."""
    folder = tmp_path / "cache" / "datasets" / "demo" / "1.0"
    manifest.write_manifest(sample(folder), folder / "manifest.parquet", {"dataset": "demo"})
    (folder / "images" / "IMG_0010.jpg").write_bytes(jpeg(10))  # no image is missing here
    return folder


@pytest.mark.parametrize("words", WAYS)
def test_red_team_02_an_altered_image_is_not_exported(
    cli: Cli, cached: Path, tmp_path: Path, words: str
) -> None:
    """Exit 4 with row, file and the mend; after it the same command is right."""
    path = cached / "images" / "IMG_0002.jpg"
    before = path.read_bytes()
    path.write_bytes(before[:-3] + b"\0" + before[-2:])
    answer = cli("export", *words.split(), "demo", "-o", tmp_path / "out")
    assert answer.code == 4
    assert f"error: demo/IMG_0002: {path} was altered: its sha256 is " in answer.err
    assert "hint: `dermdata verify --repair`" in answer.err
    path.unlink()
    path.write_bytes(before)
    # 8: one of its images is gone
    assert cli("export", *words.split(), "demo", "-o", tmp_path / "out").code == 8
    assert cli("export", *words.split(), "demo", "-o", tmp_path / "fresh").code == 8
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_red_team_02_images_that_nobody_can_compare_are_counted(cli: Cli, tmp_path: Path) -> None:
    """A manifest of one's own without checksums."""
    rows = table([row(tmp_path, number) | {"sha256": None, "dataset": "mine"} for number in range(3)])
    manifest.write_manifest(rows, tmp_path / "mine.parquet", {})
    answer = cli("export", "webdataset", tmp_path / "mine.parquet", "-o", tmp_path / "out")
    assert answer.code == 0
    assert "warning: 3 images have no checksum to compare with" in answer.err


@pytest.mark.usefixtures("cached")
def test_red_team_04_a_second_export_waits_for_the_first(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is refused with exit 5 when that does not end."""
    monkeypatch.setattr(record, "LOCK_TIMEOUT", 0)
    with record.hold_folder(LocalFolder(tmp_path / "out"), print):
        answer = cli("export", "webdataset", "demo", "-o", tmp_path / "out")
    assert answer.code == 5
    assert f"error: {tmp_path}/out is held by process {os.getpid()} on " in answer.err


@pytest.mark.usefixtures("cached")
def test_red_team_04_two_exports_where_locks_do_nothing(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A is stopped after its record, B exports smaller images, A goes on: A fails, nothing of it is kept."""
    monkeypatch.setattr(fcntl, "flock", lambda _handle, _how: None)
    real, others = ExportRun.begin, [("export", "webdataset", "--size", "6", "demo", "-o", tmp_path / "out")]

    def stopped(self: ExportRun) -> None:
        real(self)
        if others:
            assert cli(*others.pop()).code == 8

    monkeypatch.setattr(ExportRun, "begin", stopped)
    answer = cli("export", "webdataset", "demo", "-o", tmp_path / "out")
    assert answer.code == 5
    assert "error: another export wrote into " in answer.err
    again = cli("export", "webdataset", "--size", "6", "demo", "-o", tmp_path / "out")
    assert again.code == 8
    assert "already there" not in again.err


def test_red_team_09_names_are_told_and_do_not_go_out(cli: Cli, tmp_path: Path) -> None:
    """IPTC in the old Photoshop header: `audit` has a row for it, `--strip-exif` leaves nothing of it."""
    content = b"Adobe_Photoshop2.5:8BIM\x04\x04\0\0\0\0\0\x0d\x1c\x02\x50\0\x08Jane Doe"
    data = saved(photograph(), "JPEG")
    rows = [row(tmp_path, 0) | {"sha256": None, "bytes": None, "dataset": "mine"}]
    (tmp_path / "images" / "IMG_0000.jpg").write_bytes(data[:20] + segment(0xED, content) + data[20:])
    manifest.write_manifest(table(rows), tmp_path / "mine.parquet", {})
    told = cli("audit", tmp_path / "mine.parquet", "--only", "exif-private")
    assert "1 image carries a person's name in its EXIF, XMP, IPTC or comments" in told.out
    out = tmp_path / "out"
    assert cli("export", "imagefolder", tmp_path / "mine.parquet", "--strip-exif", "-o", out).code == 0
    assert not [path for path in out.rglob("*.jpg") if b"Jane" in path.read_bytes()]


def test_red_team_14_what_is_left_out_is_no_formula(cli: Cli, tmp_path: Path) -> None:
    """The script's own table."""
    (tmp_path / "l.csv").write_text("dataset,image_id,path,diagnosis,license\ne,=1+1,,,=HYPERLINK(1)\n")
    words = (
        "export",
        "csv",
        tmp_path / "l.csv",
        "--excel-safe",
        "--redistributable",
        "-o",
        tmp_path / "o.csv",
    )
    assert cli(*words).code == 0
    (line,) = list(csv.reader(io.StringIO((tmp_path / "o.csv.left-out.csv").read_text())))[1:]
    assert not [cell for cell in line if cell.startswith("=")]
    assert line[2] == "'=1+1"


@pytest.mark.parametrize("form", ["imagefolder", "coco"])
def test_red_team_05_a_person_s_own_pictures_are_never_linked(cli: Cli, tmp_path: Path, form: str) -> None:
    """Who edits the export in place must not edit the pictures beside the manifest; what the cache has is linked."""
    rows = table([row(tmp_path / "own", number) | {"dataset": "mine"} for number in range(3)])
    manifest.write_manifest(rows, tmp_path / "own" / "mine.parquet", {})
    assert cli("export", form, tmp_path / "own" / "mine.parquet", "-o", tmp_path / "out").code == 0
    sources = {path.stat().st_ino for path in (tmp_path / "own").rglob("*.jpg")}
    placed = [path for path in (tmp_path / "out").rglob("*") if path.suffix in (".jpg", ".jpeg")]
    assert len(placed) == 3
    assert not sources & {path.stat().st_ino for path in placed}
    assert not any(path.is_symlink() for path in placed)
