"""Image files without what they tell of people, places and devices; their pixels stay, bit by bit.

JPEG: EXIF, XMP, IPTC, comments, previews and whatever follows the picture go; ICC profile, JFIF and Adobe's
colour mark stay. PNG: text, time, EXIF, XMP and private chunks go; what decides colours stays. An orientation
other than 1 stays in an EXIF block that holds nothing else, so that viewers show the image upright as before.
Sources: ITU-T T.81 annex B, PNG third edition chapter 11, EXIF 2.32 section 4.6.
"""

import re
import struct
import zlib
from collections.abc import Iterator

from dermdata.errors import IntegrityError

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
ORIENTATION = 0x0112
TURNED = range(2, 9)  # 1 is upright; other numbers mean nothing
SOI, EOI, SOS, COM = 0xD8, 0xD9, 0xDA, 0xFE
APPLICATION = range(0xE0, 0xF0)
JFIF_BYTES = 14  # of the JFIF segment's content, without its thumbnail
AFTER_SCAN = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])", re.DOTALL)  # a marker that is no restart
# ancillary chunks without which an image would look or move otherwise
KEPT_CHUNKS = frozenset({
    b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"mDCV", b"cLLI", b"sBIT", b"bKGD", b"hIST", b"pHYs",
    b"sPLT", b"acTL", b"fcTL", b"fdAT",
})  # fmt: skip


def can_strip(data: bytes) -> bool:
    """Whether these bytes are of a format that `stripped` knows."""
    return data.startswith((JPEG, PNG))


def stripped(data: bytes, what: str) -> bytes:
    """The same JPEG or PNG without private metadata; IntegrityError, naming `what`, for one that is not well formed."""
    try:
        return b"".join(jpeg(data) if data.startswith(JPEG) else png(data))
    except (IndexError, ValueError, struct.error) as error:
        raise IntegrityError(
            f"{what} is broken, so that its metadata cannot be removed: {error}",
            hint="leave it out with `dermdata select --where`, or see `dermdata verify`",
        ) from error


# ------------------------------------------------------------------ JPEG


def jpeg(data: bytes) -> Iterator[bytes]:
    """The parts of the file that stay, in order."""
    segments = list(jpeg_segments(data))
    turned = next((turn for marker, part in segments if (turn := jpeg_orientation(marker, part))), None)
    yield data[:2]
    at = 0
    if segments and segments[0][0] == APPLICATION[0]:  # JFIF comes first where it is
        yield from kept_segment(*segments[0])
        at = 1
    if turned:
        yield segment(0xE1, b"Exif\0\0" + tiff_with(turned))
    for marker, part in segments[at:]:
        yield from kept_segment(marker, part)


def jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and bytes of each segment after the first marker, scans whole, up to the end of the image."""
    at = 2
    while at < len(data):
        if data[at] != 0xFF:
            raise ValueError(f"no JPEG marker at byte {at}")
        while data[at + 1] == 0xFF:  # fill bytes
            at += 1
        marker = data[at + 1]
        if marker == EOI:
            yield marker, data[at : at + 2]
            return
        stop = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if stop > len(data) or stop < at + 4:
            raise ValueError(f"the JPEG segment at byte {at} is cut")
        if marker == SOS:
            found = AFTER_SCAN.search(data, stop)
            stop = found.start() if found else len(data)
        yield marker, data[at:stop]
        at = stop


def kept_segment(marker: int, part: bytes) -> Iterator[bytes]:
    content = part[4:]
    if marker == COM:
        return
    if marker not in APPLICATION:
        yield part
    elif content.startswith(b"JFIF\0"):
        yield segment(marker, content[: JFIF_BYTES - 2] + b"\0\0")  # no thumbnail
    elif content.startswith((b"ICC_PROFILE\0", b"Adobe")):
        yield part


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def jpeg_orientation(marker: int, part: bytes) -> int | None:
    content = part[4:]
    return orientation(content[6:]) if marker == 0xE1 and content.startswith(b"Exif\0") else None


# ------------------------------------------------------------------ PNG


def png(data: bytes) -> Iterator[bytes]:
    """The parts of the file that stay, in order."""
    yield PNG
    for kind, content, whole in png_chunks(data):
        if kind == b"eXIf":
            if turned := orientation(content.removeprefix(b"Exif\0\0")):
                yield chunk(b"eXIf", tiff_with(turned))
        elif kind[:1].isupper() or kind in KEPT_CHUNKS:  # a capital: without it there is no picture
            yield whole


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Kind, content and all bytes of each chunk up to IEND."""
    at = len(PNG)
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        stop = at + 12 + size
        if stop > len(data):
            raise ValueError(f"the PNG chunk {kind.decode('latin-1')} at byte {at} is cut")
        yield kind, data[at + 8 : stop - 4], data[at:stop]
        if kind == b"IEND":
            return
        at = stop


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


# ------------------------------------------------------------------ EXIF


def orientation(tiff: bytes) -> int | None:
    """The orientation of an EXIF block, if it is one that turns or mirrors; None for a block that cannot be read."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return None
    try:
        (at,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, at)
        for number in range(count):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, at + 2 + 12 * number)
            if tag == ORIENTATION and kind == 3:
                return value if value in TURNED else None
    except struct.error:
        return None
    return None


def tiff_with(turned: int) -> bytes:
    """An EXIF block of this one value: header, one entry, no further directory."""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, ORIENTATION, 3, 1, turned, 0, 0)
