"""Folding rows without tearing what they joined: ids by which a folded row belongs to others pass to the row that stays.

HAM10000's row of an image stays, ISIC 2019's goes; a second ISIC 2019 image of that lesion must stay in one group with
it. So ids of the two sources that a folded image has are one id from now on, that of the row that stays, everywhere.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from dermdata.manifest.schema import KEYS
from dermdata.projection import words_of
from dermdata.selection.links import Links
from dermdata.selection.rows import ALSO_IN, GIVEN, keys_of, with_column

IDENTITY = "isic_id"
Pairs = list[tuple[int, int]]


def merged(table: pa.Table, kept_for: Mapping[int, int]) -> pa.Table:
    """The rows that stay, with `also_in` and `ids_as_given`, and one id for what folded rows show to be one thing."""
    stay = np.ones(table.num_rows, bool)
    stay[list(kept_for)] = False
    given: list[dict[str, str]] = [{} for _ in range(table.num_rows)]
    folded = [(kept, row) for row, kept in sorted(kept_for.items())]
    before: list[dict[str, str]] = [dict(one or ()) for one in existing(table, GIVEN)]
    for name in (*KEYS, IDENTITY):
        pairs = folded if name != IDENTITY else [*folded, *same_bytes(table, kept_for)]
        own = words_of(table, name).to_pylist()
        new = one_id(own, pairs, stay)
        for row, (old, now) in enumerate(zip(own, new, strict=True)):
            if old is not None and old != now:
                given[row][name] = old
        if name in table.column_names:
            table = with_column(table, name, new, table.schema.field(name).type)
    table = with_column(table, ALSO_IN, also_in(table, folded), pa.list_(pa.string()))
    ids = [sorted({**now, **old}.items()) or None for now, old in zip(given, before, strict=True)]
    table = with_column(table, GIVEN, ids, pa.map_(pa.string(), pa.string()))
    return table.take(pa.array(np.flatnonzero(stay)))


def one_id(
    values: Sequence[str | None], pairs: Pairs, stay: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> list[str | None]:
    """The values once both rows of each pair have the same one: that of the first row, where both have one.

    A row without one takes the other's. Ids that are one are replaced in all rows, by the smallest id that a row which
    stays has in a pair.
    """
    found = list(values)
    links, preferred = Links(), {}
    for kept, row in pairs:
        if found[kept] is None:
            found[kept] = found[row]
        if found[row] is None and stay[row]:
            found[row] = found[kept]
        one, other = found[kept], found[row]
        if one is not None and other is not None and one != other:
            links.join(one, other)
    for kept in sorted({kept for kept, _ in pairs}, key=lambda kept: found[kept] or "", reverse=True):
        if (name := found[kept]) is not None:
            preferred[links.top(name)] = name
    linked = set(links)
    return [preferred.get(links.top(one), one) if one in linked else one for one in found]


def same_bytes(table: pa.Table, kept_for: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """(row that stays, another that stays) where the other has, or stands for, the bytes of one folded into the first."""
    hashes = words_of(table, "sha256").to_pylist()
    owners: dict[str, int] = {}
    for row, kept in sorted(kept_for.items()):
        if hashes[row] is not None and hashes[row] != hashes[kept]:
            owners.setdefault(hashes[row], kept)
    for row, name in enumerate(hashes):
        stands = kept_for.get(row, row)
        if name in owners and owners[name] != stands:
            yield owners[name], stands


def also_in(table: pa.Table, folded: Pairs) -> list[list[str] | None]:
    """Of each row the keys of the rows that it stands for, those of an earlier folding among them."""
    keys = keys_of(table).to_pylist()
    found: list[set[str]] = [set(one or ()) for one in existing(table, ALSO_IN)]
    for kept, row in folded:
        found[kept] |= {keys[row], *found[row]}
    return [sorted(one) or None for one in found]


def existing(table: pa.Table, name: str) -> list[Any]:
    return table[name].to_pylist() if name in table.column_names else [None] * table.num_rows
