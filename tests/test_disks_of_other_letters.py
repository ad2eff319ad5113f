"""Disks that do not list a name as it was given: FAT in small letters, HFS+ decomposed. They find it by both."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

IMAGE = "images/demo_images/DEMO_0001.jpg"


class SmallLetters:
    """A folder's entries without those of the names that were given."""

    def __init__(self, entries: Any, *, hide: bool) -> None:
        self.entries, self.hide = entries, hide

    def __iter__(self) -> "SmallLetters":
        return self

    def __next__(self) -> os.DirEntry[str]:
        entry: os.DirEntry[str] = next(self.entries)
        return next(self) if self.hide and entry.name.startswith("DEMO_") else entry

    def __enter__(self) -> "SmallLetters":
        return self

    def __exit__(self, *_: object) -> None:
        self.entries.close()


@pytest.fixture
def fetched(cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo in a cache on such a disk: each image can be opened by its own name, and is listed in small letters."""
    assert cli("fetch", "demo").code == 0
    (folder,) = (tmp_path / "cache/datasets/demo").iterdir()
    for path in sorted(folder.rglob("DEMO_*")):
        os.link(path, path.with_name(path.name.lower()))
    real = os.scandir
    monkeypatch.setattr(
        os, "scandir", lambda at=".": SmallLetters(real(at), hide=str(at).startswith(str(folder)))
    )
    return folder


@pytest.mark.usefixtures("fetched")
def test_images_are_found(cli: Callable[..., Any], tmp_path: Path) -> None:
    """All of them, by each command that opens them, and none is said to be missing."""
    rows, out = tmp_path / "rows.parquet", tmp_path / "out"
    assert cli("split", "demo", "--output", rows).code == 0
    answer = cli("export", "imagefolder", rows, "--output", out, "--where", "image_problem is null")
    assert (answer.code, len(list(out.rglob("*.jpg")))) == (0, 119)
    assert "not found" not in answer.err


@pytest.mark.usefixtures("fetched")
def test_no_file_of_the_cache_is_taken_for_a_strangers(cli: Callable[..., Any]) -> None:
    """What `verify` calls extra, a person deletes."""
    answer = cli("verify", "demo")
    assert (answer.code, "extra" in answer.out) == (0, False), answer.out


def test_a_strangers_file_of_a_like_name_is_still_told(cli: Callable[..., Any], fetched: Path) -> None:
    """Other bytes under another spelling are another file, on a disk that tells the two apart."""
    small = fetched / IMAGE.replace("DEMO_0001", "demo_0001")
    small.unlink()
    small.write_bytes(b"a stranger's")
    answer = cli("verify", "demo")
    assert (answer.code, small.name in answer.out) == (1, True)


def test_a_missing_image_is_still_missing(cli: Callable[..., Any], fetched: Path, tmp_path: Path) -> None:
    for name in ("DEMO_0001", "demo_0001"):
        (fetched / IMAGE).with_stem(name).unlink()
    answer = cli("export", "imagefolder", "demo", "--output", tmp_path / "out")
    assert (answer.code, "1 image file that a row names" in answer.err) == (8, True), answer.err
    assert "demo/DEMO_0001" in answer.err
