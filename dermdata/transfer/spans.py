"""Which bytes of a file are there: spans that are merged as they grow; no I/O."""

from bisect import bisect_left

ENDLESS = 1 << 62  # the end of a file whose size nobody told


class Spans:
    """Sets of bytes as `[first, end)`, sorted, never touching each other; others may read while one writes."""

    def __init__(self) -> None:
        self._spans: list[tuple[int, int]] = []

    def add(self, first: int, end: int) -> None:
        """These bytes are there now; they may overlap with others."""
        spans = self._spans
        low = bisect_left(spans, (first, first))
        if low and spans[low - 1][1] >= first:
            low -= 1
        high = low
        while high < len(spans) and spans[high][0] <= end:
            first, end = min(first, spans[high][0]), max(end, spans[high][1])
            high += 1
        self._spans = [*spans[:low], (first, end), *spans[high:]]  # anew: other threads may be reading it

    def clear(self) -> None:
        """Nothing is there."""
        self._spans = []

    @property
    def have(self) -> int:
        """How many bytes are there."""
        return sum(end - first for first, end in self._spans)

    @property
    def front(self) -> int:
        """The first byte that is missing."""
        spans = self._spans
        return spans[0][1] if spans and spans[0][0] == 0 else 0

    @property
    def end(self) -> int:
        """One past the last byte that is there."""
        spans = self._spans
        return spans[-1][1] if spans else 0

    def gaps(self, total: int) -> list[tuple[int, int]]:
        """What is missing of a file of `total` bytes, first to last."""
        spans = self._spans
        firsts = [0, *(end for _, end in spans)]
        ends = [*(first for first, _ in spans), total]
        found = [(first, min(end, total)) for first, end in zip(firsts, ends, strict=True)]
        return [(first, end) for first, end in found if first < end]
