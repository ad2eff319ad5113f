"""How an image's file is opened: regular files alone, without waiting, of a bounded size."""

import hashlib
import os
import socket
from pathlib import Path

import pytest

from dermdata.errors import SizeMismatch, StorageError
from dermdata.export.image_bytes import ImageTask, Recipe, read_stored
from dermdata.images import check_image, image_file
from dermdata.images.image_file import ImageFileTooLarge, hash_image_file, open_image_file, read_image_file


@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "link", "device", "nothing"])
def test_what_is_no_regular_file_is_an_error_at_once(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe nobody writes to would be waited for, /dev/zero has no end."""
    monkeypatch.chdir(tmp_path)
    path = Path("/dev/zero") if kind == "device" else tmp_path / "x"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind("x")
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(__file__)
    for work in (read_image_file, hash_image_file, open_image_file):
        with pytest.raises(
            OSError, match="No such file" if kind == "nothing" else f"it is a .*{kind}, not a file"
        ):
            work(path)
    with pytest.raises(StorageError, match="cannot read"):
        read_stored(ImageTask(str(path), None, Recipe()))


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    """Empty ones too."""
    for data in (b"", b"x" * 3_000_000):
        (tmp_path / "x").write_bytes(data)
        assert read_image_file(tmp_path / "x") == data
        assert hash_image_file(str(tmp_path / "x")) == hashlib.sha256(data).hexdigest()


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The holes of a sparse one would fill the memory."""
    with (tmp_path / "x").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ImageFileTooLarge):
        read_image_file(tmp_path / "x")
    with pytest.raises(SizeMismatch, match="the manifest says 5"):
        read_stored(ImageTask(str(tmp_path / "x"), 5, Recipe()))
    with pytest.raises(StorageError, match="the limit is"):
        read_stored(ImageTask(str(tmp_path / "x"), None, Recipe()))
    assert str(check_image(tmp_path / "x").problem).startswith("too many bytes: 1,099,511,627,776")


@pytest.mark.parametrize("told", [0, 3, 50])
def test_a_file_that_grows_meanwhile_is_bounded_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: int
) -> None:
    """Some file systems tell no size at all."""
    (tmp_path / "x").write_bytes(b"x" * 100)
    whole = os.fstat

    def smaller(handle: int) -> os.stat_result:
        facts = list(whole(handle))
        return os.stat_result([*facts[:6], told, *facts[7:]])

    monkeypatch.setattr("dermdata.images.image_file.os.fstat", smaller)
    assert read_image_file(tmp_path / "x") == b"x" * 100
    assert hash_image_file(tmp_path / "x") == hashlib.sha256(b"x" * 100).hexdigest()
    monkeypatch.setattr(image_file, "MOST_BYTES", 99)
    with pytest.raises(ImageFileTooLarge):
        read_image_file(tmp_path / "x")


def test_no_handle_stays_open(tmp_path: Path) -> None:
    """Over thousands of images that would be the end."""
    os.mkfifo(tmp_path / "pipe")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        with pytest.raises(OSError, match="a pipe"):
            read_image_file(tmp_path / "pipe")
        read_image_file(__file__)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
