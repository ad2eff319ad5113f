"""Where a dataset's rows differ from the numbers that its catalog entry expects."""

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.model import Dataset


def differences(dataset: Dataset, table: pa.Table) -> list[str]:
    """One sentence for each number that is not the catalog's; nothing of what the rows do not state."""
    return [*of_totals(dataset, table), *of_splits(dataset, table), *of_labels(dataset, table)]


def of_totals(dataset: Dataset, table: pa.Table) -> Iterator[str]:
    actual = {
        "images": table.num_rows,
        "lesions": pc.count_distinct(table["lesion_id"]).as_py(),
        "patients": pc.count_distinct(table["patient_id"]).as_py(),
        "cases": pc.count_distinct(table["case_id"]).as_py(),
        "masks": len(table) - table["mask_path"].null_count,
    }
    for name, number in actual.items():
        expected = getattr(dataset.counts, name)
        if expected is not None and number and expected != number:
            yield f"{number:,} {name}, the catalog expects {expected:,}"


def of_splits(dataset: Dataset, table: pa.Table) -> Iterator[str]:
    actual = numbers(table["split_official"])
    for name, expected in dataset.counts.splits.items():
        if actual and actual.get(name, 0) != expected:
            yield f"{actual.get(name, 0):,} images in the official split {name}, the catalog expects {expected:,}"


def of_labels(dataset: Dataset, table: pa.Table) -> Iterator[str]:
    """Labels with too few images; more than expected is no finding, some publishers count the training set only."""
    actual = numbers(table["label_raw"])
    for name, expected in dataset.counts.labels.items():
        if actual and actual.get(name, 0) < expected:
            yield f"{actual.get(name, 0):,} images labelled {name}, the catalog expects {expected:,}"


def numbers(column: pa.ChunkedArray) -> Mapping[str, int]:
    """How often each word stands in a column, null aside."""
    counts = pc.value_counts(column.cast(pa.string())).to_pylist()
    return {one["values"]: one["counts"] for one in counts if one["values"] is not None}
