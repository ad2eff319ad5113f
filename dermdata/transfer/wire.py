"""The thin layer over httpcore: one question, one answer, its failures as Trouble.

httpcore, httpx's own transport, is used without httpx: only it takes a network backend, by which a
connection's address is checked before a byte is sent and a whole head has one deadline; and it adds no
headers, cookies, netrc passwords, redirects or log lines of its own.
"""

import logging
import os
import socket
import ssl
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import certifi
import httpcore

from dermdata.errors import CannotConnect, NetworkError, Stalled
from dermdata.transfer.address import Hop, host_of, is_private, private, shown
from dermdata.transfer.guard import Guard
from dermdata.transfer.network import Network
from dermdata.transfer.replies import Then, Trouble, too_many_headers
from dermdata.transfer.tries import Pace

AGAIN = "run the same command again: it goes on from here"
CHUNK = 128 * 1024  # bytes of a body that are read at once: what is read is not lost, but not yet written
SMALL = 16 * 1024  # bytes of an unwanted body that are cheaper to read than a new connection


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A status, a head with lower-case names, and a body to be read once."""

    hop: Hop
    status: int
    headers: Mapping[str, str]
    peer: str | None  # the address of the host itself; None behind a proxy
    body: Iterator[bytes]  # raw, in chunks; raises Trouble
    cut: Callable[[], None]  # from any thread: whoever reads the body is told that it broke off
    redirected: bool = False
    secret: bool = False  # the request's secrets went to this address

    @property
    def host(self) -> str:
        return host_of(self.hop.asked)

    def some(self, limit: int = SMALL) -> bytes:
        """The first bytes of the body, at least `limit` unless it ends or breaks before."""
        parts: list[bytes] = []
        try:
            while sum(map(len, parts)) < limit and (part := next(self.body, b"")):
                parts.append(part)
        except Trouble:  # the body only explains a status that has been judged already
            return b"".join(parts)
        return b"".join(parts)

    def drain(self) -> None:
        """Read a small body to its end, so that the connection can be used again."""
        length = self.headers.get("content-length", "")
        if length.isdecimal() and int(length) <= SMALL:
            self.some(SMALL + 1)


class Wire:
    """One thread's connections, kept alive between questions."""

    def __init__(self, network: Network, tls: ssl.SSLContext) -> None:
        # its DEBUG lines hold Location headers, and those hold signatures
        logging.getLogger("httpcore").setLevel(logging.WARNING)
        self._network = network
        self._tls = tls
        self._guard = Guard(network)
        self.chunk = CHUNK
        self._pools: dict[str | None, httpcore.ConnectionPool] = {}

    @contextmanager
    def ask(self, hop: Hop, headers: Mapping[str, str]) -> Iterator[Answer]:
        """Ask one address; the answer's body can be read within the block."""
        proxy = self._proxy(hop.asked)
        with told(hop.asked):
            response = self._send(hop, headers, proxy)
        try:
            yield self._answer(hop, response, proxied=proxy is not None)
        finally:
            response.close()

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()

    def _send(self, hop: Hop, headers: Mapping[str, str], proxy: str | None) -> httpcore.Response:
        network, guard = self._network, self._guard
        timeouts = {"connect": network.connect_timeout, "read": network.read_timeout}
        timeouts |= {"write": network.read_timeout, "pool": network.connect_timeout}
        own = {"Host": host_of(hop.asked), "User-Agent": network.user_agent, "Accept": "*/*"}
        merged = own | dict(headers) | {"Accept-Encoding": "identity"}
        request = httpcore.Request(
            "GET", hop.asked, headers=list(merged.items()), extensions={"timeout": timeouts}
        )
        guard.deadline = network.clock() + network.head_deadline
        guard.public_only = hop.public_only and proxy is None
        guard.chunk = self.chunk
        try:
            return self._pool(proxy).handle_request(request)
        finally:
            guard.deadline = None

    def _answer(self, hop: Hop, response: httpcore.Response, *, proxied: bool) -> Answer:
        stream = response.extensions.get("network_stream")
        address = stream.get_extra_info("server_addr") if stream and not proxied else None
        peer = str(address[0]) if address else None
        if hop.public_only and peer and is_private(peer):  # a kept connection, opened when it was trusted
            raise Trouble(private(shown(hop.asked)), Then.NEVER)
        if trouble := too_many_headers(len(response.headers), host_of(hop.asked)):
            raise trouble
        body = _body(response, hop.asked, self._network)
        return Answer(
            hop=hop,
            status=response.status,
            headers=_merged(response),
            peer=peer,
            body=body,
            cut=_cutter(stream),
        )

    def _pool(self, proxy: str | None) -> httpcore.ConnectionPool:
        if proxy not in self._pools:
            self._pools[proxy] = self._new_pool(proxy)
        return self._pools[proxy]

    def _new_pool(self, proxy: str | None) -> httpcore.ConnectionPool:
        if proxy is None:
            return httpcore.ConnectionPool(
                ssl_context=self._tls, keepalive_expiry=30, network_backend=self._guard
            )
        parts = urlsplit(proxy)
        name = (unquote(parts.username or ""), unquote(parts.password or ""))
        place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        return httpcore.HTTPProxy(
            place,
            proxy_auth=name if any(name) else None,
            ssl_context=self._tls,
            keepalive_expiry=30,
            network_backend=self._guard,
        )

    def _proxy(self, url: str) -> str | None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if not self._network.trust_env or host in ("127.0.0.1", "::1", "localhost"):
            return None
        if urllib.request.proxy_bypass(parts.netloc):
            return None
        proxies = urllib.request.getproxies()
        proxy = proxies.get(parts.scheme) or proxies.get("all")
        return (proxy if "://" in proxy else f"http://{proxy}") if proxy else None


def tls_context(network: Network) -> ssl.SSLContext:
    """Certificates are always checked; an institution's own authority comes by SSL_CERT_FILE or _DIR."""
    if network.trust_env and (os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")):
        return ssl.create_default_context()
    return ssl.create_default_context(cafile=certifi.where())


def _cutter(stream: httpcore.NetworkStream | None) -> Callable[[], None]:
    """Ends a connection under its reader's hands: a close alone would let the reader wait."""
    held = stream.get_extra_info("socket") if stream else None

    def cut() -> None:
        with suppress(OSError):  # it has ended by itself
            if isinstance(held, socket.socket):
                socket.socket.shutdown(held, socket.SHUT_RDWR)

    return cut


def _merged(response: httpcore.Response) -> dict[str, str]:
    merged: dict[str, str] = {}
    for raw, value in response.headers:
        name, text = raw.decode("latin-1").lower(), value.decode("latin-1")
        merged[name] = f"{merged[name]}, {text}" if name in merged else text
    return merged


def _body(response: httpcore.Response, url: str, network: Network) -> Iterator[bytes]:
    pace = Pace(network, host_of(url))
    stream = iter(response.iter_stream())
    while True:
        before = network.clock()
        with told(url):
            chunk = next(stream, None)
        if chunk is None:
            return
        pace.count(len(chunk), network.clock() - before)
        yield chunk


@contextmanager
def told(url: str) -> Iterator[None]:
    """Turn httpcore's failures into Trouble, in words that hold neither headers nor queries."""
    host = host_of(url)
    try:
        yield
    except httpcore.LocalProtocolError:
        # its text and its traceback hold the header's value, which may be a token
        error = NetworkError(f"a header for {host} holds signs that HTTP forbids", hint="check the token")
        raise Trouble(error, Then.NEVER) from None
    except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
        raise _unconnected(host, error) from error
    except httpcore.TimeoutException as error:
        raise Trouble(Stalled(f"{host} is silent for too long", hint=AGAIN), Then.LATER) from error
    except httpcore.UnsupportedProtocol as error:
        raise Trouble(CannotConnect(f"no way to connect to {host}"), Then.NEVER) from error
    except httpcore.ProxyError as error:
        raise Trouble(CannotConnect(f"the proxy refuses to connect to {host}"), Then.LATER) from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        broken = NetworkError(f"{host} broke off, or does not speak HTTP", hint=AGAIN)
        raise Trouble(broken, Then.LATER) from error


def _unconnected(host: str, error: Exception) -> Trouble:
    cause = _root(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        said = f"the certificate of {host} is refused: {cause.verify_message}"
        hint = "check this machine's clock; behind an inspecting proxy set SSL_CERT_FILE"
        return Trouble(CannotConnect(said, hint=hint), Then.NEVER)
    if isinstance(cause, socket.gaierror):
        known = cause.errno == socket.EAI_NONAME
        unknown = CannotConnect(f"cannot resolve {host}", hint="is this machine online? see --offline")
        return Trouble(unknown, Then.NEVER if known else Then.LATER)
    why = "no answer in time" if isinstance(error, httpcore.ConnectTimeout) else _strerror(cause)
    return Trouble(CannotConnect(f"cannot connect to {host}: {why}", hint="try again later"), Then.LATER)


def _strerror(cause: BaseException) -> str:
    if isinstance(cause, ssl.SSLError):
        return "the TLS handshake failed"
    return (cause.strerror if isinstance(cause, OSError) else None) or "the connection was closed"


def _root(error: BaseException) -> BaseException:
    while inner := error.__cause__ or error.__context__:  # httpcore's pool clears the cause
        error = inner
    return error
