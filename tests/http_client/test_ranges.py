"""Several streams for one file: the same faults, promises and bytes as with one."""

import hashlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermdata.errors import ChecksumMismatch, StorageError
from dermdata.http import HttpClient, NetworkSettings, ranges
from dermdata.http.download import ProgressDeltas, request_key
from dermdata.http.journal import JournalEntries
from dermdata.http.partial_file import INLINE_BYTES, BackgroundHasher, IntervalSet
from dermdata.http.ranges import PIECE, ConcurrencyController, RangeScheduler
from dermdata.http.redirects import HostBusy, HostLimits
from dermdata.model import Request
from http_client.conftest import DATA, SHA, SIZE, CountingTransport, Get, left
from http_client.test_faults import ENDS_WELL
from http_client.test_resume import start

MIB = 1 << 20
SLOW = "slow:8M"  # bytes a second: others get their say before the first stream is done


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many streams as may be, from the first chunk on, and small pieces."""

    def update(self: ConcurrencyController, *_: Any) -> int:
        self.wanted = min(4, self.most)
        return self.wanted

    monkeypatch.setattr(ConcurrencyController, "update", update)
    monkeypatch.setattr(ranges, "PIECE", 1 << 16)


BODIES = {"1", "2", "7", "12", "13", "14", "15", "16", "17", "18", "19", "30", "41", "1-23"}  # rows of FAULTS


def slowed(spec: str) -> str:
    return ";".join(
        f"{step}+{SLOW}" if not times else f"{step}+{SLOW}*{times}"
        for step, _, times in (part.partition("*") for part in spec.split(";"))
    )


# ------------------------------------------------------------------ over the wire


@pytest.mark.shared
@pytest.mark.usefixtures("eager")
def test_one_file_by_several_connections(
    get: Get, server: Any, faultserver: Any, network: NetworkSettings, target: Path
) -> None:
    """Each range names the version it wants a part of; together they are the file, no byte twice."""
    told: list[int] = []
    transport = CountingTransport(network)
    received = get(SLOW, told.append, transport=transport)
    assert received.sha256 == SHA
    assert target.read_bytes() == DATA
    assert left(target) == ["a.zip"]
    assert sum(told) == SIZE
    first, *others = sorted(server.ended("a.zip"), key=lambda end: end["range"] or "")
    assert first["status"] == 200
    assert len(others) >= 3
    assert {(end["status"], end["if_range"]) for end in others} == {(206, first["etag"])}
    assert transport.most == 4  # connections at once
    assert faultserver.report(server.ended("a.zip"))[0]["again"] <= MIB // 2


@pytest.mark.fault(1, 2, 7, 12, 13, 14, 15, 16, 17, 18, 19, 23, 30, 41)
@pytest.mark.shared
@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(
    "spec", [pytest.param(case.values[0], id=case.id) for case in ENDS_WELL if case.id.split()[0] in BODIES]
)
def test_the_file_arrives(get: Get, target: Path, spec: str) -> None:
    """The same faults in every stream: the right bytes, and nothing beside them."""
    told: list[int] = []
    received = get(slowed(spec), told.append, archive=None)
    assert target.read_bytes() == DATA
    assert (received.size, received.sha256, received.verified) == (SIZE, SHA, True)
    assert left(target) == ["a.zip"]
    assert sum(told) == SIZE


@pytest.mark.fault(11, 12, 13, 14, 15, 16, 17, 18, 19, 21, 23, 24, 27, 30, 32, 37, 41)
@pytest.mark.shared
@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(
    "fault",
    ["ignorerange", "norange", "wrongrange:16", "wrongbytes:16", "wrongtotal:10", "norangeheader", "mutate:1",
     "mutate:1+ignoreifrange", "mutate:1,keep_etag=1", "etag:weak", "status:416", "status:429,retry_after=2",
     "status:503", "status:403", "html", "stall:20k", "truncate:20k", "reset:20k", "empty", "garbage",
     "redirect:loop", "gzip", "gziplie", "length:10", "length:-10", "flip:500000", "delay:9", "nothing"],
)  # fmt: skip
def test_others_that_fail_do_no_harm(get: Get, target: Path, fault: str) -> None:
    """The first stream is right, those that join it are not: it brings the file all the same."""
    get(f"{SLOW};{fault}*4;good", archive=None)
    assert target.read_bytes() == DATA
    assert left(target) == ["a.zip"]


@pytest.mark.fault(11, 12)
@pytest.mark.shared
@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("fault", ["norange", "ignorerange"])
def test_a_server_without_ranges_keeps_its_stream(get: Get, server: Any, fault: str) -> None:
    """Rows 11, 12: nobody cuts the first stream before another has an answer that goes on for it."""
    get(f"{fault}+{SLOW}")
    outcomes = [end["outcome"] for end in server.ended("a.zip")]
    assert outcomes.count("complete") == 1
    assert outcomes.count("client gone") == len(outcomes) - 1 <= 3


@pytest.mark.fault(14, 41)
@pytest.mark.shared
@pytest.mark.usefixtures("eager")
def test_joined_bytes_that_are_wrong_cost_one_fresh_download(get: Get, server: Any, target: Path) -> None:
    """Row 14: by one stream; when that is wrong too, the error is told."""
    get(f"{SLOW};wrongbytes:16+{SLOW}")
    assert target.read_bytes() == DATA
    assert [end["range"] for end in server.ended("a.zip")].count(None) == 2
    target.unlink()
    with pytest.raises(ChecksumMismatch):
        get(f"flip:100+{SLOW}")
    assert [end["range"] for end in server.ended("a.zip")].count(None) == 4
    assert not target.exists()


@pytest.mark.fault(18)
@pytest.mark.shared
@pytest.mark.usefixtures("eager")
def test_without_validator_and_checksum_there_is_one_stream(get: Get, server: Any) -> None:
    """Row 18: nothing would tell that the parts belong together."""
    get(f"etag:weak+{SLOW}", checksum=None)
    assert len(server.ended("a.zip")) == 1


@pytest.mark.fault(30)
@pytest.mark.shared
@pytest.mark.usefixtures("eager")
def test_nobody_waits_for_a_stalled_stream(get: Get, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 30: when all else is there, or the first stream has broken, the rest is asked for anew."""
    monkeypatch.setattr(ranges, "SECONDS", 0.3)
    begun = time.monotonic()
    get(f"{SLOW}+reset:40p;stall:20k;good", network={"read_timeout": 30, "minimum_rate_window": 30})
    assert target.read_bytes() == DATA
    assert time.monotonic() - begun < 10


@pytest.mark.shared
@pytest.mark.usefixtures("eager")
def test_a_disk_that_fills_under_another_stream(
    get: Get, monkeypatch: pytest.MonkeyPatch, target: Path
) -> None:
    """Promise 7: whoever meets the full disk, the download ends with it, and goes on later."""
    pwrite = os.pwrite

    def full(file: int, data: Any, at: int) -> int:
        if threading.current_thread().name == "range":
            raise OSError(28, "No space left on device")
        return pwrite(file, data, at)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StorageError, match="bytes needed"):
        get(SLOW)
    monkeypatch.setattr(os, "pwrite", pwrite)
    assert get(SLOW).resumed_from > 0
    assert target.read_bytes() == DATA


@pytest.mark.shared
def test_kill_while_four_streams_run(
    server: Any, faultserver: Any, network: NetworkSettings, target: Path
) -> None:
    """Promise 2: what several streams lose to a SIGKILL is at most 1 MiB in all; gaps are filled later."""
    url = server.url_for("_gen/24M/big", "slow:5M")  # growth is real here
    process = start(url, target)
    until = threading.Event()
    while sum(path.stat().st_blocks * 512 for path in target.parent.glob(".*.part")) < 9 * MIB:
        until.wait(0.01)
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (journal,) = target.parent.glob(".*.part.json")
    kept = IntervalSet()
    for first, end, _ in JournalEntries.parse(journal.read_text(), request_key(Request(urls=(url,)))).ranges:
        kept.add(first, end)
    assert len(kept.gaps(24 * MIB)) > 1
    with HttpClient(network) as transfer:
        received = transfer.download(Request(urls=(url,)), target)
    assert received.sha256 == server.find("/_gen/24M/big").body.digest()
    assert received.resumed_from > 7 * MIB
    assert max(row["again"] for row in faultserver.report(server.ended())) <= MIB
    assert left(target) == ["a.zip"]


@pytest.mark.shared
def test_an_unlimited_server_keeps_one_stream(server: Any, network: NetworkSettings, target: Path) -> None:
    """More connections are for servers that limit each of them."""
    with HttpClient(network) as transfer:
        transfer.download(Request(urls=(server.url_for("_gen/48M/big"),)), target)
    assert len(server.ended()) == 1


# ------------------------------------------------------------------ how many


def rates(growth: ConcurrencyController, *windows: tuple[float, float], limit: int = 16) -> Iterator[int]:
    """How many streams are wanted after each window of (bytes a second, share of time waited)."""
    now = have = waited = 0.0
    growth.update(0, 0, 0, 10**12, 1, limit)
    for rate, waiting in windows:
        now, have, waited = now + 1, have + rate, waited + waiting
        yield growth.update(now, int(have), waited, 10**12, growth.wanted, limit)


def test_streams_double_while_that_pays() -> None:
    """A server that limits each connection gets as many as may be; one that does not, gets one."""
    assert list(rates(ConcurrencyController(1.0), (5, 1), (10, 1), (20, 1), (40, 1), (80, 1))) == [
        2,
        4,
        8,
        16,
        16,
    ]
    assert list(rates(ConcurrencyController(1.0), (5, 1), (10, 1), (20, 1), limit=4)) == [2, 4, 4]
    assert list(rates(ConcurrencyController(1.0), (100, 1), (101, 1), (100, 1))) == [2, 1, 1]
    assert list(rates(ConcurrencyController(1.0), (5, 1), (10, 1), (11, 1), (11, 1))) == [2, 4, 2, 2]


def test_a_vain_try_is_repeated_rarely() -> None:
    """The network may change within a long download: after 8 s, then 16 s, then 32 s."""
    wanted = list(rates(ConcurrencyController(1.0), *[(100, 1)] * 40))
    assert [second for second, streams in enumerate(wanted) if streams == 2] == [0, 9, 26]


def test_no_stream_is_added_where_we_are_the_slow_one() -> None:
    """A receiver that is busy all the time gains nothing from another connection."""
    assert list(rates(ConcurrencyController(1.0), (500, 0.5), (500, 0.5))) == [1, 1]


def test_no_stream_is_added_for_the_last_second() -> None:
    """A question costs time too."""
    growth = ConcurrencyController(1.0)
    growth.update(0, 0, 0, 150, 1, 4)
    assert growth.update(1, 100, 1, 50, 1, 4) == 1


def test_a_refusal_is_kept() -> None:
    """A server that takes no third connection is not asked for one again."""
    growth = ConcurrencyController(1.0)
    assert list(rates(growth, (5, 1), (10, 1))) == [2, 4]
    growth.cap(2)
    assert growth.wanted == 2
    assert growth.update(1000, 10**6, 1000, 10**9, 2, 16) == 2


# ------------------------------------------------------------------ who brings what


def test_pieces_come_from_near_the_front() -> None:
    """The hash follows; towards the end pieces get smaller, so that all are done at once."""
    spans, size = IntervalSet(), 8 * PIECE
    work = RangeScheduler(spans, 64 * PIECE)
    first = work.lease()
    assert first
    assert (first.first, first.end) == (0, 64 * PIECE)
    second = work.lease(2, size)
    assert second
    assert (second.first, second.end) == (8 * PIECE, 16 * PIECE)
    assert first.end == 64 * PIECE  # nothing is cut before an answer is there
    assert work.confirm(second)
    assert first.end == 8 * PIECE
    others = takewhile(lambda claim: claim.taken_from is None, iter(lambda: work.lease(4, size), None))
    ends = [claim.end - claim.first for claim in others]
    assert sum(ends) == 48 * PIECE
    assert ends == sorted(ends, reverse=True)
    assert (ends[0], ends[-1] <= PIECE) == (6 * PIECE, True)


def test_who_comes_too_late_for_a_piece_leaves_it() -> None:
    """The first stream has got there meanwhile, or another has it."""
    spans = IntervalSet()
    work = RangeScheduler(spans, 8 * PIECE)
    first = work.lease()
    late, later = work.lease(2, PIECE), work.lease(2, PIECE)
    assert first
    assert late
    assert later
    assert work.confirm(late)
    assert not work.confirm(later)
    assert first.end == PIECE
    work.release(late)
    assert [(claim.first, claim.end) for claim in [work.lease(1)] if claim] == [(PIECE, 8 * PIECE)]


def test_small_rests_are_not_shared() -> None:
    """A question for a few bytes is not worth it."""
    work = RangeScheduler(IntervalSet(), 2 * PIECE - 1)
    assert work.lease()
    assert work.lease(2, PIECE) is None


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 15)), max_size=12))
def test_spans_are_sets_of_bytes(adds: list[tuple[int, int]]) -> None:
    """Whatever the order and overlaps."""
    spans, model = IntervalSet(), set[int]()
    for first, length in adds:
        spans.add(first, first + length)
        model |= set(range(first, first + length))
    missing = set(range(60)) - model
    assert spans.length == len(model)
    assert spans.end == max(model, default=-1) + 1
    assert spans.first_gap == min(missing)
    assert {at for first, end in spans.gaps(60) for at in range(first, end)} == missing


# ------------------------------------------------------------------ the hash, and turns at hosts


def test_the_hash_follows_the_front(tmp_path: Path) -> None:
    """Long files in a thread; bytes written ahead are read back; what was cut under it is told."""
    data = os.urandom(INLINE_BYTES + 3 * MIB)
    path = tmp_path / "file"
    path.write_bytes(data)
    with path.open("rb") as file:
        follower = BackgroundHasher(file.fileno(), None)
        follower.advance(MIB, 0, data[:MIB])
        follower.advance(len(data), MIB, data[MIB : 2 * MIB])
        assert follower.wait_for(len(data)).sha256 == hashlib.sha256(data).hexdigest()
        with pytest.raises(StorageError, match="cut"):
            follower.wait_for(len(data) + 1)
        follower.stop()


def test_a_spare_connection_is_one_that_nobody_wants() -> None:
    """Streams beside the first one never take a turn from another file, and never wait."""
    hosts = HostLimits(NetworkSettings(connections=2))
    assert hosts.count_spare("a") == 2
    with (
        hosts.connection("a"),
        hosts.spare_connection("a"),
        pytest.raises(HostBusy),
        hosts.spare_connection("a"),
    ):
        pass
    with hosts.connection("a"), hosts.connection("a"):
        waiting = threading.Thread(target=lambda: hosts.connection("a").__enter__())
        waiting.start()
        while not hosts.is_crowded("a"):
            time.sleep(0.001)
        assert hosts.count_spare("a") == 0
    waiting.join()


@pytest.mark.parametrize("host", ["a", "b"])
def test_a_free_connection_goes_to_the_next_also_past_one_that_was_interrupted(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """Those that wait for one host all get their turn, whoever waits for another."""
    hosts, wait_for = HostLimits(NetworkSettings(connections=1)), threading.Condition.wait_for
    turns: list[str] = []

    def interrupt(condition: threading.Condition, ready: Callable[[], bool]) -> None:
        wait_for(condition, ready)
        if threading.current_thread().name == "interrupted":
            raise KeyboardInterrupt

    def take() -> None:
        with suppress(KeyboardInterrupt), hosts.connection(host):
            turns.append(threading.current_thread().name)

    monkeypatch.setattr(threading.Condition, "wait_for", interrupt)
    threads = [threading.Thread(target=take, name=name) for name in ("interrupted", "next", "last")]
    with hosts.connection("a"), hosts.connection("b"):
        for count, thread in enumerate(threads, 1):
            thread.start()
            while hosts._hosts[host].waiting < count:
                time.sleep(0.001)
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert turns == ["next", "last"]


def test_no_byte_of_another_stream_is_left_untold() -> None:
    """What comes between two looks is told with the next, also after a new beginning: the deltas add up."""
    told: list[int] = []
    deltas = ProgressDeltas(told.append)
    for have in (1000, 1000, 3000, 0, 500):
        deltas.report(have)
    assert told == [1000, 2000, -3000, 500]
