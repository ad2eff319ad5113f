"""What the text formats share: one file of rows, and its provenance beside it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from dermdata import disk
from dermdata.errors import UsageError
from dermdata.export import about, files, leftout
from dermdata.export.job import Job, Part, Written, one_file
from dermdata.manifest.image_files import ImageFinder

BATCH = 8192  # rows that are text in memory at once


def plan(job: Job, ending: str) -> tuple[Part, ...]:
    """The one file; it is always written anew."""
    return (Part(target(job, ending), job.table.num_rows, None, there=False),)


def write(
    job: Job, ending: str, chunks: Callable[[pa.Schema, Iterator[pa.Table]], Iterator[bytes]]
) -> Written:
    """Write the rows, and `<file>.about.json` after them."""
    path, rows, finder = target(job, ending), job.rows, ImageFinder(job.roots)
    lacking: list[int] = []  # rows without an image, a block each

    def blocks() -> Iterator[pa.Table]:
        for block in rows.blocks(BATCH):
            table, missing = files.anywhere(block, finder)
            lacking.append(missing)
            yield table

    job.progress.begin(path.name, None)
    disk.write(path, told(chunks(rows.schema, blocks()), job, path.name))
    about.write_beside(path, rows.schema, rows.num_rows)
    job.progress.end(path.name)
    beside = leftout.write_beside(path, job.left, excel_safe=job.excel_safe)
    left_out = leftout.counted(job.left) | ({files.MISSING: sum(lacking)} if sum(lacking) else {})
    return Written((path, *beside), rows.num_rows, path.stat().st_size, left_out=left_out)


def told(chunks: Iterator[bytes], job: Job, task: str) -> Iterator[bytes]:
    for chunk in chunks:
        job.progress.advance(task, len(chunk))
        yield chunk


def target(job: Job, ending: str) -> Path:
    if job.embed or job.recipe.changes:
        raise UsageError(f"{ending[1:]} cannot hold images", hint="export parquet --embed can")
    return one_file(job, ending)
