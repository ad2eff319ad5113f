"""Gray levels of more than 8 bits, which TIFFs hold in many ways and Pillow clips when it converts them."""

import numpy as np
from PIL import Image

MOST_LEVEL = 65_535


def is_deep(image: Image.Image) -> bool:
    """Whether its pixels are gray levels of more than 8 bits."""
    return image.mode.startswith(("I", "F"))


def to_sixteen_bits(image: Image.Image) -> Image.Image:
    """The gray levels as a PNG holds them: the very values where they fit, else scaled; ValueError without any number."""
    values = np.asarray(image)
    if values.dtype.kind == "f":
        finite = values[np.isfinite(values)]
        if not finite.size:
            raise ValueError("no pixel has a number")
        values = np.nan_to_num(values, nan=finite.min(), posinf=finite.max(), neginf=finite.min())
    least, greatest = float(values.min()), float(values.max())
    if least < 0 or greatest > MOST_LEVEL or (values != np.floor(values)).any():
        low, high = (0.0, 1.0) if least >= 0 and greatest <= 1 else (least, greatest)
        values = np.rint((values.astype(np.float64) - low) * (MOST_LEVEL / (high - low or 1)))
    return Image.fromarray(values.astype("<u2"))


def to_eight_bits(image: Image.Image) -> Image.Image:
    """The upper 8 bits of the 16 that `to_sixteen_bits` gives, so that two images stay comparable."""
    return Image.fromarray((np.asarray(to_sixteen_bits(image)) >> 8).astype(np.uint8))
