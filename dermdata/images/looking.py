"""All that an audit needs to know of one image, from one decode."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dermdata.errors import IntegrityError
from dermdata.images import reduced
from dermdata.images.fingerprint import fingerprint
from dermdata.images.private import Private, private
from dermdata.images.reduced import Reduced
from dermdata.images.whole import (
    PIXELS,
    UNREADABLE,
    Opened,
    facts_of,
    opened,
    too_many_scans,
    turn_of,
    without_end,
)
from dermdata.model import ImageFacts

RASTER = 48  # fields a side: what two images are compared by
EIGHT_BITS = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX"}


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one image file is; a bad one is a result, its `problem` in words."""

    format: str | None = None
    mode: str | None = None
    width: int | None = None  # pixels, as stored
    height: int | None = None
    problem: str | None = None  # None: decodes whole
    damage: str | None = None  # it decodes, but libjpeg complains of its data
    phash: bytes | None = None  # 8 bytes; None too where the image is of one colour all over
    private: tuple[Private, ...] = ()


def look(data: bytes | Path, *, pixel_limit: int = PIXELS) -> Look:
    """Header, decode check, perceptual hash and private metadata of an image's bytes or file.

    Only a file that cannot be read raises (OSError). For threads and processes alike.
    """
    return _seen(data, pixel_limit)[0]


def raster(data: bytes | Path, *, pixel_limit: int = PIXELS) -> NDArray[np.float32]:
    """Grey levels, float32 [RASTER, RASTER], of an image that decodes; IntegrityError of any other."""
    seen, small = _seen(data, pixel_limit)
    if small is None:
        name = f"{data}: " if isinstance(data, Path) else ""
        raise IntegrityError(f"{name}image is gone bad: {seen.problem}", hint="run `dermdata verify`")
    return small.raster(RASTER)


def pixel_digest(data: bytes | Path, *, pixel_limit: int = PIXELS) -> str | None:
    """SHA-256 of an image's size and first frame's pixels, whatever its format; None where it does not decode.

    It takes a decode at full size, several times the work of `look`. Equal pixels have nearly equal perceptual
    hashes and equal sizes, so only such images need be asked.
    """
    found = opened(data)
    if isinstance(found, ImageFacts):
        return None
    with found.image as image:
        if facts_of(found, decode=False, pixel_limit=pixel_limit).problem:
            return None
        try:
            image.load()
        except UNREADABLE:
            return None
        alike = image.convert("RGBA") if image.mode in EIGHT_BITS else image
        said = f"{alike.mode} {alike.width} x {alike.height}\n".encode()
        return hashlib.sha256(said + alike.tobytes()).hexdigest()


def _seen(data: bytes | Path, pixel_limit: int) -> tuple[Look, Reduced | None]:
    found = opened(data)
    if isinstance(found, ImageFacts):
        return Look(format=found.format, problem=found.problem), None
    with found.image as image:
        hidden = private(image)
        facts, damage, small = _decoded(found, pixel_limit)
    return Look(
        format=facts.format,
        mode=facts.mode,
        width=facts.width,
        height=facts.height,
        problem=facts.problem,
        damage=damage,
        phash=fingerprint(small) if small else None,
        private=hidden,
    ), small


def _decoded(found: Opened, pixel_limit: int) -> tuple[ImageFacts, str | None, Reduced | None]:
    """Facts, what libjpeg complains of, and the small copy of an image that decodes."""
    if not _for_libjpeg(found, pixel_limit):
        return _by_pillow(found, pixel_limit, None)
    facts = facts_of(found, decode=False)
    try:
        with turn_of(found.image):
            return facts, None, reduced.of_jpeg(found.data, *found.image.size)
    except ValueError as error:  # Pillow is more patient, and knows why when it is not
        return _by_pillow(found, pixel_limit, str(error))


def _for_libjpeg(found: Opened, pixel_limit: int) -> bool:
    """Whether simplejpeg gives grey levels of it, and need not be kept from trying."""
    fits = found.image.width * found.image.height <= pixel_limit
    grey = found.format == "jpeg" and found.image.mode in {"L", "RGB"}
    return grey and fits and not (too_many_scans(found) or without_end(found))


def _by_pillow(
    found: Opened, pixel_limit: int, damage: str | None
) -> tuple[ImageFacts, str | None, Reduced | None]:
    small: list[Reduced] = []
    width, height = found.image.size
    facts = facts_of(
        found,
        pixel_limit=pixel_limit,
        first=lambda image: small.append(reduced.of_image(image, width, height)),
    )
    return (facts, None, None) if facts.problem else (facts, damage, small[0])
