"""Thumbnails are the small JPEGs inside a page.

This module decides which ones, how large, and which are blurred until asked for.
"""

import base64
import hashlib
import heapq
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from dermdata.images.decode import DECODE_ERRORS, PIXEL_LIMIT, decode_lock, open_image
from dermdata.model import ImageFacts

MAX_EDGE = 176  # pixels of the longer side
JPEG_QUALITY = 74
ReadImage = Callable[[str], bytes | None]
# the skin alone, from so near that nobody is recognized
CLOSE_UP_MODALITIES = {"dermoscopic", "rcm", "histopathology", "ultrasound", "tbp-tile"}
INTIMATE_SITES = ("anogenital-region", "lower-extremity-buttock")
RECOGNIZABLE_SITE = "head-and-neck"


def is_sensitive(modality: str | None, site: str | None) -> bool:
    """Whether a picture is blurred until somebody asks for it.

    All clinical photographs are, and all of which nobody says what they are: they show faces, genitals and open
    wounds, most sets do not state the site, and a site that is not stated is not harmless. Of close-ups, those of
    intimate sites are, and tiles of the head, which a camera for the whole body took.
    """
    if modality not in CLOSE_UP_MODALITIES:
        return True
    place = site or ""
    return place.startswith(INTIMATE_SITES) or (
        modality == "tbp-tile" and place.startswith(RECOGNIZABLE_SITE)
    )


@dataclass(frozen=True)
class Thumbnail:
    """A picture as a data URI, or why there is none."""

    uri: str | None
    why: str = ""


@dataclass
class ThumbnailBudget:
    """Makes pictures as long as the page has room for them."""

    look: ReadImage
    room: int  # characters
    left_out: int = 0

    def make(self, key: str) -> Thumbnail:
        """The picture of a row."""
        if self.room <= 0:
            self.left_out += 1
            return Thumbnail(None, "left out, to keep this page small")
        data = self.look(key)
        if data is None:
            return Thumbnail(None, "no image file")
        small = make_thumbnail(data)
        if isinstance(small, str):
            return Thumbnail(None, small)
        uri = f"data:image/jpeg;base64,{base64.b64encode(small).decode()}"
        self.room -= len(uri)
        return Thumbnail(uri)


def make_thumbnail(data: bytes) -> bytes | str:
    """A JPEG of at most MAX_EDGE pixels a side, upright and without metadata; else why not, in words."""
    found = open_image(data)
    if isinstance(found, ImageFacts):
        return found.problem or "not an image"
    with found.image as image:
        if image.width * image.height > PIXEL_LIMIT:
            return "too many pixels"
        try:
            with decode_lock(image):
                image.draft("RGB", (MAX_EDGE, MAX_EDGE))
                small = to_rgb(image)
                small.thumbnail((MAX_EDGE, MAX_EDGE), Image.Resampling.LANCZOS, reducing_gap=2.0)
                ImageOps.exif_transpose(small, in_place=True)
        except DECODE_ERRORS:
            return "cannot be decoded"
    small.info.clear()  # a comment would be written too
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return buffer.getvalue()


def to_rgb(image: Image.Image) -> Image.Image:
    """RGB of any mode; levels of other depths from their darkest to their lightest."""
    if image.mode.startswith(("I", "F")):
        levels = np.asarray(image, np.float32)
        low, high = float(levels.min()), float(levels.max())
        image = Image.fromarray(((levels - low) * (255 / ((high - low) or 1))).astype(np.uint8))
    if "A" in image.mode or "transparency" in image.info:
        plain = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(plain, image.convert("RGBA")).convert("RGB")
    turned = image.convert("RGB")
    turned.info = dict(image.info)
    return turned


def sample_keys(keys: Iterable[str], most: int) -> list[str]:
    """Always the same ones of the same keys, and near the same ones of nearly the same: the lowest hashes."""
    return heapq.nsmallest(most, keys, key=lambda key: hashlib.sha256(key.encode()).digest())
