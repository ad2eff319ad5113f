"""What cleaning a JPEG and a PNG have in common: the one fact of EXIF that an image needs, and when to give up."""

import struct

ORIENTATION = 0x0112
TURNED = range(2, 9)  # 1 is upright; other numbers mean nothing


class NeedsRedraw(Exception):
    """An image whose picture cannot be told from other data in it: it must be decoded and encoded anew."""


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
