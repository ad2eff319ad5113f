"""A file of predictions as columns of text: CSV (also with tabs or semicolons), Parquet or JSON Lines, told by content."""

import io
import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as kinds

from dermdata.errors import BadTable, TableRefused
from dermdata.readers import delimited

DELIMITERS = ",\t;"
MANY = 5  # lines that are named in a message


def parse(data: bytes, name: str) -> pa.Table:
    """Every cell as text, null where there is none; BadTable with the line or row that cannot be read."""
    if data.startswith(b"PAR1"):
        table = of_parquet(data, name)
    elif data.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] == b"{":
        table = of_lines(data, name)
    else:
        table = of_text(data, name)
    if not table.num_rows:
        raise BadTable(f"{name} holds no predictions")
    return table


def of_text(data: bytes, name: str) -> pa.Table:
    first = data.partition(b"\n")[0].decode("utf-8", "replace")
    delimiter = max(DELIMITERS, key=first.count)
    try:
        table, uneven = delimited.parse(data, name, delimiter=delimiter, encoding="utf-8")
    except TableRefused as error:  # a publisher's table elsewhere: this one is the person's own
        raise BadTable(error.message, hint="predictions are CSV, Parquet or JSON Lines") from error
    if uneven:
        told = ", ".join(f"line {row['line']} ({row['reason']})" for row in uneven[:MANY])
        raise BadTable(f"{name}: {len(uneven):,} lines are not whole: {told}")
    return table


def of_parquet(data: bytes, name: str) -> pa.Table:
    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowInvalid, OSError) as error:
        raise BadTable(f"{name} is no Parquet file: {error}") from error
    return pa.table(
        {field.name: as_text(table[field.name]) for field in table.schema if not kinds.is_nested(field.type)}
    )


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers in all their digits; words that are kept as codes or bytes as words."""
    if kinds.is_floating(column.type):
        return pa.chunked_array(
            [[None if cell is None else repr(cell) for cell in column.to_pylist()]], pa.string()
        )
    return column.cast(pa.string())


def of_lines(data: bytes, name: str) -> pa.Table:
    """One object a line; an object within it (`"probabilities": {…}`) gives its own columns."""
    rows = []
    for number, line in enumerate(data.decode("utf-8-sig", "replace").splitlines(), 1):
        if line.strip():
            rows.append(of_line(line, f"{name}, line {number}"))
    names = list(dict.fromkeys(key for row in rows for key in row))
    return pa.table({key: pa.array([row.get(key) for row in rows], pa.string()) for key in names})


def of_line(line: str, where: str) -> dict[str, str | None]:
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        raise BadTable(f"{where}: {error}", hint="one JSON object a line") from error
    if not isinstance(found, dict):
        raise BadTable(f"{where}: no JSON object", hint="one JSON object a line")
    flat: dict[str, Any] = {}
    for key, value in found.items():
        flat |= value if isinstance(value, Mapping) else {key: value}
    return {key: word(value) for key, value in flat.items()}


def word(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)
