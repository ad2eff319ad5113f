"""THE table: its schema, how it is built from a source's rows, read and written."""

from dermdata.manifest.builder import BuildReport, build_manifest
from dermdata.manifest.parquet import read_manifest, write_manifest
from dermdata.manifest.schema import SCHEMA

__all__ = ["SCHEMA", "BuildReport", "build_manifest", "read_manifest", "write_manifest"]
