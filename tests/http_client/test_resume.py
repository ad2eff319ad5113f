"""Partials: kills, full disks, other processes, planted links; and what the journal proves."""

import errno
import fcntl
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dermdata.errors import NetworkError, StorageError
from dermdata.http import HttpClient, NetworkSettings
from dermdata.http.download import request_key
from dermdata.http.journal import JournalEntries
from dermdata.http.partial_file import JOURNAL_STEP, PartialFile
from dermdata.http.responses import FileVersion
from dermdata.http.transport import CHUNK
from dermdata.model import Request
from faults.stage import until
from http_client.conftest import DATA, SHA, SIZE, Get, left

MIB = 1 << 20
SCRIPT = """
import sys, resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from dermdata.errors import DermdataError
from dermdata.model import Request
from dermdata.http import NetworkSettings
from dermdata.http import HttpClient
url, target, limit = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    with HttpClient(NetworkSettings(trust_env=False)) as transfer:
        transfer.download(Request(urls=(url,)), target)
except DermdataError as error:
    print(error.message)
    sys.exit(error.exit_code)
"""


def start(url: str, target: Path, limit: int = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, url, str(target), str(limit)], stdout=subprocess.PIPE, text=True
    )


def partial(target: Path, checksum: str | None = None) -> PartialFile:
    return PartialFile(target, "0" * 16, checksum)


def filled(target: Path, data: bytes, total: int) -> None:
    """A partial that was left orderly after `data`."""
    with partial(target) as part:
        part.start_over(FileVersion(source=0, etag='"1"', total=total))
        put(part, data)


def put(part: PartialFile, data: bytes, at: int | None = None) -> None:
    """Add bytes at their place, or at the end."""
    with part.open_cursor(part.received if at is None else at) as cursor:
        part.write(cursor, data)


def journal(target: Path) -> Path:
    return target.with_name(f".{target.name}.{'0' * 16}.part.json")


# ------------------------------------------------------------------ over the wire


@pytest.mark.shared
def test_kill_in_the_middle(server: Any, faultserver: Any, network: NetworkSettings, target: Path) -> None:
    """Promise 2: after SIGKILL at most 1 MiB is fetched again, and the file is right."""
    url = server.url_for("_gen/8M/big", "stall:5M;good")
    process = start(url, target)
    server.wait_for("stalled")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not target.exists()
    with HttpClient(network) as transfer:
        received = transfer.download(Request(urls=(url,)), target)
    assert received.sha256 == server.find("/_gen/8M/big").body.digest()
    assert received.resumed_from >= 4 * MIB
    assert faultserver.report(server.ended())[0]["again"] <= MIB
    assert left(target) == ["a.zip"]


@pytest.mark.shared
def test_kill_while_bytes_flow(server: Any, faultserver: Any, network: NetworkSettings, target: Path) -> None:
    """Promise 2: the same when the kill comes between two reads."""
    url = server.url_for("_gen/8M/big", "slow:4M;good")
    process = start(url, target)
    until = threading.Event()
    while not (
        target.parent.exists() and any(p.stat().st_size > 2 * MIB for p in target.parent.glob(".*.part"))
    ):
        until.wait(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with HttpClient(network) as transfer:
        received = transfer.download(Request(urls=(url,)), target)
    assert received.sha256 == server.find("/_gen/8M/big").body.digest()
    assert faultserver.report(server.ended())[0]["again"] <= MIB


@pytest.mark.shared
def test_a_full_disk_keeps_the_partial(server: Any, network: NetworkSettings, target: Path) -> None:
    """Promise 7: exit 5 with path and bytes; the next run goes on."""
    url = server.url_for("_gen/2M/big")
    process = start(url, target, limit=MIB)
    said, _ = process.communicate()
    assert process.returncode == 5
    assert str(target) in said
    assert "bytes needed" in said
    assert "ulimit -f" in said
    with HttpClient(network) as transfer:
        assert transfer.download(Request(urls=(url,)), target).resumed_from >= MIB // 2
    assert left(target) == ["a.zip"]


@pytest.mark.shared
@pytest.mark.parametrize("locks", [True, False], ids=["flock", "flock does nothing"])
def test_many_at_one_target(
    server: Any, network: NetworkSettings, target: Path, monkeypatch: pytest.MonkeyPatch, locks: bool
) -> None:
    """Promise 8: writers of one target never mix, with locks or without."""
    if not locks:
        monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    request = Request(urls=(server.url_for("a.zip", "slow:4M"),), size=SIZE, checksum=f"sha256:{SHA}")
    with HttpClient(network) as transfer, ThreadPoolExecutor(4) as pool:
        works = [pool.submit(transfer.download, request, target) for _ in range(4)]
        assert [work.result().sha256 for work in works] == [SHA] * 4
    assert target.read_bytes() == DATA
    assert left(target) == ["a.zip"]


@pytest.mark.shared
def test_another_request_begins_anew(get: Get, server: Any, target: Path) -> None:
    """A partial belongs to one checksum, size and address."""
    url = (server.url_for("a.zip", "truncate:300k;empty*5;good"),)
    with pytest.raises(NetworkError):
        get(urls=url)
    assert get(urls=url, checksum=None).resumed_from == 0


@pytest.mark.shared
def test_progress_is_measured_from_the_restart(get: Get, server: Any, target: Path) -> None:
    """A new version in small steps is progress, though an earlier run had got further with the old one."""
    steps = "truncate:900k;empty*5;truncate:100k+mutate:1*9;mutate:1"
    urls = (server.url_for("a.zip", steps),)
    with pytest.raises(NetworkError):
        get(urls=urls, checksum=None, archive=None)
    get(urls=urls, checksum=None, archive=None)
    assert target.read_bytes() == bytes(byte ^ 1 for byte in DATA)


@pytest.mark.shared
def test_spoilt_bytes_of_a_partial_are_fetched_again(
    get: Get, server: Any, faultserver: Any, target: Path
) -> None:
    """A power cut may leave zeros: only what its CRC proves is kept, even where no checksum is known."""
    urls = (server.url_for("a.zip", "truncate:700k;empty*5;good"),)
    with pytest.raises(NetworkError):
        get(urls=urls, checksum=None)
    (part,) = target.parent.glob(".*.part")
    with part.open("r+b") as file:
        file.seek(400_000)
        file.write(bytes([DATA[400_000] ^ 1]))  # in one line of the journal
    received = get(urls=urls, checksum=None)
    assert 700 * 1024 - JOURNAL_STEP - CHUNK <= received.resumed_from < 700 * 1024
    assert target.read_bytes() == DATA
    # a busy server may note the end of the one range after the end of the other, and after we have the bytes
    until(lambda: SIZE - 700 * 1024 in [one["length"] for one in server.ended()[-2:]])
    assert faultserver.report(server.ended())[0]["again"] <= MIB // 2


@pytest.mark.shared
def test_order_of_the_end(get: Get, monkeypatch: pytest.MonkeyPatch, target: Path) -> None:
    """Promise 3: fsync of the file, rename, fsync of the folder; the journal goes last."""
    order: list[str] = []
    fsync, replace, unlink = os.fsync, Path.replace, Path.unlink
    monkeypatch.setattr(
        os, "fsync", lambda fd: order.append(f"fsync {Path(f'/proc/self/fd/{fd}').is_dir()}") or fsync(fd)
    )
    monkeypatch.setattr(Path, "replace", lambda *a: order.append("rename") or replace(*a))
    monkeypatch.setattr(
        Path, "unlink", lambda self, **k: (target.exists() and order.append("unlink")) or unlink(self, **k)
    )
    get()
    assert order == ["fsync False", "rename", "fsync True", "unlink"]


@pytest.mark.fault(51)
@pytest.mark.shared
def test_a_failed_fsync_publishes_nothing(get: Get, monkeypatch: pytest.MonkeyPatch, target: Path) -> None:
    """FAULTS row 51: bytes that may not be on disk get no final name."""

    def broken(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(StorageError, match=target.name):
        get()
    assert not target.exists()


@pytest.mark.shared
def test_no_room_is_seen_before_the_body(get: Get, server: Any, target: Path) -> None:
    """Promise 7: a file that cannot fit is not begun."""
    with pytest.raises(StorageError, match="bytes needed"):
        get(urls=(server.url_for("_gen/900000G/huge"),), size=None, checksum=None, archive=None)
    assert not target.exists()


# ------------------------------------------------------------------ the partial alone


def test_resumes_what_was_left(target: Path) -> None:
    """An orderly end leaves every byte."""
    filled(target, b"x" * 1000, 5000)
    with partial(target) as part:
        assert (part.received, part.version.etag, part.version.total) == (1000, '"1"', 5000)
        put(part, b"y" * 4000)
        part.finish()
    assert target.read_bytes() == b"x" * 1000 + b"y" * 4000
    assert left(target) == ["a.zip"]


@pytest.mark.fault(20)
def test_bytes_without_journal_are_not_trusted(target: Path) -> None:
    """FAULTS row 20: a partial that nobody vouches for is begun anew."""
    filled(target, b"x" * 1000, 5000)
    journal(target).unlink()
    with partial(target) as part:
        assert part.received == 0


@pytest.mark.fault(20)
def test_bytes_beyond_the_journal_are_cut_off(target: Path) -> None:
    """FAULTS row 20: a partial longer than its journal loses the rest."""
    filled(target, b"x" * 1000, 5000)
    path = journal(target).with_suffix("")
    path.write_bytes(path.read_bytes() + b"junk" * 100)
    with partial(target) as part:
        assert part.received == 1000
        assert path.stat().st_size == 1000


@pytest.mark.parametrize("cut", [1, 5, 20, 60])
def test_a_torn_journal(target: Path, cut: int) -> None:
    """A line that a kill tore costs its own bytes at most; what follows is read."""
    filled(target, b"x" * 1000, 5000)
    path = journal(target)
    text = path.read_text().replace(f":{os.getpid()}:", ":4194304:")  # its writer is dead
    path.write_text(text[:-cut])
    with partial(target) as part:
        assert part.received in (0, 1000)
        part.start_over(FileVersion(source=0, total=3))
        put(part, b"abc")
    with partial(target) as part:
        assert part.received == 3


def test_the_second_holder_works_apart(target: Path) -> None:
    """Whoever comes second gets a copy of what is proven and a name of its own, and leaves nothing."""
    filled(target, b"x" * 1000, 2000)
    with partial(target) as first:
        with partial(target) as second:
            assert second.received == 1000
            put(second, b"z" * 1000)
        put(first, b"y" * 1000)
        first.finish()
    assert target.read_bytes() == b"x" * 1000 + b"y" * 1000
    assert left(target) == ["a.zip"]


@pytest.mark.parametrize(
    ("who", "apart"),
    [
        ("elsewhere:1:2:ab", True),
        (f"{os.uname().nodename}:{os.getppid()}::ab", True),
        (f"{os.uname().nodename}:{os.getpid()}:1:ab", False),
        (f"{os.uname().nodename}:4194304:1:ab", False),
        ("nonsense", True),
    ],
    ids=["another machine", "a live process", "a process id used again", "a dead process", "nonsense"],
)
def test_a_holder_that_did_not_leave(target: Path, who: str, apart: bool) -> None:
    """A dead holder blocks nobody; one that may live keeps its partial to itself."""
    filled(target, b"x" * 1000, 2000)
    text = journal(target).read_text()
    journal(target).write_text(text + "\n" + json.dumps({"holder": who}))
    with partial(target) as part:
        assert part.received == 1000
        names = [name for name in left(target) if name.endswith(".part")]
    assert (len(names) == 2) is apart


def planted(target: Path, victim: Path, suffix: str) -> None:
    victim.write_text("precious")
    target.parent.mkdir()
    target.with_name(f".{target.name}.{'0' * 16}{suffix}").symlink_to(victim)


@pytest.mark.fault(59)
def test_a_link_in_the_partial_s_place_is_replaced(target: Path, tmp_path: Path) -> None:
    """FAULTS row 59: nothing outside is written."""
    planted(target, tmp_path / "victim", ".part")
    filled(target, b"data", 8)
    assert (tmp_path / "victim").read_text() == "precious"
    assert not journal(target).with_suffix("").is_symlink()


@pytest.mark.fault(59)
def test_a_link_in_the_journal_s_place_is_an_error(target: Path, tmp_path: Path) -> None:
    """FAULTS row 59: somebody meddles; the path is named."""
    planted(target, tmp_path / "victim", ".part.json")
    with pytest.raises(StorageError, match=target.name), partial(target):
        pass
    assert (tmp_path / "victim").read_text() == "precious"


@pytest.mark.fault(59)
def test_a_second_name_is_not_written_through(target: Path, tmp_path: Path) -> None:
    """FAULTS row 59: a hard link in the partial's place is replaced."""
    filled(target, b"x" * 1000, 2000)
    victim = tmp_path / "victim"
    victim.hardlink_to(journal(target).with_suffix(""))
    with partial(target) as part:
        part.start_over(FileVersion())
        put(part, b"data")
    assert victim.read_bytes() == b"x" * 1000


def test_ranges_come_in_any_order(target: Path) -> None:
    """Several streams write one partial; what they left, with gaps, is taken over and hashed in order."""
    with partial(target) as part:
        part.start_over(FileVersion(source=0, total=9))
        put(part, b"ef", at=4)
        put(part, b"ab", at=0)
        assert part.hasher.sha256 == hashlib.sha256(b"ab").hexdigest()
    with partial(target) as part:
        assert (part.received, part.resumed_from, part.intervals.gaps(9)) == (4, 4, [(2, 4), (6, 9)])
        put(part, b"ghi", at=6)
        put(part, b"cd", at=2)
        assert part.hasher.sha256 == hashlib.sha256(b"abcdefghi").hexdigest()
        part.finish()
    assert target.read_bytes() == b"abcdefghi"


@pytest.mark.parametrize(
    "line", ["[1]", "[4, 2, 0]", '[0, "1", 2]', "{}", '{"key": "other"}', "[" * 10**5, "\x00"]
)
def test_senseless_journal_lines(line: str) -> None:
    """Damage costs bytes, never correctness."""
    assert JournalEntries.parse(line, "k").ranges == []


def test_a_request_is_its_checksum_size_and_addresses() -> None:
    """The key changes with each of them, and with nothing else."""
    base = Request(urls=("https://a/",), size=1, checksum="md5:x")
    others = [
        Request(urls=("https://b/",), size=1, checksum="md5:x"),
        Request(urls=("https://a/",), size=2, checksum="md5:x"),
        Request(urls=("https://a/",), size=1),
    ]
    assert len({request_key(request) for request in [base, *others]}) == 4
    assert request_key(
        Request(urls=("https://a/",), size=1, checksum="md5:x", headers={"A": "b"})
    ) == request_key(base)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """Promise 7: a path that cannot be used is named."""
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"), partial(tmp_path / "file" / "a.zip"):
        pass


def test_limits_are_untouched() -> None:
    """The file-size limit of the tests above was set in other processes only."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
