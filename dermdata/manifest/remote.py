"""Parquet manifests in an object store: the footer and the columns asked for are fetched, and nothing else.

A manifest with embedded images is a gigabyte of which a select needs a hundredth. Stretches of it come many at a
time: a request to a store costs its delay, not its bytes.
"""

import io
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dermdata import places
from dermdata.errors import BadTable, SizeMismatch, StorageError
from dermdata.manifest import store

GAP = 64 << 10  # bytes: less than this between two stretches is fetched rather than asked for apart
BLOCK = 8 << 20  # bytes of one request, unless one column is larger
AT_ONCE = 16  # requests
AGAIN = "run the same command again"


def read(url: str, columns: Sequence[str] | None = None, without: str | None = None) -> pa.Table:
    """As `store.read`; NetworkError and its like where the store fails, StorageError for an object that changes."""
    with ranges(url) as source, store.parquet(source, url) as file:
        wanted = store.known(file.schema_arrow, columns, without)
        source.ahead(spans(file.metadata, wanted))
        return store.contents(file, wanted, source.size, url)


@contextmanager
def ranges(url: str) -> Iterator["Ranges"]:
    """One object, read by ranges for the time of the block; StorageError when its ranges are not of one version."""
    with places.store_errors(url, missing=places.no_manifest(url)):
        files = places.store_of(url)
        source = Ranges(url, files, files.info(url))
    try:
        yield source
    except BadTable:
        source.require_unchanged()  # the better reason
        raise
    source.require_unchanged()


class Ranges(io.RawIOBase):
    """An object as a file of which only what is read is fetched; what the store says comes in our errors."""

    def __init__(self, url: str, files: Any, info: dict[str, Any]) -> None:
        self.url, self.files, self.info = url, files, info
        self.size, self.place = int(info["size"]), 0
        self.pieces: dict[int, bytes] = {}  # by where they start
        self.starts: list[int] = []

    def ahead(self, spans: Iterable[tuple[int, int]]) -> None:
        """Fetch these stretches, [start, end) in bytes, before they are read."""
        from fsspec.utils import merge_offset_ranges

        starts, ends = zip(*spans, strict=True) if (spans := list(spans)) else ((), ())
        paths = [self.url] * len(starts)
        _, starts, ends = merge_offset_ranges(paths, list(starts), list(ends), GAP, BLOCK)
        self.pieces = dict(zip(starts, self.fetched(starts, ends), strict=True))
        self.starts = sorted(self.pieces)

    def fetched(self, starts: Sequence[int], ends: Sequence[int]) -> list[bytes]:
        """SizeMismatch for a stretch that is not as long as it was asked for."""
        paths = [self.url] * len(starts)
        with places.store_errors(self.url, missing=places.no_manifest(self.url)):
            found = self.files.cat_ranges(
                paths, list(starts), list(ends), on_error="raise", batch_size=AT_ONCE
            )
        for start, end, piece in zip(starts, ends, found, strict=True):
            if len(piece) != end - start:
                raise SizeMismatch(
                    f"{self.url}: {len(piece):,} of {end - start:,} bytes came from byte {start:,}",
                    hint=AGAIN,
                )
        return list(found)

    def require_unchanged(self) -> None:
        with places.store_errors(self.url, missing=changed(self.url)):
            if self.files.info(self.url) != self.info:
                raise changed(self.url)

    def read(self, size: int = -1, /) -> bytes:
        end = self.size if size < 0 else min(self.size, self.place + size)
        start, self.place = self.place, max(self.place, end)
        if end <= start:
            return b""
        piece = bisect_right(self.starts, start) - 1
        if piece >= 0 and end <= (at := self.starts[piece]) + len(self.pieces[at]):
            return self.pieces[at][start - at : end - at]
        return self.fetched([start], [end])[0]

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self.place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.place, io.SEEK_END: self.size}[whence]
        return self.place

    def tell(self) -> int:
        return self.place

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def spans(metadata: pq.FileMetaData, columns: Sequence[str] | None) -> Iterator[tuple[int, int]]:
    """Where the file has these columns (or all): [start, end) in bytes of each one in each row group."""
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(number)
            name = chunk.path_in_schema
            if columns is None or name in columns or name.partition(".")[0] in columns:
                start = chunk.dictionary_page_offset or chunk.data_page_offset
                yield start, start + chunk.total_compressed_size


def changed(url: str) -> StorageError:
    return StorageError(f"{url} was replaced while it was read", hint=AGAIN)
