"""Which pixels a mask marks.

A mask of up to two values is what it says: its pixels are all that are not 0 (of two values neither of which is 0,
the greater). A mask of more values (soft edges, JPEG) has the pixels of at least half its greatest value.
Colors count by their brightness, what is transparent is outside.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

BinaryMask = NDArray[np.bool_]  # rows x columns
Size = tuple[int, int]  # width, height; pixels


def brightness(image: Image.Image) -> NDArray[np.generic]:
    """The gray levels of a mask, of any depth."""
    if image.has_transparency_data:
        whole = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", whole.size, (0, 0, 0, 255)), whole)
    one_channel = image.mode in ("1", "L", "F") or image.mode.startswith("I")
    return np.asarray(image if one_channel else image.convert("L"))


def threshold_mask(values: NDArray[np.generic]) -> tuple[BinaryMask, bool]:
    """The pixels inside, and whether the mask has more than two values."""
    least, greatest = values.min(), values.max()
    inside: BinaryMask = values == greatest
    if least == greatest:
        return inside & bool(greatest != 0), False
    if (inside | (values == least)).all():
        return inside, False
    return values.astype(np.float64) * 2 >= float(greatest), True


def scale_mask(mask: BinaryMask, size: Size) -> BinaryMask:
    """By nearest neighbor, to exactly the size that the image has."""
    small = Image.fromarray(mask).resize(size, Image.Resampling.NEAREST)
    return np.asarray(small, dtype=np.bool_)
