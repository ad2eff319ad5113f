"""Each module reads one shape of source layout into a table of text columns; named by shape, never by dataset."""

from collections.abc import Callable
from importlib import import_module

from dermdata.errors import UnknownName
from dermdata.model import Content, TableSpec
from dermdata.readers.raw_table import Opener, RawTable

SHAPES = ("table", "folders", "spreadsheet")

__all__ = ["SHAPES", "Opener", "RawTable", "read_table"]


def read_table(spec: TableSpec, files: Opener, contents: tuple[Content, ...]) -> RawTable:
    """The raw rows of one catalog table, every column text; UnknownName for a shape that is not there."""
    if spec.reader not in SHAPES:
        raise UnknownName("reader", spec.reader, SHAPES)
    reader: Callable[[TableSpec, Opener, tuple[Content, ...]], RawTable] = import_module(
        f"dermdata.readers.{spec.reader}"
    ).read
    return reader(spec, files, contents)
