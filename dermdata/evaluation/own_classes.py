"""Which of the target's own words predictions are in: its labels, its diagnosis ids or its raw words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from dermdata.errors import UsageError
from dermdata.evaluation.predictions import (
    find_decision_column,
    find_image_column,
    holds_numbers,
    normalize_word,
    strip_probability_mark,
)
from dermdata.manifest.columns import text_column
from dermdata.projection import LABEL, set_text_column
from dermdata.vocabulary import Vocabulary

KINDS = {LABEL: "labels", "diagnosis": "diagnosis ids", "label_raw": "raw words"}  # columns of the target
FEWEST_COLUMNS = 2  # that must be the target's words where not all are


@dataclass(frozen=True)
class PredictedWords:
    """What a model predicts, as words are compared: its decisions, or the columns of its probabilities."""

    decisions: frozenset[str]
    columns: frozenset[str]

    def are_of(self, known: Iterable[str]) -> bool:
        """Whether the target's words are what is predicted."""
        words = set(known)
        if self.decisions:
            return self.decisions <= words
        shared = self.columns & words
        return bool(shared) and (len(shared) >= FEWEST_COLUMNS or shared == self.columns)


@dataclass(frozen=True)
class OwnClasses:
    """Classes that are words of the target: those of one of its columns, and more that are predicted."""

    column: str
    classes: Mapping[str, str]  # a word as it is compared -> the class

    def label_rows(self, target: pa.Table) -> pa.Table:
        """The target with the class of each row, null where it has no such word."""
        words = text_column(target, self.column).to_pylist()
        found = {word: self.classes.get(normalize_word(word)) for word in set(words) if word}
        return set_text_column(target, LABEL, [found.get(word) for word in words])


def list_predicted_words(predictions: pa.Table) -> PredictedWords:
    """The distinct words of the decisions, and what the columns of numbers are called."""
    image, decision = find_image_column(predictions), find_decision_column(predictions)
    words = predictions[decision].unique().to_pylist() if decision else []
    named = [
        strip_probability_mark(name)[0]
        for name in predictions.column_names
        if name not in (image, decision) and holds_numbers(predictions[name])
    ]
    return PredictedWords(
        frozenset(normalize_word(word) for word in words if word and word.strip()),
        frozenset(map(normalize_word, named)),
    )


def find_own_classes(
    predicted: PredictedWords, target: pa.Table, vocabulary: Vocabulary, columns: Sequence[str] = tuple(KINDS)
) -> OwnClasses | None:
    """Find the column of the target that the predictions are in the words of.

    Parameters
    ----------
    predicted : PredictedWords
        Of `list_predicted_words`.
    target : pyarrow.Table
        A manifest.
    vocabulary : Vocabulary
        A model may predict concepts of which the target has no image.
    columns : sequence of str
        Of `KINDS`; the first that does is taken.

    Returns
    -------
    OwnClasses or None

    Raises
    ------
    UsageError
        A raw word that is predicted means several things in the target.

    """
    for column in columns:
        classes = index_words(text_column(target, column).unique().to_pylist())
        if column == "diagnosis" and predicted.decisions & classes.keys():
            classes |= {one: one for one in predicted.decisions if one in vocabulary}
        if predicted.are_of(classes):
            if column == "label_raw":
                require_one_meaning(predicted, target)
            return OwnClasses(column, classes)
    return None


def index_words(words: Iterable[str | None]) -> dict[str, str]:
    """Words by how they are compared; of several that are compared alike the first in the alphabet."""
    return {normalize_word(word): word for word in sorted(filter(None, words), reverse=True)}


def require_one_meaning(predicted: PredictedWords, target: pa.Table) -> None:
    """UsageError for a predicted word that two datasets use for different things."""
    pairs = pa.table({name: text_column(target, name) for name in ("label_raw", "diagnosis")})
    meanings: dict[str, set[str]] = {}
    for row in pairs.group_by(pairs.column_names).aggregate([]).to_pylist():
        if row["label_raw"] and row["diagnosis"]:
            meanings.setdefault(normalize_word(row["label_raw"]), set()).add(row["diagnosis"])
    for word in sorted((predicted.decisions or predicted.columns) & meanings.keys()):
        if len(meanings[word]) > 1:
            raise UsageError(
                f"'{word}' means different things in the target: {', '.join(sorted(meanings[word]))}",
                hint="predict diagnosis ids, or give --labels SPACE",
            )


def class_of_diagnoses(target: pa.Table) -> dict[str, str]:
    """The class that all rows of a diagnosis have, by the diagnosis as it is compared."""
    pairs = pa.table({name: text_column(target, name) for name in ("diagnosis", LABEL)})
    found: dict[str, set[str]] = {}
    for row in pairs.group_by(pairs.column_names).aggregate([]).to_pylist():
        if row["diagnosis"] and row[LABEL]:
            found.setdefault(normalize_word(row["diagnosis"]), set()).add(row[LABEL])
    return {word: classes.pop() for word, classes in found.items() if len(classes) == 1}
