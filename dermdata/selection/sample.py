"""A sample that depends on keys and seed alone: not on the order of rows, nor on what else is in the table."""

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from dermdata.errors import UsageError
from dermdata.projection import LABEL, words_of
from dermdata.selection.rows import keys_of


def sample(table: pa.Table, count: int, seed: int, *, per_class: bool = False) -> pa.Table:
    """`count` rows, or `count` of each class (of `label` where it is there, else `diagnosis`), in their order.

    Fewer where there are fewer; a larger sample holds the smaller one. Rows without a class are in no class.
    """
    if count < 1:
        raise UsageError(f"a sample of {count} rows is none", hint="--sample 100")
    ranks = hashes(keys_of(table).to_pylist(), seed)
    order = np.argsort(ranks, kind="stable")
    if per_class:
        classes = words_of(table, class_column(table)).to_pylist()
        chosen = of_each([classes[row] for row in order], count)
        order = order[chosen]
    return table.take(pa.array(np.sort(order[: None if per_class else count])))


def class_column(table: pa.Table) -> str:
    return LABEL if LABEL in table.column_names else "diagnosis"


def of_each(classes: Sequence[str | None], count: int) -> list[int]:
    """The places of the first `count` of each class."""
    seen: dict[str, int] = {}
    chosen = []
    for place, name in enumerate(classes):
        if name is not None and seen.get(name, 0) < count:
            seen[name] = seen.get(name, 0) + 1
            chosen.append(place)
    return chosen


def hashes(keys: Sequence[str], seed: int) -> np.ndarray[tuple[int], np.dtype[np.bytes_]]:
    """128 bits of each key, other ones for each seed; no two keys tie."""
    salt = hashlib.blake2b(f"dermdata select {seed}".encode(), digest_size=16).digest()
    digests = b"".join(hashlib.blake2b(key.encode(), key=salt, digest_size=16).digest() for key in keys)
    return np.frombuffer(digests, "S16")
