"""Predictions and manifest brought together: who is judged, and everything that is not, counted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dermdata.errors import BadTable
from dermdata.evaluation.columns import MANY, Found, check_sums, counted, detect, numbers, rows_of
from dermdata.evaluation.joining import Joined, join
from dermdata.evaluation.naming import Naming
from dermdata.evaluation.sample import REST, Codes, Floats, Mask, Sample
from dermdata.manifest import store
from dermdata.projection import LABEL, words_of
from dermdata.vocabulary import Space

NO_KEY = "(a row without key)"
BINARY = ("benign", "malignant")  # where a model tells only these, the others are none of its business
UNDECIDED = "indeterminate"  # neither malignant nor not


@dataclass(frozen=True)
class Prepared:
    """What can be judged, and the images and predictions that cannot."""

    sample: Sample
    table: pa.Table  # the rows of the sample
    counts: dict[str, int]
    missing: list[str]  # keys of the images with a class that have no prediction
    notes: list[str]


@dataclass
class Scores:
    """The predictions as numbers, in their own order; what of them is worth telling."""

    classes: tuple[str, ...]  # that the model tells apart
    values: Floats | None  # (predictions, classes)
    decided: Sequence[str | None] | None
    notes: list[str] = field(default_factory=list)

    def empty(self) -> Mask:
        """Predictions that say nothing."""
        if self.values is not None:
            return np.asarray(np.isnan(self.values).all(axis=1))
        return np.array([one is None for one in self.decided or ()], bool)

    def same(self, one: int, other: int) -> bool:
        if self.values is not None:
            return bool(np.array_equal(self.values[one], self.values[other]))
        return self.decided is not None and self.decided[one] == self.decided[other]


def prepare(predictions: pa.Table, target: pa.Table, space: Space, naming: Naming, name: str) -> Prepared:
    """`target` has `label`, the class of each row; BadTable for predictions that cannot be read as such."""
    found = detect(predictions, naming, name)
    whole, repeated = once(target)
    joined = join(predictions[found.image].combine_chunks(), whole, name)
    scores = read(predictions, found, naming, name)
    place, counts, notes = placed(joined, scores, whole.num_rows)
    labels = words_of(whole, LABEL).to_pylist()
    classes, positive = classes_of(scores, labels, space)
    truth = numbered(labels, classes, positive, space)
    judged = np.flatnonzero((truth >= 0) & (place >= 0))
    missing = np.flatnonzero((truth >= 0) & (place < 0))
    if not len(judged):
        raise BadTable(f"{name}: no image of the target has both a class and a prediction")
    counts |= {
        "missing_predictions": len(missing),
        "without_class": int((truth < 0).sum()),
        "repeated_rows": repeated,
    }
    keys = [one or NO_KEY for one in words_of(whole, "key").take(pa.array(missing)).to_pylist()]
    other = relabelled(target) if repeated else 0
    twice = (
        [f"{other:,} rows of the target are there again with another class: the first counts"]
        if other
        else []
    )
    how = f"images found by {joined.column}{joined.how}"
    said = [
        found.told(),
        how,
        *unread(found),
        *twice,
        *scores.notes,
        *notes,
        *about(classes, positive, scores),
    ]
    sample = sampled(truth[judged], place[judged], scores, classes, positive)
    return Prepared(sample, store.taken(whole, judged), counts, keys, said)


def once(target: pa.Table) -> tuple[pa.Table, int]:
    """Each key's first row, and how many rows were there again."""
    keys = words_of(target, "key")
    if not keys.null_count and pc.count_distinct(keys).as_py() == len(keys):
        return target, 0
    first: dict[Any, int] = {}
    for number, key in enumerate(keys.to_pylist()):
        first.setdefault(number if key is None else key, number)
    return store.taken(target, np.array([*first.values()], np.int64)), target.num_rows - len(first)


def relabelled(target: pa.Table) -> int:
    """Rows whose key an earlier row has with another class."""
    first: dict[Any, str | None] = {}
    cells = zip(words_of(target, "key").to_pylist(), words_of(target, LABEL).to_pylist(), strict=True)
    return sum(key is not None and first.setdefault(key, label) != label for key, label in cells)


# ------------------------------------------------------------------ predictions


def read(predictions: pa.Table, found: Found, naming: Naming, name: str) -> Scores:
    if found.decision:
        return decisions(predictions[found.decision].combine_chunks(), found.decision, naming, name)
    columns = [column for some in found.probabilities.values() for column in some]
    cells = numbers(predictions, columns, name)
    owner = np.array([n for n, some in enumerate(found.probabilities.values()) for _ in some])
    values = np.stack([cells[:, owner == n].sum(axis=1) for n in range(len(found.probabilities))], axis=1)
    note = check_sums(values, name, found.unread) if values.shape[1] > 1 else None
    return Scores(tuple(found.probabilities), np.clip(values, 0.0, 1.0), None, [note] if note else [])


def decisions(words: pa.Array, column: str, naming: Naming, name: str) -> Scores:
    distinct = [one for one in words.unique().to_pylist() if one and one.strip()]
    classes = {word: naming(word) for word in distinct}
    strange = [f"'{word}' ({naming.why_not(word)})" for word in distinct if not classes[word]]
    if strange:
        raise BadTable(
            f"{name}: column {column} holds what is no class of {naming.space.name}: {', '.join(strange[:MANY])}",
            hint=f"its classes are {', '.join(naming.space.classes)}",
        )
    decided = [classes.get(word) for word in words.to_pylist()]
    return Scores(tuple(dict.fromkeys(one for one in decided if one)), None, decided)


def placed(joined: Joined, scores: Scores, count: int) -> tuple[Codes, dict[str, int], list[str]]:
    """Of each of `count` rows its prediction (the first of several), -1 where there is none; what was left out."""
    place = np.full(count, -1, np.int64)
    empty = scores.empty()
    again, differing = 0, []
    for number, row in enumerate(joined.rows.tolist()):
        if row < 0 or empty[number]:
            continue
        if place[row] < 0:
            place[row] = number
        else:
            again += 1
            differing += [] if scores.same(number, place[row]) else [number]
    notes = []
    if joined.unknown.any():
        unknown = f"{counted(joined.unknown, 'prediction')} ({rows_of(joined.unknown)})"
        notes.append(f"of no image of the target: {unknown}")
    if empty.any():
        notes.append(f"empty, which is none: {counted(empty, 'prediction')} ({rows_of(empty)})")
    if again:
        other = np.isin(np.arange(len(empty)), differing)
        more = f"; {counted(other, 'prediction')} said something else ({rows_of(other)})" if differing else ""
        notes.append(f"{again:,} more than one of an image: the first counts{more}")
    counts = {"unknown_predictions": int(joined.unknown.sum()), "duplicate_predictions": again}
    return place, {**counts, "empty_predictions": int(empty.sum())}, notes


# ------------------------------------------------------------------ classes


def classes_of(
    scores: Scores, labels: Sequence[str | None], space: Space
) -> tuple[tuple[str, ...], int | None]:
    """The classes that are judged, in the space's order; which one is told from the rest, if one is."""
    told = set(scores.classes)
    if scores.values is not None and len(told) == 1:
        return (REST.format(scores.classes[0]), scores.classes[0]), 1
    if space.facet and (told == set(BINARY) or (scores.values is None and told <= set(BINARY))):
        return BINARY, 1
    if not (space.facet and scores.values is not None):
        told |= {one for one in labels if one}
    return tuple(one for one in space.classes if one in told), None


def numbered(
    labels: Sequence[str | None], classes: tuple[str, ...], positive: int | None, space: Space
) -> Codes:
    """Each row's class by number; -1 for none, and for a class that is not judged."""
    numbers = {name: number for number, name in enumerate(classes)}
    if positive is not None and classes[0] not in space.classes:
        others = [
            one for one in space.classes if one != classes[1] and not (space.facet and one == UNDECIDED)
        ]
        numbers |= dict.fromkeys(others, 0)
    return np.array([numbers.get(label or "", -1) for label in labels], np.int64)


def sampled(
    truth: Codes, place: Codes, scores: Scores, classes: tuple[str, ...], positive: int | None
) -> Sample:
    """The judged images in the manifest's order."""
    if scores.values is None:
        numbers = {name: number for number, name in enumerate(classes)}
        decided = [numbers[(scores.decided or ())[one] or ""] for one in place.tolist()]
        return Sample(classes, truth, np.array(decided, np.int64), None, positive)
    values = scores.values[place]
    if positive is not None:
        said = values[:, scores.classes.index(classes[positive])]
        return Sample(
            classes, truth, (said >= 0.5).astype(np.int64), np.stack([1 - said, said], axis=1), positive
        )
    whole = np.zeros((len(truth), len(classes)))
    for number, name in enumerate(scores.classes):
        whole[:, classes.index(name)] = values[:, number]
    return Sample(classes, truth, whole.argmax(axis=1).astype(np.int64), whole, None)


# ------------------------------------------------------------------ telling


def unread(found: Found) -> list[str]:
    return [f"not read: {', '.join(found.unread)}"] if found.unread else []


def about(classes: tuple[str, ...], positive: int | None, scores: Scores) -> list[str]:
    """What the classes are that are judged, where that is not plain."""
    if positive is not None:
        return [f"judged: {classes[1]} against {'all the rest' if classes[0] not in BINARY else classes[0]}"]
    absent = [one for one in classes if one not in scores.classes]
    return [f"never predicted, so always wrong: {', '.join(absent)}"] if absent else []
