"""The pieces of a condition, each with its place; only enough SQL to find what must not go on to the engine.

A condition goes to DuckDB between two brackets, so nothing in it may close them, end the statement or hide text
in a comment.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dermdata.errors import UsageError

LONGEST = 20_000  # characters of a condition
PIECE = re.compile(
    r"""(?P<space>\s+)
      | (?P<hidden>--|/\*|;|\$)
      | (?P<string>'(?:[^']|'')*')
      | (?P<name>"(?:[^"]|"")+"|[^\W\d]\w*)
      | (?P<number>\d[\w.]*)
      | (?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)
EXAMPLE = "an example: age >= 60 and diagnosis under 'melanocytic-neoplasm'"


@dataclass(frozen=True, slots=True)
class Piece:
    """A name, string, number or sign as it was written, and the character it begins at, from 0."""

    kind: str
    text: str
    start: int

    @property
    def word(self) -> str:
        """A name without its quotes, a string's value; a bare name in lower case, as SQL compares it."""
        quote = self.text[0]
        if quote in "'\"":
            return self.text[1:-1].replace(quote * 2, quote)
        return self.text.lower()

    def is_word(self, *words: str) -> bool:
        """Whether it is one of these keywords, which are never quoted."""
        return self.kind == "name" and self.text.lower() in words


def pieces(condition: str) -> list[Piece]:
    """The pieces without the space between them; UsageError for what no condition may hold."""
    if not condition.strip():
        raise UsageError("the condition is empty", hint=EXAMPLE)
    if len(condition) > LONGEST:
        raise UsageError(f"the condition has {len(condition):,} characters, more than {LONGEST:,}")
    found = [Piece(str(match.lastgroup), match.group(), match.start()) for match in PIECE.finditer(condition)]
    for complaint in (*forbidden(found), *unbalanced(found)):
        raise complaint
    return [piece for piece in found if piece.kind != "space"]


def forbidden(found: list[Piece]) -> Iterator[UsageError]:
    for before, piece in zip([None, *found], found, strict=False):
        if piece.kind == "hidden":
            what = "one condition, without comments, ; or $"
            yield wrong(f"'{piece.text}' is not allowed", piece.start, hint=what)
        if piece.text in "'\"":
            yield wrong("a quote is not closed", piece.start)
        if piece.kind == "string" and before and before.is_word("e"):
            yield wrong("e'…' is not allowed", before.start, hint="a quote inside a string is written ''")


def unbalanced(found: list[Piece]) -> Iterator[UsageError]:
    opened: list[Piece] = []
    for piece in found:
        if piece.text == "(":
            opened.append(piece)
        elif piece.text == ")" and not opened:
            yield wrong("this ) closes nothing", piece.start)
            return
        elif piece.text == ")":
            opened.pop()
    if opened:
        yield wrong("this ( is not closed", opened[-1].start)


def wrong(what: str, start: int, *, hint: str | None = None) -> UsageError:
    """The complaint with its place as people count it, from 1."""
    return UsageError(f"the condition is wrong at character {start + 1}: {what}", hint=hint or EXAMPLE)
