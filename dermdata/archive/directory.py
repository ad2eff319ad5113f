"""A zip's central directory, through any reader of byte ranges; zip64 too."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from dermdata.archive.entries import DEFAULT, KINDS, Entry, Gate, Limits, RangeReader, refusal, refuse_overlap
from dermdata.archive.methods import named
from dermdata.archive.names import is_junk, member_name
from dermdata.errors import ArchiveRefused, CredentialsMissing

END, END64, LOCATOR = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q"), struct.Struct("<4sLQL")
RECORD = struct.Struct("<4s6H3L5H2L")
END_SIGN, END64_SIGN, LOCATOR_SIGN, RECORD_SIGN = b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\1\2"
TAIL = END.size + 0xFFFF + LOCATOR.size + END64.size  # the end record, at its longest
ZIP64, UNICODE_PATH = 0x0001, 0x7075
ENCRYPTED = 0x0001 | 0x0040 | 0x2000
UTF8 = 0x0800
AES = 99
FULL16, FULL32 = 0xFFFF, 0xFFFFFFFF


class End(NamedTuple):
    """What the end record says of the central directory."""

    members: int
    size: int
    offset: int
    stop: int  # where the directory must end


@dataclass(frozen=True)
class Listing:
    """An archive's regular files, and how many members were left out as junk."""

    entries: tuple[Entry, ...]
    junk: int


class Record(NamedTuple):
    """One central directory record: the entry, and what is only needed to judge it."""

    entry: Entry
    folder: bool
    flags: int
    mode: int
    stop: int  # the least offset at which its data ends


def list_zip(
    read: RangeReader, size: int, limits: Limits = DEFAULT, *, what: str = "archive"
) -> tuple[Entry, ...]:
    """List the regular files of a zip of `size` bytes, in its own order, by two or three range reads."""
    return read_directory(read, size, limits, what).entries


def read_directory(read: RangeReader, size: int, limits: Limits, what: str) -> Listing:
    """As `list_zip`, with the count of junk; ArchiveRefused names what is wrong and where."""
    end = _find_end(read, size, what)
    gate = Gate(what, limits)
    gate.check("members", end.members)
    gate.check("directory_bytes", end.size)
    records = list(_records(_exactly(read, end.offset, end.size, what), end, what))
    for record in records:
        _judge(record, gate, what)
    gate.check_total_ratio(sum(one.entry.size for one in records), size)
    refuse_overlap(((r.entry.offset, r.stop, r.entry.name) for r in records), end.offset, what)
    files = [record.entry for record in records if not record.folder]
    entries = tuple(entry for entry in files if not is_junk(entry.name))
    for entry in entries:
        gate.add_file(entry.name)
    return Listing(entries, len(files) - len(entries))


def _exactly(read: RangeReader, start: int, length: int, what: str) -> bytes:
    data = read(start, length) if length else b""
    if len(data) != length:
        raise ArchiveRefused(f"{what}: {len(data):,} of {length:,} bytes at offset {start:,}: cut short")
    return data


# ------------------------------------------------------------------ the end record


def _find_end(read: RangeReader, size: int, what: str) -> End:
    start = max(0, size - TAIL)
    tail = _exactly(read, start, size - start, what)
    at = _end_position(tail, read, what)
    _, disk, first, here, count, length, offset, _ = END.unpack_from(tail, at)
    end = End(count, length, offset, start + at)
    if disk not in (0, FULL16) or first not in (0, FULL16) or here != count:
        raise ArchiveRefused(f"{what} is one part of a zip in several parts")
    if at >= LOCATOR.size and tail[at - LOCATOR.size :].startswith(LOCATOR_SIGN):
        end = _end64(read, LOCATOR.unpack_from(tail, at - LOCATOR.size), end, what)
    return _in_place(end, what)


def _end_position(tail: bytes, read: RangeReader, what: str) -> int:
    """Where the one end record is whose comment ends with the file."""
    found = list(_positions(tail, END_SIGN))
    fitting = [at for at in found if at + END.size + _comment_length(tail, at) == len(tail)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ArchiveRefused(f"{what} has {len(fitting)} end records that fit: it could be read in two ways")
    if found and found[-1] + END.size <= len(tail):
        extra = len(tail) - found[-1] - END.size - _comment_length(tail, found[-1])
        raise ArchiveRefused(f"{what} has {extra:,} bytes too many after its end" if extra > 0
                             else f"{what} is cut short in its last bytes")  # fmt: skip
    raise ArchiveRefused(f"{what} has no end record: {_described(read(0, 16))}")


def _positions(data: bytes, sign: bytes) -> Iterator[int]:
    at = data.find(sign)
    while at >= 0:
        yield at
        at = data.find(sign, at + 1)


def _comment_length(tail: bytes, at: int) -> int:
    return int.from_bytes(tail[at + END.size - 2 : at + END.size], "little")


def _described(head: bytes) -> str:
    if not head:
        return "it is empty"
    if head.startswith(b"PK\3\4"):
        return "it is cut short"
    return f"it is no zip, it begins with {head!r}"


def _end64(read: RangeReader, locator: tuple[bytes, int, int, int], end: End, what: str) -> End:
    _, _, at, disks = locator
    if at + END64.size > end.stop - LOCATOR.size:
        raise ArchiveRefused(f"{what}: its zip64 end record is not where it must be")
    record = _exactly(read, at, END64.size, what)
    sign, length, _, _, disk, first, here, count, size, offset = END64.unpack(record)
    if sign != END64_SIGN or at + 12 + length != end.stop - LOCATOR.size:
        raise ArchiveRefused(f"{what}: its zip64 end record is not where it must be")
    if disks > 1 or disk or first or here != count:
        raise ArchiveRefused(f"{what} is one part of a zip in several parts")
    agreed = ((end.members, count, FULL16), (end.size, size, FULL32), (end.offset, offset, FULL32))
    if any(old not in (new, full) for old, new, full in agreed):
        raise ArchiveRefused(f"{what}: its two end records disagree")
    return End(count, size, offset, at)


def _in_place(end: End, what: str) -> End:
    gap = end.stop - end.offset - end.size
    if gap > 0:
        raise ArchiveRefused(f"{what}: {gap:,} bytes of something else in front of it or its directory")
    if gap < 0:
        raise ArchiveRefused(f"{what}: its central directory does not fit into the file")
    return end


# ------------------------------------------------------------------ the records


def _records(data: bytes, end: End, what: str) -> Iterator[Record]:
    at = 0
    for number in range(end.members):
        if data[at : at + 4] != RECORD_SIGN or at + RECORD.size > len(data):
            raise ArchiveRefused(f"{what}: record {number + 1} of {end.members} in its directory is broken")
        fields = RECORD.unpack_from(data, at)
        stop = at + RECORD.size + sum(fields[10:13])
        if stop > len(data):
            raise ArchiveRefused(f"{what}: record {number + 1} of {end.members} in its directory is cut")
        name_at, extra_at = at + RECORD.size, at + RECORD.size + fields[10]
        yield _record(fields, data[name_at:extra_at], data[extra_at : extra_at + fields[11]], what)
        at = stop
    if at != len(data):
        raise ArchiveRefused(f"{what}: its directory holds more than the {end.members} members it counts")


def _record(fields: tuple[int, ...], raw: bytes, extra: bytes, what: str) -> Record:
    _, _, _, flags, method, _, _, crc, stored, size, length, *_, disk, _, mode, offset = fields
    blocks = extra_blocks(extra, raw, what)
    text = decoded(raw, flags, blocks, what)
    size, stored, offset = _widened([size, stored, offset], blocks, text, what)
    if disk not in (0, FULL16):
        raise refusal(what, text, "lies in another part of a zip in several parts")
    entry = Entry(member_name(text), size, stored, method, crc, offset)
    return Record(entry, text.endswith("/"), flags, mode >> 16, offset + 30 + length + stored)


def extra_blocks(extra: bytes, raw: bytes, what: str) -> dict[int, bytes]:
    """Split an extra field into blocks by number; up to three bytes of padding are let pass."""
    blocks: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(extra):
        number, length = struct.unpack_from("<2H", extra, at)
        at += 4 + length
        if at > len(extra) or (number in blocks and number in (ZIP64, UNICODE_PATH)):
            raise refusal(what, raw.decode("cp437"), "has a broken extra field")
        blocks[number] = extra[at - length : at]
    return blocks


def _widened(values: list[int], blocks: dict[int, bytes], name: str, what: str) -> list[int]:
    """Size, stored size and offset, with those of the zip64 block where the 32 bits are full."""
    full = [index for index, value in enumerate(values) if value == FULL32]
    block = blocks.get(ZIP64, b"")
    if full and ZIP64 in blocks and len(block) < 8 * len(full):
        raise refusal(what, name, "has a zip64 field that is too short")
    if full and ZIP64 in blocks:
        for index, value in zip(full, struct.unpack_from(f"<{len(full)}Q", block), strict=True):
            values[index] = value
    return values


def decoded(raw: bytes, flags: int, blocks: dict[int, bytes], what: str) -> str:
    """Decode a name: UTF-8 by flag, by Info-ZIP's field or by its look, else code page 437."""
    field = blocks.get(UNICODE_PATH, b"")
    if len(field) > 5 and field[0] == 1 and int.from_bytes(field[1:5], "little") == zlib.crc32(raw):
        raw, flags = field[5:], flags | UTF8
    try:
        return raw.decode()
    except UnicodeDecodeError:
        if flags & UTF8:
            raise refusal(what, raw.decode("cp437"), "has a name that is not UTF-8, as it claims") from None
        return raw.decode("cp437")


def _judge(record: Record, gate: Gate, what: str) -> None:
    entry = record.entry
    gate.count(entry.name, entry.size, entry.stored)
    kind = KINDS.get(record.mode & 0o170000)
    if kind:
        raise gate.refusal(entry.name, f"is {kind}")
    if record.folder:
        if entry.size:
            raise gate.refusal(entry.name, "is a folder with data")
        gate.add_folder(entry.name)
        return
    if record.flags & ENCRYPTED or entry.method == AES:
        raise CredentialsMissing(
            f"{what} needs a password: member {entry.name!r} is encrypted",
            hint="unpack it by hand with the publisher's password",
        )
    if reason := named(entry.method):
        raise gate.refusal(entry.name, reason)
    if entry.method == 0 and entry.size != entry.stored:
        raise gate.refusal(entry.name, f"is stored, but its {entry.size:,} bytes take {entry.stored:,}")
