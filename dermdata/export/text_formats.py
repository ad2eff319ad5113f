"""CSV and JSON Lines: one file of all rows, and its provenance beside it. `path` is absolute, for use from anywhere.

CSV (RFC 4180, UTF-8, line feeds) has a header, nested columns as JSON, and null as an empty cell. With `excel_safe` a
cell that a spreadsheet would take for a formula gets a leading `'`; numbers stay numbers. That cannot be undone by
reading, so it is off by default.

JSON Lines (UTF-8) has one object a line, nested columns as objects and lists, every key in every line. Nulls are
written: readers that guess the columns from the first lines (pandas, Polars, `datasets`) then know them all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa

from dermdata import disk
from dermdata.errors import UsageError
from dermdata.export.chosen_columns import choose_columns
from dermdata.export.job import ExportPart, ExportResult, Job, single_file_path
from dermdata.export.left_out import count_reasons, write_left_out
from dermdata.export.metadata import write_about_file
from dermdata.export.row_images import to_absolute_paths
from dermdata.manifest.arrow import memory_bytes
from dermdata.manifest.text import csv_cells, csv_lines, encode_json, json_values

TEXT_ROWS = 8192  # rows that are text in memory at once …
TEXT_BYTES = 16 << 20  # … and bytes of them, one long row excepted


def plan_text_file(job: Job, ending: str) -> tuple[ExportPart, ...]:
    """The one file; it is always written anew."""
    return (ExportPart(text_path(job, ending), job.table.num_rows, None, there=False),)


def write_text_file(
    job: Job, ending: str, chunks: Callable[[pa.Schema, Iterator[pa.Table]], Iterator[bytes]]
) -> ExportResult:
    """Write the rows, and `<file>.about.json` after them."""
    path, rows, finder = text_path(job, ending), job.rows, job.open_finder()
    notes: Counter[str] = Counter()
    chosen = choose_columns(rows, job.columns, flat=job.flat)
    schema = chosen.pick(rows.schema.empty_table()).schema

    def blocks() -> Iterator[pa.Table]:
        for block in rows.blocks(TEXT_ROWS):
            table, found = to_absolute_paths(block, finder)
            notes.update(found)
            yield chosen.pick(table)

    job.progress.begin(path.name, None)
    disk.write_chunks(path, report_progress(chunks(schema, blocks()), job, path.name))
    write_about_file(path, schema, rows.num_rows)
    job.progress.end(path.name)
    beside = write_left_out(path, job.left, excel_safe=job.excel_safe)
    left_out = count_reasons(job.left) | notes
    size = path.stat().st_size
    return ExportResult((path, *beside), rows.num_rows, size, left_out=left_out, unusable=job.unusable)


def report_progress(chunks: Iterator[bytes], job: Job, task: str) -> Iterator[bytes]:
    for chunk in chunks:
        job.progress.advance(task, len(chunk))
        yield chunk


def text_path(job: Job, ending: str) -> Path:
    if job.embed or job.recipe.changes:
        raise UsageError(f"{ending[1:]} cannot hold images", hint="export parquet --embed can")
    return single_file_path(job, ending)


def plan_csv(job: Job) -> tuple[ExportPart, ...]:
    return plan_text_file(job, ".csv")


def write_csv(job: Job) -> ExportResult:
    return write_text_file(job, ".csv", partial(csv_chunks, excel_safe=job.excel_safe))


def csv_chunks(schema: pa.Schema, blocks: Iterable[pa.Table], *, excel_safe: bool = False) -> Iterator[bytes]:
    """The file's bytes, a block of rows at a time."""
    yield csv_lines([schema.names], excel_safe=excel_safe)
    for batch in split_long_blocks(blocks):
        rows = zip(*(csv_cells(column) for column in batch.columns), strict=True)
        yield csv_lines(rows, excel_safe=excel_safe)


def plan_jsonl(job: Job) -> tuple[ExportPart, ...]:
    return plan_text_file(job, ".jsonl")


def write_jsonl(job: Job) -> ExportResult:
    return write_text_file(job, ".jsonl", jsonl_chunks)


def jsonl_chunks(schema: pa.Schema, blocks: Iterable[pa.Table]) -> Iterator[bytes]:
    """The file's bytes, a block of rows at a time."""
    names = schema.names
    for batch in split_long_blocks(blocks):
        rows = zip(*(json_values(column) for column in batch.columns), strict=True)
        lines = [encode_json(dict(zip(names, row, strict=True))) + "\n" for row in rows]
        yield "".join(lines).encode()


def split_long_blocks(blocks: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows, so few at a time that they are small as text: it takes several times their bytes."""
    for block in blocks:
        if block.num_rows < 2 or memory_bytes(block) <= TEXT_BYTES:
            yield block
        else:
            middle = block.num_rows // 2
            yield from split_long_blocks([block.slice(0, middle), block.slice(middle)])
