"""The transport itself, and what stands on it: exact bytes on the wire, one pool for all threads, httpx's errors."""

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from dermdata.errors import (
    BadRedirect,
    CannotConnect,
    DermdataError,
    IntegrityError,
    NetworkError,
    ServerRefused,
    Stalled,
)
from dermdata.http import HttpClient, NetworkSettings, urls
from dermdata.http.policy import TransferFault
from dermdata.http.transport import GuardedTransport
from dermdata.model import Request
from http_client.conftest import DATA, SHA, SIZE, Get

HEAD = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives this answer to every question, and the heads of the questions as they came."""
    heads: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            while lines.peek(1):
                heads.append(b"".join(iter(lines.readline, b"\r\n")))
                connection.sendall(answer)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # closed: the test has ended
                return
            threads.append(threading.Thread(target=serve, args=(connection,)))
            threads[-1].start()

    threads = [threading.Thread(target=accept)]
    threads[0].start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}", heads
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in threads:
            thread.join()


def transfer_with(network: NetworkSettings, handler: Callable[[httpx.Request], httpx.Response]) -> HttpClient:
    return HttpClient(network, httpx.MockTransport(handler))


# ------------------------------------------------------------------ what goes over the wire


def test_the_head_is_ours_to_the_byte(network: NetworkSettings) -> None:
    """httpx adds nothing, and sends the address as it is written: a signature may cover each of its signs."""
    with answering(f"{HEAD}\r\nok".encode()) as (host, heads), HttpClient(network) as transfer:
        transfer.get_bytes(f"http://{host}/a/../b//c;d/%7e'[x]?q='a'&r=%2f+%20", headers={"X-Own": "1"})
    assert heads == [
        (
            f"GET /a/../b//c;d/%7e'[x]?q='a'&r=%2f+%20 HTTP/1.1\r\nHost: {host}\r\n"
            f"User-Agent: {network.user_agent}\r\nAccept: */*\r\nX-Own: 1\r\nAccept-Encoding: identity\r\n"
        ).encode()
    ]


def test_cookies_are_not_kept(network: NetworkSettings) -> None:
    """What a host sets at one question is not told it at the next."""
    with (
        answering(f"{HEAD}Set-Cookie: a=b\r\n\r\nok".encode()) as (host, heads),
        HttpClient(network) as transfer,
    ):
        for _ in range(2):
            transfer.get_bytes(f"http://{host}/")
    assert heads[0] == heads[1]


@pytest.mark.parametrize("secret", ["Bearer X9\n", "Bearer X9\u20ac", "Bearer X9\x00"])
def test_a_token_that_no_header_can_hold_is_not_shown(network: NetworkSettings, secret: str) -> None:
    """Promise 11: neither h11's nor Python's own complaint reaches the person."""
    with answering(f"{HEAD}\r\nok".encode()) as (host, heads):
        network = replace(network, rewrite=(("https://data.example/", f"http://{host}/"),))
        with HttpClient(network) as transfer, pytest.raises(NetworkError) as raised:
            transfer.get_bytes("https://data.example/a", secrets={"Authorization": secret})
    assert heads == []
    assert raised.value.hint == "check the token"
    assert "X9" not in f"{raised.value}{raised.value.hint}{raised.value.__cause__!r}"


def test_an_etag_goes_back_as_it_came(network: NetworkSettings, tmp_path: Path) -> None:
    """RFC 9110 lets it hold any byte above 0x7f."""
    asked: list[bytes] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(dict(request.headers.raw).get(b"If-Range", b""))
        headers = [(b"ETag", b'"\xc3\xa9\xff"'), (b"Content-Length", b"%d" % SIZE)]
        if not asked[-1]:
            return httpx.Response(200, headers=headers, stream=Cut())
        at = int(request.headers["range"].removeprefix("bytes=").removesuffix("-"))
        headers = [headers[0], (b"Content-Range", b"bytes %d-%d/%d" % (at, SIZE - 1, SIZE))]
        return httpx.Response(206, headers=headers, content=DATA[at:])

    with transfer_with(network, handler) as transfer:
        transfer.download(Request(urls=("https://data.example/a.zip",)), tmp_path / "a.zip")
    assert asked == [b"", b'"\xc3\xa9\xff"']
    assert (tmp_path / "a.zip").read_bytes() == DATA


class Cut(httpx.SyncByteStream):
    """Half of the file, and then no more."""

    def __iter__(self) -> Iterator[bytes]:
        yield DATA[: SIZE // 2]
        raise httpx.ReadError("cut")


def test_a_signed_link_is_written_nowhere(
    network: NetworkSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Half a file comes from a link that dies; the next run asks the host itself again, and goes on by its new link."""
    asked: list[str] = []
    caplog.set_level("DEBUG")

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.url.host} {request.headers.get('range', '')}".strip())
        if len(asked) == 3:
            raise httpx.ConnectError("the network is gone")
        if request.url.host == "data.example":
            link = f"https://storage.example/a.zip?X-Amz-Signature=SIGNED{len(asked)}"
            return httpx.Response(302, headers={"Location": link})
        headers = {"ETag": '"1"', "Content-Length": str(SIZE)}
        if "range" not in request.headers:
            return httpx.Response(200, headers=headers, stream=Cut())
        at = int(request.headers["range"].removeprefix("bytes=").removesuffix("-"))
        headers = {"ETag": '"1"', "Content-Range": f"bytes {at}-{SIZE - 1}/{SIZE}"}
        return httpx.Response(206, headers=headers, content=DATA[at:])

    request = Request(urls=("https://data.example/a.zip",), size=SIZE, archive="zip")
    with (
        transfer_with(replace(network, attempts=1), handler) as transfer,
        pytest.raises(NetworkError) as raised,
    ):
        transfer.download(request, tmp_path / "a.zip")
    assert "SIGNED" not in f"{raised.value}{raised.value.hint}{caplog.text}"
    left = [path for path in tmp_path.iterdir() if path.is_file()]
    assert len(left) == 2  # the bytes so far, and their journal
    assert not any(b"SIGNED" in path.read_bytes() for path in left)
    with transfer_with(network, handler) as transfer:
        done = transfer.download(request, tmp_path / "a.zip")
    half = f"bytes={SIZE // 2}-"
    assert asked == [
        "data.example",
        "storage.example",
        *[f"data.example {half}"] * 2,
        f"storage.example {half}",
    ]
    assert (done.url, done.resumed_from) == ("https://data.example/a.zip", SIZE // 2)


# ------------------------------------------------------------------ one pool for all threads


@pytest.mark.shared
def test_a_deadline_is_the_thread_s_own(server: Any, network: NetworkSettings, tmp_path: Path) -> None:
    """One thread's slow head is given up while another's body, over the same pool, takes its time."""
    stalled, slow = server.url_for("a.zip", "drip:0.02"), server.url_for("a.zip", "slow:1M")
    network = replace(network, attempts=1)
    with HttpClient(network) as transfer, ThreadPoolExecutor(2) as pool:
        body = pool.submit(transfer.download, Request(urls=(slow,), size=SIZE), tmp_path / "slow.zip")
        with pytest.raises(Stalled):
            transfer.get_bytes(stalled)
        assert body.result().sha256 == SHA


@pytest.mark.shared
def test_threads_share_connections(server: Any, network: NetworkSettings) -> None:
    """What one thread leaves open the next one uses."""
    with HttpClient(network) as transfer:
        for _ in range(3):
            with ThreadPoolExecutor(1) as pool:
                pool.submit(transfer.get_bytes, server.url_for("answer.json")).result()
    assert len({end["conn"] for end in server.ended()}) == 1


def test_a_kept_connection_does_not_go_round_the_guard(network: NetworkSettings) -> None:
    """A redirect of a public host to where we are connected already: not a byte is sent."""
    with answering(f"{HEAD}\r\nok".encode()) as (host, heads):
        transport = GuardedTransport(network)
        for _ in range(2):
            response = transport.handle_request(httpx.Request("GET", f"http://{host}/"))
            assert (response.read(), response.extensions["peer"]) == (b"ok", "127.0.0.1")
        with pytest.raises(TransferFault, match="private address"):
            transport.handle_request(
                httpx.Request("GET", f"http://{host}/", extensions={"public_only": True})
            )
        transport.close()
    assert len(heads) == 2


# ------------------------------------------------------------------ what other transports may do


@pytest.mark.parametrize(
    ("failure", "error", "tries"),
    [
        (httpx.ConnectError("x"), CannotConnect, 5),
        (httpx.ConnectTimeout("x"), CannotConnect, 5),
        (httpx.ReadTimeout("x"), Stalled, 5),
        (httpx.PoolTimeout("x"), Stalled, 5),
        (httpx.ProxyError("x"), CannotConnect, 5),
        (httpx.RemoteProtocolError("x"), NetworkError, 5),
        (httpx.WriteError("x"), NetworkError, 5),
        (httpx.LocalProtocolError("X9"), NetworkError, 1),
        (httpx.UnsupportedProtocol("x"), CannotConnect, 1),
        (httpx.InvalidURL("x"), CannotConnect, 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_httpx_errors_become_ours(
    network: NetworkSettings, failure: Exception, error: type[DermdataError], tries: int
) -> None:
    """Each with the host's name, asked again only where that can help."""
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        raise failure

    with transfer_with(network, handler) as transfer, pytest.raises(error, match=r"data\.example") as raised:
        transfer.get_bytes("https://data.example/a?key=hidden")
    assert len(asked) == tries
    assert "hidden" not in raised.value.message


@pytest.mark.parametrize(
    "location", ["http://[::1", "http://a b/", "https:///x", "http://x:99999999/", "\xe9:"]
)
def test_a_redirect_that_makes_no_sense_is_told_at_once(
    network: NetworkSettings, slept: list[float], location: str
) -> None:
    """Row 35: httpx's own complaint about it would read like a broken connection, to be tried again."""
    handler = lambda _: httpx.Response(302, headers=[(b"Location", location.encode("latin-1"))])  # noqa: E731
    with transfer_with(network, handler) as transfer, pytest.raises((BadRedirect, ServerRefused)):
        transfer.get_bytes("https://data.example/a")
    assert slept == []


def test_an_address_that_httpx_refuses_is_an_error_of_ours(network: NetworkSettings) -> None:
    """It takes no address of more than 64 KiB."""
    with HttpClient(network) as transfer, pytest.raises(CannotConnect, match="no way to connect"):
        transfer.get_bytes(f"https://data.example/{'a' * 70_000}")


def test_a_mock_stands_for_every_host(network: NetworkSettings) -> None:
    """Mirrors, ranges and refusals without a server: the seam for tests of the rooms above."""

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.host == "gone.example":
            return httpx.Response(404)
        return httpx.Response(206, headers={"Content-Range": "bytes 2-4/9"}, content=b"cde")

    request = Request(urls=("https://gone.example/a", "https://data.example/a"), size=9)
    with transfer_with(network, handler) as transfer:
        assert transfer.read_range(request, 2, 3) == b"cde"
        with pytest.raises(IntegrityError):
            transfer.read_range(request, 2, 4)


# ------------------------------------------------------------------ proxies


def test_a_proxy_of_the_environment_is_asked(
    network: NetworkSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In the proxy's own form, with its password and not ours; a name in no_proxy goes directly."""
    with answering(f"{HEAD}\r\nok".encode()) as (host, heads):
        monkeypatch.setenv("http_proxy", f"http://me:p%40ss@{host}")
        monkeypatch.setenv("no_proxy", "nosuch.invalid")
        with HttpClient(replace(network, trust_env=True)) as transfer:
            assert transfer.get_bytes("http://data.example/a?b=c") == b"ok"
            with pytest.raises(CannotConnect, match="cannot resolve"):
                transfer.get_bytes("http://nosuch.invalid/")
    (head,) = heads
    assert head.startswith(b"GET http://data.example/a?b=c HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic bWU6cEBzcw==\r\n" in head  # me:p@ss
    assert b"Host: data.example\r\n" in head


# ------------------------------------------------------------------ start-up, privacy


@pytest.mark.parametrize("module", ["dermdata", "dermdata.cli.app", "dermdata.errors", "dermdata.model"])
def test_start_up_imports_no_http_library(module: str) -> None:
    """Only a command that downloads pays for httpx."""
    program = f"import sys, {module}; print(*{{'httpx', 'httpcore', 'h11'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.shared
def test_private_addresses_are_refused_whatever_the_form(get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 35: httpx reads these hosts as addresses, or does not; none is connected to."""
    real = urls.is_private
    monkeypatch.setattr(urls, "is_private", lambda text: text != "127.0.0.1" and real(text))
    for host in ("127.1", "0x7f.2", "2130706434", "[::ffff:127.0.0.2]"):
        with pytest.raises((BadRedirect, CannotConnect)) as raised:
            get(f"redirect:to=http:%2F%2F{host}:9%2F")
        assert "private address" in raised.value.message, host


# ------------------------------------------------------------------ other systems

WINDOWS = """
import fcntl, os, sys, types
from pathlib import Path
import httpx, dermdata.checksum  # what else is imported, as this system has it

def locking(handle, mode, count):
    if mode == 2:  # LK_NBLCK
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, count, os.lseek(handle, 0, os.SEEK_CUR))
        except BlockingIOError as error:
            raise PermissionError(13, "locked") from error

sys.modules["msvcrt"] = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
sys.modules["fcntl"] = None
sys.platform = "win32"
for name in ("pread", "preadv", "pwrite", "geteuid", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"):
    delattr(os, name)
from dermdata.http.partial_file import INLINE_BYTES, PartialFile
from dermdata.http.responses import FileVersion

target, data = Path(sys.argv[1]), os.urandom(INLINE_BYTES + 700_000)
for part in (data[:1_000_000], data[1_000_000:]):
    with PartialFile(target, "0" * 16, None) as file:
        if not file.received:
            file.start_over(FileVersion(total=len(data)))
        with file.open_cursor(file.received) as cursor:
            file.write(cursor, part)
        if file.received == len(data):
            file.finish()
assert target.read_bytes() == data
print(file.resumed_from, [path.name for path in target.parent.iterdir()])
"""


def test_partial_files_without_what_windows_lacks(tmp_path: Path) -> None:
    """No fcntl, no positional reads and writes, no user ids: the branches for Windows, run here."""
    target = tmp_path / "a.zip"
    done = subprocess.run(
        [sys.executable, "-c", WINDOWS, str(target)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "1000000 ['a.zip']\n", done.stderr


def test_what_is_connected_while_the_transport_closes_is_closed_too() -> None:
    """After Ctrl-C other threads may still be connecting: their sockets belong to no pool."""
    import httpcore

    from dermdata.http.policy import NetworkSettings
    from dermdata.http.transport import GuardedBackend

    with socket.create_server(("127.0.0.1", 0)) as server:
        backend = GuardedBackend(NetworkSettings(), public_only=False)
        port = server.getsockname()[1]
        first = backend.connect_tcp("127.0.0.1", port, 5)
        backend.close()
        assert first._inner.get_extra_info("socket").fileno() == -1  # type: ignore[attr-defined]
        with pytest.raises(httpcore.ConnectError):
            backend.connect_tcp("127.0.0.1", port, 5)


def test_a_closed_transport_connects_to_nobody(network: NetworkSettings) -> None:
    """A thread that asks a moment after Ctrl-C would open a connection that nobody closes."""
    with answering(f"{HEAD}\r\nok".encode()) as (host, heads):
        transport = GuardedTransport(network)
        transport.handle_request(httpx.Request("GET", f"http://{host}/")).read()
        transport.close()
        with pytest.raises(httpx.ConnectError, match="closed"):
            transport.handle_request(httpx.Request("GET", f"http://{host}/"))
    assert len(heads) == 1
