"""An export: what is asked of it, which columns it needs, and the job that writes or plans it."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata.api.label_spaces import ADDED, project
from dermdata.api.label_spaces import NEEDED as PROJECTED
from dermdata.api.records import Records
from dermdata.api.resources import Resources

if TYPE_CHECKING:
    from dermdata.api.targets import Loaded
    from dermdata.export import ExportResult as ExportResult  # what an export gives
    from dermdata.export import Job

# what formats without images decide by: which rows, which file name, what may be passed on
HELD = ("dataset", "key", "image_id", "license", "diagnosis", "split", "split_official")
PLAN_KEYS = ("path", "rows", "size_bytes", "there")


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """What is asked of an export, as `Manifest.export` says."""

    name: str
    out: str
    labels: str | None = None
    strict: bool = False
    embed: bool = False
    split: str | None = None
    size: int | None = None
    strip_exif: bool = False
    redistributable: bool = False
    copy: bool = False
    excel_safe: bool = False
    jobs: int | None = None
    engine: str | None = None

    @property
    def is_lean(self) -> bool:
        """Whether a few columns decide what is written: the others are read while they are written."""
        return self.name in ("csv", "jsonl") or (self.name == "parquet" and not self.embed)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that decide what is written."""
        return (*HELD, *ADDED, *(PROJECTED if self.labels else ()))

    @property
    def prefix(self) -> str:
        """What the files come under in an object store."""
        return self.out.rpartition("/")[0] if self.out.endswith(".parquet") else self.out


def require_format(name: str) -> None:
    """UnknownName for no such format: a wrong name must not cost the reading of a large manifest."""
    from dermdata import export

    export.load_format(name)


def export_rows(resources: Resources, loaded: "Loaded", request: ExportRequest) -> "ExportResult":
    """Write the rows in the format that is asked for; UsageError, IntegrityError or StorageError."""
    from dermdata import export

    with open_job(resources, loaded, request) as job:
        return export.write(request.name, job)


def plan_rows(resources: Resources, loaded: "Loaded", request: ExportRequest) -> Records:
    """The files that `export_rows` would write, a record a file (or a folder of images); nothing is written."""
    from dermdata import export

    with open_job(resources, loaded, request) as job:
        parts = export.plan(request.name, job)
    items = [
        {"path": str(one.path), "rows": one.rows, "size_bytes": one.bytes, "there": one.there}
        for one in parts
    ]
    return Records(items, PLAN_KEYS)


@contextmanager
def open_job(resources: Resources, loaded: "Loaded", request: ExportRequest) -> Iterator["Job"]:
    """The rows with their classes, the place they go to, and who works on them."""
    from dermdata import export
    from dermdata.api.engines import open_workers
    from dermdata.object_store import is_remote, open_bucket

    table: Any = loaded.table
    if request.labels:
        table = project(resources, table, request.labels, strict=request.strict)
    entries = resources.find_entries(loaded.names)
    with ExitStack() as stack:
        remote = is_remote(request.out)
        bucket = stack.enter_context(open_bucket(request.prefix)) if remote else None
        make = stack.enter_context(open_workers(resources, request.engine))
        progress = stack.enter_context(resources.show_progress())
        yield export.Job(
            table=table, rest=loaded.rest, roots=loaded.roots, out=Path(request.out), bucket=bucket, make=make,
            embed=request.embed, split=request.split, size=request.size, strip=request.strip_exif,
            redistributable=request.redistributable, copy=request.copy, jobs=request.jobs or os.cpu_count() or 1,
            excel_safe=request.excel_safe, entries=entries, progress=progress,
        )  # fmt: skip
