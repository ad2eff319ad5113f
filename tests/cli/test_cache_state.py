"""Row 66: the cache's own files broken, met on the command line: told with the command that mends, or made again."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the demo, fetched once."""
    from dermdata.cli.app import run

    cache = tmp_path_factory.mktemp("whole") / "cache"
    assert run(["-q", "--cache", str(cache), "fetch", "demo"]) == 0
    return cache


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy of it for one test: the demo's folder in it."""
    shutil.copytree(whole, tmp_path / "cache")
    return tmp_path / "cache" / "datasets" / "demo" / "1.0"


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "half": half,
    "garbage": lambda data: bytes(range(256)) * 4,
    "older": lambda data: data.replace(b"receipt/1", b"receipt/0"),
    "newer": lambda data: data.replace(b"receipt/1", b"receipt/2"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_broken_receipt(what: str, folder: Path, cli: Callable) -> None:
    """fetch: exit 4 and the command; verify: exit 1 and the command; lists go on; --force mends."""
    receipt = folder / "receipt.json"
    receipt.write_bytes(DAMAGE[what](receipt.read_bytes()))
    answer = cli("fetch", "demo")
    assert (answer.code, "dermdata fetch demo --force" in answer.err) == (4, True)
    answer = cli("verify", "demo")
    assert (answer.code, "dermdata fetch demo --force" in answer.err) == (1, True)
    (item,) = json.loads(cli("cache", "list", "--format", "json").out)["items"]
    assert (item["dataset"], item["complete"]) == ("demo", False)
    assert cli("stats", "demo").code == 0


def test_the_command_that_mends_does(folder: Path, cli: Callable) -> None:
    """Receipt, list of contents, lock note, the catalog's compiled copy and a journal, all broken at once."""
    root = folder.parents[2]
    (folder / "files" / ".demo_images.zip.0123.part").write_bytes(b"half")
    (folder / "files" / ".demo_images.zip.0123.part.json").write_bytes(b'[0, 9, 1]\n{"key": 3}')
    for path in (*folder.glob("*.json"), *folder.glob("*.tsv"), *root.glob("locks/*"), *root.glob("index/*")):
        path.write_bytes(b"\xff{")
    assert cli("fetch", "demo", "--force").code == 0
    assert cli("verify").code == 0


@pytest.mark.parametrize("what", ["empty", "half", "garbage"])
def test_a_broken_list_of_contents(what: str, folder: Path, cli: Callable) -> None:
    """The receipt names its digest: never trusted, told with the command."""
    (path,) = folder.glob("contents-*.tsv")
    path.write_bytes(DAMAGE[what](path.read_bytes()))
    for words, code in ((("fetch", "demo"), 4), (("verify", "demo"), 1)):
        answer = cli(*words)
        assert (answer.code, "dermdata fetch demo --force" in answer.err) == (code, True)


def test_one_broken_receipt_does_not_keep_verify_from_the_rest(folder: Path, cli: Callable) -> None:
    """Every dataset is looked at, and each fault is a row."""
    other = folder.parent.parent / "another" / "1"
    other.mkdir(parents=True)
    (other / "receipt.json").write_bytes(b"{")
    min(folder.rglob("*.jpg")).unlink()
    items = json.loads(cli("verify", "--format", "json").out)["items"]
    assert [(item["dataset"], item["status"]) for item in items] == [
        ("another", "unreadable"),
        ("demo", "missing"),
    ]


@pytest.mark.parametrize("what", ["empty", "half", "garbage"])
def test_a_broken_manifest_is_built_again(what: str, folder: Path, cli: Callable) -> None:
    """Readers refuse it in words; verify finds it, --repair builds it from the files, byte for byte."""
    manifest = folder / "manifest.parquet"
    before = manifest.read_bytes()
    manifest.write_bytes(DAMAGE[what](before))
    answer = cli("stats", "demo")
    assert answer.code not in (0, 70)
    assert "manifest.parquet" in answer.err
    assert cli("--offline", "verify", "--repair").code == 0
    assert manifest.read_bytes() == before


# ------------------------------------------------------------------ elsewhere, and read-only


def test_a_copy_on_another_file_system_is_the_same_cache(folder: Path, cli: Callable, tmp_path: Path) -> None:
    """Row 64: moved or copied, with times and modes of the copy's own."""
    shared_memory = Path("/dev/shm")  # another file system on every Linux
    if not os.access(shared_memory, os.W_OK) or shared_memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system here")
    away = shared_memory / f"dermdata-{os.getpid()}"
    try:
        shutil.copytree(folder.parents[2], away, copy_function=shutil.copyfile)
        assert cli("--offline", "verify", cache=away).code == 0
        assert "nothing to do" in cli("--offline", "fetch", "demo", cache=away).err
    finally:
        shutil.rmtree(away)


READING = [
    ["list"],
    ["info", "demo"],
    ["verify"],
    ["stats", "demo"],
    ["select", "demo", "--where", "sex = 'female'", "-o", "{out}/s.csv"],
    ["export", "csv", "demo", "-o", "{out}/csv"],
    ["query", "select count(*) from demo"],
    ["cache", "list"],
    ["cache", "prune", "--dry-run"],
    ["cache", "remove", "demo", "--dry-run"],
    ["cache", "bundle", "demo", "-o", "{out}/b.tar"],
    ["fetch", "demo"],
]
WRITING = [["fetch", "demo", "--force"], ["cache", "remove", "demo"]]

SCRIPT = """
import contextlib, io, json, sys
from dermdata.cli.app import run
for words in json.load(sys.stdin):
    err = io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        code = run(words)
    print(json.dumps([code, err.getvalue()]))
"""


def answers(lines: list[list[str]], prefix: list[str]) -> list[tuple[int, str]]:
    """Exit code and stderr of each command line, in one other process."""
    done = subprocess.run(
        [*prefix, sys.executable, "-c", SCRIPT],
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        check=True,
    )
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def read_only(cache: Path) -> list[str]:
    """What to put before a command line that is to see the cache on a read-only mount."""
    mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    prefix = ["unshare", "--mount", "sh", "-c", mount, str(cache)]
    if subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    return prefix


def test_a_cache_that_can_only_be_read_serves_all_that_reads(folder: Path, tmp_path: Path) -> None:
    """Row 48: reading commands work; writing ones end with exit 5 in words."""
    cache, out = folder.parents[2], tmp_path / "out"
    out.mkdir()
    lines = [
        ["--offline", "--cache", str(cache), *(word.format(out=out) for word in words)]
        for words in (*READING, *WRITING)
    ]
    found = answers(lines, read_only(cache))
    for line, (code, err) in zip(lines[: len(READING)], found, strict=False):
        assert code == 0, (line, err)
    for line, (code, err) in zip(lines[len(READING) :], found[len(READING) :], strict=True):
        assert (code, "read-only" in err.lower()) == (5, True), (line, err)
    assert {"b.tar", "csv", "s.csv"} <= {path.name for path in out.iterdir()}
