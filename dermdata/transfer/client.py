"""What the other rooms ask for: a file, a range of one, a small answer."""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx

from dermdata.errors import IntegrityError, NotTheFile, ServerRefused, SourceChanged
from dermdata.model import NOTHING, Request
from dermdata.transfer import diagnose, replies
from dermdata.transfer.address import host_of, shown
from dermdata.transfer.answers import peeked, refused
from dermdata.transfer.download import Deltas, Download, Progress, offline
from dermdata.transfer.network import Head, Network, Received
from dermdata.transfer.replies import Then, Trouble
from dermdata.transfer.tries import Tries
from dermdata.transfer.web import Web
from dermdata.transfer.wire import Answer

LIMIT = 64 << 20  # bytes of a small answer
DEEPEST = 100  # levels of an answer's JSON

T = TypeVar("T")


class Transfer:
    """Moves bytes over HTTP; use as a context manager, from as many threads as you like.

    `transport`: what answers in place of the network, for example an `httpx.MockTransport`.
    """

    def __init__(self, network: Network, transport: httpx.BaseTransport | None = None) -> None:
        self.network = network
        self._web = Web(network, transport)

    def __enter__(self) -> "Transfer":
        return self

    def __exit__(self, *_: object) -> None:
        self._web.close()

    # ------------------------------------------------------------------ what is asked for

    def download(self, request: Request, target: Path, progress: Progress = lambda _: None) -> Received:
        """Store a file under its final name, resumed and retried as need be, verified if it can be.

        `progress` gets byte deltas, negative when the file starts over; they add up to the file's size.
        NetworkError, IntegrityError, StorageError or PersonMustAct; the target is then as before.
        """
        return Download(self.network, self._web, request, target, Deltas(progress)).run()

    def read_range(self, request: Request, start: int, length: int, version: Head | None = None) -> bytes:
        """Exactly `length` bytes from `start` on; IntegrityError or ServerRefused when the server differs.

        Of this `version` of the file, if one is given: SourceChanged when the server has another one by now.
        """
        headers = {"Range": f"bytes={start}-{start + length - 1}"}
        if version and (validator := replies.strong(version.etag) or version.modified):
            headers["If-Range"] = validator
        expected = version or Head(size=request.size)
        return self._from_any(
            request, headers, lambda answer: _exact(answer, start, length, expected, same=version is not None)
        )

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
                with self._web.open(request, url, extra) as answer:
                    if answer.status not in (200, 206):
                        raise _refused(answer, extra, self.network)
                    return read(answer)
            except Trouble as trouble:
                tries.spend(trouble)


def _refused(answer: Answer, asked: Mapping[str, str], network: Network) -> Trouble:
    if answer.status == 412 and "If-Range" in asked:
        return Trouble(_another_version(answer), Then.NEVER)
    return refused(answer, network)


def _another_version(answer: Answer) -> SourceChanged:
    return SourceChanged(
        f"{shown(answer.hop.meant)} has changed while it was read in parts",
        hint="nothing of the two versions was mixed; run the same command again",
    )


def _is_another(answer: Answer, version: Head, size: str | None) -> bool:
    """Whether an answer is of another version of a file: other validators, or another size."""
    other_size = version.size is not None and size is not None and size != str(version.size)
    return other_size or replies.changed(version, answer.headers)


def _exact(answer: Answer, start: int, length: int, version: Head, *, same: bool) -> bytes:
    """A 206 with just these bytes, or Trouble; `same`: its validators must be those of the version."""
    if answer.status == 200:
        begun, _ = peeked(answer)
        page = diagnose.explained(begun, answer.host) if diagnose.page_kind(begun) else None
        whole = ServerRefused(f"{answer.host} ignores ranges", status=200, hint="fetch the whole file")
        other = same and _is_another(answer, version, answer.headers.get("content-length"))
        raise Trouble(page or (_another_version(answer) if other else whole), Then.NEVER)
    span = replies.parse_content_range(answer.headers.get("content-range"))
    if span and same and _is_another(answer, version, str(span[2])):
        raise Trouble(_another_version(answer), Then.NEVER)
    if span is None or span[:2] != (start, start + length - 1) or span[2] != (version.size or span[2]):
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
