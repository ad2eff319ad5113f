"""A catalog entry for other programs: as BibTeX, and as Croissant."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata.api.resources import Resources
from dermdata.errors import Offline, PersonMustAct, UsageError

if TYPE_CHECKING:
    from dermdata.model import Dataset, File


def entry_bibtex(resources: Resources, name: str) -> str:
    """The entry's BibTeX, fit for any reader of it; UsageError where the catalog knows no citation."""
    from dermdata.catalogs.entries import make_bibtex

    dataset = resources.catalog[name]
    entry = make_bibtex(dataset)
    if entry is None:
        raise UsageError(f"{dataset.name} has no BibTeX entry", hint=dataset.homepage)
    return entry


def tell_bibtex_gaps(resources: Resources, name: str, entry: str) -> None:
    """Say what an entry lacks that a journal asks for."""
    from dermdata.catalogs.entries import bibtex_gaps

    if gaps := bibtex_gaps(entry):
        resources.say(f"warning: the catalog knows {gaps} of {name}: complete its entry before it is printed")


def entry_croissant(resources: Resources, dataset: "Dataset") -> dict[str, Any]:
    """The entry as JSON-LD; no host is asked, so addresses that only hosts can tell are left out."""
    from dermdata.croissant import from_entry

    if dataset.kind == "model":
        raise UsageError(f"{dataset.name} is a model: Croissant describes datasets", hint="--format json")
    addresses = {file.name: find_address(resources, dataset, file) for file in dataset.files}
    return from_entry(dataset, {name: url for name, url in addresses.items() if url})


def find_address(resources: Resources, dataset: "Dataset", file: "File") -> str | None:
    """Where the file is, as far as the catalog alone says."""
    from dermdata.hosts import ResolveContext, resolve_official

    try:
        found = resolve_official(dataset, file, ResolveContext(catalogs=resources.catalog.roots))
    except (Offline, PersonMustAct):
        return file.urls[0] if file.urls else None
    return None if isinstance(found, Path) else found.urls[0]
