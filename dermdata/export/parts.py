"""The parts of an export by split, and the shards of a part."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dermdata.errors import UsageError
from dermdata.export.job import split_column

WITHOUT = "unsplit"  # rows that no split has, where others have one: they must not slip into any


@dataclass(frozen=True)
class SplitPart:
    """The rows of one split; "" when the manifest is not split."""

    name: str
    rows: NDArray[np.int64]  # places in the table, in its order


def split_parts(table: pa.Table) -> list[SplitPart]:
    """train, val, test, other names in order, then `unsplit`; one part without a name when no row has a split."""
    words = split_words(table)
    if words is None:
        return [SplitPart("", np.arange(table.num_rows))]
    usual = {name: place for place, name in enumerate(("train", "val", "test"))}
    names = sorted(set(words), key=lambda name: (name == WITHOUT, usual.get(name, len(usual)), name))
    given: NDArray[Any] = np.array(words, dtype=object)
    return [SplitPart(name, np.flatnonzero(given == name)) for name in names]


def split_words(table: pa.Table) -> list[str] | None:
    """Each row's split, or None where no row has one."""
    try:
        column = split_column(table)
    except UsageError:  # it has no such column
        return None
    if table[column].null_count == table.num_rows:
        return None
    return [word or WITHOUT for word in table[column].cast(pa.string()).to_pylist()]


def picked(values: Sequence[Any], rows: NDArray[np.int64]) -> list[Any]:
    """The values in these places."""
    return [values[place] for place in rows.tolist()]
