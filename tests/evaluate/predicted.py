"""Manifests with a truth, and models that know it more or less."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from dermdata.evaluation import ClassNaming, PreparedSample, prepare_sample
from dermdata.evaluation.sample import Sample
from dermdata.model import Label
from dermdata.vocabulary import LabelSpace
from support.bundled_labels import vocabulary

SPACE = LabelSpace("two", {"MEL": (("melanoma", None),), "NV": (("melanocytic-nevus", None),)})
WORDS = {"demo": [Label(field="dx", raw_label="mel", concept="melanoma", predicate="exactMatch")]}


def target(labels: Sequence[str | None], **columns: Sequence[Any]) -> pa.Table:
    """Rows `demo/r0`, `demo/r1`, … with these classes."""
    names = [f"r{number}" for number in range(len(labels))]
    return pa.table(
        {
            "key": [f"demo/{name}" for name in names],
            "image_id": names,
            "label": pa.array(labels, pa.string()),
            **columns,
        }
    )


def predictions(columns: Mapping[str, Sequence[Any]]) -> pa.Table:
    """As they are read: every cell a text."""
    return pa.table(
        {
            name: pa.array([None if c is None else str(c) for c in cells], pa.string())
            for name, cells in columns.items()
        }
    )


def prepared(
    columns: Mapping[str, Sequence[Any]], rows: pa.Table, space: LabelSpace = SPACE
) -> PreparedSample:
    return prepare_sample(predictions(columns), rows, space, ClassNaming(space, vocabulary(), WORDS), "p.csv")


def drawn(seed: int, images: int, classes: int, *, skill: float = 1.5, decimals: int = 16) -> Sample:
    """A model that leans to the truth; few decimals make ties."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, images)
    logits = random.normal(size=(images, classes))
    logits[np.arange(images), truth] += skill
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    scores = scores.round(decimals)
    return Sample(tuple(f"c{one}" for one in range(classes)), truth, scores.argmax(axis=1), scores)


def binary(seed: int, images: int, *, decimals: int = 16) -> Sample:
    """One class against the rest."""
    two = drawn(seed, images, 2, decimals=decimals)
    assert two.scores is not None
    said = two.scores[:, 1]
    scores = np.stack([1 - said, said], axis=1)
    return Sample(("not c1", "c1"), two.truth, (said >= 0.5).astype(np.int64), scores, 1)
