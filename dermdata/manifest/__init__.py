"""THE table: its schema, how it is built from a source's rows, read and written."""

from dermdata.manifest.build import build
from dermdata.manifest.report import Report
from dermdata.manifest.schema import SCHEMA
from dermdata.manifest.store import read, write

__all__ = ["SCHEMA", "Report", "build", "read", "write"]
