"""One file from its addresses to its final name: the loop of tries around pure decisions."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from dermdata.disk import require_space
from dermdata.errors import ChecksumMismatch, DermdataError, NetworkError, Offline, PersonMustAct
from dermdata.errors import IntegrityError as Wrong
from dermdata.model import Request
from dermdata.transfer import diagnose, replies
from dermdata.transfer.address import host_of, shown
from dermdata.transfer.journal import Version
from dermdata.transfer.network import Network, Received
from dermdata.transfer.partial import Partial
from dermdata.transfer.replies import Append, Complete, StartOver, Then, Trouble, Whole
from dermdata.transfer.tries import Tries
from dermdata.transfer.wire import Answer

Open = Callable[[Request, str, Mapping[str, str]], AbstractContextManager[Answer]]
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
    open: Open
    request: Request
    target: Path
    progress: Progress
    _shown: int = 0  # bytes that progress was told of
    _digests: list[str] = field(default_factory=list)  # SHA-256 of whole downloads that were wrong

    def run(self) -> Received:
        """The file under its final name, from the first address that gives it."""
        if self.network.offline:
            raise offline(self.request.urls[0])
        with Partial(self.target, key_of(self.request), self.request.checksum) as part:
            self._tell(part)
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
        while True:
            tries.start()
            try:
                self._attempt(source, url, part)
                return self._finish(url, part)
            except Trouble as trouble:
                if trouble.then in (Then.FRESH, Then.AT_ONCE):
                    self._begin(part, Version())
                tries.spend(trouble, part.have, part.restarts)

    # ------------------------------------------------------------------ one try

    def _attempt(self, source: int, url: str, part: Partial) -> None:
        """Ask once for what is missing and store it; Trouble when it does not come whole."""
        if self._on_disk(part):
            return
        if part.version.source != source:  # another server's validators mean nothing here
            part.version = Version(source=source, total=part.version.total)
        checked = self.request.checksum is not None
        headers = replies.range_headers(part.version, part.have, checked=checked)
        offset = part.have if headers else 0
        with self.open(self.request, url, headers) as answer:
            self._take(answer, source, offset, part)

    def _on_disk(self, part: Partial) -> bool:
        return bool(part.have) and part.have == (self.request.size or part.version.total)

    def _take(self, answer: Answer, source: int, offset: int, part: Partial) -> None:
        self._require_plain(answer)
        match replies.decide(answer.status, answer.headers, part.version, offset, self.request.size):
            case Whole(total=total):
                self._whole(answer, source, total, part)
            case Append(total=total):
                part.version.total = total
                self._receive(answer, answer.body, part)
            case Complete():
                part.version.total = part.have
            case StartOver(why=why):
                raise Trouble(NetworkError(f"{answer.host}: {why}"), Then.AT_ONCE)
            case None:
                raise refused(answer, self.network)

    def _require_plain(self, answer: Answer) -> None:
        encoding = answer.headers.get("content-encoding", "identity").lower()
        if answer.status in (200, 206) and encoding != "identity":
            said = f"{answer.host} sends {self.target.name} with Content-Encoding {shown(encoding)}, unasked"
            raise Trouble(Wrong(said, hint="the stored bytes would not be the file's own"), Then.NEVER)

    def _whole(self, answer: Answer, source: int, total: int | None, part: Partial) -> None:
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
        require_space(self.target.parent, (total or self.request.size or 0) - part.have)
        etag, modified = answer.headers.get("etag"), answer.headers.get("last-modified")
        size = total or self.request.size
        self._begin(part, Version(source=source, etag=etag, modified=modified, total=size))
        self._receive(answer, body, part)

    def _receive(self, answer: Answer, body: Iterator[bytes], part: Partial) -> None:
        total = self.request.size or part.version.total
        try:
            for chunk in body:
                require_within(part.have + len(chunk), total, answer)
                part.write(chunk)
                self._tell(part)
        except Trouble as trouble:
            if trouble.then is Then.FRESH or not self._whole_after_all(part):
                raise
        if total is not None and part.have < total:
            raise Trouble(replies.wrong_size(shown(answer.hop.meant), part.have, total), Then.LATER)

    def _whole_after_all(self, part: Partial) -> bool:
        """Whether a body that broke had in fact all its bytes: the checksum knows, or the size."""
        if self.request.checksum:
            return part.hasher.matches(self.request.checksum)
        return self._on_disk(part)

    # ------------------------------------------------------------------ the end

    def _finish(self, url: str, part: Partial) -> Received:
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
        self._tell(part)

    def _tell(self, part: Partial) -> None:
        if part.have != self._shown:
            self.progress(part.have - self._shown)
            self._shown = part.have


def require_within(have: int, total: int | None, answer: Answer) -> None:
    """Trouble when a body runs over the file's end."""
    if total is not None and have > total:
        raise Trouble(replies.wrong_size(shown(answer.hop.meant), have, total), Then.FRESH)


def peeked(answer: Answer) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes of a body (PEEK, if it has as many), and the body with them in it."""
    taken: list[bytes] = []
    broke: list[Trouble] = []
    try:
        while sum(map(len, taken)) < diagnose.PEEK and (part := next(answer.body, b"")):
            taken.append(part)
    except Trouble as trouble:
        if not taken:
            raise
        broke.append(trouble)

    def again() -> Iterator[bytes]:
        yield from taken
        if broke:
            raise broke[0]
        yield from answer.body

    return b"".join(taken)[: diagnose.PEEK], again()


def refused(answer: Answer, network: Network) -> Trouble:
    """A status that is not the file; its body may say what the person must do."""
    trouble = replies.refusal(
        answer.status,
        answer.headers,
        answer.host,
        network,
        secret=answer.secret,
        redirected=answer.redirected,
    )
    if answer.status in (400, 401, 403) and not answer.redirected:
        said = diagnose.explained(answer.some(), answer.host)
        return Trouble(said, Then.NEVER) if said else trouble
    return trouble


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
