"""One address requested: redirects followed by rules of our own, connections counted per host, errors in our words."""

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import httpx

from dermdata.credentials import FoundCredentials
from dermdata.disk import TOO_MANY_FILES_ERRORS, to_storage_error
from dermdata.errors import (
    BadRedirect,
    BrokeOff,
    CannotConnect,
    HostRefused,
    LoginNeeded,
    NetworkError,
    NotTheFile,
    Stalled,
)
from dermdata.http import error_pages
from dermdata.http.connecting import NameLookupTimeout, find_root_cause
from dermdata.http.policy import NetworkSettings, RateMonitor, RetryAction, SilenceMonitor, TransferFault
from dermdata.http.request_rates import RequestRates, find_limit, get_hostname, limit_error
from dermdata.http.responses import REDIRECTS, StreamedResponse, require_few_headers
from dermdata.http.transport import CHUNK, CLOSED, GuardedTransport
from dermdata.http.urls import Hop, follow_hop, get_host, redact, select_headers, sends_secrets, start_hop
from dermdata.model import NOTHING, Request

OTHER_CERTIFICATE_HINT = (
    "where your network's proxy or firewall opens TLS, name the certificate of its authority in SSL_CERT_FILE"
)
# OpenSSL's codes of what is wrong with a certificate
CERTIFICATE_HINTS = {
    9: "it is not valid yet: check this machine's clock",
    10: "its time is over: check this machine's clock, else its host must renew it",
    62: "it is another host's: something between here and there answers in its place",
}
RERUN_HINT = "run the same command again: it goes on from here"
FORM_LIMIT = 1 << 16  # bytes of a page in which a form is looked for
SHORT_REUSE, LONGEST_REUSE = 5.0, 300.0  # seconds
MOST_REDIRECTS = 256  # that are remembered
STORE_HEADERS = ("x-amz-request-id", "x-goog-hash", "x-goog-generation", "x-ms-request-id")


class HostBusy(Exception):
    """Every connection to this host is in use or wanted."""


@dataclass
class _Host:
    limit: int
    freed: (
        threading.Condition
    )  # of the lock of all: a free connection wakes one thread, not all that wait for any
    busy: int = 0
    waiting: int = 0


class HostLimits:
    """Counts the connections to each host for all threads of one client."""

    def __init__(self, settings: NetworkSettings) -> None:
        self._settings = settings
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()

    @contextmanager
    def connection(self, host: str) -> Iterator[None]:
        """Hold one of the host's connections, after waiting for one to be free."""
        with self._lock:
            state = self._state(host)
            state.waiting += 1
            try:
                state.freed.wait_for(lambda: state.busy < state.limit)
            except BaseException:
                state.freed.notify()  # what woke this one may have been meant for the next
                raise
            finally:
                state.waiting -= 1
            state.busy += 1
        try:
            yield
        finally:
            self._release(state)

    @contextmanager
    def spare_connection(self, host: str) -> Iterator[None]:
        """Hold a connection that nobody else wants; raise HostBusy if there is none."""
        with self._lock:
            state = self._state(host)
            if state.waiting or state.busy >= state.limit:
                raise HostBusy(host)
            state.busy += 1
        try:
            yield
        finally:
            self._release(state)

    def count_spare(self, host: str) -> int:
        """Return how many more connections to this host there may be: none while somebody waits for one."""
        with self._lock:
            state = self._state(host)
            return 0 if state.waiting else max(0, state.limit - state.busy)

    def is_crowded(self, host: str) -> bool:
        """Tell whether somebody waits for a connection to this host."""
        with self._lock:
            return self._state(host).waiting > 0

    def limit(self, host: str) -> int:
        """Return how many connections to this host there may be at all."""
        with self._lock:
            return self._state(host).limit

    def _release(self, state: _Host) -> None:
        with self._lock:
            state.busy -= 1
            state.freed.notify()

    def raise_limit_for_stores(self, host: str, headers: Mapping[str, str]) -> None:
        """Raise the limit of an object store, which shows itself by its headers."""
        if any(name in headers for name in STORE_HEADERS):
            with self._lock:
                state = self._state(host)
                state.limit = self._settings.store_connections
                state.freed.notify_all()

    def _state(self, host: str) -> _Host:
        if host not in self._hosts:
            self._hosts[host] = _Host(self._settings.connections, threading.Condition(self._lock))
        return self._hosts[host]


class RecentRedirects:
    """Where addresses led a moment ago, in memory alone: the ranges of one file need not ask its host for each.

    A signed link is used for half of the time that it says it holds, any other for some seconds; one that fails is
    forgotten, and the host is asked again.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, bool], tuple[float, Hop]] = {}
        self._lock = threading.Lock()

    def find(self, request: Request, url: str, now: float) -> Hop | None:
        """Return where this address leads, if that was seen lately."""
        with self._lock:
            until, hop = self._known.get((url, bool(request.secrets)), (now, None))
            return hop if until > now else None

    def drop(self, request: Request, url: str) -> None:
        """Forget it: it does not lead to the file any more."""
        with self._lock:
            self._known.pop((url, bool(request.secrets)), None)

    @contextmanager
    def watch(self, request: Request, url: str, response: StreamedResponse, now: float) -> Iterator[None]:
        """Remember where an address has led if that gives ranges, and forget it when reading fails."""
        if response.redirected and response.status == 206:
            self._note(request, url, response.hop, now)
        try:
            yield
        except BaseException:
            self.drop(request, url)
            raise

    def _note(self, request: Request, url: str, hop: Hop, now: float) -> None:
        with self._lock:
            if self._known.get((url, bool(request.secrets)), (now, None))[1] is hop:
                return  # it is no younger for being used
            if len(self._known) >= MOST_REDIRECTS:
                self._known.clear()
            holds = re.search(r"[?&]X-(?:Amz|Goog)-Expires=(\d{1,9})(?:&|$)", hop.official_url)
            seconds = min(int(holds[1]) / 2, LONGEST_REUSE) if holds else SHORT_REUSE
            self._known[url, bool(request.secrets)] = (now + seconds, hop)


class RedirectingClient:
    """Requests addresses, from as many threads as you like, over connections that they share."""

    def __init__(
        self,
        settings: NetworkSettings,
        transport: httpx.BaseTransport | None = None,
        rates: RequestRates | None = None,
        tokens: Mapping[str, FoundCredentials] | None = None,
    ) -> None:
        self._tokens = tokens or {}
        self._recent = RecentRedirects()
        self.hosts = HostLimits(settings)
        self.silence = SilenceMonitor(settings)
        self.rates = rates or RequestRates(())
        self._settings = settings
        self._transport = transport or GuardedTransport(settings)

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    @contextmanager
    def open(
        self,
        request: Request,
        url: str,
        extra: Mapping[str, str],
        *,
        spare: bool = False,
        chunk: int = CHUNK,
    ) -> Iterator[StreamedResponse]:
        """Request an address and follow its redirects; the body can be read within the block.

        Parameters
        ----------
        request, url, extra
            Headers and secrets, one of the request's addresses, and more headers.
        spare
            Only take a connection that nobody else waits for.
        chunk
            How many bytes of the body are read at once, at most.

        Raises
        ------
        TransferFault
            If no response comes.
        HostBusy
            If `spare` and no connection is free.

        """
        original = start_hop(self._settings, url)
        recent = self._recent.find(request, url, self._settings.clock()) if "Range" in extra else None
        hop = recent or original
        for _ in range(self._settings.redirects + 1):
            with self._request_hop(request, original, hop, extra, spare=spare, chunk=chunk) as response:
                if hop is recent and response.status >= 400:
                    self._recent.drop(request, url)
                    hop = original
                    continue
                location, response = _find_next_address(request, response)
                if location is None:
                    with self._recent.watch(request, url, response, self._settings.clock()):
                        yield response
                    return
                response.drain()
                hop = self._follow_redirect(hop, location, response)
        most = self._settings.redirects
        raise TransferFault(BadRedirect(f"{redact(url)} redirects more than {most} times"), RetryAction.NEVER)

    @contextmanager
    def _request_hop(
        self, request: Request, original: Hop, hop: Hop, extra: Mapping[str, str], *, spare: bool, chunk: int
    ) -> Iterator[StreamedResponse]:
        """Request one address in its turn, with what its host may know of us."""
        headers = select_headers(request, original, hop, extra)
        host = get_host(hop.request_url)
        secrets = request.secrets if sends_secrets(original, hop) else NOTHING
        token = None if secrets else self._find_token(hop.official_url)
        if token:
            secrets = token.headers
            headers |= secrets
        connection = self.hosts.spare_connection(host) if spare else self.hosts.connection(host)
        with connection:
            self._wait_for_turn(hop.official_url, member=bool(secrets), spare=spare)
            watch = self.silence.watch(host, hop.request_url)
            with send_request(self._transport, self.silence.settings, hop, headers, chunk, watch) as response:
                self.hosts.raise_limit_for_stores(host, response.headers)
                self._note_answer(response, member=bool(secrets))
                if token and response.status == 401:
                    raise TransferFault(refused_token_error(hop, token.place), RetryAction.NEVER)
                with name_proxy(response.proxy):
                    yield replace(response, redirected=hop is not original, secrets=secrets)

    def _follow_redirect(self, hop: Hop, location: str, response: StreamedResponse) -> Hop:
        try:
            return follow_hop(self._settings, hop, location, response.peer)
        except BadRedirect as error:
            raise TransferFault(error, RetryAction.NEVER) from error

    def _find_token(self, url: str) -> FoundCredentials | None:
        """Return what makes a member of a guest at this very host, if the person has it."""
        limit = find_limit(url, self.rates.limits) if self._tokens and url.startswith("https:") else None
        return self._tokens.get(limit.service) if limit and limit.service else None

    def _wait_for_turn(self, url: str, *, member: bool, spare: bool) -> None:
        """Return when the host may be asked; HostBusy for a stream that need not wait, TransferFault for too long a wait."""
        now, longest, host = self._settings.clock(), self._settings.retry_after_limit, get_hostname(url)
        if spare:
            if not self.rates.book_spare(url, now, member=member):
                raise HostBusy(host)
            return
        turn = self.rates.book(url, now, member=member, longest=longest)
        if turn.at - now > longest:
            raise TransferFault(limit_error(host, turn.at - now, turn.why), RetryAction.NEVER)
        until, why = turn.at, turn.why
        while until > now:
            self._settings.pause(host, until - now, why)
            # while this one waited, another's answer may have asked for a longer pause
            now, until, why = until, self.rates.find_pause(url, member=member), "as it asks"

    def _note_answer(self, response: StreamedResponse, *, member: bool) -> None:
        now, wall = self._settings.clock(), self._settings.wall_clock()
        url, status = response.hop.official_url, response.status
        self.rates.note_answer(url, status, response.headers, now, wall, member=member)


def _find_next_address(request: Request, response: StreamedResponse) -> tuple[str | None, StreamedResponse]:
    """Return where a redirect or a form to confirm leads, if the response is one; and the response, still whole."""
    headers = response.headers
    if response.status in REDIRECTS:
        return headers.get("location") or None, response
    page = "text/html" in headers.get("content-type", "") and "content-disposition" not in headers
    if not (request.confirms and response.status == 200 and page):
        return None, response
    start = response.read_some(FORM_LIMIT)
    return error_pages.find_confirm_link(start), replace(response, body=chain([start], response.body))


def refused_token_error(hop: Hop, place: str) -> LoginNeeded:
    """Return the error for a token that was sent to a host that wanted none."""
    return LoginNeeded(
        f"{get_host(hop.request_url)} refuses the token of {place} (401)",
        hint=f"correct it, or unset {place.rpartition(' ')[2]}: what is public needs no token",
    )


# ------------------------------------------------------------------ one request and its response


@contextmanager
def send_request(
    transport: httpx.BaseTransport,
    settings: NetworkSettings,
    hop: Hop,
    headers: Mapping[str, str],
    chunk: int,
    watch: AbstractContextManager[None],
) -> Iterator[StreamedResponse]:
    """Request one address, under `watch` until its answer begins; the body can be read within the block."""
    with watch, map_errors(hop.request_url):
        response = transport.handle_request(_build_request(settings, hop, headers, chunk))
    try:
        yield _wrap_response(settings, hop, response)
    finally:
        response.close()


def _build_request(
    settings: NetworkSettings, hop: Hop, extra: Mapping[str, str], chunk: int
) -> httpx.Request:
    own = {"Host": get_host(hop.request_url), "User-Agent": settings.user_agent, "Accept": "*/*"}
    merged = own | dict(extra) | {"Accept-Encoding": "identity"}
    timeout = httpx.Timeout(settings.read_timeout, connect=settings.connect_timeout)
    extensions = {
        "timeout": timeout.as_dict(),
        "deadline": settings.head_deadline,
        "public_only": hop.public_only,
        "chunk": chunk,
        "target": f"/{hop.request_url.split('/', 3)[3]}".encode("ascii"),  # as it is: httpx would fold `..`
    }
    headers = httpx.Headers(merged, encoding="latin-1")
    return httpx.Request("GET", hop.request_url, headers=headers, extensions=extensions)


def _wrap_response(settings: NetworkSettings, hop: Hop, response: httpx.Response) -> StreamedResponse:
    response.headers.encoding = "latin-1"  # each byte is one character, so that an ETag goes back as it came
    require_few_headers(len(response.headers.raw), get_host(hop.request_url))
    return StreamedResponse(
        hop=hop,
        status=response.status_code,
        headers=dict(response.headers),
        peer=response.extensions.get("peer"),
        proxy=response.extensions.get("proxy"),
        body=_iterate_body(response, hop.request_url, settings),
        abort=_make_abort(response.extensions.get("network_stream")),
    )


def _make_abort(stream: Any) -> Callable[[], None]:
    """Return what ends a connection under its reader: a close alone would let the reader wait."""
    held = stream.get_extra_info("socket") if stream else None

    def abort() -> None:
        with suppress(OSError):  # it has ended by itself
            if isinstance(held, socket.socket):
                socket.socket.shutdown(held, socket.SHUT_RDWR)

    return abort


def _iterate_body(response: httpx.Response, url: str, settings: NetworkSettings) -> Iterator[bytes]:
    monitor = RateMonitor(settings, get_host(url))
    # not `iter_raw`: that gives the connection back at the body's end, while another thread may still abort it
    assert isinstance(response.stream, httpx.SyncByteStream)  # noqa: S101 - the other kind is for asyncio
    stream = iter(response.stream)
    while True:
        before = settings.clock()
        with map_errors(url):
            chunk = next(stream, None)
        if chunk is None:
            return
        monitor.add(len(chunk), settings.clock() - before)
        yield chunk


@contextmanager
def name_proxy(proxy: str | None) -> Iterator[None]:
    """Name the proxy in whatever is refused: what came may be the proxy's own word."""
    try:
        yield
    except TransferFault as fault:
        if proxy and isinstance(fault.error, HostRefused | NotTheFile) and proxy not in fault.error.message:
            fault.error.message = f"{fault.error.message} (through {proxy})"
            fault.error.args = (fault.error.message,)
        raise


@contextmanager
def map_errors(url: str) -> Iterator[None]:
    """Turn httpx's errors into TransferFault, in words that hold neither headers nor queries."""
    host = get_host(url)
    try:
        yield
    except (httpx.LocalProtocolError, UnicodeEncodeError):
        # its text and its traceback hold the header's value, which may be a token
        error = NetworkError(f"a header for {host} holds signs that HTTP forbids", hint="check the token")
        raise TransferFault(error, RetryAction.NEVER) from None
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise _explain_connect_error(host, error) from error
    except httpx.TimeoutException as error:
        raise TransferFault(
            Stalled(f"{host} is silent for too long", hint=RERUN_HINT), RetryAction.LATER
        ) from error
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise TransferFault(CannotConnect(f"no way to connect to {host}"), RetryAction.NEVER) from error
    except httpx.ProxyError as error:
        raise TransferFault(
            CannotConnect(f"the proxy refuses to connect to {host}"), RetryAction.LATER
        ) from error
    except (httpx.NetworkError, httpx.ProtocolError) as error:
        broken = BrokeOff(f"{host} broke off, or does not speak HTTP", hint=RERUN_HINT)
        raise TransferFault(broken, RetryAction.LATER) from error


def _explain_connect_error(host: str, error: Exception) -> TransferFault:
    if str(error) == CLOSED:  # after Ctrl-C: nobody wants it any more
        return TransferFault(CannotConnect(f"the connection to {host} was given up"), RetryAction.NEVER)
    cause = find_root_cause(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        message = f"the certificate of {host} is refused: {cause.verify_message}"
        hint = CERTIFICATE_HINTS.get(cause.verify_code, OTHER_CERTIFICATE_HINT)
        return TransferFault(CannotConnect(message, hint=hint), RetryAction.NEVER)
    if isinstance(cause, socket.gaierror):
        known = cause.errno == socket.EAI_NONAME
        hint = "is this machine online? where the way out is a proxy, set HTTPS_PROXY; see --offline"
        unknown = CannotConnect(f"cannot resolve {host}", hint=hint)
        return TransferFault(unknown, RetryAction.NEVER if known else RetryAction.LATER)
    if isinstance(cause, NameLookupTimeout):
        slow = CannotConnect(
            f"cannot resolve {host}: the name server does not answer in time",
            hint="try again later; where the way out is a proxy, set HTTPS_PROXY",
        )
        return TransferFault(slow, RetryAction.LATER)
    if (
        isinstance(cause, OSError) and cause.errno in TOO_MANY_FILES_ERRORS
    ):  # it is this machine, not the host
        return TransferFault(to_storage_error(cause, Path(host)), RetryAction.NEVER)
    why = "no answer in time" if isinstance(error, httpx.ConnectTimeout) else _explain_os_error(cause)
    return TransferFault(
        CannotConnect(f"cannot connect to {host}: {why}", hint="try again later"), RetryAction.LATER
    )


def _explain_os_error(cause: BaseException) -> str:
    if isinstance(cause, ssl.SSLError):
        return "the TLS handshake failed"
    return (cause.strerror if isinstance(cause, OSError) else None) or "the connection was closed"
