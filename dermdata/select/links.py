"""Things that are linked, and the perceptual hashes that are near enough to link two images."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

NEAR = 3  # differing bits of 64: folding takes images away, so only what is all but the same picture
BAND = 16  # bits: two hashes that differ in at most 3 bits are equal in one of four bands
ONES = np.array([number.bit_count() for number in range(256)], np.uint8)


class Links:
    """Words that mean the same, by a chain of links or directly."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._above: dict[str, str] = {}
        for one, other in pairs:
            self.join(one, other)

    def top(self, word: str) -> str:
        """The smallest word that it is linked to."""
        while (above := self._above.get(word, word)) != word:
            self._above[word] = self._above.get(above, above)
            word = above
        return word

    def join(self, one: str, other: str) -> None:
        low, high = sorted((self.top(one), self.top(other)))
        if low != high:
            self._above[high] = low
            self._above.setdefault(low, low)

    def __iter__(self) -> Iterator[str]:
        return iter(self._above)


def near_hashes(hashes: Iterable[bytes | None]) -> dict[bytes, str]:
    """Of each 64-bit hash the group it is in: a chain of hashes that differ in at most NEAR bits each."""
    known = np.array(sorted({one for one in hashes if one is not None}), "S8")
    numbers = np.frombuffer(known.tobytes(), ">u8").astype(np.uint64)
    links = Links()
    for shift in range(0, 64, BAND):
        for one, other in pairs_in_band(numbers, shift):
            links.join(named(numbers[one]), named(numbers[other]))
    return {int(one).to_bytes(8, "big"): links.top(named(one)) for one in numbers}


def pairs_in_band(numbers: NDArray[np.uint64], shift: int) -> Iterator[tuple[int, int]]:
    """The near pairs among hashes that are equal in these bits: neighbours once sorted by them."""
    band = (numbers >> np.uint64(shift)) & np.uint64(2**BAND - 1)
    order = np.argsort(band, kind="stable")
    band, step = band[order], 1
    place = np.arange(max(len(order) - 1, 0))
    while len(place := place[place + step < len(order)]):
        place = place[band[place] == band[place + step]]
        apart = numbers[order[place]] ^ numbers[order[place + step]]
        near = ONES[apart.view(np.uint8).reshape(-1, 8)].sum(axis=1) <= NEAR
        yield from zip(order[place[near]].tolist(), order[place[near] + step].tolist(), strict=True)
        step += 1


def named(number: np.uint64) -> str:
    return f"{int(number):016x}"
