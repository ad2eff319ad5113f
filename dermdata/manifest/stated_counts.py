"""Compares a manifest's own counts with those that the catalog states."""

from collections.abc import Collection, Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.markup import count_nouns, phrase_count
from dermdata.model import Dataset

ID_COLUMNS = {"lesions": "lesion_id", "patients": "patient_id", "cases": "case_id"}
FILE_COLUMNS = {"pictures": "path", "masks": "mask_path"}


def count_differences(dataset: Dataset, table: pa.Table, roles: Collection[str] = ()) -> list[str]:
    """One sentence for each number that is not the catalog's; nothing of what the rows do not state.

    `roles` are those of the files that are here: where there are masks, that no row has one is a number too.
    """
    return [
        *total_differences(dataset, table, roles),
        *split_differences(dataset, table),
        *label_differences(dataset, table),
    ]


def total_differences(dataset: Dataset, table: pa.Table, roles: Collection[str]) -> Iterator[str]:
    names = ("images", *ID_COLUMNS, "masks")
    expected = {name: number for name in names if (number := getattr(dataset.counts, name)) is not None}
    if not expected:
        return
    train = pc.equal(table["split_official"].cast(pa.string()), "train")
    training = table.select([*ID_COLUMNS.values(), *FILE_COLUMNS.values()]).filter(train)
    stated = stated_totals(dataset, table.num_rows, roles)
    for name, wanted in expected.items():
        number = count_total(table, name)
        if not (number or name in stated):
            continue
        # publishers count rows or pictures, and people and lesions of the whole or of the training part
        meant = {number, count_total(training, name)}
        meant |= {count_total(table, "pictures")} if name == "images" else set()
        if wanted not in meant and wanted != count_joined_ids(dataset, table, ID_COLUMNS.get(name)):
            yield f"{phrase_count(number, name)}, the catalog expects {wanted:,}"


def stated_totals(dataset: Dataset, rows: int, roles: Collection[str]) -> set[str]:
    """The numbers that are stated even where they are 0: of files that are here, and of ids that a table has."""
    columns = {name for spec in dataset.table for name in (*spec.columns, *spec.constants)}
    if not rows and "other" in roles:  # archives that stay closed: no row at all is a number, too
        roles = {*roles, "images"}
    ids = {name for name, column in ID_COLUMNS.items() if rows and column in columns}
    return ids | {"images", "masks"} & set(roles)


def count_joined_ids(dataset: Dataset, table: pa.Table, name: str | None) -> int | None:
    """How many ids the source has where ids that share an image are joined to one (`@group`); None elsewhere."""
    if not any(spec.columns.get(name or "") == ("@group",) for spec in dataset.table):
        return None
    words = table["extra"].combine_chunks()
    mine = pc.match_substring_regex(words.keys, rf"^{name}( \(\d+\))?$")
    return int(pc.count_distinct(words.items.filter(mine)).as_py())


def count_total(table: pa.Table, name: str) -> int:
    """The rows, or how many different ids or files they have."""
    if name in ID_COLUMNS:
        return int(pc.count_distinct(table[ID_COLUMNS[name]]).as_py())
    missing = table[FILE_COLUMNS[name]].null_count if name in FILE_COLUMNS else 0
    return int(table.num_rows - missing)


def split_differences(dataset: Dataset, table: pa.Table) -> Iterator[str]:
    actual = word_counts(table["split_official"])
    for name, expected in dataset.counts.splits.items():
        if actual and actual.get(name, 0) != expected:
            yield (
                f"{count_nouns(actual.get(name, 0), 'image')} in the official "
                f"split {name}, the catalog expects {expected:,}"
            )


def label_differences(dataset: Dataset, table: pa.Table) -> Iterator[str]:
    """Labels with too few images; more than expected is no finding, some publishers count the training set only."""
    if table["differential"].null_count < len(table):
        return  # graded labels: a row's words are several
    actual = word_counts(table["label_raw"])
    for name, expected in dataset.counts.labels.items():
        if actual and actual.get(name, 0) < expected:
            yield f"{count_nouns(actual.get(name, 0), 'image')} labeled {name}, the catalog expects {expected:,}"


def word_counts(column: pa.ChunkedArray) -> Mapping[str, int]:
    """How often each word stands in a column, null aside."""
    counts = pc.value_counts(column.cast(pa.string())).to_pylist()
    return {one["values"]: one["counts"] for one in counts if one["values"] is not None}
