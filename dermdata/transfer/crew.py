"""The streams beside the first one: they bring pieces of the same version of the file, and fail for nobody."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dermdata.errors import ServerRefused
from dermdata.model import Request
from dermdata.transfer import replies
from dermdata.transfer.answers import require_plain
from dermdata.transfer.growth import Growth
from dermdata.transfer.hosts import Busy
from dermdata.transfer.network import Network
from dermdata.transfer.partial import Partial
from dermdata.transfer.replies import Append, Then, Trouble
from dermdata.transfer.shares import PIECE, Claim, Shares
from dermdata.transfer.web import Web
from dermdata.transfer.wire import Answer

SECONDS = 2.0  # of one stream's work, in one piece
LARGEST = 32 << 20  # bytes of a piece
IN_FLIGHT = 512 * 1024  # bytes that all streams together may have read but not yet written
PATIENCE = 1.0  # seconds for a stream that has no answer yet; it writes nothing any more


class Crew:
    """All streams of one try at one address; a context manager of the thread that runs the first of them."""

    def __init__(self, web: Web, network: Network, request: Request, url: str, part: Partial) -> None:
        self._web, self._network = web, network
        self._request, self._url, self._part = request, url, part
        self.shares = Shares(part.spans, request.size or part.version.total)
        self.growth = Growth(network.window)
        self._host: str | None = None  # None: more streams would not be safe
        self._helpers: list[threading.Thread] = []
        self._answers: list[Answer] = []  # of helpers that bring bytes
        self._error: Exception | None = None
        self._joined = self._stopped = False
        self._changed = threading.Condition()

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stop()
        if kind is None and self._error is not None:
            raise self._error

    # ------------------------------------------------------------------ what the first stream does

    def claim(self, tell: Callable[[], None]) -> Claim | None:
        """What the first stream is to bring next; waits for the others when they have taken all there is."""
        begun, had = self._network.clock(), self._part.have
        while True:
            self.complain()
            streams = 1 + len(self._helpers)
            claim = self.shares.take(streams, self._size())
            if claim is not None or streams == 1:
                return claim
            if self._network.clock() - begun > SECONDS:
                self._drop_if_slow(self._part.have - had)
                begun, had = self._network.clock(), self._part.have
            with self._changed:
                self._changed.wait(0.1)  # the person wants to see progress meanwhile
            tell()

    def _drop_if_slow(self, gained: int) -> None:
        """Nobody waits for the last piece of a stream that has all but died: the first brings it itself."""
        each = self.growth.rate / (1 + len(self._answers))
        if gained <= each * SECONDS / 4:
            self.stop()
            self.shares.forget()

    def dissolve(self) -> None:
        """From now on the first stream works alone, if others have joined it before."""
        if self._joined:
            self.stop()

    def allow(self, answer: Answer) -> None:
        """More streams may join this answer's: the file's size and version are beyond doubt."""
        sure = replies.strong(self._part.version.etag) or self._request.checksum
        ranges = answer.headers.get("accept-ranges", "bytes").lower() != "none"
        known = self._request.size or self._part.version.total
        self._host = answer.host if sure and ranges and known else None

    def look(self, waited: float) -> None:
        """Start as many streams as there should be, now that the first has waited so long in all."""
        self.complain()
        have, running = self._part.have, 1 + len(self._answers)
        left = self.shares.total - have
        if self._host is None or self._stopped or left < 2 * PIECE:
            return
        limit = 1 + len(self._helpers) + self._web.hosts.room(self._host)
        wanted = self.growth.look(self._network.clock(), have, waited, left, running, limit)
        for _ in range(wanted - 1 - len(self._helpers)):
            self._start()

    def complain(self) -> None:
        """Raise what a helper could not help: a full disk, a fault of ours."""
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """End the other streams; when this returns, none of them writes any more."""
        with self._changed:
            self._stopped = True
            for answer in self._answers:
                answer.cut()
            helpers = tuple(self._helpers)
            self._changed.wait_for(lambda: not self._answers)
        for helper in helpers:
            helper.join(PATIENCE)

    # ------------------------------------------------------------------ what the others do

    def _start(self) -> None:
        helper = threading.Thread(target=self._help, name="range", daemon=True)
        self._joined = True
        with self._changed:
            self._helpers.append(helper)
        helper.start()

    def _help(self) -> None:
        try:
            while self._needed() and (claim := self.shares.take(1 + len(self._helpers), self._size())):
                try:
                    self._bring(claim)
                finally:
                    self.shares.leave(claim)
            self._later()
        except Busy:
            self._later()
        except Trouble as trouble:
            self._refused(trouble)
        except Exception as error:  # noqa: BLE001 - raised again in the first stream's thread
            self._error = self._error or (None if self._stopped else error)
        finally:
            with self._changed:
                self._helpers.remove(threading.current_thread())
                self._changed.notify_all()

    def _needed(self) -> bool:
        crowded = self._host is None or self._web.hosts.crowded(self._host)
        return not (self._stopped or crowded or 1 + len(self._helpers) > self.growth.wanted)

    def _bring(self, claim: Claim) -> None:
        checked = self._request.checksum is not None
        version, size = self._part.version, self._request.size
        headers = replies.range_headers(version, claim.first, checked=checked, end=claim.end)
        with self._web.open(self._request, self._url, headers, spare=True, chunk=self._chunk()) as answer:
            require_plain(answer, self._part.target.name)
            verdict = replies.decide(answer.status, answer.headers, version, claim.first, size, claim.end)
            if not isinstance(verdict, Append):
                said = f"{answer.host} gives no such range: status {answer.status}"
                raise Trouble(ServerRefused(said, status=answer.status), Then.NEVER)
            if self.shares.confirm(claim):
                with self._bringing(answer):
                    self._pour(answer, claim)

    def _pour(self, answer: Answer, claim: Claim) -> None:
        asked = claim.end
        with self._part.strand(claim.first) as strand:
            for chunk in answer.body:
                if self._stopped:
                    return
                self._part.write(strand, chunk[: claim.end - claim.at])
                claim.at = strand.at
                if claim.at >= claim.end < asked:
                    return  # another stream has the rest
        if claim.at < claim.end:
            short = replies.wrong_size(
                f"a range from {answer.host}", claim.at - claim.first, asked - claim.first
            )
            raise Trouble(short, Then.LATER)

    @contextmanager
    def _bringing(self, answer: Answer) -> Iterator[None]:
        with self._changed:
            if self._stopped:
                raise Busy(answer.host)
            self._answers.append(answer)
        try:
            yield
        finally:
            with self._changed:
                self._answers.remove(answer)
                self._changed.notify_all()

    def _size(self) -> int:
        """Bytes of a piece: some seconds of one stream's work."""
        each = self.growth.rate / (1 + len(self._answers))
        return max(PIECE, min(LARGEST, int(each * SECONDS)))

    def _chunk(self) -> int:
        most = self._web.hosts.limit(self._host) if self._host else 1
        return min(1 << 16, IN_FLIGHT // most)

    def _later(self) -> None:
        self.growth.later(self._network.clock(), len(self._helpers))

    def _refused(self, trouble: Trouble) -> None:
        if trouble.then is Then.LATER and trouble.wait is None:
            self._later()
        else:
            self.growth.refused(len(self._helpers))
