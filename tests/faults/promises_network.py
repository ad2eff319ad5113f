"""Promises 1-6: what the network may do to a file."""

import fcntl
import os
import signal
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from dermdata.cache import Cache
from faults.broken import BRIEF
from faults.desk import BLOB, Desk, Offer
from faults.promises import promise

MIB = 1 << 20
OTHER = bytes(byte ^ 1 for byte in BLOB)  # what `mutate:1` makes of it


def only_true_names(desk: Desk) -> None:
    """Whatever lies under a final name is what the catalog says."""
    assert {name: data for name, data in desk.finals().items() if data != BLOB} == {}


@promise(1)
def other_bytes_get_no_name(desk: Desk) -> None:
    """A flipped bit, with the size known, and half a file, with nothing but the checksum known."""
    desk.offer(Offer("blob.bin", fault="flip:100"))
    assert desk.fetch().code == 4
    only_true_names(desk)
    desk.offer(Offer("blob.bin", fault="nolength+truncate:50p", size=False))
    assert desk.fetch().code == 4
    only_true_names(desk)


@promise(1)
def what_was_cut_gets_no_name(desk: Desk) -> None:
    """Cut for ever: the bytes so far lie under a name that says so."""
    desk.offer(Offer("blob.bin", fault="truncate:50p;empty"))
    assert desk.fetch().code == 3
    assert desk.finals() == {}


@promise(1)
def what_nobody_published_is_said_to_be_so(desk: Desk) -> None:
    """No checksum known: the first one seen is recorded, not called a match, and held to until --force starts anew."""
    desk.offer(Offer("blob.bin", fault="good;mutate:1", checksum=False))
    assert desk.fetch().code == 0
    assert '"checksum": null' in (desk.folder / "receipt.json").read_text(encoding="utf-8")
    next(desk.folder.rglob("blob.bin")).unlink()
    assert desk.fetch().code == 4
    only_true_names(desk)
    assert desk.fetch("--force").code == 0


@promise(2)
def after_a_kill_it_goes_on(desk: Desk) -> None:
    """SIGKILL when 2.5 of 3 MB are there: the next run succeeds and fetches at most 1 MiB of them again."""
    size = 3 * MIB
    big = desk.server.find("/_gen/3M/big.bin").body
    desk.offer(Offer("big.bin", big.read(0, size), fault="stall:2500k;good", place="_gen/3M/big.bin"))
    child = desk.start("fetch", "ours")
    desk.server.wait_for("stalled", timeout=20)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert desk.finals() == {}
    assert desk.fetch().code == 0
    assert desk.again() <= MIB


@promise(3)
def names_come_after_bytes(desk: Desk) -> None:
    """write, fsync, rename, fsync of the folder: for every final name; the records after the files."""
    named = recorded(desk)
    desk.offer(Offer("blob.bin"))
    assert desk.fetch().code == 0
    leaves = [name for name, _, _ in named]
    assert [name for name, before, _ in named if not before] == []
    assert [name for name, _, after in named if not after()] == []
    assert leaves.index("blob.bin") < leaves.index("manifest.parquet")
    assert leaves[-1] == "receipt.json"


def recorded(desk: Desk) -> list[tuple[str, bool, Any]]:
    """Each rename below the datasets: its name, was its file synced, was (by the end) its folder synced."""
    synced: list[int] = []  # inodes, in order
    named: list[tuple[str, bool, Any]] = []
    fsync, replace = os.fsync, os.replace

    def sync(handle: int) -> None:
        synced.append(os.fstat(handle).st_ino)
        fsync(handle)

    def rename(source: Any, target: Any, **options: Any) -> None:
        before, at = Path(source).stat().st_ino in synced, len(synced)
        folder = Path(target).parent.stat().st_ino
        replace(source, target, **options)
        if "datasets" in Path(target).parts:
            named.append((Path(target).name, before, lambda: folder in synced[at:]))

    desk.patch.setattr(os, "fsync", sync)
    desk.patch.setattr(os, "replace", rename)
    return named


@promise(4)
def versions_are_never_joined(desk: Desk) -> None:
    """A server that ignores If-Range and has changed the file: the new one whole, or an error."""
    desk.offer(Offer("blob.bin", fault="truncate:50p;mutate:1+ignoreifrange*2;mutate:1", checksum=False))
    assert desk.fetch().code == 0
    # not in the assertion: its line by line comparison of a megabyte takes minutes
    joined = list(desk.finals().values()) != [OTHER]
    assert not joined


@promise(4)
def a_resume_has_its_condition(desk: Desk) -> None:
    """If-Range with the strong ETag of the first half."""
    desk.offer(Offer("blob.bin", fault="truncate:50p;good"))
    assert desk.fetch().code == 0
    first, second = desk.asked()
    assert second["range"] == f"bytes={len(BLOB) // 2}-"
    assert second["if_range"] == first["etag"]


@promise(4)
def one_fresh_download_after_a_wrong_one(desk: Desk) -> None:
    """Joined under a lying ETag, once from zero, then exit 4; and nothing has a name."""
    desk.offer(Offer("blob.bin", fault="truncate:50p;mutate:1,keep_etag=1"))
    assert desk.fetch().code == 4
    assert [end["range"] is not None for end in desk.asked()] == [False, True, False]
    assert desk.finals() == {}


@promise(5)
def tries_are_counted(desk: Desk) -> None:
    """Five times a busy server, once a missing file."""
    for fault, times in (("status:503", 5), ("status:404", 1), ("status:410", 1)):
        desk.offer(Offer("blob.bin", fault=fault))
        assert desk.fetch().code == 3
        assert len(desk.asked()) == times


@promise(5)
def a_server_that_names_a_time_is_obeyed(desk: Desk) -> None:
    """Two seconds are waited; a day is told, not waited."""
    desk.offer(Offer("blob.bin", fault="status:429,retry_after=7;good"))
    assert desk.fetch().code == 0
    assert max(desk.slept) > 6
    desk.offer(Offer("blob.bin", fault="status:429,retry_after=99999"))
    answer = desk.fetch()
    assert answer.code == 3
    assert "99999 s" in answer.err
    assert len(desk.asked()) == 1


@promise(5)
def a_dead_link_is_asked_for_once_more(desk: Desk) -> None:
    """A signed link that has died: its origin once more, then no more."""
    desk.offer(Offer("blob.bin", fault="signed:-5"))
    assert desk.fetch().code == 3
    assert len(desk.asked()) == 4


@promise(5)
def four_connections_to_a_host(desk: Desk) -> None:
    """However many files come at once: a host that refuses the fifth never has to."""
    desk.patch.setattr(import_module("dermdata.fetching.run"), "STREAMS", 12)
    desk.offer(*(Offer(f"{n}.bin", bytes([n]) * 9, fault="busy:4,all=1+delay:0.02") for n in range(24)))
    assert desk.fetch().code == 0
    assert {end["status"] for end in desk.asked()} == {200}


@promise(6)
def silence_ends(desk: Desk) -> None:
    """Nothing after the head, a head by drops, 200 bytes a second: exit 3 in a known time."""
    for limit, seconds in (("read_timeout", 0.1), ("head_deadline", 0.15), ("minimum_rate_window", 0.1)):
        desk.patch.setitem(BRIEF, limit, seconds)
    for fault in ("stall:0,secs=1.5", "drip:0.02", "slow:200"):
        desk.offer(Offer("blob.bin", BLOB[:1000] if fault.startswith("stall") else BLOB, fault=fault))
        before = time.monotonic()
        assert desk.fetch().code == 3, fault
        assert time.monotonic() - before < 20


@promise(6)
def waiting_for_a_lock_ends(desk: Desk) -> None:
    """Whoever holds the dataset is named, and the wait ends with exit 5."""
    desk.patch.setitem(Cache.lock.__kwdefaults__, "patience", 0.1)
    desk.offer(Offer("blob.bin"))
    locks = desk.cache / "locks"
    locks.mkdir(parents=True)
    with (locks / "ours.lock").open("w", encoding="utf-8") as held:
        held.write("process 1 on elsewhere\n")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        answer = desk.fetch()
    assert answer.code == 5
    assert "process 1 on elsewhere" in answer.err
