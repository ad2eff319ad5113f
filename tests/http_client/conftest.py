"""A server that misbehaves on request, a network that does not sleep, and requests for its files."""

import asyncio
import hashlib
import importlib.util
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from dermdata.http import HttpClient, NetworkSettings
from dermdata.http.transport import GuardedTransport
from dermdata.model import Request

SERVER = Path(__file__).parents[3] / "shared" / "tools" / "faultserver.py"
SIZE = 1_000_000
DATA = b"PK\x03\x04" + b"".join(hashlib.sha256(str(n).encode()).digest() for n in range(SIZE // 32 + 1))
DATA = DATA[:SIZE]
SHA = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(scope="session")
def faultserver() -> ModuleType:
    if not SERVER.exists():
        pytest.skip(f"{SERVER} is not here")
    spec = importlib.util.spec_from_file_location("faultserver", SERVER)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["faultserver"] = module
    spec.loader.exec_module(module)
    module.Wire.silence = silent(module.ClientGone)
    return module


def silent(gone: type[Exception]) -> Callable[..., Any]:
    """The server's silence, without a fault of its own.

    To see whether the client has left it takes a byte off the connection; a client that has its whole body asks
    its next question there already, which would then arrive as "ET /a.zip".
    """

    async def silence(wire: Any, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (rest := until - time.monotonic()) > 0:
            if wire.reader.at_eof() or wire.reader.exception():
                raise gone
            await asyncio.sleep(min(rest, 0.01))

    return silence


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "a.zip").write_bytes(DATA)
    (folder / "answer.json").write_text('{"ok": [1, 2]}')
    return folder


async def settled() -> None:
    """Return when every connection was taken up and let go, at most after two seconds.

    A connection that still waits to be accepted has no task yet: only several quiet rounds mean quiet.
    """
    quiet = 0
    for _ in range(1000):
        quiet = quiet + 1 if len(asyncio.all_tasks()) <= 2 else 0  # the server's own and this one
        if quiet > 5:
            return
        await asyncio.sleep(0.002 if quiet == 0 else 0)


@contextmanager
def serving(faultserver: ModuleType, root: Path, **options: Any) -> Iterator[Any]:
    """A server that is stopped only when it has let its clients go: it would leak their sockets."""
    with faultserver.FaultServer(root, **options) as running:
        yield running
        asyncio.run_coroutine_threadsafe(settled(), running._loop).result()


@pytest.fixture
def server(faultserver: ModuleType, root: Path) -> Iterator[Any]:
    with serving(faultserver, root) as running:
        yield running


@pytest.fixture
def slept() -> list[float]:
    """The pauses that the transfer wanted."""
    return []


@pytest.fixture
def network(slept: list[float]) -> NetworkSettings:
    """All limits real but small; pauses are noted, not slept."""
    return NetworkSettings(
        trust_env=False,
        sleep=slept.append,
        random=lambda: 1.0,
        connect_timeout=1,
        read_timeout=0.3,
        head_deadline=0.6,
        minimum_rate_window=0.4,
    )


Get = Callable[..., Any]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "a.zip"


@pytest.fixture
def get(server: Any, network: NetworkSettings, target: Path) -> Get:
    """Download a.zip with this fault spec; what the transfer gives back or raises."""

    def download(spec: str = "", progress: Callable[[int], None] = lambda _: None, **changes: Any) -> Any:
        options = {"size": SIZE, "checksum": f"sha256:{SHA}", "archive": "zip"} | changes
        net = replace(network, **options.pop("network", {}))
        transport = options.pop("transport", None)
        request = Request(urls=options.pop("urls", (server.url_for("a.zip", spec),)), **options)
        with HttpClient(net, transport) as transfer:
            return transfer.download(request, target, progress)

    return download


def left(target: Path) -> list[str]:
    """What lies beside the target, itself included."""
    return sorted(path.name for path in target.parent.iterdir()) if target.parent.exists() else []


class CountingTransport(GuardedTransport):
    """The real transport, which counts the answers that are under way: from the question to the close."""

    def __init__(self, network: NetworkSettings) -> None:
        super().__init__(network)
        self.asked = self.under_way = self.most = 0
        self.lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with self.lock:
            self.asked += 1
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        try:
            response = super().handle_request(request)
        except BaseException:
            self.finish()
            raise
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = CountedBody(response.stream, self.finish)
        return response

    def finish(self) -> None:
        with self.lock:
            self.under_way -= 1


class CountedBody(httpx.SyncByteStream):
    def __init__(self, inner: httpx.SyncByteStream, finish: Callable[[], None]) -> None:
        self.inner, self.finish = inner, finish

    def __iter__(self) -> Iterator[bytes]:
        yield from self.inner

    def close(self) -> None:
        self.inner.close()
        self.finish()
