"""Duplicate groups join rows that show one picture.

The same bytes, the same pixels, pairs of a published list, or images that correlate once they are aligned. Pairs that
were compared before are not compared again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from dermdata import duplicates
from dermdata.audit.inspection import (
    IMAGES_PER_TASK,
    TASKS_PER_CLUSTER,
    DigestPair,
    Inspection,
    InspectionCache,
    RowImage,
    map_in_order,
)
from dermdata.duplicates import MIN_CORRELATION, MapFunction, Pairs
from dermdata.engine import ClusterExecutor, thread_executor
from dermdata.images import hash_pixels, read_raster

NO_THRESHOLD = -2.0  # below every correlation: those that are not alike are remembered too


def verify_with_cache(
    pairs: Pairs,
    digests: Sequence[str | None],
    owners: Sequence[str],
    caches: Mapping[str, InspectionCache],
    judge: Callable[..., Pairs],
) -> Pairs:
    """The pairs whose pictures are alike, as `duplicates.verified` judges those that are not known yet.

    `owners` are the pictures' datasets, whose shelves remember the rest.
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


DuplicateKind = Literal["exact", "pixels", "listed", "near"]  # surest first
LinkedPair = tuple[int, int, Mapping[str, Any]]  # two of them, and how alike they are
SAME_PIXELS_BITS = 2  # differing bits of two encodings of the same pixels
UNVERIFIED_BITS = 3  # bits: what counts as near where the images are not here to verify it
MAX_PAIRS = 50  # of one group that are told


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
        seen: Sequence[Inspection | None],
        digests: Sequence[str | None],
        phash: Sequence[bytes | None],
    ) -> None:
        by_file: dict[str, list[int]] = {}
        for row, digest in enumerate(digests):
            by_file.setdefault(digest or f"row {row}", []).append(row)
        self.rows = list(by_file.values())
        first = [rows[0] for rows in self.rows]
        self.digests = [digests[row] for row in first]
        self.owners = [image.dataset if (image := images[row]) else "" for row in first]
        self.looks = [one.look if (one := seen[row]) else None for row in first]
        self.paths = [image.path if (image := images[row]) else None for row in first]
        self.hashes = [
            look.phash if look else phash[row] for look, row in zip(self.looks, first, strict=True)
        ]


def group_same_bytes(pictures: DistinctFiles) -> list[DuplicateGroup]:
    """Rows whose files have the same bytes."""
    return [DuplicateGroup(how="exact", rows=tuple(rows)) for rows in pictures.rows if len(rows) > 1]


def group_same_pixels(pictures: DistinctFiles, pool: Executor, jobs: int) -> list[DuplicateGroup]:
    """Files of different bytes that decode to the same pixels."""
    asked: set[int] = set()
    found = duplicates.find_near_pairs(pictures.hashes, radius=SAME_PIXELS_BITS, turns=False, workers=jobs)
    for i, j in zip(found.i.tolist(), found.j.tolist(), strict=True):
        if (one := image_size(pictures, i)) and one == image_size(pictures, j):
            asked |= {i, j}
    numbers = sorted(asked)
    digests = pool.map(hash_pixels, [require_path(pictures, number) for number in numbers])
    groups: dict[str, list[int]] = {}
    for number, digest in zip(numbers, digests, strict=True):
        if digest is not None:
            groups.setdefault(digest, []).append(number)
    return [
        DuplicateGroup(how="pixels", rows=file_rows(pictures, group))
        for group in groups.values()
        if len(group) > 1
    ]


def group_published_pairs(keys: Sequence[str], pairs: Iterable[tuple[str, str]]) -> list[DuplicateGroup]:
    """Rows that published lists call one picture, by their keys; no image is needed."""
    place = {key: row for row, key in enumerate(keys)}
    here: list[LinkedPair] = [
        (place[one], place[other], {}) for one, other in pairs if {one, other} <= place.keys()
    ]
    return [DuplicateGroup(how="listed", rows=tuple(rows)) for rows, _ in connect_pairs(len(keys), here)]


def group_near_duplicates(
    pictures: DistinctFiles,
    alike: Sequence[DuplicateGroup],
    caches: Mapping[str, InspectionCache],
    pool: Executor,
    jobs: int,
) -> list[DuplicateGroup]:
    """Files that show one picture, turned, mirrored, cropped or encoded anew; `alike` are known for the same already."""
    found = duplicates.find_near_pairs(pictures.hashes, workers=jobs)
    both = np.array([path is not None for path in pictures.paths], bool)
    there = both[found.i] & both[found.j]
    with open_comparison(pictures, pool, jobs) as (run, reading):
        judge = partial(duplicates.verify_pairs, read=DistinctFileReader(pictures), run=run, reading=reading)
        kept = verify_with_cache(found[there], pictures.digests, pictures.owners, caches, judge)
    unsure = found[~there & (found.distance <= UNVERIFIED_BITS)]
    group = {row: number for number, one in enumerate(alike) for row in one.rows}
    pairs = [
        (
            pair.i,
            pair.j,
            {"bits": pair.distance, "turn": pair.transform, "likeness": round_likeness(pair.likeness)},
        )
        for pair in (*kept, *unsure)
        if pixel_group(pictures, group, pair.i) != pixel_group(pictures, group, pair.j)
        or pixel_group(pictures, group, pair.i) < 0
    ]
    return [near_group(pictures, linked, some) for linked, some in connect_pairs(len(pictures.rows), pairs)]


@contextmanager
def open_comparison(
    pictures: DistinctFiles, pool: Executor, jobs: int
) -> Iterator[tuple[MapFunction, MapFunction]]:
    """Who compares pictures and who reads them: on a cluster only what reads the files is worth the way."""
    if not isinstance(pool, ClusterExecutor):
        yield pool.map, pool.map
        return

    def reading(_: object, numbers: Sequence[int]) -> Iterable[Any]:
        paths = [
            require_path(pictures, number) for number in numbers
        ]  # not the reader: it knows all pictures
        tasks = [paths[at : at + IMAGES_PER_TASK] for at in range(0, len(paths), IMAGES_PER_TASK)]
        return chain.from_iterable(map_in_order(pool, read_rasters, tasks, TASKS_PER_CLUSTER))

    with thread_executor(jobs) as near:
        yield near.map, reading


def read_rasters(paths: Sequence[Path]) -> list[NDArray[np.float32]]:
    return [read_raster(path) for path in paths]


@dataclass(frozen=True)
class DistinctFileReader:
    """Reads a picture's raster by its number."""

    pictures: DistinctFiles

    def __call__(self, number: int) -> NDArray[np.float32]:
        return read_raster(require_path(self.pictures, number))


def require_path(pictures: DistinctFiles, number: int) -> Path:
    path = pictures.paths[number]
    if path is None:
        raise KeyError(f"picture {number} has no file")
    return path


def image_size(pictures: DistinctFiles, number: int) -> tuple[int | None, int | None] | None:
    look = pictures.looks[number]
    return None if look is None or look.problem else (look.width, look.height)


def round_likeness(likeness: float | None) -> float | None:
    return None if likeness is None else round(likeness, 4)


def pixel_group(pictures: DistinctFiles, group: Mapping[int, int], number: int) -> int:
    """The group of same pixels that a picture is in; -1: none."""
    return group.get(pictures.rows[number][0], -1)


def file_rows(pictures: DistinctFiles, numbers: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(row for number in numbers for row in pictures.rows[number]))


def connect_pairs(count: int, pairs: Sequence[LinkedPair]) -> list[tuple[list[int], list[LinkedPair]]]:
    """The pictures that are linked by pairs, directly or by others, and those pairs."""
    above = list(range(count))

    def top(number: int) -> int:
        while above[number] != number:
            above[number] = above[above[number]]
            number = above[number]
        return number

    for i, j, _ in pairs:
        low, high = sorted((top(i), top(j)))
        above[high] = low
    links: dict[int, list[LinkedPair]] = {}
    for pair in pairs:
        links.setdefault(top(pair[0]), []).append(pair)
    return [(sorted({number for i, j, _ in some for number in (i, j)}), some) for some in links.values()]


def near_group(pictures: DistinctFiles, linked: Sequence[int], pairs: Sequence[LinkedPair]) -> DuplicateGroup:
    told = [(pictures.rows[i][0], pictures.rows[j][0], how) for i, j, how in pairs[:MAX_PAIRS]]
    return DuplicateGroup(how="near", rows=file_rows(pictures, linked), pairs=tuple(told))


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
