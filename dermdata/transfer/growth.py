"""How many streams one file gets: more while that makes it faster; pure.

Some servers limit each connection, and there four streams bring four times as much. Others do not, and there
a second one brings nothing (over TLS it even costs). So the number is doubled while the rate grows clearly.
"""

from dataclasses import dataclass

GAIN = 1.25  # times the rate before: less is no reason to go on
WAITING = 0.8  # share of the time: with less of it spent waiting for the server, we are the slow one
WORTH = 1.0  # seconds still to come, at the present rate, below which another stream is not worth it
AGAIN = 8.0  # seconds after which a vain try is repeated, then twice as many …


@dataclass
class Growth:
    """Counts rates over windows of time, and says how many streams there should be."""

    window: float  # seconds
    wanted: int = 1
    most: int = 1 << 30  # more the server has refused
    rate: float = 0.0  # bytes a second, of all streams together, in the last window
    _before: tuple[int, float] = (1, 0.0)  # streams and rate before the last growth
    _growing: bool = False
    _since: tuple[float, int, float] | None = None  # time, bytes, waited at the window's start
    _not_before: float = 0.0
    _pause: float = AGAIN

    def look(self, now: float, have: int, waited: float, left: int, running: int, limit: int) -> int:
        """How many streams there should be, of at most `limit`.

        At second `now` `have` bytes are there and `left` are not; one stream has waited for the server for
        `waited` seconds in all; `running` streams bring bytes.
        """
        if running < self.wanted or self._since is None:
            self._since = (now, have, waited)  # measured only when all that are wanted run
        begun, had, idle = self._since
        seconds = now - begun
        if seconds >= self.window and seconds > 0:
            self._since = (now, have, waited)
            self.rate = (have - had) / seconds
            self._judge(now, (waited - idle) / seconds, left, min(limit, self.most))
        return self.wanted

    def refused(self, running: int) -> None:
        """The server does not take more than `running` streams, or gives no ranges."""
        self.most = self.wanted = max(1, running)
        self._growing = False

    def later(self, now: float, running: int) -> None:
        """Another stream is of no use now, but may be later on."""
        self.wanted = max(1, running)
        self._growing, self._not_before = False, now + AGAIN

    def _judge(self, now: float, waiting: float, left: int, limit: int) -> None:
        streams, rate = self._before
        if self._growing and self.rate < GAIN * rate:
            self._growing, self.wanted = False, streams
            self._not_before, self._pause = now + self._pause, 2 * self._pause
            return
        room = self.wanted < limit and now >= self._not_before
        self._growing = room and waiting >= WAITING and left > WORTH * self.rate
        if self._growing:
            self._before = (self.wanted, self.rate)
            self.wanted = min(limit, 2 * self.wanted)
