"""How often a host may be asked: what it publishes, and what its answers say; pure, with the clock as an argument.

A limit is so many requests in any so many seconds. As long as a window has room requests go out at once, so that a
short job waits for nothing; then each waits until the oldest one has left the window. Only addresses of the host itself
count, not those of a storage that it redirects to. What an answer says goes before what the table says.
"""

import math
import re
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from dermdata.errors import RateLimited
from dermdata.http.policy import parse_retry_after
from dermdata.model import RequestLimit

LARGEST_MARGIN = 1.0  # seconds, at most a twentieth of the window: what is sent evenly does not arrive evenly
RESET_MARGIN = 1.0  # seconds: hosts round the rest of a window to whole seconds
FIRST_EPOCH = 1e9  # an X-RateLimit-Reset from here on is a time, below it seconds from now
LONGEST_WINDOW = 31 * 86400  # seconds: more is no window of requests
SPARED = 0.5  # share of a window that further streams of a file leave to others
NOTED = 100  # requests of a host without a limit that are remembered, should an answer state one
UNITS = ((86400, "a day"), (3600, "an hour"), (60, "a minute"), (1, "a second"))

Windows = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class RequestTurn:
    """When a request may go out, on the caller's clock, and in words why not before."""

    at: float
    why: str = ""


@dataclass
class _Account:
    """The requests to one limit, as a guest or as a member."""

    windows: Windows
    published: bool
    sent: deque[float]  # when, oldest first, also of those that wait for their turn
    pace: Windows = ()  # our own, besides the host's
    not_before: float = 0.0  # the host wants a pause until then
    limited: bool = False  # … since its window is used up

    def limit(self, windows: Windows) -> None:
        """Let these windows hold from now on."""
        self.windows = windows
        self.sent = deque(self.sent, maxlen=max((most for most, _ in (*windows, *self.pace)), default=NOTED))

    def next_turn(self, now: float) -> RequestTurn:
        """Return when the next request may go out."""
        turn = RequestTurn(now)
        if self.not_before > now:
            turn = RequestTurn(self.not_before, "its limit is used up" if self.limited else "as it asks")
        for most, seconds in (*self.windows, *self.pace):
            if len(self.sent) >= most:
                at = self.sent[-most] + seconds + min(LARGEST_MARGIN, seconds / 20)
                if at > turn.at:
                    published = self.published and (most, seconds) not in self.pace
                    turn = RequestTurn(at, describe_window(most, seconds, published=published))
        return turn

    def has_spare(self, now: float) -> bool:
        """Tell whether a request may go out at once, and leave others the half of each larger window."""
        if self.next_turn(now).at > now:
            return False
        return all(self._count_since(now - seconds) < max(1, most * SPARED) for most, seconds in self.windows)

    def _count_since(self, when: float) -> int:
        return sum(sent > when for sent in self.sent)


@dataclass
class RequestRates:
    """Books the turns of all requests of one client; safe from any thread."""

    limits: Sequence[RequestLimit]
    pace: Windows = ()  # our own windows, which hold for every host besides its own
    _accounts: dict[tuple[str, bool], _Account] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def book(self, url: str, now: float, *, member: bool, longest: float = math.inf) -> RequestTurn:
        """Return when this address may be requested, and count that request.

        Parameters
        ----------
        url
            The official address.
        now
            The time, in seconds, on any clock that does not go back.
        member
            Whether credentials go along.
        longest
            Seconds; a turn that is further away is told and not counted.

        """
        with self._lock:
            account = self._find_account(url, member=member)
            turn = account.next_turn(now)
            if turn.at - now <= longest:
                account.sent.append(turn.at)
            return turn

    def book_spare(self, url: str, now: float, *, member: bool) -> bool:
        """Count a request that nobody waits for, if it may go out at once and leaves others room; else return False."""
        with self._lock:
            account = self._find_account(url, member=member)
            spare = account.has_spare(now)
            if spare:
                account.sent.append(now)
            return spare

    def find_pause(self, url: str, *, member: bool) -> float:
        """Return until when the host wants a pause; a time that has passed means none."""
        with self._lock:
            return self._find_account(url, member=member).not_before

    def note_answer(
        self, url: str, status: int, headers: Mapping[str, str], now: float, wall: float, *, member: bool
    ) -> None:
        """Take what an answer says of the host's limit: its windows, and a pause.

        `now` is the time on the clock of `book`, `wall` the time of day in seconds since 1970.
        """
        windows, wait = parse_policy(headers), find_wait(status, headers, wall)
        if not windows and not wait:
            return
        with self._lock:
            account = self._find_account(url, member=member)
            if windows and windows != account.windows:
                account.limit(windows)
                account.published = True
            if wait and now + wait > account.not_before:
                account.not_before, account.limited = now + wait, status < 400 or status == 429

    def _find_account(self, url: str, *, member: bool) -> _Account:
        limit = find_limit(url, self.limits)
        key = (limit.name if limit else get_hostname(url), member)
        if key not in self._accounts:
            windows = ((limit.member if member else ()) or limit.guest) if limit else ()
            self._accounts[key] = _Account(windows, limit.published if limit else True, deque(), self.pace)
            self._accounts[key].limit(windows)
        return self._accounts[key]


def get_hostname(url: str) -> str:
    """Return the host of an address, as waits name it."""
    return urlsplit(url).hostname or ""


def find_limit(url: str, limits: Sequence[RequestLimit]) -> RequestLimit | None:
    """Return the first limit that an address counts for."""
    parts = urlsplit(url)
    place = f"{parts.path}?{parts.query}"
    return next(
        (
            limit
            for limit in limits
            if re.fullmatch(limit.host, parts.hostname or "") and re.fullmatch(limit.path, place)
        ),
        None,
    )


def describe_window(most: int, seconds: float, *, published: bool) -> str:
    """Return `its limit is 60 requests a minute`, or whose limit it is where the host publishes none."""
    unit = next((word for size, word in UNITS if size == seconds), f"in {seconds:g} s")
    noun = "request" if most == 1 else "requests"
    whose = "its limit" if published else "dermdata's own limit for it"
    return f"{whose} is {most:,} {noun} {unit}"


def limit_error(host: str, wait: float, why: str) -> RateLimited:
    """Return the error for a turn that is too far away to wait for."""
    return RateLimited(
        f"{host} may be asked again in {format_wait(wait)}: {why}",
        status=429,
        hint=f"run the same command again in {format_wait(wait)}: it goes on from here",
    )


def format_wait(seconds: float) -> str:
    """Return `45 s`, and from ten minutes on `1800 s (0 h 30 min)`."""
    whole = math.ceil(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{whole} s" if whole < 600 else f"{whole} s ({hours} h {minutes} min)"


# ------------------------------------------------------------------ what answers say


def find_wait(status: int, headers: Mapping[str, str], wall: float) -> float | None:
    """Return the seconds that a host wants nobody to ask it: by Retry-After, or since its limit is used up.

    Understood are Retry-After of a refusal, `RateLimit: "api";r=0;t=55` and its older form `limit=…, remaining=0, reset=50`,
    and `RateLimit-Remaining`, `X-RateLimit-Remaining` and `X-Rate-Limit-Remaining` with their `…-Reset`.
    """
    refused = status in (408, 429, 500, 502, 503, 504)
    if refused and (wait := parse_retry_after(headers.get("retry-after"), wall)) is not None:
        return wait
    left, reset = _parse_rate(headers)
    if reset is None or not (left == 0 or (left is None and status == 429)):
        return None
    return max(0.0, (reset - wall) if reset >= FIRST_EPOCH else reset) + RESET_MARGIN


def _parse_rate(headers: Mapping[str, str]) -> tuple[float | None, float | None]:
    """Return how many requests are left, and the reset: a time, or seconds from now."""
    words = headers.get("ratelimit", "")
    left, reset = (_find_number(words, names) for names in (("r", "remaining"), ("t", "reset")))
    if left is not None and reset is not None:
        return left, reset
    for kind in ("ratelimit", "x-ratelimit", "x-rate-limit"):
        left, reset = (_to_number(headers.get(f"{kind}-{name}")) for name in ("remaining", "reset"))
        if reset is not None:
            return left, reset
    return None, None


def parse_policy(headers: Mapping[str, str]) -> Windows:
    """Return the windows of `RateLimit-Policy: "fixed window";"api";q=500;w=300`, also in the older form `100;w=60`."""
    found: list[tuple[int, float]] = []
    for item in headers.get("ratelimit-policy", "").split(","):
        most, seconds = _find_number(item, ("q",)), _find_number(item, ("w",))
        if most is None and (bare := re.match(r"\s*(\d{1,9})\s*;", item)):
            most = float(bare[1])
        if most and seconds and most >= 1 and seconds <= LONGEST_WINDOW:
            found.append((int(most), seconds))
    return tuple(found)


def _find_number(text: str, names: Sequence[str]) -> float | None:
    found = re.search(rf"(?:^|[;,\s])(?:{'|'.join(names)})=(\d{{1,12}})(?![\w.])", text, re.ASCII)
    return float(found[1]) if found else None


def _to_number(text: str | None) -> float | None:
    return float(text) if text and re.fullmatch(r"\s*\d{1,12}(\.\d{1,9})?\s*", text, re.ASCII) else None
