"""Where the page listens: the socket, the address that is printed, and the names by which it may be asked."""

import errno
import ipaddress
import socket
import sys
from dataclasses import dataclass

from dermdata.errors import StorageError, UsageError

LOOPBACK = "127.0.0.1"
OWN_NAMES = (LOOPBACK, "localhost", "[::1]")
ELSEWHERE = ("192.0.2.1", 9)  # of nobody (RFC 5737): what leads there is how others reach this machine
NO_SUCH_ADDRESS = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
HOST_HINT = f"--host {LOOPBACK}, which only this machine can ask; 0.0.0.0 is all of its addresses"


@dataclass(frozen=True)
class PageAddress:
    """An address that is listened on."""

    socket: socket.socket
    typed: str  # as a person gave the host

    @property
    def number(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
        """The address as a number, whatever the host was called."""
        return ipaddress.ip_address(self.socket.getsockname()[0].partition("%")[0])

    @property
    def port(self) -> int:
        """The port; where 0 was asked for, the one that was free."""
        return int(self.socket.getsockname()[1])

    @property
    def is_open(self) -> bool:
        """Whether other machines can ask."""
        return not self.number.is_loopback

    @property
    def is_any(self) -> bool:
        """Whether all of the machine's addresses are listened on."""
        return self.number.is_unspecified

    @property
    def hosts(self) -> frozenset[str]:
        """What a request may call the server, with the port; where `is_any`, each number is allowed besides."""
        own = {bracket(str(self.number)), bracket(self.typed)}
        if self.is_any:
            own = {*OWN_NAMES, socket.gethostname(), socket.getfqdn()}
        elif not self.is_open:
            own |= set(OWN_NAMES)
        return frozenset(f"{name}:{self.port}".lower() for name in own)

    @property
    def shown(self) -> str:
        """What this machine's browser opens."""
        own = "::1" if self.number.version == 6 else LOOPBACK  # IPv6
        name = own if self.is_any else self.typed
        return f"http://{bracket(name)}:{self.port}"

    @property
    def remote(self) -> str | None:
        """What another machine's browser opens; None where none can."""
        if not self.is_open:
            return None
        return f"http://{find_outer_address()}:{self.port}" if self.is_any else self.shown


def open_address(host: str, port: int) -> PageAddress:
    """Listen; errors name the address and say what to do.

    Parameters
    ----------
    host : str
        A number or a name of this machine; 0.0.0.0 and :: are all of its addresses.
    port : int
        0: a free one.

    Raises
    ------
    UsageError
        For a host that is none, or is not this machine's.
    StorageError
        Where the port is taken or may not be used.

    """
    typed = host.strip("[]")
    family, place = find_place(typed, port)
    # by name: asyncio sends at once (TCP_NODELAY) only where it sees that it is TCP; else each answer waits 40 ms
    try:
        opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise UsageError(f"{host} cannot be listened on: {error.strerror}", hint=HOST_HINT) from error
    try:
        if sys.platform != "win32":  # where it would let two servers have one port
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(place)
        opened.listen()  # whoever reads the address at once waits, and is not refused
    except OSError as error:
        opened.close()
        if error.errno in NO_SUCH_ADDRESS:
            raise UsageError(f"{host} is no address of this machine", hint=HOST_HINT) from error
        raise StorageError(
            f"{bracket(typed)}:{port} cannot be listened on: {error.strerror}",
            hint="another --port, or 0 for a free one",
        ) from error
    return PageAddress(opened, typed)


def find_place(host: str, port: int) -> tuple[socket.AddressFamily, tuple[object, ...]]:
    """The address family and the place of a host, IPv4 first; UsageError for what is none."""
    if not 0 <= port <= 65535:
        raise UsageError(f"there is no port {port}", hint="a port is 0 (a free one) to 65535")
    try:
        found = (
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE) if host else []
        )
    except (OSError, ValueError):  # ValueError: what cannot be a host's name at all
        found = []
    known = [(one[0], one[4]) for one in found if one[0] in {socket.AF_INET, socket.AF_INET6}]
    if not known:
        raise UsageError(f"there is no address '{host}' on this machine", hint=HOST_HINT)
    return min(known, key=lambda one: one[0] != socket.AF_INET)


def find_outer_address() -> str:
    """The number by which other machines reach this one, else its name; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(ELSEWHERE)
            return str(probe.getsockname()[0])
        except OSError:  # no network: its name is all that is known
            return socket.gethostname()


def bracket(host: str) -> str:
    """A host as an address has it."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def is_number(host: str) -> bool:
    """Whether a host is an address in numbers, which no name server can make lead here (DNS rebinding)."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
