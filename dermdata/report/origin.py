"""Where the rows come from: datasets, versions, digests, licences and how to cite them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.manifest.store import metadata_of
from dermdata.projection import words_of

# of a manifest's metadata, what is told under a name of its own or elsewhere
TOLD = {"dataset", "version", "catalog_digest", "tool", "license", "citation", "schema", "sources", "history"}


@dataclass(frozen=True, kw_only=True)
class Source:
    """One dataset as far as the rows use it."""

    name: str
    title: str
    images: int
    version: str | None = None
    digest: str | None = None  # of its catalog entry
    tool: str | None = None  # that built the manifest
    homepage: str | None = None
    licence: str | None = None
    more: tuple[tuple[str, str], ...] = ()  # what else the manifest's metadata say


@dataclass(frozen=True, kw_only=True)
class Citation:
    """Whom to name for the rows of one dataset under one licence."""

    dataset: str
    licence: str | None
    rows: int | None
    text: str | None
    doi: str | None
    bibtex: str | None


def sources(table: pa.Table, facts: Mapping[str, Any]) -> tuple[Source, ...]:
    """The rows' datasets, by name."""
    counts = {
        one["values"] or "": one["counts"] for one in pc.value_counts(words_of(table, "dataset")).to_pylist()
    }
    abouts = manifests(metadata_of(table))
    stated = {one["name"]: one for one in facts.get("datasets", ())}
    return tuple(
        source(name, counts[name], stated.get(name, {}), abouts.get(name, {})) for name in sorted(counts)
    )


def manifests(about: Mapping[str, str]) -> dict[str, Mapping[str, str]]:
    """Each dataset's own metadata; of a union they are under `sources`."""
    own = json.loads(about["sources"]) if "sources" in about else [about]
    return {one.get("dataset", ""): one for one in own}


def source(name: str, images: int, stated: Mapping[str, Any], about: Mapping[str, str]) -> Source:
    """The manifest knows which version was fetched, the catalog the rest."""
    return Source(
        name=name,
        title=stated.get("title") or name or "Rows without a dataset",
        images=images,
        version=about.get("version") or stated.get("version"),
        digest=about.get("catalog_digest") or stated.get("digest"),
        tool=about.get("tool"),
        homepage=stated.get("homepage"),
        licence=about.get("license") or stated.get("license"),
        more=tuple(sorted((key, value) for key, value in about.items() if key not in TOLD)),
    )


def stated_sources(facts: Mapping[str, Any]) -> tuple[Source, ...]:
    """The datasets where no rows are at hand."""
    return tuple(
        source(one["name"], one.get("images") or 0, one, {})
        for one in facts.get("datasets", ())
        if one.get("name")
    )


def citations(facts: Mapping[str, Any]) -> tuple[Citation, ...]:
    return tuple(
        Citation(
            dataset=one["dataset"],
            licence=one.get("license"),
            rows=one.get("rows"),
            text=one.get("attribution"),
            doi=one.get("doi"),
            bibtex=one.get("bibtex"),
        )
        for one in facts.get("citations", ())
    )


def about_page(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What every page says of itself; None where nobody says it."""
    return {name: facts.get(name) for name in ("tool", "made", "command", "history", "effective_license")}


def title(found: Sequence[Source]) -> str:
    names = [one.title for one in found]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") or "No images"
