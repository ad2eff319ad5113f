"""`diagnosis under 'concept'`: rewritten into a list of the concept and all below it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dermdata.errors import UnknownName
from dermdata.selection.tokens import Piece, pieces, wrong
from dermdata.vocabulary import Vocabulary

COLUMN = "diagnosis"
USE = f"{COLUMN} under 'melanoma', or {COLUMN} not under ('melanoma', 'basal-cell-carcinoma')"


@dataclass(frozen=True)
class Rewritten:
    """Plain SQL, and where each part of it stood in what the person wrote."""

    sql: str
    places: tuple[tuple[int, int], ...]  # (start in sql, start in the condition), ascending

    def place(self, position: int) -> int:
        """The character of the condition that a character of the SQL came from."""
        start, origin = max((one for one in self.places if one[0] <= position), default=(0, 0))
        return origin + position - start


def rewritten(condition: str, vocabulary: Vocabulary) -> Rewritten:
    """The condition as plain SQL; UnknownName for a concept that is not there, UsageError with the place."""
    found = pieces(condition)
    parts: list[str] = []
    places, copied, length = [(0, 0)], 0, 0
    for number, piece in enumerate(found):
        if not piece.is_word("under"):
            continue
        check_operand(found, number)
        concepts, end = operands(found, number + 1, len(condition))
        names = dict.fromkeys(one for concept in concepts for one in whole(concept, vocabulary))
        text = f"{condition[copied : piece.start]}in ({', '.join(map(quoted, names))})"
        parts.append(text)
        copied, length = end, length + len(text)
        places.append((length, end))
    return Rewritten("".join((*parts, condition[copied:])), tuple(places))


def check_operand(found: Sequence[Piece], number: int) -> None:
    """Only diagnoses are concepts of this vocabulary."""
    before = number - (2 if number and found[number - 1].is_word("not") else 1)
    if before < 0 or found[before].kind != "name" or found[before].word.lower() != COLUMN:
        raise wrong(f"`under` follows {COLUMN}", found[number].start, hint=USE)


def operands(found: Sequence[Piece], number: int, end: int) -> tuple[list[str], int]:
    """The concepts after `under`, one or a bracketed list, and the character behind them."""
    rest = found[number:]
    if rest and rest[0].kind == "string":
        return [rest[0].word], rest[0].start + len(rest[0].text)
    concepts: list[str] = []
    for place, piece in enumerate(rest):
        if piece.text == ")" and concepts and place % 2 == 0:
            return concepts, piece.start + 1
        if place % 2 == 1 and piece.kind == "string":
            concepts.append(piece.word)
        elif piece.text != ("(" if place == 0 else ","):
            break
    raise wrong("`under` needs a concept in single quotes", rest[0].start if rest else end, hint=USE)


def whole(concept: str, vocabulary: Vocabulary) -> Iterator[str]:
    if concept not in vocabulary:
        hint = "`dermdata labels find TEXT` searches the vocabulary"
        raise UnknownName("concept", concept, [one.id for one in vocabulary], hint=hint)
    yield concept
    yield from vocabulary.descendants(concept)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
