"""Who fetches which bytes of one file: claims that never overlap; no I/O.

The first stream claims all that is missing. Others get pieces of a few seconds near the front, so that the
hash can follow, and smaller ones towards the end, so that all are done at once. Nobody's claim is cut before
whoever wants the rest of it has an answer that gives it: a server that ignores ranges costs nothing.
"""

import threading
from dataclasses import dataclass

from dermdata.transfer.spans import ENDLESS, Spans

PIECE = 1 << 20  # bytes: the smallest piece that is worth a question


@dataclass(eq=False)
class Claim:
    """The bytes that one stream is to bring."""

    first: int
    end: int  # may come nearer while the stream runs
    at: int = -1  # up to where they are there
    cut: "Claim | None" = None  # whose rest this is, until it is confirmed

    def __post_init__(self) -> None:
        self.at = self.first


class Shares:
    """The claims on one file; safe from any thread."""

    def __init__(self, spans: Spans, total: int | None) -> None:
        self._spans, self.total = spans, total or ENDLESS
        self._claims: list[Claim] = []
        self._lock = threading.Lock()

    def take(self, streams: int = 1, size: int = 0) -> Claim | None:
        """The next piece for one of so many streams, about `size` bytes; None when nothing is left to share.

        One stream alone takes all that is missing up to the next byte that is there.
        """
        with self._lock:
            free = self._free()
            claim = self._piece(free, streams, size) if free else self._rest(size)
            if claim is not None:
                self._claims.append(claim)
            return claim

    def confirm(self, claim: Claim) -> bool:
        """Whether the claim still stands now that an answer gives it; whoever had it stops before it."""
        with self._lock:
            victim, claim.cut = claim.cut, None
            if victim is None:
                return True
            if victim not in self._claims or not victim.at <= claim.first < claim.end <= victim.end:
                claim.end = claim.first
                return False
            victim.end = claim.first
            return True

    def leave(self, claim: Claim) -> None:
        """The stream has ended; what it did not bring is free again."""
        with self._lock:
            if claim in self._claims:
                self._claims.remove(claim)

    def forget(self) -> None:
        """Nobody is at work any more: what is missing is free."""
        with self._lock:
            self._claims.clear()

    def learn(self, claim: Claim, total: int) -> None:
        """The file's size is known now; it ends the claim that went on without end."""
        with self._lock:
            self.total = total
            claim.end = min(claim.end, self.total)

    def restart(self, claim: Claim, total: int | None) -> None:
        """The file begins anew, and this claim is all of it."""
        with self._lock:
            self.total = total or ENDLESS
            claim.first, claim.at, claim.end, claim.cut = 0, 0, self.total, None
            self._claims = [claim]

    def _free(self) -> list[tuple[int, int]]:
        taken = Spans()
        for claim in self._claims:
            if claim.cut is None and claim.at < claim.end:
                taken.add(claim.at, claim.end)
        gaps = self._spans.gaps(self.total)
        return [part for gap in gaps for part in _without(gap, taken)]

    def _piece(self, free: list[tuple[int, int]], streams: int, size: int) -> Claim:
        first, end = free[0]
        if streams > 1:
            fair = sum(end - first for first, end in free) // (2 * streams)
            end = min(end, first + max(PIECE, min(size, fair)))
        return Claim(first, end)

    def _rest(self, size: int) -> Claim | None:
        """A piece of the longest claim, from behind what its stream brings meanwhile."""
        standing = [claim for claim in self._claims if claim.cut is None]
        victim = max(standing, key=lambda claim: claim.end - claim.at, default=None)
        if victim is None or victim.end - victim.at < 2 * PIECE:
            return None
        step = max(PIECE, min(size, (victim.end - victim.at) // 2))
        first = victim.at + step
        return Claim(first, min(first + step, victim.end), cut=victim)


def _without(gap: tuple[int, int], taken: Spans) -> list[tuple[int, int]]:
    first, end = gap
    return [(max(first, a), min(end, b)) for a, b in taken.gaps(end) if max(first, a) < min(end, b)]
