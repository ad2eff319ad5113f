"""The lock: whom a second process waits for, and what cannot keep it out or in."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dermdata.cache import Cache
from dermdata.errors import CacheBusy, StorageError
from dermdata.process import machine_name, start_time

HOLDER = """
import sys, time
from pathlib import Path
from dermdata.cache import Cache
with Cache(Path(sys.argv[1])).lock("demo", waiting=print):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.fault(60)
def test_who_waits_too_long_is_told_for_whom(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    """Row 60: process and machine of the holder, once, then CacheBusy."""
    said: list[str] = []
    with (
        pytest.raises(CacheBusy, match=f"demo is held by process {holder.pid} on {machine_name()}") as caught,
        Cache(tmp_path).lock("demo", waiting=said.append, patience=0.3),
    ):
        pytest.fail("two hold it")
    assert said == [f"demo: waiting for process {holder.pid} on {machine_name()}"]
    assert caught.value.hint


@pytest.mark.fault(57)
def test_a_killed_holder_lets_go(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    """Row 57: the lock dies with its process, whatever the file says."""
    with Cache(tmp_path).lock("demo", waiting=lambda _text: holder.kill(), patience=30):
        assert (
            tmp_path / "locks" / "demo.lock"
        ).read_text() == f"process {os.getpid()} on {machine_name()}\n"


def test_another_dataset_is_not_held(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    said: list[str] = []
    with Cache(tmp_path).lock("other", waiting=said.append, patience=0):
        assert said == []


@pytest.mark.fault(57)
def test_a_lock_file_deleted_while_waiting_is_not_held_in_vain(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    """Row 57: the file that is locked in the end is the one that others find."""

    def meddle(_text: str) -> None:
        (tmp_path / "locks" / "demo.lock").unlink()
        holder.kill()

    with (
        Cache(tmp_path).lock("demo", waiting=meddle, patience=30),
        pytest.raises(CacheBusy),
        Cache(tmp_path).lock("demo", waiting=print, patience=0),
    ):
        pytest.fail("two hold it")


@pytest.mark.fault(59)
def test_a_planted_link_is_refused(tmp_path: Path) -> None:
    """Row 59: a symbolic link in place of the lock file overwrites nothing."""
    mine = tmp_path / "bashrc"
    mine.write_text("mine")
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "demo.lock").symlink_to(mine)
    with pytest.raises(StorageError, match="symbolic link"), Cache(tmp_path).lock("demo", waiting=print):
        pytest.fail("it was followed")
    assert mine.read_text() == "mine"


@pytest.mark.fault(66, 96)
@pytest.mark.parametrize("note", [b"\xff\xfe\x00\x1b[31m", b"x" * 100_000, b""])
def test_garbage_in_a_lock_file_harms_nobody(note: bytes, tmp_path: Path) -> None:
    """Rows 66, 96: it is neither trusted nor sent raw to the terminal."""
    path = tmp_path / "locks" / "demo.lock"
    said: list[str] = []
    with Cache(tmp_path).lock("demo", waiting=print):
        path.write_bytes(note)
        with (
            pytest.raises(CacheBusy) as caught,
            Cache(tmp_path).lock("demo", waiting=said.append, patience=0.1),
        ):
            pytest.fail("two hold it")
    assert caught.value.message.isprintable()
    assert all(text.isprintable() and len(text) < 300 for text in said)


def failing(code: int) -> Callable[..., Any]:
    def flock(_handle: int, _how: int) -> None:
        raise OSError(code, os.strerror(code))

    return flock


@pytest.mark.fault(58)
@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_where_there_are_no_locks_work_goes_on_and_says_so(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 58: two writers only double the traffic."""
    monkeypatch.setattr("fcntl.flock", failing(code))
    said: list[str] = []
    with Cache(tmp_path).lock("demo", waiting=said.append):
        pass
    assert [text.startswith("demo: this file system has no locks") for text in said] == [True]


@pytest.mark.fault(58)
def test_locks_that_do_nothing_let_everybody_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 58: each writer's temporary names are its own, so the bytes are right."""
    monkeypatch.setattr("fcntl.flock", lambda _handle, _how: None)
    cache = Cache(tmp_path)
    folder = cache.version_folder("demo", "1")
    with (
        cache.lock("demo", waiting=print),
        cache.lock("demo", waiting=print),
        folder.replace_folder("images/a") as one,
        folder.replace_folder("images/a") as two,
    ):
        assert one != two
    assert sorted(path.name for path in folder.path.rglob("*")) == ["a", "images"]


def test_another_failure_of_the_lock_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fcntl.flock", failing(errno.EIO))
    with pytest.raises(StorageError, match="cannot lock demo"), Cache(tmp_path).lock("demo", waiting=print):
        pytest.fail("it was not locked")


@pytest.mark.fault(45)
def test_a_full_disk_does_not_keep_the_lock_from_whoever_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 45: the note in the lock file is a courtesy."""

    def pwrite(_handle: int, _data: bytes, _offset: int) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("os.pwrite", pwrite)
    with Cache(tmp_path).lock("demo", waiting=print):
        assert (tmp_path / "locks" / "demo.lock").read_bytes() == b""


def test_who_holds_it_can_be_asked_without_waiting(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    """And without creating a lock file for a dataset that nobody ever held."""
    assert Cache(tmp_path).holder("demo") == f"process {holder.pid} on {machine_name()}"
    assert Cache(tmp_path).holder("other") is None
    assert not (tmp_path / "locks" / "other.lock").exists()
    holder.kill()
    holder.wait()
    assert Cache(tmp_path).holder("demo") is None


def queued(tmp_path: Path, *lines: str) -> list[str]:
    """What is said to a process that finds these lines where locks do nothing, before its turn or its patience ends."""
    path = tmp_path / "locks" / "demo.queue"
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(lines))
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch, suppress(CacheBusy):
        patch.setattr("fcntl.flock", lambda _handle, _how: None)
        with Cache(tmp_path).lock("demo", waiting=said.append, patience=0.1):
            said.append("our turn")
    return said


def test_who_came_first_goes_first_where_locks_do_nothing(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    """Row 58: a living process of this machine that has not gone is waited for, and named."""
    line = f"+ {machine_name()} {holder.pid} {start_time(holder.pid)} 00"
    waits = [f"demo: waiting for process {holder.pid} on {machine_name()}"]
    assert queued(tmp_path / "there", line) == waits
    assert queued(tmp_path / "gone", line, line.replace("+", "-")) == ["our turn"]


def test_nobody_waits_in_a_queue_for_the_dead_for_another_machine_or_for_garbage(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    """Rows 57, 58, 66: an id that is used again is another process."""
    since = start_time(holder.pid)
    for number, line in enumerate(
        (
            f"+ {machine_name()} 999999999 1 00",
            f"+ {machine_name()} {'9' * 30} 1 00",
            f"+ {machine_name()} 0  00",
            f"+ {machine_name()} {holder.pid} {since}1 00",
            f"+ elsewhere {holder.pid} {since} 00",
            "+ \x00 \x1b[31m",
            "+",
            f"+ {machine_name()}",
        )
    ):
        assert queued(tmp_path / str(number), line) == ["our turn"], line
