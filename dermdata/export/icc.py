"""A colour profile as the numbers that decide colours: what else a profile holds can name people and devices.

Kept are the white point, the three primaries (or none, of grey), the curves, and the adaptation to them; header and texts
are our own. A profile that is a table of colours (printers, scanners, CMYK) is not kept: nobody can tell such a
table from other data. Each number must be in the range in which it means something, and a curve must rise, so
that no words can stand in their place. Source: ICC.1:2022, sections 7.2, 8 and 10.
"""

import struct
from itertools import pairwise

HEADER, ENTRY = 128, 12  # bytes; of the head, and of each tag's entry
MOST_TAGS, MOST_POINTS = 100, 4096  # points of a curve: so a profile always fits into one JPEG segment
KINDS = (b"mntr", b"scnr", b"prtr", b"spac")
PRIMARIES, CURVES = (b"rXYZ", b"gXYZ", b"bXYZ"), (b"rTRC", b"gTRC", b"bTRC")
NEEDED = {b"RGB ": (b"wtpt", *PRIMARIES, *CURVES), b"GRAY": (b"wtpt", b"kTRC")}
D50 = struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D)
MADE = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # a date that says nothing
PARAMETERS = (1, 3, 4, 5, 7)  # of each type of parametric curve
ONE = 1 << 16  # of a number with 16 bits behind the point


def rebuild_profile(data: bytes) -> bytes | None:
    """The profile of the same colours, the same bytes for the same numbers; None where it is none that is kept."""
    try:
        space, version = data[16:20], data[8]
        needed = NEEDED.get(space)
        if needed is None or version not in (2, 4) or data[12:16] not in KINDS or data[20:24] != b"XYZ ":
            return None
        tags = tags_of(data)
        kept = {name: tag_of(name, tags[name]) for name in needed}
        if b"chad" in tags:
            kept[b"chad"] = tag_of(b"chad", tags[b"chad"])
    except (struct.error, IndexError, KeyError, ValueError):
        return None
    texts = {b"desc": described(space, version), b"cprt": noted(version)}
    intent = data[67] if data[64:67] == b"\0\0\0" and data[67] < 4 else 0
    head = struct.pack(
        ">8xBB2x4s4s4s12s4s24xI12s", version, 0x40 if version == 2 else 0x30, data[12:16], space, b"XYZ ", MADE,
        b"acsp", intent, D50,
    )  # fmt: skip
    return assembled(head, texts | kept)


def assembled(head: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Head, table of tags and their data; equal data stand once."""
    at = HEADER + 4 + ENTRY * len(tags)
    table, data, places = [struct.pack(">I", len(tags))], [], dict[bytes, int]()
    for name, content in tags.items():
        if content not in places:
            places[content] = at
            whole = content + bytes(-len(content) % 4)
            data.append(whole)
            at += len(whole)
        table.append(struct.pack(">4sII", name, places[content], len(content)))
    return struct.pack(">I", at) + head[4:].ljust(HEADER - 4, b"\0") + b"".join([*table, *data])


def tags_of(data: bytes) -> dict[bytes, bytes]:
    """Each tag's data by its name."""
    (count,) = struct.unpack_from(">I", data, HEADER)
    if count > MOST_TAGS:
        raise ValueError("too many tags")
    entries = (struct.unpack_from(">4sII", data, HEADER + 4 + ENTRY * number) for number in range(count))
    return {name: data[at : at + size] for name, at, size in entries}


def tag_of(name: bytes, data: bytes) -> bytes:
    """A tag of numbers, made of these alone."""
    kind = data[:4]
    if name in (b"wtpt", *PRIMARIES):
        return numbers(b"XYZ ", kind, data, 3)
    if name == b"chad":
        return numbers(b"sf32", kind, data, 9)
    if kind == b"para":
        (which,) = struct.unpack_from(">H", data, 8)
        return b"para\0\0\0\0" + struct.pack(">H2x", which) + fixed(data, 12, PARAMETERS[which])
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


def numbers(wanted: bytes, kind: bytes, data: bytes, count: int) -> bytes:
    if kind != wanted:
        raise ValueError("another type")
    return kind + bytes(4) + fixed(data, 8, count)


def fixed(data: bytes, at: int, count: int) -> bytes:
    """So many numbers of 16 bits before and behind the point, none of them above 16."""
    found = struct.unpack_from(f">{count}i", data, at)
    if any(abs(one) > 16 * ONE for one in found):
        raise ValueError("a number means nothing")
    return struct.pack(f">{count}i", *found)


def described(space: bytes, version: int) -> bytes:
    """The description that a profile must have."""
    word = space.strip().lower()
    if version == 4:
        return localized(word.decode())
    return b"desc\0\0\0\0" + struct.pack(">I", len(word) + 1) + word + bytes(1 + 4 + 4 + 2 + 1 + 67)


def noted(version: int) -> bytes:
    """The copyright that a profile must have."""
    return localized("none") if version == 4 else b"text\0\0\0\0none\0"


def localized(word: str) -> bytes:
    text = word.encode("utf-16-be")
    return b"mluc" + struct.pack(">4xII4sII", 1, 12, b"enUS", len(text), 28) + text
