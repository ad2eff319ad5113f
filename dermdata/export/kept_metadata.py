"""The metadata that a stripped image keeps, built anew: its orientation, and its color profile as numbers.

Of an ICC profile stay the white point, the three primaries (or none, of gray), the curves, and the adaptation to
them; header and texts are our own. A profile that is a table of colors (printers, scanners, CMYK) is not kept: nobody
can tell such a table from other data. Each number must be in the range in which it means something, and a curve must
rise, so that no words can stand in their place. Sources: ICC.1:2022, sections 7.2, 8 and 10; EXIF 2.32 section 4.6.
"""

import struct
from itertools import pairwise

ORIENTATION_TAG = 0x0112
TURNED_ORIENTATIONS = range(2, 9)  # 1 is upright; other numbers mean nothing
HEADER_BYTES, ENTRY_BYTES = 128, 12  # bytes; of the head, and of each tag's entry
MOST_TAGS, MOST_POINTS = 100, 4096  # points of a curve: so a profile always fits into one JPEG segment
DEVICE_CLASSES = (b"mntr", b"scnr", b"prtr", b"spac")
PRIMARIES, CURVES = (b"rXYZ", b"gXYZ", b"bXYZ"), (b"rTRC", b"gTRC", b"bTRC")
REQUIRED_TAGS = {b"RGB ": (b"wtpt", *PRIMARIES, *CURVES), b"GRAY": (b"wtpt", b"kTRC")}
D50 = struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D)
CREATION_DATE = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # a date that says nothing
CURVE_PARAMETERS = (1, 3, 4, 5, 7)  # of each type of parametric curve
FIXED_POINT_ONE = 1 << 16  # of a number with 16 bits behind the point


class NeedsRedraw(Exception):
    """An image whose picture cannot be told from other data in it: it must be decoded and encoded anew."""


def read_orientation(tiff: bytes) -> int | None:
    """The orientation of an EXIF block, if it is one that turns or mirrors; None for a block that cannot be read."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return None
    try:
        (at,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, at)
        for number in range(count):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, at + 2 + 12 * number)
            if tag == ORIENTATION_TAG and kind == 3:
                return value if value in TURNED_ORIENTATIONS else None
    except struct.error:
        return None
    return None


def build_orientation_block(turned: int) -> bytes:
    """An EXIF block of this one value: header, one entry, no further directory."""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, ORIENTATION_TAG, 3, 1, turned, 0, 0)


def rebuild_profile(data: bytes) -> bytes | None:
    """The profile of the same colors, the same bytes for the same numbers; None where it is none that is kept."""
    if not is_numeric_profile(data):
        return None
    space, version = data[16:20], data[8]
    try:
        tags = read_tags(data)
        kept = {name: rebuild_tag(name, tags[name]) for name in REQUIRED_TAGS[space]}
        if b"chad" in tags:
            kept[b"chad"] = rebuild_tag(b"chad", tags[b"chad"])
    except (struct.error, IndexError, KeyError, ValueError):
        return None
    texts = {b"desc": description_tag(space, version), b"cprt": copyright_tag(version)}
    intent = data[67] if data[64:67] == b"\0\0\0" and data[67] < 4 else 0
    head = struct.pack(
        ">8xBB2x4s4s4s12s4s24xI12s", version, 0x40 if version == 2 else 0x30, data[12:16], space, b"XYZ ", CREATION_DATE,
        b"acsp", intent, D50,
    )  # fmt: skip
    return assemble_profile(head, texts | kept)


def is_numeric_profile(data: bytes) -> bool:
    """Whether the header is of a profile that numbers alone can make: RGB or gray, of a device, to XYZ."""
    return (
        len(data) >= HEADER_BYTES
        and data[8] in (2, 4)
        and data[12:16] in DEVICE_CLASSES
        and data[16:20] in REQUIRED_TAGS
        and data[20:24] == b"XYZ "
    )


def assemble_profile(head: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Head, table of tags and their data; equal data stand once."""
    at = HEADER_BYTES + 4 + ENTRY_BYTES * len(tags)
    table, data, places = [struct.pack(">I", len(tags))], [], dict[bytes, int]()
    for name, content in tags.items():
        if content not in places:
            places[content] = at
            whole = content + bytes(-len(content) % 4)
            data.append(whole)
            at += len(whole)
        table.append(struct.pack(">4sII", name, places[content], len(content)))
    return struct.pack(">I", at) + head[4:].ljust(HEADER_BYTES - 4, b"\0") + b"".join([*table, *data])


def read_tags(data: bytes) -> dict[bytes, bytes]:
    """Each tag's data by its name."""
    (count,) = struct.unpack_from(">I", data, HEADER_BYTES)
    if count > MOST_TAGS:
        raise ValueError("too many tags")
    entries = (
        struct.unpack_from(">4sII", data, HEADER_BYTES + 4 + ENTRY_BYTES * number) for number in range(count)
    )
    return {name: data[at : at + size] for name, at, size in entries}


def rebuild_tag(name: bytes, data: bytes) -> bytes:
    """A tag of numbers, made of these alone."""
    kind = data[:4]
    if name in (b"wtpt", *PRIMARIES):
        return rebuild_number_tag(b"XYZ ", kind, data, 3)
    if name == b"chad":
        return rebuild_number_tag(b"sf32", kind, data, 9)
    if kind == b"para":
        (which,) = struct.unpack_from(">H", data, 8)
        return (
            b"para\0\0\0\0"
            + struct.pack(">H2x", which)
            + rebuild_fixed_point(data, 12, CURVE_PARAMETERS[which])
        )
    if kind != b"curv":
        raise ValueError("no curve")
    (count,) = struct.unpack_from(">I", data, 8)
    if count > MOST_POINTS:
        raise ValueError("too many points")
    points = struct.unpack_from(f">{count}H", data, 12)
    if count > 1 and not is_rising(points):
        raise ValueError("the curve does not rise")
    return b"curv\0\0\0\0" + struct.pack(f">I{count}H", count, *points)


def is_rising(points: tuple[int, ...]) -> bool:
    return points[0] < 0x4000 and points[-1] > 0xC000 and all(a <= b for a, b in pairwise(points))


def rebuild_number_tag(wanted: bytes, kind: bytes, data: bytes, count: int) -> bytes:
    if kind != wanted:
        raise ValueError("another type")
    return kind + bytes(4) + rebuild_fixed_point(data, 8, count)


def rebuild_fixed_point(data: bytes, at: int, count: int) -> bytes:
    """So many numbers of 16 bits before and behind the point, none of them above 16."""
    found = struct.unpack_from(f">{count}i", data, at)
    if any(abs(one) > 16 * FIXED_POINT_ONE for one in found):
        raise ValueError("a number means nothing")
    return struct.pack(f">{count}i", *found)


def description_tag(space: bytes, version: int) -> bytes:
    """The description that a profile must have."""
    word = space.strip().lower()
    if version == 4:
        return localized_text_tag(word.decode())
    return b"desc\0\0\0\0" + struct.pack(">I", len(word) + 1) + word + bytes(1 + 4 + 4 + 2 + 1 + 67)


def copyright_tag(version: int) -> bytes:
    """The copyright that a profile must have."""
    return localized_text_tag("none") if version == 4 else b"text\0\0\0\0none\0"


def localized_text_tag(word: str) -> bytes:
    text = word.encode("utf-16-be")
    return b"mluc" + struct.pack(">4xII4sII", 1, 12, b"enUS", len(text), 28) + text
