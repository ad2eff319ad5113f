"""How a file comes to be: whatever fails, the target is the old bytes or the new ones, and nothing else is left."""

import errno
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dermdata import disk
from dermdata.errors import ChecksumMismatch, StorageError, UsageError


class Killed(BaseException):
    """Stands for the end of the process at this step."""


def raising(error: BaseException) -> Callable[..., Any]:
    def act(*_args: object, **_options: object) -> None:
        raise error

    return act


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def is_folder(handle: int) -> bool:
    return stat.S_ISDIR(os.fstat(handle).st_mode)


STEPS = {"fsync": "os.fsync", "rename": "pathlib.Path.replace"}


@pytest.mark.fault(45, 51, 53)
@pytest.mark.parametrize("step", ["write", *STEPS])
@pytest.mark.parametrize("kind", ["full", "killed"])
@pytest.mark.parametrize("before", [None, b"old"])
def test_a_failure_at_any_step_leaves_the_target_as_it_was(
    step: str, kind: str, before: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows 45, 51, 53: the old file (or none) is there, and no temporary one."""
    target = tmp_path / "file"
    if before is not None:
        target.write_bytes(before)
    error = Killed() if kind == "killed" else OSError(errno.ENOSPC, "No space left on device")
    if step in STEPS:
        monkeypatch.setattr(STEPS[step], raising(error))

    def chunks() -> Iterator[bytes]:
        yield b"new"
        if step == "write":
            raise error

    with pytest.raises(Killed if kind == "killed" else StorageError):
        disk.write_chunks(target, chunks())
    assert files(tmp_path) == ({} if before is None else {"file": before})


def test_an_error_of_the_caller_stays_what_it_is(tmp_path: Path) -> None:
    """A checksum that does not match is no storage error."""
    with pytest.raises(ChecksumMismatch), disk.atomic_write(tmp_path / "file"):
        raise ChecksumMismatch("x")
    assert files(tmp_path) == {}


def test_a_failed_clean_up_does_not_hide_the_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk turned read-only meanwhile: the checksum is still what is told."""
    monkeypatch.setattr("pathlib.Path.unlink", raising(OSError(errno.EROFS, "Read-only file system")))
    with pytest.raises(ChecksumMismatch), disk.atomic_write(tmp_path / "file"):
        raise ChecksumMismatch("x")


def test_a_file_is_replaced_at_once_and_its_folders_are_made(tmp_path: Path) -> None:
    """Whoever has the old file open reads it to its end; the hash is that of the bytes written."""
    target = tmp_path / "a" / "b" / "file"
    first = disk.write_chunks(target, [b"ol", b"d"])
    with target.open("rb") as reader:
        second = disk.write_text(target, "new\r\n")
        assert reader.read() == b"old"
    assert target.read_bytes() == b"new\r\n"
    assert first.sha256 != second.sha256
    assert files(target.parent).keys() == {"file"}


@pytest.mark.fault(55)
def test_the_bytes_are_on_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 55: fsync of the file, then rename, then fsync of the folder."""
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(handle: int) -> None:
        steps.append("folder" if is_folder(handle) else "file")
        fsync(handle)

    def renamed(path: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(path, target)

    monkeypatch.setattr("os.fsync", synced)
    monkeypatch.setattr("pathlib.Path.replace", renamed)
    disk.write_chunks(tmp_path / "file", [b"x"])
    assert steps == ["file", "rename", "folder"]


@pytest.mark.fault(64)
def test_the_temporary_file_lies_beside_the_target(tmp_path: Path) -> None:
    """Row 64: a rename never crosses a mount."""
    with disk.atomic_write(tmp_path / "file"):
        (temporary,) = tmp_path.iterdir()
        assert temporary.name.startswith(".file.")
        assert temporary.name.endswith(".tmp")


@pytest.mark.fault(63)
@pytest.mark.parametrize("name", ["n" * 255, "ж" * 127])
def test_the_longest_names_can_be_written(name: str, tmp_path: Path) -> None:
    """Row 63: 255 bytes are a legal name; the temporary one is not longer."""
    disk.write_chunks(tmp_path / name, [b"x"])
    assert files(tmp_path) == {name: b"x"}


@pytest.mark.fault(63)
def test_a_name_that_is_too_long_is_told_in_words(tmp_path: Path) -> None:
    """Row 63: 256 bytes are refused as a storage error, not by a traceback."""
    with pytest.raises(StorageError, match="File name too long"):
        disk.write_chunks(tmp_path / ("n" * 256), [b"x"])
    assert files(tmp_path) == {}


def test_a_symbolic_link_is_replaced_not_followed(tmp_path: Path) -> None:
    """The file it leads to keeps its bytes."""
    other, link = tmp_path / "other", tmp_path / "link"
    other.write_bytes(b"mine")
    link.symlink_to(other)
    disk.write_chunks(link, [b"new"])
    assert other.read_bytes() == b"mine"
    assert not link.is_symlink()


def test_a_folder_in_the_way_is_told(tmp_path: Path) -> None:
    """A folder of the target's name stays."""
    (tmp_path / "file").mkdir()
    with pytest.raises(StorageError, match="cannot use"):
        disk.write_chunks(tmp_path / "file", [b"x"])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_a_file_system_that_cannot_sync_folders_is_used(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network file systems refuse to sync a folder: the write is as durable as it can be there."""
    fsync = os.fsync

    def synced(handle: int) -> None:
        if is_folder(handle):
            raise OSError(code, os.strerror(code))
        fsync(handle)

    monkeypatch.setattr("os.fsync", synced)
    disk.write_chunks(tmp_path / "file", [b"x"])
    assert files(tmp_path) == {"file": b"x"}


# ------------------------------------------------------------------ words


@pytest.mark.fault(45)
def test_no_room_says_how_much_is_needed_and_free(tmp_path: Path) -> None:
    """Row 45: path, bytes needed, bytes free, and what to do."""
    error = disk.to_storage_error(OSError(errno.ENOSPC, "x"), tmp_path / "sub" / "file", 1_500_000)
    assert "no room for" in error.message
    assert "1,500,000 bytes needed" in error.message
    assert error.message.endswith(" bytes free")
    assert "make room" in (error.hint or "")


@pytest.mark.fault(47)
@pytest.mark.parametrize("code", sorted(disk.FULL_ERRORS))
def test_quota_and_file_size_limits_are_no_room_too(code: int, tmp_path: Path) -> None:
    """Row 47: whatever the limit is called, there is no room."""
    assert "no room" in disk.to_storage_error(OSError(code, "x"), tmp_path).message


@pytest.mark.fault(46)
@pytest.mark.parametrize(
    ("code", "limit"), [(errno.EDQUOT, "quota"), (errno.EFBIG, "ulimit -f"), (errno.EMFILE, "open files")]
)
def test_a_limit_is_named_not_the_free_bytes_of_the_disk(code: int, limit: str, tmp_path: Path) -> None:
    """Rows 47, 50: the disk has room, so its free bytes would send the reader the wrong way."""
    message = disk.to_storage_error(OSError(code, os.strerror(code)), tmp_path).message
    assert limit in message
    assert "bytes free" not in message


@pytest.mark.parametrize("kind", ["file", "dangling"])
def test_what_stands_in_place_of_a_folder_is_named(kind: str, tmp_path: Path) -> None:
    """The one thing that the person must move away."""
    way = tmp_path / "cache"
    way.write_text("mine") if kind == "file" else way.symlink_to(tmp_path / "nowhere")
    with pytest.raises(StorageError, match=f"{way} is no folder"):
        disk.write_chunks(way / "a" / "file", [b"x"])


def test_what_is_on_its_way_is_measured_without_its_holes(tmp_path: Path) -> None:
    """Row 45: parallel streams leave gaps; only what lies on the disk has its room already."""
    with (tmp_path / ".data.zip.0123.part").open("wb") as file:
        file.write(b"x" * 8192)
        file.seek(50_000_000)
        file.write(b"x")
    assert 8192 <= disk.count_partial_bytes(tmp_path / "data.zip") < 1_000_000
    assert disk.count_partial_bytes(tmp_path / "other.zip") == 0


def test_no_inodes_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 46: bytes are free, but files are not."""
    full = os.statvfs_result((4096, 4096, 100, 50, 50, 1000, 0, 0, 0, 255))
    monkeypatch.setattr("os.statvfs", lambda _path: full)
    assert "no inodes" in disk.to_storage_error(OSError(errno.ENOSPC, "x"), tmp_path).message


def test_a_name_refused_beside_free_bytes_lacks_an_inode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 46: another thread's clean-up has given one back before we look; a refused write lacks bytes."""
    target = tmp_path / "file"
    monkeypatch.setattr("os.statvfs", lambda _path: os.statvfs_result((4096,) * 2 + (900,) * 7 + (255,)))
    monkeypatch.setattr("shutil.disk_usage", lambda _path: SimpleNamespace(free=3_686_400))
    assert "no inodes" in disk.to_storage_error(OSError(errno.ENOSPC, "x", str(target)), target).message
    assert "3,686,400 bytes free" in disk.to_storage_error(OSError(errno.ENOSPC, "x"), target).message


@pytest.mark.fault(48, 49)
def test_read_only_and_forbidden_say_which(tmp_path: Path) -> None:
    """Rows 48, 49: what is read-only, or whose it is; and where else to write."""
    read_only = disk.to_storage_error(OSError(errno.EROFS, "x"), tmp_path / "file")
    assert f"{tmp_path} is read-only" in read_only.message
    foreign = disk.to_storage_error(PermissionError(errno.EACCES, "x"), tmp_path / "file")
    assert f"{tmp_path} belongs to user {os.getuid()}" in foreign.message
    assert "--cache" in (foreign.hint or "")


def test_a_folder_that_cannot_be_looked_into_is_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finding whose folder it is may be forbidden itself."""
    locked = tmp_path / "locked"
    locked.mkdir()
    look = os.stat

    def refusing(path: Any, *args: Any, **options: Any) -> os.stat_result:
        if str(path).startswith(f"{locked}{os.sep}"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return look(path, *args, **options)

    monkeypatch.setattr("os.stat", refusing)
    error = disk.to_storage_error(PermissionError(errno.EACCES, "x"), locked / "a" / "file")
    assert str(locked) in error.message


def test_the_file_that_cannot_be_read_is_named_not_the_one_to_write(tmp_path: Path) -> None:
    """Copying from a folder: the source is what is missing."""
    source = tmp_path / "disk" / "gone.zip"
    with pytest.raises(StorageError, match=r"cannot use .*gone\.zip: No such file") as caught:
        disk.write_chunks(tmp_path / "cache" / "file", disk.read_chunks(source))
    assert "cache" not in caught.value.message


def test_space_is_asked_for_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exactly enough is enough; the folder need not exist yet."""
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 100})())
    disk.require_space(tmp_path / "not" / "yet", 100)
    with pytest.raises(StorageError, match="101 bytes needed, 100 bytes free"):
        disk.require_space(tmp_path / "not" / "yet", 101)
    assert files(tmp_path) == {}


def test_a_pipe_or_device_is_never_replaced(tmp_path: Path) -> None:
    """As root, `-o /dev/null` would take it from the whole machine; also where a link leads to it."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for name in ("pipe", "link"):
        with pytest.raises(UsageError, match="a device or a pipe"):
            disk.require_file(tmp_path / name)
        with pytest.raises(StorageError, match="a device or a pipe"):
            disk.write_chunks(tmp_path / name, [b"x"])
    assert stat.S_ISFIFO((tmp_path / "pipe").lstat().st_mode)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["link", "pipe"]


# ------------------------------------------------------------------ reading what others may have replaced


def placed(path: Path, what: str) -> Path:
    """Something in place of a file."""
    if what == "pipe":
        os.mkfifo(path)
    elif what == "symbolic link":
        path.symlink_to("/etc/passwd")
    elif what == "folder":
        path.mkdir()
    elif what == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(path))
    else:  # of no size on the disk
        path.touch()
        os.truncate(path, 1 << 40)
    return path


@pytest.mark.parametrize("what", ["pipe", "symbolic link", "folder", "socket", "1,000 bytes"])
def test_only_a_regular_file_of_bounded_size_is_read(what: str, tmp_path: Path) -> None:
    """At once, without waiting for a writer and without reading a terabyte."""
    path = placed(tmp_path / "state.json", what)
    with pytest.raises(disk.NotRegular) as caught:
        disk.read_regular(path, most=1000)
    told = disk.to_storage_error(caught.value, path)
    assert what in told.message
    assert str(path) in told.message
    assert "move it away" in (told.hint or "")


def test_a_device_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(disk.NotRegular, match="device"):
        disk.read_regular(Path("/dev/zero"), most=1000)
    link = tmp_path / "link"
    link.symlink_to("/dev/zero")
    with pytest.raises(disk.NotRegular, match="device"):
        disk.read_regular(link, most=1000, links=True)


def test_a_file_is_read_whole_up_to_the_bound(tmp_path: Path) -> None:
    """Empty, full, and through a link where that is allowed."""
    path, link = tmp_path / "a", tmp_path / "b"
    link.symlink_to(path)
    for data in (b"", b"x" * 1000):
        path.write_bytes(data)
        assert disk.read_regular(path, most=1000) == disk.read_regular(link, most=1000, links=True) == data
    with pytest.raises(FileNotFoundError):
        disk.read_regular(tmp_path / "gone", most=1000)
