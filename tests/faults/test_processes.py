"""Processes that are killed, interrupted, many at once or short of everything: rows 49, 51, 53, 54, 57, 58, 60, 61, 67.

A zygote forks ready-made processes, so that a kill at every fsync, rename and unlink costs seconds. The same
kills by strace, and 200 at random moments, are in tests/slow/kills.py.

| row | not tried as the table says, and why |
|---|---|
| 54  | SIGTERM: it ends the process as a kill does, code 143 to a shell; nothing of ours runs |
| 67  | `ulimit -v`: libraries of numpy reserve more than they use, by machine; memory in use is measured instead |
"""

import os
import random
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dermdata.cache.cleanup import PendingFiles
from dermdata.http.download import request_key
from dermdata.model import Request
from faults.stage import (
    CountingSite,
    Zygote,
    environment,
    finals,
    publish,
    run,
    small_files,
    until,
    words,
    wrong_finals,
)

pytestmark = pytest.mark.xdist_group("faults of processes")  # one zygote

LOOSE = "files.example/loose.bin"
BATCH = 10  # processes at once
IMAGES = 8  # of small_files
MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote() as running:
        yield running


@pytest.fixture
def site() -> Iterator[CountingSite]:
    with CountingSite() as running:
        yield running


@pytest.fixture
def stalled(site: CountingSite) -> Callable[[list[str]], subprocess.Popen[str]]:
    """Starts a command line and returns when it waits for the middle of loose.bin, all else being there."""

    def start(line: list[str]) -> subprocess.Popen[str]:
        site.stall_at = {LOOSE: 500_000}
        process = subprocess.Popen(
            line,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=hears_ctrl_c,
        )
        cache = Path(line[line.index("--cache") + 1])
        until(lambda: any(one.stat().st_size >= 480_000 for one in cache.rglob(".loose.bin.*.part")))
        until(lambda: any(cache.rglob("table.csv")))
        until(lambda: len([*cache.glob("datasets/*/*/images/images/*.jpg")]) >= IMAGES)
        site.stall_at = {}
        return process

    return start


def hears_ctrl_c() -> None:
    """Also where the tests run in a shell's background, whose children are told to ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """How it ended, which must come before a silent body is given up (60 s); a busy disk may hold an fsync long."""
    err = process.communicate(timeout=50)[1]
    return process.returncode, err


def prepared(root: Path, zygote: Zygote, options: list[str]) -> dict[str, bytes]:
    """What a whole fetch leaves, in root/good."""
    assert zygote.run("--cache", str(root / "good"), *options, "fetch", "ours").code == 0
    return finals(root / "good")


def caches(root: Path, count: int) -> list[Path]:
    """New caches that hold a compiled catalog."""
    made = [root / f"cache{number}" for number in range(1, count + 1)]
    for cache in made:
        shutil.copytree(root / "good" / "index", cache / "index")
    return made


def fetches(places: list[Path], options: list[str]) -> list[list[str]]:
    return [["--cache", str(cache), *options, "fetch", "ours"] for cache in places]


def in_batches(zygote: Zygote, jobs: list[list[str]], seams: list[dict[str, int]]) -> Iterator[int]:
    for first in range(0, len(jobs), BATCH):
        batch = slice(first, first + BATCH)
        for one in zygote.all(*jobs[batch], each=seams[batch]):
            assert "fault of dermdata" not in one.err
            yield one.code


@pytest.mark.parametrize(("seam", "code"), [("kill_at", -signal.SIGKILL), ("eio_at", 5)])
def test_row_51_53_a_kill_or_an_eio_at_every_boundary(
    seam: str, code: int, zygote: Zygote, site: CountingSite, tmp_path: Path
) -> None:
    """At the N-th fsync, rename, unlink (or failing fsync): no final name holds other bytes, the next run completes."""
    files = small_files(images=2, side=32, loose=1000)
    options = publish(tmp_path, site, files)
    good = prepared(tmp_path, zygote, options)
    count = tmp_path / "count"
    (whole,) = caches(tmp_path, 1)
    assert zygote.run(*fetches([whole], options)[0], count=count).code == 0
    steps = [line.split()[1] for line in count.read_text().splitlines()]
    last = len(steps) if seam == "kill_at" else steps.count("fsync")
    assert last >= 15
    shutil.rmtree(whole)
    places = caches(tmp_path, last)
    seams = [{seam: number} for number in range(1, last + 1)]
    codes = list(in_batches(zygote, fetches(places, options), seams))
    assert codes.count(code) >= last - 2  # threads may need a step less
    assert [wrong_finals(cache, good, files) for cache in places] == [[]] * last
    assert set(in_batches(zygote, fetches(places, options), [{}] * last)) == {0}
    for cache in places:
        assert wrong_finals(cache, good, {}) == []
        assert good.keys() == finals(cache).keys()
        assert not list(cache.rglob(".*.part"))


def test_row_53_a_kill_at_a_random_moment_costs_a_mebibyte_at_most(
    zygote: Zygote, site: CountingSite, tmp_path: Path
) -> None:
    """Six kills in the middle of a body: the bytes sent twice are counted at the server."""
    moments, files = random.Random(53), small_files(loose=2_500_000)
    site.rate = (
        10e6  # what waits in sockets counts as sent: at three times the rate a stall of 50 ms was 1.5 MB
    )
    options = publish(tmp_path, site, files, checksums=False)
    good = prepared(tmp_path, zygote, options)
    for cache in caches(tmp_path, 6):
        at = moments.randrange(100_000, 2_400_000)
        site.forget()
        line = words(cache, options, "fetch", "ours")
        process = subprocess.Popen(
            line, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(lambda at=at: any(name == LOOSE and first >= at for name, first, _ in site.pieces))  # type: ignore[misc]
        process.kill()
        process.wait()
        assert wrong_finals(cache, good, files) == []
        assert zygote.run(*fetches([cache], options)[0]).code == 0
        assert site.again() <= MEBIBYTE
        assert wrong_finals(cache, good, {}) == []


def test_row_53_a_file_without_checksum_is_not_fetched_again_for_want_of_a_receipt(
    zygote: Zygote, site: CountingSite, tmp_path: Path
) -> None:
    """Killed after the file got its name and before it was noted: it was announced from this address, so it is taken.

    What nobody announced may be from anywhere, and is asked for.
    """
    options = publish(tmp_path, site, small_files(images=2, side=32), checksums=False, sizes=False)
    good = prepared(tmp_path, zygote, options)
    (cache,) = caches(tmp_path, 1)
    home = cache / "datasets/ours/1"
    (home / "files").mkdir(parents=True)
    for name in ("loose.bin", "images.zip"):
        origin = request_key(Request(urls=(f"https://files.example/{name}",)))
        PendingFiles(home).announce([f"files/{name}"], origin)
    for name in ("loose.bin", "table.csv"):
        (home / "files" / name).write_bytes(good[f"1/files/{name}"])
    (home / "files/images.zip").write_bytes(b"PK\x03\x04 an archive that cannot be read")
    site.forget()
    line = fetches([cache], options)[0]
    assert [zygote.run(*line).code for _ in "12"] == [4, 0]  # refused, let go, asked for again
    assert site.downloads() == {"files.example/images.zip": 1, "files.example/table.csv": 1}
    assert wrong_finals(cache, good, {}) == []


def test_row_54_an_interruption_ends_at_once_though_a_body_stalls(
    stalled: Callable, site: CountingSite, tmp_path: Path
) -> None:
    """Ctrl-C: 130 with a word of what was kept; the same command goes on and asks for nothing that is whole."""
    options = publish(tmp_path, site, small_files(loose=900_000))
    line = words(tmp_path / "cache", options, "fetch", "ours")
    process = stalled(line)
    process.send_signal(signal.SIGINT)
    code, err = ended(process)
    assert code == 130
    assert "interrupted; what is whole was kept" in err
    assert "Traceback" not in err
    site.forget()
    assert run(line).returncode == 0
    assert [bool(wanted) for _, wanted in site.requests] == [True]


def test_row_57_a_dead_holder_never_blocks(stalled: Callable, site: CountingSite, tmp_path: Path) -> None:
    """Killed while it held the lock and a partial; its process id, used again by another, means nothing."""
    options = publish(tmp_path, site, small_files(loose=900_000))
    line = words(tmp_path / "cache", options, "fetch", "ours")
    process = stalled(line)
    process.kill()
    process.communicate()
    for text in (tmp_path / "cache").rglob(".loose.bin.*.part.json"):
        lines = text.read_text().replace(f":{process.pid}:", f":{os.getpid()}:")  # alive, but not the holder
        text.write_text(lines)
    site.forget()
    answer = run(line)
    assert answer.returncode == 0, answer.stderr
    assert "waiting" not in answer.stderr
    # the other files may not have been whole yet when the holder was killed
    assert [bool(wanted) for address, wanted in site.requests if address == LOOSE] == [True]


def test_row_57_a_lock_file_deleted_while_it_is_held_harms_no_byte(
    stalled: Callable, site: CountingSite, tmp_path: Path
) -> None:
    """The second process goes in and doubles the traffic; both end well."""
    options = publish(tmp_path, site, small_files(loose=900_000))
    line = words(tmp_path / "cache", options, "fetch", "ours")
    process = stalled(line)
    (tmp_path / "cache" / "locks" / "ours.lock").unlink()
    second = run(line)
    site.awake.set()
    code, err = ended(process)
    assert (second.returncode, code) == (0, 0), second.stderr + err
    assert run(words(tmp_path / "cache", options, "verify")).returncode == 0


def test_row_58_eight_processes_without_locks_give_right_bytes(
    zygote: Zygote, site: CountingSite, tmp_path: Path
) -> None:
    """flock does nothing, as on Lustre: right bytes, no traceback, one manifest; only traffic is more."""
    site.rate = 2e6
    options = publish(tmp_path, site, small_files(loose=700_000))
    good = prepared(tmp_path, zygote, options)
    (cache,) = caches(tmp_path, 1)
    for one in zygote.all(*fetches([cache], options) * 8, flock="none"):
        assert one.code == 0, one.err
    assert wrong_finals(cache, good, {}) == []
    assert good.keys() == finals(cache).keys()
    assert len(list(cache.rglob("manifest.parquet"))) == 1
    assert zygote.run("--cache", str(cache), *options, "verify").code == 0


def test_row_60_eight_processes_with_locks_download_each_file_once(
    zygote: Zygote, site: CountingSite, tmp_path: Path
) -> None:
    """One works, seven wait and say for whom, as far as it has signed already; then all is there."""
    site.rate = 1e6  # long enough that the eighth has begun before the first is done
    options = publish(tmp_path, site, small_files(loose=700_000))
    good = prepared(tmp_path, zygote, options)
    (cache,) = caches(tmp_path, 1)
    site.forget()
    found = zygote.all(*fetches([cache], options) * 8)
    assert [one.code for one in found] == [0] * 8, found
    assert set(site.downloads().values()) == {1}
    assert sum("ours: waiting for " in one.err for one in found) == 7
    assert any("ours: waiting for process " in one.err for one in found)
    assert wrong_finals(cache, good, {}) == []


def test_row_60_fetch_verify_prune_and_list_at_once(
    zygote: Zygote, stalled: Callable, site: CountingSite, tmp_path: Path
) -> None:
    """While one fetches, others see final files only, and the sweep leaves an old-looking partial in use alone."""
    options = publish(tmp_path, site, small_files(loose=900_000))
    cache = tmp_path / "cache"
    process = stalled(words(cache, options, "fetch", "ours"))
    for partial in cache.rglob(".*.part*"):
        os.utime(partial, (0, 0))
    jobs = [["verify"], ["cache", "prune"], ["cache", "list"], ["list"], ["cache", "prune"], ["verify"]]
    found = zygote.all(*(["--cache", str(cache), *options, *job] for job in jobs))
    assert all(one.code in (0, 1) for one in found), found
    assert not any("Traceback" in one.err for one in found)
    site.awake.set()
    code, err = ended(process)
    assert code == 0, err
    assert zygote.run("--cache", str(cache), *options, "verify").code == 0


def test_row_49_a_folder_of_somebody_else_is_named_with_its_owner(zygote: Zygote, site: CountingSite) -> None:
    """Exit 5 before any request; root, who may write anywhere, gives up that right and owns another cache."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        options = publish(root, site, small_files())
        (root / "cache").mkdir()
        for place, mode in ((root, 0o755), (root / "cache", 0o555)):
            place.chmod(mode)
        owner = 65534 if os.geteuid() == 0 else os.geteuid()
        os.chown(root / "cache", owner, -1)
        line = ["--cache", str(root / "cache"), *options, "fetch", "ours"]
        answer = zygote.run(*line, unprivileged=True)
        assert answer.code == 5, answer.err
        assert f"{root / 'cache'} belongs to user {owner}" in answer.err
        assert site.requests == []
