"""httpx over connections of our own: to checked addresses only, with one deadline for a whole head.

httpx takes any transport (`httpx.BaseTransport`), and httpcore, the engine beneath httpx, takes a network backend.
`GuardedTransport` joins the two, since `httpx.HTTPTransport` has no argument for a backend. It is called directly,
without an `httpx.Client`: a client would parse each Location, keep cookies, and log addresses with their signatures.
"""

import logging
import os
import socket
import ssl
import threading
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit
from weakref import WeakSet

import certifi
import httpcore
import httpx

from dermdata.http.policy import NetworkSettings, RetryAction, TransferFault
from dermdata.http.urls import is_private, private_address_error

CHUNK = 128 * 1024  # bytes of a body that are read at once: what is read is not lost, but not yet written
KEEPALIVE_SECONDS = 30  # seconds that an idle connection is kept

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

    Responses have the extension `peer`: the address that was connected to, or None behind a proxy.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        # its DEBUG lines hold Location headers, and those hold signatures
        logging.getLogger("httpcore").setLevel(logging.WARNING)
        self._settings = settings
        self._pools: dict[tuple[str | None, bool, bool], httpcore.ConnectionPool] = {}
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
        proxy = self._find_proxy(str(request.url))
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
            extensions={"timeout": extensions.get("timeout", {})},
        )
        with _map_httpcore_errors(), _limit_reads(ReadLimits(deadline, chunk)):
            response = pool.handle_request(wire_request)
        stream = response.extensions["network_stream"]
        address = None if proxy else stream.get_extra_info("server_addr")
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_RawBody(response, ReadLimits(chunk=chunk)),
            extensions={**response.extensions, "peer": str(address[0]) if address else None},
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

    def _get_pool(self, proxy: str | None, *, public_only: bool, secure: bool) -> httpcore.ConnectionPool:
        """Return the pool for a proxy; connections that were checked are kept apart from those that were not.

        Only one for https reads the certificates, which takes longer than a small request.
        """
        key = (proxy, public_only, secure)
        with self._lock:
            if self._closed:
                raise httpx.ConnectError("closed")
            if key not in self._pools:
                self._pools[key] = self._open_pool(proxy, public_only=public_only, secure=secure)
            return self._pools[key]

    def _open_pool(self, proxy: str | None, *, public_only: bool, secure: bool) -> httpcore.ConnectionPool:
        backend = GuardedBackend(self._settings, public_only=public_only)
        tls = tls_context(self._settings) if secure else None
        self._backends.append(backend)
        # how many there may be at once is a matter of each host
        if proxy is None:
            return httpcore.ConnectionPool(
                ssl_context=tls,
                max_connections=None,
                keepalive_expiry=KEEPALIVE_SECONDS,
                network_backend=backend,
            )
        parts = urlsplit(proxy)
        name = (unquote(parts.username or ""), unquote(parts.password or ""))
        return httpcore.HTTPProxy(
            f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
            proxy_auth=name if any(name) else None,
            ssl_context=tls,
            max_connections=None,
            keepalive_expiry=KEEPALIVE_SECONDS,
            network_backend=backend,
        )

    def _find_proxy(self, url: str) -> str | None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if not self._settings.trust_env or host in ("127.0.0.1", "::1", "localhost"):
            return None
        if urllib.request.proxy_bypass(parts.netloc):
            return None
        proxies = urllib.request.getproxies()
        proxy = proxies.get(parts.scheme) or proxies.get("all")
        return (proxy if "://" in proxy else f"http://{proxy}") if proxy else None


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

    def __init__(self, settings: NetworkSettings, *, public_only: bool) -> None:
        self._inner = httpcore.SyncBackend()
        self._clock = settings.clock
        self._public_only = public_only
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
            raise httpcore.ConnectError("closed")

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: SocketOptions | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to a host, or rather to its address that was checked."""
        place = _resolve_public_address(host, port) if self._public_only else host
        left = self.remaining(timeout)
        # connecting to the address that was checked: a name may mean another one a moment later
        stream = self._inner.connect_tcp(place, port, left, local_address, socket_options)
        try:
            peer = stream.get_extra_info("server_addr")  # now: after a reset nobody can tell any more
        except OSError as error:
            stream.close()
            raise httpcore.ConnectError("reset") from error
        guarded = _GuardedStream(stream, self, peer)
        self.watch(guarded)
        return guarded


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


def _resolve_public_address(host: str, port: int) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore.ConnectError("resolve") from error
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if is_private(address):
            raise TransferFault(
                private_address_error(host if host == address else f"{host} ({address})"), RetryAction.NEVER
            )
    return addresses[0]


def tls_context(settings: NetworkSettings) -> ssl.SSLContext:
    """Return a context that checks certificates; an institution's own authority comes by SSL_CERT_FILE or _DIR."""
    own = [os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")] if settings.trust_env else []
    return _load_authorities(*own) if any(own) else _load_authorities()


@lru_cache(maxsize=2)
def _load_authorities(*own: str | None) -> ssl.SSLContext:
    """Return the context of one process's clients; OpenSSL reads the variables whose values are `own` itself."""
    return ssl.create_default_context() if own else ssl.create_default_context(cafile=certifi.where())


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
