"""What a response means: status, ranges, versions and refusals, decided without a network."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

from dermdata.errors import (
    AccessRefused,
    DermdataError,
    HostRefused,
    IntegrityError,
    LicenseNotAccepted,
    LinkExpired,
    LoginNeeded,
    NetworkError,
    ObjectDenied,
    RateLimited,
    ServerRefused,
    SizeMismatch,
)
from dermdata.http import error_pages
from dermdata.http.policy import NetworkSettings, RetryAction, TransferFault
from dermdata.http.request_rates import find_wait, format_wait
from dermdata.http.urls import Hop, get_host, hide_secrets, redact
from dermdata.markup import count_nouns
from dermdata.model import NOTHING
from dermdata.urls import SOME_PAGE, USE_FROM

TRANSIENT = {408, 429, 500, 502, 503, 504}
REDIRECTS = {301, 302, 303, 307, 308}
HEADER_LIMIT = 200
SMALL_BODY = 16 * 1024  # bytes of an unwanted body that are cheaper to read than a new connection


EXPLAINED = (
    202,
    400,
    401,
    403,
    405,
    409,
    429,
    460,
    509,
)  # refusals whose body may say what the person must do
STATUS_HINTS = {
    202: "it prepares the file, or wants a browser: run again in some minutes, else download it by hand "
    f"and {USE_FROM}",
    204: f"it has nothing for a program: download it by hand and {USE_FROM}",
    401: "set the token for this host, or accept the dataset's terms on its page",
    403: "the dataset's page may say what must be done first",
    404: "the source may have moved the file; the dataset's page may say where to",
    410: "the source has withdrawn the file; the dataset's page may say why; or take a copy with --mirror, "
    f"or {USE_FROM}",
    451: "the source may not give out the file for legal reasons",
}


@dataclass(frozen=True, kw_only=True)
class StreamedResponse:
    """A status, a head with lower-case names, and a body that is read once."""

    hop: Hop
    status: int
    headers: Mapping[str, str]
    peer: str | None  # the address of the host itself; None behind a proxy
    body: Iterator[bytes]  # undecoded, in chunks; it raises TransferFault
    abort: Callable[[], None]  # from any thread: the body breaks off under its reader
    proxy: str | None = None  # what to call the proxy that it came through
    redirected: bool = False
    secrets: Mapping[str, str] = field(
        default_factory=lambda: NOTHING, repr=False
    )  # headers that went to this very address

    @property
    def host(self) -> str:
        """The host that sent the response."""
        return get_host(self.hop.request_url)

    @property
    def secret(self) -> bool:
        """Whether the request's secrets went to this address."""
        return bool(self.secrets)

    def read_some(self, limit: int = SMALL_BODY) -> bytes:
        """Return the first bytes of the body, at least `limit` unless it ends or breaks before."""
        parts: list[bytes] = []
        try:
            while sum(map(len, parts)) < limit and (part := next(self.body, b"")):
                parts.append(part)
        except TransferFault:  # the body only explains a status that has been judged already
            return b"".join(parts)
        return b"".join(parts)

    def drain(self) -> None:
        """Read a small body to its end, so that the connection can be used again."""
        length = self.headers.get("content-length", "")
        if length.isdecimal() and int(length) <= SMALL_BODY:
            self.read_some(SMALL_BODY + 1)


# ------------------------------------------------------------------ what a body is


class Validators(Protocol):
    """Two versions of a file differ in one of these."""

    @property
    def etag(self) -> str | None: ...
    @property
    def modified(self) -> str | None: ...


@dataclass
class FileVersion:
    """The version of a file that a partial file holds, as the server named it."""

    source: int | None = None  # which of the request's addresses sent it
    etag: str | None = None
    modified: str | None = None
    total: int | None = None


@dataclass(frozen=True, kw_only=True)
class FullBody:
    """The body is the file from its first byte."""

    total: int | None


@dataclass(frozen=True, kw_only=True)
class RangeBody:
    """The body is just the bytes that were requested."""

    total: int


@dataclass(frozen=True, kw_only=True)
class AlreadyComplete:
    """The server has no byte beyond those of the partial file."""


@dataclass(frozen=True, kw_only=True)
class CannotResume:
    """The partial file cannot be continued."""

    why: str


Verdict = FullBody | RangeBody | AlreadyComplete | CannotResume


def strong_etag(etag: str | None) -> str | None:
    """Return the ETag if it promises the same bytes (RFC 9110, 8.8.3), else None."""
    return etag if etag and re.fullmatch(r'"[^"]*"', etag) else None


def range_headers(
    version: FileVersion, offset: int, *, checked: bool, end: int | None = None
) -> dict[str, str]:
    """Return the headers that request a file from `offset` to before `end`; none when only the whole one is safe.

    `checked` says that a checksum will show whether the joined bytes are one file.
    """
    validator = strong_etag(version.etag) or version.modified
    if not (offset or end) or not (validator or checked):
        return {}
    condition = {"If-Range": validator} if validator else {}
    return {"Range": f"bytes={offset}-{'' if end is None else end - 1}"} | condition


def interpret_response(
    status: int,
    headers: Mapping[str, str],
    version: FileVersion,
    offset: int,
    size: int | None,
    end: int | None = None,
) -> Verdict | None:
    """Decide what a download makes of the response to a request.

    Parameters
    ----------
    status, headers
        Those of the response; the headers' names are in lower case.
    version
        What is known of the file whose first bytes are there already.
    offset, end
        The bytes that were requested: from `offset` on, up to before `end` if there is one.
    size
        The file's size by the catalog, in bytes.

    Returns
    -------
    FullBody, RangeBody, AlreadyComplete, CannotResume or None
        None if the status is a refusal.

    """
    if status == 200:
        return FullBody(total=_parse_number(headers.get("content-length")))
    ranged = bool(offset or end)
    if status == 206 and ranged:
        return _interpret_206(headers, version, offset, size, end)
    if status == 416 and ranged:
        total = parse_unsatisfied_range(headers.get("content-range"))
        return AlreadyComplete() if offset in (total, size) else CannotResume(why="no such range")
    if status in (206, 412):
        return CannotResume(why=f"status {status} to a plain request") if ranged else None
    return None


def _interpret_206(
    headers: Mapping[str, str], version: FileVersion, offset: int, size: int | None, asked: int | None
) -> RangeBody | CannotResume:
    span = parse_content_range(headers.get("content-range"))
    if span is None:
        return CannotResume(why="206 without a readable Content-Range")
    start, last, total = span
    length = _parse_number(headers.get("content-length"))
    if (start, last) != (offset, (asked or total) - 1) or length not in (None, last - start + 1):
        return CannotResume(why="206 for another range")
    if total != (version.total or total) or total != (size or total):
        return CannotResume(why="206 of a file of another size")
    if is_other_version(version, headers):
        return CannotResume(why="206 of another version")
    return RangeBody(total=total)


def is_other_version(version: Validators, headers: Mapping[str, str]) -> bool:
    """Tell whether a response's validators contradict those of a version that is known."""
    etag, modified = headers.get("etag"), headers.get("last-modified")
    if etag and version.etag:
        return etag != version.etag
    return bool(modified and version.modified and modified != version.modified)


def parse_content_range(text: str | None) -> tuple[int, int, int] | None:
    """Return first, last and total of `bytes 5-9/10`; None when anything is missing or makes no sense."""
    match = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", (text or "").strip(), re.ASCII)
    if not match:
        return None
    start, end, total = (int(number) for number in match.groups())
    return (start, end, total) if start <= end < total else None


def parse_unsatisfied_range(text: str | None) -> int | None:
    """Return the size in `bytes */10`, which a server sends with 416."""
    match = re.fullmatch(r"bytes \*/(\d{1,18})", (text or "").strip(), re.ASCII)
    return int(match[1]) if match else None


def _parse_number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"\d{1,18}", text, re.ASCII) else None


# ------------------------------------------------------------------ what a refusal means


def explain_status(
    status: int,
    headers: Mapping[str, str],
    where: str,
    settings: NetworkSettings,
    *,
    secret: bool,
    redirected: bool,
) -> TransferFault:
    """Return the fault that a refusing status means; `secret` says that the secrets went to this very address."""
    used_up = status == 403 and find_wait(status, headers, settings.wall_clock()) is not None  # GitHub's way
    if status in TRANSIENT or used_up:
        return _explain_transient(status, headers, where, settings)
    error = ServerRefused(f"{where} answers {status}", status=status, hint=STATUS_HINTS.get(status))
    if status in (401, 403) and redirected:
        return TransferFault(error, RetryAction.NEW_LINK)
    if status == 401:
        message = "refuses the credentials" if secret else "wants credentials"
        return TransferFault(
            LoginNeeded(f"{where} {message} (401)", hint=STATUS_HINTS[401]), RetryAction.NEVER
        )
    if status == 403 and secret:  # who asks is known: it is about what is asked
        denied = AccessRefused(f"{where} does not give it to this account (403)", hint=STATUS_HINTS[403])
        return TransferFault(denied, RetryAction.NEVER)
    return TransferFault(error, RetryAction.NEVER)


def _explain_transient(
    status: int, headers: Mapping[str, str], where: str, settings: NetworkSettings
) -> TransferFault:
    wait = find_wait(status, headers, settings.wall_clock())
    refused = RateLimited if status in (403, 429) else ServerRefused
    if wait is not None and wait > settings.retry_after_limit:
        error = refused(
            f"{where} answers {status} and asks to wait {format_wait(wait)}",
            status=status,
            hint=f"run the same command again in {format_wait(wait)}: it goes on from here",
        )
        return TransferFault(error, RetryAction.NEVER)
    hint = "the server is busy; run the same command again later"
    if refused is RateLimited:
        hint = "it has had too many requests; run the same command again in some minutes, or take a copy with --mirror"
    return TransferFault(
        refused(f"{where} answers {status}", status=status, hint=hint), RetryAction.LATER, wait
    )


def size_mismatch(where: str, actual: int, expected: int) -> SizeMismatch:
    """Return the error for a file that is not as long as it must be."""
    return SizeMismatch(
        f"{where}: {count_nouns(actual, 'byte')}, expected {expected:,}",
        hint="the source may have changed the file",
    )


# ------------------------------------------------------------------ what no body may be


def require_few_headers(count: int, where: str) -> None:
    """Raise TransferFault at a head with more headers than an honest server sends."""
    if count > HEADER_LIMIT:
        message = f"{where} sends {count} headers, the limit is {HEADER_LIMIT}"
        raise TransferFault(NetworkError(message), RetryAction.NEVER)


def require_unencoded(response: StreamedResponse, name: str) -> None:
    """Raise TransferFault when the bytes of the file `name` come encoded."""
    encoding = response.headers.get("content-encoding", "identity").lower()
    if response.status in (200, 206) and encoding != "identity":
        message = f"{response.host} sends {name} with Content-Encoding {redact(encoding)}, unasked"
        error = IntegrityError(message, hint="the stored bytes would not be the file's own")
        raise TransferFault(error, RetryAction.NEVER)


def require_within_size(received: int, total: int | None, response: StreamedResponse) -> None:
    """Raise TransferFault when a body runs over the file's end."""
    if total is not None and received > total:
        raise TransferFault(
            size_mismatch(redact(response.hop.official_url), received, total), RetryAction.REDOWNLOAD
        )


def peek_body(response: StreamedResponse) -> tuple[bytes, Iterator[bytes]]:
    """Return the first bytes of a body (PEEK_BYTES, if it has as many), and the body with them in it."""
    taken: list[bytes] = []
    broke: list[TransferFault] = []
    try:
        while sum(map(len, taken)) < error_pages.PEEK_BYTES and (part := next(response.body, b"")):
            taken.append(part)
    except TransferFault as fault:
        if not taken:
            raise
        broke.append(fault)

    def rejoin() -> Iterator[bytes]:
        yield from taken
        if broke:
            raise broke[0]
        yield from response.body

    return b"".join(taken)[: error_pages.PEEK_BYTES], rejoin()


def explain_refusal(response: StreamedResponse, settings: NetworkSettings) -> TransferFault:
    """Return the fault that a refusal means; its body may say what the person must do."""
    address = response.hop.official_url
    where = get_host(address)
    fault = explain_status(
        response.status,
        response.headers,
        where,
        settings,
        secret=response.secret,
        redirected=response.redirected,
    )
    if fault.error.hint:
        fault.error.hint = fault.error.hint.replace(SOME_PAGE, error_pages.find_page(address))
    if response.status not in EXPLAINED:
        _add_words(fault.error, response.status)
        return fault
    start = hide_secrets(response.read_some(), response.secrets)
    page = error_pages.explain_page(
        start, where, status=response.status, headers=response.headers, address=address
    )
    if isinstance(fault.error, AccessRefused) and not isinstance(page, LicenseNotAccepted | ServerRefused):
        return TransferFault(_explain_denial(start, address), RetryAction.NEVER)
    if page:
        return TransferFault(page, _choose_action(page, response))
    _add_words(fault.error, response.status, error_pages.quote_words(start))
    return fault


def _add_words(error: DermdataError, status: int, quoted: str = "") -> None:
    """Say what a bare status means: in the host's own words, or else in those of HTTP."""
    if not quoted and error.message.endswith(f" answers {status}") and status in set(HTTPStatus):
        quoted = f" ({HTTPStatus(status).phrase.lower()})"
    error.message += quoted
    error.args = (error.message,)


def _choose_action(page: HostRefused, response: StreamedResponse) -> RetryAction:
    """A signed link that a host has redirected to may be asked for once more; nothing else changes by asking."""
    dead = isinstance(page, LinkExpired | ObjectDenied | LoginNeeded)
    return RetryAction.NEW_LINK if response.redirected and dead else RetryAction.NEVER


def _explain_denial(start: bytes, address: str) -> AccessRefused:
    """Return the error for an account that a host knows and gives nothing: not a word of a bad token."""
    page = error_pages.find_page(address)
    return AccessRefused(
        f"{get_host(address)} does not give it to this account (403){error_pages.quote_words(start)}",
        hint=f"look at {page}: it may be misspelled, gone or private, or have terms to accept there first",
    )
