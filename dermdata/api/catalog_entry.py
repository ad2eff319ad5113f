"""One entry of the catalog as a value: the object of `info --format json`, BibTeX and Croissant."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata.api.label_index import read_labels
from dermdata.api.resources import Resources
from dermdata.errors import Offline, PersonMustAct, UsageError
from dermdata.layout import cached_names
from dermdata.markup import bibtex_entry

if TYPE_CHECKING:
    from dermdata.model import Dataset, File

KEYS = (
    "name", "title", "kind", "summary", "version", "homepage", "modalities", "tasks", "counts", "license",
    "access", "citation", "files", "labels", "notes", "overlaps", "cached",
)  # fmt: skip


def describe_entry(resources: Resources, name: str) -> dict[str, Any]:
    """The entry as one object, its label words with what they map to."""
    dataset = resources.catalog[name]
    facts = asdict(dataset)
    facts["labels"] = [
        {**asdict(label), "count": dataset.counts.labels.get(label.raw_label)}
        for label in read_labels(resources.catalog, dataset.name)
    ]
    facts["cached"] = dataset.name in cached_names(resources.settings.cache)
    if not dataset.license.link_may_be_shared:
        facts["files"] = []
    return {key: facts[key] for key in KEYS} | {
        "facts": dict(dataset.facts),
        "aliases": list(dataset.aliases),
    }


def entry_bibtex(resources: Resources, name: str) -> str:
    """The entry's BibTeX, fit for any reader of it; UsageError where the catalog has none."""
    dataset = resources.catalog[name]
    entry = bibtex_entry(dataset.name, dataset.citation.bibtex)
    if entry is None:
        raise UsageError(
            f"{dataset.name} has no BibTeX entry", hint=dataset.citation.text or dataset.homepage
        )
    return entry


def entry_croissant(resources: Resources, dataset: "Dataset") -> dict[str, Any]:
    """The entry as JSON-LD; no host is asked, so addresses that only hosts can tell are left out."""
    from dermdata.croissant import of_entry

    if dataset.kind == "model":
        raise UsageError(f"{dataset.name} is a model: Croissant describes datasets", hint="--format json")
    addresses = {file.name: find_address(resources, dataset, file) for file in dataset.files}
    return of_entry(dataset, {name: url for name, url in addresses.items() if url})


def find_address(resources: Resources, dataset: "Dataset", file: "File") -> str | None:
    """Where the file is, as far as the catalog alone says."""
    from dermdata.sources import Surroundings, official

    try:
        found = official(dataset, file, Surroundings(catalogs=resources.catalog.roots))
    except (Offline, PersonMustAct):
        return file.urls[0] if file.urls else None
    return None if isinstance(found, Path) else found.urls[0]
