"""One JSON object a line (UTF-8), nested columns as objects and lists, every key in every line.

Nulls are written: readers that guess the columns from the first lines (pandas, Polars, `datasets`) then
know them all. `path` is absolute, so that the table can be used from anywhere.
"""

from collections.abc import Iterable, Iterator

import pyarrow as pa

from dermdata.export import cells, text
from dermdata.export.job import Job, Part, Written


def plan(job: Job) -> tuple[Part, ...]:
    return text.plan(job, ".jsonl")


def write(job: Job) -> Written:
    return text.write(job, ".jsonl", chunks)


def chunks(schema: pa.Schema, blocks: Iterable[pa.Table]) -> Iterator[bytes]:
    """The file's bytes, a block of rows at a time."""
    names = schema.names
    for batch in blocks:
        rows = zip(*(cells.values(column) for column in batch.columns), strict=True)
        lines = [cells.dumped(dict(zip(names, row, strict=True))) + "\n" for row in rows]
        yield "".join(lines).encode()
