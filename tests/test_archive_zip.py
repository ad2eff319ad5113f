"""Zip read by byte ranges: the directory, single members, methods, name encodings."""

import hashlib
import struct
import time
import zipfile
import zlib

import pytest

from dermdata.archive import ArchiveEntry, list_zip, member_span, read_member
from support.archive_builders import IMAGES, Remote, Unseekable, zipped


def test_listing_costs_three_requests_at_most_and_a_member_one() -> None:
    """10,000 members in a remote zip: the directory by two or three ranges, each image by one."""
    remote = Remote(zipped({f"images/{number:05d}.jpg": b"x" * 50 for number in range(10_000)}))
    entries = list_zip(remote, len(remote.data)).entries
    assert len(entries) == 10_000
    assert len(remote.requests) <= 3
    remote.requests.clear()
    assert b"".join(read_member(remote, entries[7_777])) == b"x" * 50
    assert remote.requests == [member_span(entries[7_777])]


@pytest.mark.slow
def test_the_time_to_list_grows_with_the_members_only() -> None:
    """401,059 members, as many as the largest dataset has, are listed in seconds by three ranges."""
    count, name, step = 401_059, b"train-image/image/ISIC_%07d.jpg", 5_064
    fixed = struct.pack("<4s6H3L5H", b"PK\1\2", 0x314, 20, 0, 0, 0, 33, 0, 5_000, 5_000, 34, 0, 0, 0, 0)
    records = [fixed + struct.pack("<2L", 0, n * step) + name % n for n in range(count)]
    directory, start = b"".join(records), count * step
    numbers = (count, count, len(directory), start)
    tail = directory + struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, *numbers)
    tail += struct.pack("<4sLQL", b"PK\6\7", 0, start + len(directory), 1)
    tail += struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, len(directory), start, 0)
    remote = Remote(tail)
    began = time.perf_counter()
    entries = list_zip(lambda at, length: remote(at - start, length), start + len(tail)).entries
    assert time.perf_counter() - began < 30
    assert (len(entries), entries[-1].offset) == (count, (count - 1) * step)
    assert len(remote.requests) == 3


@pytest.mark.parametrize("size", [10, 3_000])
def test_a_long_local_extra_field_costs_a_second_look(size: int) -> None:
    """The local header may be longer than the directory lets expect."""
    name, data, extra = b"a.jpg", b"y" * size, struct.pack("<2H", 0x9999, 2_000) + bytes(2_000)
    crc = zlib.crc32(data)
    head = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 33, crc, size, size, len(name), len(extra))
    remote = Remote(head + name + extra + data)
    assert b"".join(read_member(remote, ArchiveEntry("a.jpg", size, size, 0, crc, 0))) == data
    assert len(remote.requests) == 2


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
@pytest.mark.parametrize("size", [0, 1, 1 << 20, (3 << 20) + 7])
def test_methods_of_the_standard_library(method: int, size: int) -> None:
    """Stored, deflated, bzip2 and LZMA, also over several chunks."""
    data = (hashlib.sha256(b"seed").digest() * (size // 32 + 1))[:size]
    assert Remote(zipped({"a": data}, method)).contents() == {"a": data}


def test_data_descriptors_and_zip64(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes after the data, and 64-bit sizes, offsets and counts."""
    assert Remote(zipped(IMAGES, buffer=Unseekable())).contents() == IMAGES
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 10)
    data = zipped(IMAGES)
    assert b"PK\6\7" in data
    assert Remote(data).contents() == IMAGES


@pytest.mark.fault(78)
@pytest.mark.parametrize(
    "raw", ["Läsion.jpg".encode("cp437"), "Läsion.jpg".encode(), "La\u0308sion.jpg".encode()]
)
def test_names_in_any_code_page_become_nfc(raw: bytes) -> None:
    """Row 78: code page 437, UTF-8 without flag, NFD from a Mac."""
    data = zipped({"x" * len(raw): b"data"}).replace(b"x" * len(raw), raw)
    assert Remote(data).contents() == {"Läsion.jpg": b"data"}
