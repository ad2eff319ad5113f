"""Parts by the hash of a group's own name: adding rows never moves a group."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dermdata.split.columns import Coded, Columns, Ints, coded, row_keys
from dermdata.split.groups import Grouping

NAMING = ("patient_id", "lesion_id", "case_id", "isic_id")  # not sha256: fetching images must move nothing


def group_names(table: Columns, grouping: Grouping) -> list[str]:
    """Each group's name: its smallest key of the coarsest kind it has, else its smallest row key.

    A name changes only when added rows merge the group with another or bring it a coarser key.
    """
    columns = [name for name in NAMING if name in grouping.joined]
    names: list[str | None] = [None] * grouping.counts["groups"]
    for column in (*columns, "key"):
        values = row_keys(table) if column == "key" else coded(table, column)
        for group, code in enumerate(_smallest(values, grouping)):
            if names[group] is None and code >= 0:
                names[group] = f"{column}={values.value(code)}"
    return [name for name in names if name is not None]


def by_hash(names: Sequence[str], ratios: Sequence[float], seed: int) -> Ints:
    """The part of each name: where its 64-bit hash falls among the cumulative ratios."""
    inner = [int(bound * 2**64) for bound in np.cumsum(ratios)[:-1]]
    bounds = np.array(inner, np.uint64)
    return np.searchsorted(bounds, _hashes(names, seed), side="right").astype(np.int64)


def _hashes(names: Sequence[str], seed: int) -> NDArray[np.uint64]:
    salt = hashlib.blake2b(f"dermdata split stable {seed}".encode(), digest_size=16).digest()
    digests = b"".join(hashlib.blake2b(name.encode(), key=salt, digest_size=8).digest() for name in names)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def _smallest(values: Coded, grouping: Grouping) -> list[int]:
    known = values.known
    smallest = np.full(grouping.counts["groups"], len(values.values))
    np.minimum.at(smallest, grouping.number[known], values.codes[known])
    return np.where(smallest == len(values.values), -1, smallest).tolist()  # type: ignore[no-any-return]
