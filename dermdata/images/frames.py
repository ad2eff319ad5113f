"""Pictures, masks and boxes brought to one width and height: with bars, cut at the edges, or stretched.

A picture is placed by its middle. Its pixels are averaged (Lanczos), those of a mask are classes and are picked (nearest);
bars are black, and outside in a mask. A box follows and is cut where the picture is; what lies outside is gone.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from PIL import Image

from dermdata.errors import UsageError
from dermdata.images.masks import BinaryMask, Size

Fit = Literal["pad", "crop", "stretch"]
FITS: tuple[Fit, ...] = get_args(Fit)
MOST_PIXELS = 16_384  # of a side
Box = tuple[float, float, float, float]  # left, top, width, height


@dataclass(frozen=True)
class Frame:
    """The size that every picture gets, and how it gets there."""

    width: int
    height: int
    fit: Fit = "pad"

    @property
    def size(self) -> Size:
        return self.width, self.height

    def place(self, stored: Size) -> "Placement":
        """Where a picture of this size comes to lie."""
        if self.fit == "stretch":
            return Placement(self.size, self.size, 0, 0)
        shares = self.width / stored[0], self.height / stored[1]
        share = min(shares) if self.fit == "pad" else max(shares)
        round_side = round if self.fit == "pad" else math.ceil
        scaled = tuple(max(1, round_side(round(side * share, 6))) for side in stored)
        left, top = ((whole - side) // 2 for whole, side in zip(self.size, scaled, strict=True))
        return Placement(self.size, (scaled[0], scaled[1]), left, top)


@dataclass(frozen=True)
class Placement:
    """A picture in its frame."""

    size: Size  # of the frame
    scaled: Size  # of the whole picture
    left: int  # of the picture in the frame; negative where it is cut
    top: int

    def move_box(self, box: Sequence[float], stored: Size) -> Box | None:
        """The box in the frame; None where nothing of it is left."""
        across, down = self.scaled[0] / stored[0], self.scaled[1] / stored[1]
        left, top = box[0] * across + self.left, box[1] * down + self.top
        right, bottom = left + box[2] * across, top + box[3] * down
        left, right = max(0.0, left), min(float(self.size[0]), right)
        top, bottom = max(0.0, top), min(float(self.size[1]), bottom)
        return (left, top, right - left, bottom - top) if right > left and bottom > top else None

    def paste(self, picture: Image.Image) -> Image.Image:
        """The scaled picture in its frame."""
        if picture.size == self.size:
            return picture
        whole = Image.new(picture.mode, self.size)
        if picture.mode == "P":
            whole.putpalette(picture.getpalette() or [])
        whole.paste(picture, (self.left, self.top))
        return whole


def fit_mask(mask: BinaryMask, frame: Frame) -> BinaryMask:
    """A mask in the frame."""
    placed = frame.place((mask.shape[1], mask.shape[0]))
    small = Image.fromarray(mask).resize(placed.scaled, Image.Resampling.NEAREST)
    return np.asarray(placed.paste(small), dtype=np.bool_)


def shrink_size(stored: Size, longest: int) -> Size:
    """What `--size` makes of this size: the longest side that long, the other as Pillow's `thumbnail` rounds it."""
    width, height = stored
    if max(stored) <= longest:
        return stored
    aspect = width / height
    if aspect <= 1:
        return round_side(longest * aspect, lambda side: abs(aspect - side / longest)), longest
    return longest, round_side(longest / aspect, lambda side: abs(aspect - longest / side) if side else 0.0)


def round_side(side: float, key: Callable[[int], float]) -> int:
    """The whole number beside this one that keeps the aspect best; at least 1."""
    return max(min(math.floor(side), math.ceil(side), key=key), 1)


def parse_frame(text: str, fit: str) -> Frame:
    """`224` or `320x240` with how to fit; UsageError for what is neither."""
    sides = text.lower().replace("×", "x").split("x")
    if len(sides) > 2 or not all(side.isascii() and side.isdecimal() and len(side) < 6 for side in sides):
        raise UsageError(
            f"'{text}' is no size", hint="--resize 224 or --resize 320x240: width and height in pixels"
        )
    width, height = int(sides[0]), int(sides[-1])
    if not (0 < width <= MOST_PIXELS and 0 < height <= MOST_PIXELS):
        raise UsageError(f"'{text}' is no size", hint=f"a side has 1 to {MOST_PIXELS:,} pixels")
    if fit not in FITS:
        raise UsageError(f"'{fit}' is no way to fit", hint=f"one of {', '.join(FITS)}")
    return Frame(width, height, FITS[FITS.index(fit)])
