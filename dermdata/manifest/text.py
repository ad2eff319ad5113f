"""Manifest columns as text and back: the values of CSV and JSON Lines, and the readers of both.

Missing is null; bytes are hexadecimal; a float is written with as few digits as give it back; maps are objects, lists
arrays. NaN and infinity, which JSON has not, are null. What an export writes comes back as it was; a table made by
hand or by pandas may have fewer columns, more of them, whole numbers written as 1.0, and any null as an empty cell.
"""

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.types as kinds

from dermdata import limits
from dermdata.errors import BadTable
from dermdata.limits import parse_json
from dermdata.manifest.columns import decode_dictionary
from dermdata.manifest.schema import SCHEMA
from dermdata.markup import count_nouns
from dermdata.readers.delimited import parse_own_table
from dermdata.readers.typed_cells import TRUTHS, is_nothing, point_decimals
from dermdata.text_files import SAVE_HINT, TextRefused, drop_separator_line, find_delimiter, to_utf8

JsonValue = Any  # what JSON can hold
Convert = Callable[[Any], JsonValue]
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)
ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)  # `json.dumps` makes one for each value
SHOWN = 5  # lines in a message
CSV_BLOCK = 1 << 25  # bytes; a row must fit
PATH_COLUMNS = ("path", "mask_path")
COLUMN_TYPES = {field.name: field.type for field in SCHEMA}


def json_values(column: pa.ChunkedArray) -> list[JsonValue]:
    """The column as values for JSON."""
    convert = json_converter(column.type)
    found = python_values(decode_dictionary(column))
    return found if convert is None else [None if value is None else convert(value) for value in found]


def csv_cells(column: pa.ChunkedArray) -> list[str | None]:
    """The column as text, nested values as JSON."""
    column = decode_dictionary(column)
    if is_text(column.type):
        return list(column.to_pylist())
    if kinds.is_nested(column.type) or is_bytes(column.type):
        return [
            value if value is None or isinstance(value, str) else encode_json(value)
            for value in json_values(column)
        ]
    if kinds.is_date(column.type) or kinds.is_timestamp(column.type):
        low, high = pc.min_max(column).values()  # Arrow writes a date that no calendar has as a remark
        python_values(pa.chunked_array([pa.array([low, high], column.type)]))
    if kinds.is_floating(column.type):
        column = pc.if_else(pc.is_finite(column), column, None)
    return list(column.cast(pa.string()).to_pylist())


def python_values(column: pa.ChunkedArray | pa.Array, hint: str = "-o FILE.parquet keeps it") -> list[Any]:
    """The values as Python's; BadTable for a date or duration that Python, and text, has no form of."""
    try:
        return list(column.to_pylist())
    except (ArithmeticError, ValueError) as error:
        raise BadTable(f"a value of {column.type} cannot be written as text: {error}", hint=hint) from error


def encode_json(value: JsonValue) -> str:
    return ENCODER.encode(value)


def json_converter(kind: pa.DataType) -> Convert | None:
    """How a non-null value of this type becomes a JSON value; None when it is one already."""
    if kinds.is_dictionary(kind):
        return json_converter(kind.value_type)
    if kinds.is_map(kind):
        return map_converter(json_converter(kind.item_type))
    if kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind):
        return list_converter(json_converter(kind.value_type))
    if kinds.is_struct(kind):
        return struct_converter({field.name: json_converter(field.type) for field in kind})
    return scalar_converter(kind)


def scalar_converter(kind: pa.DataType) -> Convert | None:
    if kinds.is_float32(kind) or kinds.is_float16(kind):
        return shortest_float
    if kinds.is_floating(kind):
        return lambda value: value if math.isfinite(value) else None
    if is_bytes(kind):
        return bytes.hex
    if is_text(kind) or kinds.is_integer(kind) or kinds.is_boolean(kind) or kinds.is_null(kind):
        return None
    return str  # dates and times


def shortest_float(value: float) -> float | None:
    """The fewest digits that give the same 32-bit float: 0.1, not 0.10000000149011612."""
    if not math.isfinite(value):
        return None
    return float(str(np.float32(value)))


def list_converter(convert: Convert | None) -> Convert | None:
    return convert and (lambda value: [None if item is None else convert(item) for item in value])


def map_converter(convert: Convert | None) -> Convert:
    return lambda pairs: {key: convert_member(convert, item) for key, item in pairs}


def struct_converter(converters: dict[str, Convert | None]) -> Convert:
    def convert(value: dict[str, Any]) -> dict[str, JsonValue]:
        return {name: convert_member(converters[name], item) for name, item in value.items()}

    return convert


def convert_member(convert: Convert | None, item: Any) -> JsonValue:
    return item if item is None or convert is None else convert(item)


def is_text(kind: pa.DataType) -> bool:
    return bool(kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind))


def is_bytes(kind: pa.DataType) -> bool:
    return bool(kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_fixed_size_binary(kind))


# ------------------------------------------------------------------ CSV


class CsvLines:
    """Takes the CSV writer's rows one by one and gives them our own line end."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, line: str) -> Any:
        self.lines.append(line[:-2] + "\n")


def csv_lines(rows: Iterable[Iterable[str | None]], *, excel_safe: bool) -> bytes:
    """Rows of words as CSV; with `excel_safe` no cell is a formula for a spreadsheet."""
    taken = CsvLines()
    # with CR LF as its line end the writer also quotes a lone CR, which pandas would take for a line end
    writer = csv.writer(taken, lineterminator="\r\n")
    writer.writerows(([escape_formula(cell) for cell in row] for row in rows) if excel_safe else rows)
    return "".join(taken.lines).encode()


def escape_formula(cell: str | None) -> str | None:
    """The cell as text for a spreadsheet too."""
    if cell and cell.startswith(FORMULA_STARTS) and not NUMBER.match(cell):
        return f"'{cell}"
    return cell


def read_csv(path: Path) -> pa.Table:
    """A CSV manifest in the schema's types, as people and spreadsheets save it; BadTable names the line or column."""
    try:
        text = to_utf8(read_bytes(path), "utf-8")
    except TextRefused as error:
        raise BadTable(f"{path} is not UTF-8: {error}", hint=SAVE_HINT) from error
    data, said = drop_separator_line(text.data)
    delimiter = find_delimiter(data, (said,))
    names = read_header(data, path, delimiter)
    with limits.limit_table_memory(len(data), str(path)):
        table = drop_empty_rows(parse_with_arrow(data, path, delimiter, names))
        return pa.table({name: convert_words(table[name], name, path) for name in table.column_names})


def parse_with_arrow(data: bytes, path: Path, delimiter: str, names: list[str]) -> pa.Table:
    """The table as text, null for an empty cell; where a line is not whole the reader that knows its number says so."""
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(pa.py_buffer(data)),
            read_options=arrow_csv.ReadOptions(block_size=CSV_BLOCK),
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
            ),
        )
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        return parse_line_by_line(data, path, error)
    if table.column_names != names:  # Arrow and Python part a broken line at different places
        raise BadTable(f"{path} is not a CSV table: its header line cannot be read")
    named = [place for place, name in enumerate(names) if name or table.column(place).null_count < len(table)]
    table = table.select(named or [0])
    limits.require_columns(table.column_names, str(path))
    return table


def drop_empty_rows(table: pa.Table) -> pa.Table:
    """The rows that say anything: a spreadsheet writes empty ones below the last, delimiters alone."""
    if all(column.null_count for column in table.columns):
        filled = np.logical_or.reduce([column.is_valid().to_numpy() for column in table.columns])
        return table if filled.all() else table.filter(pa.array(filled))
    return table


def parse_line_by_line(data: bytes, path: Path, first: Exception) -> pa.Table:
    """The same by the reader of tables, which takes cells that trail; BadTable names the lines that are not whole."""
    own = parse_own_table(data, str(path))
    if own.rejected:
        shown = ", ".join(f"line {row['line']} ({row['reason']})" for row in own.rejected[:SHOWN])
        raise BadTable(
            f"{path} is not a CSV table: {count_nouns(len(own.rejected), 'line', 'are')} not whole: {shown}"
        ) from first
    columns = [pc.if_else(pc.equal(column, ""), None, column) for column in own.rows.columns]
    return pa.Table.from_arrays(columns, own.rows.column_names)


def read_jsonl(path: Path) -> pa.Table:
    """A JSON Lines manifest in the schema's types; BadTable names the line or column that is wrong."""
    data = read_bytes(path)
    with limits.limit_table_memory(len(data), str(path)):
        rows = [
            parse_line(line, number, path) for number, line in enumerate(io.BytesIO(data), 1) if line.strip()
        ]
        names = list(dict.fromkeys(name for row in rows for name in row))
        limits.require_columns(names, str(path))
        limits.require_cells(len(names) * len(rows), len(data), str(path))
        return pa.table({name: convert_values([row.get(name) for row in rows], name, path) for name in names})


def read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadTable(f"cannot read {path}: {error.strerror}") from error


def read_header(data: bytes, path: Path, delimiter: str) -> list[str]:
    """The header's names; BadTable for too many of them, or two alike."""
    text = io.StringIO(data[:CSV_BLOCK].decode("utf-8", "ignore"), newline="")
    try:
        names = next((cells for cells in csv.reader(text, delimiter=delimiter) if cells), [])
    except csv.Error as error:
        raise BadTable(f"{path} is not a CSV table: {error}") from error
    if not names:
        raise BadTable(f"{path} has no header line")
    limits.require_columns([name for name in names if name], str(path))
    return names


def parse_line(line: bytes, number: int, path: Path) -> dict[str, Any]:
    try:
        row = parse_json(line)
    except ValueError as error:
        raise BadTable(f"{path}, line {number} is not JSON: {error}") from error
    if not isinstance(row, dict):
        raise BadTable(f"{path}, line {number} is not a JSON object")
    return row


def convert_words(column: pa.ChunkedArray, name: str, path: Path) -> pa.ChunkedArray:
    """A column of text in the schema's type; a column that the schema has not stays text."""
    kind = COLUMN_TYPES.get(name)
    if name in PATH_COLUMNS:  # as programs write them on Windows: absolute with a drive's letter
        return pc.replace_substring_regex(pc.replace_substring(column, "\\", "/"), "^[A-Za-z]:/", r"/\0")
    with_type = kind is not None and not is_text(kind)
    return convert_or_raise(lambda: cast_words(column, kind), name, path) if with_type else column


def cast_words(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if kinds.is_dictionary(kind):
        return column.dictionary_encode()
    if is_bytes(kind):
        return pa.chunked_array([convert_distinct(column, bytes.fromhex, kind)])
    if kinds.is_nested(kind):
        return pa.chunked_array(
            [convert_distinct(column, lambda word: to_map_pairs(parse_json(word), kind), kind)]
        )
    column = pc.if_else(is_nothing(column), None, column)
    if kinds.is_boolean(kind):
        return pa.chunked_array([convert_distinct(column, parse_truth, kind)])
    if kinds.is_integer(kind):  # pandas writes 1.0 where a column has gaps; 1,000 may be a thousand
        column = pc.replace_substring_regex(column, r"^([+-]?\d+),0{1,2}$", r"\1")
        return column.cast(pa.float64()).cast(kind)
    return point_decimals(column).cast(kind)


def parse_truth(word: str) -> bool:
    """A truth as programs and spreadsheets of several languages write it; ValueError for any other word."""
    if word.casefold() not in TRUTHS:
        raise ValueError(f"'{word}' is neither true nor false")
    return TRUTHS[word.casefold()]


def convert_distinct(column: pa.ChunkedArray, convert: Callable[[str], Any], kind: pa.DataType) -> pa.Array:
    """Each distinct word converted once."""
    encoded = column.combine_chunks().dictionary_encode()
    found = pa.array([convert(word) for word in encoded.dictionary.to_pylist()], kind)
    return pc.take(found, encoded.indices)


def convert_values(values: list[Any], name: str, path: Path) -> pa.Array:
    """A column of JSON values in the schema's type; unknown columns in the type that fits all values, else as text."""
    kind = COLUMN_TYPES.get(name)
    if kind is not None:
        return convert_or_raise(lambda: cast_values(values, kind), name, path)
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array(map(to_word, values), pa.string())


def cast_values(values: Iterable[Any], kind: pa.DataType) -> pa.Array:
    if is_text(kind) or kinds.is_dictionary(kind):
        words = pa.array(map(to_word, values), pa.string())
        return words.dictionary_encode() if kinds.is_dictionary(kind) else words
    if is_bytes(kind):
        return pa.array([value and bytes.fromhex(value) for value in values], kind)
    return pa.array([None if value is None else to_map_pairs(value, kind) for value in values], kind)


def to_word(value: Any) -> str | None:
    """Ids that JSON holds as numbers are words here; null stays null."""
    return value if value is None or isinstance(value, str) else json.dumps(value)


def to_map_pairs(value: Any, kind: pa.DataType) -> Any:
    """A JSON object as the pairs that a map is made of; ValueError for a list of anything else, at which Arrow aborts."""
    if not kinds.is_map(kind):
        return value
    pairs = list(value.items()) if isinstance(value, dict) else value
    if not isinstance(pairs, list) or not all(is_pair(one) for one in pairs):
        raise ValueError("neither an object nor a list of pairs")
    return pairs


def is_pair(one: Any) -> bool:
    return isinstance(one, list | tuple) and len(one) == 2 and one[0] is not None


def convert_or_raise(convert: Callable[[], Any], name: str, path: Path) -> Any:
    try:
        return convert()
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError, TypeError, OverflowError) as error:
        raise BadTable(f"{path}, column {name}: {error}") from error
