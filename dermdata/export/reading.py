"""Reads CSV and JSON Lines manifests back: text first, then each column as the manifest's schema has it.

What `csv.py` and `jsonl.py` write comes back as it was; a table made by hand or by pandas may have fewer columns,
more of them, whole numbers written as 1.0, and any null as an empty cell.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.types as kinds

from dermdata import limits
from dermdata.errors import BadTable
from dermdata.export.cells import is_bytes, is_text
from dermdata.jsontext import parse_json
from dermdata.manifest.schema import SCHEMA

BLOCK = 1 << 25  # bytes; a row must fit
KINDS = {field.name: field.type for field in SCHEMA}


def read_csv(path: Path) -> pa.Table:
    """A CSV manifest in the schema's types; BadTable names the line or column that is wrong."""
    data = bytes_of(path)
    delimiter = delimiter_of(data, path)
    names = header(data, path, delimiter)
    limits.require_columns(names, str(path))
    types = dict.fromkeys(names, pa.string())
    # a file of Arrow's own: with one of Python's its threads may end the process (SIGABRT) when that ends before them
    opened = pa.OSFile(str(path))
    with limits.limit_table(len(data), str(path)), require_csv(path), opened as file:
        table = arrow_csv.read_csv(
            file,
            read_options=arrow_csv.ReadOptions(block_size=BLOCK),
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                column_types=types, strings_can_be_null=True, null_values=[""]
            ),
        )
        if table.column_names != names:  # Arrow and Python part a broken line at different places
            raise pa.ArrowInvalid("its header line cannot be read")
    with limits.limit_table(len(data), str(path)):
        return pa.table({name: of_words(table[name], name, path) for name in names})


def read_jsonl(path: Path) -> pa.Table:
    """A JSON Lines manifest in the schema's types; BadTable names the line or column that is wrong."""
    data = bytes_of(path)
    with limits.limit_table(len(data), str(path)):
        rows = [parsed(line, number, path) for number, line in enumerate(io.BytesIO(data), 1) if line.strip()]
        names = list(dict.fromkeys(name for row in rows for name in row))
        limits.require_columns(names, str(path))
        limits.require_cells(len(names) * len(rows), len(data), str(path))
        return pa.table({name: of_values([row.get(name) for row in rows], name, path) for name in names})


@contextmanager
def require_csv(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
        raise BadTable(f"{path} is not a CSV table: {error}") from error


def bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadTable(f"cannot read {path}: {error.strerror}") from error


def delimiter_of(data: bytes, path: Path) -> str:
    """A comma, or what spreadsheets put in its place in other languages: where only that parts the header."""
    (first, *more) = header(data, path, ",")
    return "," if more else next((mark for mark in ";\t" if mark in first), ",")


def header(data: bytes, path: Path, delimiter: str) -> list[str]:
    text = io.StringIO(data[:BLOCK].decode("utf-8-sig", "ignore"), newline="")
    try:
        names = next(csv.reader(text, delimiter=delimiter), [])
    except csv.Error as error:
        raise BadTable(f"{path} is not a CSV table: {error}") from error
    if not names:
        raise BadTable(f"{path} has no header line")
    return names


def parsed(line: bytes, number: int, path: Path) -> dict[str, Any]:
    try:
        row = parse_json(line)
    except ValueError as error:
        raise BadTable(f"{path}, line {number} is not JSON: {error}") from error
    if not isinstance(row, dict):
        raise BadTable(f"{path}, line {number} is not a JSON object")
    return row


def of_words(column: pa.ChunkedArray, name: str, path: Path) -> pa.ChunkedArray:
    """A column of text in the schema's type; a column that the schema has not stays text."""
    kind = KINDS.get(name)
    with_type = kind is not None and not is_text(kind)
    return guarded(lambda: typed(column, kind), name, path) if with_type else column


def typed(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if kinds.is_dictionary(kind):
        return column.dictionary_encode()
    if kinds.is_integer(kind):
        return column.cast(pa.float64()).cast(kind)  # pandas writes 1.0 where a column has gaps
    if kinds.is_floating(kind):
        return column.cast(kind)
    if is_bytes(kind):
        return pa.chunked_array([of_each(column, bytes.fromhex, kind)])
    return pa.chunked_array([of_each(column, lambda word: shaped(parse_json(word), kind), kind)])


def of_each(column: pa.ChunkedArray, convert: Callable[[str], Any], kind: pa.DataType) -> pa.Array:
    """Each distinct word converted once."""
    encoded = column.combine_chunks().dictionary_encode()
    found = pa.array([convert(word) for word in encoded.dictionary.to_pylist()], kind)
    return pc.take(found, encoded.indices)


def of_values(values: list[Any], name: str, path: Path) -> pa.Array:
    """A column of JSON values in the schema's type; unknown columns in the type that fits all values, else as text."""
    kind = KINDS.get(name)
    if kind is not None:
        return guarded(lambda: known(values, kind), name, path)
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([value if value is None else word(value) for value in values], pa.string())


def known(values: Iterable[Any], kind: pa.DataType) -> pa.Array:
    if is_text(kind) or kinds.is_dictionary(kind):
        words = pa.array([value if value is None else word(value) for value in values], pa.string())
        return words.dictionary_encode() if kinds.is_dictionary(kind) else words
    if is_bytes(kind):
        return pa.array([value and bytes.fromhex(value) for value in values], kind)
    return pa.array([None if value is None else shaped(value, kind) for value in values], kind)


def word(value: Any) -> str:
    """Ids that JSON holds as numbers are words here."""
    return value if isinstance(value, str) else json.dumps(value)


def shaped(value: Any, kind: pa.DataType) -> Any:
    """A JSON object as the pairs that a map is made of; ValueError for a list of anything else, at which Arrow aborts."""
    if not kinds.is_map(kind):
        return value
    pairs = list(value.items()) if isinstance(value, dict) else value
    if not isinstance(pairs, list) or not all(is_pair(one) for one in pairs):
        raise ValueError("neither an object nor a list of pairs")
    return pairs


def is_pair(one: Any) -> bool:
    return isinstance(one, list | tuple) and len(one) == 2 and one[0] is not None


def guarded(convert: Callable[[], Any], name: str, path: Path) -> Any:
    try:
        return convert()
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError, TypeError, OverflowError) as error:
        raise BadTable(f"{path}, column {name}: {error}") from error
