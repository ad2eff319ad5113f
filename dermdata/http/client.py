"""What the other rooms call: a file, a range of one, a small response, the size of a remote file."""

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from dermdata.credentials import FoundCredentials
from dermdata.errors import (
    BadRedirect,
    DermdataError,
    HostRefused,
    IntegrityError,
    NetworkError,
    NotTheFile,
    PersonMustAct,
    ServerRefused,
    SourceChanged,
)
from dermdata.http import error_pages, responses
from dermdata.http.download import Download, DownloadedFile, ProgressCallback, ProgressDeltas, offline_error
from dermdata.http.policy import NetworkSettings, RetryAction, RetryBudget, TransferFault
from dermdata.http.redirects import RedirectingClient
from dermdata.http.request_rates import RequestRates
from dermdata.http.responses import StreamedResponse, explain_refusal, peek_body
from dermdata.http.urls import follow_hop, get_host, get_origin, hide_secrets, redact
from dermdata.markup import count_nouns
from dermdata.model import NOTHING, Request

BODY_LIMIT = 64 << 20  # bytes of a small response
DEEPEST_LEVEL = 100  # levels of a JSON response

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """What a server says of a file before it is downloaded; None where it is silent."""

    size: int | None = None
    etag: str | None = None
    modified: str | None = None
    checksum: str | None = None  # `md5:…` of `x-goog-hash`


class HttpClient:
    """Moves bytes over HTTP; a context manager, for as many threads as you like.

    Parameters
    ----------
    settings
        What this run may do with the network.
    transport
        What responds in place of the network, for example an `httpx.MockTransport`.
    rates
        How often each host may be asked, and was; clients that share it keep the limits together.
    tokens
        Credentials by service, for hosts that want none and let themselves be asked more often with one.

    Examples
    --------
    >>> with HttpClient(NetworkSettings()) as client:  # doctest: +SKIP
    ...     client.download(Request(urls=("https://example.org/a.zip",)), Path("a.zip"))

    """

    def __init__(
        self,
        settings: NetworkSettings,
        transport: httpx.BaseTransport | None = None,
        rates: RequestRates | None = None,
        tokens: Mapping[str, FoundCredentials] | None = None,
    ) -> None:
        self.settings = settings
        self._client = RedirectingClient(settings, transport, rates, tokens)

    def __enter__(self) -> "HttpClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def leave_silent_hosts(self) -> AbstractContextManager[None]:
        """While the block runs, hosts that answer none of several addresses are asked for no others."""
        return self._client.silence.switch_on()

    # ------------------------------------------------------------------ what callers want

    def download(
        self, request: Request, target: Path, progress: ProgressCallback = lambda _: None
    ) -> DownloadedFile:
        """Store a file under its final name, resumed and retried as need be, verified if it can be.

        Parameters
        ----------
        request
            Addresses in order, headers, secrets, and what is known of the file: size, checksum, kind of archive.
        target
            The final name; the bytes lie in a hidden file beside it until they are whole.
        progress
            Gets deltas in bytes, negative when the file starts over; they add up to the file's size.

        Returns
        -------
        DownloadedFile
            Size, SHA-256, the address it came from, and whether a checksum was there to match.

        Raises
        ------
        NetworkError, IntegrityError, StorageError, PersonMustAct
            The target is then as it was before.

        """
        return Download(self.settings, self._client, request, target, ProgressDeltas(progress)).run()

    def read_range(
        self, request: Request, start: int, length: int, version: RemoteFile | None = None
    ) -> bytes:
        """Return exactly `length` bytes of a file from byte `start` on.

        Parameters
        ----------
        request
            The file's addresses; its size, if it is known, must be that of the response.
        start, length
            Which bytes.
        version
            The version that they must be of.

        Raises
        ------
        ServerRefused
            If the server ignores ranges, or refuses.
        SourceChanged
            If the server has another version by now.
        IntegrityError
            If the bytes are others than were requested.

        """
        headers = {"Range": f"bytes={start}-{start + length - 1}"}
        if version and (validator := responses.strong_etag(version.etag) or version.modified):
            headers["If-Range"] = validator
        expected = version or RemoteFile(size=request.size)
        return self._try_each_url(
            request,
            headers,
            lambda response: _read_exact(response, start, length, expected, same=version is not None),
        )

    def get_bytes(
        self,
        url: str,
        *,
        headers: Mapping[str, str] = NOTHING,
        secrets: Mapping[str, str] = NOTHING,
        limit: int = BODY_LIMIT,
    ) -> bytes:
        """Return the body of a small response.

        Raises
        ------
        IntegrityError
            If it is longer than `limit` bytes.
        HostRefused
            If it is nothing, or what a host sends to whom it refuses.

        """
        request = Request(urls=(url,), headers=headers, secrets=secrets)
        return self._try_each_url(request, {}, lambda response: _read_small(response, limit))

    def get_json(
        self,
        url: str,
        *,
        headers: Mapping[str, str] = NOTHING,
        secrets: Mapping[str, str] = NOTHING,
        limit: int = BODY_LIMIT,
    ) -> Any:
        """Return the value of a service's JSON response.

        Raises
        ------
        NotTheFile
            If it is something else, or nested without end.
        HostRefused
            If it is nothing, or a page; where that says what the person must do, so does the error.

        """
        request = Request(urls=(url,), headers=headers, secrets=secrets)
        return self._try_each_url(request, {}, lambda response: _read_json(response, limit))

    def get_json_page(self, url: str, *, secrets: Mapping[str, str] = NOTHING) -> tuple[Any, str | None]:
        """Return the value of one page of a JSON list, and the address of the next (`Link`, RFC 8288) if there is one.

        Raises
        ------
        NotTheFile
            If it is something else than JSON, or nested without end.
        BadRedirect
            If the next page is elsewhere than this one.

        """
        return self._try_each_url(
            Request(urls=(url,), secrets=secrets),
            {},
            lambda response: (_read_json(response, BODY_LIMIT), _find_next_page(self.settings, response)),
        )

    def resolve_head(self, request: Request) -> RemoteFile:
        """Return size and validators of a file without its bytes: by GET of one byte, since signed links refuse HEAD."""
        return self._try_each_url(request, {"Range": "bytes=0-0"}, _to_remote_file)

    def inspect_file(self, request: Request, name: str) -> RemoteFile:
        """Return what `resolve_head` does of the file `name`; HostRefused or NotTheFile for a page in its place."""
        return self._try_each_url(
            request, {"Range": "bytes=0-0"}, lambda response: _inspect_response(response, request, name)
        )

    # ------------------------------------------------------------------ how it is requested

    def _try_each_url(
        self, request: Request, extra: Mapping[str, str], read: Callable[[StreamedResponse], T]
    ) -> T:
        """Return what `read` makes of the first address's response; the others are requested when that one fails."""
        if self.settings.offline:
            raise offline_error(request.urls[0])
        for url in request.urls[:-1]:
            try:
                return self._request_with_retries(request, url, extra, read)
            except (NetworkError, IntegrityError, PersonMustAct):
                continue
        return self._request_with_retries(request, request.urls[-1], extra, read)

    def _request_with_retries(
        self, request: Request, url: str, extra: Mapping[str, str], read: Callable[[StreamedResponse], T]
    ) -> T:
        budget = RetryBudget(self.settings)
        while True:
            try:
                with self._client.open(request, url, extra) as response:
                    if response.status not in (200, 206):
                        raise _explain_range_refusal(response, extra, self.settings)
                    return read(response)
            except TransferFault as fault:
                budget.spend(fault)


def _find_next_page(settings: NetworkSettings, response: StreamedResponse) -> str | None:
    """Return the official address of the next page, which must be at the same host: it gets the same secrets."""
    match = re.search(r'<([^<>]*)>\s*;[^<]*\brel="?next\b', response.headers.get("link", ""))
    if match is None:
        return None
    try:
        following = follow_hop(settings, response.hop, match[1], response.peer).official_url
    except BadRedirect as error:
        raise TransferFault(error, RetryAction.NEVER) from error
    if get_origin(following) != get_origin(response.hop.official_url):
        elsewhere = BadRedirect(f"{response.host} continues its list at {get_host(following)}, another host")
        raise TransferFault(elsewhere, RetryAction.NEVER)
    return following


def _explain_range_refusal(
    response: StreamedResponse, asked: Mapping[str, str], settings: NetworkSettings
) -> TransferFault:
    if response.status == 412 and "If-Range" in asked:
        return TransferFault(_source_changed_error(response), RetryAction.NEVER)
    return explain_refusal(response, settings)


def _source_changed_error(response: StreamedResponse) -> SourceChanged:
    return SourceChanged(
        f"{redact(response.hop.official_url)} has changed while it was read in parts",
        hint="nothing of the two versions was mixed; run the same command again",
    )


def _is_other_file(response: StreamedResponse, version: RemoteFile, size: str | None) -> bool:
    """Tell whether a response is of another version of a file: other validators, or another size."""
    other_size = version.size is not None and size is not None and size != str(version.size)
    return other_size or responses.is_other_version(version, response.headers)


def _read_exact(
    response: StreamedResponse, start: int, length: int, version: RemoteFile, *, same: bool
) -> bytes:
    """Return the bytes of a fitting 206; `same` says that its validators must be those of the version."""
    if response.status == 200:
        raise TransferFault(_explain_whole_body(response, version, same=same), RetryAction.NEVER)
    span = responses.parse_content_range(response.headers.get("content-range"))
    if span and same and _is_other_file(response, version, str(span[2])):
        raise TransferFault(_source_changed_error(response), RetryAction.NEVER)
    if span is None or span != (start, start + length - 1, version.size or span[2]):
        raise TransferFault(
            IntegrityError(f"{response.host} sends another range than asked for"), RetryAction.NEVER
        )
    if response.headers.get("content-encoding", "identity") != "identity":
        raise TransferFault(IntegrityError(f"{response.host} sends an encoded range"), RetryAction.NEVER)
    data = _read_all(response, length)
    if len(data) != length:
        wrong = responses.size_mismatch(f"a range of {redact(response.hop.official_url)}", len(data), length)
        raise TransferFault(wrong, RetryAction.LATER)
    return data


def _explain_whole_body(response: StreamedResponse, version: RemoteFile, *, same: bool) -> DermdataError:
    """Return why a server may have sent a whole body in place of a range: a page, another version, or no ranges."""
    begun, _ = peek_body(response)
    if page := _find_refusal(response, begun, _find_wrong_page(response, begun)):
        return page
    if same and _is_other_file(response, version, response.headers.get("content-length")):
        return _source_changed_error(response)
    return ServerRefused(f"{response.host} ignores ranges", status=200, hint="fetch the whole file")


def _find_refusal(response: StreamedResponse, start: bytes, page: str | None) -> HostRefused | None:
    """Return the refusal that a success is in truth; `page` is the kind of text that it must not be, if it is one."""
    address = response.hop.official_url
    return error_pages.explain_success(
        hide_secrets(start[: error_pages.PEEK_BYTES], response.secrets),
        get_host(address),
        page=page,
        headers=response.headers,
        address=address,
    )


def _find_wrong_page(response: StreamedResponse, start: bytes) -> str | None:
    """Return the kind of a page that begins so, unless its address ends as that of a page does."""
    page = error_pages.guess_page_kind(start)
    path = response.hop.official_url.partition("?")[0].lower()
    return page if page == "html" and not path.endswith(tuple(error_pages.PAGE_SUFFIXES[page])) else None


def _read_small(response: StreamedResponse, limit: int) -> bytes:
    data = _read_all(response, limit)
    if refusal := _find_refusal(response, data, None):
        raise TransferFault(refusal, RetryAction.NEVER)
    return data


def _read_json(response: StreamedResponse, limit: int) -> Any:
    data = _read_all(response, limit)
    try:
        value = json.loads(data)
        _require_shallow(value)
    except (ValueError, RecursionError) as error:
        kind = error_pages.guess_page_kind(data)
        page = kind if kind in ("html", "xml") else None
        refusal = _find_refusal(response, data, page)
        where = redact(response.hop.official_url)
        wrong = refusal or NotTheFile(f"{where} is no JSON that can be read")
        raise TransferFault(wrong, RetryAction.NEVER) from error
    return value


def _read_all(response: StreamedResponse, limit: int) -> bytes:
    parts, size = [], 0
    for part in response.body:
        parts.append(part)
        if (size := size + len(part)) > limit:
            where = redact(response.hop.official_url)
            raise TransferFault(
                IntegrityError(f"{where} sends more than the limit of {count_nouns(limit, 'byte')}"),
                RetryAction.NEVER,
            )
    return b"".join(parts)


def _require_shallow(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST_LEVEL):
        if not level:
            return
        level = [
            child
            for part in level
            if isinstance(part, dict | list)
            for child in (part.values() if isinstance(part, dict) else part)
        ]
    raise ValueError(f"more than {DEEPEST_LEVEL} levels")


def _to_remote_file(response: StreamedResponse) -> RemoteFile:
    if response.status == 200:  # the whole of it, which may be no file at all
        begun, _ = peek_body(response)
        if refusal := _find_refusal(response, begun, _find_wrong_page(response, begun)):
            raise TransferFault(refusal, RetryAction.NEVER)
    span = responses.parse_content_range(response.headers.get("content-range"))
    length = response.headers.get("content-length", "")
    plain = int(length) if response.status == 200 and length.isdecimal() else None
    return RemoteFile(
        size=span[2] if span else plain,
        etag=response.headers.get("etag"),
        modified=response.headers.get("last-modified"),
        checksum=parse_google_md5(response.headers.get("x-goog-hash", "")),
    )


def _inspect_response(response: StreamedResponse, request: Request, name: str) -> RemoteFile:
    """Return what a head says of a file; a server that ignores the range shows by its first bytes what it sends."""
    if response.status == 200:
        start, _ = peek_body(response)
        wrong = error_pages.find_wrong_content(
            start,
            name=name,
            where=response.host,
            archive=request.archive,
            headers=response.headers,
            address=response.hop.official_url,
        )
        if wrong:
            raise TransferFault(wrong, RetryAction.NEVER)
    return _to_remote_file(response)


def parse_google_md5(text: str) -> str | None:
    """Return `md5:<hex>` of `crc32c=…,md5=<base64>`; None if there is no MD5 in it."""
    for part in text.split(","):
        name, _, value = part.strip().partition("=")
        if name == "md5":
            try:
                return f"md5:{base64.b64decode(value, validate=True).hex()}"
            except binascii.Error:
                return None
    return None
