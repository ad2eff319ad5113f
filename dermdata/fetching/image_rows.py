"""Files that hold images and their rows, where they lie: as many rows as a look needs, by ranges; no image comes."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, starmap
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from dermdata import archive
from dermdata.fetching.local.files import LocalFile
from dermdata.model import Unpack
from dermdata.readers.image_tables import NUMBER_COLUMN, SPLIT_COLUMN, RowsLook, look_at_npz, look_at_parquet

# what their names end in -> the kind of archive that each is
ENDINGS: Mapping[str, Unpack] = MappingProxyType({".parquet": "parquet", ".npz": "npz"})
BUFFER = 256 << 10  # bytes that are read at once where small pieces are asked for
MOST_FILES = 8  # that are looked into; the others have the same columns
MOST_BYTES = 64 << 20  # of the cells of one file
MOST_READS = 64  # pieces of one file: a request each
SHARD = re.compile(r"(?:.*/)?(?:train|validation|valid|val|dev|test)-\d+-of-\d+\.parquet")
SHARD_PATTERN = "**/{split}-{number}-of-{count}.parquet"  # the same, as an entry says it


class RangeFile(io.RawIOBase):
    """A file that reads its bytes by ranges."""

    def __init__(self, read: archive.RangeReader, size: int) -> None:
        super().__init__()
        self._read, self._size, self._place = read, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = start + offset
        return self._place

    def readinto(self, buffer: Any) -> int:
        length = max(0, min(len(buffer), self._size - self._place))
        buffer[:length] = self._read(self._place, length) if length else b""
        self._place += length
        return length


@dataclass(frozen=True)
class ImageRows:
    """Rows that stand in the same files as their images, as far as they were looked at."""

    files: Sequence[LocalFile]  # all that hold some
    images: Sequence[LocalFile]
    table: pa.Table  # all text; columns of images name these
    of: int | None  # rows in all; None where not every file was opened
    split_pattern: str | None  # by which the files' names say the part of a split

    @property
    def has_split(self) -> bool:
        """Whether the files, or their names, say the part of a split."""
        said = self.table[SPLIT_COLUMN].unique() if SPLIT_COLUMN in self.table.column_names else ()
        return self.split_pattern is not None or len(said) > 1


def gather_rows(files: Sequence[LocalFile], looks: Mapping[LocalFile, RowsLook]) -> ImageRows | None:
    """The rows of several files, one below the other; None where none holds an image."""
    images = list(chain.from_iterable(starmap(list_images, looks.items())))
    if not images:
        return None
    whole = pa.concat_tables(starmap(to_table, looks.items()), promote_options="default")
    columns = {
        name: whole[name].combine_chunks().fill_null("")
        for name in whole.column_names
        if name != NUMBER_COLUMN  # it names nothing
    }
    return ImageRows(
        files=files,
        images=images,
        table=pa.table(columns),
        of=sum(one.of for one in looks.values()) if len(looks) == len(files) else None,
        split_pattern=SHARD_PATTERN if all(SHARD.fullmatch(one.name) for one in files) else None,
    )


def to_table(holder: LocalFile, look: RowsLook) -> pa.Table:
    """The rows of one file, with names in place of images."""
    named = {
        column: [name_image(holder, column, number) for number in range(look.count)]
        for column in look.pictures
    }
    cells = {**look.cells, **named}
    return pa.table({name: pa.array(column, pa.string()) for name, column in cells.items()})


def list_images(holder: LocalFile, look: RowsLook) -> list[LocalFile]:
    """The images of one file, as if they lay in it."""
    names = [name_image(holder, column, number) for column in look.pictures for number in range(look.count)]
    return [LocalFile(name, name, holder.origin, holder.path, 1, within=holder) for name in names]


def name_image(holder: LocalFile, column: str, number: int) -> str:
    """What no other cell says by chance."""
    return f"{holder.name}/@{column}-{number}.jpg"


def look_at_rows(read: archive.RangeReader, size: int, what: str) -> RowsLook:
    """The first rows of a file, and which of its columns are images; ArchiveRefused for what is no such file."""
    source = RangeFile(read, size)
    if what.endswith(".npz"):
        return look_at_npz(io.BufferedReader(source, BUFFER), what)
    return look_at_parquet(source, what, MOST_BYTES, MOST_READS)


def find_kind(name: str) -> Unpack | None:
    """What kind of file with images and rows a name claims to be; None for all else."""
    return ENDINGS.get(name[name.rfind(".") :]) if "." in name else None
