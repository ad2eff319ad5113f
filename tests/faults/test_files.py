"""Disks that are full, read-only, not ours or broken: rows 45-48, 50-52 and 59 of the table of faults.

Every row runs real command lines on a small dataset of a private catalog. Disks are counted in this process,
and real ones where the machine may mount a tmpfs: the same test, so that nothing is skipped without the right.

| row | not tried as the table says, and why |
|---|---|
| 52  | EINTR: Python itself repeats the call (PEP 475), so no line of ours ever sees one |
| 59  | a cache folder that others may write to: a laboratory shares one; `verify` checks its bytes |
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from faults.disks import KINDS, Counted, Tmpfs, disk_of
from faults.stage import CountingSite, finals, publish, run, small_files, words, wrong_finals

LOOSE = "files.example/loose.bin"
INDEX = 2_000_000  # bytes: the compiled catalog and a few small files


@pytest.fixture
def site() -> Iterator[CountingSite]:
    with CountingSite() as running:
        yield running


@pytest.fixture(params=KINDS)
def disk(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Counted | Tmpfs]:
    """A disk of 5.5 MiB; the compiled catalogs, bundled and own, take more than half of it."""
    with disk_of(request.param, tmp_path / "disk", 11 << 19, monkeypatch) as made:
        yield made


def test_row_45_too_small_a_disk_is_told_before_a_byte_is_asked_for(
    cli: Callable, disk: Counted | Tmpfs, site: CountingSite, tmp_path: Path
) -> None:
    """Sizes are known: exit 5 with the bytes needed and free; after room is made each file comes once."""
    files = small_files(loose=2_500_000)
    options = publish(tmp_path, site, files)
    answer = cli(*options, "fetch", "ours", cache=disk.path)
    assert answer.code == 5
    needed = sum(map(len, files.values())) + len(files["images.zip"])
    assert f"no room for {disk.path}/datasets/ours/1: {needed:,} bytes needed, " in answer.err
    assert " bytes free" in answer.err
    assert site.requests == []
    disk.resize(10 << 20)
    assert cli(*options, "fetch", "ours", cache=disk.path).code == 0
    assert set(site.downloads().values()) == {1}


def test_row_45_a_disk_that_fills_up_in_the_middle_costs_no_byte_twice(
    cli: Callable, disk: Counted | Tmpfs, site: CountingSite, tmp_path: Path
) -> None:
    """Nobody tells the size: exit 5, what is verified stays, the partial is continued after room is made."""
    files = small_files(loose=2_500_000)
    options = publish(tmp_path, site, files, sizes=False)
    site.lengthless, site.rate = {LOOSE}, 20e6
    answer = cli(*options, "fetch", "ours", cache=disk.path)
    assert answer.code == 5
    assert "files/loose.bin: " in answer.err
    assert "bytes needed, " in answer.err
    assert "bytes free" in answer.err
    had = sum(part.stat().st_size for part in disk.path.rglob(".loose.bin.*.part"))
    assert had > 500_000
    disk.resize(10 << 20)
    answer = cli(*options, "fetch", "ours", cache=disk.path)
    assert answer.code == 0, answer.err
    assert site.downloads() == {LOOSE: 2, "files.example/images.zip": 1, "files.example/table.csv": 1}
    assert site.again() <= 1 << 20
    assert finals(disk.path)["1/files/loose.bin"] == files["loose.bin"]


def test_row_45_an_archive_is_kept_until_there_is_room_to_unpack_it(
    cli: Callable, disk: Counted | Tmpfs, site: CountingSite, tmp_path: Path
) -> None:
    """The archive fits, what is in it does not: exit 5, and the archive is not asked for again."""
    files = small_files(images=40, side=128, loose=1000)
    options = publish(tmp_path, site, files, sizes=False)
    disk.resize(INDEX + len(files["images.zip"]) * 3 // 2)
    answer = cli(*options, "fetch", "ours", cache=disk.path)
    assert answer.code == 5, answer.err
    assert "bytes needed" in answer.err
    disk.resize(10 << 20)
    assert cli(*options, "fetch", "ours", cache=disk.path).code == 0
    assert site.downloads()["files.example/images.zip"] == 1
    assert cli(*options, "verify", cache=disk.path).code == 0


def test_row_45_a_manifest_without_room_is_written_by_the_next_run(
    cli: Callable, site: CountingSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All files are there: the next run asks for none of them."""
    options = publish(tmp_path, site, small_files())
    create = os.open

    def full(path: Any, *how: Any, **options: Any) -> int:
        if Path(path).name.startswith(".manifest.parquet."):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return create(path, *how, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", full)
        answer = cli(*options, "fetch", "ours")
    assert answer.code == 5
    assert "no room for" in answer.err
    site.forget()
    assert cli(*options, "fetch", "ours").code == 0
    assert site.requests == []


def test_row_46_no_inodes_left_is_called_so(
    cli: Callable, disk: Counted | Tmpfs, site: CountingSite, tmp_path: Path
) -> None:
    """Bytes are free, files are not: exit 5 says "inodes"; with more of them the same command completes."""
    options = publish(tmp_path, site, small_files(loose=1000))
    disk.resize(files=18)
    answer = cli(*options, "fetch", "ours", cache=disk.path)
    assert answer.code == 5
    assert "no inodes free (too many files)" in answer.err
    disk.resize(files=200)
    assert cli(*options, "fetch", "ours", cache=disk.path).code == 0
    assert cli(*options, "verify", cache=disk.path).code == 0
    assert max(site.downloads().values()) == 1


def test_row_47_a_file_size_limit_is_called_so(site: CountingSite, tmp_path: Path) -> None:
    """`ulimit -f`: exit 5 names the limit, not the free bytes of the disk; without it the partial goes on."""
    options = publish(tmp_path, site, small_files(loose=1_400_000))
    line = words(tmp_path / "cache", options, "fetch", "ours")
    answer = run(["sh", "-c", 'ulimit -f 1000; exec "$@"', "sh", *line])
    assert answer.returncode == 5, answer.stderr
    assert "loose.bin" in answer.stderr
    assert "ulimit -f" in answer.stderr
    assert "bytes free" not in answer.stderr
    site.forget()
    assert run(line).returncode == 0
    ((address, wanted),) = [asked for asked in site.requests if asked[0] == LOOSE]
    assert wanted, address


def test_row_48_a_read_only_cache_is_read_and_nothing_is_asked_for(
    cli: Callable, disk: Counted | Tmpfs, site: CountingSite, tmp_path: Path
) -> None:
    """list, verify, stats and export work; what would write exits 5 before any request."""
    options = publish(tmp_path, site, small_files())
    assert cli(*options, "fetch", "ours", cache=disk.path).code == 0
    disk.resize(read_only=True)
    site.forget()
    out = tmp_path / "out.csv"
    reading = [["list"], ["verify"], ["stats", "ours"], ["cache", "list"], ["fetch", "ours"]]
    for line in [*reading, ["export", "csv", "ours", "-o", out], ["cache", "prune"]]:
        assert cli(*options, *line, cache=disk.path).code == 0, line
    for line in (["fetch", "ours", "--force"], ["cache", "remove", "ours"]):
        answer = cli(*options, *line, cache=disk.path)
        assert (answer.code, "read-only" in answer.err) == (5, True), line
    assert site.requests == []


def test_row_50_few_file_descriptors_are_enough_for_many_files(site: CountingSite, tmp_path: Path) -> None:
    """130 files, 80 descriptors: none leaks; with 12 it is exit 5 and a hint, and nothing is half."""
    files = {f"{number}.jpg": b"\xff\xd8\xff" + b"x" * 300 for number in range(130)} | small_files(4, 32, 500)
    options = publish(tmp_path, site, files)
    line = words(tmp_path / "cache", options, "fetch", "ours")
    answer = run(["sh", "-c", 'ulimit -n 12; exec "$@"', "sh", *line])
    assert answer.returncode == 5, answer.stderr
    assert "Too many open files" in answer.stderr
    assert "hint: raise the limit" in answer.stderr
    assert wrong_finals(tmp_path / "cache", {}, files) == []
    answer = run(["sh", "-c", 'ulimit -n 80; exec "$@"', "sh", *line])
    assert answer.returncode == 0, answer.stderr


def test_row_51_a_file_that_cannot_be_read_is_told_as_unreadable(
    cli: Callable, site: CountingSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EIO while reading: verify goes on, lists the file and exits 1."""
    options = publish(tmp_path, site, small_files())
    cli(*options, "fetch", "ours")
    opened = Path.open

    def broken(path: Path, *how: Any, **more: Any) -> Any:
        sick = Path("/proc/self/mem") if path.name == "IMG_003.jpg" else path  # reading it is EIO
        return opened(sick, *how, **more)

    monkeypatch.setattr(Path, "open", broken)
    answer = cli(*options, "verify", "--format", "csv")
    assert answer.code == 1
    (line,) = answer.out.splitlines()[1:]
    assert "IMG_003.jpg,unreadable," in line
    assert "Input/output error" in line


def test_row_52_short_writes_lose_no_byte(
    cli: Callable, site: CountingSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A nearly full disk or a signal makes write() take less than it was given."""
    files = small_files()
    options = publish(tmp_path, site, files)
    write, pwrite = os.write, os.pwrite
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, memoryview(data)[:1000]))
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, memoryview(data)[:1000], at))
    assert cli(*options, "fetch", "ours").code == 0
    monkeypatch.undo()
    assert finals(tmp_path / "cache")["1/files/loose.bin"] == files["loose.bin"]
    assert cli(*options, "verify").code == 0


def test_row_59_a_planted_link_is_never_written_through(
    cli: Callable, site: CountingSite, tmp_path: Path
) -> None:
    """At the lock: refused with exit 5. At a partial, a target or a manifest: replaced, not followed."""
    options = publish(tmp_path, site, small_files())
    home, mine = tmp_path / "cache" / "datasets" / "ours" / "1", tmp_path / "bashrc"
    cli(*options, "fetch", "ours")
    partial = ".loose.bin.0123456789abcdef.part"
    shutil.rmtree(home)
    mine.write_text("mine")
    for name in ("files/loose.bin", "files/table.csv", f"files/{partial}", "manifest.parquet"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).symlink_to(mine)
    assert cli(*options, "fetch", "ours").code == 0
    assert mine.read_text() == "mine"
    assert not (home / "files" / "loose.bin").is_symlink()
    assert not (home / "manifest.parquet").is_symlink()
    lock = tmp_path / "cache" / "locks" / "ours.lock"
    lock.unlink()
    lock.symlink_to(mine)
    answer = cli(*options, "fetch", "ours", "--force")
    assert answer.code == 5
    assert "symbolic link" in answer.err
    assert mine.read_text() == "mine"
