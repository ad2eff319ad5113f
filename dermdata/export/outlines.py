"""Mask files as outlines: read, held against their image, scaled with it, and written as run lengths.

A mask of up to two values is what it says: its pixels are all that are not 0 (of two values neither of which is 0,
the greater). A mask of more values (soft edges, JPEG) has the pixels of at least half its greatest value, and
is counted. Colours count by their brightness, what is transparent is outside.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dermdata.export import rle
from dermdata.export.pixels import FORMATS
from dermdata.images.image_file import read_image_file
from dermdata.images.whole import PIXELS, UNREADABLE

Size = tuple[int, int]  # width, height; pixels
OTHER_SIZE, EMPTY = "another size than its image", "no pixel is set"


@dataclass(frozen=True, slots=True)
class Task:
    """One mask file, the stored size of its image, and the size that the image has in the export."""

    path: str  # absolute
    stored: Size
    size: Size


@dataclass(frozen=True, slots=True)
class Outline:
    """What a mask holds, in the pixels of the exported image; or why it holds nothing."""

    counts: str = ""
    box: tuple[int, int, int, int] = (0, 0, 0, 0)  # left, top, width, height
    area: int = 0
    soft: bool = False  # more than two values
    problem: str | None = None


def outlined(task: Task) -> Outline:
    """The outline of one mask file; a file that cannot be one says why."""
    try:
        with Image.open(io.BytesIO(read_image_file(task.path)), formats=FORMATS) as image:
            if image.size != task.stored:
                return Outline(problem=OTHER_SIZE)
            if image.width * image.height > PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels are too many")
            values = brightness(image)
    except UNREADABLE as error:
        return Outline(problem=f"cannot be decoded: {said(error, task.path)}")
    mask, soft = parted(values)
    return outline(scaled(mask, task.size) if task.size != task.stored else mask, soft=soft)


def said(error: BaseException, path: str) -> str:
    """The cause without the folder, which is this machine's own."""
    return str(error).replace(path, Path(path).name)


def brightness(image: Image.Image) -> NDArray[np.generic]:
    if image.has_transparency_data:
        whole = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", whole.size, (0, 0, 0, 255)), whole)
    one_channel = image.mode in ("1", "L", "F") or image.mode.startswith("I")
    return np.asarray(image if one_channel else image.convert("L"))


def parted(values: NDArray[np.generic]) -> tuple[rle.Mask, bool]:
    """The pixels inside, and whether the mask has more than two values."""
    least, greatest = values.min(), values.max()
    inside: rle.Mask = values == greatest
    if least == greatest:
        return inside & bool(greatest != 0), False
    if (inside | (values == least)).all():
        return inside, False
    return values.astype(np.float64) * 2 >= float(greatest), True


def scaled(mask: rle.Mask, size: Size) -> rle.Mask:
    """By nearest neighbour, to exactly the size that the image has."""
    small = Image.fromarray(mask).resize(size, Image.Resampling.NEAREST)
    return np.asarray(small, dtype=np.bool_)


def outline(mask: rle.Mask, *, soft: bool) -> Outline:
    area = int(mask.sum())
    if not area:
        return Outline(problem=EMPTY)
    return Outline(rle.text(rle.counts(mask)), rle.box(mask), area, soft)
