"""A column's values as text formats write them: JSON values, or one word of text each.

Missing is null; bytes are hexadecimal; a float is written with as few digits as give it back; maps are
objects, lists arrays. NaN and infinity, which JSON has not, are null.
"""

import csv
import json
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from dermdata.errors import BadTable

Value = Any  # what JSON can hold
Convert = Callable[[Any], Value]
FORMULA = ("=", "+", "-", "@", "\t", "\r")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)
ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)  # `json.dumps` makes one for each value


def values(column: pa.ChunkedArray) -> list[Value]:
    """The column as values for JSON."""
    convert = converter(column.type)
    found = python_values(plain(column))
    return found if convert is None else [None if value is None else convert(value) for value in found]


def words(column: pa.ChunkedArray) -> list[str | None]:
    """The column as text, nested values as JSON."""
    column = plain(column)
    if is_text(column.type):
        return list(column.to_pylist())
    if kinds.is_nested(column.type) or is_bytes(column.type):
        return [
            value if value is None or isinstance(value, str) else dumped(value) for value in values(column)
        ]
    if kinds.is_date(column.type) or kinds.is_timestamp(column.type):
        low, high = pc.min_max(column).values()  # Arrow writes a date that no calendar has as a remark
        python_values(pa.chunked_array([pa.array([low, high], column.type)]))
    if kinds.is_floating(column.type):
        column = pc.if_else(pc.is_finite(column), column, None)
    return list(column.cast(pa.string()).to_pylist())


def python_values(column: pa.ChunkedArray) -> list[Any]:
    """The values as Python's; BadTable for a date or duration that Python, and text, has no form of."""
    try:
        return list(column.to_pylist())
    except (ArithmeticError, ValueError) as error:
        raise BadTable(
            f"a value of {column.type} cannot be written as text: {error}", hint="-o FILE.parquet keeps it"
        ) from error


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Dictionary words as words."""
    return column.cast(column.type.value_type) if kinds.is_dictionary(column.type) else column


def dumped(value: Value) -> str:
    return ENCODER.encode(value)


def converter(kind: pa.DataType) -> Convert | None:
    """How a non-null value of this type becomes a JSON value; None when it is one already."""
    if kinds.is_dictionary(kind):
        return converter(kind.value_type)
    if kinds.is_map(kind):
        return objects(converter(kind.item_type))
    if kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind):
        return each(converter(kind.value_type))
    if kinds.is_struct(kind):
        return structs({field.name: converter(field.type) for field in kind})
    return scalar(kind)


def scalar(kind: pa.DataType) -> Convert | None:
    if kinds.is_float32(kind) or kinds.is_float16(kind):
        return shortest
    if kinds.is_floating(kind):
        return lambda value: value if math.isfinite(value) else None
    if is_bytes(kind):
        return bytes.hex
    if is_text(kind) or kinds.is_integer(kind) or kinds.is_boolean(kind) or kinds.is_null(kind):
        return None
    return str  # dates and times


def shortest(value: float) -> float | None:
    """The fewest digits that give the same 32-bit float: 0.1, not 0.10000000149011612."""
    if not math.isfinite(value):
        return None
    import numpy as np

    return float(str(np.float32(value)))


def each(convert: Convert | None) -> Convert | None:
    return convert and (lambda value: [None if item is None else convert(item) for item in value])


def objects(convert: Convert | None) -> Convert:
    return lambda pairs: {key: member(convert, item) for key, item in pairs}


def structs(converters: dict[str, Convert | None]) -> Convert:
    def convert(value: dict[str, Any]) -> dict[str, Value]:
        return {name: member(converters[name], item) for name, item in value.items()}

    return convert


def member(convert: Convert | None, item: Any) -> Value:
    return item if item is None or convert is None else convert(item)


def is_text(kind: pa.DataType) -> bool:
    return bool(kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind))


def is_bytes(kind: pa.DataType) -> bool:
    return bool(kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_fixed_size_binary(kind))


# ------------------------------------------------------------------ CSV


class Lines:
    """Takes the CSV writer's rows one by one and gives them our own line end."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, line: str) -> Any:
        self.lines.append(line[:-2] + "\n")


def lines(rows: Iterable[Iterable[str | None]], *, excel_safe: bool) -> bytes:
    """Rows of words as CSV; with `excel_safe` no cell is a formula for a spreadsheet."""
    taken = Lines()
    # with CR LF as its line end the writer also quotes a lone CR, which pandas would take for a line end
    writer = csv.writer(taken, lineterminator="\r\n")
    writer.writerows(([safe(cell) for cell in row] for row in rows) if excel_safe else rows)
    return "".join(taken.lines).encode()


def safe(cell: str | None) -> str | None:
    """The cell as text for a spreadsheet too."""
    if cell and cell.startswith(FORMULA) and not NUMBER.match(cell):
        return f"'{cell}"
    return cell
