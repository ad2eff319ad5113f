"""One file from its addresses to its final name: the loop of attempts around pure decisions."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dermdata.disk import require_space
from dermdata.errors import (
    ChecksumMismatch,
    DermdataError,
    IntegrityError,
    NetworkError,
    Offline,
    PersonMustAct,
)
from dermdata.http import error_pages, responses
from dermdata.http.partial_file import ENDLESS, PartialFile
from dermdata.http.policy import NetworkSettings, RetryAction, RetryBudget, TransferFault
from dermdata.http.ranges import RangeLease, RangeWorkers
from dermdata.http.redirects import RedirectingClient
from dermdata.http.responses import (
    AlreadyComplete,
    CannotResume,
    FileVersion,
    FullBody,
    RangeBody,
    StreamedResponse,
    Verdict,
    explain_refusal,
    peek_body,
    require_unencoded,
    require_within_size,
)
from dermdata.http.urls import get_host, hide_secrets, redact, strip_secrets
from dermdata.model import Request

ProgressCallback = Callable[[int], None]
SOURCE_CHANGED_HINT = "two downloads gave the same bytes: the source has changed the file"
ALTERED_HINT = "the download was altered on its way; nothing was kept"


@dataclass(frozen=True, kw_only=True)
class DownloadedFile:
    """A file that lies whole under its final name."""

    path: Path
    size: int  # bytes
    sha256: str  # hex
    url: str  # the catalog's address it came from, without secrets
    verified: bool  # a checksum was given and matched
    resumed_from: int = 0  # bytes that an earlier run had left


def request_key(request: Request) -> str:
    """Return what makes two requests the same, so that one may resume the other's partial file.

    Returns
    -------
    str
        16 hex digits of checksum, size and addresses.

    """
    identity = json.dumps([request.checksum, request.size, request.urls])
    return hashlib.sha256(identity.encode()).hexdigest()[:16]


@dataclass
class Download:
    """One request on its way to one target."""

    settings: NetworkSettings
    client: RedirectingClient
    request: Request
    target: Path
    progress: "ProgressDeltas"
    _alone: bool = False  # one stream only: joined bytes or ranges were wrong
    _digests: list[str] = field(default_factory=list)  # SHA-256 of whole downloads that were wrong

    def run(self) -> DownloadedFile:
        """Store the file under its final name, from the first address that gives it."""
        if self.settings.offline:
            raise offline_error(self.request.urls[0])
        with PartialFile(self.target, request_key(self.request), self.request.checksum) as part:
            self.progress.report(part.received)
            errors: list[tuple[str, DermdataError]] = []
            for source, url in enumerate(self.request.urls):
                try:
                    return self._download_from(source, url, part)
                except (NetworkError, IntegrityError, PersonMustAct) as error:
                    errors.append((url, error))
            raise join_errors(errors)

    def _download_from(self, source: int, url: str, part: PartialFile) -> DownloadedFile:
        budget = RetryBudget(self.settings, part.received, part.restarts)
        self._digests.clear()
        self._alone = False
        while True:
            budget.start_attempt()
            try:
                self._try_once(source, url, part)
                return self._finish(url, part)
            except TransferFault as fault:
                if fault.action in (RetryAction.REDOWNLOAD, RetryAction.RESTART):
                    self._alone = True
                    self._start_over(part, FileVersion())
                budget.spend(fault, part.received, part.restarts)

    # ------------------------------------------------------------------ one attempt

    def _try_once(self, source: int, url: str, part: PartialFile) -> None:
        """Request what is missing and store it; raise TransferFault when it does not come whole."""
        if self._is_complete(part):
            return
        if part.version.source != source:  # another server's validators mean nothing here
            part.version = FileVersion(source=source, total=part.version.total)
        with RangeWorkers(self.client, self.settings, self.request, url, part) as workers:
            while lease := workers.next_lease(lambda: self.progress.report(part.received)):
                try:
                    self._request(Attempt(source, url, part, workers, lease))
                finally:
                    workers.scheduler.release(lease)

    def _is_complete(self, part: PartialFile) -> bool:
        return bool(part.received) and part.received == (self.request.size or part.version.total)

    def _request(self, attempt: "Attempt") -> None:
        part, lease = attempt.part, attempt.lease
        end = lease.end if lease.end < attempt.workers.scheduler.total else None
        checked = self.request.checksum is not None
        headers = responses.range_headers(part.version, lease.first, checked=checked, end=end)
        offset = lease.first if headers else 0
        bounds = (end,) if headers and end else ()
        with self.client.open(self.request, attempt.url, headers) as response:
            require_unencoded(response, self.target.name)
            verdict = responses.interpret_response(
                response.status, response.headers, part.version, offset, self.request.size, *bounds
            )
            self._act_on(response, verdict, attempt)

    def _act_on(self, response: StreamedResponse, verdict: Verdict | None, attempt: "Attempt") -> None:
        part, workers, lease = attempt.part, attempt.workers, attempt.lease
        match verdict:
            case FullBody(total=total):
                self._receive_full(response, total, attempt)
            case RangeBody(total=total):
                part.version.total = total
                workers.scheduler.set_total(lease, total)
                if workers.scheduler.confirm(lease):
                    self._receive(response, response.body, attempt)
            case AlreadyComplete():
                part.version.total = part.received
                workers.scheduler.set_total(lease, part.received)
            case CannotResume(why=why):
                raise TransferFault(NetworkError(f"{response.host}: {why}"), RetryAction.RESTART)
            case None:
                raise explain_refusal(response, self.settings)

    def _receive_full(self, response: StreamedResponse, total: int | None, attempt: "Attempt") -> None:
        start, body = peek_body(response)
        page = error_pages.find_wrong_content(
            hide_secrets(start, response.secrets),
            name=self.target.name,
            where=get_host(response.hop.official_url),
            archive=self.request.archive,
            headers=response.headers,
            address=response.hop.official_url,
        )
        if page:
            raise TransferFault(page, RetryAction.NEVER)
        if total is not None and total != (self.request.size or total):
            wrong = responses.size_mismatch(redact(response.hop.official_url), total, self.request.size or 0)
            raise TransferFault(wrong, RetryAction.REDOWNLOAD)
        attempt.workers.go_single()  # what others fetch is of another version, or there are no ranges
        require_space(self.target.parent, (total or self.request.size or 0) - attempt.part.received)
        etag, modified = response.headers.get("etag"), response.headers.get("last-modified")
        size = total or self.request.size
        self._start_over(
            attempt.part, FileVersion(source=attempt.source, etag=etag, modified=modified, total=size)
        )
        attempt.workers.scheduler.restart(attempt.lease, size)
        self._receive(response, body, attempt)

    def _receive(self, response: StreamedResponse, body: Iterator[bytes], attempt: "Attempt") -> None:
        part, lease, asked = attempt.part, attempt.lease, attempt.lease.end
        if not (self._alone or self.request.confirms):  # each stream would be asked to confirm, and counts
            attempt.workers.allow_workers(response)
        try:
            self._write_body(response, body, attempt)
        except TransferFault as fault:
            if fault.action is RetryAction.REDOWNLOAD or not self._is_complete_after_all(part):
                raise
        if lease.end == ENDLESS:
            attempt.workers.scheduler.set_total(lease, lease.position)
        if lease.position < lease.end:
            raise TransferFault(
                responses.size_mismatch(redact(response.hop.official_url), lease.position, asked),
                RetryAction.LATER,
            )

    def _write_body(self, response: StreamedResponse, body: Iterator[bytes], attempt: "Attempt") -> None:
        part, lease, asked = attempt.part, attempt.lease, attempt.lease.end
        waited, clock = 0.0, self.settings.clock
        with part.open_cursor(lease.first) as cursor:
            before = clock()
            for chunk in body:
                waited += clock() - before
                if lease.end == asked:
                    require_within_size(lease.position + len(chunk), lease.end, response)
                part.write(cursor, chunk[: lease.end - lease.position])
                lease.position = cursor.position
                self.progress.report(part.received)
                if lease.position >= lease.end < asked:
                    return  # another stream has the rest
                attempt.workers.adjust(waited)
                before = clock()

    def _is_complete_after_all(self, part: PartialFile) -> bool:
        """Tell whether a body that broke had in fact all its bytes: the checksum shows it, or the size."""
        if self.request.checksum:
            return part.hasher.matches(self.request.checksum)
        return self._is_complete(part)

    # ------------------------------------------------------------------ the end

    def _finish(self, url: str, part: PartialFile) -> DownloadedFile:
        self.progress.report(part.received)  # what another stream brought last
        if self.request.size is not None and part.received != self.request.size:
            raise TransferFault(
                responses.size_mismatch(redact(url), part.received, self.request.size), RetryAction.REDOWNLOAD
            )
        if self.request.checksum:
            self._require_checksum(self.request.checksum, url, part)
        sha256 = part.hasher.sha256
        part.finish()
        return DownloadedFile(
            path=self.target,
            size=part.received,
            sha256=sha256,
            url=strip_secrets(url),
            verified=self.request.checksum is not None,
            resumed_from=part.resumed_from,
        )

    def _require_checksum(self, checksum: str, url: str, part: PartialFile) -> None:
        try:
            part.hasher.require(checksum, redact(url))
        except ChecksumMismatch as error:
            self._digests.append(part.hasher.sha256)
            same = len(self._digests) > 1 and len(set(self._digests)) == 1
            error.hint = SOURCE_CHANGED_HINT if same else ALTERED_HINT
            raise TransferFault(error, RetryAction.REDOWNLOAD) from error

    def _start_over(self, part: PartialFile, version: FileVersion) -> None:
        part.start_over(version)
        self.progress.report(part.received)


class ProgressDeltas:
    """Reports a growing file by how much it grew, or shrank when it began anew."""

    def __init__(self, progress: ProgressCallback) -> None:
        self._progress = progress
        self._reported = 0

    def report(self, received: int) -> None:
        """Report that there are so many bytes now."""
        if received != self._reported:
            self._progress(received - self._reported)
            self._reported = received


@dataclass(frozen=True)
class Attempt:
    """What the first stream requests next, and where its bytes go."""

    source: int
    url: str
    part: PartialFile
    workers: RangeWorkers
    lease: RangeLease


def offline_error(url: str) -> Offline:
    """Return the error that names the host which --offline keeps from being asked."""
    return Offline(f"{get_host(url)} is needed, but --offline is set", hint="run again without --offline")


def join_errors(errors: list[tuple[str, DermdataError]]) -> DermdataError:
    """Return the last error; with several addresses it says what each of them did, once where hosts did the same."""
    *before, (url, last) = errors
    words = last.message.removeprefix(get_host(url))
    alike, others = dict[str, None](), dict[str, None]()
    for one, error in before:
        host = get_host(one)
        if not error.message.startswith(host):
            others[f"{redact(one)}: {error.message}"] = None
        elif error.message.removeprefix(host) != words:
            others[error.message] = None
        elif host != get_host(url):
            alike[host] = None
    if alike:
        last.message = f"{get_host(url)} (as {', '.join(alike)} before){words}"
    if others:
        last.message = f"{last.message} (before that, {'; '.join(others)})"
    last.args = (last.message,)
    return last
