"""The hash join finds all pairs of 64-bit perceptual hashes within a distance, over the eight turns of an image.

Two hashes that differ in at most r bits differ in at most r // 4 bits in one of four 16-bit bands. A turn
keeps each band's bits within the band, so the eight turns of a band's value are one class: hashes are sorted
by class, turned so that the band shows the class's smallest value, and compared within a class only. That
finds all turns in one pass instead of eight.
"""

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dermdata.images.phash import COMPOSED_TURNS, HALF_BITS, INVERSE_TURNS, TURNS, Hashes, turn_hashes

Int64Array = NDArray[np.int64]
UInt8Array = NDArray[np.uint8]
# bits: the widest that one differing bit a band covers; finds 95 % of copies cropped by 5 %
DEFAULT_RADIUS = 7
MAX_RADIUS = 11  # two differing bits a band; beyond, the search would take hours
BANDS = 4
BAND_VALUES = 1 << 16
PROBES = 1 << 22  # looked up at a time, about half of them of one set: what memory a thread takes
BLOCK = 1 << 17  # comparisons at a time: what lies between two steps stays in the processor's cache
LARGE_GROUP = 1_000  # images of one hash
HashInput = Sequence[bytes | None] | Hashes


class Pair(NamedTuple):
    """Image i looks like image j once j is turned."""

    i: int
    j: int
    distance: int  # differing bits
    transform: str  # one of TURNS
    likeness: float | None  # correlation of the aligned images; None: not verified


@dataclass(frozen=True)
class Pairs:
    """Many pairs, ordered by i and then j; of one set i < j."""

    i: Int64Array
    j: Int64Array
    distance: UInt8Array  # differing bits
    turn: UInt8Array  # number into TURNS: what to do to j's image
    likeness: NDArray[np.float32] | None = field(default=None)

    def __len__(self) -> int:
        return len(self.i)

    def __iter__(self) -> Iterator[Pair]:
        likeness = [None] * len(self) if self.likeness is None else self.likeness.tolist()
        columns = (self.i.tolist(), self.j.tolist(), self.distance.tolist(), self.turn.tolist(), likeness)
        for i, j, distance, turn, like in zip(*columns, strict=True):
            yield Pair(i, j, distance, TURNS[turn], like)

    def __getitem__(self, rows: NDArray[Any] | slice) -> "Pairs":
        likeness = None if self.likeness is None else self.likeness[rows]
        return Pairs(self.i[rows], self.j[rows], self.distance[rows], self.turn[rows], likeness)


def empty_pairs() -> Pairs:
    numbers, small = np.empty(0, np.int64), np.empty(0, np.uint8)
    return Pairs(numbers, numbers, small, small)


def merge_pairs(parts: Sequence[Pairs]) -> Pairs:
    """Each pair once, at its least distance and plainest turn."""
    if not parts:
        return empty_pairs()
    i, j = np.concatenate([one.i for one in parts]), np.concatenate([one.j for one in parts])
    distance = np.concatenate([one.distance for one in parts])
    turn = np.concatenate([one.turn for one in parts])
    order = np.lexsort((turn, distance, j, i))
    i, j = i[order], j[order]
    first = np.ones(len(i), bool)
    first[1:] = (i[1:] != i[:-1]) | (j[1:] != j[:-1])
    return Pairs(i[first], j[first], distance[order][first], turn[order][first])


def order_pairs(pairs: Pairs) -> Pairs:
    """The smaller number first; the turn then is the one back."""
    swap = pairs.i > pairs.j
    return Pairs(
        np.where(swap, pairs.j, pairs.i),
        np.where(swap, pairs.i, pairs.j),
        pairs.distance,
        np.where(swap, INVERSE_TURNS[pairs.turn], pairs.turn),
    )


@dataclass(frozen=True)
class TurnClasses:
    """What a band's value becomes under each turn, and its class: the smallest of them."""

    values: NDArray[np.uint16]  # [turns, BAND_VALUES]
    smallest: NDArray[np.uint16]  # [BAND_VALUES]
    turn: UInt8Array  # [BAND_VALUES], which turn shows the smallest


@dataclass(frozen=True)
class BandIndex:
    """Hashes by the class of their band, each in every turn that shows the class's smallest value."""

    starts: Int64Array  # [BAND_VALUES + 1]
    hashes: Hashes
    numbers: Int64Array
    turns: UInt8Array


def find_near_pairs(
    hashes: HashInput,
    other: HashInput | None = None,
    *,
    radius: int = DEFAULT_RADIUS,
    turns: bool = True,
    workers: int = 2,
) -> Pairs:
    """All pairs (i, j) whose hashes differ in at most `radius` (0-11) bits, j turned as `transform` says.

    Where more than LARGE_GROUP images share one hash, each of them is paired with the first, which alone stands for
    them in other pairs.

    Parameters
    ----------
    hashes, other : HashInput
        Hashes of 64 bits; None matches nothing. Pairs are within `hashes` (i < j), or of `hashes` with `other`.
    radius : int
        How many bits may differ, 0 to 11.
    turns : bool
        Whether image j may also be turned or mirrored.
    workers : int
        Threads that search.

    Returns
    -------
    Pairs
        Ordered by i and then j.

    """
    if not 0 <= radius <= MAX_RADIUS:
        raise ValueError(f"radius must be 0-{MAX_RADIUS} bits, not {radius}")
    left = _DistinctHashes.from_hashes(hashes)
    right = left if other is None else _DistinctHashes.from_hashes(other)
    found = _search_bands(left.hashes, right.hashes, other is None, radius, turns, workers)
    pairs = _expand_pairs(found, left, right)
    return merge_pairs([order_pairs(pairs), left.equal_pairs()] if other is None else [pairs])


# ------------------------------------------------------------------ equal hashes are searched once


@dataclass(frozen=True)
class _DistinctHashes:
    hashes: Hashes  # distinct
    members: Int64Array  # rows, by hash
    starts: Int64Array  # [distinct + 1] into members
    counts: Int64Array  # how many of the members stand in pairs

    @classmethod
    def from_hashes(cls, given: HashInput) -> "_DistinctHashes":
        numbers, rows = _to_numbers(given)
        hashes, inverse, counts = np.unique(numbers, return_inverse=True, return_counts=True)
        members = rows[np.argsort(inverse, kind="stable")]
        starts = np.concatenate([[0], np.cumsum(counts)])
        return cls(hashes, members, starts, np.where(counts > LARGE_GROUP, 1, counts))

    def equal_pairs(self) -> Pairs:
        """Pairs of one hash."""
        sizes = np.diff(self.starts)
        parts = [empty_pairs()]
        for size in np.unique(sizes[sizes > 1]).tolist():
            groups = self.members[self.starts[:-1][sizes == size][:, None] + np.arange(size)]
            one, two = _pair_positions(size)
            i, j = groups[:, one].ravel(), groups[:, two].ravel()
            parts.append(Pairs(i, j, np.zeros(len(i), np.uint8), np.zeros(len(i), np.uint8)))
        return merge_pairs(parts)


def _pair_positions(size: int) -> tuple[Int64Array, Int64Array]:
    """Places in a group of one hash: each with each, of a large group the first with each."""
    if size > LARGE_GROUP:
        return np.zeros(size - 1, np.int64), np.arange(1, size)
    return np.triu_indices(size, 1)


def _to_numbers(given: HashInput) -> tuple[Hashes, Int64Array]:
    """Hashes as numbers, and the rows they are of."""
    if isinstance(given, np.ndarray):
        return given.astype(np.uint64, copy=False), np.arange(len(given))
    rows = np.array([row for row, one in enumerate(given) if one is not None], np.int64)
    known = [one for one in given if one is not None]
    if wrong := next((one for one in known if len(one) != 8), None):
        raise ValueError(f"a perceptual hash has 8 bytes, not {len(wrong)}")
    return np.frombuffer(b"".join(known), ">u8").astype(np.uint64), rows


def _expand_pairs(found: Pairs, left: _DistinctHashes, right: _DistinctHashes) -> Pairs:
    """Pairs of hashes as pairs of the images that have them."""
    across = right.counts[found.j]
    sizes = left.counts[found.i] * across
    pair = np.repeat(np.arange(len(found)), sizes)
    within = np.arange(len(pair)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    i = left.members[left.starts[found.i[pair]] + within // across[pair]]
    j = right.members[right.starts[found.j[pair]] + within % across[pair]]
    return Pairs(i, j, found.distance[pair], found.turn[pair])


# ------------------------------------------------------------------ the search


def _search_bands(left: Hashes, right: Hashes, same: bool, radius: int, turns: bool, workers: int) -> Pairs:
    """Pairs of distinct hashes; of one set i < j."""
    masks = _bit_masks(radius // BANDS)
    step = max(1, PROBES // len(masks))
    found = empty_pairs()
    with ThreadPoolExecutor(workers) as threads:
        for band in range(BANDS):
            classes = _turn_classes(band, turns)
            search = BandSearch(band, classes, _index_band(right, band, classes), masks, radius, same)
            starts = range(0, len(left), step)
            parts = threads.map(search.find_pairs, (left[at : at + step] for at in starts), starts)
            found = merge_pairs([found, *parts])
    return found


def _bit_masks(errors: int) -> NDArray[np.uint16]:
    """All 16-bit values with at most so many bits."""
    sets = itertools.chain.from_iterable(itertools.combinations(range(16), n) for n in range(errors + 1))
    return np.array([sum(1 << bit for bit in bits) for bits in sets], np.uint16)


def _band_values(hashes: Hashes, band: int) -> NDArray[np.uint16]:
    low = (hashes >> np.uint64(8 * band)) & np.uint64(0xFF)
    high = (hashes >> np.uint64(HALF_BITS + 8 * band)) & np.uint64(0xFF)
    return (low | high << np.uint64(8)).astype(np.uint16)


def _turn_classes(band: int, turns: bool) -> TurnClasses:
    keys = np.arange(BAND_VALUES, dtype=np.uint64)
    low, high = keys & np.uint64(0xFF), keys >> np.uint64(8)
    spread = low << np.uint64(8 * band) | high << np.uint64(HALF_BITS + 8 * band)
    values = np.array([_band_values(turn_hashes(spread, turn), band) for turn in range(8 if turns else 1)])
    return TurnClasses(values, values.min(axis=0), values.argmin(axis=0).astype(np.uint8))


def _index_band(hashes: Hashes, band: int, classes: TurnClasses) -> BandIndex:
    keys = _band_values(hashes, band)
    smallest = classes.smallest[keys]
    shown = [np.flatnonzero(values[keys] == smallest) for values in classes.values]
    numbers = np.concatenate(shown)
    turns = np.repeat(np.arange(len(shown), dtype=np.uint8), [len(one) for one in shown])
    order = np.argsort(smallest[numbers], kind="stable")
    numbers, turns = numbers[order], turns[order]
    starts = np.concatenate([[0], np.cumsum(np.bincount(smallest[numbers], minlength=BAND_VALUES))])
    return BandIndex(starts, turn_hashes(hashes[numbers], turns), numbers, turns)


@dataclass(frozen=True)
class BandSearch:
    """What hashes are compared with, in one band."""

    band: int
    classes: TurnClasses
    index: BandIndex
    masks: NDArray[np.uint16]
    radius: int
    same: bool

    def find_pairs(self, hashes: Hashes, offset: int) -> Pairs:
        """The pairs of these hashes, numbered from `offset`, with those of the index; of one set i < j."""
        keys, numbers = self._probe_keys(_band_values(hashes, self.band))
        turns = self.classes.turn[keys]
        probes = turn_hashes(hashes[numbers], turns)
        places, hits = _compare_probes(probes, self.classes.smallest[keys], self.index, self.radius)
        i, j = numbers[places] + offset, self.index.numbers[hits]
        distance = np.bitwise_count(probes[places] ^ self.index.hashes[hits])
        turn = COMPOSED_TURNS[INVERSE_TURNS[turns[places]], self.index.turns[hits]]
        found = Pairs(i, j, distance, turn)
        return merge_pairs([order_pairs(found[i != j]) if self.same else found])

    def _probe_keys(self, own: NDArray[np.uint16]) -> tuple[NDArray[np.uint16], Int64Array]:
        """The band's values that are looked up, ordered by class, and the number of the hash that each is for.

        Of one set, a hash whose class is c and one whose class is d would each find the other: the smaller class looks
        the larger one up.
        """
        smallest = self.classes.smallest
        keys = (own[:, None] ^ self.masks).ravel()
        numbers = np.repeat(np.arange(len(own)), len(self.masks))
        if self.same:
            kept = smallest[keys] >= smallest[own][numbers]
            keys, numbers = keys[kept], numbers[kept]
        order = np.argsort(smallest[keys], kind="stable")
        return keys[order], numbers[order]


def _compare_probes(
    probes: Hashes, classes: NDArray[np.uint16], index: BandIndex, radius: int
) -> tuple[Int64Array, Int64Array]:
    """Places in the probes and in the index whose hashes, both of one class, are near."""
    places, hits = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for start, stop, first, last in _comparison_blocks(classes, index):
        apart = np.bitwise_count(probes[start:stop, None] ^ index.hashes[first:last])
        found = np.flatnonzero(apart <= radius)
        if len(found):
            places.append(start + found // (last - first))
            hits.append(first + found % (last - first))
    return np.concatenate(places), np.concatenate(hits)


def _comparison_blocks(classes: NDArray[np.uint16], index: BandIndex) -> Iterator[tuple[int, int, int, int]]:
    """Ranges of probes and of the index that are of one class, no more than BLOCK comparisons each."""
    bounds = (
        np.flatnonzero(np.diff(classes, prepend=-1, append=BAND_VALUES).astype(bool)) if len(classes) else [0]
    )
    for start, stop in itertools.pairwise(np.asarray(bounds).tolist()):
        first, last = index.starts[classes[start] : int(classes[start]) + 2].tolist()
        for left in range(first, last, BLOCK):
            right = min(left + BLOCK, last)
            step = max(1, BLOCK // (right - left))
            for at in range(start, stop, step):
                yield at, min(at + step, stop), left, right
