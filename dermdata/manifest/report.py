"""What became of a source's rows and words: nothing is dropped in silence."""

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.errors import TableRefused
from dermdata.limits import REJECTED


@dataclass
class Report:
    """What became of the source's rows and words; rows_in = rows + the rejected ones."""

    rows_in: int = 0
    rows: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)  # {table, row, reason}
    unmapped_labels: dict[str, int] = field(default_factory=dict)  # "field: word" -> rows
    unmapped_values: dict[str, int] = field(default_factory=dict)
    rows_without_image: int = 0
    undecodable: int = 0
    images_without_row: list[str] = field(default_factory=list)
    unpartnered: dict[str, int] = field(default_factory=dict)  # join file -> rows without partner
    differences: list[str] = field(default_factory=list)  # from the catalog's expected counts


def unique(table: pa.Table, report: Report) -> pa.Table:
    """Ordered by image_id; rows without one, and all but the first of those with the same, are rejected."""
    table = without(table, pc.equal(table["image_id"], ""), "the source names no image", report)
    table = in_order(table, table["image_id"].combine_chunks())
    ids = table["image_id"].combine_chunks()
    again = pc.equal(ids.slice(1), ids.slice(0, max(len(ids) - 1, 0)))
    twice = pa.concat_arrays([pa.repeat(pa.scalar(False), min(len(ids), 1)), again])
    return without(table, twice, "image_id appears more than once", report)


def in_order(table: pa.Table, ids: pa.Array) -> pa.Table:
    """The rows ordered by these ids, equal ones as they came; as they are where they are so: moving costs most."""
    if len(ids) < 2 or pc.all(pc.less_equal(ids.slice(0, len(ids) - 1), ids.slice(1))).as_py():
        return table
    return table.take(pc.sort_indices(ids))


def without(table: pa.Table, lost: pa.Array | pa.ChunkedArray, reason: str, report: Report) -> pa.Table:
    """The rows that are not lost; the lost ones are rejected for this reason."""
    if not pc.any(lost).as_py():
        return table
    reject(table.select(["image_id", "label_raw"]).filter(lost), reason, report)  # not a copy of all columns
    return table.filter(pc.invert(lost))


def reject(lost: pa.Table, reason: str, report: Report) -> None:
    if lost.num_rows > REJECTED:
        raise TableRefused(f"{lost.num_rows:,} rows cannot be used: {reason}; the limit is {REJECTED:,}")
    report.rejected += [{**row, "reason": reason} for row in lost.to_pylist()]
