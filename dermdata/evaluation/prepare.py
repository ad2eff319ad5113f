"""Predictions are matched to the rows of a manifest by key, image id or ISIC id.

Everything that cannot be judged is counted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dermdata.errors import BadTable
from dermdata.evaluation.predictions import (
    MAX_ROWS_IN_MESSAGE,
    ClassNaming,
    PredictionColumns,
    check_probability_sums,
    count_phrase,
    detect_columns,
    parse_probabilities,
    row_numbers_phrase,
)
from dermdata.evaluation.sample import REST_NAME, Codes, Floats, Mask, Sample
from dermdata.manifest.columns import text_column
from dermdata.manifest.parquet import take_rows
from dermdata.manifest.schema import EXTENSION_PATTERN
from dermdata.markup import agree_verb, count_nouns
from dermdata.projection import LABEL
from dermdata.readers.typed_cells import clean_ids
from dermdata.vocabulary import LabelSpace

FOLDER_PATTERN = r"^.*[/\\]"
KEY_COLUMNS = ("key", "image_id", "isic_id")
MAX_EXAMPLES, MAX_LETTERS = 3, 80  # in a message, and of a word
NO_KEY = "(a row without key)"
BINARY = ("benign", "malignant")  # where a model tells only these, the others are none of its business
UNDECIDED = "indeterminate"  # neither malignant nor not
Cleaner = Callable[[pa.Array], pa.Array]


@dataclass(frozen=True)
class RowMatches:
    """Each prediction's row of the manifest, -1 where there is none; how that was found."""

    rows: Codes
    column: str
    how: str  # the spelling; "": as written

    @property
    def unknown(self) -> Mask:
        return np.asarray(self.rows < 0)


def match_rows(words: pa.Array, table: pa.Table, name: str) -> RowMatches:
    """By the column and spelling under which most predictions are found; BadTable if none is, or one fits two rows."""
    words = clean_ids(words)
    tries = [
        try_spelling(words, table, column, how, clean) for how, clean in SPELLINGS for column in KEY_COLUMNS
    ]
    best = max(tries, key=lambda one: int((one.rows >= 0).sum()))  # the first of equals: the plainest
    if best.unknown.all():
        examples, own = (quote_examples(one) for one in (words, text_column(table, "image_id")))
        raise BadTable(
            f"{name}: no prediction is of an image of the target ({examples}; the target has {own})",
            hint="predictions need a column key or image_id",
        )
    require_one_image(dict(SPELLINGS)[best.how](words), table, best)
    return best


def quote_examples(words: pa.Array) -> str:
    """A few of the words for a message, none longer than a line."""
    some = words.drop_null().slice(0, MAX_EXAMPLES).to_pylist()
    return ", ".join(f"'{word[:MAX_LETTERS]}'" for word in some)


def try_spelling(words: pa.Array, table: pa.Table, column: str, how: str, clean: Cleaner) -> RowMatches:
    found = pc.index_in(clean(words), clean_ids(text_column(table, column)), skip_nulls=True).fill_null(-1)
    return RowMatches(found.to_numpy(zero_copy_only=False).astype(np.int64), column, how)


def require_one_image(words: pa.Array, table: pa.Table, found: RowMatches) -> None:
    """BadTable where a word that was found is that of two images."""
    counts = pc.value_counts(clean_ids(text_column(table, found.column)).drop_null())
    twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    several = words.filter(pc.and_(pc.is_in(words, twice), pa.array(~found.unknown)))
    if len(several):
        raise BadTable(
            f"{found.column} '{several[0]}' is that of several images of the target",
            hint="give predictions a column key",
        )


def keep_spelling(words: pa.Array) -> pa.Array:
    return words


def strip_extension(words: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(words, EXTENSION_PATTERN, "")


def strip_folders(words: pa.Array) -> pa.Array:
    return strip_extension(pc.replace_substring_regex(words, FOLDER_PATTERN, ""))


SPELLINGS: tuple[tuple[str, Cleaner], ...] = (
    ("", keep_spelling),
    (", without file endings", strip_extension),
    (", without folders and file endings", strip_folders),
)


@dataclass(frozen=True)
class PreparedSample:
    """What can be judged, and the images and predictions that cannot."""

    sample: Sample
    table: pa.Table  # the rows of the sample
    counts: dict[str, int]
    missing: list[str]  # keys of the images with a class that have no prediction
    notes: list[str]


@dataclass
class PredictionValues:
    """The predictions as numbers, in their own order, and notes about them."""

    classes: tuple[str, ...]  # that the model tells apart
    values: Floats | None  # (predictions, classes)
    decisions: Sequence[str | None] | None
    notes: list[str] = field(default_factory=list)

    def is_empty(self) -> Mask:
        """Predictions that say nothing."""
        if self.values is not None:
            return np.asarray(np.isnan(self.values).all(axis=1))
        return np.array([one is None for one in self.decisions or ()], bool)

    def is_same(self, one: int, other: int) -> bool:
        if self.values is not None:
            return bool(np.array_equal(self.values[one], self.values[other]))
        return self.decisions is not None and self.decisions[one] == self.decisions[other]


def prepare_sample(
    predictions: pa.Table, target: pa.Table, space: LabelSpace, naming: ClassNaming, name: str
) -> PreparedSample:
    """Match predictions to the rows that they are of.

    Parameters
    ----------
    predictions : pyarrow.Table
        Text, as `parse_predictions` gives it.
    target : pyarrow.Table
        A manifest with `label`, the class of each row.
    space : LabelSpace
        Whose classes are judged.
    naming : ClassNaming
        Gives the class of a column or word.
    name : str
        What the predictions are called in an error.

    Returns
    -------
    PreparedSample

    Raises
    ------
    BadTable
        For predictions that cannot be read as such, or none that is of a row.

    """
    found = detect_columns(predictions, naming, name)
    whole, repeated = keep_first_rows(target)
    joined = match_rows(predictions[found.image].combine_chunks(), whole, name)
    scores = read_values(predictions, found, naming, name)
    place, counts, notes = place_predictions(joined, scores, whole.num_rows)
    labels = text_column(whole, LABEL).to_pylist()
    classes, positive = choose_classes(scores, labels, space)
    truth = number_classes(labels, classes, positive, space)
    judged = np.flatnonzero((truth >= 0) & (place >= 0))
    missing = np.flatnonzero((truth >= 0) & (place < 0))
    if not len(judged):
        raise BadTable(f"{name}: no image of the target has both a class and a prediction")
    counts |= {
        "missing_predictions": len(missing),
        "without_class": int((truth < 0).sum()),
        "repeated_rows": repeated,
    }
    keys = [one or NO_KEY for one in text_column(whole, "key").take(pa.array(missing)).to_pylist()]
    all_notes = [
        found.summary(),
        f"images found by {joined.column}{joined.how}",
        *unread_notes(found),
        *(relabeled_notes(target) if repeated else ()),
        *scores.notes,
        *notes,
        *class_notes(classes, positive, scores),
    ]
    sample = make_sample(truth[judged], place[judged], scores, classes, positive)
    return PreparedSample(sample, take_rows(whole, judged), counts, keys, all_notes)


def keep_first_rows(target: pa.Table) -> tuple[pa.Table, int]:
    """Each key's first row, and how many rows were there again."""
    keys = text_column(target, "key")
    if not keys.null_count and pc.count_distinct(keys).as_py() == len(keys):
        return target, 0
    first: dict[Any, int] = {}
    for number, key in enumerate(keys.to_pylist()):
        first.setdefault(number if key is None else key, number)
    return take_rows(target, np.array([*first.values()], np.int64)), target.num_rows - len(first)


def relabeled_notes(target: pa.Table) -> list[str]:
    """A note where rows have a key that an earlier row has with another class."""
    first: dict[Any, str | None] = {}
    cells = zip(text_column(target, "key").to_pylist(), text_column(target, LABEL).to_pylist(), strict=True)
    other = sum(key is not None and first.setdefault(key, label) != label for key, label in cells)
    return (
        [
            f"{count_nouns(other, 'row')} of the target {agree_verb(other, 'are')} "
            "there again with another class: the first counts"
        ]
        if other
        else []
    )


# ------------------------------------------------------------------ predictions


def read_values(
    predictions: pa.Table, found: PredictionColumns, naming: ClassNaming, name: str
) -> PredictionValues:
    if found.decision:
        return parse_decisions(predictions[found.decision].combine_chunks(), found.decision, naming, name)
    columns = [column for some in found.probabilities.values() for column in some]
    cells = parse_probabilities(predictions, columns, name)
    owner = np.array([n for n, some in enumerate(found.probabilities.values()) for _ in some])
    values = np.stack([cells[:, owner == n].sum(axis=1) for n in range(len(found.probabilities))], axis=1)
    note = check_probability_sums(values, name, found.unread) if values.shape[1] > 1 else None
    return PredictionValues(
        tuple(found.probabilities), np.clip(values, 0.0, 1.0), None, [note] if note else []
    )


def parse_decisions(words: pa.Array, column: str, naming: ClassNaming, name: str) -> PredictionValues:
    distinct = [one for one in words.unique().to_pylist() if one and one.strip()]
    classes = {word: naming(word) for word in distinct}
    strange = [f"'{word}' ({naming.why_not(word)})" for word in distinct if not classes[word]]
    if strange:
        some = ", ".join(strange[:MAX_ROWS_IN_MESSAGE])
        raise BadTable(
            f"{name}: column {column} holds what is no class of {naming.space.name}: {some}",
            hint=f"its classes are {', '.join(naming.space.classes)}",
        )
    decided = [classes.get(word) for word in words.to_pylist()]
    return PredictionValues(tuple(dict.fromkeys(filter(None, decided))), None, decided)


def place_predictions(
    joined: RowMatches, scores: PredictionValues, count: int
) -> tuple[Codes, dict[str, int], list[str]]:
    """Of each of `count` rows its prediction (the first of several), -1 where there is none; what was left out."""
    place = np.full(count, -1, np.int64)
    empty = scores.is_empty()
    again, differing = 0, []
    for number, row in enumerate(joined.rows.tolist()):
        if row < 0 or empty[number]:
            continue
        if place[row] < 0:
            place[row] = number
        else:
            again += 1
            differing += [] if scores.is_same(number, place[row]) else [number]
    notes = []
    if joined.unknown.any():
        unknown = f"{count_phrase(joined.unknown, 'prediction')} ({row_numbers_phrase(joined.unknown)})"
        notes.append(f"of no image of the target: {unknown}")
    if empty.any():
        notes.append(
            f"empty, which is none: {count_phrase(empty, 'prediction')} ({row_numbers_phrase(empty)})"
        )
    if again:
        other = np.isin(np.arange(len(empty)), differing)
        more = (
            f"; {count_phrase(other, 'prediction')} said something else ({row_numbers_phrase(other)})"
            if differing
            else ""
        )
        notes.append(f"{again:,} more than one of an image: the first counts{more}")
    counts = {"unknown_predictions": int(joined.unknown.sum()), "duplicate_predictions": again}
    return place, {**counts, "empty_predictions": int(empty.sum())}, notes


# ------------------------------------------------------------------ classes


def choose_classes(
    scores: PredictionValues, labels: Sequence[str | None], space: LabelSpace
) -> tuple[tuple[str, ...], int | None]:
    """The classes that are judged, in the space's order; which one is told from the rest, if one is."""
    predicted, has_scores = set(scores.classes), scores.values is not None
    if has_scores and len(predicted) == 1:
        return (REST_NAME.format(scores.classes[0]), scores.classes[0]), 1
    is_binary = predicted == set(BINARY) if has_scores else predicted <= set(BINARY)
    if space.facet and is_binary:
        return BINARY, 1
    if not (space.facet and has_scores):
        predicted.update(filter(None, labels))
    return tuple(one for one in space.classes if one in predicted), None


def number_classes(
    labels: Sequence[str | None], classes: tuple[str, ...], positive: int | None, space: LabelSpace
) -> Codes:
    """Each row's class by number; -1 for none, and for a class that is not judged."""
    numbers = {name: number for number, name in enumerate(classes)}
    if positive is not None and classes[0] not in space.classes:
        others = [
            one for one in space.classes if one != classes[1] and not (space.facet and one == UNDECIDED)
        ]
        numbers |= dict.fromkeys(others, 0)
    return np.array([numbers.get(label or "", -1) for label in labels], np.int64)


def make_sample(
    truth: Codes, place: Codes, scores: PredictionValues, classes: tuple[str, ...], positive: int | None
) -> Sample:
    """The judged images in the manifest's order."""
    if scores.values is None:
        numbers = {name: number for number, name in enumerate(classes)}
        decided = [numbers[(scores.decisions or ())[one] or ""] for one in place.tolist()]
        return Sample(classes, truth, np.array(decided, np.int64), None, positive)
    values = scores.values[place]
    if positive is not None:
        probability = values[:, scores.classes.index(classes[positive])]
        return Sample(
            classes,
            truth,
            (probability >= 0.5).astype(np.int64),
            np.stack([1 - probability, probability], axis=1),
            positive,
        )
    whole = np.zeros((len(truth), len(classes)))
    for number, name in enumerate(scores.classes):
        whole[:, classes.index(name)] = values[:, number]
    return Sample(classes, truth, whole.argmax(axis=1).astype(np.int64), whole, None)


# ------------------------------------------------------------------ notes


def unread_notes(found: PredictionColumns) -> list[str]:
    return [f"not read: {', '.join(found.unread)}"] if found.unread else []


def class_notes(classes: tuple[str, ...], positive: int | None, scores: PredictionValues) -> list[str]:
    """What the classes are that are judged, where that is not plain."""
    if positive is not None:
        return [f"judged: {classes[1]} against {'all the rest' if classes[0] not in BINARY else classes[0]}"]
    absent = [one for one in classes if one not in scores.classes]
    return [f"never predicted, so always wrong: {', '.join(absent)}"] if absent else []
