"""One question to a transport, one answer, its failures as Trouble."""

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx

from dermdata.errors import CannotConnect, NetworkError, Stalled
from dermdata.transfer.address import Hop, host_of
from dermdata.transfer.network import Network
from dermdata.transfer.replies import Then, Trouble, too_many_headers
from dermdata.transfer.tries import Pace

AGAIN = "run the same command again: it goes on from here"
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


@contextmanager
def ask(
    transport: httpx.BaseTransport, network: Network, hop: Hop, headers: Mapping[str, str], chunk: int
) -> Iterator[Answer]:
    """Ask one address; the answer's body can be read within the block."""
    with told(hop.asked):
        response = transport.handle_request(_question(network, hop, headers, chunk))
    try:
        yield _answer(network, hop, response)
    finally:
        response.close()


def _question(network: Network, hop: Hop, extra: Mapping[str, str], chunk: int) -> httpx.Request:
    own = {"Host": host_of(hop.asked), "User-Agent": network.user_agent, "Accept": "*/*"}
    merged = own | dict(extra) | {"Accept-Encoding": "identity"}
    timeout = httpx.Timeout(network.read_timeout, connect=network.connect_timeout)
    extensions = {
        "timeout": timeout.as_dict(),
        "deadline": network.head_deadline,
        "public_only": hop.public_only,
        "chunk": chunk,
        "target": f"/{hop.asked.split('/', 3)[3]}".encode("ascii"),  # as it is: httpx would fold `..`
    }
    headers = httpx.Headers(merged, encoding="latin-1")
    return httpx.Request("GET", hop.asked, headers=headers, extensions=extensions)


def _answer(network: Network, hop: Hop, response: httpx.Response) -> Answer:
    response.headers.encoding = "latin-1"  # each byte is a sign, so that an ETag goes back as it came
    if trouble := too_many_headers(len(response.headers.raw), host_of(hop.asked)):
        raise trouble
    return Answer(
        hop=hop,
        status=response.status_code,
        headers=dict(response.headers),
        peer=response.extensions.get("peer"),
        body=_body(response, hop.asked, network),
        cut=_cutter(response.extensions.get("network_stream")),
    )


def _cutter(stream: Any) -> Callable[[], None]:
    """Ends a connection under its reader's hands: a close alone would let the reader wait."""
    held = stream.get_extra_info("socket") if stream else None

    def cut() -> None:
        with suppress(OSError):  # it has ended by itself
            if isinstance(held, socket.socket):
                socket.socket.shutdown(held, socket.SHUT_RDWR)

    return cut


def _body(response: httpx.Response, url: str, network: Network) -> Iterator[bytes]:
    pace = Pace(network, host_of(url))
    # not `iter_raw`: that gives the connection back at the body's end, while another thread may still cut it
    assert isinstance(response.stream, httpx.SyncByteStream)  # noqa: S101 - the other kind is for asyncio
    stream = iter(response.stream)
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
    """Turn httpx's failures into Trouble, in words that hold neither headers nor queries."""
    host = host_of(url)
    try:
        yield
    except (httpx.LocalProtocolError, UnicodeEncodeError):
        # its text and its traceback hold the header's value, which may be a token
        error = NetworkError(f"a header for {host} holds signs that HTTP forbids", hint="check the token")
        raise Trouble(error, Then.NEVER) from None
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise _unconnected(host, error) from error
    except httpx.TimeoutException as error:
        raise Trouble(Stalled(f"{host} is silent for too long", hint=AGAIN), Then.LATER) from error
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise Trouble(CannotConnect(f"no way to connect to {host}"), Then.NEVER) from error
    except httpx.ProxyError as error:
        raise Trouble(CannotConnect(f"the proxy refuses to connect to {host}"), Then.LATER) from error
    except (httpx.NetworkError, httpx.ProtocolError) as error:
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
    why = "no answer in time" if isinstance(error, httpx.ConnectTimeout) else _strerror(cause)
    return Trouble(CannotConnect(f"cannot connect to {host}: {why}", hint="try again later"), Then.LATER)


def _strerror(cause: BaseException) -> str:
    if isinstance(cause, ssl.SSLError):
        return "the TLS handshake failed"
    return (cause.strerror if isinstance(cause, OSError) else None) or "the connection was closed"


def _root(error: BaseException) -> BaseException:
    while inner := error.__cause__ or error.__context__:  # httpcore's pool clears the cause
        error = inner
    return error
