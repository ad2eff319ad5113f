"""A 64-bit perceptual hash from which the hashes of the turned and mirrored image follow without the image.

Each bit is the sign of one of the lowest coefficients of the image's cosine transform (Zauner 2010, with the
threshold at zero instead of the median). Mirroring an image changes the signs of its odd coefficients and
nothing else, transposing it exchanges coefficient (u, v) with (v, u): exact laws, so one stored hash stands
for all eight. The shape is squared first; a constant added to the levels or a factor changes no bit.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dermdata.images.reduced import Matrix, Reduced, edges

Hashes = NDArray[np.uint64]
BITS = 64
HALF = 32  # (u, v) with u < v is a bit of the low half, (v, u) the bit at the same place of the high one
FLAT = 0.05  # grey levels: an image whose strongest coefficient is weaker shows nothing to recognise
ZERO = 1e-9  # of the strongest coefficient: what rounding may leave of a zero
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


class Bit(NamedTuple):
    """Which coefficient a bit is the sign of."""

    u: int  # waves down
    v: int  # waves across


def _layout() -> tuple[Bit, ...]:
    """The 65 lowest frequencies by u + v without the last square one; any 8 places beside each other mix parities."""
    pairs = [Bit(u, total - u) for total in range(1, 11) for u in range((total + 1) // 2)]
    spread = [pairs[at] for start in range(4) for at in range(start, len(pairs), 4)]
    squares = [Bit(1, 1), Bit(2, 2)], [Bit(3, 3), Bit(4, 4)]
    low = [*spread[:15], squares[0][0], *spread[15:], squares[1][0]]
    high = [Bit(one.v, one.u) for one in low]
    high[15], high[31] = squares[0][1], squares[1][1]
    return (*low, *high)


LAYOUT = _layout()
ROWS, COLUMNS = np.array([one.u for one in LAYOUT]), np.array([one.v for one in LAYOUT])
PLACES = np.uint64(1) << np.arange(BITS, dtype=np.uint64)
WAVES = 11
SQUARES = np.uint64(sum(1 << at for at, one in enumerate(LAYOUT) if one.u == one.v))


@lru_cache(maxsize=64)
def _waves(pixels: int, cells: int, step: float) -> Matrix:
    """The integral over each cell of each cosine wave, [WAVES, cells]: exact for cells of any width."""
    edge, waves = edges(pixels, cells, step), np.arange(1, WAVES)[:, None]
    integrals = np.diff(np.sin(np.pi * waves * edge) / (np.pi * waves), axis=1)
    return np.vstack([np.diff(edge)[None], integrals])


def fingerprint(image: Reduced) -> bytes | None:
    """8 bytes, most significant first; None where the image is of one colour all over."""
    rows, columns = image.levels.shape
    down, across = _waves(image.height, rows, image.step), _waves(image.width, columns, image.step)
    coefficients = image.projected(down, across)[ROWS, COLUMNS]
    strongest = float(np.abs(coefficients).max())
    if strongest < FLAT:
        return None
    bits = coefficients > ZERO * strongest
    return int(PLACES[bits].sum()).to_bytes(8, "big")


# ------------------------------------------------------------------ the eight turns


def _signs(down: bool, across: bool) -> np.uint64:
    changed = ((ROWS % 2 == 1) & down) ^ ((COLUMNS % 2 == 1) & across)
    return np.uint64(PLACES[changed].sum())


# by number of the turn: 4 = transposed first, then 2 = top to bottom, 1 = left to right
SIGNS = np.array([_signs(bool(turn & 2), bool(turn & 1)) for turn in range(8)], np.uint64)


def turned(hashes: Hashes, turn: NDArray[np.integer] | int) -> Hashes:
    """The hashes of the images after their turns (numbers into TURNS)."""
    half = np.uint64(HALF)
    exchanged = ((hashes << half) | (hashes >> half)) & ~SQUARES | hashes & SQUARES
    turn = np.asarray(turn)
    found: Hashes = np.where(turn >= 4, exchanged, hashes) ^ SIGNS[turn]
    return found


def turned_image(image: NDArray[np.float32], turn: int) -> NDArray[np.float32]:
    """The same turn of a raster."""
    image = image.T if turn & 4 else image
    image = image[::-1] if turn & 2 else image
    return image[:, ::-1] if turn & 1 else image


def _same(one: int, other: int) -> int:
    """Which single turn does what `other` and then `one` do."""
    corner = np.arange(4, dtype=np.float32).reshape(2, 2)
    wanted = turned_image(turned_image(corner, other), one)
    return next(turn for turn in range(8) if np.array_equal(turned_image(corner, turn), wanted))


THEN = np.array([[_same(one, other) for other in range(8)] for one in range(8)], np.uint8)
BACK = np.array([THEN[turn].tolist().index(0) for turn in range(8)], np.uint8)
