"""What became of a source's rows and words: nothing is dropped in silence."""

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


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
    nameless = pc.equal(table["image_id"], "")
    reject(table.filter(nameless), "the source names no image", report)
    table = table.filter(pc.invert(nameless))
    ids = table["image_id"].combine_chunks()
    if len(ids) < 2:
        return table
    if not pc.all(pc.less_equal(ids.slice(0, len(ids) - 1), ids.slice(1))).as_py():  # moving rows costs most
        order = pc.sort_indices(ids)
        table, ids = table.take(order), ids.take(order)
    again = pc.equal(ids.slice(1), ids.slice(0, len(ids) - 1))
    twice = pa.concat_arrays([pa.array([False]), again])
    if pc.any(twice).as_py():
        reject(table.filter(twice), "image_id appears more than once", report)
        table = table.filter(pc.invert(twice))
    return table


def reject(lost: pa.Table, reason: str, report: Report) -> None:
    rows = lost.select(["image_id", "label_raw"]).to_pylist()
    report.rejected += [{**row, "reason": reason} for row in rows]
