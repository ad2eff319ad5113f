"""Parquet manifests: reads and writes them on disk, and reads them from an object store by range requests.

Of a remote manifest only the footer and the columns asked for are fetched, many ranges at a time: a request to a store
costs its delay, not its bytes.
"""

import io
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dermdata import disk, limits
from dermdata.checksum import hash_file
from dermdata.errors import BadTable, SizeMismatch, StorageError
from dermdata.manifest.arrow import METADATA_PREFIX, require_schema, validate_blocks
from dermdata.manifest.schema import SCHEMA
from dermdata.manifest_file import SCHEMA_VERSION, require_known_schema
from dermdata.markup import count_nouns
from dermdata.object_store import convert_store_errors, missing_manifest_error, open_filesystem

if TYPE_CHECKING:
    from io import IOBase

    import numpy as np
    from numpy.typing import NDArray


ROW_GROUP = 65_536  # rows
MERGE_GAP = 64 << 10  # bytes: less than this between two stretches is fetched rather than asked for apart
REQUEST_BYTES = 8 << 20  # bytes of one request, unless one column is larger
CONCURRENT_REQUESTS = 16  # requests
RETRY_HINT = "run the same command again"


def write_manifest(table: pa.Table, target: Path, about: Mapping[str, str]) -> str:
    """Write a manifest: the same rows give the same bytes.

    Parameters
    ----------
    table : pyarrow.Table
        The rows, in any order.
    target : Path
        The file, which appears when it is whole.
    about : mapping
        Metadata of the file, under `dermdata.<key>`.

    Returns
    -------
    str
        The file's SHA-256, hexadecimal.

    Raises
    ------
    StorageError
        The file cannot be written.

    """
    table = add_metadata(table, about)
    starts = range(0, table.num_rows, ROW_GROUP)
    return write_blocks(table.schema, (table.slice(start, ROW_GROUP) for start in starts), target)


def write_blocks(schema: pa.Schema, blocks: Iterable[pa.Table], target: Path) -> str:
    """Write a manifest, each block of at most ROW_GROUP rows as a row group; the SHA-256 of the file.

    However the blocks came to be, the same rows give the same bytes: each block is one piece, its dictionaries are
    sorted and hold only words that it uses, the schema is as it is after one way through its own serialization.
    """
    schema = pa.ipc.read_schema(schema.serialize())
    with disk.atomic_write(target) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for block in blocks:
            writer.write_table(canonical_block(block, schema), row_group_size=ROW_GROUP)
            del block  # which may be a share of a million rows: they are gone before the next are gathered
    return hash_file(target).sha256


def canonical_block(block: pa.Table, schema: pa.Schema) -> pa.Table:
    """The same rows in one piece, with sorted dictionaries."""
    columns = [
        sort_dictionary(column, column.type) if pa.types.is_dictionary(column.type) else column
        for column in block.combine_chunks().columns
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def sort_dictionary(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """The same values with a dictionary of just the words in use, in order."""
    words = pc.drop_null(pc.unique(column.cast(kind.value_type)))
    words = words.take(pc.array_sort_indices(words))
    if words.type != kind.value_type or not len(column):
        return column
    chunks = [recode_chunk(chunk, words, kind) for chunk in column.chunks]
    return pa.chunked_array(chunks, kind)


def recode_chunk(chunk: pa.DictionaryArray, words: pa.Array, kind: pa.DataType) -> pa.DictionaryArray:
    positions = pc.index_in(chunk.dictionary, value_set=words)  # null for a word that no row has
    return pa.DictionaryArray.from_arrays(positions.take(chunk.indices).cast(kind.index_type), words)


def add_metadata(table: pa.Table, about: Mapping[str, str]) -> pa.Table:
    """The table with its own metadata and `about` on top, under `dermdata.…` keys."""
    metadata = {**(table.schema.metadata or {}), b"dermdata.schema": SCHEMA_VERSION.encode()}
    metadata |= {f"dermdata.{key}".encode(): value.encode() for key, value in about.items()}
    return table.replace_schema_metadata(metadata)


def manifest_metadata(table: pa.Table | pa.Schema) -> dict[str, str]:
    """The `dermdata.…` metadata of a table or schema, without the prefix."""
    found: Mapping[bytes, bytes] = (table if isinstance(table, pa.Schema) else table.schema).metadata or {}
    return {
        key.removeprefix(METADATA_PREFIX).decode(errors="replace"): value.decode(errors="replace")
        for key, value in found.items()
        if key.startswith(METADATA_PREFIX)
    }


def read_manifest(path: Path, columns: Sequence[str] | None = None, without: str | None = None) -> pa.Table:
    """Read a manifest file.

    Parameters
    ----------
    path : Path
        A Parquet file.
    columns : sequence of str, optional
        Only these, as far as the file has them.
    without : str, optional
        A column that is not read.

    Returns
    -------
    pyarrow.Table
        The file's columns in their own types (`conform` gives them SCHEMA's).

    Raises
    ------
    BadTable
        There is no file, it is no manifest, a later dermdata wrote it, or it is damaged.

    """
    with open_parquet(path, path) as file:
        return read_row_groups(
            file, known_columns(file.schema_arrow, columns, without), path.stat().st_size, path
        )


def read_row_groups(
    file: pq.ParquetFile, columns: Sequence[str] | None, size: int, name: Path | str
) -> pa.Table:
    """These columns, or all, a row group at a time: `file.read` holds what it decodes twice, and takes longer."""
    numbers = range(file.num_row_groups)
    groups = (file.read_row_group(number, columns=columns) for number in numbers)
    found = list(validate_blocks(groups, size, str(name)))
    return pa.concat_tables(found) if found else file.read(columns=columns)


@contextmanager
def open_parquet(
    source: "Path | IOBase", name: Path | str, what: str = "manifest"
) -> Iterator[pq.ParquetFile]:
    """An open manifest, or other Parquet table; BadTable for what is none, also when it is found within the block."""
    try:
        if isinstance(source, Path):
            disk.require_regular(source)
        # ParquetFile, not read_table: the latter imports pandas, half a second on each start
        with limits.limit_table_memory(size := source_size(source), str(name)):
            file = pq.ParquetFile(source, arrow_extensions_enabled=False)
        with file:
            check_version(file.schema_arrow, name)
            require_schema(file.schema_arrow, str(name))
            limits.require_rows(sum(row_group_sizes(file)), size, str(name))
            yield file
    except FileNotFoundError as error:
        raise BadTable(f"no manifest at {name}", hint="give a dataset's name or a manifest's path") from error
    except MemoryError:
        raise
    except disk.NotRegular as error:
        raise BadTable(f"{name} is not a Parquet manifest: it {error.strerror}") from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise BadTable(f"{name} is not a Parquet {what}: {error}") from error


def source_size(source: "Path | IOBase") -> int:
    return source.stat().st_size if isinstance(source, Path) else source.seek(0, io.SEEK_END)


def row_group_sizes(file: pq.ParquetFile) -> list[int]:
    """The rows of each row group, as the footer says."""
    counts = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    if min(counts, default=0) < 0:
        raise pa.ArrowInvalid("a row group of fewer than no rows")
    return counts


def known_columns(schema: pa.Schema, columns: Sequence[str] | None, without: str | None) -> list[str] | None:
    """Which of these columns there are, or all, without the one; None for just all."""
    if columns is None and without not in schema.names:
        return None
    wanted = schema.names if columns is None else columns
    return [name for name in wanted if name in schema.names and name != without]


def check_version(schema: pa.Schema, path: Path | str) -> None:
    require_known_schema(manifest_metadata(schema).get("schema", SCHEMA_VERSION), path)


def conform(table: pa.Table) -> pa.Table:
    """Every column of SCHEMA in its order and type, absent ones null, then the table's further columns."""
    arrays: dict[str, Any] = {}
    for field in SCHEMA:
        if field.name in table.column_names:
            arrays[field.name] = fit_column(table[field.name], field)
        else:
            arrays[field.name] = null_column(table.num_rows, field.type)
    more = [name for name in table.column_names if name not in arrays]
    fields = [*SCHEMA, *(table.schema.field(name) for name in more)]
    columns = [*arrays.values(), *(table[name] for name in more)]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, metadata=table.schema.metadata))


def null_column(rows: int, kind: pa.DataType) -> pa.ChunkedArray:
    """A column of nulls that costs the memory of one row group: its pieces are one piece."""
    whole, rest = divmod(rows, ROW_GROUP)
    piece = pa.nulls(ROW_GROUP if whole else rest, kind)
    return pa.chunked_array([*[piece] * whole, *([piece.slice(0, rest)] if rest else [])], kind)


def fit_column(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    """The column in the schema's type; BadTable where its values are no such thing."""
    try:
        return cast_column(column, field.type)
    except pa.ArrowException as error:
        raise BadTable(
            f"the columns do not fit the manifest's schema: {field.name} is no {field.type} ({error})"
        ) from error


def cast_column(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if column.type == kind:
        return column
    if pa.types.is_dictionary(kind):
        return column.cast(kind.value_type).cast(kind)
    return column.cast(kind)


def concat_manifests(tables: list[pa.Table]) -> pa.Table:
    """Manifests one after the other under one schema, without the metadata that is one manifest's own."""
    conformed = [conform(table).replace_schema_metadata() for table in tables]
    try:
        joined = pa.concat_tables(conformed, promote_options="permissive")
    except pa.ArrowException as error:
        raise BadTable(f"the columns do not fit each other: one name, different kinds ({error})") from error
    return joined.unify_dictionaries()


def take_rows(table: pa.Table, rows: "NDArray[np.integer[Any]] | pa.Array") -> pa.Table:
    """These rows in this order; columns of nulls stay as cheap as they are."""
    return pa.Table.from_arrays(take_from_columns(table.columns, pa.array(rows)), schema=table.schema)


def take_from_columns(columns: list[pa.ChunkedArray], rows: pa.Array) -> list[pa.ChunkedArray]:
    """These rows of each column; the list is emptied: a column that nobody else holds is gone before the next is made."""
    columns.reverse()
    found = []
    while columns:
        column = columns.pop()
        is_empty = column.null_count == len(column)
        found.append(null_column(len(rows), column.type) if is_empty else column.take(rows))
        del column
    return found


def combine_chunks(table: pa.Table) -> pa.Table:
    """Every column that says something as one array; columns of nulls stay as cheap as they are."""
    return pa.Table.from_arrays([combine_column(column) for column in table.columns], schema=table.schema)


def combine_column(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    if column.null_count == len(column):
        return null_column(len(column), column.type)
    return column if column.num_chunks == 1 else column.combine_chunks()  # which copies even a single one


def read_remote_manifest(
    url: str, columns: Sequence[str] | None = None, without: str | None = None
) -> pa.Table:
    """As `read_manifest`; NetworkError and its like where the store fails, StorageError for an object that changes."""
    with open_object(url) as source, open_parquet(reads := limits.LocatingFile(source), url) as file:
        wanted = known_columns(file.schema_arrow, columns, without)
        groups = range(file.num_row_groups)
        source.prefetch(
            [span for group in groups for span in limits.locate_columns(file, reads, wanted, group)]
        )
        return read_row_groups(file, wanted, source.size, url)


@contextmanager
def open_object(url: str) -> Iterator["ObjectFile"]:
    """One object, read by ranges for the time of the block; StorageError when its ranges are not of one version."""
    with convert_store_errors(url, missing=missing_manifest_error(url)):
        files = open_filesystem(url)
        source = ObjectFile(url, files, files.info(url))
    try:
        yield source
    except BadTable:
        source.require_unchanged()  # the better reason
        raise
    source.require_unchanged()


class ObjectFile(io.RawIOBase):
    """An object as a file of which only what is read is fetched; the store's errors become ours."""

    def __init__(self, url: str, files: Any, info: dict[str, Any]) -> None:
        self.url, self.files, self.info = url, files, info
        self.size, self.place = int(info["size"]), 0
        self.pieces: dict[int, bytes] = {}  # by where they start
        self.starts: list[int] = []

    def prefetch(self, spans: Iterable[tuple[int, int]]) -> None:
        """Fetch these stretches, [start, end) in bytes, before they are read."""
        from fsspec.utils import merge_offset_ranges  # of the extra `cloud`

        starts, ends = zip(*spans, strict=True) if (spans := list(spans)) else ((), ())
        paths = [self.url] * len(starts)
        _, starts, ends = merge_offset_ranges(paths, list(starts), list(ends), MERGE_GAP, REQUEST_BYTES)
        self.pieces = dict(zip(starts, self.fetch_ranges(starts, ends), strict=True))
        self.starts = sorted(self.pieces)

    def fetch_ranges(self, starts: Sequence[int], ends: Sequence[int]) -> list[bytes]:
        """SizeMismatch for a stretch that is not as long as it was asked for."""
        paths = [self.url] * len(starts)
        with convert_store_errors(self.url, missing=missing_manifest_error(self.url)):
            found = self.files.cat_ranges(
                paths, list(starts), list(ends), on_error="raise", batch_size=CONCURRENT_REQUESTS
            )
        for start, end, piece in zip(starts, ends, found, strict=True):
            if len(piece) != end - start:
                raise SizeMismatch(
                    f"{self.url}: {len(piece):,} of {count_nouns(end - start, 'byte')} came from byte {start:,}",
                    hint=RETRY_HINT,
                )
        return list(found)

    def require_unchanged(self) -> None:
        with convert_store_errors(self.url, missing=object_changed(self.url)):
            if self.files.info(self.url) != self.info:
                raise object_changed(self.url)

    def read(self, size: int = -1, /) -> bytes:
        end = self.size if size < 0 else min(self.size, self.place + size)
        start, self.place = self.place, max(self.place, end)
        if end <= start:
            return b""
        piece = bisect_right(self.starts, start) - 1
        if piece >= 0 and end <= (at := self.starts[piece]) + len(self.pieces[at]):
            return self.pieces[at][start - at : end - at]
        return self.fetch_ranges([start], [end])[0]

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self.place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.place, io.SEEK_END: self.size}[whence]
        return self.place

    def tell(self) -> int:
        return self.place

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def object_changed(url: str) -> StorageError:
    return StorageError(f"{url} was replaced while it was read", hint=RETRY_HINT)
