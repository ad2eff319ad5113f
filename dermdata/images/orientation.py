"""The orientation tag of an image file: which turn viewers apply, and the same file without it.

Cameras store pixels as the sensor lies, and write into EXIF (some programs into XMP) how the picture must be turned.
Some readers obey, others do not, and masks, boxes and columns are of the pixels as they are stored. So where a picture
and its mask must lie on each other, the tag is set to 1 ("as stored") in place: no other byte of the file changes.

A mask may have been drawn on the upright picture instead; where the sizes show that, it is turned back
(`to_stored_frame`). Turns are numbered as in EXIF: 1 as stored, 2 to 4 mirrored or upside down, 5 to 8 on the side.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from typing import Literal, NamedTuple

from PIL import Image

ORIENTATION_TAG = 0x0112
AS_STORED = 1
TURNS = {  # EXIF's number -> how the stored pixels become upright, and back
    2: (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_LEFT_RIGHT),
    3: (Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_180),
    4: (Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.FLIP_TOP_BOTTOM),
    5: (Image.Transpose.TRANSPOSE, Image.Transpose.TRANSPOSE),
    6: (Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_90),
    7: (Image.Transpose.TRANSVERSE, Image.Transpose.TRANSVERSE),
    8: (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270),
}
ON_THE_SIDE = (5, 6, 7, 8)  # width and height are exchanged
EXIF_START = b"Exif\0\0"
XMP_ORIENTATION = re.compile(rb"tiff:Orientation(?:\s*=\s*[\"']|>)\s*([1-8])")
PNG_START = b"\x89PNG\r\n\x1a\n"
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
MOST_ENTRIES = 1 << 12  # of a directory: no camera writes as many


class MetadataBlock(NamedTuple):
    """Where a file holds EXIF (a TIFF of its own) or XMP; bytes from its start."""

    kind: Literal["exif", "xmp"]
    start: int
    stop: int


class TagPlace(NamedTuple):
    """Where a value of an orientation stands, how it is written, and what it is."""

    start: int
    form: str  # of struct; "": a digit
    value: int


def read_orientation(data: bytes) -> int:
    """Read how viewers turn an image.

    Parameters
    ----------
    data : bytes
        The image's file; of a JPEG, TIFF or WebP its head is enough.

    Returns
    -------
    int
        EXIF's number, 1 to 8; XMP's where EXIF says nothing; 1 where neither does.

    """
    places = sorted(find_tags(data), key=lambda one: one.form == "")  # EXIF before XMP
    return places[0].value if places and places[0].value in TURNS else AS_STORED


def reset_orientation(data: bytes) -> bytes:
    """Set every orientation tag of an image file to 1, so that all readers show the pixels as they are stored.

    Parameters
    ----------
    data : bytes
        The image's file, of any format.

    Returns
    -------
    bytes
        The same object where nothing turns the picture.

    """
    turning = [one for one in find_tags(data) if one.value in TURNS]
    if not turning:
        return data
    changed = bytearray(data)
    for place in turning:
        if place.form:
            struct.pack_into(place.form, changed, place.start, AS_STORED)
        else:
            changed[place.start : place.start + 1] = b"1"
    if data.startswith(PNG_START):
        for _, start, stop in png_chunks(data):
            if any(start <= place.start < stop for place in turning):
                struct.pack_into(">I", changed, stop, zlib.crc32(changed[start - 4 : stop]))
    return bytes(changed)


def to_stored_frame(mask: Image.Image, turn: int, stored: tuple[int, int]) -> Image.Image:
    """Turn a mask back that was drawn on the upright picture, as its size shows; else give it as it is.

    Parameters
    ----------
    mask : PIL.Image.Image
        The mask.
    turn : int
        The orientation of its image.
    stored : (int, int)
        Width and height of its image as stored, pixels.

    """
    if turn in ON_THE_SIDE and mask.size != stored and mask.size == stored[::-1]:
        return mask.transpose(TURNS[turn][1])
    return mask


# ------------------------------------------------------------------ where the tags are


def find_tags(data: bytes) -> Iterator[TagPlace]:
    """Every orientation that a file states."""
    for block in find_blocks(data):
        if block.kind == "xmp":
            for found in XMP_ORIENTATION.finditer(data, block.start, block.stop):
                yield TagPlace(found.start(1), "", int(found[1]))
        elif (place := find_exif_tag(data, block)) is not None:
            yield place


def find_blocks(data: bytes) -> Iterator[MetadataBlock]:
    """The metadata blocks of a JPEG, PNG, WebP or TIFF; none of what is none of them, or broken."""
    try:
        if data.startswith(b"\xff\xd8"):
            yield from find_jpeg_blocks(data)
        elif data.startswith(PNG_START):
            yield from find_png_blocks(data)
        elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            yield from find_webp_blocks(data)
        elif data.startswith(TIFF_STARTS):
            yield MetadataBlock("exif", 0, len(data))
            yield MetadataBlock("xmp", 0, len(data))
    except struct.error:
        return


def find_jpeg_blocks(data: bytes) -> Iterator[MetadataBlock]:
    at = 2
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] != b"\xda":
        if data[at + 1 : at + 2] == b"\xff":  # fill byte
            at += 1
            continue
        (size,) = struct.unpack_from(">H", data, at + 2)
        if data[at + 1] == 0xE1:
            is_exif = data.startswith(EXIF_START, at + 4)
            yield MetadataBlock("exif" if is_exif else "xmp", at + 4 + 6 * is_exif, at + 2 + size)
        at += 2 + size


def find_png_blocks(data: bytes) -> Iterator[MetadataBlock]:
    for kind, start, stop in png_chunks(data):
        if kind == b"eXIf":
            yield MetadataBlock("exif", start + 6 * data.startswith(EXIF_START, start), stop)
        elif kind in (b"iTXt", b"tEXt"):
            yield MetadataBlock("xmp", start, stop)


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Each chunk's kind, and where its content begins and ends."""
    at = len(PNG_START)
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        if at + 12 + size > len(data):
            return
        yield data[at + 4 : at + 8], at + 8, at + 8 + size
        at += 12 + size


def find_webp_blocks(data: bytes) -> Iterator[MetadataBlock]:
    at = 12
    while at + 8 <= len(data):
        (size,) = struct.unpack_from("<I", data, at + 4)
        if data.startswith(b"EXIF", at):
            yield MetadataBlock("exif", at + 8 + 6 * data.startswith(EXIF_START, at + 8), at + 8 + size)
        elif data.startswith(b"XMP ", at):
            yield MetadataBlock("xmp", at + 8, at + 8 + size)
        at += 8 + size + size % 2


def find_exif_tag(data: bytes, block: MetadataBlock) -> TagPlace | None:
    """Where the first directory of a TIFF block has the orientation; None where it has none."""
    order = {b"II": "<", b"MM": ">"}.get(data[block.start : block.start + 2])
    if order is None:
        return None
    is_big = data[block.start + 2 : block.start + 4] in (b"+\0", b"\0+")
    offset, count, entry = ("Q", "Q", 20) if is_big else ("I", "H", 12)
    try:
        (at,) = struct.unpack_from(order + offset, data, block.start + (8 if is_big else 4))
        (entries,) = struct.unpack_from(order + count, data, block.start + at)
        first = block.start + at + struct.calcsize(order + count)
        for place in range(first, first + entry * min(entries, MOST_ENTRIES), entry):
            tag, kind = struct.unpack_from(f"{order}HH", data, place)
            if tag == ORIENTATION_TAG and (form := {1: "B", 3: "H", 4: "I"}.get(kind)):
                start = place + entry - (8 if is_big else 4)
                return TagPlace(start, order + form, struct.unpack_from(order + form, data, start)[0])
    except (struct.error, OverflowError):
        return None
    return None
