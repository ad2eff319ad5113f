"""A delimited text file -> text columns, and the lines that have too many or too few cells.

Text first: every cell is read as it stands ("NA", "0001" and "1e5" survive), also the line ends inside
quotes. Quoting is strict: a file that two programs could read in two ways is refused with its line.
"""

import codecs
import collections
import csv
import io
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from dermdata.errors import TableRefused
from dermdata.limits import COLUMNS, REJECTED

ROWS = 800_000  # of one table: its manifest takes 500 MB; the largest that is published has half a million
LINE_LIMIT = 16 << 20  # characters
PIECE_BYTES = 1 << 20  # bytes that are decoded at once
BATCH = 20_000  # rows that stand in memory as Python texts at once
CELL = re.compile(rb"[^\r\n]")
BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
LINE_END = re.compile(rb"\r\n?|\n")
HEADER = re.compile(rb"(?:\r\n?|\n)*([^\r\n]*)(?:\r\n?|\n|\Z)")
RejectedRows = list[Mapping[str, Any]]


def parse_delimited(
    data: bytes, file: str, *, delimiter: str, encoding: str, header: Sequence[str] = ()
) -> tuple[pa.Table, RejectedRows]:
    """All cells as text under the header's names (or those given, for a file without a header line).

    TableRefused for bytes of another encoding, broken quoting, a NUL, an empty file, a name twice, or
    when no line at all has as many cells as the header.
    """
    data = to_utf8(data, file, encoding)
    plain = None if b'"' in data else parse_with_arrow(data, file, delimiter, header)
    rows, rejected = plain or parse_with_csv(data, file, delimiter, header)
    if rows.num_rows > ROWS:
        raise TableRefused(f"{file} has {rows.num_rows:,} rows, the limit is {ROWS:,}")
    return rows, rejected


# ------------------------------------------------------------------ bytes


def to_utf8(data: bytes, file: str, encoding: str) -> bytes:
    """The file in UTF-8 without a byte order mark; a mark that is there counts more than the catalog's word."""
    named = next((name for mark, name in BOMS.items() if data.startswith(mark)), encoding)
    try:
        is_utf8 = codecs.lookup(named).name == "utf-8"
    except LookupError as error:
        raise TableRefused(f"{file}: {error}") from error
    pieces = recode_pieces(data, file, named)
    if is_utf8:
        collections.deque(pieces, 0)  # decoded, not kept
    else:
        data = b"".join(pieces)
    if (nul := data.find(b"\0")) >= 0:
        raise TableRefused(f"{file}, line {line_number(data, nul)}: holds a NUL byte")
    return data


def recode_pieces(data: bytes, file: str, encoding: str) -> Iterator[bytes]:
    """The bytes in UTF-8, a piece at a time: as one text they would take four times the memory."""
    decoder = codecs.getincrementaldecoder(encoding)()
    for start in range(0, len(data), PIECE_BYTES):
        waiting = len(decoder.getstate()[0])
        try:
            text = decoder.decode(data[start : start + PIECE_BYTES], final=start + PIECE_BYTES >= len(data))
        except UnicodeDecodeError as error:
            line = line_number(data, start - waiting + error.start)
            raise TableRefused(f"{file}, line {line}: not {encoding} ({error.reason})") from error
        yield text.encode()


def line_number(data: bytes, offset: int) -> int:
    return len(LINE_END.findall(data[:offset])) + 1


def check_header(names: Sequence[str], file: str) -> None:
    if len(names) > COLUMNS:
        raise TableRefused(f"{file} has {len(names):,} columns, the limit is {COLUMNS:,}")
    twice = sorted(name for name, count in collections.Counter(names).items() if count > 1)
    if twice:
        raise TableRefused(f"{file} has the column {quote_names(twice)} more than once")


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
    if names in ([], [""]) or not CELL.search(data, start):
        return None
    check_header(names, file)
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
    check_header(names, file)
    rejected: RejectedRows = []
    batches = [*batch_rows(select_whole_rows(rows, len(names), file, delimiter, rejected), names)]
    if rejected and not batches:
        raise TableRefused(
            f"{file}: none of its {len(rejected):,} lines has the header's {len(names)} cells "
            f"(line {rejected[0]['line']} has {rejected[0]['reason']})"
        )
    schema = pa.schema([(name, pa.string()) for name in names])
    return pa.Table.from_batches(batches, schema).combine_chunks(), rejected


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


def select_whole_rows(
    rows: Iterable[tuple[int, list[str]]], width: int, file: str, delimiter: str, rejected: RejectedRows
) -> Iterator[list[str]]:
    """The rows of the right width; the others are listed with their line."""
    for line, cells in rows:
        if len(cells) == width:
            yield cells
        else:
            reason = f"{len(cells)} cells, the header has {width}"
            rejected.append({"file": file, "line": line, "row": delimiter.join(cells), "reason": reason})
            require_few_rejected(len(rejected), file)


def require_few_rejected(rejected: int, file: str) -> None:
    """TableRefused where so many lines are no rows that the file is another one than it seems."""
    if rejected > REJECTED:
        raise TableRefused(f"{file}: more than {REJECTED:,} of its lines are not what its header says")


def batch_rows(rows: Iterator[list[str]], names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    while some := [*itertools.islice(rows, BATCH)]:
        columns = [pa.array(column, pa.string()) for column in zip(*some, strict=True)]
        yield pa.RecordBatch.from_arrays(columns, names=list(names))
