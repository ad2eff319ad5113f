"""Where a dataset's rows differ from the numbers that its catalog entry expects."""

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.model import Dataset

DISTINCT = {"lesions": "lesion_id", "patients": "patient_id", "cases": "case_id"}
FILLED = {"pictures": "path", "masks": "mask_path"}


def differences(dataset: Dataset, table: pa.Table) -> list[str]:
    """One sentence for each number that is not the catalog's; nothing of what the rows do not state."""
    return [*of_totals(dataset, table), *of_splits(dataset, table), *of_labels(dataset, table)]


def of_totals(dataset: Dataset, table: pa.Table) -> Iterator[str]:
    train = pc.equal(table["split_official"].cast(pa.string()), "train")
    whole, training = (
        totals(table),
        totals(table.select([*DISTINCT.values(), *FILLED.values()]).filter(train)),
    )
    for name, number in whole.items():
        expected = getattr(dataset.counts, name, None)
        # publishers count rows or pictures, and people and lesions of the whole or of the training part
        meant = {number, training[name], *({whole["pictures"]} if name == "images" else ())}
        if expected is not None and number and expected not in meant:
            yield f"{number:,} {name}, the catalog expects {expected:,}"


def totals(table: pa.Table) -> dict[str, int]:
    distinct = {name: int(pc.count_distinct(table[column]).as_py()) for name, column in DISTINCT.items()}
    return {
        "images": table.num_rows,
        **distinct,
        **{name: len(table) - table[column].null_count for name, column in FILLED.items()},
    }


def of_splits(dataset: Dataset, table: pa.Table) -> Iterator[str]:
    actual = numbers(table["split_official"])
    for name, expected in dataset.counts.splits.items():
        if actual and actual.get(name, 0) != expected:
            yield f"{actual.get(name, 0):,} images in the official split {name}, the catalog expects {expected:,}"


def of_labels(dataset: Dataset, table: pa.Table) -> Iterator[str]:
    """Labels with too few images; more than expected is no finding, some publishers count the training set only."""
    if table["differential"].null_count < len(table):
        return  # graded labels: a row's words are several
    actual = numbers(table["label_raw"])
    for name, expected in dataset.counts.labels.items():
        if actual and actual.get(name, 0) < expected:
            yield f"{actual.get(name, 0):,} images labelled {name}, the catalog expects {expected:,}"


def numbers(column: pa.ChunkedArray) -> Mapping[str, int]:
    """How often each word stands in a column, null aside."""
    counts = pc.value_counts(column.cast(pa.string())).to_pylist()
    return {one["values"]: one["counts"] for one in counts if one["values"] is not None}
