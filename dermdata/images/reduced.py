"""A small grey copy of an image for comparisons, decoded at reduced size where the format allows.

simplejpeg decodes JPEGs at a reduced size in half of Pillow's time, lets other threads run meanwhile, and
complains of damaged data where Pillow decodes on in silence: `benchmarks/near_duplicates.py` measures it.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from dermdata.images.whole import SMALL

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Reduced:
    """Grey levels in cells of `step` x `step` stored pixels; at the right and lower edge cells may be cut off."""

    levels: NDArray[Any]  # rows x columns, light is high
    width: int  # pixels of the whole image
    height: int
    step: float

    def projected(self, rows: Matrix, columns: Matrix) -> Matrix:
        """Weights of `row_edges` times levels times weights of the columns."""
        # not by matmul: BLAS would start threads of its own within ours, and sum in the machine's own order
        across = np.einsum("ij,cj->ic", self.levels.astype(np.float64), columns)
        found: Matrix = np.einsum("ri,ic->rc", rows, across)
        return found

    def raster(self, side: int) -> NDArray[np.float32]:
        """The image's mean levels in side x side equal fields, float32 [side, side]."""
        rows = areas(self.height, self.levels.shape[0], self.step, side)
        columns = areas(self.width, self.levels.shape[1], self.step, side)
        return self.projected(rows, columns).astype(np.float32)


def edges(pixels: int, cells: int, step: float) -> Matrix:
    """Where the cells begin and end, from 0 to 1 of the image."""
    found: Matrix = np.minimum(np.arange(cells + 1) * step, pixels) / pixels
    return found


@lru_cache(maxsize=64)
def areas(pixels: int, cells: int, step: float, side: int) -> Matrix:
    """Each cell's share of each of `side` equal fields, [side, cells]."""
    cell, field = edges(pixels, cells, step), np.arange(side + 1) / side
    low = np.maximum(cell[:-1], field[:-1, None])
    high = np.minimum(cell[1:], field[1:, None])
    shares: Matrix = np.maximum(high - low, 0) * side
    return shares


def of_jpeg(data: bytes, width: int, height: int) -> Reduced:
    """ValueError, in libjpeg's words, at the first sign of damage."""
    levels = simplejpeg.decode_jpeg(data, "GRAY", min_width=SMALL, min_height=SMALL)[..., 0]
    return Reduced(levels, width, height, _step((height, width), levels.shape))


def _step(full: tuple[int, int], small: tuple[int, ...]) -> float:
    """JPEGs are decoded at n eighths of the size, rounded up."""
    for eighths in range(1, 9):
        if all(-(-whole * eighths // 8) == part for whole, part in zip(full, small, strict=True)):
            return 8 / eighths
    raise ValueError(f"decoded to {small}, which is no eighth of {full}")


def of_image(image: Image.Image, width: int, height: int) -> Reduced:
    """Of decoded pixels, which Pillow may have reduced by a whole number already."""
    drafted = 1 if image.width == width else -(-width // image.width)
    factor = max(1, min(image.width, image.height) // SMALL)
    grey = _grey(image)
    small = grey.reduce(factor) if factor > 1 else grey
    if (image.width, image.height) == (height, width) != (width, height):
        width, height, drafted = height, width, 1  # Pillow has turned a TIFF upright
    return Reduced(np.asarray(small), width, height, float(drafted * factor))


def _grey(image: Image.Image) -> Image.Image:
    """Levels of any depth: what is compared does not depend on their scale."""
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(np.asarray(image).astype(np.float32))
    return (image.convert("RGBA") if image.mode in {"P", "PA"} else image).convert("L")
