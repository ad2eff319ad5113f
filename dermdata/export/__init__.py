"""Manifests written for others: each format has a `plan_<format>(job)` and a `write_<format>(job)`.

A new format is a module of its name in this package, and its name in FORMATS. The plan says what would be written
and touches nothing. Writing streams with flat memory, gives a file its final name only when it is whole, and gives
the same bytes for the same job.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module

from dermdata.errors import UnknownName, UsageError
from dermdata.export.job import ExportPart, ExportResult, Job, prepare_job
from dermdata.export.row_images import NoUsableImages

FORMATS = (
    "parquet", "csv", "jsonl", "imagefolder", "webdataset", "huggingface", "coco", "croissant", "yolo", "yolo-seg",
    "masks", "nnunet",
)  # fmt: skip
REMOTE_FORMATS = ("parquet", "webdataset", "huggingface")  # formats of whole files that a bucket can hold
TABLE_FORMATS = ("parquet", "csv", "jsonl")  # of tables, whose columns can be chosen
LINKING_FORMATS = ("imagefolder", "coco", "yolo", "yolo-seg", "masks")  # formats whose images may be links
# of formats that have no module of their own name
MODULES = {"csv": "text_formats", "jsonl": "text_formats", "yolo-seg": "yolo", "masks": "mask_folders"}

__all__ = ["FORMATS", "ExportPart", "ExportResult", "Job", "NoUsableImages", "plan", "write"]


@dataclass(frozen=True)
class ExportFormat:
    """How the files of a format are planned and written."""

    plan: Callable[[Job], tuple[ExportPart, ...]]
    write: Callable[[Job], ExportResult]


def plan(name: str, job: Job) -> tuple[ExportPart, ...]:
    """List the files that `write` would make, and which of them are there already.

    Parameters
    ----------
    name : str
        One of FORMATS.
    job : Job
        What to export, and where to.

    Returns
    -------
    tuple of ExportPart
        One for each file; of formats with a file for each image, one for each folder.

    Raises
    ------
    UnknownName
        There is no such format.
    UsageError
        An option means nothing in this format, or OUT holds what is not this export's.

    """
    return load_format(name).plan(prepare_job(check_options(name, job)))


def write(name: str, job: Job) -> ExportResult:
    """Export in the format of this name; what an earlier run of the same job wrote is kept.

    Parameters
    ----------
    name : str
        One of FORMATS.
    job : Job
        What to export, and where to.

    Returns
    -------
    ExportResult
        The files, their rows and bytes, which rows were left out for which reason, and the images that were not found.

    Raises
    ------
    UnknownName
        There is no such format.
    UsageError
        An option means nothing in this format, or OUT holds what is not this export's.
    SizeMismatch, ChecksumMismatch
        An image is not the one that its row describes.
    StorageError
        A file cannot be read or written.
    NoUsableImages
        No row has an image that can be written.

    """
    return replace(load_format(name).write(prepare_job(check_options(name, job))), missing=job.missing)


def check_options(name: str, job: Job) -> Job:
    """The job; UsageError for an option that means nothing in this format."""
    if job.copy and name not in LINKING_FORMATS:
        raise UsageError(f"{name} has no links that --copy could replace", hint="leave out --copy")
    if (job.columns or job.flat) and (job.embed or name not in TABLE_FORMATS):
        raise UsageError(
            f"{name}{' --embed' if job.embed else ''} has columns of its own",
            hint=f"--columns and --flat are of tables without images: {', '.join(TABLE_FORMATS)}",
        )
    if job.bucket and name not in REMOTE_FORMATS:
        raise UsageError(
            f"{name} cannot be written to {job.bucket}",
            hint=f"{', '.join(REMOTE_FORMATS)} can; or give a folder here",
        )
    return job


def load_format(name: str) -> ExportFormat:
    if name not in FORMATS:
        raise UnknownName("format", name, FORMATS, hint=f"one of {', '.join(FORMATS)}")
    module = import_module(f"dermdata.export.{MODULES.get(name, name)}")
    verb = name.replace("-", "_")
    return ExportFormat(getattr(module, f"plan_{verb}"), getattr(module, f"write_{verb}"))
