"""What the other rooms ask for: a file, a range of one, a small answer."""

import base64
import binascii
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from dermdata.errors import BadRedirect, IntegrityError, NotTheFile, ServerRefused
from dermdata.model import NOTHING, Request
from dermdata.transfer import diagnose, replies
from dermdata.transfer.address import Hop, first_hop, headers_for, host_of, next_hop, sends_secrets, shown
from dermdata.transfer.download import Download, Progress, offline, peeked, refused
from dermdata.transfer.hosts import Hosts
from dermdata.transfer.network import Head, Network, Received
from dermdata.transfer.replies import REDIRECTS, Then, Trouble
from dermdata.transfer.tries import Tries
from dermdata.transfer.wire import Answer, Wire, tls_context

LIMIT = 64 << 20  # bytes of a small answer
DEEPEST = 100  # levels of an answer's JSON

T = TypeVar("T")


class Transfer:
    """Moves bytes over HTTP; use as a context manager, from as many threads as you like."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._hosts = Hosts(network)
        self._threads = threading.local()
        self._lock = threading.Lock()
        self._wires: list[Wire] = []
        self._tls = tls_context(network)

    def __enter__(self) -> "Transfer":
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            for wire in self._wires:
                wire.close()
            self._wires.clear()

    # ------------------------------------------------------------------ what is asked for

    def download(self, request: Request, target: Path, progress: Progress = lambda _: None) -> Received:
        """Store a file under its final name, resumed and retried as need be, verified if it can be.

        `progress` gets byte deltas, negative when the file starts over; they add up to the file's size.
        NetworkError, IntegrityError, StorageError or PersonMustAct; the target is then as before.
        """
        return Download(self.network, self._open, request, target, progress).run()

    def read_range(self, request: Request, start: int, length: int) -> bytes:
        """Exactly `length` bytes from `start` on; IntegrityError or ServerRefused when the server differs."""
        headers = {"Range": f"bytes={start}-{start + length - 1}"}
        return self._from_any(request, headers, lambda answer: _exact(answer, start, length, request.size))

    def get_bytes(
        self,
        url: str,
        *,
        headers: Mapping[str, str] = NOTHING,
        secrets: Mapping[str, str] = NOTHING,
        limit: int = LIMIT,
    ) -> bytes:
        """A small answer's body; IntegrityError when it is longer than `limit` bytes."""
        request = Request(urls=(url,), headers=headers, secrets=secrets)
        return self._from_any(request, {}, lambda answer: _all(answer, limit))

    def get_json(
        self,
        url: str,
        *,
        headers: Mapping[str, str] = NOTHING,
        secrets: Mapping[str, str] = NOTHING,
        limit: int = LIMIT,
    ) -> Any:
        """A service's JSON answer; NotTheFile when it is something else or nested without end."""
        data = self.get_bytes(url, headers=headers, secrets=secrets, limit=limit)
        try:
            value = json.loads(data)
            _require_shallow(value)
        except (ValueError, RecursionError) as error:
            where = host_of(url)
            said = diagnose.explained(data[: diagnose.PEEK], where)
            raise said or NotTheFile(f"{shown(url)} is no JSON that can be read") from error
        return value

    def resolve_head(self, request: Request) -> Head:
        """Size and validators without the file; by GET of one byte, since signed links refuse HEAD."""
        return self._from_any(request, {"Range": "bytes=0-0"}, _head)

    # ------------------------------------------------------------------ how it is asked for

    def _from_any(self, request: Request, extra: Mapping[str, str], read: Callable[[Answer], T]) -> T:
        """What `read` makes of the first address's answer; the others are asked when that one fails."""
        if self.network.offline:
            raise offline(request.urls[0])
        for url in request.urls[:-1]:
            try:
                return self._with_retries(request, url, extra, read)
            except (ServerRefused, IntegrityError):
                continue
        return self._with_retries(request, request.urls[-1], extra, read)

    def _with_retries(
        self, request: Request, url: str, extra: Mapping[str, str], read: Callable[[Answer], T]
    ) -> T:
        tries = Tries(self.network)
        while True:
            try:
                with self._open(request, url, extra) as answer:
                    if answer.status not in (200, 206):
                        raise refused(answer, self.network)
                    return read(answer)
            except Trouble as trouble:
                tries.spend(trouble)

    @contextmanager
    def _open(self, request: Request, url: str, extra: Mapping[str, str]) -> Iterator[Answer]:
        """Ask an address and follow its redirects by our own rules; Trouble when that fails."""
        original = hop = first_hop(self.network, url)
        for count in range(self.network.redirects + 1):
            headers = headers_for(request, original, hop, extra)
            host = host_of(hop.asked)
            with self._hosts.turn(host), self._wire().ask(hop, headers) as answer:
                self._hosts.learn(host, answer.headers)
                location = answer.headers.get("location")
                if answer.status not in REDIRECTS or not location:
                    secret = bool(request.secrets) and sends_secrets(original, hop)
                    yield self._noted(replace(answer, redirected=count > 0, secret=secret))
                    return
                answer.drain()
                hop = self._redirected(hop, location, answer)
        raise Trouble(BadRedirect(f"{shown(url)} redirects more than {count} times"), Then.NEVER)

    def _redirected(self, hop: Hop, location: str, answer: Answer) -> Hop:
        try:
            return next_hop(self.network, hop, location, answer.peer)
        except BadRedirect as error:
            raise Trouble(error, Then.NEVER) from error

    def _noted(self, answer: Answer) -> Answer:
        """The answer, after its wish that this host be left alone for a while is kept."""
        if answer.status in replies.TRANSIENT:
            wait = replies.parse_retry_after(answer.headers.get("retry-after"), self.network.wall_clock())
            if wait and wait <= self.network.retry_after_limit:
                self._hosts.pause(answer.host, wait)
        return answer

    def _wire(self) -> Wire:
        if not hasattr(self._threads, "wire"):
            self._threads.wire = Wire(self.network, self._tls)
            with self._lock:
                self._wires.append(self._threads.wire)
        wire: Wire = self._threads.wire
        return wire


def _exact(answer: Answer, start: int, length: int, size: int | None) -> bytes:
    """A 206 with just these bytes, or Trouble."""
    if answer.status == 200:
        begun, _ = peeked(answer)
        page = diagnose.explained(begun, answer.host) if diagnose.page_kind(begun) else None
        whole = ServerRefused(f"{answer.host} ignores ranges", status=200, hint="fetch the whole file")
        raise Trouble(page or whole, Then.NEVER)
    span = replies.parse_content_range(answer.headers.get("content-range"))
    if span is None or span[:2] != (start, start + length - 1) or span[2] != (size or span[2]):
        raise Trouble(IntegrityError(f"{answer.host} sends another range than asked for"), Then.NEVER)
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise Trouble(IntegrityError(f"{answer.host} sends an encoded range"), Then.NEVER)
    data = _all(answer, length)
    if len(data) != length:
        wrong = replies.wrong_size(f"a range of {shown(answer.hop.meant)}", len(data), length)
        raise Trouble(wrong, Then.LATER)
    return data


def _all(answer: Answer, limit: int) -> bytes:
    parts, size = [], 0
    for part in answer.body:
        parts.append(part)
        if (size := size + len(part)) > limit:
            where = shown(answer.hop.meant)
            raise Trouble(IntegrityError(f"{where} sends more than the limit of {limit:,} bytes"), Then.NEVER)
    return b"".join(parts)


def _require_shallow(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST):
        if not level:
            return
        level = [
            child
            for part in level
            if isinstance(part, dict | list)
            for child in (part.values() if isinstance(part, dict) else part)
        ]
    raise ValueError(f"more than {DEEPEST} levels")


def _head(answer: Answer) -> Head:
    span = replies.parse_content_range(answer.headers.get("content-range"))
    length = answer.headers.get("content-length", "")
    plain = int(length) if answer.status == 200 and length.isdecimal() else None
    return Head(
        size=span[2] if span else plain,
        etag=answer.headers.get("etag"),
        modified=answer.headers.get("last-modified"),
        checksum=google_md5(answer.headers.get("x-goog-hash", "")),
    )


def google_md5(text: str) -> str | None:
    """`crc32c=…,md5=<base64>` as `md5:<hex>`."""
    for part in text.split(","):
        name, _, value = part.strip().partition("=")
        if name == "md5":
            try:
                return f"md5:{base64.b64decode(value, validate=True).hex()}"
            except binascii.Error:
                return None
    return None
