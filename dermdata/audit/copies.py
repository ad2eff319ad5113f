"""Which rows show one picture: the same bytes, the same pixels, or pictures that lie upon each other."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from dermdata import duplicates
from dermdata.audit.likeness import verified
from dermdata.audit.looking import FAR_AHEAD, TASK, Image, Seen, in_order
from dermdata.audit.seen import Shelf
from dermdata.duplicates import Run
from dermdata.engine import Cluster, executor
from dermdata.images import pixel_digest, raster

How = Literal["exact", "pixels", "listed", "near"]  # surest first
Near = tuple[int, int, Mapping[str, Any]]  # two of them, and how alike they are
SAME = 2  # differing bits of two encodings of the same pixels
SURE = 3  # bits: what counts as near where the images are not here to verify it
PAIRS = 50  # of one group that are told


@dataclass(frozen=True, kw_only=True)
class Copies:
    """Rows that show one picture."""

    how: How
    rows: tuple[int, ...]
    pairs: tuple[Near, ...] = ()  # of rows


class Pictures:
    """The rows as different files: each file once, with all rows that have its bytes."""

    def __init__(
        self,
        images: Sequence[Image | None],
        seen: Sequence[Seen | None],
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


def exact(pictures: Pictures) -> list[Copies]:
    """Rows whose files have the same bytes."""
    return [Copies(how="exact", rows=tuple(rows)) for rows in pictures.rows if len(rows) > 1]


def same_pixels(pictures: Pictures, pool: Executor, jobs: int) -> list[Copies]:
    """Files of different bytes that decode to the same pixels."""
    asked: set[int] = set()
    found = duplicates.near(pictures.hashes, radius=SAME, turns=False, workers=jobs)
    for i, j in zip(found.i.tolist(), found.j.tolist(), strict=True):
        if (one := size(pictures, i)) and one == size(pictures, j):
            asked |= {i, j}
    numbers = sorted(asked)
    digests = pool.map(pixel_digest, [here(pictures, number) for number in numbers])
    groups: dict[str, list[int]] = {}
    for number, digest in zip(numbers, digests, strict=True):
        if digest is not None:
            groups.setdefault(digest, []).append(number)
    return [
        Copies(how="pixels", rows=rows_of(pictures, group)) for group in groups.values() if len(group) > 1
    ]


def listed(keys: Sequence[str], pairs: Iterable[tuple[str, str]]) -> list[Copies]:
    """Rows that published lists call one picture, by their keys; no image is needed."""
    place = {key: row for row, key in enumerate(keys)}
    here: list[Near] = [
        (place[one], place[other], {}) for one, other in pairs if {one, other} <= place.keys()
    ]
    return [Copies(how="listed", rows=tuple(rows)) for rows, _ in chains(len(keys), here)]


def near(
    pictures: Pictures, alike: Sequence[Copies], shelves: Mapping[str, Shelf], pool: Executor, jobs: int
) -> list[Copies]:
    """Files that show one picture, turned, mirrored, cropped or encoded anew; `alike` are known for the same already."""
    found = duplicates.near(pictures.hashes, workers=jobs)
    both = np.array([path is not None for path in pictures.paths], bool)
    there = both[found.i] & both[found.j]
    with hands(pictures, pool, jobs) as (run, reading):
        judge = partial(duplicates.verified, read=Reader(pictures), run=run, reading=reading)
        kept = verified(found[there], pictures.digests, pictures.owners, shelves, judge)
    unsure = found[~there & (found.distance <= SURE)]
    group = {row: number for number, one in enumerate(alike) for row in one.rows}
    pairs = [
        (pair.i, pair.j, {"bits": pair.distance, "turn": pair.transform, "likeness": rounded(pair.likeness)})
        for pair in (*kept, *unsure)
        if known(pictures, group, pair.i) != known(pictures, group, pair.j)
        or known(pictures, group, pair.i) < 0
    ]
    return [of_chain(pictures, linked, some) for linked, some in chains(len(pictures.rows), pairs)]


@contextmanager
def hands(pictures: Pictures, pool: Executor, jobs: int) -> Iterator[tuple[Run, Run]]:
    """Who compares pictures and who reads them: on a cluster only what reads the files is worth the way."""
    if not isinstance(pool, Cluster):
        yield pool.map, pool.map
        return

    def reading(_: object, numbers: Sequence[int]) -> Iterable[Any]:
        paths = [here(pictures, number) for number in numbers]  # not the reader: it knows all pictures
        tasks = [paths[at : at + TASK] for at in range(0, len(paths), TASK)]
        return chain.from_iterable(in_order(pool, rasters, tasks, FAR_AHEAD))

    with executor(jobs) as near:
        yield near.map, reading


def rasters(paths: Sequence[Path]) -> list[NDArray[np.float32]]:
    return [raster(path) for path in paths]


@dataclass(frozen=True)
class Reader:
    """Reads a picture's raster by its number."""

    pictures: Pictures

    def __call__(self, number: int) -> NDArray[np.float32]:
        return raster(here(self.pictures, number))


def here(pictures: Pictures, number: int) -> Path:
    path = pictures.paths[number]
    if path is None:
        raise KeyError(f"picture {number} has no file")
    return path


def size(pictures: Pictures, number: int) -> tuple[int | None, int | None] | None:
    look = pictures.looks[number]
    return None if look is None or look.problem else (look.width, look.height)


def rounded(likeness: float | None) -> float | None:
    return None if likeness is None else round(likeness, 4)


def known(pictures: Pictures, group: Mapping[int, int], number: int) -> int:
    """The group of same pixels that a picture is in; -1: none."""
    return group.get(pictures.rows[number][0], -1)


def rows_of(pictures: Pictures, numbers: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(row for number in numbers for row in pictures.rows[number]))


def chains(count: int, pairs: Sequence[Near]) -> list[tuple[list[int], list[Near]]]:
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
    links: dict[int, list[Near]] = {}
    for pair in pairs:
        links.setdefault(top(pair[0]), []).append(pair)
    return [(sorted({number for i, j, _ in some for number in (i, j)}), some) for some in links.values()]


def of_chain(pictures: Pictures, linked: Sequence[int], pairs: Sequence[Near]) -> Copies:
    told = [(pictures.rows[i][0], pictures.rows[j][0], how) for i, j, how in pairs[:PAIRS]]
    return Copies(how="near", rows=rows_of(pictures, linked), pairs=tuple(told))


def told_once(found: Sequence[Copies]) -> list[Copies]:
    """Without the groups of which every row is in one surer group."""
    order = get_args(How)
    kept: list[Copies] = []
    groups: dict[int, list[frozenset[int]]] = {}
    for one in sorted(found, key=lambda one: order.index(one.how)):
        rows = frozenset(one.rows)
        if not any(rows <= other for other in groups.get(one.rows[0], ())):
            kept.append(one)
            for row in rows:
                groups.setdefault(row, []).append(rows)
    return kept
