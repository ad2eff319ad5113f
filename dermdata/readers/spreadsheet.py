"""The shape "spreadsheet": sheets of .xlsx workbooks, read as text and joined like any other tables.

Only cells that are there count: a workbook of a kilobyte may say that it has a billion. What is unpacked, its marks and
the length of each are checked before anything is parsed, and cells are read one at a time.
"""

import io
import re
import warnings
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, iterparse

import pyarrow as pa

from dermdata.errors import TableRefused, nearest
from dermdata.limits import COLUMNS
from dermdata.markup import count_nouns
from dermdata.model import Content, JoinSpec, TableSpec
from dermdata.readers.delimited import RejectedRows, check_header
from dermdata.readers.raw_table import Opener, RawTable
from dermdata.readers.table import complete_rows, read_joined_table, required_columns
from dermdata.text_files import find_stand_in

if TYPE_CHECKING:
    from openpyxl import Workbook

ENDING = ".xlsx"
CELLS = 1_000_000  # in one sheet, the empty ones between others counted
CELL_LENGTH = 32_767  # characters of a cell, as many as a spreadsheet can have
INFLATED = 128 << 20  # bytes of XML in one workbook
MARKS = 6 * CELLS  # of XML in all of it: a cell has four, with a formula six
WORDS = 2_000_000  # marks of the words that cells share: each has four, and is slow to read
OTHER = 400_000  # marks of styles and whatever else no cell stands in
MARK_BYTES = 1 << 20  # bytes from the end of a mark to that of the next one
PIECE_BYTES = 1 << 20
HEADER_SHARE = 0.9  # of the most cells that a line has: so many names a header line has at least
# in UTF-8: in other encodings the marks would be other bytes
UTF8_BEGINNING = re.compile(
    rb"""(?:\xef\xbb\xbf)?\s*(?:<[^?]|<\?xml(?:[^>]*\sencoding\s*=\s*["'](?i:utf-8|us-ascii)["']|(?![^>]*encoding)))"""
)
# what openpyxl raises on broken workbooks; a parse error, entities that swell included, is a SyntaxError
WORKBOOK_ERRORS = (
    zipfile.BadZipFile, zlib.error, SyntaxError, LookupError, ValueError, TypeError, AttributeError,
    ArithmeticError, RuntimeError, EOFError, OSError,
)  # fmt: skip


def read(spec: TableSpec, files: Opener, contents: tuple[Content, ...]) -> RawTable:
    """The lines under the header line, empty ones left out; a cell is its shown text, "" for none."""
    del contents
    if spec.file is None:
        raise TableRefused("the catalog's table names no file")
    what = spec.member or spec.file
    rows = parse_sheet(files(spec.file, spec.member), spec.sheet, header_columns(spec), what)
    return complete_rows(rows, [], spec, what, partial(read_joined_sheet, spec, files))


def read_joined_sheet(spec: TableSpec, files: Opener, join: JoinSpec) -> tuple[pa.Table, RejectedRows]:
    """A joined sheet, of the same workbook or another one; or a table in text."""
    what = join.member or join.file
    if not what.lower().endswith(ENDING):
        return read_joined_table(spec, files, join)
    key = {name for name in (join.to or join.on).split("/") if not name.startswith("@")}
    return parse_sheet(files(join.file, join.member), join.sheet, key, what), []


def parse_sheet(data: bytes, sheet: str | None, wanted: Collection[str], what: str) -> pa.Table:
    """The table in a sheet whose header line has these columns, all cells text."""
    names, lines = split_at_header(read_sheet(data, sheet, what), wanted, what)
    check_header(names, what)
    return pa.table(
        {name: pa.array([line[n] for line in lines], pa.string()) for n, name in enumerate(names)}
    )


def header_columns(spec: TableSpec) -> set[str]:
    """The columns by which the header line is known: with other tables joined those that only this one can have."""
    named = [*required_columns(spec), *spec.one_hot]
    if spec.join:
        named = [
            *(join.on for join in spec.join[:1]),
            *spec.columns.get("image", ()),
            *spec.columns.get("image_id", ()),
        ]
    return {name for name in named if not name.startswith("@")}


def split_at_header(
    lines: list[list[str]], wanted: Collection[str], what: str
) -> tuple[list[str], list[list[str]]]:
    """The column names and the filled lines below: the first line with every wanted column.

    Legends and titles above it are passed over.
    """
    wanted = set(wanted)
    for number, line in enumerate(lines):
        if wanted <= set(line):
            names = [name or f"column {place}" for place, name in enumerate(line, 1)]
            return names, [below for below in lines[number + 1 :] if any(below)]
    raise TableRefused(f"{what} has no line with the columns {', '.join(sorted(wanted))}")


def split_at_full_line(lines: list[list[str]], what: str) -> tuple[list[str], list[list[str]]]:
    """The column names and the filled lines below, where nobody says what the columns are called.

    The names are the first line that has nearly as many different texts as any line has cells: titles and legends
    have fewer, and what stands below has gaps or repeats itself.
    """
    most = max((sum(map(bool, line)) for line in lines), default=0)
    for number, line in enumerate(lines):
        if len({cell for cell in line if cell}) >= max(1, most * HEADER_SHARE):
            names = [name or f"column {place}" for place, name in enumerate(line, 1)]
            return names, [below for below in lines[number + 1 :] if any(below)]
    raise TableRefused(f"{what} is empty")


def read_own_sheets(data: bytes, what: str) -> dict[str, pa.Table]:
    """Every sheet of a person's workbook that has a table, as text: its header is the first line that is as full as most.

    TableRefused for what is no workbook.
    """
    with map_workbook_errors(what):
        book = open_workbook(data, what)
        sheets = {sheet.title: pad_lines(list(iterate_lines(sheet, what))) for sheet in book.worksheets}
    found = {}
    for title, lines in sheets.items():
        if not lines:
            continue
        names, below = split_at_full_line(lines, f"{what}: {title}")
        check_header(names, f"{what}: {title}")
        found[title] = pa.table(
            {name: pa.array([line[n] for line in below], pa.string()) for n, name in enumerate(names)}
        )
    return found


def pad_lines(lines: list[list[str]]) -> list[list[str]]:
    """All lines as wide as the widest."""
    width = max(map(len, lines), default=0)
    return [line + [""] * (width - len(line)) for line in lines]


def read_sheet(data: bytes, name: str | None, what: str) -> list[list[str]]:
    """All lines of a sheet, padded to the widest."""
    if not data.startswith(b"PK") and (kind := find_stand_in(data)):
        raise TableRefused(f"{what} is {kind}, no .xlsx workbook")
    with map_workbook_errors(what):
        book = open_workbook(data, what)
        if name is not None and name not in book.sheetnames:
            near = nearest(name, book.sheetnames)
            hint = f"did you mean {near[0]}?" if near else None
            raise TableRefused(f"{what} has no sheet '{name}'", hint=hint)
        lines = list(iterate_lines(book[name] if name else book.worksheets[0], what))
    return pad_lines(lines)


@contextmanager
def map_workbook_errors(what: str) -> Iterator[None]:
    """TableRefused for whatever openpyxl makes of a broken workbook; sheets are parsed as they are read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and links that it does not know: not about cells
            yield
    except WORKBOOK_ERRORS as error:
        raise TableRefused(f"{what} is not an .xlsx workbook that can be read: {error}") from error


def open_workbook(data: bytes, what: str) -> "Workbook":
    """The workbook, once its parts are no more than can be held: its words are in memory whole."""
    import openpyxl  # heavy, and few tables are workbooks

    with zipfile.ZipFile(io.BytesIO(data)) as parts:
        inflated = sum(part.file_size for part in parts.infolist())
        if inflated > INFLATED:
            raise TableRefused(
                f"{what} inflates to {count_nouns(inflated, 'byte')}, the limit is {INFLATED:,}"
            )
        marks = 0
        for part in parts.infolist():
            if part.filename.lower().endswith((".xml", ".rels")):
                with parts.open(part) as source:
                    found = count_marks(source, f"{what}: {part.filename}")
                require_few_marks(found, mark_limit(part.filename.lower()), f"{what}: {part.filename}")
                marks += found
        require_few_marks(marks, MARKS, what)
    return openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)


def mark_limit(part: str) -> int:
    """How many marks a part may have."""
    if "sharedstrings" in part:
        return WORDS
    return MARKS if "sheet" in part else OTHER


def require_few_marks(found: int, most: int, what: str) -> None:
    if found > most:
        raise TableRefused(f"{what} has {found:,} marks of XML, the limit is {most:,}")


def count_marks(source: Any, what: str) -> int:
    """How many marks the XML has; TableRefused for one that is too long, for entities and for odd encodings."""
    piece, before, count = source.read(PIECE_BYTES), b"", 0
    if not UTF8_BEGINNING.match(piece):
        raise TableRefused(f"{what} is not XML in UTF-8")
    while piece:
        count += piece.count(b"<")
        before += piece
        if b"<!DOCTYPE" in before or b"\0" in piece:
            raise TableRefused(f"{what} has a document type or NUL bytes, which no spreadsheet writes")
        *_, before = before.rpartition(b">")
        if len(before) > MARK_BYTES:
            raise TableRefused(f"{what} has a text or mark of more than {MARK_BYTES:,} bytes")
        piece = source.read(PIECE_BYTES)
    return count


def iterate_lines(sheet: Any, what: str) -> Iterator[list[str]]:
    """The lines that have cells, each as wide as its last one; openpyxl gives every line that a sheet may have."""
    from openpyxl.worksheet._reader import CELL_TAG, ROW_TAG, WorkSheetParser  # heavy, as above

    book, count = sheet.parent, 0
    with sheet._get_source() as source:
        parser = WorkSheetParser(
            source,
            sheet._shared_strings,
            data_only=True,
            epoch=book.epoch,
            date_formats=book._date_formats,
            timedelta_formats=book._timedelta_formats,
        )
        line: list[str] = []
        for element in iterate_elements(source, CELL_TAG, ROW_TAG, what):
            if element.tag == CELL_TAG:
                cell = parser.parse_cell(element)
                if text := cell_text(cell["value"]):
                    put_text(line, cell["column"], text, what)
            else:
                count += len(line)
                if count > CELLS:
                    raise TableRefused(f"{what} has more than {CELLS:,} cells")
                if line:
                    yield line
                line, parser.col_counter = [], 0


def put_text(line: list[str], column: int, text: str, what: str) -> None:
    """Put the text into its column, from 1."""
    if not 1 <= column <= COLUMNS:
        raise TableRefused(f"{what} has a cell in column {column:,}, the limit is {COLUMNS:,}")
    if len(text) > CELL_LENGTH:
        raise TableRefused(
            f"{what} has a cell of {count_nouns(len(text), 'character')}, the limit is {CELL_LENGTH:,}"
        )
    line += [""] * (column - len(line))
    line[column - 1] = text


def iterate_elements(source: Any, cell: str, row: str, what: str) -> Iterator[Element]:
    """Each cell and each row as it ends, of which nothing is held after it."""
    around: list[Element] = []
    parts = 0  # of the cell that is open
    for event, element in iterparse(source, ("start", "end")):  # noqa: S314  # no entities: `count_marks`
        if event == "start":
            parts = parts + 1 if parts or element.tag == cell else 0
            if parts > CELL_LENGTH:
                raise TableRefused(f"{what} has a cell of more than {CELL_LENGTH:,} parts")
            around.append(element)
            continue
        around.pop()
        if element.tag in (cell, row):
            yield element
            parts = 0
        if not parts and around:
            around[-1].clear()


def cell_text(cell: object) -> str:
    """A cell's text; a whole number without the .0 that the format adds."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)
