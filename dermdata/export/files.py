"""Where each row's image lies, and how large it is."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from dermdata.manifest.image_files import Found as Found
from dermdata.manifest.image_files import ImageFinder

MISSING = "rows without an image file"
MASKS = pa.map_(pa.string(), pa.string())


def located(table: pa.Table, roots: Mapping[str, Path], column: str = "path") -> list[Found]:
    """The absolute path of each row's file, None where the row names none or it is not there."""
    return ImageFinder(roots).column(table, column)


def nested(rows: Sequence[Sequence[Found]], table: pa.Table, roots: Mapping[str, Path]) -> list[list[Found]]:
    """The absolute path of each file of each row."""
    finder = ImageFinder(roots)
    return finder.of_rows(table, rows, lambda row, dataset: [finder.find(path, dataset) for path in row])


def anywhere(table: pa.Table, finder: ImageFinder) -> tuple[pa.Table, int]:
    """The table with absolute paths, null where no file is, so that it can be used from any folder; rows without image."""
    for name in ("path", "mask_path", "masks"):
        if name in table.column_names and table[name].null_count < table.num_rows:
            place = table.column_names.index(name)
            table = table.set_column(place, table.schema.field(name), moved(table, finder, name))
    return table, table["path"].null_count


def moved(table: pa.Table, finder: ImageFinder, column: str) -> pa.ChunkedArray:
    """The column with its paths absolute."""
    kind = MASKS if column == "masks" else pa.string()
    done = [pa.array(part, kind) for part in finder.blocks(table, column)]
    return pa.chunked_array(done, kind)


def sizes(table: pa.Table, found: Sequence[Found]) -> list[int]:
    """Bytes of each row's image as the manifest says, as the disk says where it says nothing; 0 without image."""
    known = table["bytes"].to_pylist() if "bytes" in table.column_names else [None] * table.num_rows
    return [size_of(path, size) for path, size in zip(found, known, strict=True)]


def size_of(path: Found, known: int | None) -> int:
    if path is None:
        return 0
    return known if known is not None else Path(path).stat().st_size
