"""Connections that are opened to checked addresses only, and whose waits end at one deadline."""

import socket
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore

from dermdata.transfer.address import is_private, private
from dermdata.transfer.network import Network
from dermdata.transfer.replies import Then, Trouble

SocketOptions = Iterable[
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
]


class Guard(httpcore.NetworkBackend):
    """Opens connections: to public addresses only where that is asked for, and never past a deadline."""

    def __init__(self, network: Network) -> None:
        self._inner = httpcore.SyncBackend()
        self._clock = network.clock
        self.deadline: float | None = None
        self.public_only = False
        self.chunk = 1 << 16  # bytes

    def remaining(self, timeout: float | None) -> float | None:
        """The timeout, cut to what is left until the deadline."""
        if self.deadline is None:
            return timeout
        left = self.deadline - self._clock()
        if left <= 0:
            raise httpcore.ReadTimeout("deadline")
        return left if timeout is None else min(left, timeout)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: SocketOptions | None = None,
    ) -> httpcore.NetworkStream:
        place = _public_address(host, port) if self.public_only else host
        left = self.remaining(timeout)
        # connecting to the address that was checked: a name may mean another one a moment later
        stream = self._inner.connect_tcp(place, port, left, local_address, socket_options)
        try:
            peer = stream.get_extra_info("server_addr")  # now: after a reset nobody can tell any more
        except OSError as error:
            stream.close()
            raise httpcore.ConnectError("reset") from error
        return TimedStream(stream, self, peer)


class TimedStream(httpcore.NetworkStream):
    """A connection whose every wait ends at the guard's deadline."""

    def __init__(self, inner: httpcore.NetworkStream, guard: Guard, peer: Any) -> None:
        self._inner, self._guard, self._peer = inner, guard, peer

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - always 64 KiB
        # larger reads cost less, smaller ones lose less at a kill
        return self._inner.read(self._guard.chunk, self._guard.remaining(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._guard.remaining(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._guard.remaining(timeout)
        secure = self._inner.start_tls(ssl_context, server_hostname, left)
        return TimedStream(secure, self._guard, self._peer)

    def get_extra_info(self, info: str) -> Any:
        return self._peer if info == "server_addr" else self._inner.get_extra_info(info)


def _public_address(host: str, port: int) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore.ConnectError("resolve") from error
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if is_private(address):
            raise Trouble(private(host if host == address else f"{host} ({address})"), Then.NEVER)
    return addresses[0]
