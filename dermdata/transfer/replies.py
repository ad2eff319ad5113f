"""What to do with an answer: pure decisions over status and headers, as values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Protocol

from dermdata.errors import (
    CredentialsMissing,
    DermdataError,
    NetworkError,
    ServerRefused,
    SizeMismatch,
)
from dermdata.transfer.network import Network

TRANSIENT = {408, 429, 500, 502, 503, 504}
REDIRECTS = {301, 302, 303, 307, 308}
LONGEST_PAUSE = 30.0  # seconds between two tries, unless the server names a time
HEADER_LIMIT = 200


class Then(Enum):
    """What may follow a trouble."""

    NEVER = "nothing: asking again cannot help"
    LATER = "the same again, after a pause"
    AT_ONCE = "drop the partial and ask for the whole file"
    FRESH = "the bytes are wrong: one download from zero"
    ORIGIN = "a signed link is dead: ask the original address once more"


class Trouble(Exception):
    """An attempt that failed, and what may follow."""

    def __init__(self, error: DermdataError, then: Then, wait: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.then = then
        self.wait = wait  # seconds, as the server asked


class Validators(Protocol):
    """What tells one version of a file from another."""

    @property
    def etag(self) -> str | None: ...
    @property
    def modified(self) -> str | None: ...


class Version(Validators, Protocol):
    """What is known of the file that a partial holds."""

    @property
    def total(self) -> int | None: ...


@dataclass(frozen=True, kw_only=True)
class Whole:
    """The body is the file from its first byte."""

    total: int | None


@dataclass(frozen=True, kw_only=True)
class Append:
    """The body is just the bytes that were asked for."""

    total: int


@dataclass(frozen=True, kw_only=True)
class Complete:
    """The server has no byte beyond what the partial holds."""


@dataclass(frozen=True, kw_only=True)
class StartOver:
    """The partial cannot be continued."""

    why: str


Verdict = Whole | Append | Complete | StartOver


def strong(etag: str | None) -> str | None:
    """The ETag if it promises the same bytes (RFC 9110, 8.8.3), else None."""
    return etag if etag and re.fullmatch(r'"[^"]*"', etag) else None


def range_headers(version: Version, offset: int, *, checked: bool, end: int | None = None) -> dict[str, str]:
    """What asks for a file from `offset` on, up to before `end`; empty when only the whole one is safe.

    `checked`: a checksum will tell whether the joined bytes are one file.
    """
    validator = strong(version.etag) or version.modified
    if not (offset or end) or not (validator or checked):
        return {}
    condition = {"If-Range": validator} if validator else {}
    return {"Range": f"bytes={offset}-{'' if end is None else end - 1}"} | condition


def decide(
    status: int,
    headers: Mapping[str, str],
    version: Version,
    offset: int,
    size: int | None,
    end: int | None = None,
) -> Verdict | None:
    """What a download makes of an answer to "the file from `offset` on"; None: it is a refusal.

    `end`: only what comes before it was asked for.
    """
    if status == 200:
        return Whole(total=_number(headers.get("content-length")))
    asked = bool(offset or end)
    if status == 206 and asked:
        return _continued(headers, version, offset, size, end)
    if status == 416 and asked:
        total = total_of_416(headers.get("content-range"))
        return Complete() if offset in (total, size) else StartOver(why="no such range")
    if status in (206, 412):
        return StartOver(why=f"status {status} to a plain question") if asked else None
    return None


def _continued(
    headers: Mapping[str, str], version: Version, offset: int, size: int | None, asked: int | None
) -> Append | StartOver:
    span = parse_content_range(headers.get("content-range"))
    if span is None:
        return StartOver(why="206 without a readable Content-Range")
    start, last, total = span
    length = _number(headers.get("content-length"))
    if start != offset or last != (asked or total) - 1 or length not in (None, last - start + 1):
        return StartOver(why="206 for another range")
    if total != (version.total or total) or total != (size or total):
        return StartOver(why="206 of a file of another size")
    if changed(version, headers):
        return StartOver(why="206 of another version")
    return Append(total=total)


def changed(version: Validators, headers: Mapping[str, str]) -> bool:
    """Whether an answer's validators contradict those of the partial."""
    etag, modified = headers.get("etag"), headers.get("last-modified")
    if etag and version.etag:
        return etag != version.etag
    return bool(modified and version.modified and modified != version.modified)


def parse_content_range(text: str | None) -> tuple[int, int, int] | None:
    """`bytes 5-9/10` as first, last, total; None when anything is missing or makes no sense."""
    match = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", (text or "").strip(), re.ASCII)
    if not match:
        return None
    start, end, total = (int(number) for number in match.groups())
    return (start, end, total) if start <= end < total else None


def total_of_416(text: str | None) -> int | None:
    """The size that `bytes */10` tells."""
    match = re.fullmatch(r"bytes \*/(\d{1,18})", (text or "").strip(), re.ASCII)
    return int(match[1]) if match else None


def _number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"\d{1,18}", text, re.ASCII) else None


def parse_retry_after(text: str | None, now: float) -> float | None:
    """Seconds to wait, from seconds or an HTTP date; None when the header is absent or nonsense."""
    text = (text or "").strip()
    if re.fullmatch(r"\d{1,12}", text, re.ASCII):
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - now)


def backoff(failures: int, chance: float) -> float:
    """Seconds before the next try: 1, 2, 4 … at most 30, times 0.5 to 1 so that clients spread out."""
    doubled = 2.0 ** min(max(failures, 1) - 1, 10)
    return min(LONGEST_PAUSE, doubled) * (0.5 + chance / 2)


def too_slow(received: int, seconds: float, network: Network) -> bool:
    """Whether so many bytes in so long a time are under the minimum rate."""
    return seconds >= network.minimum_rate_window and received < network.minimum_rate * seconds


def refusal(
    status: int, headers: Mapping[str, str], where: str, network: Network, *, secret: bool, redirected: bool
) -> Trouble:
    """What a status that is not the file means; `secret`: our secrets went to this very address."""
    if status in TRANSIENT:
        return _transient(status, headers, where, network)
    error = ServerRefused(f"{where} answers {status}", status=status, hint=HINTS.get(status))
    if status in (401, 403) and redirected:
        return Trouble(error, Then.ORIGIN)
    if status == 401 or (status == 403 and secret):
        said = "refuses the credentials" if secret else "wants credentials"
        return Trouble(CredentialsMissing(f"{where} {said} ({status})", hint=HINTS[401]), Then.NEVER)
    return Trouble(error, Then.NEVER)


def _transient(status: int, headers: Mapping[str, str], where: str, network: Network) -> Trouble:
    wait = parse_retry_after(headers.get("retry-after"), network.wall_clock())
    if wait is not None and wait > network.retry_after_limit:
        error = ServerRefused(
            f"{where} answers {status} and asks to wait {_spoken(wait)}",
            status=status,
            hint=f"run the same command again in {_spoken(wait)}",
        )
        return Trouble(error, Then.NEVER)
    hint = "the server is busy; run the same command again later"
    return Trouble(ServerRefused(f"{where} answers {status}", status=status, hint=hint), Then.LATER, wait)


HINTS = {
    401: "set the token for this host, or accept the dataset's terms on its page",
    403: "the dataset's page may say what must be done first",
    404: "the source may have moved the file; the dataset's page may say where to",
    410: "the source has withdrawn the file",
    451: "the source may not give out the file for legal reasons",
}


def _spoken(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{whole} s" if not whole >= 600 else f"{whole} s ({hours} h {minutes} min)"


def wrong_size(where: str, actual: int, expected: int) -> SizeMismatch:
    """The file is not as long as it must be."""
    return SizeMismatch(
        f"{where}: {actual:,} bytes, expected {expected:,}", hint="the source may have changed the file"
    )


def too_many_headers(count: int, where: str) -> Trouble | None:
    """A head that no honest server sends."""
    if count <= HEADER_LIMIT:
        return None
    return Trouble(NetworkError(f"{where} sends {count} headers, the limit is {HEADER_LIMIT}"), Then.NEVER)
