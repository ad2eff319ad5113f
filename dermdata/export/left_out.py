"""Rows that an export leaves out, each with its reason, and `left-out.csv`, which lists them.

An image may not be passed on where its dataset's terms forbid it (a use agreement, say), whatever license the image
names. Else the image's own license decides, where it has one that is not its dataset's. What no source states counts
as not allowed.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from dermdata import disk
from dermdata.manifest.columns import text_column
from dermdata.manifest.match import summarize_problem
from dermdata.manifest.text import csv_lines
from dermdata.model import Dataset, License
from dermdata.object_store import Storage, StoragePath

LEFT_OUT_NAME = "left-out.csv"
LEFT_OUT_SCHEMA = pa.schema([(name, pa.string()) for name in ("key", "dataset", "image_id", "reason")])
NO_ROWS = LEFT_OUT_SCHEMA.empty_table()
OPEN_LICENSES = ("CC0", "CC-0", "CC-BY", "PDDL", "ODC-BY", "APACHE-2.0", "MIT", "PUBLIC-DOMAIN")


def partition_rows(table: pa.Table, reasons: Sequence[str | None]) -> tuple[pa.Table, pa.Table]:
    """The rows that stay, and those that have a reason not to, as `left-out.csv` has them."""
    if not any(reason is not None for reason in reasons):
        return table, NO_ROWS  # the usual case: a filter would hold every row a second time
    is_left_out = pa.array([reason is not None for reason in reasons], pa.bool_())
    stay = pa.array([reason is None for reason in reasons], pa.bool_())
    left = table.filter(is_left_out)
    columns = [text_column(left, name) for name in LEFT_OUT_SCHEMA.names[:-1]]
    why = pa.array([reason for reason in reasons if reason is not None], pa.string())
    return table.filter(stay), pa.table([*columns, why], LEFT_OUT_SCHEMA)


def count_reasons(left: pa.Table) -> dict[str, int]:
    """In words how many rows were left out for which reason."""
    reasons = map(summarize_problem, left["reason"].to_pylist())
    return {f"rows left out: {why}": count for why, count in Counter(reasons).items()}


def left_out_csv(left: pa.Table, *, excel_safe: bool) -> bytes:
    rows = zip(*(column.to_pylist() for column in left.columns), strict=True)
    return csv_lines([left.column_names, *rows], excel_safe=excel_safe)


def put_left_out(place: Storage, name: str, left: pa.Table, *, excel_safe: bool) -> tuple[StoragePath, ...]:
    """Write the rows into a place, if there are any; the path written."""
    if not left.num_rows:
        return ()
    place.put(name, lambda path: disk.write_chunks(path, [left_out_csv(left, excel_safe=excel_safe)]))
    return (place.locate(name),)


def write_left_out(target: Path, left: pa.Table, *, excel_safe: bool) -> tuple[Path, ...]:
    """Write the rows beside a file or into a folder, if there are any; the paths written."""
    if not left.num_rows:
        return ()
    path = target / LEFT_OUT_NAME if target.is_dir() else target.with_name(f"{target.name}.{LEFT_OUT_NAME}")
    disk.write_chunks(path, [left_out_csv(left, excel_safe=excel_safe)])
    return (path,)


# ------------------------------------------------------------------ what may not be passed on


def restriction_reasons(
    table: pa.Table, entries: Mapping[str, Dataset], *, adapted: bool
) -> list[str | None]:
    """For each row why it may not be passed on, None where it may; `adapted`: as an image that was changed."""
    columns = (text_column(table, name).to_pylist() for name in ("dataset", "license"))
    pairs = list(zip(*columns, strict=True))
    known: dict[tuple[str | None, str | None], str | None] = {}
    for dataset, license_name in set(pairs):
        entry = entries.get(dataset or "")
        terms = entry.license if entry else License()
        known[dataset, license_name] = restriction_reason(license_name, terms, adapted=adapted)
    return [known[pair] for pair in pairs]


def restriction_reason(own: str | None, whole: License, *, adapted: bool) -> str | None:
    """Why an image of this license, in a dataset under these terms, may not be passed on; None if it may."""
    name = own or whole.id
    if whole.redistribution is False:
        return f"the dataset's terms ({whole.id or 'no license stated'}) forbid redistribution"
    if name is None:
        return "no license is stated"
    may = whole.redistribution if name == whole.id else None
    if not may and not is_open_license(name):
        return f"{name} is not known to allow redistribution"
    if adapted and "-ND" in normalize_license_name(name):
        return f"{name} does not allow changed images (--size)"
    return None


def is_open_license(name: str) -> bool:
    """Licenses under which anyone may pass on unchanged copies; all of Creative Commons are."""
    return normalize_license_name(name).startswith(OPEN_LICENSES)


def normalize_license_name(name: str) -> str:
    """As SPDX has it: `CC BY-NC 4.0` is CC-BY-NC-4.0."""
    return "-".join(name.upper().replace("_", " ").split())
