"""Small pictures made of image files, upright and without metadata, and which of them are blurred until asked for."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from dermdata.images.decode import DECODE_ERRORS, PIXEL_LIMIT, decode_lock, open_image
from dermdata.model import ImageFacts

MAX_EDGE = 176  # pixels of the longer side, inside a page
JPEG_QUALITY = 74
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


def make_thumbnail(data: bytes, edge: int = MAX_EDGE, quality: int = JPEG_QUALITY) -> bytes | str:
    """A JPEG of at most `edge` pixels a side, upright and without metadata; else why not, in words."""
    found = open_image(data)
    if isinstance(found, ImageFacts):
        return found.problem or "not an image"
    with found.image as image:
        if image.width * image.height > PIXEL_LIMIT:
            return "too many pixels"
        try:
            with decode_lock(image):
                image.draft("RGB", (edge, edge))
                small = to_rgb(image)
                small.thumbnail((edge, edge), Image.Resampling.LANCZOS, reducing_gap=2.0)
                ImageOps.exif_transpose(small, in_place=True)
        except DECODE_ERRORS:
            return "cannot be decoded"
    small.info.clear()  # a comment would be written too
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=quality, optimize=edge <= MAX_EDGE)
    return buffer.getvalue()


def scale_levels(levels: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Levels from the darkest to the lightest; NaN is dark, and what is infinite is the darkest or the lightest."""
    finite = levels[np.isfinite(levels)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    scaled = (levels - low) * (255 / ((high - low) or 1.0))
    return np.nan_to_num(scaled, nan=0, posinf=255, neginf=0).clip(0, 255).astype(np.uint8)


def to_rgb(image: Image.Image) -> Image.Image:
    """RGB of any mode; levels of other depths from their darkest to their lightest."""
    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(scale_levels(np.asarray(image, np.float64)))
    if "A" in image.mode or "transparency" in image.info:
        plain = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(plain, image.convert("RGBA")).convert("RGB")
    turned = image.convert("RGB")
    turned.info = dict(image.info)
    return turned
