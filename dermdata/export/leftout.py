"""Rows that an export lacks, each with its reason: `left-out.csv` beside what was written."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from dermdata import disk
from dermdata.export.cells import lines
from dermdata.places import Place, Where

NAME = "left-out.csv"
SCHEMA = pa.schema([(name, pa.string()) for name in ("key", "dataset", "image_id", "reason")])
NONE = SCHEMA.empty_table()


def parted(table: pa.Table, reasons: Sequence[str | None]) -> tuple[pa.Table, pa.Table]:
    """The rows that stay, and those that have a reason not to, as `left-out.csv` has them."""
    if not any(reason is not None for reason in reasons):
        return table, NONE  # the usual case: a filter would hold every row a second time
    gone = pa.array([reason is not None for reason in reasons], pa.bool_())
    stay = pa.array([reason is None for reason in reasons], pa.bool_())
    left = table.filter(gone)
    columns = [text(left, name) for name in SCHEMA.names[:-1]]
    why = pa.array([reason for reason in reasons if reason is not None], pa.string())
    return table.filter(stay), pa.table([*columns, why], SCHEMA)


def text(table: pa.Table, name: str) -> pa.Array:
    if name not in table.column_names:
        return pa.nulls(table.num_rows, pa.string())
    return table[name].cast(pa.string()).combine_chunks()


def counted(left: pa.Table) -> dict[str, int]:
    """In words how many rows were left out for which reason."""
    return {f"rows left out: {why}": count for why, count in Counter(left["reason"].to_pylist()).items()}


def content(left: pa.Table, *, excel_safe: bool) -> bytes:
    rows = zip(*(column.to_pylist() for column in left.columns), strict=True)
    return lines([left.column_names, *rows], excel_safe=excel_safe)


def write_into(place: Place, name: str, left: pa.Table, *, excel_safe: bool) -> tuple[Where, ...]:
    """Write the rows into a place, if there are any; the path written."""
    if not left.num_rows:
        return ()
    place.fill(name, lambda path: write_bytes(path, content(left, excel_safe=excel_safe)))
    return (place.at(name),)


def write_bytes(path: Path, data: bytes) -> None:
    disk.write(path, [data])


def write_beside(target: Path, left: pa.Table, *, excel_safe: bool) -> tuple[Path, ...]:
    """Write the rows beside a file or into a folder, if there are any; the paths written."""
    if not left.num_rows:
        return ()
    path = target / NAME if target.is_dir() else target.with_name(f"{target.name}.{NAME}")
    write_bytes(path, content(left, excel_safe=excel_safe))
    return (path,)
