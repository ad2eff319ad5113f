"""Mask files as outlines: read, compared with their image's size, scaled with it, and encoded as run lengths.

A mask of up to two values is what it says: its pixels are all that are not 0 (of two values neither of which is 0,
the greater). A mask of more values (soft edges, JPEG) has the pixels of at least half its greatest value, and
is counted. Colors count by their brightness, what is transparent is outside.

Run lengths are COCO's compressed ones: runs go down the columns, zeros first; each is written in base 48 digits of five
bits, from the fourth on as the difference to the one before the last. Source: pycocotools 2.0, common/maskApi.c,
rleEncode and rleToString.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dermdata.export.image_bytes import PILLOW_FORMATS
from dermdata.images.decode import DECODE_ERRORS, PIXEL_LIMIT
from dermdata.images.frames import Frame, fit_mask
from dermdata.images.image_file import read_image_file
from dermdata.images.masks import BinaryMask, Size, brightness, scale_mask, threshold_mask
from dermdata.images.orientation import read_orientation, reset_orientation, to_stored_frame

BITS, FIRST, MORE, SIGN = 5, 48, 0x20, 0x10
OTHER_SIZE, EMPTY_MASK = "another size than its image", "no pixel is set"


def run_lengths(mask: BinaryMask) -> NDArray[np.int64]:
    """The lengths of the runs, in pixels."""
    pixels = mask.ravel(order="F")
    edges = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    found = np.diff(np.concatenate(([0], edges, [pixels.size])))
    return np.concatenate(([0], found)) if pixels.size and pixels[0] else found


def encode_run_lengths(found: NDArray[np.int64]) -> str:
    """The lengths as pycocotools writes them."""
    left = found.astype(np.int64)
    left[3:] -= found[1:-2]
    alive, digits = np.ones(left.size, np.bool_), []
    while alive.any():
        digit = left & (2**BITS - 1)
        left = left >> BITS
        more = np.where(digit & SIGN, left != -1, left != 0)
        digits.append(np.where(alive, digit + MORE * more + FIRST, 0))
        alive &= more
    signs = np.stack(digits, axis=1).astype(np.uint8).ravel()
    return signs[signs > 0].tobytes().decode("ascii")


def bounding_box(mask: BinaryMask) -> tuple[int, int, int, int]:
    """Left, top, width and height in pixels of a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    return left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1


@dataclass(frozen=True, slots=True)
class MaskTask:
    """One mask file, the stored size of its image, the size that it has in the export, and its file."""

    path: str  # absolute
    stored: Size
    size: Size
    image: str | None = None  # absolute
    frame: Frame | None = None  # instead of a plain scale to `size`


@dataclass(frozen=True, slots=True)
class MaskOutline:
    """What a mask holds, in the pixels of the exported image; or why it holds nothing."""

    counts: str = ""
    box: tuple[int, int, int, int] = (0, 0, 0, 0)  # left, top, width, height
    area: int = 0
    soft: bool = False  # more than two values
    problem: str | None = None


def trace_mask(task: MaskTask) -> MaskOutline:
    """The outline of one mask file; a file that cannot be one says why."""
    mask, soft, problem = read_mask(task)
    return MaskOutline(problem=problem) if mask is None else outline_mask(mask, soft=soft)


def read_mask(task: MaskTask) -> tuple[BinaryMask | None, bool, str | None]:
    """The pixels inside at the exported size, whether the file has more than two values, and why it is no mask."""
    try:
        data = reset_orientation(read_image_file(task.path))
        with Image.open(io.BytesIO(data), formats=PILLOW_FORMATS) as opened:
            image = opened if opened.size == task.stored else lay_on_image(opened, task)
            if image.size != task.stored:
                return None, False, OTHER_SIZE
            if image.width * image.height > PIXEL_LIMIT:
                raise ValueError(f"{image.width} x {image.height} pixels are too many")
            values = brightness(image)
    except DECODE_ERRORS as error:
        return None, False, f"cannot be decoded: {error_text(error, task.path)}"
    mask, soft = threshold_mask(values)
    if task.frame is not None:
        return fit_mask(mask, task.frame), soft, None
    return scale_mask(mask, task.size) if task.size != task.stored else mask, soft, None


def lay_on_image(mask: Image.Image, task: MaskTask) -> Image.Image:
    """A mask that was drawn on the upright picture, turned back; another one as it is."""
    if task.image is None or mask.size != task.stored[::-1]:
        return mask
    return to_stored_frame(mask, read_orientation(read_image_file(task.image)), task.stored)


def error_text(error: BaseException, path: str) -> str:
    """The cause without the folder, which is this machine's own."""
    return str(error).replace(path, Path(path).name)


def outline_mask(mask: BinaryMask, *, soft: bool) -> MaskOutline:
    area = int(mask.sum())
    if not area:
        return MaskOutline(problem=EMPTY_MASK)
    return MaskOutline(encode_run_lengths(run_lengths(mask)), bounding_box(mask), area, soft)
