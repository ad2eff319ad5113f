"""The shape "records": a JSON file of objects, each one a row; also one object a line (.jsonl, .ndjson).

`records` is the way to their list where it lies deeper in the document: "data.annotations". Of a document that is an
object of objects each is a row, its key the column `@key`. With `unfold` a list in a record makes a row for each of its
values. What is in objects within a record is called "outer.inner"; a list is a cell of JSON.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pyarrow as pa

from dermdata.errors import BadTable, TableRefused
from dermdata.limits import COLUMNS, REJECTED, parse_json, require_cells
from dermdata.markup import count_nouns
from dermdata.model import Content, TableSpec
from dermdata.readers.delimited import ROWS, RejectedRows
from dermdata.readers.raw_table import KEY_COLUMN, Opener, RawTable, to_cell_text
from dermdata.readers.table import complete_rows, read_joined_table

JSON_BYTES = 256 << 20  # of one file: in memory it is ten times that
LINE_ENDINGS = (".jsonl", ".ndjson")
Record = Mapping[str, Any]
COCO_LISTS = ("images", "annotations")  # of a document that marks images


def read(spec: TableSpec, files: Opener, contents: tuple[Content, ...]) -> RawTable:
    """A row for each object, its values as text."""
    del contents  # the document alone says which rows there are
    if spec.file is None:
        raise TableRefused("the catalog's table names no file")
    what = spec.member or spec.file
    records, rejected = parse_records(files(spec.file, spec.member), what, spec.records)
    rows = make_rows(unfold_records(records, spec.unfold, what), what)
    return complete_rows(rows, rejected, spec, what, partial(read_joined_table, spec, files))


def parse_records(data: bytes, what: str, way: str | None = None) -> tuple[list[Record], RejectedRows]:
    """The objects of a document, and what stands among them and is none."""
    if len(data) > JSON_BYTES:
        raise TableRefused(f"{what} has {count_nouns(len(data), 'byte')}, the limit is {JSON_BYTES:,}")
    values = list(
        parse_lines(data, what) if what.lower().endswith(LINE_ENDINGS) else parse_document(data, what, way)
    )
    rejected: RejectedRows = [
        {"file": what, "line": number, "row": to_cell_text(value)[:200], "reason": "no object"}
        for number, value in enumerate(values, 1)
        if not isinstance(value, dict)
    ]
    if len(rejected) > REJECTED:
        raise TableRefused(f"{what} holds {count_nouns(len(rejected), 'value')} that are no objects")
    return [value for value in values if isinstance(value, dict)], rejected


def parse_lines(data: bytes, what: str) -> Iterator[Any]:
    """The value of each line that says something."""
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        if line.strip():
            yield parse_value(line, f"{what}, line {number}")


def parse_document(data: bytes, what: str, way: str | None) -> list[Any]:
    """The values of the list that a way leads to, or of an object of objects."""
    value = parse_value(data, what)
    for step in way.split(".") if way else ():
        value = value.get(step) if isinstance(value, dict) else None
    found = list_values(value)
    if found is None:
        where = f"'{way}' of {what}" if way else what
        raise TableRefused(
            f"{where} is no list of objects", hint='records = "key" names the list of a document'
        )
    return found


def find_ways(data: bytes, what: str) -> list[str | None]:
    """The ways to the lists of objects in a document: None where it is one itself, as one object a line always is."""
    if what.lower().endswith(LINE_ENDINGS):
        return [None]
    value = parse_value(data, what)
    if list_values(value) is not None:
        return [None]
    ways: list[str | None] = []
    for name, one in value.items() if isinstance(value, dict) else ():
        found = list_values(one)
        if found and "." not in name and all(isinstance(item, dict) for item in found):
            ways.append(name)
    return ways


def list_values(value: Any) -> list[Any] | None:
    """The values of a list, or of an object of objects, each with its key; None for all else."""
    if isinstance(value, dict) and value and all(isinstance(one, dict) for one in value.values()):
        return [{KEY_COLUMN: key, **one} for key, one in value.items()]
    return value if isinstance(value, list) else None


def parse_value(data: bytes, what: str) -> Any:
    try:
        return parse_json(data)
    except ValueError as error:  # a character that is none is one too
        raise TableRefused(f"{what} is not JSON: {error}") from error


def unfold_records(records: list[Record], name: str | None, what: str) -> list[Record]:
    """A record for each value of its list `name`; as they are without one."""
    if name is None:
        return records
    found: list[Record] = []
    for record in records:
        values = record.get(name)
        several = values if isinstance(values, list) else [values]
        found += [{**record, name: value} for value in several or [None]]  # no value is a row without one
        if len(found) > ROWS:
            raise TableRefused(f"{what} has more than {ROWS:,} values in its lists '{name}'")
    return found


def make_rows(records: list[Record], what: str) -> pa.Table:
    """The records as a table of text; a record without some value has nothing there."""
    if len(records) > ROWS:
        raise TableRefused(f"{what} has {count_nouns(len(records), 'row')}, the limit is {ROWS:,}")
    columns: dict[str, list[str]] = {}
    for number, record in enumerate(records):
        for name, value in flatten_record(record):
            cells = columns.setdefault(name, [])
            cells += [""] * (number - len(cells))
            cells.append(to_cell_text(value))
        if len(columns) > COLUMNS:
            raise TableRefused(f"{what} has more than {COLUMNS:,} columns")
    try:
        require_cells(len(columns) * len(records), max(0, 64 * len(records)), what)
    except BadTable as error:
        raise TableRefused(error.message, hint=error.hint) from error
    return pa.table(
        {
            name: pa.array(cells + [""] * (len(records) - len(cells)), pa.string())
            for name, cells in columns.items()
        }
    )


def flatten_record(record: Record, above: str = "") -> Iterator[tuple[str, Any]]:
    """Each value with its name; each name once, the later value counts."""
    found: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, dict) and value:
            found |= dict(flatten_record(value, f"{above}{name}."))
        else:
            found[f"{above}{name}"] = value
    yield from found.items()
