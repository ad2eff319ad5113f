"""One CSV file (RFC 4180, UTF-8, line feeds): a header, nested columns as JSON, null as an empty cell.

`path` is absolute, so that the table can be used from anywhere. With `excel_safe` a cell that a spreadsheet
would take for a formula gets a leading `'`; numbers stay numbers. That cannot be undone by reading, so
it is off by default.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import pyarrow as pa

from dermdata.export import cells, text
from dermdata.export.job import Job, Part, Written

FORMULA = ("=", "+", "-", "@", "\t", "\r")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)


def plan(job: Job) -> tuple[Part, ...]:
    return text.plan(job, ".csv")


def write(job: Job) -> Written:
    return text.write(job, ".csv", partial(chunks, excel_safe=job.excel_safe))


def chunks(schema: pa.Schema, blocks: Iterable[pa.Table], *, excel_safe: bool = False) -> Iterator[bytes]:
    """The file's bytes, a block of rows at a time."""
    yield block([schema.names], excel_safe)
    for batch in blocks:
        yield block(zip(*(cells.words(column) for column in batch.columns), strict=True), excel_safe)


def block(rows: Iterable[Iterable[str | None]], excel_safe: bool) -> bytes:
    lines = Lines()
    # with CR LF as its line end the writer also quotes a lone CR, which pandas would take for a line end
    writer = csv.writer(lines, lineterminator="\r\n")
    writer.writerows(([safe(cell) for cell in row] for row in rows) if excel_safe else rows)
    return "".join(lines.lines).encode()


class Lines:
    """Takes the writer's rows one by one and gives them our own line end."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, line: str) -> Any:
        self.lines.append(line[:-2] + "\n")


def safe(cell: str | None) -> str | None:
    """The cell as text for a spreadsheet too."""
    if cell and cell.startswith(FORMULA) and not NUMBER.match(cell):
        return f"'{cell}"
    return cell
