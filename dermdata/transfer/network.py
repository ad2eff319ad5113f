"""How a run may use the network, and what a transfer hands back; values only."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dermdata import __version__


@dataclass(frozen=True, kw_only=True)
class Network:
    """How this run may use the network; the command line fills it in once."""

    offline: bool = False
    rewrite: tuple[tuple[str, str], ...] = ()  # prefix -> prefix; the longest wins; checksums still rule
    allow_private: bool = False  # may a public host redirect to a private address?
    trust_env: bool = True  # proxies and SSL_CERT_FILE from the environment
    attempts: int = 5  # tries without progress
    redirects: int = 10
    connections: int = 4  # at once to one host
    store_connections: int = 16  # at once to one object store
    window: float = 0.2  # seconds over which a rate is measured, before one file gets more connections
    connect_timeout: float = 15  # seconds, as all below
    read_timeout: float = 60  # silence within a body
    head_deadline: float = 30  # from the question to the end of the answer's head
    minimum_rate: int = 1024  # bytes a second …
    minimum_rate_window: float = 60  # … over so long
    retry_after_limit: float = 120
    user_agent: str = f"dermdata/{__version__}"
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    wall_clock: Callable[[], float] = time.time  # only to read a Retry-After that is a date
    random: Callable[[], float] = random.random

    def asked(self, url: str) -> str:
        """The address that is really asked for `url`."""
        return _swap(url, self.rewrite)

    def meant(self, url: str) -> str:
        """The address that an asked one stands for: the rewrite backwards."""
        return _swap(url, tuple((new, old) for old, new in self.rewrite))


@dataclass(frozen=True, kw_only=True)
class Received:
    """A file that lies whole under its final name."""

    path: Path
    size: int  # bytes
    sha256: str  # hex
    url: str  # the catalog's address it came from, without query
    verified: bool  # a checksum was given and matched
    resumed_from: int = 0  # bytes that an earlier run had left


@dataclass(frozen=True, kw_only=True)
class Head:
    """What a server says of a file before it is downloaded; None where it is silent."""

    size: int | None = None
    etag: str | None = None
    modified: str | None = None
    checksum: str | None = None  # `md5:…` of `x-goog-hash`


def _swap(url: str, pairs: tuple[tuple[str, str], ...]) -> str:
    fitting = [pair for pair in pairs if url.startswith(pair[0])]
    if not fitting:
        return url
    old, new = max(fitting, key=lambda pair: len(pair[0]))
    return new + url.removeprefix(old)
