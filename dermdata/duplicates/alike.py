"""Rows that show one picture: by near hashes, and by their images wherever these are here."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dermdata.duplicates.join import near
from dermdata.duplicates.pairs import Pairs
from dermdata.duplicates.verify import Raster, verified
from dermdata.images import raster

SURE = 3  # bits: what counts as near where the images are not here to tell
Numbers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Alike:
    """Pairs of rows of different bytes that show one picture, turned, mirrored, cropped or encoded anew."""

    verified: Pairs  # their images lie upon each other
    by_hash: Pairs  # an image is not here, the hashes differ in at most SURE bits
    compared: int = 0  # pairs whose images were looked at

    def __len__(self) -> int:
        return len(self.verified) + len(self.by_hash)

    def pairs(self) -> Iterator[tuple[int, int]]:
        """The rows of each pair, i < j."""
        for some in (self.verified, self.by_hash):
            yield from zip(some.i.tolist(), some.j.tolist(), strict=True)

    @property
    def said(self) -> str:
        """In words, how it is known."""
        told = f"{len(self.verified):,} of {self.compared:,} pairs of near hashes show one picture"
        if not len(self.by_hash):
            return told
        unseen = f"{len(self.by_hash):,} pairs are taken for one by hashes that differ in at most {SURE} bits"
        return f"{f'{told}; ' if self.compared else ''}{unseen}: their images are not here"


def alike(
    hashes: Sequence[bytes | None],
    digests: Sequence[str | None],
    file: Callable[[int], Path | None],
    *,
    jobs: int = 2,
) -> Alike:
    """The near duplicates among rows, by each row's perceptual hash and SHA-256; each different file is compared once.

    `file` gives a row's image file (None or absent: not here). IntegrityError of an image that has gone bad, OSError
    of one that cannot be read.
    """
    rows = first_of_each_file(digests)
    found = near([hashes[row] for row in rows.tolist()], workers=jobs)
    wanted = np.unique(np.concatenate([found.i, found.j])).tolist()
    files = {number: path for number in wanted if (path := file(int(rows[number]))) and path.is_file()}
    here = np.zeros(len(rows), bool)
    here[list(files)] = True
    there = here[found.i] & here[found.j]
    with ThreadPoolExecutor(jobs) as pool:
        kept = verified(found[there], Reader(files), run=pool.map)
    unsure = found[~there & (found.distance <= SURE)]
    return Alike(
        verified=numbered(kept, rows), by_hash=numbered(unsure, rows), compared=int(np.count_nonzero(there))
    )


@dataclass(frozen=True)
class Reader:
    """Reads a picture's raster by its number."""

    files: dict[int, Path]

    def __call__(self, number: int) -> Raster:
        return raster(self.files[number])


def first_of_each_file(digests: Sequence[str | None]) -> Numbers:
    """The first row of each different file, in the rows' order; a row without SHA-256 is a file of its own."""
    seen: dict[str, int] = {}
    rows = [row for row, one in enumerate(digests) if one is None or seen.setdefault(one, row) == row]
    return np.array(rows, np.int64)


def numbered(pairs: Pairs, rows: Numbers) -> Pairs:
    """The pairs by the rows' own numbers."""
    return Pairs(rows[pairs.i], rows[pairs.j], pairs.distance, pairs.turn, pairs.likeness)
