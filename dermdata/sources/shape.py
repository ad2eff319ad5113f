"""Reads answers that others wrote: every field is checked before it is used (pure)."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from dermdata.errors import NotTheFile

T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """A JSON object within an answer about `what`; NotTheFile when a field is not what it must be."""

    value: Any
    what: str

    def rows(self, key: str) -> Iterator["Part"]:
        """The objects of a list; an absent list is a fault, an empty one is not."""
        yield from each(self._at(key), f"{self.what}: {key}")

    def part(self, key: str) -> "Part":
        return Part(self._at(key), f"{self.what}: {key}")

    def text(self, key: str) -> str:
        """A string that is not empty."""
        value = self._at(key)
        if not isinstance(value, str) or not value:
            raise self.strange(key, "a text")
        return value

    def maybe(self, key: str) -> str | None:
        """A string, None when it is absent, null or empty."""
        return self.text(key) if self._at(key) not in (None, "") else None

    def count(self, key: str) -> int | None:
        """A whole number from 0 on, also as text; None when it is absent or null."""
        value = self._at(key)
        if value is None:
            return None
        if isinstance(value, bool) or not re.fullmatch(r"\d{1,18}", str(value), re.ASCII):
            raise self.strange(key, "a whole number")
        return int(value)

    def number(self, key: str) -> int:
        """A whole number from 0 on that must be there."""
        if (value := self.count(key)) is None:
            raise self.strange(key, "a whole number")
        return value

    def digest(self, key: str, algorithm: str) -> str | None:
        """`md5:<hex>` from a bare digest or one that names its algorithm; None when it is absent."""
        value = self.maybe(key)
        if value is None:
            return None
        length = {"md5": 32, "sha256": 64}[algorithm]
        match = re.fullmatch(rf"(?:{algorithm}:)?([0-9a-f]{{{length}}})", value.lower(), re.ASCII)
        if not match:
            raise self.strange(key, f"an {algorithm}")
        return f"{algorithm}:{match[1]}"

    def address(self, key: str) -> str:
        """An http(s) address."""
        value = self.text(key)
        if not re.match(r"https?://[^/\s]", value):
            raise self.strange(key, "an http(s) address")
        return value

    def true(self, key: str) -> bool:
        """Whether a flag is set; absent is not set."""
        return bool(self._at(key))

    def strange(self, key: str, wanted: str) -> NotTheFile:
        """The error for a field that is not what it must be."""
        return strange(f"{self.what}: '{key}' is not {wanted}")

    def _at(self, key: str) -> Any:
        if not isinstance(self.value, dict):
            raise strange(f"{self.what} is not an object")
        return self.value.get(key)


def each(value: Any, what: str) -> Iterator[Part]:
    """The objects of a list."""
    if not isinstance(value, list):
        raise strange(f"{what} is not a list")
    for row in value:
        yield Part(row, what)


def pages(page: Callable[[str], tuple[Iterable[T], str | None]], what: str) -> Iterator[T]:
    """The rows of all pages: `page` takes a token, "" at first, and gives rows and the next page's token."""
    seen, token = set[str](), ""
    while token not in seen:
        seen.add(token)
        rows, following = page(token)
        yield from rows
        if not following:
            return
        token = following
    raise strange(f"{what}: its pages go round in a circle")


def strange(said: str) -> NotTheFile:
    return NotTheFile(
        f"an answer that is not as expected: {said}",
        hint="the host may have changed its interface; a newer dermdata may know it",
    )
