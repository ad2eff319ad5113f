"""The shape "spreadsheet": one sheet of an .xlsx workbook, read as text like any other table."""

import io
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from dermdata.errors import TableRefused, nearest
from dermdata.model import Content, Table
from dermdata.readers.delimited import check_header
from dermdata.readers.raw import Opener, RawTable
from dermdata.readers.table import needed, understood

if TYPE_CHECKING:
    from openpyxl import Workbook

CELLS = 5_000_000  # in one sheet; a workbook may claim any size
INFLATED = 128 << 20  # bytes of XML in one workbook
# what openpyxl raises on broken workbooks; a parse error, entities that swell included, is a SyntaxError
UNREADABLE = (
    zipfile.BadZipFile, zlib.error, SyntaxError, LookupError, ValueError, TypeError, AttributeError,
    ArithmeticError, RuntimeError, EOFError, OSError,
)  # fmt: skip


def read(spec: Table, files: Opener, contents: tuple[Content, ...]) -> RawTable:
    """The lines under the header line, empty ones left out; a cell is its shown text, "" for none."""
    del contents
    if spec.file is None:
        raise TableRefused("the catalog's table names no file")
    what = spec.member or spec.file
    names, lines = under_header(sheet(files(spec.file, spec.member), spec.sheet, what), spec, what)
    check_header(names, what)
    rows = pa.table(
        {name: pa.array([line[n] for line in lines], pa.string()) for n, name in enumerate(names)}
    )
    rows, rejected = understood(rows, spec, what)
    return RawTable(rows, tuple(rejected))


def under_header(lines: list[list[str]], spec: Table, what: str) -> tuple[list[str], list[list[str]]]:
    """The column names and the filled lines below: the first line with every column that the catalog names.

    Legends and titles above it are passed over.
    """
    wanted = {name for name in (*needed(spec), *spec.one_hot) if not name.startswith("@")}
    for number, line in enumerate(lines):
        if wanted <= set(line):
            names = [name or f"column {place}" for place, name in enumerate(line, 1)]
            return names, [below for below in lines[number + 1 :] if any(below)]
    raise TableRefused(f"{what} has no line with the columns {', '.join(sorted(wanted))}")


def sheet(data: bytes, name: str | None, what: str) -> list[list[str]]:
    """All lines of a sheet, padded to the widest."""
    with readable(what):
        book = opened(data, what)
        if name is not None and name not in book.sheetnames:
            near = nearest(name, book.sheetnames)
            hint = f"did you mean {near[0]}?" if near else None
            raise TableRefused(f"{what} has no sheet '{name}'", hint=hint)
        lines = list(cells(book[name] if name else book.worksheets[0], what))
    width = max(map(len, lines), default=0)
    return [line + [""] * (width - len(line)) for line in lines]


@contextmanager
def readable(what: str) -> Iterator[None]:
    """TableRefused for whatever openpyxl makes of a broken workbook; sheets are parsed as they are read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and links that it does not know: not about cells
            yield
    except UNREADABLE as error:
        raise TableRefused(f"{what} is not an .xlsx workbook that can be read: {error}") from error


def opened(data: bytes, what: str) -> "Workbook":
    """The workbook, unless it would inflate without measure: its words are held in memory whole."""
    import openpyxl

    with zipfile.ZipFile(io.BytesIO(data)) as parts:
        inflated = sum(part.file_size for part in parts.infolist())
    if inflated > INFLATED:
        raise TableRefused(f"{what} inflates to {inflated:,} bytes, the limit is {INFLATED:,}")
    return openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)


def cells(lines: object, what: str) -> Iterator[list[str]]:
    count = 0
    for line in lines.iter_rows(values_only=True):  # type: ignore[attr-defined]  # openpyxl ships no types
        count += len(line)
        if count > CELLS:
            raise TableRefused(f"{what} has more than {CELLS:,} cells")
        yield [text_of(cell) for cell in line]


def text_of(cell: object) -> str:
    """A cell's text; a whole number without the .0 that the format adds."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)
