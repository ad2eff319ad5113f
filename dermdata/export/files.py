"""Where each row's image lies, and how large it is."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from dermdata.errors import BadTable, StorageError

MISSING = "rows without an image file"
Found = str | None  # an absolute path; None: there is no such file


class Listing:
    """Which files exist, with one look at each folder instead of one at each file."""

    def __init__(self) -> None:
        self.names: dict[str, frozenset[str]] = {}

    def __contains__(self, path: str) -> bool:
        parent, _, name = path.rpartition("/")
        if parent not in self.names:
            self.names[parent] = listed(parent)
        return name in self.names[parent]


def listed(path: str) -> frozenset[str]:
    try:
        return frozenset(os.listdir(path or "/"))  # noqa: PTH208  # 400,000 names: pathlib costs 5x
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except OSError as error:
        raise StorageError(f"cannot look into {path}: {error.strerror}") from error


def located(table: pa.Table, roots: Mapping[str, Path], column: str = "path") -> list[Found]:
    """The absolute path of each row's file, None where the row names none or it is not there."""
    return [path for (path,) in nested([[path] for path in table[column].to_pylist()], table, roots)]


def nested(rows: Sequence[Sequence[Found]], table: pa.Table, roots: Mapping[str, Path]) -> list[list[Found]]:
    """The absolute path of each file of each row."""
    here, texts = Listing(), {name: str(root.absolute()) for name, root in roots.items()}
    datasets = table["dataset"].cast(pa.string()).to_pylist()
    found = (
        [absolute(path, dataset or "", texts) for path in row]
        for row, dataset in zip(rows, datasets, strict=True)
    )
    return [[path if path is not None and path in here else None for path in row] for row in found]


def absolute(path: Found, dataset: str, roots: Mapping[str, str]) -> Found:
    """BadTable for a path that climbs out of its dataset's folder: a manifest may come from anyone."""
    if path is None or path.startswith("/"):
        return path
    if ".." in path.split("/"):
        raise BadTable(f"the path {path} leads out of the folder of {dataset or 'its manifest'}")
    if dataset not in roots:
        raise BadTable(f"no folder is known for the images of '{dataset}'")
    return f"{roots[dataset]}/{path}"


def anywhere(table: pa.Table, roots: Mapping[str, Path]) -> tuple[pa.Table, int]:
    """The table with absolute paths, null where no file is, so that it can be used from any folder; rows without image."""
    found = located(table, roots)
    changed = {"path": pa.array(found, pa.string())}
    if "mask_path" in table.column_names:
        changed["mask_path"] = pa.array(located(table, roots, "mask_path"), pa.string())
    if "masks" in table.column_names:
        changed["masks"] = absolute_masks(table, roots)
    for name, column in changed.items():
        place = table.column_names.index(name)
        table = table.set_column(place, table.schema.field(name), column)
    return table, found.count(None)


def absolute_masks(table: pa.Table, roots: Mapping[str, Path]) -> pa.Array:
    rows = table["masks"].to_pylist()  # (name, path) pairs
    paths = nested([[path for _, path in row or ()] for row in rows], table, roots)
    named = [
        None if row is None else [(name, path) for (name, _), path in zip(row, found, strict=True)]
        for row, found in zip(rows, paths, strict=True)
    ]
    return pa.array(named, pa.map_(pa.string(), pa.string()))


def sizes(table: pa.Table, found: Sequence[Found]) -> list[int]:
    """Bytes of each row's image as the manifest says, as the disk says where it says nothing; 0 without image."""
    known = table["bytes"].to_pylist() if "bytes" in table.column_names else [None] * table.num_rows
    return [size_of(path, size) for path, size in zip(found, known, strict=True)]


def size_of(path: Found, known: int | None) -> int:
    if path is None:
        return 0
    return known if known is not None else Path(path).stat().st_size
