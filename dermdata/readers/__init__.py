"""Each module reads one shape of source layout into a table of text columns; named by shape, never by dataset."""

from collections.abc import Callable
from importlib import import_module

from dermdata.errors import UnknownName
from dermdata.model import READERS, Content, TableSpec
from dermdata.readers.raw_table import Opener, RawTable

__all__ = ["Opener", "RawTable", "read_table"]


def read_table(spec: TableSpec, files: Opener, contents: tuple[Content, ...]) -> RawTable:
    """Read the raw rows of one catalog table.

    Parameters
    ----------
    spec
        The catalog's table: its shape, files and columns.
    files
        Gives a file's bytes, by its catalog name and its path inside that (None: the file itself).
    contents
        Every file of the dataset, for shapes that read paths.

    Returns
    -------
    RawTable
        All columns text, what was rejected with its reason, and how many rows of a join found no partner.

    Raises
    ------
    UnknownName
        If there is no reader of this shape.
    TableRefused
        If a file cannot be read as the catalog says, or lacks a column.

    """
    if spec.reader not in READERS:
        raise UnknownName("reader", spec.reader, READERS)
    reader: Callable[[TableSpec, Opener, tuple[Content, ...]], RawTable] = import_module(
        f"dermdata.readers.{spec.reader}"
    ).read
    rows = reader(spec, files, contents)
    if not spec.boxes:
        return rows
    add_boxes: Callable[[RawTable, TableSpec, Opener, tuple[Content, ...]], RawTable] = import_module(
        "dermdata.readers.boxes"
    ).add_boxes
    return add_boxes(rows, spec, files, contents)
