"""Builds manifests of a few rows for tests: tables as dicts of columns, files as lists of names."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dermdata.crosswalks import Crosswalk
from dermdata.manifest import BuildReport, build_manifest
from dermdata.manifest.builder import SourceTable
from dermdata.model import (
    Access,
    ArchiveMember,
    Content,
    Dataset,
    ImageFacts,
    Label,
    License,
    Role,
    TableSpec,
)
from support.bundled_labels import vocabulary

IMAGE = ImageFacts(format="jpeg", mode="RGB", width=600, height=450)
SITES = {"head-and-neck": "head-and-neck", "trunk": "trunk"}
LABELS = Crosswalk(
    [
        Label(field="dx", raw_label="mel", concept="melanoma", predicate="exactMatch"),
        Label(field="dx", raw_label="nv", concept="melanocytic-nevus", predicate="exactMatch"),
        Label(
            field="dx",
            raw_label="NA",
            concept="melanocytic-nevus",
            predicate="broadMatch",
            malignancy="benign",
        ),
    ]
)


def dataset(**keys: Any) -> Dataset:
    least = {"name": "set-a", "title": "A", "kind": "dataset", "summary": "x", "access": Access(kind="open")}
    return Dataset(**least | {"license": License(id="CC0-1.0")} | keys)


def file(
    official: str,
    *,
    digest: str = "",
    role: Role = "images",
    archive: str = "a.zip",
    image: ImageFacts | None = IMAGE,
) -> Content:
    """A cached member of an archive; files of one digest have equal bytes."""
    member = ArchiveMember(path=official, offset=0, stored=1, method=0, crc32=0)
    return Content(
        path=f"{role}/{archive}/{official}",
        role=role,
        file=archive,
        size=7,
        sha256=digest or official,
        member=member,
        image=image,
    )


def table(columns: Mapping[str, Sequence[str]]) -> pa.Table:
    return pa.table({name: pa.array(cells, pa.string()) for name, cells in columns.items()})


def built(
    columns: Mapping[str, Sequence[str]],
    spec: Mapping[str, Any],
    *contents: Content,
    of: Dataset | None = None,
    rejected: tuple[Mapping[str, Any], ...] = (),
) -> tuple[pa.Table, BuildReport]:
    """The manifest of one table whose `columns` the spec maps."""
    source = SourceTable(TableSpec(reader="table", **spec), table(columns), rejected)
    return build_manifest(of or dataset(), [source], contents, LABELS, vocabulary(), SITES)


def cells(
    columns: Mapping[str, Sequence[str]], mapping: Mapping[str, Any], name: str, **spec: Any
) -> list[Any]:
    """One manifest column of rows that are named r0, r1, …"""
    count = len(next(iter(columns.values())))
    ids = {"id": [f"r{n:03}" for n in range(count)], **columns}
    found, _ = built(ids, {"columns": {"image_id": ("id",), **mapping}, **spec})
    values: list[Any] = found[name].to_pylist()
    return values


def apart_from_places(path: Path) -> tuple[pa.Schema, dict[bytes, bytes], list[dict[str, Any]]]:
    """All that a written manifest says, its paths from the cache's folder of datasets on."""
    table = pq.ParquetFile(path).read()
    rows = table.to_pylist()
    for row in rows:
        for name in ("path", "mask_path"):
            row[name] = row[name] and row[name].partition("/datasets/")[2]
    return table.schema, table.schema.metadata, rows
