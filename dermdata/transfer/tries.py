"""How often and how long: tries without progress, pauses between them, the minimum rate."""

from dermdata.errors import Stalled
from dermdata.transfer import replies
from dermdata.transfer.network import Network
from dermdata.transfer.replies import Then, Trouble


class Tries:
    """How often one address may still be asked; the only place that sleeps between tries."""

    def __init__(self, network: Network, have: int = 0, restarts: int = 0) -> None:
        self._network = network
        self._forgiven = self._restarts = restarts
        self._best = have  # bytes: only beyond this there is progress
        self._failures = 0
        self._once: set[Then] = set()
        self._started = network.clock()

    def start(self) -> None:
        self._started = self._network.clock()

    def spend(self, trouble: Trouble, have: int = 0, restarts: int = 0) -> None:
        """Wait and return when another try may follow, else raise the trouble's error.

        `have` bytes are kept now; bytes were given up `restarts` times, each of which costs a try.
        """
        if trouble.then is Then.NEVER:
            raise trouble.error from trouble
        if trouble.then in (Then.FRESH, Then.ORIGIN):
            self._spend_once(trouble, restarts)
        else:
            self._spend_one(trouble, have, restarts)

    def _spend_once(self, trouble: Trouble, restarts: int) -> None:
        if trouble.then in self._once:
            raise trouble.error from trouble
        self._once.add(trouble.then)
        if trouble.then is Then.FRESH:
            self._best = self._failures = 0
            self._forgiven = self._restarts = restarts

    def _spend_one(self, trouble: Trouble, have: int, restarts: int) -> None:
        if restarts > self._restarts:
            self._restarts, self._best = restarts, 0
        if self._progress(have):
            self._best, self._failures = have, 0
            self._once.discard(Then.ORIGIN)  # a new link that gave bytes may die as well
        elif trouble.then is Then.LATER:
            self._failures += 1
        if self._failures + self._restarts - self._forgiven >= self._network.attempts:
            raise trouble.error from trouble
        if trouble.then is Then.LATER and not trouble.wait:
            self._network.sleep(replies.backoff(self._failures, self._network.random()))

    def _progress(self, have: int) -> bool:
        gained = have - self._best
        seconds = self._network.clock() - self._started
        return gained > 0 and not replies.too_slow(gained, seconds, self._network)


class Pace:
    """Watches that a body keeps the minimum rate; only the time spent waiting for it counts."""

    def __init__(self, network: Network, host: str) -> None:
        self._network, self._host = network, host
        self._waited, self._received = 0.0, 0

    def count(self, received: int, seconds: float) -> None:
        """Trouble when a window of waiting ends that was too slow."""
        self._received += received
        self._waited += seconds
        if replies.too_slow(self._received, self._waited, self._network):
            said = f"{self._host} sends less than {self._network.minimum_rate} bytes a second"
            hint = "run the same command again later: it goes on from here"
            raise Trouble(Stalled(said, hint=hint), Then.LATER)
        if self._waited >= self._network.minimum_rate_window:
            self._waited, self._received = 0.0, 0
