"""A mask as COCO's compressed run lengths, its box and its area.

Runs go down the columns, zeros first; each is written in base 48 digits of five bits, from the fourth on as the
difference to the one before the last. Source: pycocotools 2.0, common/maskApi.c, rleEncode and rleToString.
"""

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]  # rows x columns
BITS, FIRST, MORE, SIGN = 5, 48, 0x20, 0x10


def counts(mask: Mask) -> NDArray[np.int64]:
    """The lengths of the runs, in pixels."""
    pixels = mask.ravel(order="F")
    edges = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    found = np.diff(np.concatenate(([0], edges, [pixels.size])))
    return np.concatenate(([0], found)) if pixels.size and pixels[0] else found


def text(found: NDArray[np.int64]) -> str:
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


def box(mask: Mask) -> tuple[int, int, int, int]:
    """Left, top, width and height in pixels of a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    return left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1
