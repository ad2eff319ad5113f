"""Near hashes are not yet copies: dermoscopic images are all a dark spot on skin. The images decide.

Of each candidate pair the small grey copies are laid upon each other, shifted and stretched until they fit
(a crop is both), and correlated. On generated lesions copies correlate above 0.98 and others below 0.97.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermdata.duplicates.pairs import Pairs
from dermdata.images.fingerprint import turned_image

Raster = NDArray[np.float32]
ALIKE = 0.98  # correlation
AT_A_TIME = 10_000  # pairs whose rasters are in memory
TASK = 100  # pairs that one worker compares at a time
ROUNDS = 4
AS_IT_IS = np.array([0.0, 1.0, 0.0, 1.0])
STEP, MOST = 0.05, np.array([0.12, 0.16, 0.12, 0.16])  # of half a side: in one round, and in all
EDGE = 3  # fields at each edge that may have no partner
Fit = NDArray[np.float64]  # shift down, stretch down, shift across, stretch across


Run = Callable[..., Iterable[Any]]  # `map`, or that of an executor


def verified(pairs: Pairs, read: Callable[[int], Raster], *, alike: float = ALIKE, run: Run = map) -> Pairs:
    """The pairs whose images correlate by at least `alike` (0-1) once aligned, with their likeness.

    `read` gives an image's raster, float32 [side, side] (`images.raster`), by the number that the pairs have;
    what it raises is passed on. `run` may be an executor's `map`; of processes, `read` must be picklable.
    """
    likeness = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), AT_A_TIME):
        some = pairs[start : start + AT_A_TIME]
        likeness[start : start + AT_A_TIME] = _likenesses(some, read, run)
    return replace(pairs, likeness=likeness)[likeness >= alike]


def _likenesses(pairs: Pairs, read: Callable[[int], Raster], run: Run) -> list[float]:
    numbers = np.unique(np.concatenate([pairs.i, pairs.j])).tolist()
    rasters = dict(zip(numbers, run(read, numbers), strict=True))
    sides = [
        (rasters[i], turned_image(rasters[j], turn))
        for i, j, turn in zip(pairs.i.tolist(), pairs.j.tolist(), pairs.turn.tolist(), strict=True)
    ]
    tasks = [sides[at : at + TASK] for at in range(0, len(sides), TASK)]
    return [one for done in run(compared, tasks) for one in done]


def compared(sides: list[tuple[Raster, Raster]]) -> list[float]:
    """The likeness of each two rasters."""
    return [likeness(one, other) for one, other in sides]


def likeness(one: Raster, other: Raster) -> float:
    """Correlation (-1 to 1) of two rasters [side, side], laid upon each other both ways; the better one counts.

    Which of two is the crop is not known, and only the crop can be found whole in the other.
    """
    return max(_aligned(_normal(one), _normal(other)), _aligned(_normal(other), _normal(one)))


def _normal(image: NDArray[Any]) -> Fit:
    spread = image.std()
    found: Fit = (image - image.mean()) / (spread if spread > 0 else 1.0)
    return found


def _aligned(fixed: Fit, moving: Fit) -> float:
    """The least-squares shift and stretch of `moving`, by Gauss-Newton (Lucas and Kanade 1981); then correlation."""
    middle = slice(EDGE, -EDGE)
    fit = AS_IT_IS
    for _ in range(ROUNDS):
        fit = fit + np.clip(_improvement(fixed, _normal(_laid(moving, fit)))[:4], -STEP, STEP)
        fit = np.clip(fit, AS_IT_IS - MOST, AS_IT_IS + MOST)
    one, other = _normal(fixed[middle, middle]), _normal(_laid(moving, fit)[middle, middle])
    return float((one * other).mean())


def _places(side: int) -> Fit:
    """The fields' centres, from -1 to 1."""
    return (np.arange(side) + 0.5) / side * 2 - 1


def _improvement(fixed: Fit, moved: Fit) -> Fit:
    """What to add to the fit, and to the level and contrast."""
    side = len(fixed)
    down, across = (slope * side / 2 for slope in np.gradient(moved))
    at = _places(side)
    columns = (down, down * at[:, None], across, across * at, np.ones_like(moved), moved)
    slopes = np.stack([column.ravel() for column in columns])
    normal = slopes @ slopes.T + 1e-6 * np.eye(len(slopes))  # an image without slopes has no one answer
    return np.linalg.solve(normal, slopes @ (fixed - moved).ravel())


def _laid(image: Fit, fit: Fit) -> Fit:
    """The image shifted and stretched, between its fields by straight lines."""
    down, across = _between(len(image), fit[0], fit[1]), _between(len(image), fit[2], fit[3])
    return down @ image @ across.T


def _between(side: int, shift: float, stretch: float) -> Fit:
    at = np.clip((shift + stretch * _places(side) + 1) / 2 * side - 0.5, 0, side - 1)
    before = np.minimum(at.astype(int), side - 2)
    weights, rows = np.zeros((side, side)), np.arange(side)
    weights[rows, before] = 1 - (at - before)
    weights[rows, before + 1] = at - before
    return weights
