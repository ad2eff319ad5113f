"""Where an export comes from: carried in Parquet's own metadata, and beside a text file as `<file>.about.json`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from dermdata import disk
from dermdata.manifest.store import metadata_of

OURS = b"dermdata.export"  # the key by which we know a file that we exported


def of(table: pa.Table | pa.Schema) -> dict[str, str]:
    """The manifest's own metadata: dataset, version, catalog digest, tool, licence, citation."""
    return {key: value for key, value in metadata_of(table).items() if key != "export"}


def together(abouts: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The metadata of a union: what all have in common, and each one's own as JSON under `sources`."""
    if len(abouts) == 1:
        return dict(abouts[0])
    first, *others = abouts
    shared = {key: value for key, value in first.items() if all(one.get(key) == value for one in others)}
    return shared | {"sources": json.dumps([dict(one) for one in abouts], ensure_ascii=False, sort_keys=True)}


def write_beside(target: Path, schema: pa.Schema, rows: int) -> None:
    """Write `<target>.about.json`: provenance, rows, and what each column means."""
    columns = {field.name: (field.metadata or {}).get(b"description", b"").decode() for field in schema}
    facts = {"schema": "dermdata.about/1", "rows": rows, "manifest": of(schema), "columns": columns}
    disk.write_text(
        target.with_name(f"{target.name}.about.json"), json.dumps(facts, ensure_ascii=False, indent=1) + "\n"
    )
