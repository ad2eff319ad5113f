"""What an adapter may look at and whom it may ask; handed in, so that resolving knows no globals."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from dermdata.credentials import Credentials
from dermdata.errors import Offline, ServerRefused
from dermdata.model import NOTHING, Request

T = TypeVar("T")
GONE = (404, 410)


class Head(Protocol):
    """What a server says of a file before it is downloaded."""

    @property
    def size(self) -> int | None: ...
    @property
    def etag(self) -> str | None: ...
    @property
    def checksum(self) -> str | None: ...


class AskJson(Protocol):
    """HttpClient.get_json."""

    def __call__(self, url: str, /, *, secrets: Mapping[str, str] = NOTHING) -> Any: ...


class AskBytes(Protocol):
    """HttpClient.get_bytes."""

    def __call__(self, url: str, /) -> bytes: ...


def nobody(url: str, /, *, secrets: Mapping[str, str] = NOTHING) -> Any:
    """Stands for a network that may not be asked."""
    del secrets
    raise Offline(f"{urlsplit(url).netloc} must be asked, and may not", hint="run again without --offline")


class Answers:
    """What hosts have said in this run: each thing is asked once, even by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[tuple[str, ...], threading.Lock] = {}
        self._known: dict[tuple[str, ...], Any] = {}

    def of(self, key: tuple[str, ...], ask: Callable[[], T]) -> T:
        """The answer under this key, from `ask` if it is the first time; a failure is not kept."""
        with self._lock:
            turn = self._turns.setdefault(key, threading.Lock())
        with turn:
            if key not in self._known:
                self._known[key] = ask()
            answer: T = self._known[key]
            return answer


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What resolving may look at besides the entry: catalog folders, mirrors, hosts, credentials."""

    catalogs: tuple[Path, ...]  # folders, the last one wins
    mirrors: tuple[str, ...] = ()  # addresses or folders: <mirror>/<dataset>/<file name>
    environment: Mapping[str, str] | None = field(default=None, repr=False)
    ask: AskJson = nobody  # Transfer.get_json
    read: AskBytes = nobody  # Transfer.get_bytes
    head: Callable[[Request], Head] | None = None  # Transfer.resolve_head
    credentials: Credentials = field(default_factory=lambda: Credentials({}, None))
    answers: Answers = field(default_factory=Answers, repr=False, compare=False)

    def ask_about(self, what: str, url: str, secrets: Mapping[str, str] = NOTHING) -> Any:
        """A JSON answer about `what`; ServerRefused that names it when the host does not have it."""
        try:
            return self.ask(url, secrets=secrets)
        except ServerRefused as error:
            raise absent(what, url, error) from error


def absent(what: str, url: str, error: ServerRefused) -> ServerRefused:
    """The refusal in the entry's own words, if it says that there is no such thing."""
    if error.status not in GONE:
        return error
    return ServerRefused(
        f"{urlsplit(url).netloc} has no {what} ({error.status})",
        status=error.status,
        hint="its publisher may have withdrawn or renamed it; the dataset's page may say where it went",
    )
