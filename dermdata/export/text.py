"""What the text formats share: one file of rows, and its provenance beside it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from dermdata import disk
from dermdata.errors import UsageError
from dermdata.export import about, files, leftout
from dermdata.export.job import Job, Part, Written, one_file

BATCH = 8192  # rows that are text in memory at once


def plan(job: Job, ending: str) -> tuple[Part, ...]:
    """The one file; it is always written anew."""
    return (Part(target(job, ending), job.table.num_rows, None, there=False),)


def write(job: Job, ending: str, chunks: Callable[[pa.Table], Iterator[bytes]]) -> Written:
    """Write the rows, and `<file>.about.json` after them."""
    path = target(job, ending)
    table, missing = files.anywhere(job.table, job.roots)
    job.progress.begin(path.name, None)
    disk.write(path, told(chunks(table), job, path.name))
    about.write_beside(path, table)
    job.progress.end(path.name)
    beside = leftout.write_beside(path, job.left)
    left_out = leftout.counted(job.left) | ({files.MISSING: missing} if missing else {})
    return Written((path, *beside), table.num_rows, path.stat().st_size, left_out=left_out)


def told(chunks: Iterator[bytes], job: Job, task: str) -> Iterator[bytes]:
    for chunk in chunks:
        job.progress.advance(task, len(chunk))
        yield chunk


def target(job: Job, ending: str) -> Path:
    if job.embed or job.recipe.changes:
        raise UsageError(f"{ending[1:]} cannot hold images", hint="export parquet --embed can")
    return one_file(job, ending)


def batches(table: pa.Table) -> Iterator[pa.Table]:
    """The table in blocks of rows."""
    for start in range(0, table.num_rows, BATCH):
        yield table.slice(start, BATCH)
