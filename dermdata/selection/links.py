"""Things that are linked."""

from collections.abc import Iterable, Iterator


class Links:
    """Words that mean the same, by a chain of links or directly."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._above: dict[str, str] = {}
        for one, other in pairs:
            self.join(one, other)

    def top(self, word: str) -> str:
        """The smallest word that it is linked to."""
        while (above := self._above.get(word, word)) != word:
            self._above[word] = self._above.get(above, above)
            word = above
        return word

    def join(self, one: str, other: str) -> None:
        low, high = sorted((self.top(one), self.top(other)))
        if low != high:
            self._above[high] = low
            self._above.setdefault(low, low)

    def __iter__(self) -> Iterator[str]:
        return iter(self._above)
