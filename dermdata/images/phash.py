"""A small gray copy of an image, and a 64-bit perceptual hash that also gives those of its eight turns.

JPEGs are decoded at a reduced size by simplejpeg: in half of Pillow's time, while other threads run, and with
complaints about damaged data where Pillow decodes on in silence (`benchmarks/near_duplicates.py`).

Each bit is the sign of one of the lowest coefficients of the image's cosine transform (Zauner 2010, with the
threshold at zero instead of the median). Mirroring an image changes the signs of its odd coefficients and
nothing else, transposing it exchanges coefficient (u, v) with (v, u): exact laws, so one stored hash stands
for all eight. The shape is squared first; a constant added to the levels or a factor changes no bit.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from dermdata.images.decode import REDUCED_SIDE

Matrix = NDArray[np.float64]
Hashes = NDArray[np.uint64]
BITS = 64
HALF_BITS = 32  # (u, v) with u < v is a bit of the low half, (v, u) the bit at the same place of the high one
FLAT_LEVEL = 0.05  # gray levels: an image whose strongest coefficient is weaker shows nothing to recognize
ZERO_SHARE = 1e-9  # of the strongest coefficient: what rounding may leave of a zero
TURNS = (
    "as it is",
    "mirrored left to right",
    "mirrored top to bottom",
    "rotated by 180",
    "transposed",
    "rotated by 90 clockwise",
    "rotated by 90 counterclockwise",
    "transposed along the other diagonal",
)


@dataclass(frozen=True)
class ReducedImage:
    """Gray levels in cells of `step` x `step` stored pixels; at the right and lower edge cells may be cut off."""

    levels: NDArray[Any]  # rows x columns, light is high
    width: int  # pixels of the whole image
    height: int
    step: float

    def project(self, rows: Matrix, columns: Matrix) -> Matrix:
        """Weights of the rows times levels times weights of the columns."""
        # not by matmul: BLAS would start threads of its own within ours, and sum in the machine's own order
        across = np.einsum("ij,cj->ic", self.levels.astype(np.float64), columns)
        found: Matrix = np.einsum("ri,ic->rc", rows, across)
        return found

    def raster(self, side: int) -> NDArray[np.float32]:
        """The image's mean levels in side x side equal fields, float32 [side, side]."""
        rows = cell_shares(self.height, self.levels.shape[0], self.step, side)
        columns = cell_shares(self.width, self.levels.shape[1], self.step, side)
        return self.project(rows, columns).astype(np.float32)


def cell_edges(pixels: int, cells: int, step: float) -> Matrix:
    """Where the cells begin and end, from 0 to 1 of the image."""
    found: Matrix = np.minimum(np.arange(cells + 1) * step, pixels) / pixels
    return found


@lru_cache(maxsize=64)
def cell_shares(pixels: int, cells: int, step: float, side: int) -> Matrix:
    """Each cell's share of each of `side` equal fields, [side, cells]."""
    cell, field = cell_edges(pixels, cells, step), np.arange(side + 1) / side
    low = np.maximum(cell[:-1], field[:-1, None])
    high = np.minimum(cell[1:], field[1:, None])
    shares: Matrix = np.maximum(high - low, 0) * side
    return shares


def reduce_jpeg(data: bytes, width: int, height: int) -> ReducedImage:
    """ValueError, in libjpeg's words, at the first sign of damage."""
    levels = simplejpeg.decode_jpeg(data, "GRAY", min_width=REDUCED_SIDE, min_height=REDUCED_SIDE)[..., 0]
    return ReducedImage(levels, width, height, _jpeg_step((height, width), levels.shape))


def _jpeg_step(full: tuple[int, int], small: tuple[int, ...]) -> float:
    """JPEGs are decoded at n eighths of the size, rounded up."""
    for eighths in range(1, 9):
        if all(-(-whole * eighths // 8) == part for whole, part in zip(full, small, strict=True)):
            return 8 / eighths
    raise ValueError(f"decoded to {small}, which is no eighth of {full}")


def reduce_image(image: Image.Image, width: int, height: int) -> ReducedImage:
    """Of decoded pixels, which Pillow may have reduced by a whole number already."""
    drafted = 1 if image.width == width else -(-width // image.width)
    factor = max(1, min(image.width, image.height) // REDUCED_SIDE)
    gray = _to_gray(image)
    small = gray.reduce(factor) if factor > 1 else gray
    if (image.width, image.height) == (height, width) != (width, height):
        width, height, drafted = height, width, 1  # Pillow has turned a TIFF upright
    return ReducedImage(np.asarray(small), width, height, float(drafted * factor))


def _to_gray(image: Image.Image) -> Image.Image:
    """Levels of any depth: what is compared does not depend on their scale."""
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(np.asarray(image).astype(np.float32))
    return (image.convert("RGBA") if image.mode in {"P", "PA"} else image).convert("L")


class HashBit(NamedTuple):
    """Which coefficient a bit is the sign of."""

    u: int  # waves down
    v: int  # waves across


def _order_bits() -> tuple[HashBit, ...]:
    """The 65 lowest frequencies by u + v without the last square one; any 8 places beside each other mix parities."""
    pairs = [HashBit(u, total - u) for total in range(1, 11) for u in range((total + 1) // 2)]
    spread = [pairs[at] for start in range(4) for at in range(start, len(pairs), 4)]
    squares = [HashBit(1, 1), HashBit(2, 2)], [HashBit(3, 3), HashBit(4, 4)]
    low = [*spread[:15], squares[0][0], *spread[15:], squares[1][0]]
    high = [HashBit(one.v, one.u) for one in low]
    high[15], high[31] = squares[0][1], squares[1][1]
    return (*low, *high)


BIT_LAYOUT = _order_bits()
BIT_ROWS, BIT_COLUMNS = np.array([one.u for one in BIT_LAYOUT]), np.array([one.v for one in BIT_LAYOUT])
BIT_VALUES = np.uint64(1) << np.arange(BITS, dtype=np.uint64)
WAVE_COUNT = 11
SQUARE_BITS = np.uint64(sum(1 << at for at, one in enumerate(BIT_LAYOUT) if one.u == one.v))


@lru_cache(maxsize=64)
def _integrate_waves(pixels: int, cells: int, step: float) -> Matrix:
    """The integral over each cell of each cosine wave, [WAVE_COUNT, cells]: exact for cells of any width."""
    edge, waves = cell_edges(pixels, cells, step), np.arange(1, WAVE_COUNT)[:, None]
    integrals = np.diff(np.sin(np.pi * waves * edge) / (np.pi * waves), axis=1)
    return np.vstack([np.diff(edge)[None], integrals])


def perceptual_hash(image: ReducedImage) -> bytes | None:
    """8 bytes, most significant first; None where the image is of one color all over."""
    rows, columns = image.levels.shape
    down, across = (
        _integrate_waves(image.height, rows, image.step),
        _integrate_waves(image.width, columns, image.step),
    )
    coefficients = image.project(down, across)[BIT_ROWS, BIT_COLUMNS]
    strongest = float(np.abs(coefficients).max())
    if strongest < FLAT_LEVEL:
        return None
    bits = coefficients > ZERO_SHARE * strongest
    return int(BIT_VALUES[bits].sum()).to_bytes(8, "big")


# ------------------------------------------------------------------ the eight turns


def _sign_changes(down: bool, across: bool) -> np.uint64:
    changed = ((BIT_ROWS % 2 == 1) & down) ^ ((BIT_COLUMNS % 2 == 1) & across)
    return np.uint64(BIT_VALUES[changed].sum())


# by number of the turn: 4 = transposed first, then 2 = top to bottom, 1 = left to right
TURN_SIGNS = np.array([_sign_changes(bool(turn & 2), bool(turn & 1)) for turn in range(8)], np.uint64)


def turn_hashes(hashes: Hashes, turn: NDArray[np.integer] | int) -> Hashes:
    """The hashes of the images after their turns (numbers into TURNS)."""
    half = np.uint64(HALF_BITS)
    exchanged = ((hashes << half) | (hashes >> half)) & ~SQUARE_BITS | hashes & SQUARE_BITS
    turn = np.asarray(turn)
    found: Hashes = np.where(turn >= 4, exchanged, hashes) ^ TURN_SIGNS[turn]
    return found


def turn_raster(image: NDArray[np.float32], turn: int) -> NDArray[np.float32]:
    """The same turn of a raster."""
    image = image.T if turn & 4 else image
    image = image[::-1] if turn & 2 else image
    return image[:, ::-1] if turn & 1 else image


def _compose_turns(one: int, other: int) -> int:
    """Which single turn does what `other` and then `one` do."""
    corner = np.arange(4, dtype=np.float32).reshape(2, 2)
    wanted = turn_raster(turn_raster(corner, other), one)
    return next(turn for turn in range(8) if np.array_equal(turn_raster(corner, turn), wanted))


COMPOSED_TURNS = np.array([[_compose_turns(one, other) for other in range(8)] for one in range(8)], np.uint8)
INVERSE_TURNS = np.array([COMPOSED_TURNS[turn].tolist().index(0) for turn in range(8)], np.uint8)
