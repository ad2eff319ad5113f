"""A file of predictions as columns of text: CSV (also with tabs or semicolons), Parquet or JSON Lines, told by content."""

import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.types as kinds

from dermdata import limits
from dermdata.errors import BadTable, TableRefused
from dermdata.jsontext import parse_json
from dermdata.manifest import store
from dermdata.readers import delimited

DELIMITERS = ",\t;"
MANY = 5  # lines that are named in a message
LEAVE_OUT = "leave one out"
LIST = "[…]"  # stands for a list, which is told as not read


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
    with store.parquet(io.BytesIO(data), name, "file") as file:
        table = store.contents(file, None, len(data), name)
    found = [
        one for field, column in zip(table.schema, table.columns, strict=True) for one in flat(field, column)
    ]
    return pa.table(
        {key: as_text(column, f"{name}: column {key}") for key, column in each_once(found, name).items()}
    )


def flat(field: pa.Field, column: pa.ChunkedArray) -> list[tuple[str, pa.ChunkedArray]]:
    """A column by its name; of a struct (`probabilities`) its own columns, as of an object in JSON Lines."""
    if not kinds.is_struct(field.type):
        return [(field.name, column)]
    return list(zip([one.name for one in field.type], column.flatten(), strict=True))


def as_text(column: pa.ChunkedArray, what: str) -> pa.ChunkedArray:
    """Numbers in all their digits; words that are kept as codes or bytes as words; of a list that it is one."""
    if kinds.is_nested(column.type):
        return pa.chunked_array([pa.array([LIST] * len(column), pa.string())])
    if kinds.is_floating(column.type):
        return pa.chunked_array(
            [[None if cell is None else repr(cell) for cell in column.to_pylist()]], pa.string()
        )
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BadTable(f"{what} is no text: {error}") from error


def of_lines(data: bytes, name: str) -> pa.Table:
    """One object a line; an object within it (`"probabilities": {…}`) gives its own columns."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadTable(f"{name} is not UTF-8: {error.reason} at byte {error.start:,}") from error
    with limits.limit_table(len(data), name):
        rows = []
        for number, line in enumerate(
            text.split("\n"), 1
        ):  # within a string JSON may have other ends of lines
            if line.strip():
                rows.append(of_line(line, f"{name}, line {number}"))
        names = list(dict.fromkeys(key for row in rows for key in row))
        limits.require_columns(names, name)
        limits.require_cells(len(names) * len(rows), len(data), name)
        return pa.table({key: pa.array([row.get(key) for row in rows], pa.string()) for key in names})


def of_line(line: str, where: str) -> dict[str, str | None]:
    try:
        found = parse_json(line, lambda pairs: each_once(pairs, where))
    except ValueError as error:
        raise BadTable(f"{where}: {error}", hint="one JSON object a line") from error
    if not isinstance(found, dict):
        raise BadTable(f"{where}: no JSON object", hint="one JSON object a line")
    cells: list[tuple[str, Any]] = []
    for key, value in found.items():
        cells += value.items() if isinstance(value, Mapping) else [(key, value)]
    return {key: word(value) for key, value in each_once(cells, where).items()}


def each_once(pairs: Sequence[tuple[str, Any]], where: str) -> dict[str, Any]:
    """The pairs by key; BadTable for a key that is there twice: nobody knows which value is meant."""
    found = dict(pairs)
    if len(found) < len(pairs):
        [(key, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise BadTable(f"{where}: '{key}' is there more than once", hint=LEAVE_OUT)
    return found


def word(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)
