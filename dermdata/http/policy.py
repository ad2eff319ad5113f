"""What a run may do with the network: limits and rewrites; what may follow a failure, how often, when."""

import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum

from dermdata.errors import CannotConnect, DermdataError, Stalled
from dermdata.markup import count_nouns
from dermdata.urls import USER_AGENT

PATIENCE_WITH_LIVING = 3  # times as long a silence is allowed to a host that did answer
LONGEST_PAUSE = 30.0  # seconds between two tries, unless the server names a time

# shows a wait for as long as the block runs: what waits, so many seconds, why
WaitDisplay = Callable[[str, float, str], AbstractContextManager[None]]


def hide_wait(subject: str, seconds: float, why: str) -> AbstractContextManager[None]:
    """Show no wait."""
    del subject, seconds, why
    return nullcontext()


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """How one run may use the network.

    `rewrite` swaps the longest prefix of an address that fits; checksums bind the other address as well. The clock,
    the pauses and the chance are arguments, so that a test needs no time.
    """

    offline: bool = False
    rewrite: tuple[tuple[str, str], ...] = ()  # prefix, and what stands in its place
    allow_private: bool = False  # whether a public host may redirect to a private address
    trust_env: bool = True  # proxies and SSL_CERT_FILE from the environment
    attempts: int = 5  # tries without progress
    redirects: int = 10
    connections: int = 4  # at once to one host
    store_connections: int = 16  # at once to one object store
    window: float = 0.2  # seconds over which a rate is measured, before one file gets more connections
    connect_timeout: float = 15  # seconds, as all below
    read_timeout: float = 60  # silence within a body
    head_deadline: float = 30  # from the request to the end of the response's head
    minimum_rate: int = 1024  # bytes a second …
    minimum_rate_window: float = 60  # … over so long
    retry_after_limit: float = 120  # no wait that a host wants is longer
    # a host that answers nobody is given up, where images have addresses of their own:
    silent_seconds: float = 40  # that its addresses wait in vain, counted together
    silent_deadline: float = 15  # the head_deadline of each of them
    silence_holds: float = 60  # from the last failure on
    user_agent: str = USER_AGENT
    show_wait: WaitDisplay = hide_wait
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    wall_clock: Callable[[], float] = time.time  # only to read a Retry-After that is a date
    random: Callable[[], float] = random.random

    def pause(self, subject: str, seconds: float, why: str) -> None:
        """Wait, and show what waits and why."""
        with self.show_wait(subject, seconds, why):
            self.sleep(seconds)

    def rewrite_url(self, url: str) -> str:
        """Return the address that is requested in place of `url`."""
        return _swap_prefix(url, self.rewrite)

    def restore_url(self, url: str) -> str:
        """Return the address that a requested one stands for: the rewrite backwards."""
        return _swap_prefix(url, tuple((new, old) for old, new in self.rewrite))


def _swap_prefix(url: str, pairs: tuple[tuple[str, str], ...]) -> str:
    fitting = [pair for pair in pairs if url.startswith(pair[0])]
    if not fitting:
        return url
    old, new = max(fitting, key=lambda pair: len(pair[0]))
    return new + url.removeprefix(old)


class RetryAction(Enum):
    """What may follow a failed attempt."""

    NEVER = "another request cannot help"
    LATER = "the same request follows after a pause"
    RESTART = "the partial file is dropped, and the whole file requested"
    REDOWNLOAD = "the bytes are wrong: one download from zero follows"
    NEW_LINK = "a signed link is dead: the original address is requested once more"


class TransferFault(Exception):
    """An attempt has failed: `error` is what the person would read, `action` what may follow."""

    def __init__(self, error: DermdataError, action: RetryAction, wait: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.action = action
        self.wait = wait  # seconds that the server named


def parse_retry_after(text: str | None, now: float) -> float | None:
    """Return the seconds that a Retry-After names, as a number or an HTTP date; None when it makes no sense."""
    text = (text or "").strip()
    if re.fullmatch(r"\d{1,12}", text, re.ASCII):
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - now)


def choose_pause(failures: int, chance: float) -> float:
    """Return the seconds before the next try: 1, 2, 4 … at most 30, times 0.5 to 1 so that clients spread out."""
    doubled = 2.0 ** min(max(failures, 1) - 1, 10)
    return min(LONGEST_PAUSE, doubled) * (0.5 + chance / 2)


def is_too_slow(received: int, seconds: float, settings: NetworkSettings) -> bool:
    """Tell whether so many bytes in so long a time are under the minimum rate."""
    return seconds >= settings.minimum_rate_window and received < settings.minimum_rate * seconds


class RetryBudget:
    """Counts how often one address may still be requested; only it sleeps between tries."""

    def __init__(self, settings: NetworkSettings, received: int = 0, restarts: int = 0) -> None:
        self._settings = settings
        self._forgiven = self._restarts = restarts
        self._best = received  # bytes: only beyond this there is progress
        self._failures = 0
        self._once: set[RetryAction] = set()
        self._started = settings.clock()

    def start_attempt(self) -> None:
        """Note when an attempt begins: its rate counts as progress only if it is fast enough."""
        self._started = self._settings.clock()

    def spend(self, fault: TransferFault, received: int = 0, restarts: int = 0) -> None:
        """Wait and return when another try may follow, else raise the fault's error.

        `received` bytes are in the partial file now; it was emptied `restarts` times, each of which costs a try.
        """
        if fault.action is RetryAction.NEVER:
            raise fault.error from fault
        if fault.action in (RetryAction.REDOWNLOAD, RetryAction.NEW_LINK):
            self._spend_once(fault, restarts)
        else:
            self._spend_one(fault, received, restarts)

    def _spend_once(self, fault: TransferFault, restarts: int) -> None:
        if fault.action in self._once:
            raise fault.error from fault
        self._once.add(fault.action)
        if fault.action is RetryAction.REDOWNLOAD:
            self._best = self._failures = 0
            self._forgiven = self._restarts = restarts

    def _spend_one(self, fault: TransferFault, received: int, restarts: int) -> None:
        if restarts > self._restarts:
            self._restarts, self._best = restarts, 0
        if self._has_progress(received):
            self._best, self._failures = received, 0
            self._once.discard(RetryAction.NEW_LINK)  # a new link that gave bytes may die as well
        elif fault.action is RetryAction.LATER:
            self._failures += 1
        if self._failures + self._restarts - self._forgiven >= self._settings.attempts:
            raise fault.error from fault
        if fault.action is RetryAction.LATER and not fault.wait:
            pause = choose_pause(self._failures, self._settings.random())
            self._settings.pause(fault.error.message, pause, "then tries again")

    def _has_progress(self, received: int) -> bool:
        gained = received - self._best
        seconds = self._settings.clock() - self._started
        return gained > 0 and not is_too_slow(gained, seconds, self._settings)


@dataclass
class HostSilence:
    """What one host has not answered since its last answer."""

    asked: dict[str, float] = field(default_factory=dict)  # address -> when it was requested first
    failed_at: float | None = None  # when the last of them failed


class SilenceMonitor:
    """Tells, while it is on, which hosts answer nobody: of thousands of files each would be waited for in vain."""

    def __init__(self, settings: NetworkSettings) -> None:
        self._settings, self._lock = settings, threading.Lock()
        self._hosts: dict[str, HostSilence] = {}
        self._alive: set[str] = set()  # hosts that did answer
        self._on = 0  # blocks that want it
        self._hasty = replace(settings, head_deadline=min(settings.head_deadline, settings.silent_deadline))

    @property
    def settings(self) -> NetworkSettings:
        """How long a request may wait now."""
        return self._hasty if self._on else self._settings

    @contextmanager
    def switch_on(self) -> Iterator[None]:
        """Give hosts up while the block runs."""
        self._on += 1
        try:
            yield
        finally:
            self._on -= 1

    @contextmanager
    def watch(self, host: str, url: str) -> Iterator[None]:
        """Note whether the block's request is answered; TransferFault before it to a host that is given up."""
        if not self._on:
            yield
            return
        with self._lock:
            now = self._settings.clock()
            self._require_answers(host, now)
            self._hosts.setdefault(host, HostSilence()).asked.setdefault(url, now)
        try:
            yield
        except TransferFault as fault:
            with self._lock:
                found = self._hosts.setdefault(host, HostSilence())
                if fault.action is RetryAction.LATER:
                    found.failed_at = self._settings.clock()
                else:
                    found.asked.pop(url, None)
            raise
        with self._lock:
            self._hosts.pop(host, None)
            self._alive.add(host)

    def _require_answers(self, host: str, now: float) -> None:
        """Addresses that wait count too: the first that fails would else let the next one wait as long."""
        settings, found = self._settings, self._hosts.get(host)
        if found is None or found.failed_at is None:
            return
        if now - found.failed_at > settings.silence_holds:
            del self._hosts[host]
            return
        most = settings.silent_seconds * (PATIENCE_WITH_LIVING if host in self._alive else 1)
        count = len(found.asked)
        if count > 1 and sum(now - asked for asked in found.asked.values()) >= most:
            seconds = now - min(found.asked.values())
            message = f"{host} gives no answer ({count_nouns(count, 'address')}, {seconds:.0f} seconds)"
            raise TransferFault(CannotConnect(message), RetryAction.NEVER)


class RateMonitor:
    """Watches that a body keeps the minimum rate; only the time that was spent waiting for it counts."""

    def __init__(self, settings: NetworkSettings, host: str) -> None:
        self._settings, self._host = settings, host
        self._waited, self._received = 0.0, 0

    def add(self, received: int, seconds: float) -> None:
        """Add bytes and the seconds waited for them; raise TransferFault when a window ends that was too slow."""
        self._received += received
        self._waited += seconds
        if is_too_slow(self._received, self._waited, self._settings):
            message = f"{self._host} sends less than {self._settings.minimum_rate} bytes a second"
            hint = "run the same command again later: it goes on from here"
            raise TransferFault(Stalled(message, hint=hint), RetryAction.LATER)
        if self._waited >= self._settings.minimum_rate_window:
            self._waited, self._received = 0.0, 0
