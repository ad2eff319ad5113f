"""Audits of a few rows for tests: a manifest from columns, and image files in a folder."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from dermdata.audit import AuditContext, AuditOptions, choose_codes, run_audit
from dermdata.crosswalks.extents import LabelComparer
from dermdata.engine import ExecutorFactory, thread_executor
from dermdata.manifest.parquet import conform
from dermdata.model import Dataset, Finding
from dermdata.progress import SilentProgress
from dermdata.projection import LabelStatements
from dermdata.split import check_split
from support.bundled_labels import vocabulary


def rows(count: int | None = None, **columns: Sequence[Any]) -> pa.Table:
    """A manifest of these columns; rows are a/0, a/1, … of the dataset `a` where nothing else is said."""
    count = count if count is not None else len(next(iter(columns.values())))
    names = [str(number) for number in range(count)]
    known = {"dataset": ["a"] * count, "image_id": names} | columns
    keys = [f"{dataset}/{name}" for dataset, name in zip(known["dataset"], known["image_id"], strict=True)]
    return conform(pa.table({"key": keys} | known))


def audited(
    table: pa.Table,
    *only: str,
    root: Path | None = None,
    keep: Path | None = None,
    near: bool = False,
    make: ExecutorFactory = thread_executor,
    **more: Any,
) -> list[Finding]:
    """The findings of these codes, or all of them; image files lie in `root`."""
    entries: Iterable[Dataset] = more.pop("entries", ())
    tree = vocabulary()
    names = set(table["dataset"].cast(pa.string()).to_pylist())
    context = AuditContext(
        statements=LabelStatements({}, tree),
        judge=LabelComparer(tree),
        entries={entry.name: entry for entry in entries},
        roots=dict.fromkeys(names, root or Path("nowhere")),
        inspection_folders=dict.fromkeys(names, keep) if keep else {},  # type: ignore[arg-type]
        check_split=check_split,
        **more,
    )
    return run_audit(
        table,
        context,
        AuditOptions(near=near, codes=choose_codes(only, ()), jobs=2, make=make),
        SilentProgress(),
    )


def told(found: Iterable[Finding]) -> list[tuple[str, str, tuple[str, ...]]]:
    """What each finding is about."""
    return [(one.level, one.code, one.keys) for one in found]
