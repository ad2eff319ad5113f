"""What is judged: the truth, the decision and the probabilities of each image, as numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
REST = "not {}"  # what the images are called that are not of the one class predicted


@dataclass(frozen=True)
class Sample:
    """Images (rows) and classes (by number); `positive` where one class is told from all the rest."""

    classes: tuple[str, ...]
    truth: Codes
    decision: Codes
    scores: Floats | None = None  # (images, classes): probabilities; None where only decisions are known
    positive: int | None = None

    @cached_property
    def present(self) -> tuple[int, ...]:
        """The classes that an image of the whole sample has: what a macro average is over."""
        return tuple(np.unique(self.truth).tolist())

    @cached_property
    def single(self) -> tuple[int, ...]:
        """The classes that are judged one against the rest."""
        return self.present if self.positive is None else (self.positive,)

    @cached_property
    def calibrated(self) -> tuple[Mask, Floats] | None:
        """What came true and how probable it was said to be: the positive class, else the class decided for."""
        if self.scores is None:
            return None
        if self.positive is not None:
            return self.truth == self.positive, self.scores[:, self.positive]
        return self.scores.argmax(axis=1) == self.truth, self.scores.max(axis=1)

    def suffix(self, number: int) -> str:
        """What a metric of one class has behind its name."""
        return "" if self.positive is not None else f"_{self.classes[number]}"

    def at(self, rows: Codes) -> "Sample":
        """Some of the images."""
        scores = None if self.scores is None else self.scores[rows]
        return Sample(self.classes, self.truth[rows], self.decision[rows], scores, self.positive)


@dataclass(frozen=True)
class Point:
    """An operating point as it was asked for, and from which probability on each class is called present."""

    name: str  # sensitivity, specificity or threshold
    value: float
    thresholds: Mapping[int, float]

    @property
    def suffix(self) -> str:
        return f"_at_{self.name}_{self.value:g}"


def json_number(value: Any) -> float | None:
    """A finite number; None for what is not defined, which JSON has no word for."""
    return float(value) if value is not None and np.isfinite(value) else None
