"""The shape "table": a CSV or TSV file, joined with others by key, labels in a column or one-hot.

Text first: every cell is read as it stands ("NA", "0001" and "1e5" survive); a line with the wrong
number of cells is rejected with its number, never shifted.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from dermdata.errors import TableRefused, nearest
from dermdata.model import Content, Join, Table
from dermdata.readers.raw import Opener, RawTable

ONE_HOT = "@one-hot"
FIELD_LIMIT = 1 << 20  # bytes in one cell
TRUE = ("1", "1.0", "true", "True", "TRUE")


def read(spec: Table, files: Opener, contents: tuple[Content, ...]) -> RawTable:
    """The rows of `spec.file`, with the joined tables' columns and the one-hot label as a word."""
    del contents  # the table alone says which rows there are
    if spec.file is None:
        raise TableRefused("the catalog's table names no file")
    rows, rejected = parse(files(spec.file, spec.member), spec.file, spec)
    unpartnered: dict[str, int] = {}
    for join in spec.join:
        other, refused = parse(files(join.file, join.member), join.file, spec)
        rejected += refused
        rows, lonely = joined(rows, other, join)
        if lonely:
            unpartnered[join.file] = lonely
    if spec.one_hot:
        rows, refused = with_one_hot(rows, spec.one_hot, spec.file)
        rejected += refused
    require(rows, needed(spec), spec.file)
    return RawTable(rows, tuple(rejected), unpartnered)


def needed(spec: Table) -> list[str]:
    return [name for names in spec.columns.values() for name in names]


def require(rows: pa.Table, columns: Sequence[str], file: str) -> None:
    """TableRefused that names what is expected and what was found."""
    lost = [name for name in columns if name not in rows.column_names]
    if lost:
        near = nearest(lost[0], rows.column_names)
        hint = f"the column nearest to '{lost[0]}' is '{near[0]}'" if near else None
        found = ", ".join(rows.column_names)
        raise TableRefused(f"{file} has no column {', '.join(lost)}; it has: {found}", hint=hint)


def parse(data: bytes, file: str, spec: Table) -> tuple[pa.Table, list[Mapping[str, Any]]]:
    """All cells as text, and the lines that have too many or too few."""
    text = decoded(data, file, spec.encoding)
    first = next(csv.reader([text.partition("\n")[0].rstrip("\r")], delimiter=spec.delimiter), [])
    names = list(spec.header) or first
    check_header(names, file)
    rejected: list[Mapping[str, Any]] = []

    def refuse(row: pa_csv.InvalidRow) -> str:
        reason = f"{row.actual_columns} cells, the header has {row.expected_columns}"
        rejected.append({"file": file, "row": row.text, "reason": reason})
        return "skip"

    try:
        rows = pa_csv.read_csv(
            io.BytesIO(text.encode()),
            read_options=pa_csv.ReadOptions(column_names=names, skip_rows=0 if spec.header else 1),
            parse_options=pa_csv.ParseOptions(
                delimiter=spec.delimiter, newlines_in_values=True, invalid_row_handler=refuse
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, quoted_strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        if not text.partition("\n")[2].strip():
            return empty(names), []
        raise TableRefused(f"{file} cannot be read as a table: {error}") from error
    return rows.combine_chunks(), rejected


def empty(names: Sequence[str]) -> pa.Table:
    return pa.table({name: pa.array([], pa.string()) for name in names})


def decoded(data: bytes, file: str, encoding: str) -> str:
    """The text with LF line ends; bytes that are not the catalog's encoding are refused with their line."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TableRefused(f"{file}, line {line}: not {encoding} ({error.reason})") from error
    if "\0" in text:
        raise TableRefused(f"{file}, line {text.count(chr(10), 0, text.index(chr(0))) + 1}: holds a NUL byte")
    if text.count('"') % 2:
        raise TableRefused(f"{file}: a quotation mark is never closed")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def check_header(names: Sequence[str], file: str) -> None:
    if not any(names):
        raise TableRefused(f"{file} is empty")
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise TableRefused(f"{file} has the column {', '.join(twice)} more than once")


def joined(rows: pa.Table, other: pa.Table, join: Join) -> tuple[pa.Table, int]:
    """The rows with the other table's columns; how many found no partner. A key twice is refused."""
    to = join.to or join.on
    require(rows, [join.on], "the first table")
    require(other, [to], join.file)
    keys = other[to].combine_chunks()
    if pc.count_distinct(keys).as_py() != len(keys):
        raise TableRefused(f"{join.file} has the same {to} on several lines")
    places = pc.index_in(rows[join.on].combine_chunks(), keys)
    for name in other.column_names:
        if name != to:
            new = f"{name} ({join.file})" if name in rows.column_names else name
            rows = rows.append_column(new, pc.fill_null(other[name].combine_chunks().take(places), ""))
    return rows, int(pc.sum(pc.is_null(places)).as_py() or 0)


def with_one_hot(
    rows: pa.Table, classes: Sequence[str], file: str
) -> tuple[pa.Table, list[Mapping[str, Any]]]:
    """A column ONE_HOT with the name of the one class that is set; rows with none or several are rejected."""
    require(rows, classes, file)
    is_set = [pc.is_in(rows[name].combine_chunks(), pa.array(TRUE)) for name in classes]
    total = sum_of(is_set)
    label = pa.array([""] * rows.num_rows, pa.string())
    for name, mask in zip(classes, is_set, strict=True):
        label = pc.if_else(mask, name, label)
    good = pc.equal(total, 1)
    wrong = rows.filter(pc.invert(good))
    reasons = [
        {"file": file, "row": ",".join(row.values()), "reason": f"not one of {len(classes)} classes is set but {n}"}
        for row, n in zip(wrong.to_pylist(), total.filter(pc.invert(good)).to_pylist(), strict=True)
    ]
    rows = rows.append_column(ONE_HOT, label).filter(good).drop_columns(list(classes))
    return rows, reasons


def sum_of(masks: Sequence[pa.Array]) -> pa.Array:
    total = masks[0].cast(pa.int32())
    for mask in masks[1:]:
        total = pc.add(total, mask.cast(pa.int32()))
    return total
