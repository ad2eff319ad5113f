"""A delimited text file -> text columns, and the lines that have too many or too few cells.

Text first: every cell is read as it stands ("NA", "0001" and "1e5" survive), also the line ends inside
quotes. Quoting is strict: a file that two programs could read in two ways is refused with its line. The delimiter is
found where nobody names it, Excel's `sep=` line and cells beyond the header's that are all empty are passed over.
"""

import codecs
import collections
import csv
import functools
import io
import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TextIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from dermdata.errors import BadTable, TableRefused
from dermdata.limits import COLUMNS, REJECTED
from dermdata.markup import count_nouns
from dermdata.text_files import SAVE_HINT, TextRefused, drop_separator_line, find_delimiter, to_utf8

ROWS = 800_000  # of one table: its manifest takes 500 MB; the largest that is published has half a million
LINE_LIMIT = 16 << 20  # characters
BATCH = 20_000  # rows that stand in memory as Python texts at once
CELL = re.compile(rb"[^\r\n]")
HEADER = re.compile(rb"(?:\r\n?|\n)*([^\r\n]*)(?:\r\n?|\n|\Z)")
UNNAMED = "\0"  # begins the place of a column that the header does not name: no text has it
DECLARE_HINT = f'encoding = "cp1252" in its [[table]] reads what Windows calls ANSI; or {SAVE_HINT}'
# what is given in place of a table, by its first bytes
OTHER_FORMS = {
    b"PK\x03\x04": "a workbook (.xlsx) or a zip",
    b"\xd0\xcf\x11\xe0": "a workbook of old (.xls)",
    b"PAR1": "a Parquet file",
    b"\x1f\x8b": "compressed (gzip)",
    b"%PDF": "a PDF",
}
RejectedRows = list[Mapping[str, Any]]


class OwnTable(NamedTuple):
    """A table of the person's own: all cells text; `notes` are what must be told of how it was read."""

    rows: pa.Table
    rejected: RejectedRows
    notes: tuple[str, ...]
    header: tuple[str, ...] = ()  # what the columns are called where it has no header line


LacksHeader = Callable[
    [Sequence[str], Sequence[str]], bool
]  # the first two lines -> whether the first is a row


def parse_own_table(data: bytes, name: str, lacks_header: LacksHeader | None = None) -> OwnTable:
    """Read a table that a person brings, of which nobody says how it is written.

    Parameters
    ----------
    data : bytes
        CSV or TSV: in UTF-8, UTF-16 or ANSI, with any of the usual delimiters.
    name : str
        What the table is called in an error.
    lacks_header
        Whether the first line is a row like the second: then the columns are called by their places.

    Returns
    -------
    OwnTable

    Raises
    ------
    BadTable
        As `parse_delimited` refuses a publisher's.

    """
    form = next((form for mark, form in OTHER_FORMS.items() if data.startswith(mark)), None)
    if form:
        raise BadTable(
            f"{name} is {form}, not a table in text", hint="save it as CSV, in Excel as 'CSV UTF-8'"
        )
    try:
        text = to_utf8(data)
        header = call_places(text.data, name, lacks_header) if lacks_header else ()
        rows, rejected = parse_text(text.data, name, None, header)
    except TextRefused as error:
        raise BadTable(f"{name}, {error}", hint=SAVE_HINT) from error
    except TableRefused as error:  # a publisher's table elsewhere: this one is the person's own
        raise BadTable(error.message, hint=error.hint) from error
    return OwnTable(rows, rejected, (f"{name} {text.note}",) if text.note else (), tuple(header))


def call_places(data: bytes, name: str, lacks_header: LacksHeader) -> list[str]:
    """What the columns of a table without a header line are called; nothing where it has one."""
    data, said = drop_separator_line(data)
    lines = [
        cells
        for _, cells in itertools.islice(number_rows(data, name, find_delimiter(data, (said, None), None)), 2)
    ]
    if len(lines) < 2 or len(lines[0]) != len(lines[1]) or not lacks_header(*lines):
        return []
    return [f"column {place}" for place, _ in enumerate(lines[0], 1)]


def parse_delimited(
    data: bytes, file: str, *, delimiter: str | None, encoding: str, header: Sequence[str] = ()
) -> tuple[pa.Table, RejectedRows]:
    """All cells as text under the header's names (or those given, for a file without a header line).

    TableRefused for bytes of another encoding, broken quoting, a NUL, an empty file, a name twice, or
    when no line at all has as many cells as the header.
    """
    try:
        text = to_utf8(data, encoding)
    except TextRefused as error:
        raise TableRefused(f"{file}, {error}", hint=DECLARE_HINT) from error
    except LookupError as error:
        raise TableRefused(f"{file}: {error}") from error
    return parse_text(text.data, file, delimiter, header)


def parse_text(
    data: bytes, file: str, delimiter: str | None, header: Sequence[str]
) -> tuple[pa.Table, RejectedRows]:
    """The table in these bytes of UTF-8; the delimiter is found where none is given, or where it parts nothing."""
    data, said = drop_separator_line(data)
    delimiter = find_delimiter(data, (said, delimiter), len(header) or None)
    plain = None if b'"' in data else parse_with_arrow(data, file, delimiter, header)
    rows, rejected = plain or parse_with_csv(data, file, delimiter, header)
    rows = drop_empty_end(drop_unnamed_columns(rows))
    if rows.num_rows > ROWS:
        raise TableRefused(f"{file} has {count_nouns(rows.num_rows, 'row')}, the limit is {ROWS:,}")
    return rows, rejected


# ------------------------------------------------------------------ the header, and what holds nothing


def check_header(names: Sequence[str], file: str) -> None:
    """TableRefused for too many columns, or two of one name."""
    if len(names) > COLUMNS:
        raise TableRefused(f"{file} has {count_nouns(len(names), 'column')}, the limit is {COLUMNS:,}")
    twice = sorted(name for name, count in collections.Counter(names).items() if count > 1)
    if twice:
        places = [str(place) for place, name in enumerate(names, 1) if name == twice[0]]
        raise TableRefused(
            f"{file} has the column {quote_names(twice)} more than once",
            hint=f"'{twice[0]}' is the name of columns {' and '.join(places[:9])}: rename one, or leave it out",
        )


def name_columns(names: Sequence[str], file: str) -> list[str]:
    """The header's names, NFC, with a place in the name of each column that has none."""
    found = [unicodedata.normalize("NFC", name) or f"{UNNAMED}{place}" for place, name in enumerate(names, 1)]
    check_header(found, file)
    return found


def drop_unnamed_columns(rows: pa.Table) -> pa.Table:
    """Without unnamed columns that hold nothing; of several others each is called by its place."""
    unnamed = [name for name in rows.column_names if name.startswith(UNNAMED)]
    empty = [name for name in unnamed if is_empty(rows[name])]
    rows = rows.drop_columns(empty)
    several = len(unnamed) - len(empty) > 1
    return rows.rename_columns([call_column(name, by_place=several) for name in rows.column_names])


def call_column(name: str, *, by_place: bool) -> str:
    """What a column is called; one without a name is called nothing, or by its place."""
    if not name.startswith(UNNAMED):
        return name
    return f"column {name.removeprefix(UNNAMED)}" if by_place else ""


def is_empty(column: pa.ChunkedArray) -> bool:
    """Whether no cell says anything."""
    return not pc.any(pc.not_equal(column, "")).as_py()


def drop_empty_end(rows: pa.Table) -> pa.Table:
    """Without the lines of nothing but delimiters with which spreadsheets end a table whose rows were deleted."""
    if not rows.num_rows or any(column[-1].as_py() for column in rows.columns):
        return rows
    is_filled = functools.reduce(pc.or_, (pc.not_equal(column, "") for column in rows.columns))
    filled = pc.indices_nonzero(is_filled)
    return rows.slice(0, filled[-1].as_py() + 1 if len(filled) else 0)


def quote_names(names: Sequence[str], limit: int = 30) -> str:
    """Names for a message, not more than a screen of them."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(f"'{name}'" for name in names[:limit]) + more


# ------------------------------------------------------------------ without a quotation mark


def parse_with_arrow(
    data: bytes, file: str, delimiter: str, header: Sequence[str]
) -> tuple[pa.Table, RejectedRows] | None:
    """The table where every line is whole; None where one is not, for `parse_with_csv` to say which."""
    start, names = 0, list(header)
    if not names and (first := HEADER.match(data)):
        start, names = first.end(), first[1].decode().split(delimiter)
    body = pa.py_buffer(data).slice(start)
    if not any(names) or not CELL.search(data, start) or data.startswith(codecs.BOM_UTF8, start):
        return None  # Arrow would take a mark at the beginning of its lines for one of the file
    names = name_columns(names, file)
    try:
        rows = pa_csv.read_csv(
            pa.BufferReader(body),
            read_options=pa_csv.ReadOptions(column_names=names),
            parse_options=pa_csv.ParseOptions(delimiter=delimiter, quote_char=False),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid:
        return None  # an uneven line, or one longer than Arrow's block: `parse_with_csv` reads or refuses it
    return None if longest_cell(rows) > csv.field_size_limit() else (rows.combine_chunks(), [])


def longest_cell(rows: pa.Table) -> int:
    """Bytes of the longest cell."""
    return max((pc.max(pc.binary_length(column)).as_py() or 0 for column in rows.columns), default=0)


# ------------------------------------------------------------------ with quotation marks, or with uneven lines


def parse_with_csv(
    data: bytes, file: str, delimiter: str, header: Sequence[str]
) -> tuple[pa.Table, RejectedRows]:
    """The table by Python's csv module in strict mode, which knows the number of each line."""
    rows = number_rows(data, file, delimiter)
    names = list(header) or next((cells for _, cells in rows), [])
    if not any(names):
        raise TableRefused(f"{file} is empty")
    names = name_columns(names, file)
    whole = WholeRows(len(names), file, delimiter)
    batches = [*batch_rows(whole.select(rows), names)]
    if (
        whole.trimmed and whole.wider
    ):  # a cell too many is no trailing delimiter: nothing tells which one it is
        rows = itertools.islice(number_rows(data, file, delimiter), 0 if header else 1, None)
        whole = WholeRows(len(names), file, delimiter, trims=False)
        batches = [*batch_rows(whole.select(rows), names)]
    if whole.rejected and not batches:
        raise TableRefused(
            f"{file}: none of its {count_nouns(len(whole.rejected), 'line')} "
            f"has the header's {count_nouns(len(names), 'cell')} "
            f"(line {whole.rejected[0]['line']} has {whole.rejected[0]['reason']})"
        )
    schema = pa.schema([(name, pa.string()) for name in names])
    return pa.Table.from_batches(batches, schema).combine_chunks(), whole.rejected


def number_rows(data: bytes, file: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each row with the number of its first line; blank lines are no rows."""
    text = io.TextIOWrapper(io.BytesIO(data), "utf-8", newline="")
    reader = csv.reader(read_bounded_lines(text, file), delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        what = "a quotation mark is never closed" if "unexpected end" in str(error) else error
        raise TableRefused(f"{file}, line {line}: {what}") from error


def read_bounded_lines(text: TextIO, file: str) -> Iterator[str]:
    """The lines of a text, none of them held when it is longer than LINE_LIMIT."""
    for number, line in enumerate(iter(lambda: text.readline(LINE_LIMIT), ""), 1):
        if len(line) == LINE_LIMIT:
            raise TableRefused(f"{file}, line {number}: longer than {LINE_LIMIT:,} characters")
        yield line


@dataclass
class WholeRows:
    """Selects the rows of the right width; the others are listed with their line."""

    width: int
    file: str
    delimiter: str
    trims: bool = True  # cells beyond the header's that are all empty are trailing delimiters
    trimmed: int = 0
    wider: int = 0  # rows with a filled cell beyond the header's
    rejected: RejectedRows = field(default_factory=list)

    def select(self, rows: Iterable[tuple[int, list[str]]]) -> Iterator[list[str]]:
        """The rows with as many cells as the header has."""
        for line, cells in rows:
            if len(cells) == self.width:
                yield cells
            elif self.trims and len(cells) > self.width and not any(cells[self.width :]):
                self.trimmed += 1
                yield cells[: self.width]
            else:
                self.reject(line, cells)

    def reject(self, line: int, cells: list[str]) -> None:
        """List a row; TableRefused where very many are."""
        self.wider += len(cells) > self.width
        reason = f"{count_nouns(len(cells), 'cell')}, the header has {self.width}"
        row = {"file": self.file, "line": line, "row": self.delimiter.join(cells), "reason": reason}
        self.rejected.append(row)
        require_few_rejected(len(self.rejected), self.file)


def require_few_rejected(rejected: int, file: str) -> None:
    """TableRefused where so many lines are no rows that the file is another one than it seems."""
    if rejected > REJECTED:
        raise TableRefused(f"{file}: more than {REJECTED:,} of its lines are not what its header says")


def batch_rows(rows: Iterator[list[str]], names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    while some := [*itertools.islice(rows, BATCH)]:
        columns = [pa.array(column, pa.string()) for column in zip(*some, strict=True)]
        yield pa.RecordBatch.from_arrays(columns, names=list(names))
