"""From a host's name to one connection: looked up within a time, and to the first of its addresses that answers.

The system's look-up of names knows no timeout and no interruption, so it runs in a thread that nobody waits for longer
than for a connection. Of a host with several addresses each gets a head start before the next is tried beside it
(RFC 8305): where IPv6 leads nowhere, that costs a quarter of a second and not the whole timeout.
"""

import ipaddress
import queue
import socket
import threading
import time
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest
from typing import Generic, Protocol, TypeVar

HEAD_START = 0.25  # seconds, as RFC 8305 recommends
MOST_ADDRESSES = 8  # of one host that are tried
LOOK = 0.1  # seconds between two looks whether everything was closed meanwhile

T = TypeVar("T")


class Closable(Protocol):
    """A connection."""

    def close(self) -> None: ...


C = TypeVar("C", bound=Closable)


class ClosedWhileWaiting(Exception):
    """The transport was closed, as after Ctrl-C."""


class NameLookupTimeout(TimeoutError):
    """The system did not say in time which addresses a name has."""


def find_root_cause(error: BaseException) -> BaseException:
    """Return what an error began with: httpcore's pool clears the cause of its own, and leaves the context."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return error


def resolve_host(host: str, port: int, timeout: float, is_closed: Callable[[], bool]) -> list[str]:
    """Return the addresses of a host, IPv6 and IPv4 in turns, in the system's own order of preference.

    Raises
    ------
    socket.gaierror
        If the host has none.
    NameLookupTimeout
        If nobody says so in time.
    ClosedWhileWaiting
        If `is_closed` before that.

    """
    if _is_address(host):
        return [host]
    found: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:  # UnicodeError: a label that is too long for a name
            found.put(error if isinstance(error, OSError) else socket.gaierror(socket.EAI_NONAME, str(error)))
        else:
            found.put(alternate_families(dict.fromkeys(str(entry[4][0]) for entry in entries)))

    threading.Thread(target=look_up, name="resolve", daemon=True).start()
    answer = _take(found, time.monotonic() + timeout, is_closed)
    if answer is None:
        raise NameLookupTimeout(host)
    if isinstance(answer, OSError):
        raise answer
    return answer


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def alternate_families(addresses: Sequence[str] | dict[str, None]) -> list[str]:
    """Return the addresses so that IPv6 and IPv4 take turns, beginning with the family of the first one."""
    first = [address for address in addresses if (":" in address) == (":" in next(iter(addresses)))]
    others = [address for address in addresses if address not in first]
    turns = chain.from_iterable(zip_longest(first, others))
    return [address for address in turns if address is not None][:MOST_ADDRESSES]


def connect_first(
    addresses: Sequence[str],
    connect: Callable[[str, float], C],
    timeout: float,
    is_closed: Callable[[], bool],
    head_start: float = HEAD_START,
) -> C:
    """Return a connection to the first of these addresses that answers; the others' are closed.

    Parameters
    ----------
    addresses
        In the order in which they are tried.
    connect
        Makes a connection to an address within so many seconds; called in several threads at once.
    timeout
        Seconds for all of them together.
    is_closed
        Whether nobody wants the connection any more.
    head_start
        Seconds that each address is alone, unless it fails before.

    Raises
    ------
    Exception
        What `connect` raised for the first address, when all have failed; TimeoutError when none has answered.

    """
    until = time.monotonic() + timeout
    if len(addresses) == 1:
        return connect(addresses[0], timeout)
    race = _Race(connect)
    errors: list[Exception] = []
    try:
        for number, address in enumerate(addresses, 1):
            race.start(address, max(0.001, until - time.monotonic()))
            last = number == len(addresses)
            while len(errors) < number:
                step = until if last else min(until, time.monotonic() + head_start)
                answer = _take(race.answers, step, is_closed)
                if answer is None:
                    break  # the next one starts beside it
                if not isinstance(answer, Exception):
                    return answer
                errors.append(answer)
    finally:
        race.stop()
    raise errors[0] if errors else TimeoutError("no answer in time")


class _Race(Generic[C]):
    """Connections under way, of which one is taken and the others are closed as soon as they stand."""

    def __init__(self, connect: Callable[[str, float], C]) -> None:
        self.answers: queue.SimpleQueue[C | Exception] = queue.SimpleQueue()
        self._connect = connect
        self._over = False
        self._lock = threading.Lock()

    def start(self, address: str, timeout: float) -> None:
        threading.Thread(target=self._run, args=(address, timeout), name="connect", daemon=True).start()

    def _run(self, address: str, timeout: float) -> None:
        try:
            answer = self._connect(address, timeout)
        except Exception as error:  # noqa: BLE001 - raised again in the thread that waits for it
            self.answers.put(error)
            return
        with self._lock:
            if self._over:
                answer.close()
            else:
                self.answers.put(answer)

    def stop(self) -> None:
        """Close what came too late."""
        with self._lock:
            self._over = True
        while not self.answers.empty():
            late = self.answers.get()
            if not isinstance(late, Exception):
                late.close()


def _take(answers: "queue.SimpleQueue[T]", until: float, is_closed: Callable[[], bool]) -> T | None:
    """Return what comes first before this time, else None; ClosedWhileWaiting when nobody waits for it any more."""
    while (left := until - time.monotonic()) > 0:
        try:
            return answers.get(timeout=min(left, LOOK))
        except queue.Empty:
            if is_closed():
                raise ClosedWhileWaiting from None
    return None
