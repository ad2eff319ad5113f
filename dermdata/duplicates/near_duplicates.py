"""Near duplicates are pairs of near hashes whose images correlate once they are aligned.

Near hashes alone do not prove a copy: dermoscopic images are all a dark spot on skin. Of each candidate pair
the small gray copies are shifted and stretched until they fit (a crop is both), and correlated. On generated
lesions copies correlate above 0.98 and others below 0.97.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermdata.duplicates.hash_join import Int64Array, Pairs, find_near_pairs, merge_pairs
from dermdata.images import read_raster
from dermdata.images.phash import turn_raster
from dermdata.markup import agree_verb, count_nouns

Raster = NDArray[np.float32]  # [side, side]
Rasters = NDArray[np.float32]  # [pairs, side, side]
ReadRaster = Callable[[int], Raster]
MapFunction = Callable[..., Iterable[Any]]  # `map`, or that of an executor
MIN_CORRELATION = 0.98
UNVERIFIED_BITS = 3  # what counts as near where the images are not here to compare
PAIRS_PER_BATCH = 10_000  # pairs whose rasters are in memory
PAIRS_PER_TASK = 100  # pairs that one worker compares at a time
HALF_SIZE_ROUNDS, FULL_SIZE_ROUNDS = 3, 1
# before alignment: copies cropped by 5 % have 0.85 and more
CERTAIN_CORRELATION, MIN_UNALIGNED_CORRELATION = 0.995, 0.6
MIN_ALIGNED_CORRELATION = 0.9  # after alignment one way
# shift down, stretch down, shift across, stretch across
IDENTITY_FIT = np.array([0.0, 1.0, 0.0, 1.0], np.float32)
MAX_STEP = 0.05  # of half a side, in one round
MAX_CHANGE = np.array([0.12, 0.16, 0.12, 0.16], np.float32)  # in all
RIDGE = 0.01  # an image without slopes has no one answer
MARGIN = 3  # fields at each edge that may have no partner


def verify_pairs(
    pairs: Pairs,
    read: ReadRaster,
    other: ReadRaster | None = None,
    *,
    alike: float = MIN_CORRELATION,
    run: MapFunction = map,
    reading: MapFunction | None = None,
) -> Pairs:
    """The pairs whose images correlate by at least `alike` (0-1) once aligned, with their likeness.

    Parameters
    ----------
    pairs : Pairs
        Candidates, as `find_near_pairs` gives them.
    read, other : callable
        Gives an image's raster, float32 [side, side] (`images.read_raster`), by the number that the pairs have;
        `other` those of the second set, where there are two. What they raise is passed on.
    alike : float
        The least correlation, 0 to 1.
    run, reading : callable
        `map` or an executor's; `reading` is for `read` alone. For processes, `read` must be picklable.

    Returns
    -------
    Pairs
        Those that stay, each with its likeness.

    """
    likeness = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), PAIRS_PER_BATCH):
        some = pairs[start : start + PAIRS_PER_BATCH]
        likeness[start : start + PAIRS_PER_BATCH] = _correlate_pairs(some, read, other, run, reading or run)
    return replace(pairs, likeness=likeness)[likeness >= alike]


def _correlate_pairs(
    pairs: Pairs, read: ReadRaster, other: ReadRaster | None, run: MapFunction, reading: MapFunction
) -> list[float]:
    if other is None:
        left = right = _read_rasters(np.concatenate([pairs.i, pairs.j]), read, reading)
    else:
        left, right = _read_rasters(pairs.i, read, reading), _read_rasters(pairs.j, other, reading)
    sides = [
        (left[i], turn_raster(right[j], turn))
        for i, j, turn in zip(pairs.i.tolist(), pairs.j.tolist(), pairs.turn.tolist(), strict=True)
    ]
    tasks = [sides[at : at + PAIRS_PER_TASK] for at in range(0, len(sides), PAIRS_PER_TASK)]
    return [one for done in run(correlate_rasters, tasks) for one in done]


def _read_rasters(numbers: Int64Array, read: ReadRaster, run: MapFunction) -> dict[int, Raster]:
    """Each image is read once, however many pairs it is in."""
    wanted = np.unique(numbers).tolist()
    return dict(zip(wanted, run(read, wanted), strict=True))


def correlate_rasters(sides: Sequence[tuple[Raster, Raster]]) -> list[float]:
    """Correlation (-1 to 1) of each two rasters [side, side] once the second is laid upon the first.

    Pairs that are alike as they lie, or so far apart that no small shift would mend it, are not aligned.
    """
    if not sides:
        return []
    one, other = (_normalize(np.stack(rasters)) for rasters in zip(*sides, strict=True))
    found = (one * other).mean(axis=(1, 2))
    unsure = np.flatnonzero((found >= MIN_UNALIGNED_CORRELATION) & (found < CERTAIN_CORRELATION))
    found[unsure] = _align_and_correlate(one[unsure], other[unsure])
    # which of two is the crop is not known, and only the crop can be found whole in the other
    unsure = unsure[(found[unsure] >= MIN_ALIGNED_CORRELATION) & (found[unsure] < CERTAIN_CORRELATION)]
    found[unsure] = np.maximum(found[unsure], _align_and_correlate(other[unsure], one[unsure]))
    return found.tolist()  # type: ignore[no-any-return]  # numpy types no nested list


def _normalize(images: Rasters) -> Rasters:
    """Mean 0 and spread 1; an image of one level stays at 0."""
    centered: Rasters = images - images.mean(axis=(1, 2), keepdims=True)
    spread: Rasters = centered.std(axis=(1, 2), keepdims=True)
    spread[spread == 0] = 1
    return centered / spread


def _align_and_correlate(fixed: Rasters, moving: Rasters) -> NDArray[np.float32]:
    """The least-squares shift and stretch of `moving`, by Gauss-Newton (Lucas and Kanade 1981); then correlation.

    Most of the way at half the resolution: that is four times as fast.
    """
    fit = np.tile(IDENTITY_FIT, (len(fixed), 1))
    fit = _refine_fit(_halve(fixed), _halve(moving), fit, HALF_SIZE_ROUNDS)
    fit = _refine_fit(fixed, moving, fit, FULL_SIZE_ROUNDS)
    middle = (slice(None), slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    one, other = _normalize(fixed[middle]), _normalize(_warp(moving, fit)[middle])
    found: NDArray[np.float32] = (one * other).mean(axis=(1, 2))
    return found


def _refine_fit(fixed: Rasters, moving: Rasters, fit: Rasters, rounds: int) -> Rasters:
    fixed = _normalize(fixed)
    for _ in range(rounds):
        fit = fit + np.clip(_gauss_newton_step(fixed, _normalize(_warp(moving, fit))), -MAX_STEP, MAX_STEP)
        fit = np.clip(fit, IDENTITY_FIT - MAX_CHANGE, IDENTITY_FIT + MAX_CHANGE)
    return fit


def _halve(images: Rasters) -> Rasters:
    count, side = images.shape[0], images.shape[1] // 2
    found: Rasters = images.reshape(count, side, 2, side, 2).mean(axis=(2, 4))
    return found


def _field_centers(side: int) -> Rasters:
    """The fields' centers, from -1 to 1."""
    return ((np.arange(side) + 0.5) / side * 2 - 1).astype(np.float32)


def _gauss_newton_step(fixed: Rasters, moved: Rasters) -> Rasters:
    """What to add to each fit, level and contrast being free."""
    count, side = moved.shape[:2]
    down, across = (slope * side / 2 for slope in np.gradient(moved, axis=(1, 2)))
    at = _field_centers(side)
    columns = (down, down * at[:, None], across, across * at, np.ones_like(moved), moved)
    slopes = np.stack([column.reshape(count, side * side) for column in columns], axis=1)
    # not by matmul: BLAS would start threads of its own within ours, and they wait for each other
    normal = np.einsum("pik,pjk->pij", slopes, slopes)
    normal += RIDGE * np.eye(len(columns), dtype=np.float32)
    wanted = np.einsum("pik,pk->pi", slopes, (fixed - moved).reshape(count, side * side))
    return np.linalg.solve(normal, wanted[..., None])[:, :4, 0]


def _warp(images: Rasters, fit: Rasters) -> Rasters:
    """The images shifted and stretched, between their fields by straight lines."""
    rows = _interpolate(images, fit[:, 0], fit[:, 1], axis=1)
    return _interpolate(rows, fit[:, 2], fit[:, 3], axis=2)


def _interpolate(images: Rasters, shift: Rasters, stretch: Rasters, axis: int) -> Rasters:
    side = images.shape[1]
    at = (shift[:, None] + stretch[:, None] * _field_centers(side) + 1) / 2 * side - 0.5
    at = np.clip(at, 0, side - 1)
    before = np.minimum(at.astype(np.int64), side - 2)
    places, share = np.expand_dims(before, 3 - axis), np.expand_dims(at - before, 3 - axis).astype(np.float32)
    low = np.take_along_axis(images, places, axis)
    return low + share * (np.take_along_axis(images, places + 1, axis) - low)


@dataclass(frozen=True, kw_only=True)
class NearDuplicates:
    """Pairs of rows of different bytes that show one picture, turned, mirrored, cropped or encoded anew."""

    verified: Pairs  # their images lie upon each other
    by_hash: Pairs  # an image is not here, the hashes differ in at most UNVERIFIED_BITS
    compared: int = 0  # pairs whose images were compared

    def __len__(self) -> int:
        return len(self.verified) + len(self.by_hash)

    def row_pairs(self) -> Iterator[tuple[int, int]]:
        """The rows of each pair, i < j."""
        for some in (self.verified, self.by_hash):
            yield from zip(some.i.tolist(), some.j.tolist(), strict=True)

    @property
    def summary(self) -> str:
        """How the pairs are known, in words."""
        text = (
            f"{len(self.verified):,} of {count_nouns(self.compared, 'pair')} of near "
            f"hashes {agree_verb(len(self.verified), 'show')} one picture"
        )
        if not len(self.by_hash):
            return text
        unseen = (
            f"{count_nouns(len(self.by_hash), 'pair', 'are')} taken for one by "
            f"hashes that differ in at most {UNVERIFIED_BITS} bits"
        )
        return f"{f'{text}; ' if self.compared else ''}{unseen}: their images are not here"


def find_near_duplicates(
    hashes: Sequence[bytes | None],
    digests: Sequence[str | None],
    file: Callable[[int], Path | None],
    *,
    jobs: int = 2,
    new: int | None = None,
) -> NearDuplicates:
    """The near duplicates among rows, by each row's perceptual hash and SHA-256; each different file is compared once.

    Parameters
    ----------
    hashes : sequence of bytes or None, length rows
        Perceptual hashes, 8 bytes each; None where there is none.
    digests : sequence of str or None, length rows
        SHA-256 of the files, hex: rows of equal bytes are no near duplicates.
    file : callable
        Gives a row's image file; None or absent: not here.
    jobs : int
        Threads that read and compare images.
    new : int, optional
        Only pairs of which one is among the first so many rows.

    Raises
    ------
    IntegrityError
        If an image has gone bad since its hash was taken.
    OSError
        If an image cannot be read.

    """
    rows = first_rows_of_files(digests)
    distinct = [hashes[row] for row in rows.tolist()]
    first = len(rows) if new is None else int(np.count_nonzero(rows < new))
    found = find_pairs_of_new(distinct, first, jobs)
    wanted = np.unique(np.concatenate([found.i, found.j])).tolist()
    files = {number: path for number in wanted if (path := file(int(rows[number]))) and path.is_file()}
    here = np.zeros(len(rows), bool)
    here[list(files)] = True
    there = here[found.i] & here[found.j]
    with ThreadPoolExecutor(jobs) as pool:
        kept = verify_pairs(found[there], RasterReader(files), run=pool.map)
    unsure = found[~there & (found.distance <= UNVERIFIED_BITS)]
    return NearDuplicates(
        verified=renumber_pairs(kept, rows),
        by_hash=renumber_pairs(unsure, rows),
        compared=int(np.count_nonzero(there)),
    )


def find_pairs_of_new(hashes: Sequence[bytes | None], new: int, jobs: int) -> Pairs:
    """The pairs of near hashes of which one is among the first `new`."""
    among = find_near_pairs(hashes[:new], workers=jobs)
    if new == len(hashes):
        return among
    across = find_near_pairs(hashes[:new], hashes[new:], workers=jobs)
    return merge_pairs([among, replace(across, j=across.j + new)])


@dataclass(frozen=True)
class RasterReader:
    """Reads an image's raster by its number; KeyError where it has no file."""

    files: Mapping[int, Path]

    def __call__(self, number: int) -> Raster:
        return read_raster(self.files[number])


def first_rows_of_files(digests: Sequence[str | None]) -> Int64Array:
    """The first row of each different file, in the rows' order; a row without SHA-256 is a file of its own."""
    seen: dict[str, int] = {}
    rows = [row for row, one in enumerate(digests) if one is None or seen.setdefault(one, row) == row]
    return np.array(rows, np.int64)


def renumber_pairs(pairs: Pairs, rows: Int64Array) -> Pairs:
    """The pairs by the rows' own numbers."""
    return Pairs(rows[pairs.i], rows[pairs.j], pairs.distance, pairs.turn, pairs.likeness)
