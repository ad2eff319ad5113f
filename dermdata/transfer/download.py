"""One file from its addresses to its final name: the loop of tries around pure decisions."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dermdata.disk import require_space
from dermdata.errors import ChecksumMismatch, DermdataError, NetworkError, Offline, PersonMustAct
from dermdata.errors import IntegrityError as Wrong
from dermdata.model import Request
from dermdata.transfer import diagnose, replies
from dermdata.transfer.address import host_of, shown
from dermdata.transfer.answers import peeked, refused, require_plain, require_within
from dermdata.transfer.crew import Crew
from dermdata.transfer.journal import Version
from dermdata.transfer.network import Network, Received
from dermdata.transfer.partial import Partial
from dermdata.transfer.replies import Append, Complete, StartOver, Then, Trouble, Verdict, Whole
from dermdata.transfer.shares import Claim
from dermdata.transfer.spans import ENDLESS
from dermdata.transfer.tries import Tries
from dermdata.transfer.web import Web
from dermdata.transfer.wire import Answer

Progress = Callable[[int], None]
CHANGED = "two downloads gave the same bytes: the source has changed the file"
ALTERED = "the download was altered on its way; nothing was kept"


def key_of(request: Request) -> str:
    """What makes two requests the same, so that one may go on with the other's partial: 16 hex digits."""
    identity = json.dumps([request.checksum, request.size, request.urls])
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


@dataclass
class Download:
    """One request on its way to one target."""

    network: Network
    web: Web
    request: Request
    target: Path
    progress: "Deltas"
    _alone: bool = False  # one stream only: joined bytes were wrong, or ranges are
    _digests: list[str] = field(default_factory=list)  # SHA-256 of whole downloads that were wrong

    def run(self) -> Received:
        """The file under its final name, from the first address that gives it."""
        if self.network.offline:
            raise offline(self.request.urls[0])
        with Partial(self.target, key_of(self.request), self.request.checksum) as part:
            self.progress.show(part.have)
            errors: list[tuple[str, DermdataError]] = []
            for source, url in enumerate(self.request.urls):
                try:
                    return self._from(source, url, part)
                except (NetworkError, Wrong, PersonMustAct) as error:
                    errors.append((url, error))
            raise joined(errors)

    def _from(self, source: int, url: str, part: Partial) -> Received:
        tries = Tries(self.network, part.have, part.restarts)
        self._digests.clear()
        self._alone = False
        while True:
            tries.start()
            try:
                self._attempt(source, url, part)
                return self._finish(url, part)
            except Trouble as trouble:
                if trouble.then in (Then.FRESH, Then.AT_ONCE):
                    self._alone = True
                    self._begin(part, Version())
                tries.spend(trouble, part.have, part.restarts)

    # ------------------------------------------------------------------ one try

    def _attempt(self, source: int, url: str, part: Partial) -> None:
        """Ask for what is missing and store it; Trouble when it does not come whole."""
        if self._on_disk(part):
            return
        if part.version.source != source:  # another server's validators mean nothing here
            part.version = Version(source=source, total=part.version.total)
        with Crew(self.web, self.network, self.request, url, part) as crew:
            while claim := crew.claim(lambda: self.progress.show(part.have)):
                try:
                    self._ask(Stream(source, url, part, crew, claim))
                finally:
                    crew.shares.leave(claim)

    def _on_disk(self, part: Partial) -> bool:
        return bool(part.have) and part.have == (self.request.size or part.version.total)

    def _ask(self, stream: "Stream") -> None:
        part, claim = stream.part, stream.claim
        end = claim.end if claim.end < stream.crew.shares.total else None
        checked = self.request.checksum is not None
        headers = replies.range_headers(part.version, claim.first, checked=checked, end=end)
        offset = claim.first if headers else 0
        bounds = (end,) if headers and end else ()
        with self.web.open(self.request, stream.url, headers) as answer:
            require_plain(answer, self.target.name)
            verdict = replies.decide(
                answer.status, answer.headers, part.version, offset, self.request.size, *bounds
            )
            self._take(answer, verdict, stream)

    def _take(self, answer: Answer, verdict: Verdict | None, stream: "Stream") -> None:
        part, crew, claim = stream.part, stream.crew, stream.claim
        match verdict:
            case Whole(total=total):
                self._whole(answer, total, stream)
            case Append(total=total):
                part.version.total = total
                crew.shares.learn(claim, total)
                if crew.shares.confirm(claim):
                    self._receive(answer, answer.body, stream)
            case Complete():
                part.version.total = part.have
                crew.shares.learn(claim, part.have)
            case StartOver(why=why):
                raise Trouble(NetworkError(f"{answer.host}: {why}"), Then.AT_ONCE)
            case None:
                raise refused(answer, self.network)

    def _whole(self, answer: Answer, total: int | None, stream: "Stream") -> None:
        start, body = peeked(answer)
        page = diagnose.misdelivery(
            start,
            name=self.target.name,
            where=answer.host,
            archive=self.request.archive,
            content_type=answer.headers.get("content-type", ""),
        )
        if page:
            raise Trouble(page, Then.NEVER)
        if total is not None and total != (self.request.size or total):
            wrong = replies.wrong_size(shown(answer.hop.meant), total, self.request.size or 0)
            raise Trouble(wrong, Then.FRESH)
        stream.crew.dissolve()  # what others bring is of another version, or there are no ranges
        require_space(self.target.parent, (total or self.request.size or 0) - stream.part.have)
        etag, modified = answer.headers.get("etag"), answer.headers.get("last-modified")
        size = total or self.request.size
        self._begin(stream.part, Version(source=stream.source, etag=etag, modified=modified, total=size))
        stream.crew.shares.restart(stream.claim, size)
        self._receive(answer, body, stream)

    def _receive(self, answer: Answer, body: Iterator[bytes], stream: "Stream") -> None:
        part, claim, asked = stream.part, stream.claim, stream.claim.end
        if not self._alone:
            stream.crew.allow(answer)
        try:
            self._pour(answer, body, stream)
        except Trouble as trouble:
            if trouble.then is Then.FRESH or not self._whole_after_all(part):
                raise
        if claim.end == ENDLESS:
            stream.crew.shares.learn(claim, claim.at)
        if claim.at < claim.end:
            raise Trouble(replies.wrong_size(shown(answer.hop.meant), claim.at, asked), Then.LATER)

    def _pour(self, answer: Answer, body: Iterator[bytes], stream: "Stream") -> None:
        part, claim, asked = stream.part, stream.claim, stream.claim.end
        waited, clock = 0.0, self.network.clock
        with part.strand(claim.first) as strand:
            before = clock()
            for chunk in body:
                waited += clock() - before
                if claim.end == asked:
                    require_within(claim.at + len(chunk), claim.end, answer)
                part.write(strand, chunk[: claim.end - claim.at])
                claim.at = strand.at
                self.progress.show(part.have)
                if claim.at >= claim.end < asked:
                    return  # another stream has the rest
                stream.crew.look(waited)
                before = clock()

    def _whole_after_all(self, part: Partial) -> bool:
        """Whether a body that broke had in fact all its bytes: the checksum knows, or the size."""
        if self.request.checksum:
            return part.hasher.matches(self.request.checksum)
        return self._on_disk(part)

    # ------------------------------------------------------------------ the end

    def _finish(self, url: str, part: Partial) -> Received:
        self.progress.show(part.have)  # what another stream brought last
        if self.request.size is not None and part.have != self.request.size:
            raise Trouble(replies.wrong_size(shown(url), part.have, self.request.size), Then.FRESH)
        if self.request.checksum:
            self._require(self.request.checksum, url, part)
        part.finish()
        return Received(
            path=self.target,
            size=part.have,
            sha256=part.hasher.sha256,
            url=shown(url),
            verified=self.request.checksum is not None,
            resumed_from=part.resumed_from,
        )

    def _require(self, checksum: str, url: str, part: Partial) -> None:
        try:
            part.hasher.require(checksum, shown(url))
        except ChecksumMismatch as error:
            self._digests.append(part.hasher.sha256)
            same = len(self._digests) > 1 and len(set(self._digests)) == 1
            error.hint = CHANGED if same else ALTERED
            raise Trouble(error, Then.FRESH) from error

    def _begin(self, part: Partial, version: Version) -> None:
        part.begin(version)
        self.progress.show(part.have)


class Deltas:
    """Tells of a growing file by how much it grew, or shrank when it began anew."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._shown = 0

    def show(self, have: int) -> None:
        """Tell that there are so many bytes now."""
        if have != self._shown:
            self._progress(have - self._shown)
            self._shown = have


@dataclass(frozen=True)
class Stream:
    """What the first stream of a try is about to bring, and where to."""

    source: int
    url: str
    part: Partial
    crew: Crew
    claim: Claim


def offline(url: str) -> Offline:
    return Offline(f"{host_of(url)} is needed, but --offline is set", hint="run again without --offline")


def joined(errors: list[tuple[str, DermdataError]]) -> DermdataError:
    """The last error; when there were several addresses it names what each of them did."""
    last = errors[-1][1]
    if len(errors) > 1:
        others = "; ".join(f"{shown(url)}: {error.message}" for url, error in errors[:-1])
        last.message = f"{last.message} (before that, {others})"
        last.args = (last.message,)
    return last
