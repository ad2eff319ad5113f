"""Where `-o OUT` goes: a manifest as a file by its ending, or as an Arrow stream to stdout."""

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from dermdata import disk
from dermdata.api.resources import Resources
from dermdata.api.targets import ROWS, SUFFIXES
from dermdata.errors import UsageError
from dermdata.export.metadata import write_about_file
from dermdata.export.text_formats import TEXT_ROWS, csv_chunks, jsonl_chunks
from dermdata.manifest.lazy import LazyTable
from dermdata.manifest.parquet import add_metadata, manifest_metadata, write_blocks
from dermdata.object_store import is_remote, open_bucket


def require_out(out: str | None) -> None:
    """UsageError for an `-o OUT` that no manifest can be written to: said before anything is read or fetched."""
    if not out or out == "-":
        return
    if Path(out).suffix not in SUFFIXES:
        raise UsageError(
            f"cannot tell the format of {out}", hint=f"OUT ends in {', '.join(SUFFIXES)}, or is -"
        )
    if not is_remote(out):
        disk.require_file(Path(out))


def command_line(name: str, targets: Sequence[str], asked: Mapping[str, Any]) -> str:
    """The command line without its output: what a reader needs to do it again."""
    options = [
        f"--{option}" if value is True else f"--{option}={value}"
        for option, value in asked.items()
        if value is not None and value is not False
    ]
    return shlex.join([name, *targets, *options])


def record_command(table: pa.Table, line: str, facts: Mapping[str, str] | None = None) -> pa.Table:
    """The table with a command's line at the end of its history, and what else is true of all its rows."""
    before = json.loads(manifest_metadata(table).get("history", "[]"))
    history = json.dumps([*before, line], ensure_ascii=False)
    return add_metadata(table, {**(facts or {}), "history": history})


def keep(
    resources: Resources, rows: LazyTable, out: str, line: str, facts: Mapping[str, str] | None = None
) -> None:
    """Write the manifest; its history is that of the targets it was made from, and this command."""
    write_manifest(LazyTable(record_command(rows.table, line, facts), rows.rest), out, {})
    if out != "-":
        resources.say(f"written to {out}")


def write_manifest(rows: LazyTable, out: str, facts: Mapping[str, str]) -> None:
    """Write rows to `-o OUT`: by its ending, or as an Arrow stream to stdout for `-`; `facts` go into its metadata."""
    require_out(out)
    rows = LazyTable(add_metadata(rows.table, facts), rows.rest)
    if out == "-":
        return to_stream(rows)
    if is_remote(out):
        prefix, _, name = out.rpartition("/")
        with open_bucket(prefix) as bucket:
            return bucket.put(name, lambda path: write_manifest(rows, str(path), {}))
    path = Path(out)
    if path.suffix == ".parquet":
        write_blocks(rows.schema, rows.blocks(), path)
    elif path.suffix == ".arrow":
        table = rows.to_table()  # an Arrow file has one dictionary a column
        with disk.atomic_write(path) as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    else:
        chunks = csv_chunks if path.suffix == ".csv" else jsonl_chunks
        disk.write_chunks(path, chunks(rows.schema, rows.blocks(TEXT_ROWS)))
        write_about_file(path, rows.schema, rows.num_rows)
    return None


def to_stream(rows: LazyTable) -> None:
    if sys.stdout.isatty():
        raise UsageError("an Arrow stream is not for a terminal", hint="pipe it on, or give -o FILE.parquet")
    schema = rows.schema
    schema = schema.with_metadata({**(schema.metadata or {}), ROWS: str(rows.num_rows)})
    with pa.ipc.new_stream(sys.stdout.buffer, schema) as writer:
        for block in rows.blocks():
            writer.write_table(block.cast(schema))
    sys.stdout.buffer.flush()
