"""Folds several rows of one image into one: the row that says most stays, and the ids of the others pass to it.

HAM10000's row of an image stays, ISIC 2019's goes; a second ISIC 2019 image of that lesion must stay in one group with
it. So ids of the two sources that a folded image has are one id from now on, that of the row that stays, everywhere.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dermdata.cohort.keys import ALSO_IN, IDS_AS_GIVEN, DroppedRow, row_keys, set_column
from dermdata.cohort.refine import LabeledRows, identity_conflict, label_rows
from dermdata.crosswalks.extents import LabelComparer
from dermdata.errors import UsageError
from dermdata.manifest.columns import first_rows, text_column
from dermdata.manifest.schema import KEYS, SCHEMA
from dermdata.markup import count_nouns
from dermdata.model import Finding
from dermdata.projection import LabelStatements

if TYPE_CHECKING:
    from dermdata.duplicates import NearDuplicates
    from dermdata.manifest.lazy import LazyTable

DedupeMethod = Literal["id", "exact", "near"]
FindNear = Callable[[pa.Table], "NearDuplicates"]
RowPairs = list[tuple[int, int]]
Merit = tuple[bool, bool, int]  # what decides after the label, smaller is better
ISIC_ID = "isic_id"
IDENTITY_COLUMNS = {"id": "isic_id", "exact": "sha256"}
MISSING_REASONS = {
    "id": "no row has an isic_id",
    "exact": "no row has a sha256: no image is fetched",
    "near": "no row has a perceptual hash: no image is fetched, or an older version fetched it",
}
# in the order in which they decide
DROP_REASONS = (
    "coarser label", "not confirmed by histopathology", "image is not here", "less metadata", "name order",
)  # fmt: skip


class DisjointSets:
    """Words that mean the same, by a chain of links or directly."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._above: dict[str, str] = {}
        for one, other in pairs:
            self.join(one, other)

    def find(self, word: str) -> str:
        """The smallest word that it is linked to."""
        while (above := self._above.get(word, word)) != word:
            self._above[word] = self._above.get(above, above)
            word = above
        return word

    def join(self, one: str, other: str) -> None:
        low, high = sorted((self.find(one), self.find(other)))
        if low != high:
            self._above[high] = low
            self._above.setdefault(low, low)

    def __iter__(self) -> Iterator[str]:
        return iter(self._above)


@dataclass(frozen=True)
class Deduplication:
    """The folded table, the rows that are gone, and folded rows whose labels contradict each other."""

    table: pa.Table
    dropped: tuple[DroppedRow, ...]
    conflicts: tuple[Finding, ...]
    note: str | None = None  # how near duplicates are known


def drop_duplicates(
    table: pa.Table,
    by: DedupeMethod,
    statements: LabelStatements,
    judge: LabelComparer,
    near: "FindNear | None" = None,
) -> Deduplication:
    """One row of each image: by `isic_id`, by the bytes (`sha256`), or by what `near` finds to be one picture.

    The finer label stays (deeper, and below the other one); then what histopathology confirms; an image that is
    here; more metadata; the first dataset by name. UsageError where no row has what is compared.
    """
    identity, note = find_identities(table, by, near)
    if not any(identity) and table.num_rows:
        raise UsageError(
            f"cannot --dedupe {by}: {MISSING_REASONS[by]}",
            hint="`--dedupe id` compares isic_id, `exact` the files",
        )
    rows = label_rows(table, statements)
    merits = row_merits(table)
    kept_for: dict[int, int] = {}
    dropped: list[DroppedRow] = []
    conflicts: list[Finding] = []
    for name, group in repeated_identities(identity):
        best = best_row(group, rows, merits, judge)
        for row in group:
            if row != best:
                kept_for[row] = best
                dropped.append(
                    DroppedRow(
                        key=rows.keys[row],
                        kept=rows.keys[best],
                        reason=drop_reason(row, best, rows, merits, judge),
                    )
                )
        against = [row for row in group if judge.compare(rows.label(best), rows.label(row)) == "contradicts"]
        if against:
            conflicts.append(identity_conflict(name, [(rows, row) for row in (best, *against)]))
    return Deduplication(fold_rows(table, kept_for), tuple(dropped), tuple(conflicts), note)


def describe_overlaps(
    table: "pa.Table | LazyTable", methods: Collection[str] = ("id", "exact", "near")
) -> list[str]:
    """The images that several datasets of a table have, in words, and what keeps one row of each; nothing without any."""
    if "dataset" not in table.column_names:
        return []
    dataset = table.column("dataset").cast(pa.string()).combine_chunks().dictionary_encode()
    codes = dataset.indices.fill_null(-1).to_numpy()
    compared = {
        method: one
        for method, one in IDENTITY_COLUMNS.items()
        if one in table.column_names and method in methods
    }
    for method, column in compared.items() if len(dataset.dictionary) > 1 else ():
        first = first_rows(table.column(column))
        shared = np.unique(first[codes[first] != codes])
        if len(shared):
            found = np.unique(codes[np.isin(first, shared)])
            names = sorted(dataset.dictionary.take(pa.array(found[found >= 0])).to_pylist())
            where = f"both {names[0]} and {names[1]}" if len(names) == 2 else f"several of {', '.join(names)}"
            fold = f"`dermdata select {' '.join(names)} --dedupe {method}` keeps one row of each"
            return [f"{count_nouns(len(shared), 'image', 'are')} in {where}: {fold}"]
    return []


def find_identities(
    table: pa.Table, by: DedupeMethod, near: "FindNear | None" = None
) -> tuple[list[str | None], str | None]:
    """The word that rows of one image share; and how near duplicates are known."""
    if by == "near":
        return image_identities(table, near)
    return text_column(table, IDENTITY_COLUMNS[by]).to_pylist(), None


def image_identities(table: pa.Table, near: "FindNear | None") -> tuple[list[str | None], str | None]:
    """Of each row with a perceptual hash the key of the first row that shows its picture, by a chain of likenesses."""
    if near is None or "phash" not in table.column_names or not table.num_rows:
        return [None] * table.num_rows, None
    if table["phash"].null_count == table.num_rows:
        return [None] * table.num_rows, None
    found = near(table)
    keys, digests = row_keys(table).to_pylist(), text_column(table, "sha256").to_pylist()
    links, first = DisjointSets(), dict[str, str]()
    for key, digest in zip(keys, digests, strict=True):
        if digest is not None:
            links.join(first.setdefault(digest, key), key)
    for i, j in found.row_pairs():
        links.join(keys[i], keys[j])
    return [links.find(key) for key in keys], found.summary


def repeated_identities(identity: Sequence[str | None]) -> Iterator[tuple[str, list[int]]]:
    """Each identity that more than one row has, with its rows."""
    found: dict[str, list[int]] = {}
    for row, name in enumerate(identity):
        if name is not None:
            found.setdefault(name, []).append(row)
    yield from ((name, rows) for name, rows in found.items() if len(rows) > 1)


# ------------------------------------------------------------------ which one stays


def row_merits(table: pa.Table) -> list[Merit]:
    """Of each row: not confirmed by histopathology, image not here, fields not filled."""
    proven = pc.fill_null(pc.equal(text_column(table, "confirmation"), "histopathology"), fill_value=False)
    here = pc.and_(pc.is_valid(text_column(table, "path")), pc.is_null(text_column(table, "image_problem")))
    empty = np.zeros(table.num_rows, np.int64)
    for name in SCHEMA.names:
        if name in table.column_names:
            empty += table[name].is_null().to_numpy()
    merits = zip(proven.to_pylist(), here.to_pylist(), empty.tolist(), strict=True)
    return [(not is_proven, not is_here, fields) for is_proven, is_here, fields in merits]


def best_row(group: Sequence[int], rows: LabeledRows, merits: Sequence[Merit], judge: LabelComparer) -> int:
    """The row that stays: of those that no other one is finer than, the one of most merit (rows are in name order)."""
    finest = [
        row
        for row in group
        if not any(judge.compare(rows.label(row), rows.label(other)) == "finer" for other in group)
    ]
    return min(finest, key=lambda row: (*merits[row], row))


def drop_reason(row: int, best: int, rows: LabeledRows, merits: Sequence[Merit], judge: LabelComparer) -> str:
    """What decided against the row."""
    if judge.compare(rows.label(row), rows.label(best)) == "finer":
        return DROP_REASONS[0]
    differs = [one > other for one, other in zip(merits[row], merits[best], strict=True)]
    # a row of more merit than the one that stayed was coarser than a third one
    return DROP_REASONS[1 + differs.index(True)] if True in differs else DROP_REASONS[-1 if row > best else 0]


# ------------------------------------------------------------------ folding


def fold_rows(table: pa.Table, kept_for: Mapping[int, int]) -> pa.Table:
    """The rows that stay, with `also_in` and `ids_as_given`, and one id for what folded rows show to be one thing."""
    stay = np.ones(table.num_rows, bool)
    stay[list(kept_for)] = False
    given: list[dict[str, str]] = [{} for _ in range(table.num_rows)]
    folded = [(kept, row) for row, kept in sorted(kept_for.items())]
    before: list[dict[str, str]] = [dict(one or ()) for one in existing_values(table, IDS_AS_GIVEN)]
    for name in (*KEYS, ISIC_ID):
        pairs = folded if name != ISIC_ID else [*folded, *same_file_pairs(table, kept_for)]
        own = text_column(table, name).to_pylist()
        new = unify_ids(own, pairs, stay)
        record_replaced(given, name, own, new)
        if name in table.column_names:
            table = set_column(table, name, new, table.schema.field(name).type)
    table = set_column(table, ALSO_IN, list_folded_keys(table, folded), pa.list_(pa.string()))
    ids = [sorted({**now, **old}.items()) or None for now, old in zip(given, before, strict=True)]
    table = set_column(table, IDS_AS_GIVEN, ids, pa.map_(pa.string(), pa.string()))
    return table.take(pa.array(np.flatnonzero(stay)))


def record_replaced(
    given: Sequence[dict[str, str]], name: str, own: Sequence[str | None], new: Sequence[str | None]
) -> None:
    """Note each row's own id where it got another one."""
    for ids, old, now in zip(given, own, new, strict=True):
        if old is not None and old != now:
            ids[name] = old


def unify_ids(
    values: Sequence[str | None], pairs: RowPairs, stay: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> list[str | None]:
    """The values once both rows of each pair have the same one: that of the first row, where both have one.

    A row without one takes the other's. Ids that are one are replaced in all rows, by the smallest id that a row which
    stays has in a pair.
    """
    found = list(values)
    links = link_ids(found, pairs, stay)
    preferred = {}
    for kept in sorted({kept for kept, _ in pairs}, key=lambda kept: found[kept] or "", reverse=True):
        if (name := found[kept]) is not None:
            preferred[links.find(name)] = name
    linked = set(links)
    return [preferred.get(links.find(one), one) if one in linked else one for one in found]


def link_ids(
    found: list[str | None], pairs: RowPairs, stay: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> DisjointSets:
    """Links of the ids of each pair; a row without an id gets the other's, in `found`."""
    links = DisjointSets()
    for kept, row in pairs:
        if found[kept] is None:
            found[kept] = found[row]
        if found[row] is None and stay[row]:
            found[row] = found[kept]
        one, other = found[kept], found[row]
        if one is not None and other is not None and one != other:
            links.join(one, other)
    return links


def same_file_pairs(table: pa.Table, kept_for: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """(row that stays, another that stays) where the other has, or stands for, the bytes of one folded into the first."""
    hashes = text_column(table, "sha256").to_pylist()
    owners: dict[str, int] = {}
    for row, kept in sorted(kept_for.items()):
        if hashes[row] is not None and hashes[row] != hashes[kept]:
            owners.setdefault(hashes[row], kept)
    for row, name in enumerate(hashes):
        stands = kept_for.get(row, row)
        if name in owners and owners[name] != stands:
            yield owners[name], stands


def list_folded_keys(table: pa.Table, folded: RowPairs) -> list[list[str] | None]:
    """Of each row the keys of the rows that it stands for, those of an earlier folding among them."""
    keys = row_keys(table).to_pylist()
    found: list[set[str]] = [set(one or ()) for one in existing_values(table, ALSO_IN)]
    for kept, row in folded:
        found[kept] |= {keys[row], *found[row]}
    return [sorted(one) or None for one in found]


def existing_values(table: pa.Table, name: str) -> list[Any]:
    return table[name].to_pylist() if name in table.column_names else [None] * table.num_rows
