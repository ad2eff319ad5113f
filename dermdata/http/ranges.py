"""One file by several range requests at once: who fetches which bytes, by how many streams, and the streams themselves.

The first stream takes all that is missing. Others lease pieces of a few seconds near the first gap, so that the hash
can follow, and smaller ones towards the end, so that all end at once. Nobody's lease is cut before whoever wants the
rest of it has a response that gives it: a server that ignores ranges costs nothing.

Some servers limit each connection, and there four streams bring four times as much. Others do not, and there a second
one brings nothing (over TLS it even costs). So the number of streams doubles while the rate grows clearly.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dermdata.errors import ServerRefused
from dermdata.http import responses
from dermdata.http.partial_file import ENDLESS, IntervalSet, PartialFile
from dermdata.http.policy import NetworkSettings, RetryAction, TransferFault
from dermdata.http.redirects import HostBusy, RedirectingClient
from dermdata.http.responses import RangeBody, StreamedResponse, require_unencoded
from dermdata.model import Request

PIECE = 1 << 20  # bytes: the smallest piece that is worth a request
LARGEST = 32 << 20  # bytes of a piece
SECONDS = 2.0  # of one stream's work, in one piece
IN_FLIGHT = 512 * 1024  # bytes that all streams together may have read but not yet written
PATIENCE = 1.0  # seconds for a stream that has no response yet; it writes nothing any more
GAIN = 1.25  # times the rate before: less is no reason to go on
WAITING = 0.8  # share of the time: with less of it spent waiting for the server, we are the slow one
WORTH = 1.0  # seconds still to come, at the present rate, below which another stream is not worth it
PAUSE = 8.0  # seconds after which a vain try is repeated, then twice as many …


# ------------------------------------------------------------------ who fetches what


@dataclass(eq=False)
class RangeLease:
    """The bytes that one stream fetches."""

    first: int
    end: int  # may come nearer while the stream runs
    position: int = -1  # up to where they are there
    taken_from: "RangeLease | None" = None  # whose rest this is, until it is confirmed

    def __post_init__(self) -> None:
        self.position = self.first


class RangeScheduler:
    """Leases the bytes of one file to streams, so that no two fetch the same ones; safe from any thread."""

    def __init__(self, present: IntervalSet, total: int | None) -> None:
        self._present, self.total = present, total or ENDLESS
        self._leases: list[RangeLease] = []
        self._lock = threading.Lock()

    def lease(self, streams: int = 1, size: int = 0) -> RangeLease | None:
        """Lease the next piece, of about `size` bytes, to one of so many streams; None when nothing is left to share.

        A stream that is alone gets all that is missing up to the next byte that is there.
        """
        with self._lock:
            free = self._find_free()
            lease = self._lease_free(free, streams, size) if free else self._lease_from_longest(size)
            if lease is not None:
                self._leases.append(lease)
            return lease

    def confirm(self, lease: RangeLease) -> bool:
        """Tell whether a lease still stands, now that a response gives it; whoever had it stops before it."""
        with self._lock:
            owner, lease.taken_from = lease.taken_from, None
            if owner is None:
                return True
            if owner not in self._leases or not owner.position <= lease.first < lease.end <= owner.end:
                lease.end = lease.first
                return False
            owner.end = lease.first
            return True

    def release(self, lease: RangeLease) -> None:
        """Free what a stream that has ended did not fetch."""
        with self._lock:
            if lease in self._leases:
                self._leases.remove(lease)

    def release_all(self) -> None:
        """Free all that is missing: no stream is at work any more."""
        with self._lock:
            self._leases.clear()

    def set_total(self, lease: RangeLease, total: int) -> None:
        """Set the file's size, which ends a lease that went on without end."""
        with self._lock:
            self.total = total
            lease.end = min(lease.end, self.total)

    def restart(self, lease: RangeLease, total: int | None) -> None:
        """Begin the file anew with one lease of all its bytes."""
        with self._lock:
            self.total = total or ENDLESS
            lease.first, lease.position, lease.end, lease.taken_from = 0, 0, self.total, None
            self._leases = [lease]

    def _find_free(self) -> list[tuple[int, int]]:
        taken = IntervalSet()
        for lease in self._leases:
            if lease.taken_from is None and lease.position < lease.end:
                taken.add(lease.position, lease.end)
        gaps = self._present.gaps(self.total)
        return [part for gap in gaps for part in _subtract(gap, taken)]

    def _lease_free(self, free: list[tuple[int, int]], streams: int, size: int) -> RangeLease:
        first, end = free[0]
        if streams > 1:
            fair = sum(end - first for first, end in free) // (2 * streams)
            end = min(end, first + max(PIECE, min(size, fair)))
        return RangeLease(first, end)

    def _lease_from_longest(self, size: int) -> RangeLease | None:
        """Lease a piece of the longest lease, from behind what its stream fetches meanwhile."""
        standing = [lease for lease in self._leases if lease.taken_from is None]
        owner = max(standing, key=lambda lease: lease.end - lease.position, default=None)
        if owner is None or owner.end - owner.position < 2 * PIECE:
            return None
        step = max(PIECE, min(size, (owner.end - owner.position) // 2))
        first = owner.position + step
        return RangeLease(first, min(first + step, owner.end), taken_from=owner)


def _subtract(gap: tuple[int, int], taken: IntervalSet) -> list[tuple[int, int]]:
    first, end = gap
    return [(max(first, a), min(end, b)) for a, b in taken.gaps(end) if max(first, a) < min(end, b)]


# ------------------------------------------------------------------ how many streams


@dataclass
class ConcurrencyController:
    """Measures rates over windows of time, and decides how many streams there should be."""

    window: float  # seconds
    wanted: int = 1
    most: int = 1 << 30  # the server has refused more
    rate: float = 0.0  # bytes a second, of all streams together, in the last window
    _before: tuple[int, float] = (1, 0.0)  # streams and rate before the last doubling
    _growing: bool = False
    _since: tuple[float, int, float] | None = None  # time, bytes, waited at the window's start
    _not_before: float = 0.0
    _pause: float = PAUSE

    def update(self, now: float, received: int, waited: float, left: int, running: int, limit: int) -> int:
        """Return how many streams there should be.

        Parameters
        ----------
        now
            The time, in seconds.
        received, left
            How many bytes are there, and how many are not.
        waited
            How many seconds the first stream has waited for the server in all.
        running, limit
            How many streams bring bytes, and how many there may be.

        """
        if running < self.wanted or self._since is None:
            self._since = (now, received, waited)  # measured only when all that are wanted run
        begun, had, idle = self._since
        seconds = now - begun
        if seconds >= self.window and seconds > 0:
            self._since = (now, received, waited)
            self.rate = (received - had) / seconds
            self._judge(now, (waited - idle) / seconds, left, min(limit, self.most))
        return self.wanted

    def cap(self, running: int) -> None:
        """Keep to `running` streams: the server takes no more, or gives no ranges."""
        self.most = self.wanted = max(1, running)
        self._growing = False

    def back_off(self, now: float, running: int) -> None:
        """Start no stream for a while: another is of no use now."""
        self.wanted = max(1, running)
        self._growing, self._not_before = False, now + PAUSE

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


# ------------------------------------------------------------------ the streams


class RangeWorkers:
    """The streams of one attempt at one address; a context manager of the thread that runs the first of them."""

    def __init__(
        self,
        client: RedirectingClient,
        settings: NetworkSettings,
        request: Request,
        url: str,
        part: PartialFile,
    ) -> None:
        self._client, self._settings = client, settings
        self._request, self._url, self._part = request, url, part
        self.scheduler = RangeScheduler(part.intervals, request.size or part.version.total)
        self.controller = ConcurrencyController(settings.window)
        self._host: str | None = None  # None: more streams would not be safe
        self._workers: list[threading.Thread] = []
        self._responses: list[StreamedResponse] = []  # of workers that bring bytes
        self._error: Exception | None = None
        self._joined = self._stopped = False
        self._changed = threading.Condition()

    def __enter__(self) -> "RangeWorkers":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stop()
        if kind is None and self._error is not None:
            raise self._error

    # ------------------------------------------------------------------ what the first stream does

    def next_lease(self, report: Callable[[], None]) -> RangeLease | None:
        """Return what the first stream fetches next, after waiting for the others when they have taken all there is."""
        begun, had = self._settings.clock(), self._part.received
        while True:
            self.raise_error()
            streams = 1 + len(self._workers)
            lease = self.scheduler.lease(streams, self._choose_size())
            if lease is not None or streams == 1:
                return lease
            if self._settings.clock() - begun > SECONDS:
                self._drop_if_slow(self._part.received - had)
                begun, had = self._settings.clock(), self._part.received
            with self._changed:
                self._changed.wait(0.1)  # the person wants to see progress meanwhile
            report()

    def _drop_if_slow(self, gained: int) -> None:
        """Stop the others when the last piece all but stalls: the first stream fetches it itself."""
        each = self.controller.rate / (1 + len(self._responses))
        if gained <= each * SECONDS / 4:
            self.stop()
            self.scheduler.release_all()

    def go_single(self) -> None:
        """Let the first stream work alone from now on, if others have joined it before."""
        if self._joined:
            self.stop()

    def allow_workers(self, response: StreamedResponse) -> None:
        """Let more streams join this one if the file's size and version are beyond doubt."""
        sure = responses.strong_etag(self._part.version.etag) or self._request.checksum
        ranges = response.headers.get("accept-ranges", "bytes").lower() != "none"
        known = self._request.size or self._part.version.total
        self._host = response.host if sure and ranges and known else None

    def adjust(self, waited: float) -> None:
        """Start as many streams as there should be, now that the first has waited so many seconds in all."""
        self.raise_error()
        received, running = self._part.received, 1 + len(self._responses)
        left = self.scheduler.total - received
        if self._host is None or self._stopped or left < 2 * PIECE:
            return
        limit = 1 + len(self._workers) + self._client.hosts.count_spare(self._host)
        wanted = self.controller.update(self._settings.clock(), received, waited, left, running, limit)
        for _ in range(wanted - 1 - len(self._workers)):
            self._start_worker()

    def raise_error(self) -> None:
        """Raise an error of a worker that no retry can help: a full disk, a fault of ours."""
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """End the other streams; when this returns, none of them writes any more."""
        with self._changed:
            self._stopped = True
            for response in self._responses:
                response.abort()
            workers = tuple(self._workers)
            self._changed.wait_for(lambda: not self._responses)
        for worker in workers:
            worker.join(PATIENCE)

    # ------------------------------------------------------------------ what the others do

    def _start_worker(self) -> None:
        worker = threading.Thread(target=self._work, name="range", daemon=True)
        self._joined = True
        with self._changed:
            self._workers.append(worker)
        worker.start()

    def _work(self) -> None:
        try:
            while self._is_needed() and (
                lease := self.scheduler.lease(1 + len(self._workers), self._choose_size())
            ):
                try:
                    self._fetch(lease)
                finally:
                    self.scheduler.release(lease)
            self._back_off()
        except HostBusy:
            self._back_off()
        except TransferFault as fault:
            self._handle_fault(fault)
        except Exception as error:  # noqa: BLE001 - raised again in the first stream's thread
            self._error = self._error or (None if self._stopped else error)
        finally:
            with self._changed:
                self._workers.remove(threading.current_thread())
                self._changed.notify_all()

    def _is_needed(self) -> bool:
        crowded = self._host is None or self._client.hosts.is_crowded(self._host)
        return not (self._stopped or crowded or 1 + len(self._workers) > self.controller.wanted)

    def _fetch(self, lease: RangeLease) -> None:
        checked = self._request.checksum is not None
        version, size = self._part.version, self._request.size
        headers = responses.range_headers(version, lease.first, checked=checked, end=lease.end)
        with self._client.open(
            self._request, self._url, headers, spare=True, chunk=self._choose_chunk()
        ) as response:
            require_unencoded(response, self._part.target.name)
            verdict = responses.interpret_response(
                response.status, response.headers, version, lease.first, size, lease.end
            )
            if not isinstance(verdict, RangeBody):
                message = f"{response.host} gives no such range: status {response.status}"
                raise TransferFault(ServerRefused(message, status=response.status), RetryAction.NEVER)
            if self.scheduler.confirm(lease):
                with self._register(response):
                    self._write(response, lease)

    def _write(self, response: StreamedResponse, lease: RangeLease) -> None:
        asked = lease.end
        with self._part.open_cursor(lease.first) as cursor:
            for chunk in response.body:
                if self._stopped:
                    return
                self._part.write(cursor, chunk[: lease.end - lease.position])
                lease.position = cursor.position
                if lease.position >= lease.end < asked:
                    return  # another stream has the rest
        if lease.position < lease.end:
            short = responses.size_mismatch(
                f"a range from {response.host}", lease.position - lease.first, asked - lease.first
            )
            raise TransferFault(short, RetryAction.LATER)

    @contextmanager
    def _register(self, response: StreamedResponse) -> Iterator[None]:
        with self._changed:
            if self._stopped:
                raise HostBusy(response.host)
            self._responses.append(response)
        try:
            yield
        finally:
            with self._changed:
                self._responses.remove(response)
                self._changed.notify_all()

    def _choose_size(self) -> int:
        """Return the bytes of a piece: some seconds of one stream's work."""
        each = self.controller.rate / (1 + len(self._responses))
        return max(PIECE, min(LARGEST, int(each * SECONDS)))

    def _choose_chunk(self) -> int:
        most = self._client.hosts.limit(self._host) if self._host else 1
        return min(1 << 16, IN_FLIGHT // most)

    def _back_off(self) -> None:
        self.controller.back_off(self._settings.clock(), len(self._workers))

    def _handle_fault(self, fault: TransferFault) -> None:
        if fault.action is RetryAction.LATER and fault.wait is None:
            self._back_off()
        else:
            self.controller.cap(len(self._workers))
