"""The lock file: JSON that a person can read, and the rows in it as compressed Parquet in base64."""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dermdata.errors import BadTable

SCHEMA = "dermdata.lock/1"
LEVEL = 19  # zstd: a lock is written once and kept for years
LINE = 120  # characters of base64 a line: a diff stays readable


@dataclass(frozen=True, kw_only=True)
class DatasetLock:
    """One dataset as it was when the cohort was locked."""

    name: str
    version: str | None
    rows: int
    images: bool  # at least one row has its image
    catalog_digest: str  # of the entry, its label words and the vocabulary
    sources_digest: str  # of the fetched files' names and checksums


@dataclass(frozen=True, kw_only=True)
class Lock:
    """A cohort: where its rows come from, and the rows."""

    datasets: tuple[DatasetLock, ...]
    tool: str
    commands: tuple[str, ...]  # how it was made, as far as its manifest says
    schema: pa.Schema  # of the manifest, with its metadata
    rows: pa.Table  # key, sha256, digest, `told:…`, `set:…`


def dumps(lock: Lock) -> bytes:
    """The lock as a file: the same cohort gives the same bytes."""
    packed = packed_rows(lock.rows)
    text = base64.b64encode(packed).decode()
    document = {
        "schema": SCHEMA,
        "tool": lock.tool,
        "datasets": [vars(one) for one in lock.datasets],
        "commands": list(lock.commands),
        "rows": lock.rows.num_rows,
        "rows_sha256": hashlib.sha256(packed).hexdigest(),
        "manifest_schema": base64.b64encode(lock.schema.serialize().to_pybytes()).decode(),
        "data": [text[start : start + LINE] for start in range(0, len(text), LINE)],
    }
    return (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode()


def packed_rows(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    plain = ("key", "sha256", "digest")
    pq.write_table(
        rows,
        sink,
        compression="zstd",
        compression_level=LEVEL,
        use_dictionary=[name for name in rows.column_names if name not in plain],
        column_encoding={"key": "DELTA_BYTE_ARRAY", "sha256": "PLAIN", "digest": "PLAIN"},
        write_statistics=False,
    )
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def loads(data: bytes, name: str) -> Lock:
    """A lock file's content; BadTable in words when it is none, is damaged or is newer than we know."""
    document = parsed(data, name)
    try:
        packed = base64.b64decode("".join(document["data"]), validate=True)
        if hashlib.sha256(packed).hexdigest() != document["rows_sha256"]:
            raise BadTable(f"{name} is damaged: its rows are not those that were written")
        rows = pq.ParquetFile(pa.BufferReader(packed)).read()
        if rows.num_rows != document["rows"]:
            raise BadTable(f"{name} is damaged: it says {document['rows']} rows and holds {rows.num_rows:,}")
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(document["manifest_schema"])))
        return Lock(
            datasets=tuple(DatasetLock(**one) for one in document["datasets"]),
            tool=document["tool"],
            commands=tuple(document["commands"]),
            schema=schema,
            rows=rows,
        )
    except (KeyError, TypeError, binascii.Error, pa.ArrowException, OSError) as error:
        raise BadTable(f"{name} is damaged: {error}") from error


def parsed(data: bytes, name: str) -> Mapping[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadTable(
            f"{name} is no lock file: {error}", hint="`dermdata lock TARGET -o FILE` makes one"
        ) from error
    kind = document.get("schema") if isinstance(document, dict) else None
    if kind != SCHEMA:
        newer = isinstance(kind, str) and kind.startswith("dermdata.lock/")
        hint = "update dermdata" if newer else "`dermdata lock TARGET -o FILE` makes one"
        raise BadTable(f"{name} is {kind if newer else 'no lock file'}, not {SCHEMA}", hint=hint)
    return document  # type: ignore[no-any-return]


def history(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The chain of commands that a manifest's metadata tells, those of its sources first."""
    commands: list[str] = []
    for one in json.loads(metadata.get("sources", "[]")):
        commands += [line for line in history(one) if line not in commands]
    own: Sequence[str] = json.loads(metadata.get("history", "[]"))
    return (*commands, *(line for line in own if line not in commands))
