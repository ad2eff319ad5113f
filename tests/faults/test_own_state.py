"""What happened to the cache meanwhile: rows 56, 61 and 65 to 67 of the table of faults."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from faults.stage import CountingSite, environment, finals, publish, small_files, words

LOOSE = "files.example/loose.bin"
YEARS = 10 * 365 * 24 * 3600  # seconds


@pytest.fixture(autouse=True)
def only_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No bundled entry but the vocabulary: compiling ninety of them for each test would cost most of its time."""
    import dermdata.catalogs

    shutil.copytree(dermdata.catalogs.bundled_folder() / "vocabulary", tmp_path / "bare" / "vocabulary")
    monkeypatch.setattr(dermdata.catalogs, "bundled_folder", lambda: tmp_path / "bare")


@pytest.fixture
def site() -> Iterator[CountingSite]:
    with CountingSite() as running:
        yield running


@pytest.fixture
def fetched(cli: Callable, site: CountingSite, tmp_path: Path) -> list[str]:
    """A whole fetch of small files in tmp_path/cache; the options."""
    options = publish(tmp_path, site, small_files(images=4, side=32, loose=3000))
    assert cli(*options, "fetch", "ours").code == 0
    return options


@pytest.mark.parametrize("years", [-YEARS, YEARS])
def test_row_56_no_clock_decides_what_is_right(
    cli: Callable, fetched: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, years: int
) -> None:
    """The clock jumps, files are from 2040 or 1990: complete stays complete, the sweep takes no final file."""
    for path in (tmp_path / "cache").rglob("*"):
        os.utime(path, (2208988800 + years, 2208988800 + years))
    before, now = finals(tmp_path / "cache"), time.time
    monkeypatch.setattr(time, "time", lambda: now() + years)
    assert "already complete" in cli(*fetched, "fetch", "ours").err
    assert cli(*fetched, "cache", "prune").code == 0
    assert cli(*fetched, "verify").code == 0
    assert finals(tmp_path / "cache") == before


def test_row_61_a_dataset_deleted_while_it_is_fetched_is_told_or_made_again(
    cli: Callable, site: CountingSite, tmp_path: Path
) -> None:
    """rm -rf in the middle of a body: no traceback, and the next run completes."""
    files = small_files(images=4, side=32, loose=400_000)
    options = publish(tmp_path, site, files)

    def delete(address: str, offset: int) -> None:
        if address == LOOSE and offset > 200_000:
            site.watch = lambda _address, _offset: None
            shutil.rmtree(tmp_path / "cache" / "datasets", ignore_errors=True)

    site.watch = delete
    answer = cli(*options, "fetch", "ours")
    assert answer.code in (0, 4, 5), answer.err
    assert "fault of dermdata" not in answer.err
    answer = cli(*options, "fetch", "ours")
    assert answer.code == 0, answer.err
    assert cli(*options, "verify").code == 0
    assert finals(tmp_path / "cache")["1/files/loose.bin"] == files["loose.bin"]


def test_row_61_a_dataset_deleted_while_it_is_verified_or_exported_is_told(
    cli: Callable, fetched: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file that is gone is listed; an export says what it misses and leaves no half of an output."""
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "cache", copy)
    opened = Path.open

    def meddling(path: Path, *how: Any, **more: Any) -> Any:
        if path.suffix in (".jpg", ".bin") and "datasets" in path.parts:
            shutil.rmtree(tmp_path / "cache" / "datasets", ignore_errors=True)
        return opened(path, *how, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", meddling)
        answer = cli(*fetched, "verify", "--format", "csv")
    assert answer.code == 1, answer.err
    assert "missing" in answer.out
    shutil.rmtree(copy / "datasets" / "ours" / "1" / "images")
    out = tmp_path / "out"
    answer = cli(*fetched, "export", "imagefolder", "ours", "-o", out, "--labels", "malignancy", cache=copy)
    assert answer.code not in (0, 70), answer.err
    assert not out.exists() or not any(out.rglob("*.jpg"))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "flip": (flip, "modified"),
    "truncate": (lambda path: os.truncate(path, path.stat().st_size // 2), "modified"),
    "zero": (lambda path: path.write_bytes(bytes(path.stat().st_size)), "modified"),
    "empty": (lambda path: path.write_bytes(b""), "modified"),
    "grow": (lambda path: path.write_bytes(path.read_bytes() + b"x"), "modified"),
    "delete": (Path.unlink, "missing"),
    "folder": (lambda path: (path.unlink(), path.mkdir()), "unreadable"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_row_65_every_damage_at_rest_is_listed_with_its_kind_and_repaired_alone(
    cli: Callable, fetched: list[str], site: CountingSite, tmp_path: Path, kind: str
) -> None:
    """An image and a table each; verify changes nothing, --repair asks for no more than what is broken."""
    harm, status = DAMAGE[kind]
    home = tmp_path / "cache" / "datasets" / "ours" / "1"
    before = finals(tmp_path / "cache")
    for name in ("images/images/IMG_002.jpg", "files/loose.bin"):
        harm(home / name)
        broken = finals(tmp_path / "cache")
        answer = cli(*fetched, "verify", "--format", "csv")
        assert answer.code == 1, answer.err
        assert [line.split(",")[1:3] for line in answer.out.splitlines()[1:]] == [[name, status]]
        assert finals(tmp_path / "cache") == broken
        site.forget()
        if kind == "folder":
            (home / name).rmdir()
        assert cli(*fetched, "verify", "--repair").code == 0
        assert len(site.requests) == 1
    assert {name: data for name, data in finals(tmp_path / "cache").items() if "/files/" in name} == {
        name: data for name, data in before.items() if "/files/" in name
    }


def test_row_65_extra_swapped_and_unwritable_files(cli: Callable, fetched: list[str], tmp_path: Path) -> None:
    """Extra ones are listed and never deleted; two that changed places are two findings; modes are no damage."""
    home = tmp_path / "cache" / "datasets" / "ours" / "1"
    images = home / "images" / "images"
    (home / "files" / "mine.txt").write_text("mine")
    (images / "IMG_000.jpg").rename(images / "x")
    (images / "IMG_001.jpg").rename(images / "IMG_000.jpg")
    (images / "x").rename(images / "IMG_001.jpg")
    (images / "IMG_002.jpg").chmod(0o444)
    answer = cli(*fetched, "verify", "--format", "csv")
    assert answer.code == 1
    assert sorted(line.split(",")[1:3] for line in answer.out.splitlines()[1:]) == [
        ["files/mine.txt", "extra"],
        ["images/images/IMG_000.jpg", "modified"],
        ["images/images/IMG_001.jpg", "modified"],
    ]
    answer = cli(*fetched, "verify", "--repair")
    assert (answer.code, (home / "files" / "mine.txt").read_text()) == (1, "mine")
    assert "1 file is still wrong" in answer.err
    (home / "files" / "mine.txt").unlink()
    assert cli(*fetched, "verify").code == 0


WRECKS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "torn": lambda data: data[:-80],
    "half": lambda data: data[: len(data) // 2],
    "garbage": lambda data: bytes(255 - byte for byte in data),
    "newer": lambda data: data.replace(b"dermdata.receipt/1", b"dermdata.receipt/99"),
    "another": lambda _: b'{"schema": "dermdata.receipt/1", "files": [{}], "roles": 3}',
    "deep": lambda _: b"[" * 100_000,
}
OWN = ("contents-*.tsv", "manifest.parquet", "../../../locks/ours.lock", "../../../index/*.json")
WRECKED = [("receipt.json", wreck) for wreck in WRECKS if wreck != "torn"]
WRECKED += [(own, wreck) for own in OWN for wreck in ("empty", "half", "garbage")]


@pytest.mark.parametrize(("own", "wreck"), WRECKED)
def test_row_66_broken_files_of_our_own_are_made_again_or_told_with_the_command(
    cli: Callable, fetched: list[str], tmp_path: Path, own: str, wreck: str
) -> None:
    """Every command answers in words; what it names mends the cache without a wrong byte."""
    home = tmp_path / "cache" / "datasets" / "ours" / "1"
    paths = sorted(home.glob(own))
    assert len(paths) == (2 if "index" in own else 1)
    for path in paths:
        path.write_bytes(WRECKS[wreck](path.read_bytes()))
    for line in (["verify"], ["cache", "list"], ["stats", "ours"], ["fetch", "ours"]):
        answer = cli(*fetched, *line)
        assert answer.code in (0, 1, 4), (line, answer.err)
        if answer.code == 4:
            assert "dermdata fetch ours --force" in answer.err
    if answer.code != 0:
        answer = cli(*fetched, "fetch", "ours", "--force")
        assert answer.code == 0, answer.err
    assert cli(*fetched, "verify").code == 0


@pytest.mark.parametrize("wreck", ["empty", "torn", "garbage", "deep"])
def test_row_66_a_broken_journal_costs_traffic_and_no_byte(
    cli: Callable, site: CountingSite, tmp_path: Path, wreck: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partial whose journal proves nothing is begun again."""
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)  # between tries
    files = small_files(images=2, side=32, loose=1_400_000)
    options = publish(tmp_path, site, files)
    home = tmp_path / "cache" / "datasets" / "ours" / "1" / "files"
    site.stall_at = {LOOSE: 1_300_000}
    site.awake.set()  # the server hangs up there, again and again
    assert cli(*options, "fetch", "ours").code == 3
    site.stall_at = {}
    (journal,) = home.glob(".loose.bin.*.part.json")
    journal.write_bytes(WRECKS[wreck](journal.read_bytes()))
    site.forget()
    assert cli(*options, "fetch", "ours").code == 0
    assert finals(tmp_path / "cache")["1/files/loose.bin"] == files["loose.bin"]
    assert [bool(wanted) for _, wanted in site.requests] == [wreck == "torn"]


# VmHWM in KiB, not ru_maxrss: that one is inherited from the parent, whose tests may have needed more
WITH_PEAK = """
import sys
from pathlib import Path
from dermdata.cli.app import run
code = run(sys.argv[1:])
print(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line))
sys.exit(code)
"""


def test_row_67_memory_stays_flat_and_its_want_is_told(
    cli: Callable, site: CountingSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """80 MB go through less than 512 MiB; without memory: exit 5 with a hint, not a fault of dermdata."""
    files = small_files(images=2, side=32, loose=80_000_000)
    options = publish(tmp_path, site, files)
    line = words(tmp_path / "cache", options, "fetch", "ours")
    arguments = line[line.index("dermdata") + 1 :]
    done = subprocess.run(
        [sys.executable, "-c", WITH_PEAK, *arguments], env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < 512 * 1024
    assert finals(tmp_path / "cache")["1/files/loose.bin"] == files["loose.bin"]

    def exhausted(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("dermdata.manifest.build_manifest", exhausted)
    answer = cli(*options, "fetch", "ours", "--force", "--only", "metadata")
    assert answer.code == 5
    assert "not enough memory" in answer.err
