"""Files that hold images and their rows together: NumPy's .npz and Parquet, taken apart into images and one table.

What comes out has the form of an archive's members: the images under names of ours, and ROWS, a CSV file whose cells
name them. The shape "rows" reads it. An array's image becomes a PNG whose pixels are stored as they are, so that the
same array gives the same bytes on every machine; an image in Parquet keeps its own bytes.

Hostile files: pickles are never opened, an array is as long as its header says or refused, images are read one at a
time (Parquet: a few rows), and whoever writes the members counts them against the limits of archives.
"""

import csv
import io
import json
import re
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dermdata.errors import ArchiveRefused
from dermdata.limits import COLUMNS, LocatingFile, locate_columns
from dermdata.markup import count_nouns
from dermdata.model import Unpack
from dermdata.readers.raw_table import IMAGE_COLUMN, to_cell_text

ROWS = "@rows.csv"  # the member that is the table
SPLIT_COLUMN, NUMBER_COLUMN = (
    "@split",
    "@number",
)  # the part that an array's name says; a row's number in it, from 0
PART_WORDS = "train|training|val|valid|validation|dev|test"
ARRAY_NAME = re.compile(
    rf"(?:(?P<first>{PART_WORDS})_)?(?P<what>.+?)(?:_(?P<last>{PART_WORDS}))?", re.IGNORECASE
)
ARRAYS = 1_000  # of one .npz
HEADER_BYTES = 64 << 10  # of an array: type and shape
COLUMN_BYTES = 256 << 20  # of the arrays that become cells
IMAGES_HINT = "images are uint8 [number, height, width, channels]"
IMAGE_SIDE = 65_535  # pixels
PICTURE_DIMENSIONS = (3, 4)  # of an array of images: number, height, width, and channels
COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # channels -> PNG's color type
PARQUET_ROWS = 16  # that are decoded at once, at most
PARQUET_BYTES = (
    1 << 30
)  # of them: each may be as large as all that its column holds, since equal ones stand there once
PIECE_BYTES = 1 << 20  # of a column that are read at once
ENDINGS = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"GIF8": ".gif", b"BM": ".bmp", b"II*\0": ".tif",
           b"MM\0*": ".tif", b"RIFF": ".webp"}  # fmt: skip
NPZ_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError)
# what numpy raises on a header that is none
HEADER_ERRORS = (ValueError, TypeError, SyntaxError, tokenize.TokenError, MemoryError, RecursionError)


class UnpackedMember(NamedTuple):
    """One file that comes out."""

    name: str
    size: int  # bytes
    chunks: Iterable[bytes]


Notes = list[str]  # what a person should know, in sentences
# of a file, the name that its images begin with, and the notes to add to
MemberReader = Callable[[Path, str, Notes], Iterator[UnpackedMember]]


def find_member_reader(kind: Unpack) -> MemberReader | None:
    """What takes a file of this kind apart; None for the archives proper."""
    return {"npz": iterate_npz_members, "parquet": iterate_parquet_members}.get(kind)


def make_rows_member(rows: Sequence[Mapping[str, str]]) -> UnpackedMember:
    """The table of what came out; a row without some column has nothing there."""
    text = io.StringIO(newline="")
    columns = dict.fromkeys(name for row in rows for name in row)
    writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    data = text.getvalue().encode()
    return UnpackedMember(ROWS, len(data), [data])


# ------------------------------------------------------------------ .npz


@dataclass(frozen=True)
class StoredArray:
    """One array of an .npz, by its header."""

    info: zipfile.ZipInfo
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int  # bytes of the header

    @property
    def part(self) -> str:
        """The part of a split that the name begins or ends with."""
        found = self._match()
        return (found["first"] or found["last"] or "").lower()

    @property
    def what(self) -> str:
        """The rest of the name: what column it is."""
        return str(self._match()["what"])

    def _match(self) -> re.Match[str]:
        return re.fullmatch(ARRAY_NAME, self.name) or re.fullmatch(
            "(?P<first>)(?P<what>.*)(?P<last>)", self.name
        )  # type: ignore[return-value]

    @property
    def is_picture(self) -> bool:
        """Whether it is an array of images: whole numbers or truths, with one, two, three or four channels."""
        plain = self.dtype.kind in "ub" and self.dtype.itemsize <= 2
        channels = self.shape[3] if len(self.shape) == max(PICTURE_DIMENSIONS) else 1
        return plain and len(self.shape) in PICTURE_DIMENSIONS and channels in COLOR_TYPES


def iterate_npz_members(path: Path, stem: str, notes: Notes) -> Iterator[UnpackedMember]:
    """Each image of each array as a PNG, and a row for each image of a part; ArchiveRefused for what is no such file."""
    with map_npz_errors(path.name), zipfile.ZipFile(path) as file:
        chosen = choose_parts(list_arrays(file, path.name), path.name, notes)
        lines = [line for part in chosen for line in list_rows(file, part, stem, path.name)]
        for one in filter(lambda one: one.is_picture, chain.from_iterable(chosen)):
            yield from iterate_images(file, one, name_images(one, stem), path.name)
    yield make_rows_member(lines)


def look_at_npz(source: Any, what: str) -> "RowsLook":
    """The rows of an .npz without its images; ArchiveRefused for what is no such file, or holds no array of images."""
    notes: Notes = []
    with map_npz_errors(what), zipfile.ZipFile(source) as file:
        chosen = choose_parts(list_arrays(file, what), what, notes)
        lines = [line for part in chosen for line in list_rows(file, part, "", what)]
    pictures = dict.fromkeys(one.what for one in chain.from_iterable(chosen) if one.is_picture)
    columns = dict.fromkeys(name for line in lines for name in line if name not in pictures)
    cells = {name: [line.get(name, "") for line in lines] for name in columns}
    return RowsLook(tuple(pictures), cells, len(lines), len(lines))


def choose_parts(arrays: Sequence[StoredArray], what: str, notes: Notes) -> list[list[StoredArray]]:
    """The arrays of each part of a split, those without images left out; ArchiveRefused where no part has any."""
    names = dict.fromkeys(one.part for one in arrays)
    parts = [select_arrays([one for one in arrays if one.part == part], what, notes) for part in names]
    if not any(parts):
        raise ArchiveRefused(f"{what} holds no array of images", hint=IMAGES_HINT)
    return list(filter(None, parts))


def list_rows(
    file: zipfile.ZipFile, arrays: Sequence[StoredArray], stem: str, what: str
) -> list[dict[str, str]]:
    """A row for each image of a part."""
    count = arrays[0].shape[0]
    cells = {SPLIT_COLUMN: [arrays[0].part] * count, NUMBER_COLUMN: [str(number) for number in range(count)]}
    for one in arrays:
        cells |= {one.what: name_images(one, stem)} if one.is_picture else read_cells(file, one, what)
    cells[IMAGE_COLUMN] = next(cells[one.what] for one in arrays if one.is_picture)
    return [dict(zip(cells, line, strict=True)) for line in zip(*cells.values(), strict=True)]


def select_arrays(arrays: Sequence[StoredArray], what: str, notes: Notes) -> list[StoredArray]:
    """The arrays of one part that have a value for each of its images; of the others it is told that they are left out."""
    pictures = {one.name: one.shape[0] for one in arrays if one.is_picture}
    if len(set(pictures.values())) > 1:
        shown = ", ".join(f"{name} {count:,}" for name, count in pictures.items())
        raise ArchiveRefused(f"{what} has arrays of different numbers of images: {shown}")
    fitting = [one for one in arrays if set(one.shape[:1]) & set(pictures.values())]
    left_out = [one.name for one in arrays if one not in fitting]
    notes += [f"{what}: array '{name}' has no value for each image, it is left out" for name in left_out]
    return fitting


@contextmanager
def map_npz_errors(what: str) -> Iterator[None]:
    """ArchiveRefused for whatever zipfile makes of a broken file."""
    try:
        yield
    except NPZ_ERRORS as error:
        raise ArchiveRefused(f"{what} is no whole .npz: {error}") from error


def list_arrays(file: zipfile.ZipFile, what: str) -> list[StoredArray]:
    """Every array by its header, in the file's order."""
    infos = file.infolist()
    if len(infos) > ARRAYS:
        raise ArchiveRefused(f"{what} has {count_nouns(len(infos), 'array')}, the limit is {ARRAYS:,}")
    names = [info.filename.removesuffix(".npy") for info in infos]
    if len(set(names)) < len(names) or any("/" in name or "\\" in name or not name for name in names):
        raise ArchiveRefused(f"{what} has arrays whose names are no plain and different words")
    return [read_header(file, info, what) for info in infos]


def read_header(file: zipfile.ZipFile, info: zipfile.ZipInfo, what: str) -> StoredArray:
    """Type and shape of an array; ArchiveRefused for a pickle, and where its bytes are not so many."""
    name = info.filename.removesuffix(".npy")
    with file.open(info) as member:
        start = io.BytesIO(member.read(HEADER_BYTES))
    try:
        version = np.lib.format.read_magic(start)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(start)
        else:
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(start)
    except HEADER_ERRORS as error:
        raise ArchiveRefused(f"{what}: {info.filename} is no NumPy array: {error}") from error
    if dtype.hasobject:
        raise ArchiveRefused(f"{what}: {name} holds Python objects (a pickle), which dermdata does not open",
                             hint="whoever opens a pickle runs what is in it: ask for plain arrays")  # fmt: skip
    if dtype.fields or (fortran and len(shape) > 1):
        raise ArchiveRefused(f"{what}: {name} is a record or lies column by column, which is not read")
    size = start.tell() + int(np.prod(shape, dtype=object)) * dtype.itemsize
    if min(shape, default=0) < 0 or size != info.file_size:
        raise ArchiveRefused(
            f"{what}: {name} says {shape} of {dtype}, which are not its {count_nouns(info.file_size, 'byte')}"
        )
    return StoredArray(info, name, tuple(map(int, shape)), dtype, start.tell())


def name_images(array: StoredArray, stem: str) -> list[str]:
    """`stem/part/what/00017.png` for each image."""
    width = len(str(max(array.shape[0] - 1, 0)))
    home = "/".join(filter(None, (stem, array.part, array.what)))
    return [f"{home}/{number:0{width}d}.png" for number in range(array.shape[0])]


def iterate_images(
    file: zipfile.ZipFile, array: StoredArray, names: Sequence[str], what: str
) -> Iterator[UnpackedMember]:
    """Each image as a PNG, read one after the other."""
    frame = array.shape[1:]
    if not all(0 < side <= IMAGE_SIDE for side in frame):
        raise ArchiveRefused(f"{what}: {array.name} has images of {' x '.join(map(str, frame))} pixels")
    length = int(np.prod(frame, dtype=object)) * array.dtype.itemsize
    with file.open(array.info) as member:
        member.read(array.start)
        for name in names:
            data = member.read(length)
            if len(data) != length:
                raise ArchiveRefused(f"{what}: {array.name} is cut short")
            png = write_png(np.frombuffer(data, array.dtype).reshape(frame))
            yield UnpackedMember(name, len(png), [png])


def read_cells(file: zipfile.ZipFile, array: StoredArray, what: str) -> dict[str, list[str]]:
    """An array that is none of images as columns of text: one, or one for each of its second dimension."""
    if array.info.file_size > COLUMN_BYTES:
        raise ArchiveRefused(
            f"{what}: {array.name} has {count_nouns(array.info.file_size, 'byte')}, no cells"
        )
    with file.open(array.info) as member:
        member.read(array.start)
        values = np.frombuffer(member.read(), array.dtype).reshape(array.shape[0], -1)
    if values.shape[1] > COLUMNS:
        raise ArchiveRefused(f"{what}: {array.name} has {count_nouns(values.shape[1], 'value')} an image")
    if values.shape[1] == 1:
        return {array.what: cell_texts(values[:, 0])}
    return {f"{array.what} {number}": cell_texts(column) for number, column in enumerate(values.T)}


def cell_texts(values: NDArray[Any]) -> list[str]:
    """Numbers as Python writes them, bytes as UTF-8."""
    return [
        one.decode("utf-8", "backslashreplace") if isinstance(one, bytes) else str(one)
        for one in values.tolist()
    ]


def write_png(pixels: NDArray[Any]) -> bytes:
    """The pixels as a PNG that stores them uncompressed: the same bytes wherever it is made.

    Truths are black and white. Source: PNG, Third Edition (W3C), 11.2 and 10.1; RFC 1950, RFC 1951 3.2.4.
    """
    if pixels.dtype.kind == "b":
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == max(PICTURE_DIMENSIONS) - 1 else 1
    depth = pixels.dtype.itemsize
    lines = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder(">")).view(np.uint8).reshape(height, -1)
    raw = np.zeros(
        (height, 1 + lines.shape[1]), np.uint8
    )  # each line begins with the number of its filter, 0
    raw[:, 1:] = lines
    header = struct.pack(">IIBBBBB", width, height, 8 * depth, COLOR_TYPES[channels], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", store_deflated(raw.tobytes())), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def store_deflated(data: bytes) -> bytes:
    """A zlib stream whose blocks are stored."""
    most = 65_535  # bytes of a block
    starts = range(0, max(len(data), 1), most)
    blocks = [data[start : start + most] for start in starts]
    ends = [b"\0"] * (len(blocks) - 1) + [b"\1"]
    body = b"".join(
        end + struct.pack("<HH", len(block), len(block) ^ 0xFFFF) + block
        for end, block in zip(ends, blocks, strict=True)
    )
    return b"\x78\x01" + body + struct.pack(">I", zlib.adler32(data))


# ------------------------------------------------------------------ Parquet


def iterate_parquet_members(path: Path, stem: str, notes: Notes) -> Iterator[UnpackedMember]:
    """Each image of each row with its own bytes, and the rows with names in their place; ArchiveRefused for no Parquet.

    A column of images is one of bytes, as Hugging Face writes them with their path, or a list of such.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    del notes  # whatever is no image is a cell
    lines: list[dict[str, str]] = []
    try:
        with pq.ParquetFile(path, arrow_extensions_enabled=False, buffer_size=PIECE_BYTES) as file:
            columns = require_flat_columns(file, path.name)
            classes = read_class_names(file)
            width = len(str(max(file.metadata.num_rows - 1, 0)))
            for batch in file.iter_batches(count_batch_rows(file.metadata), use_threads=False):
                for row in batch.to_pylist():
                    images = RowImages(stem, f"{len(lines):0{width}d}")
                    cells = {
                        name: images.to_cell(name, name_class(row[name], classes.get(name)))
                        for name in columns
                    }
                    first = images.members[0].name if images.members else ""
                    lines.append({NUMBER_COLUMN: str(len(lines)), IMAGE_COLUMN: first, **cells})
                    yield from images.members
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ArchiveRefused(f"{path.name} is no whole Parquet file: {error}") from error
    yield make_rows_member(lines)


@dataclass(frozen=True)
class RowsLook:
    """The rows of a Parquet file without its images: as many of them as a look needs."""

    pictures: tuple[str, ...]  # the columns of images
    cells: Mapping[str, Sequence[str]]  # the other columns
    count: int  # rows that were read …
    of: int  # … of all


def look_at_parquet(source: Any, what: str, most: int, reads: int) -> RowsLook:
    """The cells of the first rows, of at most so many bytes and reads; ArchiveRefused for what is no Parquet.

    Parameters
    ----------
    source
        A path, or a file that reads what lies elsewhere.
    what
        What messages call it.
    most, reads
        Bytes of columns that are read, and pieces: each column of a group of rows is one.

    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with (
            open_located(source) as located,
            pq.ParquetFile(located, arrow_extensions_enabled=False) as file,
        ):
            columns = require_flat_columns(file, what)
            pictures = tuple(name for name in columns if is_picture_type(file.schema_arrow.field(name).type))
            others = [name for name in columns if name not in pictures]
            groups = choose_groups(file, located, others, most, reads)
            count = sum(file.metadata.row_group(number).num_rows for number in groups)
            rows = file.read_row_groups(groups, others, use_threads=False)
            return RowsLook(pictures, read_texts(rows, read_class_names(file)), count, file.metadata.num_rows)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ArchiveRefused(f"{what} is no whole Parquet file: {error}") from error


def read_texts(rows: Any, classes: Mapping[str, Sequence[Any]]) -> dict[str, list[str]]:
    """The columns as text, classes by their names."""
    return {
        name: [to_cell_text(name_class(one, classes.get(name))) for one in rows[name].to_pylist()]
        for name in rows.column_names
    }


@contextmanager
def open_located(source: Any) -> Iterator[LocatingFile]:
    """A path, or a file that is open already, as one that can say where it is read."""
    with open(source, "rb") if isinstance(source, str | Path) else nullcontext(source) as file:  # noqa: PTH123
        yield LocatingFile(file)


def choose_groups(
    file: Any, located: LocatingFile, columns: Sequence[str], most: int, reads: int
) -> list[int]:
    """The first groups of rows whose cells cost no more than that."""
    chosen: list[int] = []
    for number in range(file.num_row_groups):
        sizes = [end - start for start, end in locate_columns(file, located, columns, number)]
        most, reads = most - sum(sizes), reads - len(sizes)
        if most < 0 or (reads < 0 and chosen):
            break
        chosen.append(number)
    return chosen


def is_picture_type(kind: Any) -> bool:
    """Whether a column is one of images: of bytes, alone or with their path."""
    import pyarrow.types as pt

    if pt.is_struct(kind):
        return {kind.field(n).name for n in range(kind.num_fields)} == {"bytes", "path"}
    return bool(pt.is_binary(kind) or pt.is_large_binary(kind))


def read_class_names(file: Any) -> dict[str, list[str]]:
    """What the numbers of a column of classes stand for, where Hugging Face's note in the file says so."""
    noted = (file.schema_arrow.metadata or {}).get(b"huggingface", b"{}")
    try:
        features = json.loads(noted)["info"]["features"]
        found = {name: one["names"] for name, one in features.items() if one.get("_type") == "ClassLabel"}
    except (ValueError, KeyError, TypeError, AttributeError):  # a note of another kind says nothing
        return {}
    return {name: names for name, names in found.items() if isinstance(names, list)}


def name_class(value: Any, names: Sequence[Any] | None) -> Any:
    """A class by its name; any other value as it is."""
    if names is None or not isinstance(value, int) or not 0 <= value < len(names):
        return value
    return names[value]


def require_flat_columns(file: Any, what: str) -> list[str]:
    """The columns' names; ArchiveRefused for too many, for two of one name, and for one of ours."""
    names: list[str] = file.schema_arrow.names
    if len(names) > COLUMNS or len(set(names)) < len(names) or {NUMBER_COLUMN, IMAGE_COLUMN} & set(names):
        raise ArchiveRefused(f"{what} has too many columns, two of one name, or one called as ours are")
    return names


def count_batch_rows(metadata: Any) -> int:
    """How many rows may be in memory at once, whatever their images are."""
    # a group's own number: to ask for a column's ends the process where its statistics are broken (pyarrow 26)
    sizes = [metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups)]
    largest = max(sizes, default=0)
    return max(1, min(PARQUET_ROWS, PARQUET_BYTES // max(largest, 1)))


class RowImages:
    """The images of one row, taken out of its cells."""

    def __init__(self, stem: str, number: str) -> None:
        self.stem, self.number = stem, number
        self.members: list[UnpackedMember] = []

    def to_cell(self, column: str, value: Any) -> str:
        """The cell as text: of an image the name that it gets, of several a list of names."""
        if isinstance(value, list) and any(map(is_picture_cell, value)):
            names = [self.take_picture(f"{column}/{self.number}-{n}", one) for n, one in enumerate(value)]
            return json.dumps(names, ensure_ascii=False)
        if is_picture_cell(value):
            return self.take_picture(f"{column}/{self.number}", value)
        return to_cell_text(value)

    def take_picture(self, name: str, value: Any) -> str:
        """Put the image among the members; where only its path is stored, that is its name."""
        data = value["bytes"] if isinstance(value, dict) else value
        if not data:
            return str(value.get("path") or "") if isinstance(value, dict) else ""
        ending = next((end for mark, end in ENDINGS.items() if data.startswith(mark)), ".image")
        self.members.append(UnpackedMember(f"{self.stem}/{name}{ending}", len(data), [data]))
        return self.members[-1].name


def is_picture_cell(value: Any) -> bool:
    """Whether a value is an image's bytes, alone or with its path."""
    return isinstance(value, bytes) or (isinstance(value, dict) and {"bytes", "path"} == set(value))
