"""The one place where connections per host are counted, and where a host's wish to wait is kept."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from dermdata.transfer.network import Network

STORE_HEADERS = ("x-amz-request-id", "x-goog-hash", "x-goog-generation", "x-ms-request-id")


class Busy(Exception):
    """No connection to this host is to spare."""


@dataclass
class _Host:
    limit: int
    busy: int = 0
    waiting: int = 0
    not_before: float = 0.0  # on the network's clock


class Hosts:
    """Turns at hosts, shared by all threads of one transfer."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._hosts: dict[str, _Host] = {}
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, host: str) -> Iterator[None]:
        """Hold one of the host's connections; waits for one to be free and for the host's pause to end."""
        with self._changed:
            state = self._state(host)
            state.waiting += 1
            try:
                self._changed.wait_for(lambda: state.busy < state.limit)
            finally:
                state.waiting -= 1
            state.busy += 1
            pause = state.not_before - self._network.clock()
        try:
            if pause > 0:
                self._network.sleep(pause)
            yield
        finally:
            self._give_back(state)

    @contextmanager
    def spare_turn(self, host: str) -> Iterator[None]:
        """Hold a connection that nobody else wants now; Busy when there is none, or the host wants a pause."""
        with self._changed:
            state = self._state(host)
            paused = state.not_before > self._network.clock()
            if paused or state.waiting or state.busy >= state.limit:
                raise Busy(host)
            state.busy += 1
        try:
            yield
        finally:
            self._give_back(state)

    def room(self, host: str) -> int:
        """How many more connections to this host there may be, now that nobody waits for one."""
        with self._changed:
            state = self._state(host)
            return 0 if state.waiting else max(0, state.limit - state.busy)

    def crowded(self, host: str) -> bool:
        """Whether somebody waits for a connection to this host."""
        with self._changed:
            return self._state(host).waiting > 0

    def limit(self, host: str) -> int:
        """How many connections to this host there may be at all."""
        with self._changed:
            return self._state(host).limit

    def _give_back(self, state: _Host) -> None:
        with self._changed:
            state.busy -= 1
            self._changed.notify_all()

    def pause(self, host: str, seconds: float) -> None:
        """Let nobody ask this host for so long."""
        with self._changed:
            state = self._state(host)
            state.not_before = max(state.not_before, self._network.clock() + seconds)

    def learn(self, host: str, headers: Mapping[str, str]) -> None:
        """An object store shows itself by its headers; it takes more connections."""
        if any(name in headers for name in STORE_HEADERS):
            with self._changed:
                self._state(host).limit = self._network.store_connections
                self._changed.notify_all()

    def _state(self, host: str) -> _Host:
        return self._hosts.setdefault(host, _Host(self._network.connections))
