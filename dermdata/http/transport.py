"""httpx over connections of our own: to checked addresses only, with one deadline for a whole head.

httpx takes any transport (`httpx.BaseTransport`), and httpcore, the engine beneath httpx, takes a network backend.
`GuardedTransport` joins the two, since `httpx.HTTPTransport` has no argument for a backend. It is called directly,
without an `httpx.Client`: a client would parse each Location, keep cookies, and log addresses with their signatures.
"""

import importlib.util
import logging
import os
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

import httpcore
import httpx

from dermdata.errors import CannotConnect, UsageError
from dermdata.http.authorities import TrustedAuthorities, find_authorities, open_context
from dermdata.http.connecting import ClosedWhileWaiting, connect_first, resolve_host
from dermdata.http.policy import NetworkSettings, RetryAction, TransferFault
from dermdata.http.proxies import (
    ProxyServer,
    explain_proxy_answer,
    explain_unreachable,
    find_proxy,
    is_own_answer,
)
from dermdata.http.urls import is_private, private_address_error

CHUNK = 128 * 1024  # bytes of a body that are read at once: what is read is not lost, but not yet written
KEEPALIVE_SECONDS = 30  # seconds that an idle connection is kept
CLOSED = "closed"  # the error's whole text where this side has closed: another try is of no use
LONGEST_CONNECT = 120.0  # seconds, where nobody names a timeout

SocketOptions = Iterable[
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
]


@dataclass(frozen=True)
class ReadLimits:
    """What holds for the reads of the present thread."""

    deadline: float | None = None  # on the clock of the settings
    chunk: int = CHUNK  # bytes


NO_DEADLINE = ReadLimits()
_limits = ContextVar("_limits", default=NO_DEADLINE)


@contextmanager
def _limit_reads(limits: ReadLimits) -> Iterator[None]:
    token = _limits.set(limits)
    try:
        yield
    finally:
        _limits.reset(token)


class GuardedTransport(httpx.BaseTransport):
    """One pool of connections for all threads, whose every wait and address is checked.

    It understands these extensions of a request, each of which may be absent:

    - `timeout`: seconds, as httpx has them; `deadline`: seconds from now to the end of the response's head
    - `chunk`: bytes that are read at once, at most
    - `public_only`: connect to public addresses only
    - `target`: the bytes of the request's target, where httpx would write the address in another way

    Responses have the extensions `peer`, the address that was connected to, or None behind a proxy, and `proxy`, what
    to call that.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        # its DEBUG lines hold Location headers, and those hold signatures
        logging.getLogger("httpcore").setLevel(logging.WARNING)
        self._settings = settings
        self._pools: dict[tuple[ProxyServer | None, bool, bool], httpcore.ConnectionPool] = {}
        self._backends: list[GuardedBackend] = []
        self._closed = False
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the head of the response, and a body that is read on demand.

        Raises
        ------
        httpx.TransportError
            In httpx's words.
        TransferFault
            If `public_only` and the host has a private address.

        """
        extensions, settings = request.extensions, self._settings
        chunk = extensions.get("chunk", CHUNK)
        deadline = settings.clock() + extensions.get("deadline", settings.head_deadline)
        proxy = self.find_proxy(str(request.url))
        answer = ProxyAnswer()
        pool = self._get_pool(
            proxy,
            public_only=extensions.get("public_only", False) and proxy is None,
            secure=request.url.scheme == "https",
        )
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=extensions.get("target", request.url.raw_path),
        )
        wire_request = httpcore.Request(
            request.method,
            url,
            headers=request.headers.raw,
            extensions={"timeout": extensions.get("timeout", {})} | ({"trace": answer.note} if proxy else {}),
        )
        with _map_httpcore_errors(), _limit_reads(ReadLimits(deadline, chunk)):
            try:
                response = pool.handle_request(wire_request)
            except httpcore.ProxyError as error:
                raise answer.explain(proxy, request.url.host) from error
        if proxy and request.url.scheme == "http" and is_own_answer(answer.status, answer.headers):
            response.close()
            raise answer.explain(proxy, request.url.host)
        stream = response.extensions["network_stream"]
        address = None if proxy else stream.get_extra_info("server_addr")
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_RawBody(response, ReadLimits(chunk=chunk)),
            extensions={
                **response.extensions,
                "peer": str(address[0]) if address else None,
                "proxy": str(proxy) if proxy else None,
            },
        )

    def close(self) -> None:
        """Close every connection; none is opened after it, also not by a thread that has not heard of it yet."""
        with self._lock:
            self._closed = True
            pools, backends = list(self._pools.values()), list(self._backends)
            self._pools.clear()
            self._backends.clear()
        for pool in pools:
            pool.close()
        for backend in backends:
            backend.close()

    def _get_pool(
        self, proxy: ProxyServer | None, *, public_only: bool, secure: bool
    ) -> httpcore.ConnectionPool:
        """Return the pool for a proxy; connections that were checked are kept apart from those that were not.

        Only one for https reads the certificates, which takes longer than a small request.
        """
        key = (proxy, public_only, secure or (proxy is not None and proxy.scheme == "https"))
        with self._lock:
            if self._closed:
                raise httpx.ConnectError(CLOSED)
            if key not in self._pools:
                self._pools[key] = self._open_pool(proxy, public_only=public_only, secure=key[2])
            return self._pools[key]

    def _open_pool(
        self, proxy: ProxyServer | None, *, public_only: bool, secure: bool
    ) -> httpcore.ConnectionPool:
        own = self._settings.trust_env
        tls = (
            open_context(find_authorities(os.environ) if own else TrustedAuthorities(public=True))
            if secure
            else None
        )
        backend = GuardedBackend(self._settings, public_only=public_only, proxy=proxy)
        self._backends.append(backend)
        # how many there may be at once is a matter of each host
        options: dict[str, Any] = {
            "ssl_context": tls,
            "max_connections": None,
            "keepalive_expiry": KEEPALIVE_SECONDS,
            "network_backend": backend,
        }
        if proxy is None:
            return httpcore.ConnectionPool(**options)
        if proxy.scheme.startswith("socks"):
            return self._open_socks_pool(proxy, options)
        return httpcore.HTTPProxy(
            proxy.address,
            proxy_auth=proxy.encoded_login,
            proxy_headers=[(b"User-Agent", self._settings.user_agent.encode())],
            proxy_ssl_context=tls if proxy.scheme == "https" else None,
            **options,
        )

    def _open_socks_pool(self, proxy: ProxyServer, options: dict[str, Any]) -> httpcore.ConnectionPool:
        if not importlib.util.find_spec("socksio"):
            raise UsageError(
                f"{proxy.variable} names a SOCKS proxy, which needs the extra `socks`",
                hint="pip install 'dermdata[socks]'",
            )
        return httpcore.SOCKSProxy(
            f"socks5://{proxy.host}:{proxy.port}", proxy_auth=proxy.encoded_login, **options
        )

    def find_proxy(self, url: str) -> ProxyServer | None:
        """Return the proxy that an address is asked through, by the environment."""
        return find_proxy(url, os.environ) if self._settings.trust_env else None


class ProxyAnswer:
    """What a proxy itself has answered: httpcore's own error for a tunnel that it refuses holds no header."""

    def __init__(self) -> None:
        self.status, self.reason = 0, ""
        self.headers: dict[str, str] = {}

    def note(self, event: str, facts: Mapping[str, Any]) -> None:
        """Keep the last head that came; httpcore calls this for each event of a request."""
        if event == "http11.receive_response_headers.complete":
            _, self.status, reason, headers, *_ = facts["return_value"]
            self.reason = reason.decode("ascii", "replace")
            self.headers = {
                name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers
            }

    def explain(self, proxy: ProxyServer | None, host: str) -> TransferFault:
        """Return the fault that the answer means."""
        if proxy is None or not self.status:  # SOCKS has no status
            name = f"{proxy} " if proxy else "the proxy "
            return TransferFault(CannotConnect(f"{name}refuses to connect to {host}"), RetryAction.LATER)
        return explain_proxy_answer(proxy, host, self.status, self.reason, self.headers)


class _RawBody(httpx.SyncByteStream):
    """The body of a response as it comes, undecoded."""

    def __init__(self, response: httpcore.Response, limits: ReadLimits) -> None:
        self._response, self._limits = response, limits

    def __iter__(self) -> Iterator[bytes]:
        parts = self._response.iter_stream()
        while True:
            with _map_httpcore_errors(), _limit_reads(self._limits):
                part = next(parts, None)
            if part is None:
                return
            yield part

    def close(self) -> None:
        self._response.close()


class GuardedBackend(httpcore.NetworkBackend):
    """Opens connections: to public addresses only where that is asked for, and never past a deadline."""

    def __init__(
        self, settings: NetworkSettings, *, public_only: bool, proxy: ProxyServer | None = None
    ) -> None:
        self._inner = httpcore.SyncBackend()
        self._clock = settings.clock
        self._public_only = public_only
        self._proxy = proxy  # that all these connections lead to
        self._open: WeakSet[_GuardedStream] = WeakSet()
        self._closed = False

    def close(self) -> None:
        """Close what is open, also what no pool knows yet: a thread may be connecting while others are interrupted."""
        self._closed = True
        for stream in list(self._open):
            stream.close()

    def remaining(self, timeout: float | None) -> float | None:
        """Return the timeout, cut to what is left until the deadline."""
        deadline = _limits.get().deadline
        if deadline is None:
            return timeout
        left = deadline - self._clock()
        if left <= 0:
            raise httpcore.ReadTimeout("deadline")
        return left if timeout is None else min(left, timeout)

    def watch(self, stream: "_GuardedStream") -> None:
        """Close this one with the others."""
        self._open.add(stream)
        if self._closed:
            stream.close()
            raise httpcore.ConnectError(CLOSED)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: SocketOptions | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to a host, or rather to one of its addresses that were checked."""
        try:
            stream = self._connect(host, port, timeout, local_address, socket_options)
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            if self._proxy is None:
                raise
            raise explain_unreachable(self._proxy, error) from error
        try:
            peer = stream.get_extra_info("server_addr")  # now: after a reset nobody can tell any more
        except OSError as error:
            stream.close()
            raise httpcore.ConnectError("reset") from error
        guarded = _GuardedStream(stream, self, peer)
        self.watch(guarded)
        return guarded

    def _connect(
        self,
        host: str,
        port: int,
        timeout: float | None,
        local_address: str | None,
        socket_options: SocketOptions | None,
    ) -> httpcore.NetworkStream:
        """Look the host up and connect, both within the timeout."""
        left = self.remaining(timeout) or LONGEST_CONNECT
        until = time.monotonic() + left

        def connect(address: str, seconds: float) -> httpcore.NetworkStream:
            return self._inner.connect_tcp(address, port, seconds, local_address, socket_options)

        try:
            addresses = resolve_host(host, port, left, lambda: self._closed)
            if self._public_only:
                _require_public(host, addresses)
            # to the addresses that were checked: a name may mean another one a moment later
            return connect_first(
                addresses, connect, max(0.001, until - time.monotonic()), lambda: self._closed
            )
        except ClosedWhileWaiting as error:
            raise httpcore.ConnectError(CLOSED) from error
        except TimeoutError as error:
            raise httpcore.ConnectTimeout("no answer in time") from error
        except OSError as error:
            raise httpcore.ConnectError("not resolved") from error


class _GuardedStream(httpcore.NetworkStream):
    """A connection whose every wait ends at the deadline of the thread that waits."""

    def __init__(self, inner: httpcore.NetworkStream, backend: GuardedBackend, peer: Any) -> None:
        self._inner, self._backend, self._peer = inner, backend, peer

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - httpcore always wants 64 KiB
        # larger reads cost less, smaller ones lose less at a kill
        return self._inner.read(_limits.get().chunk, self._backend.remaining(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._backend.remaining(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._backend.remaining(timeout)
        secure = _GuardedStream(
            self._inner.start_tls(ssl_context, server_hostname, left), self._backend, self._peer
        )
        self._backend.watch(secure)
        return secure

    def get_extra_info(self, info: str) -> Any:
        return self._peer if info == "server_addr" else self._inner.get_extra_info(info)


def _require_public(host: str, addresses: Iterable[str]) -> None:
    for address in addresses:
        if is_private(address):
            raise TransferFault(
                private_address_error(host if host == address else f"{host} ({address})"), RetryAction.NEVER
            )


# ------------------------------------------------------------------ failures in httpx's words

ERRORS: tuple[tuple[type[Exception], type[httpx.TransportError]], ...] = (
    (httpcore.ConnectTimeout, httpx.ConnectTimeout),
    (httpcore.ReadTimeout, httpx.ReadTimeout),
    (httpcore.WriteTimeout, httpx.WriteTimeout),
    (httpcore.PoolTimeout, httpx.PoolTimeout),
    (httpcore.TimeoutException, httpx.TimeoutException),
    (httpcore.ConnectError, httpx.ConnectError),
    (httpcore.ReadError, httpx.ReadError),
    (httpcore.WriteError, httpx.WriteError),
    (httpcore.NetworkError, httpx.NetworkError),
    (httpcore.LocalProtocolError, httpx.LocalProtocolError),
    (httpcore.RemoteProtocolError, httpx.RemoteProtocolError),
    (httpcore.ProtocolError, httpx.ProtocolError),
    (httpcore.UnsupportedProtocol, httpx.UnsupportedProtocol),
    (httpcore.ProxyError, httpx.ProxyError),
)


@contextmanager
def _map_httpcore_errors() -> Iterator[None]:
    try:
        yield
    except tuple(theirs for theirs, _ in ERRORS) as error:
        kind = next(ours for theirs, ours in ERRORS if isinstance(error, theirs))
        raise kind(str(error)) from error
