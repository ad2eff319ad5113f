"""Promises 7-10 and 12: what the machine, other processes and hostile files may do to the cache."""

import io
import os
import pickle
import resource
import shutil
import tarfile
import zipfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from faults.desk import BLOB, Desk, Offer
from faults.promises import promise
from faults.shelf import TABLE, picture
from support.archive_builders import Raw, raw_tar, raw_zip, tar_member

IMAGE = picture()


@promise(7)
def room_is_asked_for_first(desk: Desk) -> None:
    """A file that cannot fit is not begun: exit 5 with path, need and what is free, and no request."""
    with desk.patch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
        desk.offer(Offer("blob.bin"))
        answer = desk.fetch()
    assert answer.code == 5
    for words in (str(desk.folder), f"{len(BLOB):,} bytes needed", "1,000 bytes free"):
        assert words in answer.err
    assert desk.asked() == []


@promise(7)
def with_room_again_it_completes(desk: Desk) -> None:
    """A limit in the middle of the file: exit 5; then the same command fetches only what is missing."""
    desk.offer(Offer("blob.bin"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    try:
        answer = desk.fetch()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert answer.code == 5
    assert "blob.bin" in answer.err
    assert "bytes needed" in answer.err
    assert desk.finals() == {}
    assert desk.fetch().code == 0
    assert list(desk.finals().values()) == [BLOB]
    assert desk.asked()[-1]["range"]


@promise(8)
def at_once_as_one_after_another(desk: Desk) -> None:
    """Three fetch the same: all succeed, each file is downloaded once, and who waits says for whom."""
    desk.offer(Offer("blob.bin", fault="slow:400k"), Offer("small.bin", BLOB[:5000]))
    first = desk.start("fetch", "ours")
    desk.server.wait_for("start", timeout=20)
    second = desk.start("fetch", "ours")
    here = desk.fetch()
    said = [child.communicate(timeout=60)[1] for child in (first, second)]
    assert [first.returncode, second.returncode, here.code] == [0, 0, 0]
    assert set(Counter(end["path"] for end in desk.asked()).values()) == {1}
    assert f"waiting for process {first.pid} on" in here.err + said[1]
    assert sorted(desk.finals().values()) == sorted([BLOB, BLOB[:5000]])


@promise(9)
def an_archive_stays_inside(desk: Desk) -> None:
    """Names that lead up, and a link with a file written through it: exit 4, nothing anywhere else."""
    precious = desk.root / "precious"
    link = tar_member("link", b"", type=tarfile.SYMTYPE, linkname=str(precious.parent))
    through = raw_tar(link, tar_member("link/precious", b"overwritten"))
    for data in (raw_tar(tar_member("../../../../evil.jpg", IMAGE)), through):
        precious.write_bytes(b"mine")
        desk.offer(Offer("images.tar.gz", data))
        assert desk.fetch().code == 4
        assert precious.read_bytes() == b"mine"
        assert list(desk.root.rglob("evil*")) == []


@promise(9)
def a_server_names_nothing(desk: Desk) -> None:
    """Content-Disposition, and a redirect to a file of this machine."""
    desk.offer(Offer("blob.bin", fault="disposition:..%2F..%2Fevil.sh"))
    assert desk.fetch().code == 0
    assert list(desk.finals()) == ["files/blob.bin"]
    assert list(desk.root.rglob("evil*")) == []
    desk.offer(Offer("blob.bin", fault="redirect:to=file:%2F%2F%2Fetc%2Fpasswd"))
    assert desk.fetch().code == 3
    assert desk.finals() == {}


@promise(9)
def a_planted_link_is_not_followed(desk: Desk) -> None:
    """In the place of a file that will be written: it is replaced, and what it leads to stays."""
    desk.offer(Offer("blob.bin"))
    precious = desk.root / "precious"
    precious.write_bytes(b"mine")
    (desk.folder / "files").mkdir(parents=True)
    (desk.folder / "files" / "blob.bin").symlink_to(precious)
    assert desk.fetch().code == 0
    assert precious.read_bytes() == b"mine"
    assert not (desk.folder / "files" / "blob.bin").is_symlink()


@promise(9)
def a_catalog_names_nothing_outside(desk: Desk) -> None:
    """A file that would lie above the dataset's folder makes the entry a broken one."""
    desk.offer(Offer("../evil.bin", place="blob.bin"))
    answer = desk.fetch()
    assert answer.code == 2
    assert "must be a plain relative path" in answer.err
    assert list(desk.root.rglob("evil*")) == []


@promise(10)
def archives_have_limits(desk: Desk) -> None:
    """Thirty MB out of thirty kB: refused by the limit's name before anything is inflated."""
    desk.offer(Offer("images.zip", raw_zip(Raw(b"zeros.jpg", bytes(30 << 20), method=8))))
    answer = desk.fetch()
    assert answer.code == 4
    assert "the limit ratio" in answer.err


@promise(10)
def redirects_have_a_limit(desk: Desk) -> None:
    """Eleven hops."""
    desk.offer(Offer("blob.bin", fault="redirect:chain=30"))
    answer = desk.fetch()
    assert answer.code == 3
    assert "redirects more than 10 times" in answer.err
    assert len(desk.asked()) == 11


@promise(10)
def heads_and_cells_have_limits(desk: Desk) -> None:
    """Five hundred headers, a head of a megabyte, a body that would swell, a cell of two."""
    for fault, code in (("manyheaders:500", 3), ("hugeheader:1M", 3), ("gzipbomb:20M", 4)):
        desk.offer(Offer("blob.bin", fault=fault))
        assert desk.fetch().code == code, fault
    desk.offer(Offer("table.csv", b'id,dx\na,"' + b"x" * 2_000_000 + b'"\n'), table=TABLE)
    answer = desk.fetch()
    assert answer.code == 4
    assert "field limit" in answer.err


class Touch:
    """What an attacker's pickle holds: unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@promise(12)
def pickles_stay_files(desk: Desk) -> None:
    """Fetched, verified, exported and removed again: the trap in it is never sprung."""
    trap = desk.root / "sprung"
    data = pickle.dumps(Touch(trap))
    inside = io.BytesIO()
    with zipfile.ZipFile(inside, "w") as made:
        for name in ("a.pt", "a.pkl", "a.npy", "conftest.py", "loader.py"):
            made.writestr(name, data)
    desk.offer(
        Offer("a.pkl", data),
        Offer("images.zip", inside.getvalue()),
        Offer("table.csv", b"id,dx\na,nv\n"),
        table=TABLE,
        labels="field\traw_label\tconcept\tpredicate\tmalignancy\tmembers\tnote\n"
        "dx\tnv\tmelanocytic-nevus\texactMatch\t\t\t\n",
    )
    assert desk.fetch().code == 0
    assert not trap.exists()
    for words in (["verify"], ["export", "jsonl", "ours", "-o", desk.place / "x.jsonl"], ["stats", "ours"]):
        assert desk.run(*words).code == 0
    assert not trap.exists()


@promise(10)
def memory_is_flat(desk: Desk) -> None:
    """Sixty MB in three members, and the whole of Python: under 512 MiB."""
    desk.offer(Offer("images.zip", raw_zip(*many_zeros())))
    child = desk.start("fetch", "ours", environment={"DESK_PEAK": str(desk.place / "peak")})
    child.communicate(timeout=60)
    assert child.returncode == 0
    assert int((desk.place / "peak").read_text(encoding="utf-8")) < 512 << 10


def many_zeros() -> list[Raw]:
    return [Raw(f"{n}.bin".encode(), bytes(range(64)) * (20 << 14), method=8) for n in range(3)]
