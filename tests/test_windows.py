"""Windows, as far as it can be had on Linux: a process without POSIX goes through the commands (support/windows.py)."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dermdata import disk
from dermdata.errors import StorageError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a stand-in for Windows, made from Linux")
DOUBLE = Path(__file__).parent / "support" / "windows.py"
COMMANDS = {  # each with its exit code: 8, one picture of the demo is broken, on purpose
    "fetch demo": 0,
    "split demo --output rows.parquet --seed 1": 0,
    "split rows.parquet --output rows.parquet --seed 2": 0,
    "select rows.parquet --where split='test' --output part.csv": 0,
    "export imagefolder rows.parquet --output pictures": 8,
    "export imagefolder rows.parquet --output pictures --copy": 8,
    "export webdataset rows.parquet --output shards": 8,
    "export coco demo --output coco": 8,
    "export parquet demo --embed --output embedded.parquet": 8,
    "audit demo --report audit.html": 1,
    "info demo": 0,
    "labels tree": 0,
    "verify demo": 0,
    "fetch demo --force": 0,
    "cache remove demo": 0,
}


def test_the_commands_run_without_posix(tmp_path: Path) -> None:
    """Nothing that POSIX alone has is used, no file that is open is replaced or deleted, none is opened as text."""
    done = subprocess.run(
        [sys.executable, "-P", str(DOUBLE), str(tmp_path)],
        input="\n".join(COMMANDS),
        capture_output=True,
        encoding="cp1252",
        env={**os.environ, "PYTHONIOENCODING": "cp1252", "SSL_CERT_FILE": ""},
        check=False,
    )
    answers = [line.partition(" ") for line in done.stdout.splitlines() if line.startswith("exit:")]
    codes = {command: int(code.removeprefix("exit:")) for code, _, command in answers}
    assert codes == COMMANDS, done.stderr
    assert "119 images are copied: pictures can have no links to the cache" in done.stderr
    assert len(list((tmp_path / "pictures").rglob("*.jpg"))) == 119
    left = [path.name for path in tmp_path.rglob("*") if path.suffix in (".tmp", ".part", ".lock")]
    assert left == ["demo.lock"]


def test_a_file_that_a_scanner_has_open_is_replaced_when_it_lets_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows only: elsewhere a refusal is for ever, and nobody waits."""
    source, target, real, refusals = tmp_path / "new", tmp_path / "old", os.replace, [1, 2]
    source.write_bytes(b"new")

    def refuse_twice(*paths: Path) -> None:
        if refusals.pop() != 1:
            raise PermissionError(errno.EACCES, "another process has it open")
        real(*paths)

    monkeypatch.setattr(os, "replace", refuse_twice)
    with pytest.raises(PermissionError):
        disk.replace_file(source, target)
    refusals[:] = [1, 2, 2]
    monkeypatch.setattr(sys, "platform", "win32")
    disk.replace_file(source, target)
    assert target.read_bytes() == b"new"


def test_a_path_that_windows_finds_too_long_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows itself says that there is no such file."""
    monkeypatch.setattr(sys, "platform", "win32")
    path = Path("/cache") / ("a" * 300)
    error = disk.to_storage_error(FileNotFoundError(errno.ENOENT, "No such file", str(path)), path)
    assert isinstance(error, StorageError)
    assert "its 307 characters may be too many for Windows" in error.message
    assert "LongPathsEnabled" in (error.hint or "")


def test_where_no_flag_refuses_links_they_are_refused_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows has no O_NOFOLLOW."""
    (tmp_path / "file").write_bytes(b"bytes")
    (tmp_path / "link").symlink_to("file")
    monkeypatch.setattr(disk, "NO_LINK", 0)
    with pytest.raises(disk.NotRegular, match="is a symbolic link"):
        disk.read_regular(tmp_path / "link", most=10)
    assert disk.read_regular(tmp_path / "link", most=10, links=True) == b"bytes"
    assert disk.read_regular(tmp_path / "file", most=10) == b"bytes"


@pytest.mark.parametrize("code_page", ["ascii", "cp437", "cp1252"])
def test_what_a_code_page_lacks_is_escaped(code_page: str, tmp_path: Path) -> None:
    """A terminal or a pipe that has not all characters ends no command."""
    done = subprocess.run(
        [sys.executable, "-m", "dermdata", "--cache", str(tmp_path), "info", "fitzpatrick17k"],
        capture_output=True,
        encoding=code_page,
        env={**os.environ, "PYTHONIOENCODING": code_page},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Fitzpatrick" in done.stdout
