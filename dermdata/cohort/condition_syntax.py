"""Tokens of a condition, each with its position, and `diagnosis under 'concept'` rewritten as plain SQL.

A condition goes to DuckDB between two brackets, so nothing in it may close them, end the statement or hide text in a
comment; only enough SQL is read to find that.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dermdata.errors import UsageError
from dermdata.markup import count_nouns
from dermdata.vocabulary import Vocabulary

LONGEST_CONDITION = 20_000  # characters
TOKEN_PATTERN = re.compile(
    r"""(?P<space>\s+)
      | (?P<hidden>--|/\*|;|\$)
      | (?P<string>'(?:[^']|'')*')
      | (?P<name>"(?:[^"]|"")+"|[^\W\d]\w*)
      | (?P<number>\d[\w.]*)
      | (?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)
UNDER_COLUMN = "diagnosis"
UNDER_HINT = (
    f"{UNDER_COLUMN} under 'melanoma', or {UNDER_COLUMN} not under ('melanoma', 'basal-cell-carcinoma')"
)
EXAMPLE_HINT = "an example: age >= 60 and diagnosis under 'melanocytic-neoplasm'"


@dataclass(frozen=True, slots=True)
class Token:
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


def tokenize(condition: str) -> list[Token]:
    """The pieces without the space between them; UsageError for what no condition may hold."""
    if not condition.strip():
        raise UsageError("the condition is empty", hint=EXAMPLE_HINT)
    if len(condition) > LONGEST_CONDITION:
        raise UsageError(
            f"the condition has {count_nouns(len(condition), 'character')}, more than {LONGEST_CONDITION:,}"
        )
    found = [
        Token(str(match.lastgroup), match.group(), match.start())
        for match in TOKEN_PATTERN.finditer(condition)
    ]
    for complaint in (*forbidden_errors(found), *bracket_errors(found)):
        raise complaint
    return [piece for piece in found if piece.kind != "space"]


def forbidden_errors(found: list[Token]) -> Iterator[UsageError]:
    for before, piece in zip([None, *found], found, strict=False):
        if piece.kind == "hidden":
            what = "one condition, without comments, ; or $"
            yield syntax_error(f"'{piece.text}' is not allowed", piece.start, hint=what)
        if piece.text in "'\"":
            yield syntax_error("a quote is not closed", piece.start)
        if piece.kind == "string" and before and before.is_word("e"):
            yield syntax_error(
                "e'…' is not allowed", before.start, hint="a quote inside a string is written ''"
            )


def bracket_errors(found: list[Token]) -> Iterator[UsageError]:
    opened: list[Token] = []
    for piece in found:
        if piece.text == "(":
            opened.append(piece)
        elif piece.text == ")" and not opened:
            yield syntax_error("this ) closes nothing", piece.start)
            return
        elif piece.text == ")":
            opened.pop()
    if opened:
        yield syntax_error("this ( is not closed", opened[-1].start)


def syntax_error(what: str, start: int, *, hint: str | None = None) -> UsageError:
    """The complaint with its place as people count it, from 1."""
    return UsageError(f"the condition is wrong at character {start + 1}: {what}", hint=hint or EXAMPLE_HINT)


@dataclass(frozen=True)
class SqlCondition:
    """Plain SQL, and where each part of it stood in what the person wrote."""

    sql: str
    places: tuple[tuple[int, int], ...]  # (start in sql, start in the condition), ascending

    def original_position(self, position: int) -> int:
        """The character of the condition that a character of the SQL came from."""
        start, origin = max((one for one in self.places if one[0] <= position), default=(0, 0))
        return origin + position - start


def rewrite_under(condition: str, vocabulary: Vocabulary) -> SqlCondition:
    """The condition as plain SQL; UnknownName for a concept that is not there, UsageError with the place."""
    found = tokenize(condition)
    parts: list[str] = []
    places, copied, length = [(0, 0)], 0, 0
    for number, piece in enumerate(found):
        if not piece.is_word("under"):
            continue
        check_operand(found, number)
        concepts, end = parse_operands(found, number + 1, len(condition))
        names = dict.fromkeys(
            one for concept in concepts for one in concept_and_descendants(concept, vocabulary)
        )
        text = f"{condition[copied : piece.start]}in ({', '.join(map(quote_literal, names))})"
        parts.append(text)
        copied, length = end, length + len(text)
        places.append((length, end))
    return SqlCondition("".join((*parts, condition[copied:])), tuple(places))


def check_operand(found: Sequence[Token], number: int) -> None:
    """Only diagnoses are concepts of this vocabulary."""
    before = number - (2 if number and found[number - 1].is_word("not") else 1)
    if before < 0 or found[before].kind != "name" or found[before].word.lower() != UNDER_COLUMN:
        raise syntax_error(f"`under` follows {UNDER_COLUMN}", found[number].start, hint=UNDER_HINT)


def parse_operands(found: Sequence[Token], number: int, end: int) -> tuple[list[str], int]:
    """The concepts after `under`, one or a bracketed list, and the character behind them."""
    rest = found[number:]
    closing = next((place for place, piece in enumerate(rest) if piece.text == ")"), 0)
    if rest and rest[0].kind == "string":
        return [rest[0].word], rest[0].start + len(rest[0].text)
    if rest and rest[0].text == "(" and is_list_of_strings(rest[1:closing]):
        return [piece.word for piece in rest[1:closing:2]], rest[closing].start + 1
    start = rest[0].start if rest else end
    raise syntax_error("`under` needs a concept in single quotes", start, hint=UNDER_HINT)


def is_list_of_strings(pieces: Sequence[Token]) -> bool:
    """Whether they are strings with a comma between each two."""
    return (
        len(pieces) % 2 == 1
        and all(piece.kind == "string" for piece in pieces[::2])
        and all(piece.text == "," for piece in pieces[1::2])
    )


def concept_and_descendants(concept: str, vocabulary: Vocabulary) -> Iterator[str]:
    yield vocabulary[concept].id
    yield from vocabulary.descendants(concept)


def quote_literal(text: str) -> str:
    """A string as SQL writes it: repr takes double quotes, a name's, where an apostrophe is inside."""
    return "'" + text.replace("'", "''") + "'"
