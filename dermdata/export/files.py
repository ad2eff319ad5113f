"""Where each row's image lies, and how large it is."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from dermdata.errors import BadTable, StorageError

MISSING = "rows without an image file"
BLOCK = 8192  # rows that are Python's own at once
MASKS = pa.map_(pa.string(), pa.string())
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


class Look:
    """Where the files of rows are, found row by row."""

    def __init__(self, roots: Mapping[str, Path]) -> None:
        self.here, self.roots = Listing(), {name: str(root.absolute()) for name, root in roots.items()}

    def __call__(self, path: Found, dataset: str | None) -> Found:
        """The absolute path; None where none is given, or nothing is there."""
        whole = absolute(path, dataset or "", self.roots)
        return whole if whole is not None and whole in self.here else None


def located(table: pa.Table, roots: Mapping[str, Path], column: str = "path") -> list[Found]:
    """The absolute path of each row's file, None where the row names none or it is not there."""
    look = Look(roots)
    return [look(path, dataset) for part in parts(table, column) for path, dataset in part]


def nested(rows: Sequence[Sequence[Found]], table: pa.Table, roots: Mapping[str, Path]) -> list[list[Found]]:
    """The absolute path of each file of each row."""
    look = Look(roots)
    datasets = table["dataset"].cast(pa.string()).to_pylist()
    return [[look(path, dataset) for path in row] for row, dataset in zip(rows, datasets, strict=True)]


def parts(table: pa.Table, column: str) -> Iterator[Iterator[tuple[Any, str | None]]]:
    """Pairs of a column's values and their datasets, so many rows at once: as Python's they take ten times the memory."""
    for start in range(0, table.num_rows, BLOCK):
        values, datasets = (table[name].slice(start, BLOCK) for name in (column, "dataset"))
        yield zip(values.to_pylist(), datasets.cast(pa.string()).to_pylist(), strict=True)


def absolute(path: Found, dataset: str, roots: Mapping[str, str]) -> Found:
    """BadTable for a path that climbs out of its dataset's folder: a manifest may come from anyone."""
    if path is None or path.startswith("/"):
        return path
    if ".." in path.split("/"):
        raise BadTable(f"the path {path} leads out of the folder of {dataset or 'its manifest'}")
    if dataset not in roots:
        raise BadTable(f"no folder is known for the images of '{dataset}'")
    return f"{roots[dataset]}/{path}"


def anywhere(table: pa.Table, look: Look) -> tuple[pa.Table, int]:
    """The table with absolute paths, null where no file is, so that it can be used from any folder; rows without image."""
    for name in ("path", "mask_path", "masks"):
        if name in table.column_names and table[name].null_count < table.num_rows:
            place = table.column_names.index(name)
            table = table.set_column(place, table.schema.field(name), moved(table, look, name))
    return table, table["path"].null_count


def moved(table: pa.Table, look: Look, column: str) -> pa.Array:
    """The column with its paths absolute."""
    change: Callable[..., Any] = partial(masks, look) if column == "masks" else look
    kind = MASKS if column == "masks" else pa.string()
    done = [pa.array([change(*pair) for pair in part], kind) for part in parts(table, column)]
    return pa.concat_arrays(done)


def masks(
    look: Look, row: Sequence[tuple[str, str]] | None, dataset: str | None
) -> list[tuple[str, Found]] | None:
    """The row's masks by structure, where each is."""
    return None if row is None else [(name, look(path, dataset)) for name, path in row]


def sizes(table: pa.Table, found: Sequence[Found]) -> list[int]:
    """Bytes of each row's image as the manifest says, as the disk says where it says nothing; 0 without image."""
    known = table["bytes"].to_pylist() if "bytes" in table.column_names else [None] * table.num_rows
    return [size_of(path, size) for path, size in zip(found, known, strict=True)]


def size_of(path: Found, known: int | None) -> int:
    if path is None:
        return 0
    return known if known is not None else Path(path).stat().st_size
