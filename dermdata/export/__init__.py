"""Manifests written for others: one module a format, all with `plan(job)` and `write(job)`.

A new format is a module of this package and its name in FORMATS. `plan` says what would be written and
touches nothing; `write` streams with flat memory, gives a file its final name only when it is whole, and
writes the same bytes for the same job.
"""

from importlib import import_module
from typing import Protocol, cast

from dermdata.errors import UnknownName, UsageError
from dermdata.export.job import Job, Part, Written, prepared

FORMATS = ("parquet", "csv", "jsonl", "imagefolder", "webdataset", "huggingface", "coco", "croissant")
REMOTE = ("parquet", "webdataset", "huggingface")  # formats of whole files that a bucket can hold
LINKING = ("imagefolder", "coco")  # formats whose images may be links

__all__ = ["FORMATS", "Job", "Part", "Written", "plan", "write"]


class Format(Protocol):
    """What each format's module offers."""

    def plan(self, job: Job) -> tuple[Part, ...]: ...
    def write(self, job: Job) -> Written: ...


def plan(name: str, job: Job) -> tuple[Part, ...]:
    """The files that `write` would make, and which of them are there already; UnknownName for no such format."""
    return format_named(name).plan(prepared(allowed(name, job)))


def write(name: str, job: Job) -> Written:
    """Export in the format of this name; UnknownName, UsageError, SizeMismatch or StorageError."""
    return format_named(name).write(prepared(allowed(name, job)))


def allowed(name: str, job: Job) -> Job:
    """The job, if its choices mean something in this format."""
    if job.copy and name not in LINKING:
        raise UsageError(f"{name} has no links that --copy could replace", hint="leave out --copy")
    if job.bucket and name not in REMOTE:
        raise UsageError(
            f"{name} cannot be written to {job.bucket}",
            hint=f"{', '.join(REMOTE)} can; or give a folder here",
        )
    return job


def format_named(name: str) -> Format:
    if name not in FORMATS:
        raise UnknownName("format", name, FORMATS, hint=f"one of {', '.join(FORMATS)}")
    return cast("Format", import_module(f"dermdata.export.{name}"))
