"""A zip through any reader of byte ranges: its central directory, zip64 too, and its members.

Each member is checked against its local header, its size and its CRC-32.
"""

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from dermdata import disk
from dermdata.archive.compression import CorruptData, inflate, unpack_hint, unsupported_reason
from dermdata.archive.policy import (
    DEFAULT_LIMITS,
    SPECIAL_FILES,
    ArchiveEntry,
    ArchiveLimits,
    MemberChecker,
    RangeReader,
    is_junk,
    member_refusal,
    normalize_member_name,
    refuse_overlap,
)
from dermdata.errors import ArchiveRefused, CredentialsMissing
from dermdata.markup import count_nouns
from dermdata.text_files import START_BYTES, find_stand_in

END_RECORD, END64_RECORD, LOCATOR_RECORD = (
    struct.Struct("<4s4H2LH"),
    struct.Struct("<4sQ2H2L4Q"),
    struct.Struct("<4sLQL"),
)
CENTRAL_HEADER = struct.Struct("<4s6H3L5H2L")
END_SIGN, END64_SIGN, LOCATOR_SIGN, CENTRAL_HEADER_SIGN = b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\1\2"
# the end record, at its longest
TAIL_BYTES = END_RECORD.size + 0xFFFF + LOCATOR_RECORD.size + END64_RECORD.size
ZIP64_FIELD, UNICODE_PATH_FIELD = 0x0001, 0x7075
ENCRYPTED_FLAGS = 0x0001 | 0x0040 | 0x2000
UTF8_FLAG = 0x0800
AES_METHOD = 99
FULL16, FULL32 = 0xFFFF, 0xFFFFFFFF
# no child process inherits the descriptor, no pipe is waited for, Windows changes no line ends
LOCAL_HEADER = struct.Struct("<4s5H3L2H")
LOCAL_HEADER_SIGN = b"PK\3\4"
DESCRIPTOR_FLAG = 0x0008  # sizes and CRC follow the data
HEADER_MARGIN = 512  # the local extra field may be longer than the central one
PIECE_BYTES = 16 << 20  # bytes asked of the reader at a time
LIKELY_CODE_PAGES = ("gbk", "shift_jis", "euc_kr", "big5", "cp1252", "cp1251")
NAMES_SHOWN = 2  # code pages that a note shows a name in


class EndRecord(NamedTuple):
    """What the end record says of the central directory."""

    members: int
    size: int
    offset: int
    stop: int  # where the directory must end
    long: bool  # zip64; otherwise members and offset are what is left of them in 16 and 32 bits

    def counts(self, members: int) -> bool:
        """Whether it states so many members; macOS and others let the count start anew at 65,536."""
        return self.members == (members if self.long else members % (FULL16 + 1))


@dataclass(frozen=True)
class ZipListing:
    """An archive's regular files, and how many members were left out as junk."""

    entries: tuple[ArchiveEntry, ...]
    junk: int
    notes: tuple[str, ...] = ()  # what a person should know of it


class CentralRecord(NamedTuple):
    """One central directory record: the entry, and what is only needed to judge it."""

    entry: ArchiveEntry
    folder: bool
    flags: int
    mode: int
    stop: int  # the least offset at which its data ends
    guessed: bytes  # the name's own bytes, where no one says how to read them


@contextmanager
def open_ranges(path: Path) -> Iterator[tuple[RangeReader, os.stat_result]]:
    """A reader of a local file's byte ranges, for any thread, and the status of the file that it reads."""
    handle = disk.open_handle(path, os.O_RDONLY, links=True)
    try:
        yield lambda start, length: disk.read_at(handle, length, start), os.fstat(handle)
    finally:
        os.close(handle)


def list_zip(
    read: RangeReader,
    size: int,
    limits: ArchiveLimits = DEFAULT_LIMITS,
    *,
    what: str = "archive",
    encoding: str | None = None,
) -> ZipListing:
    """List the regular files of a zip by two or three range reads.

    Parameters
    ----------
    read
        Reads ranges of the archive.
    size
        The archive's size in bytes.
    limits
        How much it may ask for.
    what
        Its name, for messages.
    encoding
        The code page of names that do not say that they are UTF-8; None: UTF-8, else 437.

    Returns
    -------
    ZipListing
        The files in the archive's own order, without what operating systems leave behind.

    Raises
    ------
    ArchiveRefused
        If the archive is damaged, unsafe, or over a limit.
    CredentialsMissing
        If a member is encrypted.

    """
    end = _read_end_record(read, size, what)
    checker = MemberChecker(what, limits)
    checker.check_limit("members", end.members)
    checker.check_limit("directory_bytes", end.size)
    directory = _read_exactly(read, end.offset, end.size, what)
    records = list(_parse_records(directory, end, checker, what, encoding))
    if end.offset > FULL32 and not end.long:
        records = list(_unwrap_offsets(records))
    _check_records(records, checker, end, size, what)
    files = [record.entry for record in records if not record.folder]
    entries = tuple(entry for entry in files if not is_junk(entry.name))
    for entry in entries:
        checker.add_member(entry.name)
    notes = _note_guessed_names([record.guessed for record in records if record.guessed], what)
    return ZipListing(entries, len(files) - len(entries), tuple(notes))


def _check_records(
    records: list[CentralRecord], checker: MemberChecker, end: EndRecord, size: int, what: str
) -> None:
    for record in records:
        _check_record(record, checker, what)
    checker.check_total_ratio(sum(one.entry.size for one in records), size)
    refuse_overlap(((r.entry.offset, r.stop, r.entry.name) for r in records), end.offset, what)


def _note_guessed_names(guessed: list[bytes], what: str) -> Iterator[str]:
    """What to say of names in an unknown code page: as what one was read, and what it may be."""
    if not guessed:
        return
    read = {page: text for page in LIKELY_CODE_PAGES if (text := _decode_all(guessed, page))}
    other = " or ".join(f"{name[:120]!r} in {page}" for page, name in list(read.items())[:NAMES_SHOWN])
    yield (
        f"{what}: {count_nouns(len(guessed), 'name', 'are')} not UTF-8, read as code page 437: "
        f"{guessed[0].decode('cp437')[:120]!r}{f', which would be {other}' if other else ''}; "
        "`name_encoding` of its [[files]] in the catalog states another one"
    )


def _decode_all(names: list[bytes], code_page: str) -> str | None:
    """The first of the names in a code page that can have all of them."""
    try:
        first, *_ = [name.decode(code_page) for name in names]
    except UnicodeDecodeError:
        return None
    return first


def _read_exactly(read: RangeReader, start: int, length: int, what: str) -> bytes:
    data = read(start, length) if length else b""
    if len(data) != length:
        raise ArchiveRefused(f"{what}: {len(data):,} of {length:,} bytes at offset {start:,}: cut short")
    return data


# ------------------------------------------------------------------ the end record


def _read_end_record(read: RangeReader, size: int, what: str) -> EndRecord:
    start = max(0, size - TAIL_BYTES)
    tail = _read_exactly(read, start, size - start, what)
    at = _locate_end_record(tail, read, what)
    _, number, first, here, count, length, offset, _ = END_RECORD.unpack_from(tail, at)
    end = EndRecord(count, length, offset, start + at, long=False)
    if number not in (0, FULL16) or first not in (0, FULL16) or here != count:
        raise ArchiveRefused(f"{what} is one part of a zip in several parts")
    if at >= LOCATOR_RECORD.size and tail[at - LOCATOR_RECORD.size :].startswith(LOCATOR_SIGN):
        end = _read_end64_record(read, LOCATOR_RECORD.unpack_from(tail, at - LOCATOR_RECORD.size), end, what)
    return _require_no_gap(end, what)


def _locate_end_record(tail: bytes, read: RangeReader, what: str) -> int:
    """Where the one end record is whose comment ends with the file."""
    found = list(_find_positions(tail, END_SIGN))
    fitting = [at for at in found if at + END_RECORD.size + _comment_length(tail, at) == len(tail)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ArchiveRefused(
            f"{what} has {count_nouns(len(fitting), 'end record')} that fit: it could be read in two ways"
        )
    if found and found[-1] + END_RECORD.size <= len(tail):
        extra = len(tail) - found[-1] - END_RECORD.size - _comment_length(tail, found[-1])
        raise ArchiveRefused(f"{what} has {extra:,} bytes too many after its end" if extra > 0
                             else f"{what} is cut short in its last bytes")  # fmt: skip
    raise ArchiveRefused(f"{what} has no end record: {_describe_head(read(0, START_BYTES))}")


def _find_positions(data: bytes, sign: bytes) -> Iterator[int]:
    at = data.find(sign)
    while at >= 0:
        yield at
        at = data.find(sign, at + 1)


def _comment_length(tail: bytes, at: int) -> int:
    return int.from_bytes(tail[at + END_RECORD.size - 2 : at + END_RECORD.size], "little")


def _describe_head(head: bytes) -> str:
    if not head:
        return "it is empty"
    if head.startswith(b"PK\3\4"):
        return "it is cut short"
    kind = find_stand_in(head)
    return f"it is {f'{kind}, ' if kind else ''}no zip, it begins with {head[:16]!r}"


def _read_end64_record(
    read: RangeReader, locator: tuple[bytes, int, int, int], end: EndRecord, what: str
) -> EndRecord:
    _, _, at, disks = locator
    if at + END64_RECORD.size > end.stop - LOCATOR_RECORD.size:
        raise ArchiveRefused(f"{what}: its zip64 end record is not where it must be")
    record = _read_exactly(read, at, END64_RECORD.size, what)
    sign, length, _, _, number, first, here, count, size, offset = END64_RECORD.unpack(record)
    if sign != END64_SIGN or at + 12 + length != end.stop - LOCATOR_RECORD.size:
        raise ArchiveRefused(f"{what}: its zip64 end record is not where it must be")
    if disks > 1 or number or first or here != count:
        raise ArchiveRefused(f"{what} is one part of a zip in several parts")
    agreed = ((end.members, count, FULL16), (end.size, size, FULL32), (end.offset, offset, FULL32))
    if any(old not in (new, full) for old, new, full in agreed):
        raise ArchiveRefused(f"{what}: its two end records disagree")
    return EndRecord(count, size, offset, at, long=True)


def _require_no_gap(end: EndRecord, what: str) -> EndRecord:
    gap = end.stop - end.offset - end.size
    if gap > 0 and not end.long and gap % (FULL32 + 1) == 0:
        return end._replace(offset=end.offset + gap)
    if gap > 0:
        raise ArchiveRefused(f"{what}: {gap:,} bytes of something else in front of it or its directory")
    if gap < 0:
        raise ArchiveRefused(f"{what}: its central directory does not fit into the file")
    return end


# ------------------------------------------------------------------ the records


def _parse_records(
    data: bytes, end: EndRecord, checker: MemberChecker, what: str, encoding: str | None
) -> Iterator[CentralRecord]:
    at = number = 0
    while at < len(data):
        number += 1
        checker.check_limit("members", number)
        if data[at : at + 4] != CENTRAL_HEADER_SIGN or at + CENTRAL_HEADER.size > len(data):
            raise ArchiveRefused(f"{what}: record {number:,} in its directory is broken")
        fields = CENTRAL_HEADER.unpack_from(data, at)
        stop = at + CENTRAL_HEADER.size + sum(fields[10:13])
        if stop > len(data):
            raise ArchiveRefused(f"{what}: record {number:,} in its directory is cut")
        name_at, extra_at = at + CENTRAL_HEADER.size, at + CENTRAL_HEADER.size + fields[10]
        extra = data[extra_at : extra_at + fields[11]]
        yield _parse_record(fields, data[name_at:extra_at], extra, what, encoding)
        at = stop
    if not end.counts(number):
        raise ArchiveRefused(
            f"{what}: its directory holds {count_nouns(number, 'member')}, and counts {end.members:,}"
        )


def _parse_record(
    fields: tuple[int, ...], raw: bytes, extra: bytes, what: str, encoding: str | None
) -> CentralRecord:
    _, _, _, flags, method, _, _, crc, stored, size, length, *_, number, _, mode, offset = fields
    blocks = split_extra_field(extra, raw, what)
    text, guessed = decode_name(raw, flags, blocks, what, encoding)
    size, stored, offset = _apply_zip64([size, stored, offset], blocks, text, what)
    if number not in (0, FULL16):
        raise member_refusal(what, text, "lies in another part of a zip in several parts")
    entry = ArchiveEntry(normalize_member_name(text), size, stored, method, crc, offset)
    folder, stop = text.endswith(("/", "\\")), offset + 30 + length + stored
    return CentralRecord(entry, folder, flags, mode >> 16, stop, raw if guessed else b"")


def _unwrap_offsets(records: Iterable[CentralRecord]) -> Iterator[CentralRecord]:
    """Members of a zip over 4 GiB without zip64, whose offsets start anew there, as macOS writes them in order."""
    last = lost = 0
    for record in records:
        lost += FULL32 + 1 if record.entry.offset + lost < last else 0
        last = record.stop + lost
        entry = replace(record.entry, offset=record.entry.offset + lost)
        yield record._replace(entry=entry, stop=last)


def split_extra_field(extra: bytes, raw: bytes, what: str) -> dict[int, bytes]:
    """Split an extra field into blocks by number; up to three bytes of padding are let pass."""
    blocks: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(extra):
        number, length = struct.unpack_from("<2H", extra, at)
        at += 4 + length
        if at > len(extra) or (number in blocks and number in (ZIP64_FIELD, UNICODE_PATH_FIELD)):
            raise member_refusal(what, raw.decode("cp437"), "has a broken extra field")
        blocks[number] = extra[at - length : at]
    return blocks


def _apply_zip64(values: list[int], blocks: dict[int, bytes], name: str, what: str) -> list[int]:
    """Size, stored size and offset, with those of the zip64 block where the 32 bits are full."""
    full = [index for index, value in enumerate(values) if value == FULL32]
    block = blocks.get(ZIP64_FIELD, b"")
    if full and ZIP64_FIELD in blocks and len(block) < 8 * len(full):
        raise member_refusal(what, name, "has a zip64 field that is too short")
    if full and ZIP64_FIELD in blocks:
        for index, value in zip(full, struct.unpack_from(f"<{len(full)}Q", block), strict=True):
            values[index] = value
    return values


def decode_name(
    raw: bytes, flags: int, blocks: dict[int, bytes], what: str, encoding: str | None
) -> tuple[str, bool]:
    """Decode a name, and say whether that was a guess.

    UTF-8 by flag or by Info-ZIP's field, else in the code page that the catalog states, else UTF-8 by its look, else in
    code page 437.
    """
    field = blocks.get(UNICODE_PATH_FIELD, b"")
    if len(field) > 5 and field[0] == 1 and int.from_bytes(field[1:5], "little") == zlib.crc32(raw):
        raw, flags = field[5:], flags | UTF8_FLAG
    claimed = "UTF-8" if flags & UTF8_FLAG else encoding
    try:
        text = raw.decode(claimed or "UTF-8")
        text.encode()  # some encodings can say what no text may hold
        return text, False
    except UnicodeError:
        if claimed is None:
            return raw.decode("cp437"), True
        who = "it claims" if flags & UTF8_FLAG else "the catalog states"
        reason = f"has a name that is not {claimed}, as {who}"
        raise member_refusal(what, raw.decode("cp437"), reason) from None


def _check_record(record: CentralRecord, checker: MemberChecker, what: str) -> None:
    entry = record.entry
    checker.check_member(entry.name, entry.size, entry.stored)
    kind = SPECIAL_FILES.get(record.mode & 0o170000)
    if kind:
        raise checker.refusal(entry.name, f"is {kind}")
    if record.folder:
        if entry.size:
            raise checker.refusal(entry.name, "is a folder with data")
        checker.add_folder(entry.name)
        return
    if record.flags & ENCRYPTED_FLAGS or entry.method == AES_METHOD:
        raise CredentialsMissing(
            f"{what} needs a password: member {entry.name!r} is encrypted",
            hint="unpack it by hand with the publisher's password",
        )
    if reason := unsupported_reason(entry.method):
        raise member_refusal(what, entry.name, reason, unpack_hint(entry.method))
    if entry.method == 0 and entry.size != entry.stored:
        raise checker.refusal(entry.name, f"is stored, but its {entry.size:,} bytes take {entry.stored:,}")


def member_span(entry: ArchiveEntry) -> tuple[int, int]:
    """Start and length of the range that holds header and data; it may reach beyond the archive's end."""
    return entry.offset, LOCAL_HEADER.size + len(entry.name.encode()) + HEADER_MARGIN + entry.stored


def read_member(
    read: RangeReader, entry: ArchiveEntry, *, what: str = "archive", encoding: str | None = None
) -> Iterator[bytes]:
    """Read a member's bytes in chunks, by one range read when it is under 16 MiB.

    Parameters
    ----------
    read
        Reads ranges of the archive.
    entry
        The member, as the directory has it.
    what
        The archive's name, for messages.
    encoding
        The code page by which the directory was listed.

    Yields
    ------
    bytes
        Inflated.

    Raises
    ------
    ArchiveRefused
        Also after the last chunk: if header, size or CRC-32 are not those of the entry.

    """
    start, length = member_span(entry)
    first = read(start, min(length, PIECE_BYTES))
    skip = _check_local_header(first, entry, what)
    if skip > len(first):  # the margin was too small
        first = read(start, min(skip + entry.stored, max(PIECE_BYTES, skip)))
    _check_local_name(first, entry, skip, what, encoding)
    try:
        stored = _read_stored(read, entry, first, skip, what)
        yield from _verify_chunks(inflate(entry.method, stored, entry.size), entry, what)
    except CorruptData as error:
        raise member_refusal(what, entry.name, f"is damaged: {error}") from error


def _check_local_header(first: bytes, entry: ArchiveEntry, what: str) -> int:
    if len(first) < LOCAL_HEADER.size or not first.startswith(LOCAL_HEADER_SIGN):
        raise member_refusal(what, entry.name, f"has no header at offset {entry.offset:,}")
    name: int
    extra: int
    _, _, flags, method, _, _, crc, stored, size, name, extra = LOCAL_HEADER.unpack_from(first)
    if method != entry.method:
        raise member_refusal(
            what, entry.name, f"has method {method} in its header, {entry.method} in the directory"
        )
    if flags & ENCRYPTED_FLAGS:
        raise member_refusal(what, entry.name, "is encrypted by its header, but not by the directory")
    stated = ((crc, entry.crc32), (stored, entry.stored), (size, entry.size))
    if not flags & DESCRIPTOR_FLAG and any(own not in (central, FULL32) for own, central in stated):
        raise member_refusal(what, entry.name, "has another size or CRC in its header than in the directory")
    return LOCAL_HEADER.size + name + extra


def _check_local_name(first: bytes, entry: ArchiveEntry, skip: int, what: str, encoding: str | None) -> None:
    if len(first) < skip:
        raise member_refusal(what, entry.name, "is cut short")
    flags, length = LOCAL_HEADER.unpack_from(first)[2], LOCAL_HEADER.unpack_from(first)[9]
    raw, extra = (
        first[LOCAL_HEADER.size : LOCAL_HEADER.size + length],
        first[LOCAL_HEADER.size + length : skip],
    )
    text, _ = decode_name(raw, flags, split_extra_field(extra, raw, what), what, encoding)
    name = normalize_member_name(text)
    if name != entry.name:
        raise member_refusal(what, entry.name, f"is called {name!r} in its own header")


def _read_stored(
    read: RangeReader, entry: ArchiveEntry, first: bytes, skip: int, what: str
) -> Iterator[bytes]:
    piece = first[skip : skip + entry.stored]
    done = len(piece)
    yield piece
    while done < entry.stored:
        piece = read(entry.offset + skip + done, min(PIECE_BYTES, entry.stored - done))
        if not piece:
            raise member_refusal(what, entry.name, f"is cut short: {done:,} of {entry.stored:,} bytes")
        done += len(piece)
        yield piece


def _verify_chunks(chunks: Iterator[bytes], entry: ArchiveEntry, what: str) -> Iterator[bytes]:
    size = crc = 0
    for chunk in chunks:
        size += len(chunk)
        if size > entry.size:
            raise member_refusal(what, entry.name, f"is longer than the {entry.size:,} bytes it declares")
        crc = zlib.crc32(chunk, crc)
        yield chunk
    if size != entry.size:
        raise member_refusal(what, entry.name, f"has {size:,} bytes, not the {entry.size:,} it declares")
    if crc != entry.crc32:
        raise member_refusal(what, entry.name, f"has CRC-32 {crc:08x}, not {entry.crc32:08x}")
