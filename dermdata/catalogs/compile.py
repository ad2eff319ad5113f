"""Builds the compiled index from the catalog's files: one summary item and one JSON text an entry."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dermdata.catalogs.files import read_all, read_text
from dermdata.errors import BadCatalog
from dermdata.model import Dataset
from dermdata.vocabulary import tsv

LABELS = ("field", "raw_label", "concept", "predicate", "malignancy", "members", "note")
SKIN_TONE = {"fitzpatrick", "fitzpatrick_range", "monk"}


def build(roots: Sequence[Path]) -> dict[str, Any]:
    """The index's content: `items` for `list`, `entries` as JSON texts, `aliases`, `broken`."""
    datasets, broken = read_all(roots)
    return {
        "items": [item(dataset, roots) for dataset in datasets.values()],
        "entries": {
            name: json.dumps(plain(dataset), ensure_ascii=False) for name, dataset in datasets.items()
        },
        "aliases": {alias: name for name, dataset in datasets.items() for alias in dataset.aliases},
        "broken": broken,
    }


def plain(dataset: Dataset) -> dict[str, Any]:
    """The entry as the data of a TOML file: nothing that is absent."""
    return asdict(dataset, dict_factory=without_none)


def without_none(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in pairs if value is not None
    }


def item(dataset: Dataset, roots: Sequence[Path]) -> dict[str, Any]:
    """What `dermdata list` shows, filters and sorts by."""
    fields = manifest_fields(dataset)
    # what a listing adds is not known before it is asked
    sizes = [None] if dataset.listing else [file.size for file in dataset.files if file.fetch]
    return {
        "name": dataset.name,
        "title": dataset.title,
        "kind": dataset.kind,
        "images": dataset.counts.images,
        "classes": len(dataset.counts.labels) or label_count(dataset, roots),
        "modalities": list(dataset.modalities),
        "tasks": list(dataset.tasks),
        "access": dataset.access.kind,
        "license": dataset.license.id,
        "commercial_use": dataset.license.commercial_use,
        "size_bytes": sum(filter(None, sizes)) if sizes and None not in sizes else None,
        "skin_tone": bool(SKIN_TONE & fields),
        "homepage": dataset.homepage,
        "version": dataset.version,
        "summary": dataset.summary,
        "collections": list(dataset.collections),
        "fields": sorted(fields),
        "aliases": list(dataset.aliases),
    }


def manifest_fields(dataset: Dataset) -> set[str]:
    """The manifest fields that a dataset's rows carry: what `list --has` asks for."""
    fields = set(dataset.fields)
    for table in dataset.table:
        fields |= set(table.columns) | set(table.constants)
        fields |= {"mask"} if table.masks else set()
    if SKIN_TONE & fields:
        fields.add("skin_tone")
    return fields


def label_count(dataset: Dataset, roots: Sequence[Path]) -> int | None:
    """How many label words the crosswalk knows of the field that the table uses, if it has one."""
    used = {field for table in dataset.table if (field := label_field(table.label_field, table.columns))}
    words: set[str] = set()
    for root in roots:
        path = root / "datasets" / dataset.name / "labels.tsv"
        if path.exists():
            # a broken file or line only counts less here: whoever reads the labels is told of every issue
            with suppress(BadCatalog):
                rows = tsv.read(read_text(path), LABELS, [])
                words |= {row[1] for _, row in rows if not used or row[0] in used}
    return len(words) or None


def label_field(named: str | None, columns: Mapping[str, tuple[str, ...]]) -> str | None:
    return named or "/".join(columns.get("label_raw", ())) or None
