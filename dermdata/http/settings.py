"""What a run may do with the network: limits, proxies, rewrites, and its clock."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from dermdata import __version__


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """How one run may use the network.

    `rewrite` swaps the longest prefix of an address that fits; checksums bind the other address as well. The clock,
    the pauses and the chance are arguments, so that a test needs no time.
    """

    offline: bool = False
    rewrite: tuple[tuple[str, str], ...] = ()  # prefix, and what stands in its place
    allow_private: bool = False  # whether a public host may redirect to a private address
    trust_env: bool = True  # proxies and SSL_CERT_FILE from the environment
    attempts: int = 5  # tries without progress
    redirects: int = 10
    connections: int = 4  # at once to one host
    store_connections: int = 16  # at once to one object store
    window: float = 0.2  # seconds over which a rate is measured, before one file gets more connections
    connect_timeout: float = 15  # seconds, as all below
    read_timeout: float = 60  # silence within a body
    head_deadline: float = 30  # from the request to the end of the response's head
    minimum_rate: int = 1024  # bytes a second …
    minimum_rate_window: float = 60  # … over so long
    retry_after_limit: float = 120
    user_agent: str = f"dermdata/{__version__}"
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    wall_clock: Callable[[], float] = time.time  # only to read a Retry-After that is a date
    random: Callable[[], float] = random.random

    def rewrite_url(self, url: str) -> str:
        """Return the address that is requested in place of `url`."""
        return _swap_prefix(url, self.rewrite)

    def restore_url(self, url: str) -> str:
        """Return the address that a requested one stands for: the rewrite backwards."""
        return _swap_prefix(url, tuple((new, old) for old, new in self.rewrite))


def _swap_prefix(url: str, pairs: tuple[tuple[str, str], ...]) -> str:
    fitting = [pair for pair in pairs if url.startswith(pair[0])]
    if not fitting:
        return url
    old, new = max(fitting, key=lambda pair: len(pair[0]))
    return new + url.removeprefix(old)
