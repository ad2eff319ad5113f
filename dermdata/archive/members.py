"""One zip member: its local header against the central one, its bytes inflated, size and CRC-32 checked."""

import struct
from collections.abc import Iterator

from dermdata.archive.directory import ENCRYPTED, decoded, extra_blocks
from dermdata.archive.entries import Entry, RangeReader, refusal
from dermdata.archive.methods import Broken, crc32, inflate
from dermdata.archive.names import member_name

HEADER = struct.Struct("<4s5H3L2H")
SIGN = b"PK\3\4"
DESCRIPTOR = 0x0008  # sizes and CRC follow the data
MARGIN = 512  # the local extra field may be longer than the central one
PIECE = 16 << 20  # bytes asked of the reader at a time
FULL32 = 0xFFFFFFFF


def member_span(entry: Entry) -> tuple[int, int]:
    """Start and length of the range that holds header and data; it may reach beyond the archive's end."""
    return entry.offset, HEADER.size + len(entry.name.encode()) + MARGIN + entry.stored


def read_member(read: RangeReader, entry: Entry, *, what: str = "archive") -> Iterator[bytes]:
    """Read a member's bytes in chunks, by one range read when it is under 16 MiB.

    ArchiveRefused, also after the last chunk, when header, size or CRC-32 are not what the entry says.
    """
    start, length = member_span(entry)
    first = read(start, min(length, PIECE))
    skip = _header_length(first, entry, what)
    if skip > len(first):  # the margin was too small
        first = read(start, min(skip + entry.stored, max(PIECE, skip)))
    _check_name(first, entry, skip, what)
    try:
        stored = _stored(read, entry, first, skip, what)
        yield from _checked(inflate(entry.method, stored, entry.size), entry, what)
    except Broken as error:
        raise refusal(what, entry.name, f"is damaged: {error}") from error


def _header_length(first: bytes, entry: Entry, what: str) -> int:
    if len(first) < HEADER.size or not first.startswith(SIGN):
        raise refusal(what, entry.name, f"has no header at offset {entry.offset:,}")
    name: int
    extra: int
    _, _, flags, method, _, _, crc, stored, size, name, extra = HEADER.unpack_from(first)
    if method != entry.method:
        raise refusal(what, entry.name, f"has method {method} in its header, {entry.method} in the directory")
    if flags & ENCRYPTED:
        raise refusal(what, entry.name, "is encrypted by its header, but not by the directory")
    told = () if flags & DESCRIPTOR else ((crc, entry.crc32), (stored, entry.stored), (size, entry.size))
    if any(own not in (central, FULL32) for own, central in told):
        raise refusal(what, entry.name, "has another size or CRC in its header than in the directory")
    return HEADER.size + name + extra


def _check_name(first: bytes, entry: Entry, skip: int, what: str) -> None:
    if len(first) < skip:
        raise refusal(what, entry.name, "is cut short")
    flags, length = HEADER.unpack_from(first)[2], HEADER.unpack_from(first)[9]
    raw, extra = first[HEADER.size : HEADER.size + length], first[HEADER.size + length : skip]
    name = member_name(decoded(raw, flags, extra_blocks(extra, raw, what), what))
    if name != entry.name:
        raise refusal(what, entry.name, f"is called {name!r} in its own header")


def _stored(read: RangeReader, entry: Entry, first: bytes, skip: int, what: str) -> Iterator[bytes]:
    piece = first[skip : skip + entry.stored]
    done = len(piece)
    yield piece
    while done < entry.stored:
        piece = read(entry.offset + skip + done, min(PIECE, entry.stored - done))
        if not piece:
            raise refusal(what, entry.name, f"is cut short: {done:,} of {entry.stored:,} bytes")
        done += len(piece)
        yield piece


def _checked(chunks: Iterator[bytes], entry: Entry, what: str) -> Iterator[bytes]:
    size = crc = 0
    for chunk in chunks:
        size += len(chunk)
        if size > entry.size:
            raise refusal(what, entry.name, f"is longer than the {entry.size:,} bytes it declares")
        crc = crc32(chunk, crc)
        yield chunk
    if size != entry.size:
        raise refusal(what, entry.name, f"has {size:,} bytes, not the {entry.size:,} it declares")
    if crc != entry.crc32:
        raise refusal(what, entry.name, f"has CRC-32 {crc:08x}, not {entry.crc32:08x}")
