"""Near hashes are not yet copies: dermoscopic images are all a dark spot on skin. The images decide.

Of each candidate pair the small grey copies are laid upon each other, shifted and stretched until they fit
(a crop is both), and correlated. On generated lesions copies correlate above 0.98 and others below 0.97.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermdata.duplicates.pairs import Numbers, Pairs
from dermdata.images.fingerprint import turned_image

Raster = NDArray[np.float32]
ALIKE = 0.98  # correlation
AT_A_TIME = 10_000  # pairs whose rasters are in memory
TASK = 100  # pairs that one worker compares at a time
ROUNDS, LAST_ROUNDS = 3, 1
SURE, HOPELESS = 0.995, 0.6  # correlations before alignment: copies cropped by 5 % have 0.85 and more
HOPEFUL = 0.9  # after alignment one way
AS_IT_IS = np.array(
    [0.0, 1.0, 0.0, 1.0], np.float32
)  # shift down, stretch down, shift across, stretch across
STEP = 0.05  # of half a side, in one round
MOST = np.array([0.12, 0.16, 0.12, 0.16], np.float32)  # in all
RIDGE = 0.01  # an image without slopes has no one answer
EDGE = 3  # fields at each edge that may have no partner
Rasters = NDArray[np.float32]  # [pairs, side, side]
Read = Callable[[int], Raster]
Run = Callable[..., Iterable[Any]]  # `map`, or that of an executor


def verified(
    pairs: Pairs,
    read: Read,
    other: Read | None = None,
    *,
    alike: float = ALIKE,
    run: Run = map,
    reading: Run | None = None,
) -> Pairs:
    """The pairs whose images correlate by at least `alike` (0-1) once aligned, with their likeness.

    `read` gives an image's raster, float32 [side, side] (`images.raster`), by the number that the pairs have;
    `other` those of the second set, where there are two. What they raise is passed on. `run` may be an
    executor's `map`, and `reading` another's, for `read` alone; of processes, `read` must be picklable.
    """
    likeness = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), AT_A_TIME):
        some = pairs[start : start + AT_A_TIME]
        likeness[start : start + AT_A_TIME] = _likenesses(some, read, other, run, reading or run)
    return replace(pairs, likeness=likeness)[likeness >= alike]


def _likenesses(pairs: Pairs, read: Read, other: Read | None, run: Run, reading: Run) -> list[float]:
    if other is None:
        left = right = _rasters(np.concatenate([pairs.i, pairs.j]), read, reading)
    else:
        left, right = _rasters(pairs.i, read, reading), _rasters(pairs.j, other, reading)
    sides = [
        (left[i], turned_image(right[j], turn))
        for i, j, turn in zip(pairs.i.tolist(), pairs.j.tolist(), pairs.turn.tolist(), strict=True)
    ]
    tasks = [sides[at : at + TASK] for at in range(0, len(sides), TASK)]
    return [one for done in run(compared, tasks) for one in done]


def _rasters(numbers: Numbers, read: Read, run: Run) -> dict[int, Raster]:
    """Each image is read once, however many pairs it is in."""
    wanted = np.unique(numbers).tolist()
    return dict(zip(wanted, run(read, wanted), strict=True))


def compared(sides: Sequence[tuple[Raster, Raster]]) -> list[float]:
    """Correlation (-1 to 1) of each two rasters [side, side] once the second is laid upon the first.

    Pairs that are alike as they lie, or so far apart that no small shift would mend it, are not aligned.
    """
    if not sides:
        return []
    one, other = (_normal(np.stack(rasters)) for rasters in zip(*sides, strict=True))
    found = (one * other).mean(axis=(1, 2))
    unsure = np.flatnonzero((found >= HOPELESS) & (found < SURE))
    found[unsure] = _aligned(one[unsure], other[unsure])
    # which of two is the crop is not known, and only the crop can be found whole in the other
    unsure = unsure[(found[unsure] >= HOPEFUL) & (found[unsure] < SURE)]
    found[unsure] = np.maximum(found[unsure], _aligned(other[unsure], one[unsure]))
    return found.tolist()  # type: ignore[no-any-return]


def _normal(images: Rasters) -> Rasters:
    """Mean 0 and spread 1; an image of one level stays at 0."""
    centred: Rasters = images - images.mean(axis=(1, 2), keepdims=True)
    spread: Rasters = centred.std(axis=(1, 2), keepdims=True)
    spread[spread == 0] = 1
    return centred / spread


def _aligned(fixed: Rasters, moving: Rasters) -> NDArray[np.float32]:
    """The least-squares shift and stretch of `moving`, by Gauss-Newton (Lucas and Kanade 1981); then correlation.

    Most of the way at half the resolution: that is four times as fast.
    """
    fit = np.tile(AS_IT_IS, (len(fixed), 1))
    fit = _fitted(_halved(fixed), _halved(moving), fit, ROUNDS)
    fit = _fitted(fixed, moving, fit, LAST_ROUNDS)
    middle = (slice(None), slice(EDGE, -EDGE), slice(EDGE, -EDGE))
    one, other = _normal(fixed[middle]), _normal(_laid(moving, fit)[middle])
    found: NDArray[np.float32] = (one * other).mean(axis=(1, 2))
    return found


def _fitted(fixed: Rasters, moving: Rasters, fit: Rasters, rounds: int) -> Rasters:
    fixed = _normal(fixed)
    for _ in range(rounds):
        fit = fit + np.clip(_improvement(fixed, _normal(_laid(moving, fit))), -STEP, STEP)
        fit = np.clip(fit, AS_IT_IS - MOST, AS_IT_IS + MOST)
    return fit


def _halved(images: Rasters) -> Rasters:
    count, side = images.shape[0], images.shape[1] // 2
    found: Rasters = images.reshape(count, side, 2, side, 2).mean(axis=(2, 4))
    return found


def _places(side: int) -> Rasters:
    """The fields' centres, from -1 to 1."""
    return ((np.arange(side) + 0.5) / side * 2 - 1).astype(np.float32)


def _improvement(fixed: Rasters, moved: Rasters) -> Rasters:
    """What to add to each fit, level and contrast being free."""
    count, side = moved.shape[:2]
    down, across = (slope * side / 2 for slope in np.gradient(moved, axis=(1, 2)))
    at = _places(side)
    columns = (down, down * at[:, None], across, across * at, np.ones_like(moved), moved)
    slopes = np.stack([column.reshape(count, side * side) for column in columns], axis=1)
    # not by matmul: BLAS would start threads of its own within ours, and they wait for each other
    normal = np.einsum("pik,pjk->pij", slopes, slopes)
    normal += RIDGE * np.eye(len(columns), dtype=np.float32)
    wanted = np.einsum("pik,pk->pi", slopes, (fixed - moved).reshape(count, side * side))
    return np.linalg.solve(normal, wanted[..., None])[:, :4, 0]


def _laid(images: Rasters, fit: Rasters) -> Rasters:
    """The images shifted and stretched, between their fields by straight lines."""
    rows = _between(images, fit[:, 0], fit[:, 1], axis=1)
    return _between(rows, fit[:, 2], fit[:, 3], axis=2)


def _between(images: Rasters, shift: Rasters, stretch: Rasters, axis: int) -> Rasters:
    side = images.shape[1]
    at = (shift[:, None] + stretch[:, None] * _places(side) + 1) / 2 * side - 0.5
    at = np.clip(at, 0, side - 1)
    before = np.minimum(at.astype(np.int64), side - 2)
    places, share = np.expand_dims(before, 3 - axis), np.expand_dims(at - before, 3 - axis).astype(np.float32)
    low = np.take_along_axis(images, places, axis)
    return low + share * (np.take_along_axis(images, places + 1, axis) - low)
