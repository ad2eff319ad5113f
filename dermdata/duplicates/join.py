"""All pairs of 64-bit perceptual hashes within a distance, none missed, over the eight turns of an image.

Two hashes that differ in at most r bits differ in at most r // 4 bits in one of four 16-bit bands. A turn
keeps each band's bits within the band, so the eight turns of a band's value are one class: hashes are sorted
by class, turned so that the band shows the class's smallest value, and compared within a class only. That
finds all turns in one pass instead of eight.
"""

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dermdata.duplicates.pairs import Numbers, Pairs, Small, ascending, joined, nothing
from dermdata.images.fingerprint import BACK, HALF, THEN, Hashes, turned

RADIUS = 7  # bits: the widest that one differing bit a band covers; finds 95 % of copies cropped by 5 %
WIDEST = 11  # two differing bits a band; beyond, the search would take hours
BANDS = 4
KEYS = 1 << 16
PROBES = 1 << 21  # looked up at a time: what memory a thread takes
BLOCK = 1 << 20  # comparisons at a time
MANY = 1_000  # images of one hash
Given = Sequence[bytes | None] | Hashes


@dataclass(frozen=True)
class Classes:
    """What a band's value becomes under each turn, and its class: the smallest of them."""

    values: NDArray[np.uint16]  # [turns, KEYS]
    smallest: NDArray[np.uint16]  # [KEYS]
    turn: Small  # [KEYS], which turn shows the smallest


@dataclass(frozen=True)
class Index:
    """Hashes by the class of their band, each in every turn that shows the class's smallest value."""

    starts: Numbers  # [KEYS + 1]
    hashes: Hashes
    numbers: Numbers
    turns: Small


def near(
    hashes: Given, other: Given | None = None, *, radius: int = RADIUS, turns: bool = True, workers: int = 2
) -> Pairs:
    """All pairs (i, j) whose hashes differ in at most `radius` (0-11) bits, j turned as `transform` says.

    Within `hashes` (i < j), or of `hashes` with `other`. None matches nothing. Where more than MANY images
    share one hash, each of them is paired with the first, which alone stands for them in other pairs.
    """
    if not 0 <= radius <= WIDEST:
        raise ValueError(f"radius must be 0-{WIDEST} bits, not {radius}")
    left = _Set.of(hashes)
    right = left if other is None else _Set.of(other)
    found = _search(left.hashes, right.hashes, other is None, radius, turns, workers)
    pairs = _spread(found, left, right)
    return joined([ascending(pairs), left.alike()] if other is None else [pairs])


# ------------------------------------------------------------------ equal hashes are searched once


@dataclass(frozen=True)
class _Set:
    hashes: Hashes  # distinct
    members: Numbers  # rows, by hash
    starts: Numbers  # [distinct + 1] into members
    counts: Numbers  # how many of the members stand in pairs

    @classmethod
    def of(cls, given: Given) -> "_Set":
        numbers, rows = _numbers(given)
        hashes, inverse, counts = np.unique(numbers, return_inverse=True, return_counts=True)
        members = rows[np.argsort(inverse, kind="stable")]
        starts = np.concatenate([[0], np.cumsum(counts)])
        return cls(hashes, members, starts, np.where(counts > MANY, 1, counts))

    def alike(self) -> Pairs:
        """Pairs of one hash."""
        sizes = np.diff(self.starts)
        parts = [nothing()]
        for size in np.unique(sizes[sizes > 1]).tolist():
            groups = self.members[self.starts[:-1][sizes == size][:, None] + np.arange(size)]
            one, two = _partners(size)
            i, j = groups[:, one].ravel(), groups[:, two].ravel()
            parts.append(Pairs(i, j, np.zeros(len(i), np.uint8), np.zeros(len(i), np.uint8)))
        return joined(parts)


def _partners(size: int) -> tuple[Numbers, Numbers]:
    """Places in a group of one hash: each with each, of a large group the first with each."""
    if size > MANY:
        return np.zeros(size - 1, np.int64), np.arange(1, size)
    return np.triu_indices(size, 1)


def _numbers(given: Given) -> tuple[Hashes, Numbers]:
    """Hashes as numbers, and the rows they are of."""
    if isinstance(given, np.ndarray):
        return given.astype(np.uint64, copy=False), np.arange(len(given))
    rows = np.array([row for row, one in enumerate(given) if one is not None], np.int64)
    known = [one for one in given if one is not None]
    if wrong := next((one for one in known if len(one) != 8), None):
        raise ValueError(f"a perceptual hash has 8 bytes, not {len(wrong)}")
    return np.frombuffer(b"".join(known), ">u8").astype(np.uint64), rows


def _spread(found: Pairs, left: _Set, right: _Set) -> Pairs:
    """Pairs of hashes as pairs of the images that have them."""
    across = right.counts[found.j]
    sizes = left.counts[found.i] * across
    pair = np.repeat(np.arange(len(found)), sizes)
    within = np.arange(len(pair)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    i = left.members[left.starts[found.i[pair]] + within // across[pair]]
    j = right.members[right.starts[found.j[pair]] + within % across[pair]]
    return Pairs(i, j, found.distance[pair], found.turn[pair])


# ------------------------------------------------------------------ the search


def _search(left: Hashes, right: Hashes, same: bool, radius: int, turns: bool, workers: int) -> Pairs:
    """Pairs of distinct hashes; of one set i < j."""
    masks = _masks(radius // BANDS)
    step = max(1, PROBES // len(masks))
    found = nothing()
    with ThreadPoolExecutor(workers) as threads:
        for band in range(BANDS):
            classes = _classes(band, turns)
            search = Search(band, classes, _index(right, band, classes), masks, radius, same)
            starts = range(0, len(left), step)
            parts = threads.map(search.pairs, (left[at : at + step] for at in starts), starts)
            found = joined([found, *parts])
    return found


def _masks(errors: int) -> NDArray[np.uint16]:
    """All 16-bit values with at most so many bits."""
    sets = itertools.chain.from_iterable(itertools.combinations(range(16), n) for n in range(errors + 1))
    return np.array([sum(1 << bit for bit in bits) for bits in sets], np.uint16)


def _band(hashes: Hashes, band: int) -> NDArray[np.uint16]:
    low = (hashes >> np.uint64(8 * band)) & np.uint64(0xFF)
    high = (hashes >> np.uint64(HALF + 8 * band)) & np.uint64(0xFF)
    return (low | high << np.uint64(8)).astype(np.uint16)


def _classes(band: int, turns: bool) -> Classes:
    keys = np.arange(KEYS, dtype=np.uint64)
    low, high = keys & np.uint64(0xFF), keys >> np.uint64(8)
    spread = low << np.uint64(8 * band) | high << np.uint64(HALF + 8 * band)
    values = np.array([_band(turned(spread, turn), band) for turn in range(8 if turns else 1)])
    return Classes(values, values.min(axis=0), values.argmin(axis=0).astype(np.uint8))


def _index(hashes: Hashes, band: int, classes: Classes) -> Index:
    keys = _band(hashes, band)
    smallest = classes.smallest[keys]
    shown = [np.flatnonzero(values[keys] == smallest) for values in classes.values]
    numbers = np.concatenate(shown)
    turns = np.repeat(np.arange(len(shown), dtype=np.uint8), [len(one) for one in shown])
    order = np.argsort(smallest[numbers], kind="stable")
    numbers, turns = numbers[order], turns[order]
    starts = np.concatenate([[0], np.cumsum(np.bincount(smallest[numbers], minlength=KEYS))])
    return Index(starts, turned(hashes[numbers], turns), numbers, turns)


@dataclass(frozen=True)
class Search:
    """What hashes are compared with, in one band."""

    band: int
    classes: Classes
    index: Index
    masks: NDArray[np.uint16]
    radius: int
    same: bool

    def pairs(self, hashes: Hashes, offset: int) -> Pairs:
        """The pairs of these hashes, numbered from `offset`, with those of the index."""
        keys = (_band(hashes, self.band)[:, None] ^ self.masks).ravel()
        order = np.argsort(self.classes.smallest[keys], kind="stable")
        keys, numbers = keys[order], order // len(self.masks)
        turns = self.classes.turn[keys]
        probes = turned(hashes[numbers], turns)
        places, hits = _compared(probes, self.classes.smallest[keys], self.index, self.radius)
        i, j = numbers[places] + offset, self.index.numbers[hits]
        distance = np.bitwise_count(probes[places] ^ self.index.hashes[hits])
        turn = THEN[BACK[turns[places]], self.index.turns[hits]]
        kept = i < j if self.same else slice(None)
        return joined([Pairs(i[kept], j[kept], distance[kept], turn[kept])])


def _compared(
    probes: Hashes, classes: NDArray[np.uint16], index: Index, radius: int
) -> tuple[Numbers, Numbers]:
    """Places in the probes and in the index whose hashes, both of one class, are near."""
    places, hits = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for start, stop, first, last in _blocks(classes, index):
        apart = np.bitwise_count(probes[start:stop, None] ^ index.hashes[first:last])
        found = np.flatnonzero(apart <= radius)
        if len(found):
            places.append(start + found // (last - first))
            hits.append(first + found % (last - first))
    return np.concatenate(places), np.concatenate(hits)


def _blocks(classes: NDArray[np.uint16], index: Index) -> Iterator[tuple[int, int, int, int]]:
    """Ranges of probes and of the index that are of one class, no more than BLOCK comparisons each."""
    bounds = np.flatnonzero(np.diff(classes, prepend=-1, append=KEYS).astype(bool)) if len(classes) else [0]
    for start, stop in itertools.pairwise(np.asarray(bounds).tolist()):
        first, last = index.starts[classes[start] : int(classes[start]) + 2].tolist()
        for left in range(first, last, BLOCK):
            right = min(left + BLOCK, last)
            step = max(1, BLOCK // (right - left))
            for at in range(start, stop, step):
                yield at, min(at + step, stop), left, right
