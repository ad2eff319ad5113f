"""A JPEG without anything but its picture. Source: ITU-T T.81 annex B.

Stay: the frame, the tables that its scans use, the scans up to the last byte that the decoder needs. Built anew: JFIF's
density without a thumbnail, Adobe's color mark, the orientation, the numbers of a color profile (kept_metadata.py). All else
goes: EXIF, XMP, IPTC, comments, previews, unknown and reserved markers, unused tables, what stands after a scan's data
and after the end.

Where a scan's data end, libjpeg tells: it complains of data that are one byte too short. (Up to seven bytes before a
restart marker it passes over in silence.)
"""

import re
import struct
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import simplejpeg

from dermdata.export.kept_metadata import (
    NeedsRedraw,
    build_orientation_block,
    read_orientation,
    rebuild_profile,
)
from dermdata.images.decode import PIXEL_LIMIT, SCAN_LIMIT
from dermdata.markup import count_nouns

JPEG_SIGNATURE = b"\xff\xd8\xff"
SOI, EOI, SOS, DQT, DHT, DAC, DRI, EXTENSION = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4, 0xCC, 0xDD, 0xC8
APP0, APP1, APP2, APP14 = 0xE0, 0xE1, 0xE2, 0xEE
FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {DHT, DAC, EXTENSION}
HUFFMAN_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
BARE_MARKERS = (0x01, *range(0xD0, 0xD8))  # markers without content
AFTER_SCAN = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])", re.DOTALL)  # a marker that is no restart
PROFILE_PREFIX = b"ICC_PROFILE\0"
MOST_BITS = {0: 11, 1: 10}  # of a coefficient in an 8-bit picture: DC, AC
END_OF_IMAGE = b"\xff\xd9"


@dataclass(frozen=True)
class JpegSegment:
    """One marker with its content, and a scan's data after it."""

    marker: int
    content: bytes
    data: bytes = b""

    @property
    def whole(self) -> bytes:
        return struct.pack(">BBH", 0xFF, self.marker, len(self.content) + 2) + self.content + self.data


def strip_jpeg(data: bytes) -> Iterator[bytes]:
    """The parts of the file that stay, in order; ValueError for what is no JPEG as T.81 has it."""
    segments, ended = read_segments(data)
    frame = find_frame(segments)
    picture = cut_tails([one for one in used_segments(segments, frame) if one], frame)
    yield data[:2]
    yield from (one.whole for one in (*rebuild_metadata(segments), *picture))
    if ended:
        yield END_OF_IMAGE


# ------------------------------------------------------------------ reading


def read_segments(data: bytes) -> tuple[list[JpegSegment], bool]:
    """Each segment after the first marker, scans with their data; and whether the image's end was reached."""
    found, at = list[JpegSegment](), 2
    while at < len(data):
        while data[at] == data[at + 1] == 0xFF:  # fill bytes
            at += 1
        marker = data[at + 1]
        if data[at] != 0xFF or marker in (0, SOI):
            raise ValueError(f"no JPEG marker at byte {at}")
        if marker == EOI:
            return found, True
        if marker in BARE_MARKERS:
            at += 2
            continue
        stop = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if stop > len(data) or stop < at + 4:
            raise ValueError(f"the JPEG segment at byte {at} is cut")
        end = find_scan_end(data, stop) if marker == SOS else stop
        found.append(JpegSegment(marker, data[at + 4 : stop], data[stop:end]))
        at = end
    return found, False


def find_scan_end(data: bytes, start: int) -> int:
    """Where the next marker stands that is no restart; a scan's data reach up to it, or to the file's end."""
    after = AFTER_SCAN.search(data, start)
    return after.start() if after else len(data)


def find_frame(segments: Sequence[JpegSegment]) -> JpegSegment:
    """The frame's header; ValueError for none, for several, and for more pixels or scans than a picture has."""
    frames = [one for one in segments if one.marker in FRAME_MARKERS]
    if len(frames) != 1:
        raise ValueError(f"it has {count_nouns(len(frames), 'frame')}")
    (frame,) = frames
    require_decodable_frame(frame, scans=sum(one.marker == SOS for one in segments))
    return frame


def require_decodable_frame(frame: JpegSegment, scans: int) -> None:
    """ValueError for a wrong header or a picture that is too large; NeedsRedraw for other coding than Huffman's."""
    height, width, count = struct.unpack_from(">xHHB", frame.content)
    if len(frame.content) != 6 + 3 * count or not 1 <= count <= 4 or not width * height:
        raise ValueError("the frame's header is not right")
    if width * height > PIXEL_LIMIT or scans > SCAN_LIMIT:
        raise ValueError(f"{width} x {height} pixels in {scans} scans are too many")
    if frame.marker not in HUFFMAN_FRAMES:
        raise NeedsRedraw("where its data end cannot be told")


# ------------------------------------------------------------------ metadata


def rebuild_metadata(segments: Sequence[JpegSegment]) -> Iterator[JpegSegment]:
    """What stands before the picture's own segments, built anew."""
    rebuilders = {APP0: rebuild_jfif, APP1: rebuild_exif, APP2: rebuild_icc, APP14: rebuild_adobe}
    for marker, rebuild in rebuilders.items():
        content = rebuild([one.content for one in segments if one.marker == marker])
        if content is not None:
            yield JpegSegment(marker, content)


def rebuild_jfif(contents: Sequence[bytes]) -> bytes | None:
    """The pixels' density, without a thumbnail."""
    jfif = next((one for one in contents if one.startswith(b"JFIF\0") and len(one) >= 12), None)
    if jfif is None:
        return None
    units = jfif[7] if jfif[7] < 3 else 0
    return b"JFIF\0\1\1" + bytes([units]) + jfif[8:12] + b"\0\0"


def rebuild_exif(contents: Sequence[bytes]) -> bytes | None:
    """The first orientation that turns or mirrors."""
    found = (read_orientation(one[6:]) for one in contents if one.startswith(b"Exif\0"))
    turned = next(filter(None, found), None)
    return b"Exif\0\0" + build_orientation_block(turned) if turned else None


def rebuild_icc(contents: Sequence[bytes]) -> bytes | None:
    """The color profile, in one segment."""
    profile = join_profile([one for one in contents if one.startswith(PROFILE_PREFIX)])
    return PROFILE_PREFIX + b"\1\1" + profile if profile else None


def join_profile(parts: Sequence[bytes]) -> bytes | None:
    """The color profile of segments that are numbered as they must be."""
    numbers = sorted((one[12], one[13]) for one in parts if len(one) > 14)
    if not parts or numbers != [(number, len(parts)) for number in range(1, len(parts) + 1)]:
        return None
    return rebuild_profile(b"".join(one[14:] for one in sorted(parts, key=lambda one: one[12])))


def rebuild_adobe(contents: Sequence[bytes]) -> bytes | None:
    """Adobe's color transform; libjpeg obeys the last one."""
    transforms = [one[11] for one in contents if one.startswith(b"Adobe") and len(one) >= 12]
    if not transforms or transforms[-1] >= 3:
        return None
    return b"Adobe\0\x64\0\0\0\0" + bytes(transforms[-1:])


# ------------------------------------------------------------------ tables


def used_segments(segments: Sequence[JpegSegment], frame: JpegSegment) -> list[JpegSegment | None]:
    """The picture's own segments in order; of tables those that scans use: others could hold anything."""
    quantizers = {frame.content[at]: frame.content[at + 2] for at in range(6, len(frame.content), 3)}
    kept: list[JpegSegment | None] = []
    now: dict[tuple[int, int], int] = {}  # marker and name -> the place in `kept` of the table that holds now
    waiting: dict[int, JpegSegment] = {}  # tables that no scan has used yet, by their place in `kept`
    for one in segments:
        if one.marker in (DQT, DHT):
            for name, table in split_tables(one):
                now[one.marker, name] = len(kept)
                waiting[len(kept)] = JpegSegment(one.marker, table)
                kept.append(None)
        elif one.marker == SOS:
            for used in scan_tables(one.content, quantizers):
                place = now.get(used, -1)
                if place in waiting:
                    kept[place] = require_picture_symbols(waiting.pop(place), frame)
            kept.append(one)
        elif one is frame or is_restart_interval(one):
            kept.append(one)
    return kept


def is_restart_interval(one: JpegSegment) -> bool:
    return one.marker == DRI and len(one.content) == 2


def scan_tables(scan: bytes, quantizers: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """Marker and name of each table that a scan's components use; ValueError for a header that is not right."""
    count = scan[0]
    if len(scan) != 4 + 2 * count or not 1 <= count <= 4:
        raise ValueError("a scan's header is not right")
    for at in range(1, 1 + 2 * count, 2):
        component, chosen = scan[at], scan[at + 1]
        yield from ((DQT, quantizers[component]), (DHT, chosen >> 4), (DHT, 0x10 | chosen & 15))


def split_tables(one: JpegSegment) -> Iterator[tuple[int, bytes]]:
    """The name and the bytes of each quantization or Huffman table of a segment."""
    at, content = 0, one.content
    while at < len(content):
        name, high = content[at], content[at] >> 4
        size = 64 * (1 + high) if one.marker == DQT else 16 + sum(content[at + 1 : at + 17])
        if at + 1 + size > len(content) or name & 15 > 3 or high > 1:
            raise ValueError("a table is not right")
        yield (name & 15 if one.marker == DQT else name), content[at : at + 1 + size]
        at += 1 + size


def require_picture_symbols(table: JpegSegment, frame: JpegSegment) -> JpegSegment:
    """The table; NeedsRedraw for a Huffman table with symbols that no picture has: words could stand in their place."""
    if table.marker == DHT:
        high, symbols = table.content[0] >> 4, table.content[17:]
        most = MOST_BITS[high] if frame.content[0] == 8 else 15
        if len(set(symbols)) != len(symbols) or any((one & 15 if high else one) > most for one in symbols):
            raise NeedsRedraw("a Huffman table has symbols that no picture has")
    return table


# ------------------------------------------------------------------ scans


def cut_tails(parts: Sequence[JpegSegment], frame: JpegSegment) -> list[JpegSegment]:
    """The parts, each scan's data without bytes that the decoder does not need; NeedsRedraw where it cannot tell."""
    done = list[JpegSegment]()
    for one in parts:
        done.append(one if one.marker != SOS else trim_scan(one, done, frame))
    return done


def trim_scan(scan: JpegSegment, before: Sequence[JpegSegment], frame: JpegSegment) -> JpegSegment:
    def part(size: int) -> JpegSegment:
        return replace(scan, data=scan.data[:size])

    def complaint(size: int) -> str:
        return decode_complaint([*before, part(size)], frame)

    whole = len(scan.data)
    if is_cut_short(complaint(whole - 1)):  # the usual case, and that of a file that is cut
        return scan
    if (problem := complaint(whole)) and "extraneous" not in problem:
        raise NeedsRedraw(problem)
    least = bisect_left(range(whole), True, key=lambda size: not is_cut_short(complaint(size)))
    if problem := complaint(least):
        raise NeedsRedraw(problem)
    return part(least)


def decode_complaint(parts: Sequence[JpegSegment], frame: JpegSegment) -> str:
    """What libjpeg first complains of when it decodes all data of these parts; nothing of sound ones."""
    data = b"".join([b"\xff\xd8", *(one.whole for one in parts), END_OF_IMAGE])
    try:
        # an eighth of the size: all data are read, few pixels are made
        simplejpeg.decode_jpeg(data, "CMYK" if frame.content[5] == 4 else "GRAY", min_height=1, min_width=1)
    except ValueError as error:
        return str(error) or "it cannot be decoded"
    return ""


def is_cut_short(complaint: str) -> bool:
    return "premature end" in complaint.lower()
