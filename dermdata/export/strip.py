"""Image files without what they tell of people, places and devices; their pixels stay, bit by bit.

What stays is a list of what may stay, each part checked or built anew: what decides the pixels and the colours, and
an orientation other than 1, in an EXIF block that holds nothing else, so that viewers show the image upright as
before. See strip_jpeg.py, strip_png.py and icc.py. A file in which other data could stand amid the picture's own
(NeedsRedraw) is to be decoded and encoded anew. Source: EXIF 2.32 section 4.6.
"""

import struct
import zlib

from dermdata.errors import IntegrityError
from dermdata.export.strip_jpeg import JPEG, strip_jpeg
from dermdata.export.strip_png import PNG, strip_png


def can_strip(data: bytes) -> bool:
    """Whether these bytes are of a format that `stripped` knows."""
    return data.startswith((JPEG, PNG))


def stripped(data: bytes, what: str) -> bytes:
    """The same JPEG or PNG with nothing but the picture.

    IntegrityError, naming `what`, for one that is not well formed; NeedsRedraw for one whose picture's data may hold
    others.
    """
    try:
        return b"".join(strip_jpeg(data) if data.startswith(JPEG) else strip_png(data))
    except (IndexError, ValueError, struct.error, zlib.error) as error:
        raise IntegrityError(
            f"{what} is broken, so that its metadata cannot be removed: {error}",
            hint="leave it out with `dermdata select --where`, or see `dermdata verify`",
        ) from error
