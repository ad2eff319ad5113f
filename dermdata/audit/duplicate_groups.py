"""Duplicate groups join rows that show one picture.

The same bytes, the same pixels, pairs of a published list, or images that correlate once they are aligned. Pairs that
were compared before are not compared again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from dermdata import duplicates
from dermdata.audit.inspection import (
    DigestPair,
    Inspection,
    InspectionCache,
    RowImage,
    map_files,
)
from dermdata.duplicates import MIN_CORRELATION, UNVERIFIED_BITS, MapFunction, Pairs, RasterReader
from dermdata.engine import ClusterExecutor, thread_executor
from dermdata.images import hash_pixels, read_raster
from dermdata.manifest.columns import connected_components

DuplicateKind = Literal["exact", "pixels", "listed", "near"]  # surest first
LinkedPair = tuple[int, int, Mapping[str, Any]]  # two of them, and how alike they are
SAME_PIXELS_BITS = 2  # differing bits of two encodings of the same pixels
MAX_PAIRS = 50  # of one group that are listed
NO_THRESHOLD = -2.0  # below every correlation: those that are not alike are cached too


@dataclass(frozen=True, kw_only=True)
class DuplicateGroup:
    """Rows that show one picture."""

    how: DuplicateKind
    rows: tuple[int, ...]
    pairs: tuple[LinkedPair, ...] = ()  # of rows


class DistinctFiles:
    """The rows as different files: each file once, with all rows that have its bytes."""

    def __init__(
        self,
        images: Sequence[RowImage | None],
        inspections: Sequence[Inspection | None],
        digests: Sequence[str | None],
        phash: Sequence[bytes | None],
    ) -> None:
        by_file: dict[str, list[int]] = {}
        for row, digest in enumerate(digests):
            by_file.setdefault(digest or f"row {row}", []).append(row)
        self.rows = list(by_file.values())
        first = [rows[0] for rows in self.rows]
        self.images = [images[row] for row in first]
        self.digests = [digests[row] for row in first]
        self.looks = [one.look if (one := inspections[row]) else None for row in first]
        self.hashes = [
            look.phash if look else phash[row] for look, row in zip(self.looks, first, strict=True)
        ]

    @cached_property
    def owners(self) -> list[str]:
        """Each file's dataset."""
        return [image.dataset if image else "" for image in self.images]

    @cached_property
    def paths(self) -> dict[int, Path]:
        """Where the files are that are here."""
        return {number: image.path for number, image in enumerate(self.images) if image}

    def size(self, number: int) -> tuple[int | None, int | None] | None:
        """Width and height; None of a file that does not decode."""
        look = self.looks[number]
        return None if look is None or look.problem else (look.width, look.height)

    def rows_of(self, numbers: Iterable[int]) -> tuple[int, ...]:
        """All rows of these files, ascending."""
        return tuple(sorted(row for number in numbers for row in self.rows[number]))


def group_same_bytes(files: DistinctFiles) -> list[DuplicateGroup]:
    """Rows whose files have the same bytes."""
    return [DuplicateGroup(how="exact", rows=tuple(rows)) for rows in files.rows if len(rows) > 1]


def group_same_pixels(files: DistinctFiles, pool: Executor, jobs: int) -> list[DuplicateGroup]:
    """Files of different bytes that decode to the same pixels."""
    candidates: set[int] = set()
    found = duplicates.find_near_pairs(files.hashes, radius=SAME_PIXELS_BITS, turns=False, workers=jobs)
    for i, j in zip(found.i.tolist(), found.j.tolist(), strict=True):
        if (size := files.size(i)) and size == files.size(j):
            candidates |= {i, j}
    numbers = sorted(candidates)
    digests = map_files(pool, hash_pixels_of_files, numbers, files.paths.__getitem__, jobs)
    groups: dict[str, list[int]] = {}
    for number, digest in zip(numbers, digests, strict=True):
        if digest is not None:
            groups.setdefault(digest, []).append(number)
    return [
        DuplicateGroup(how="pixels", rows=files.rows_of(group)) for group in groups.values() if len(group) > 1
    ]


def hash_pixels_of_files(paths: Sequence[Path]) -> list[str | None]:
    return [hash_pixels(path) for path in paths]


def group_published_pairs(keys: Sequence[str], pairs: Iterable[tuple[str, str]]) -> list[DuplicateGroup]:
    """Rows that published lists call one picture, by their keys; no image is needed."""
    place = {key: row for row, key in enumerate(keys)}
    here: list[LinkedPair] = [
        (place[one], place[other], {}) for one, other in pairs if {one, other} <= place.keys()
    ]
    return [DuplicateGroup(how="listed", rows=tuple(rows)) for rows, _ in connect_pairs(len(keys), here)]


def group_near_duplicates(
    files: DistinctFiles,
    same_pixels: Sequence[DuplicateGroup],
    caches: Mapping[str, InspectionCache],
    pool: Executor,
    jobs: int,
) -> list[DuplicateGroup]:
    """Files that show one picture, turned, mirrored, cropped or encoded anew; not again those of the same pixels."""
    found = duplicates.find_near_pairs(files.hashes, workers=jobs)
    is_here = np.zeros(len(files.rows), bool)
    is_here[list(files.paths)] = True
    both = is_here[found.i] & is_here[found.j]
    with open_comparison(files, pool, jobs) as (run, reading):
        judge = partial(duplicates.verify_pairs, read=RasterReader(files.paths), run=run, reading=reading)
        kept = verify_with_cache(found[both], files.digests, files.owners, caches, judge)
    unsure = found[~both & (found.distance <= UNVERIFIED_BITS)]
    group = {row: number for number, one in enumerate(same_pixels) for row in one.rows}
    groups = [group.get(rows[0]) for rows in files.rows]
    pairs = [
        (
            pair.i,
            pair.j,
            {"bits": pair.distance, "turn": pair.transform, "likeness": round_likeness(pair.likeness)},
        )
        for pair in (*kept, *unsure)
        if groups[pair.i] is None or groups[pair.i] != groups[pair.j]
    ]
    return [near_group(files, linked, some) for linked, some in connect_pairs(len(files.rows), pairs)]


@contextmanager
def open_comparison(
    files: DistinctFiles, pool: Executor, jobs: int
) -> Iterator[tuple[MapFunction, MapFunction]]:
    """Who compares images and who reads them: on a cluster only what reads the files is worth the way."""
    if not isinstance(pool, ClusterExecutor):
        yield pool.map, pool.map
        return

    def reading(_: object, numbers: Sequence[int]) -> Iterable[Any]:
        # paths, not the reader: that one holds all of them
        return map_files(pool, read_rasters, numbers, files.paths.__getitem__, jobs)

    with thread_executor(jobs) as near:
        yield near.map, reading


def read_rasters(paths: Sequence[Path]) -> list[NDArray[np.float32]]:
    return [read_raster(path) for path in paths]


def verify_with_cache(
    pairs: Pairs,
    digests: Sequence[str | None],
    owners: Sequence[str],
    caches: Mapping[str, InspectionCache],
    judge: Callable[..., Pairs],
) -> Pairs:
    """The pairs whose images are alike, as `judge` (`duplicates.verify_pairs`) finds of those that no cache has.

    `owners` are the files' datasets, by which their caches are named.
    """
    known = {name: cache.read_similarities() for name, cache in caches.items()}
    names = [
        (digests[i] or "", digests[j] or "", turn)
        for i, j, turn in zip(pairs.i.tolist(), pairs.j.tolist(), pairs.turn.tolist(), strict=True)
    ]
    owner = [owners[i] for i in pairs.i.tolist()]
    likeness = np.array(
        [known[who].get(pair, np.nan) for who, pair in zip(owner, names, strict=True)], np.float32
    )
    todo = np.flatnonzero(np.isnan(likeness))
    done = judge(pairs[todo], alike=NO_THRESHOLD)
    if done.likeness is not None:
        likeness[todo] = done.likeness
    cache_similarities([(owner[at], names[at], float(likeness[at])) for at in todo.tolist()], caches, known)
    return replace(pairs, likeness=likeness)[likeness >= MIN_CORRELATION]


def cache_similarities(
    found: Sequence[tuple[str, DigestPair, float]],
    caches: Mapping[str, InspectionCache],
    known: Mapping[str, Mapping[DigestPair, float]],
) -> None:
    for name, cache in caches.items():
        new = {pair: likeness for who, pair, likeness in found if who == name and all(pair[:2])}
        cache.save_similarities(new, known[name])


def round_likeness(likeness: float | None) -> float | None:
    return None if likeness is None else round(likeness, 4)


def connect_pairs(count: int, pairs: Sequence[LinkedPair]) -> list[tuple[list[int], list[LinkedPair]]]:
    """The files (or rows) that pairs link, directly or by others, and those pairs."""
    root = connected_components(count, pairs=((i, j) for i, j, _ in pairs)).tolist()
    links: dict[int, list[LinkedPair]] = {}
    for pair in pairs:
        links.setdefault(root[pair[0]], []).append(pair)
    return [(sorted({number for i, j, _ in some for number in (i, j)}), some) for some in links.values()]


def near_group(files: DistinctFiles, linked: Sequence[int], pairs: Sequence[LinkedPair]) -> DuplicateGroup:
    shown = [(files.rows[i][0], files.rows[j][0], how) for i, j, how in pairs[:MAX_PAIRS]]
    return DuplicateGroup(how="near", rows=files.rows_of(linked), pairs=tuple(shown))


def drop_contained_groups(found: Sequence[DuplicateGroup]) -> list[DuplicateGroup]:
    """Without the groups of which every row is in one surer group."""
    order = get_args(DuplicateKind)
    kept: list[DuplicateGroup] = []
    groups: dict[int, list[frozenset[int]]] = {}
    for one in sorted(found, key=lambda one: order.index(one.how)):
        rows = frozenset(one.rows)
        if not any(rows <= other for other in groups.get(one.rows[0], ())):
            kept.append(one)
            for row in rows:
                groups.setdefault(row, []).append(rows)
    return kept
