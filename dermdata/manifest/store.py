"""Manifests on disk: Parquet with zstd, and what else a TARGET may be."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dermdata import disk, limits, schema_version
from dermdata.errors import BadTable
from dermdata.manifest.schema import SCHEMA
from dermdata.manifest.validate import PREFIX, require_schema, valid_blocks

if TYPE_CHECKING:
    from io import IOBase

    import numpy as np
    from numpy.typing import NDArray

ROW_GROUP = 65_536  # rows


def write(table: pa.Table, target: Path, about: Mapping[str, str]) -> str:
    """Write a manifest; `about` becomes file metadata. The SHA-256 of the file: same rows, same bytes."""
    table = with_metadata(table, about)
    starts = range(0, table.num_rows, ROW_GROUP)
    return write_blocks(table.schema, (table.slice(start, ROW_GROUP) for start in starts), target)


def write_blocks(schema: pa.Schema, blocks: Iterable[pa.Table], target: Path) -> str:
    """Write a manifest, each block of at most ROW_GROUP rows as a row group; the SHA-256 of the file.

    However the blocks came to be, the same rows give the same bytes: each block is one piece, its dictionaries are
    sorted and hold only words that it uses, the schema is as it is after one way through its own serialization.
    """
    schema = pa.ipc.read_schema(schema.serialize())
    with disk.replacing(target) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for block in blocks:
            writer.write_table(canonical(block, schema), row_group_size=ROW_GROUP)
    from dermdata.checksum import of_file

    return of_file(target).sha256


def canonical(block: pa.Table, schema: pa.Schema) -> pa.Table:
    """The same rows in one piece, with sorted dictionaries."""
    columns = [
        sorted_words(column, column.type) if pa.types.is_dictionary(column.type) else column
        for column in block.combine_chunks().columns
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def sorted_words(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """The same values with a dictionary of just the words in use, in order."""
    words = pc.drop_null(pc.unique(column.cast(kind.value_type)))
    words = words.take(pc.array_sort_indices(words))
    if words.type != kind.value_type or not len(column):
        return column
    chunks = [recoded(chunk, words, kind) for chunk in column.chunks]
    return pa.chunked_array(chunks, kind)


def recoded(chunk: pa.DictionaryArray, words: pa.Array, kind: pa.DataType) -> pa.DictionaryArray:
    places = pc.index_in(chunk.dictionary, value_set=words)  # null for a word that no row has
    return pa.DictionaryArray.from_arrays(places.take(chunk.indices).cast(kind.index_type), words)


def with_metadata(table: pa.Table, about: Mapping[str, str]) -> pa.Table:
    """The table with its own metadata and `about` on top, under `dermdata.…` keys."""
    metadata = {**(table.schema.metadata or {}), b"dermdata.schema": schema_version.CURRENT.encode()}
    metadata |= {f"dermdata.{key}".encode(): value.encode() for key, value in about.items()}
    return table.replace_schema_metadata(metadata)


def metadata_of(table: pa.Table | pa.Schema) -> dict[str, str]:
    """The `dermdata.…` metadata of a table or schema, without the prefix."""
    found: Mapping[bytes, bytes] = (table if isinstance(table, pa.Schema) else table.schema).metadata or {}
    return {
        key.removeprefix(PREFIX).decode(errors="replace"): value.decode(errors="replace")
        for key, value in found.items()
        if key.startswith(PREFIX)
    }


def read(path: Path, columns: Sequence[str] | None = None, without: str | None = None) -> pa.Table:
    """A manifest file as a table of SCHEMA's columns and any more it has; BadTable in words otherwise."""
    with parquet(path, path) as file:
        return contents(file, known(file.schema_arrow, columns, without), path.stat().st_size, path)


def contents(file: pq.ParquetFile, columns: Sequence[str] | None, size: int, name: Path | str) -> pa.Table:
    """These columns, or all, a row group at a time: `file.read` holds what it decodes twice, and takes longer."""
    numbers = range(file.num_row_groups)
    groups = (file.read_row_group(number, columns=columns) for number in numbers)
    found = list(valid_blocks(groups, size, str(name)))
    return pa.concat_tables(found) if found else file.read(columns=columns)


@contextmanager
def parquet(source: "Path | IOBase", name: Path | str, what: str = "manifest") -> Iterator[pq.ParquetFile]:
    """An open manifest, or other Parquet table; BadTable for what is none, also when it is found within the block."""
    try:
        if isinstance(source, Path):
            disk.require_regular(source)
        # ParquetFile, not read_table: the latter imports pandas, half a second on each start
        with limits.limit_table(size := size_of(source), str(name)):
            file = pq.ParquetFile(source, arrow_extensions_enabled=False)
        with file:
            check_version(file.schema_arrow, name)
            require_schema(file.schema_arrow, str(name))
            limits.require_rows(sum(rows_of_groups(file)), size, str(name))
            yield file
    except FileNotFoundError as error:
        raise BadTable(f"no manifest at {name}", hint="give a dataset's name or a manifest's path") from error
    except MemoryError:
        raise
    except disk.NotRegular as error:
        raise BadTable(f"{name} is not a Parquet manifest: it {error.strerror}") from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise BadTable(f"{name} is not a Parquet {what}: {error}") from error


def size_of(source: "Path | IOBase") -> int:
    return source.stat().st_size if isinstance(source, Path) else source.seek(0, io.SEEK_END)


def rows_of_groups(file: pq.ParquetFile) -> list[int]:
    """The rows of each row group, as the footer says."""
    counts = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    if min(counts, default=0) < 0:
        raise pa.ArrowInvalid("a row group of fewer than no rows")
    return counts


def known(schema: pa.Schema, columns: Sequence[str] | None, without: str | None) -> list[str] | None:
    """Which of these columns there are, or all, without the one; None for just all."""
    if columns is None and without not in schema.names:
        return None
    wanted = schema.names if columns is None else columns
    return [name for name in wanted if name in schema.names and name != without]


def check_version(schema: pa.Schema, path: Path | str) -> None:
    schema_version.require_known(metadata_of(schema).get("schema", schema_version.CURRENT), path)


def conform(table: pa.Table) -> pa.Table:
    """Every column of SCHEMA in its order and type, absent ones null, then the table's further columns."""
    arrays: dict[str, Any] = {}
    for field in SCHEMA:
        if field.name in table.column_names:
            arrays[field.name] = fitted(table[field.name], field)
        else:
            arrays[field.name] = nothing(table.num_rows, field.type)
    more = [name for name in table.column_names if name not in arrays]
    fields = [*SCHEMA, *(table.schema.field(name) for name in more)]
    columns = [*arrays.values(), *(table[name] for name in more)]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, metadata=table.schema.metadata))


def nothing(rows: int, kind: pa.DataType) -> pa.ChunkedArray:
    """A column of nulls that costs the memory of one row group: its pieces are one piece."""
    whole, rest = divmod(rows, ROW_GROUP)
    piece = pa.nulls(ROW_GROUP if whole else rest, kind)
    return pa.chunked_array([*[piece] * whole, *([piece.slice(0, rest)] if rest else [])], kind)


def fitted(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    """The column in the schema's type; BadTable where its values are no such thing."""
    try:
        return cast(column, field.type)
    except pa.ArrowException as error:
        raise BadTable(
            f"the columns do not fit the manifest's schema: {field.name} is no {field.type} ({error})"
        ) from error


def cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if column.type == kind:
        return column
    if pa.types.is_dictionary(kind):
        return column.cast(kind.value_type).cast(kind)
    return column.cast(kind)


def union(tables: list[pa.Table]) -> pa.Table:
    """Manifests one after the other under one schema, without the metadata that is one manifest's own."""
    conformed = [conform(table).replace_schema_metadata() for table in tables]
    try:
        joined = pa.concat_tables(conformed, promote_options="permissive")
    except pa.ArrowException as error:
        raise BadTable(f"the columns do not fit each other: one name, different kinds ({error})") from error
    return joined.unify_dictionaries()


def taken(table: pa.Table, rows: "NDArray[np.integer[Any]] | pa.Array") -> pa.Table:
    """These rows in this order; columns of nulls stay as cheap as they are."""
    columns = [
        nothing(len(rows), column.type) if column.null_count == len(column) else column.take(pa.array(rows))
        for column in table.columns
    ]
    return pa.Table.from_arrays(columns, schema=table.schema)


def in_one_piece(table: pa.Table) -> pa.Table:
    """Every column that says something as one array; columns of nulls stay as cheap as they are."""
    return pa.Table.from_arrays([whole(column) for column in table.columns], schema=table.schema)


def whole(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    if column.null_count == len(column):
        return nothing(len(column), column.type)
    return column if column.num_chunks == 1 else column.combine_chunks()  # which copies even a single one
