"""Which column is which field, once each is judged: the surest first, each column for one field; pure."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from dermdata.inference.columns import (
    JUDGES,
    NAME_WEIGHT,
    POSSIBLE,
    Column,
    ColumnGuess,
    ColumnGuesses,
    Judgment,
    Surroundings,
    split_camel_case,
)
from dermdata.inference.words import COLUMN_NAMES
from dermdata.manifest.match import strip_ending
from dermdata.model import IMAGE_ENDINGS
from dermdata.vocabulary.concepts import normalize_text

SAID_BY_WORDS = {"image", "label_raw", "differential", "sex"}  # whose words can be nothing else
LONG_NAME = 0.75  # what a name of three words and more is worth, wherever it stands in the column's
MOST_SHARED = 0.05  # of the words of one of several image columns, those that another one has as well


def guess_columns(columns: Sequence[Column], around: Surroundings) -> ColumnGuesses:
    """Every field that a column of the table may be, each column for one field at most.

    Parameters
    ----------
    columns
        The table's columns.
    around
        The files, words and sites that they are compared with.

    Returns
    -------
    ColumnGuesses
        What is sure, the best guess for each field, and what should be asked, the likeliest first.

    """
    every = (guess_field(column, name, around) for column in columns for name in JUDGES)
    scored = sorted(filter(None, every), key=lambda one: (-one.score, list(JUDGES).index(one.field)))
    sure = take_sure(scored)
    taken = {one.column for one in sure.values()}
    questions = [
        one for one in scored if not one.is_sure and one.column not in taken and one.field not in sure
    ]
    return ColumnGuesses(sure=sure, questions=questions, views=find_views(columns, scored))


def place_name(guess: ColumnGuess) -> int:
    """How sure the column's name is among those of its field: the place in the list, the end for one that is none."""
    names = COLUMN_NAMES[guess.field]
    plain = normalize_text(split_camel_case(guess.column))
    return names.index(plain) if plain in names else len(names)


def take_sure(scored: Iterable[ColumnGuess]) -> dict[str, ColumnGuess]:
    """Field -> its best guess, where that is sure: the one that is called so before what only looks so.

    Each column is for one field, but that weights of diagnoses are the label as well.
    """
    sure: dict[str, ColumnGuess] = {}
    for guess in sorted(filter(lambda one: one.is_sure, scored), key=place_name):
        if guess.field not in sure and guess.column not in {one.column for one in sure.values()}:
            sure[guess.field] = guess
    if "differential" in sure and "label_raw" not in sure:
        sure["label_raw"] = replace(sure["differential"], field="label_raw")
    return dict(sorted(sure.items(), key=lambda one: (-one[1].score, list(JUDGES).index(one[0]))))


def find_views(columns: Sequence[Column], scored: Iterable[ColumnGuess]) -> list[ColumnGuess]:
    """The columns that name images, where they are several and name different ones."""
    found = {one.column: one for one in scored if (one.field, one.is_sure) == ("image", True)}
    apart: list[Column] = []
    for column in columns:
        if column.name in found and not names_same_files(column, apart):
            apart.append(column)
    return [found[one.name] for one in apart] if len(apart) > 1 else []


def names_same_files(column: Column, others: Iterable[Column]) -> bool:
    return any(share_files(column, other) for other in others)


def name_file(word: str) -> str:
    """The file that a word names, whether with its ending or without."""
    name = word.casefold()
    return strip_ending(name) if name.endswith(IMAGE_ENDINGS) else name


def share_files(one: Column, other: Column) -> bool:
    """Whether two columns name the same images, but for a few."""
    files, others = (set(map(name_file, column.words)) for column in (one, other))
    return len(files & others) > MOST_SHARED * min(len(files), len(others))


def guess_field(column: Column, name: str, around: Surroundings) -> ColumnGuess | None:
    """How likely a column is this field; None where nothing speaks for it."""
    named = name_likeness(column.plain_name, name) if column.is_named else 0.0
    if not named and not (name in SAID_BY_WORDS and JUDGES[name](column.sample, around).alone):
        return None
    judgment = JUDGES[name](column, around)
    if not judgment.evidence or not (named or judgment.alone):
        return None
    score = weigh(judgment, named, is_named=column.is_named)
    if score < POSSIBLE:
        return None
    evidence = f"{describe_name(column, named)}; {judgment.evidence}"
    return ColumnGuess(
        field=name, column=column.name, score=round(score, 3), evidence=evidence, values=judgment.values
    )


def weigh(judgment: Judgment, named: float, *, is_named: bool) -> float:
    """Name and words in one score; words that can be nothing else count alone, a little less under another name."""
    score = NAME_WEIGHT * named + (1 - NAME_WEIGHT) * judgment.fit
    if not judgment.alone:
        return score
    alone = 0.6 + 0.4 * judgment.fit
    return max(score, min(alone - 0.1 * (1 - named), judgment.most) if is_named else alone)


def describe_name(column: Column, named: float) -> str:
    if not column.is_named:
        return "it has no name"
    return f"it is called '{column.name}'" if named else f"whatever it is called ('{column.name}')"


def name_likeness(plain: str, name: str) -> float:
    """1 for the very name, less where it is only a part of the column's; three words of a name are no chance."""
    if plain in COLUMN_NAMES[name]:
        return 1.0
    padded = f" {plain} "
    found = [one for one in COLUMN_NAMES[name] if f" {one} " in padded and len(one) > 2]
    if not found:
        return 0.0
    best = max(found, key=len)
    return max(0.4 + 0.4 * len(best) / len(plain), LONG_NAME if len(best.split()) > 2 else 0.0)
