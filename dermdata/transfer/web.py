"""An address asked, its redirects followed by our own rules, with the turns at hosts."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import httpx

from dermdata.errors import BadRedirect
from dermdata.model import Request
from dermdata.transfer import replies
from dermdata.transfer.address import Hop, first_hop, headers_for, host_of, next_hop, sends_secrets, shown
from dermdata.transfer.hosts import Hosts
from dermdata.transfer.network import Network
from dermdata.transfer.replies import REDIRECTS, Then, Trouble
from dermdata.transfer.transport import CHUNK, GuardedTransport
from dermdata.transfer.wire import Answer, ask


class Web:
    """Asks addresses, from as many threads as you like, over connections that they share."""

    def __init__(self, network: Network, transport: httpx.BaseTransport | None = None) -> None:
        self.hosts = Hosts(network)
        self._network = network
        self._transport = transport or GuardedTransport(network)

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    @contextmanager
    def open(
        self,
        request: Request,
        url: str,
        extra: Mapping[str, str],
        *,
        spare: bool = False,
        chunk: int = CHUNK,
    ) -> Iterator[Answer]:
        """Ask an address and follow its redirects; Trouble when that fails.

        `spare`: only if a connection is free that nobody else waits for (hosts.Busy otherwise). The body
        comes in at most `chunk` bytes at once.
        """
        original = hop = first_hop(self._network, url)
        for count in range(self._network.redirects + 1):
            headers = headers_for(request, original, hop, extra)
            host = host_of(hop.asked)
            turn = self.hosts.spare_turn(host) if spare else self.hosts.turn(host)
            with turn, ask(self._transport, self._network, hop, headers, chunk) as answer:
                self.hosts.learn(host, answer.headers)
                location = answer.headers.get("location")
                if answer.status not in REDIRECTS or not location:
                    secret = bool(request.secrets) and sends_secrets(original, hop)
                    yield self._noted(replace(answer, redirected=count > 0, secret=secret))
                    return
                answer.drain()
                hop = self._redirected(hop, location, answer)
        raise Trouble(BadRedirect(f"{shown(url)} redirects more than {count} times"), Then.NEVER)

    def _redirected(self, hop: Hop, location: str, answer: Answer) -> Hop:
        try:
            return next_hop(self._network, hop, location, answer.peer)
        except BadRedirect as error:
            raise Trouble(error, Then.NEVER) from error

    def _noted(self, answer: Answer) -> Answer:
        """The answer, after its wish that this host be left alone for a while is kept."""
        if answer.status in replies.TRANSIENT:
            wait = replies.parse_retry_after(answer.headers.get("retry-after"), self._network.wall_clock())
            if wait and wait <= self._network.retry_after_limit:
                self.hosts.pause(answer.host, wait)
        return answer
