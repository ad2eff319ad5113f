"""One CSV file (RFC 4180, UTF-8, line feeds): a header, nested columns as JSON, null as an empty cell.

`path` is absolute, so that the table can be used from anywhere. With `excel_safe` a cell that a spreadsheet
would take for a formula gets a leading `'`; numbers stay numbers. That cannot be undone by reading, so
it is off by default.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import pyarrow as pa

from dermdata.export import cells, text
from dermdata.export.job import Job, Part, Written


def plan(job: Job) -> tuple[Part, ...]:
    return text.plan(job, ".csv")


def write(job: Job) -> Written:
    return text.write(job, ".csv", partial(chunks, excel_safe=job.excel_safe))


def chunks(schema: pa.Schema, blocks: Iterable[pa.Table], *, excel_safe: bool = False) -> Iterator[bytes]:
    """The file's bytes, a block of rows at a time."""
    yield cells.lines([schema.names], excel_safe=excel_safe)
    for batch in blocks:
        rows = zip(*(cells.words(column) for column in batch.columns), strict=True)
        yield cells.lines(rows, excel_safe=excel_safe)
