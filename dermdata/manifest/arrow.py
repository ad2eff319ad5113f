"""Reads Arrow files and streams, and validates every table from outside before anything uses it.

Arrow believes what a file says of itself: an offset, a dictionary's index or text that is wrong is memory of another
one, or the end of the process. So every block is validated in full where it is read.
"""

import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from dermdata import limits
from dermdata.errors import BadTable
from dermdata.limits import MAX_DEPTH, parse_json

METADATA_PREFIX = b"dermdata."
NULL_BYTES = 8  # bytes of a null that has no memory of its own, once it is Python's
LIST_BYTES = 8  # bytes of where a list or map begins
SCALARS = (
    kinds.is_null, kinds.is_boolean, kinds.is_integer, kinds.is_floating, kinds.is_string, kinds.is_large_string,
    kinds.is_binary, kinds.is_large_binary, kinds.is_fixed_size_binary, kinds.is_date, kinds.is_time,
    kinds.is_duration,
)  # fmt: skip
LISTS = (kinds.is_list, kinds.is_large_list, kinds.is_fixed_size_list)
TEXTS = (kinds.is_string, kinds.is_large_string, kinds.is_binary, kinds.is_large_binary)
VIEWS = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
STRING_LIST, SOURCE_LIST = "a list of texts", "a list of objects of texts"
FILE_MAGIC = b"ARROW1"
READ_BYTES = 1 << 20  # bytes
STREAM_MAGIC = b"\xff\xff\xff\xff"  # what each message of a stream begins with


# ------------------------------------------------------------------ what a table says of itself


def require_schema(schema: pa.Schema, table: str) -> None:
    """BadTable for names, kinds of columns or metadata that no manifest has."""
    try:
        names = schema.names
    except UnicodeDecodeError as error:
        raise BadTable(f"{table} has a column whose name is not UTF-8") from error
    limits.require_columns(names, table)
    for field in schema:
        if not is_manifest_type(field.type):
            raise BadTable(
                f"{table}, column {field.name}: a manifest has no {type_text(field.type)}",
                hint="text, numbers, dates, bytes, and lists, maps and structs of them",
            )
    require_metadata(schema.metadata or {}, table)


def is_manifest_type(kind: pa.DataType, depth: int = 0) -> bool:
    """Whether a manifest may have a column of this kind: unions, views of lists and extensions are none."""
    if depth > MAX_DEPTH:
        return False
    if kinds.is_dictionary(kind):
        return is_scalar(kind.value_type)
    if kind in VIEWS:
        return depth == 0
    if any(is_list(kind) for is_list in LISTS):
        return is_manifest_type(kind.value_type, depth + 1)
    if kinds.is_map(kind):
        return is_manifest_type(kind.key_type, depth + 1) and is_manifest_type(kind.item_type, depth + 1)
    if kinds.is_struct(kind):
        return all(is_manifest_type(field.type, depth + 1) for field in kind)
    return is_scalar(kind)


def is_scalar(kind: pa.DataType) -> bool:
    if kinds.is_timestamp(kind):
        return kind.tz is None or is_time_zone(kind.tz)
    if kinds.is_decimal(kind):
        return bool(0 <= kind.scale <= kind.precision)
    return any(is_kind(kind) for is_kind in SCALARS)


def is_time_zone(name: str) -> bool:
    try:
        pa.lib.string_to_tzinfo(name)
    except (KeyError, ValueError, OSError):  # Arrow's own errors are KeyError or ValueError
        return False
    return True


def type_text(kind: pa.DataType) -> str:
    """The kind in words, of a deep one the beginning."""
    text = str(kind)
    return text if len(text) <= 60 else f"{text[:60]}…"


def require_metadata(metadata: Mapping[bytes, bytes], table: str) -> None:
    """BadTable where `history` or `sources`, which commands read as JSON, are something else."""
    for key, what, is_right in (
        (b"history", STRING_LIST, is_string_list),
        (b"sources", SOURCE_LIST, is_source_list),
    ):
        text = metadata.get(METADATA_PREFIX + key)
        if text is None:
            continue
        try:
            right = is_right(parse_json(text))
        except ValueError:
            right = False
        if not right:
            raise BadTable(f"{table}: its metadata's {key.decode()} is not {what}")


def is_string_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def is_source_list(value: Any) -> bool:
    """Whether these are the metadata of the manifests of a union, which may be unions themselves."""
    return isinstance(value, list) and all(is_source(one) for one in value)


def is_source(value: Any) -> bool:
    if not isinstance(value, dict) or not is_string_list(list(value.values())):
        return False
    try:
        return is_string_list(parse_json(value.get("history", "[]"))) and is_source_list(
            parse_json(value.get("sources", "[]"))
        )
    except ValueError:
        return False


# ------------------------------------------------------------------ what it holds


def cast_views(table: pa.Table) -> pa.Table:
    """Views of text, which other tools stream, as text: Arrow cannot choose rows of them."""
    for number, field in enumerate(table.schema):
        if field.type in VIEWS:
            plain = field.with_type(VIEWS[field.type])
            table = table.set_column(number, plain, table[field.name].cast(plain.type))
    return table


def validate_blocks(
    blocks: Iterable[pa.RecordBatch | pa.Table], size: int, table: str
) -> Iterator[pa.RecordBatch | pa.Table]:
    """The blocks of a table that came in so many bytes, each one validated in full; BadTable where one is not right."""
    waiting, rows, held = iter(blocks), 0, 0
    while True:
        with limits.limit_table_memory(size, table):
            block = next(waiting, None)
            if block is None:
                return
            require_valid_block(block, table)
            rows, held = rows + block.num_rows, held + memory_bytes(block)
        limits.require_rows(rows, size, table)
        limits.require_memory(held, size, table)
        yield block


def require_valid_block(block: pa.RecordBatch | pa.Table, table: str) -> None:
    """BadTable for a column with text that is not UTF-8, or with offsets, indices or sizes that point outside."""
    for name, column in zip(block.schema.names, block.columns, strict=True):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            raise BadTable(
                f"{table}, column {name}: {error}", hint="the file is damaged or made up: write it again"
            ) from error
        if any(has_large_cell(array) for array in column_arrays(column)):
            raise BadTable(
                f"{table}, column {name}: a cell has more than {limits.CELL_BYTES >> 20} MB",
                hint="leave the column out, or keep what it holds in files of their own",
            )


def column_arrays(column: pa.Array | pa.ChunkedArray) -> list[pa.Array]:
    return list(column.chunks) if isinstance(column, pa.ChunkedArray) else [column]


def has_large_cell(array: pa.Array) -> bool:
    """Whether one of the values alone has more bytes than a cell may, told by halves."""
    if array_bytes(array) <= limits.CELL_BYTES:
        return False
    if len(array) == 1:
        return True
    if any(is_text(array.type) for is_text in TEXTS):
        return (pc.max(pc.binary_length(array)).as_py() or 0) > limits.CELL_BYTES
    middle = len(array) // 2
    return has_large_cell(array.slice(0, middle)) or has_large_cell(array.slice(middle))


def memory_bytes(block: pa.RecordBatch | pa.Table) -> int:
    """Bytes of the values when nothing is shared: each word of a dictionary as often as it is used."""
    return sum(array_bytes(array) for column in block.columns for array in column_arrays(column))


def array_bytes(array: pa.Array) -> int:
    kind = array.type
    if kinds.is_dictionary(kind):
        return dictionary_bytes(array)
    if kinds.is_map(kind):
        return int(array.nbytes) + sum(
            array_bytes(own_values(array, one)) for one in (array.keys, array.items)
        )
    if any(is_list(kind) for is_list in LISTS):
        return LIST_BYTES * len(array) + array_bytes(own_values(array, array.values))
    if kinds.is_struct(kind):
        return len(array) + sum(array_bytes(array.field(number)) for number in range(kind.num_fields))
    return max(int(array.nbytes), len(array) * (NULL_BYTES if kinds.is_null(kind) else 1))


def own_values(array: pa.Array, values: pa.Array) -> pa.Array:
    """Of the values under a column of lists or maps those of these rows: a slice has all of them under it."""
    if kinds.is_fixed_size_list(array.type):
        size = array.type.list_size
        return values.slice(array.offset * size, len(array) * size)
    if not len(array):
        return values.slice(0, 0)
    start, stop = array.offsets[0].as_py(), array.offsets[-1].as_py()
    return values.slice(start, stop - start)


def dictionary_bytes(array: pa.DictionaryArray) -> int:
    words = array.dictionary
    if not any(is_text(words.type) for is_text in TEXTS):
        return int(array.nbytes)
    lengths = pc.binary_length(words)
    most = (pc.max(lengths).as_py() or 0) * len(array)
    if most <= limits.FREE_MEMORY // limits.MEMORY_RATIO:  # few: not worth to be counted
        return most
    return int(pc.sum(pc.cast(lengths, pa.int64()).take(array.indices)).as_py() or 0)


# ------------------------------------------------------------------ reading


def read_arrow_file(path: Path) -> pa.Table:
    """An Arrow file, or a stream that was kept as one; BadTable for anything else."""
    with convert_arrow_errors(f"{path} is not an Arrow table"):
        return parse_arrow(path.read_bytes(), str(path))


def read_arrow_stream(source: BinaryIO) -> pa.Table:
    """The Arrow stream that a command before writes; BadTable for anything else."""
    with convert_arrow_errors("stdin is not an Arrow stream", "the command before must end in `-o -`"):
        head = source.read(len(STREAM_MAGIC))
        if head != STREAM_MAGIC:
            raise pa.ArrowInvalid(f"it begins with {head!r}" if head else "it is empty")
        whole = io.BytesIO()  # so that its size is known: a few bytes may not become very many
        whole.write(head)
        while piece := source.read(READ_BYTES):
            whole.write(piece)
        return parse_arrow(whole.getbuffer(), "stdin")


@contextmanager
def convert_arrow_errors(what: str, hint: str | None = None) -> Iterator[None]:
    try:
        yield
    except MemoryError:
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise BadTable(f"{what}: {error}", hint=hint) from error


def parse_arrow(data: bytes | memoryview, name: str) -> pa.Table:
    """The table in these bytes, which it goes on using."""
    with limits.limit_table_memory(len(data), name):
        if data[: len(FILE_MAGIC)] == FILE_MAGIC:
            file = pa.ipc.open_file(data)
            schema, found = file.schema, (file.get_batch(number) for number in range(file.num_record_batches))
        else:
            stream = pa.ipc.open_stream(data)
            schema, found = stream.schema, iter(stream)
    require_schema(schema, name)
    return pa.Table.from_batches(list(validate_blocks(found, len(data), name)), schema)
