"""Columns of 0 and 1: classes of which a row has just one, and concepts of which it may have several; pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from dermdata.inference.columns import SURE, Column, ColumnGuesses
from dermdata.markup import count_nouns, count_share
from dermdata.vocabulary.concepts import normalize_text

SET = frozenset({"1", "1.0", "true", "yes", "x"})
NOT_SET = frozenset({"0", "0.0", "false", "no", ""})
BELOW = SURE - 0.01  # the score of what would be sure, if nothing were surer
MOST_WITHOUT = 0.1  # of the rows that have no class, where other columns of 0 and 1 stand beside the classes
MOST_WORDS = 2 * len(SET | NOT_SET)  # of a column that says yes or no, in any case
LEAST_CLASSES = 2
LEAST_CONCEPTS = 3


@dataclass(frozen=True, kw_only=True)
class FlagGuess:
    """Columns of 0 and 1 that belong together, and what they are."""

    field: str  # one_hot | concepts
    columns: tuple[str, ...]
    score: float
    evidence: str
    none_set: int = 0  # rows in which no class is set

    @property
    def is_sure(self) -> bool:
        return self.score >= SURE


def is_flag(column: Column) -> bool:
    """Whether the column says yes or no."""
    if not 0 < len(column.words) <= MOST_WORDS:
        return False
    return {normalize_text(word) for word in column.words} <= SET | NOT_SET


def guess_flags(
    columns: Sequence[Column], rows: Mapping[str, Sequence[str | None]], is_diagnosis: Callable[[str], bool]
) -> FlagGuess | None:
    """What the table's columns of 0 and 1 are: classes where no row has two of them, else concepts.

    Parameters
    ----------
    columns
        The table's columns.
    rows
        Column -> its cells, row by row.
    is_diagnosis
        Whether a name is a known diagnosis.

    Returns
    -------
    FlagGuess or None
        None where there are too few such columns.

    """
    flags = [column for column in columns if is_flag(column)]
    named = [column for column in flags if is_diagnosis(column.name)]
    classes = named if len(named) >= LEAST_CLASSES else []
    if classes and (guess := guess_classes(flags, classes, rows)):
        return guess
    if len(flags) < LEAST_CONCEPTS:
        return None
    names = tuple(column.name for column in flags)
    evidence = f"{count_nouns(len(names), 'column')} of 0 and 1, several of them set in a row"
    return FlagGuess(field="concepts", columns=names, score=0.6, evidence=evidence)


def guess_classes(
    flags: Sequence[Column], named: Sequence[Column], rows: Mapping[str, Sequence[str | None]]
) -> FlagGuess | None:
    """The classes, where no row has two: all flags where they fit together, else those with known names."""
    for chosen in (flags, named):
        counts = count_set(chosen, rows)
        if max(counts, default=0) > 1:
            continue
        none_set = counts.count(0)
        if len(chosen) < len(flags) and none_set > MOST_WITHOUT * len(counts):
            continue
        known = sum(column in named for column in chosen)
        evidence = (
            f"{count_share(known, len(chosen), 'column', 'are')} called like a known diagnosis, "
            f"and no row has two; {count_share(none_set, len(counts), 'row', 'have')} none"
        )
        score = 0.6 + 0.4 * known / len(chosen)
        names = tuple(column.name for column in chosen)
        return FlagGuess(
            field="one_hot", columns=names, score=round(score, 3), evidence=evidence, none_set=none_set
        )
    return None


def count_set(columns: Sequence[Column], rows: Mapping[str, Sequence[str | None]]) -> list[int]:
    """How many of the columns are set in each row."""
    marks = [{word for word in column.words if normalize_text(word) in SET} for column in columns]
    cells = zip(*(rows[column.name] for column in columns), strict=True)
    return [
        sum((cell or "").strip() in words for cell, words in zip(row, marks, strict=True)) for row in cells
    ]


def choose_labels(
    found: ColumnGuesses, flags: FlagGuess | None, columns: Sequence[Column]
) -> tuple[ColumnGuesses, FlagGuess | None]:
    """One label a row: where a column of diagnoses and class columns are both sure, what says more rows is taken.

    Parameters
    ----------
    found
        The guesses of single columns.
    flags
        What the columns of 0 and 1 are.
    columns
        The table's columns.

    Returns
    -------
    ColumnGuesses, FlagGuess or None
        Without the label that has to stand back, which is a question then.

    """
    label = found.sure.get("label_raw")
    if label is None or flags is None or not flags.is_sure or flags.field != "one_hot":
        return found, flags
    labeled = next(one for one in columns if one.name == label.column)
    if labeled.filled >= labeled.rows - flags.none_set:
        return found, None
    sure = {name: one for name, one in found.sure.items() if name != "label_raw"}
    asked = replace(label, score=BELOW, evidence=f"{label.evidence}, but {flags.evidence}")
    return replace(found, sure=sure, questions=[asked, *found.questions]), flags
