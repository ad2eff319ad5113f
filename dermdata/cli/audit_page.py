"""`dermdata audit --report FILE.html`: what the page needs beside rows and findings."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata.cli.state import State

if TYPE_CHECKING:
    from dermdata.audit import Context, Finding


def write(
    state: State,
    path: Path,
    table: Any,
    found: Sequence["Finding"],
    context: "Context",
    *,
    command: str,
    checked: Iterable[str],
) -> None:
    """The page, whole or not at all."""
    from dermdata import disk
    from dermdata.report import audit_page

    facts = {**about(state, table, context), "command": command, "checked": sorted(checked)}
    chunks = audit_page(table, found, reader(table, context), facts)
    disk.write(path, (chunk.encode() for chunk in chunks))
    state.say(f"written to {path}")


def reader(table: Any, context: "Context") -> Callable[[str], bytes | None]:
    """Gives the bytes of an image file by its row's key; None where there is none."""
    from dermdata.images.image_file import read_image_file
    from dermdata.manifest.image_files import ImageFinder
    from dermdata.projection import words_of

    if "path" not in table.column_names:
        return lambda _: None
    found = ImageFinder(context.roots).column(table)
    paths = dict(zip(words_of(table, "key").to_pylist(), found, strict=True))

    def look(key: str) -> bytes | None:
        path = paths.get(key)
        return read_image_file(path) if path else None

    return look


def about(state: State, table: Any, context: "Context") -> dict[str, Any]:
    """Where the rows come from, whom to cite and what may be done with them."""
    from dermdata import __version__
    from dermdata.cite import cite
    from dermdata.manifest.store import metadata_of

    found = cite(table, context.entries.get)
    citation = ("dataset", "rows", "license", "doi", "bibtex", "attribution")
    return {
        "title": f"Audit of {', '.join(context.entries) or 'a manifest'}",
        "tool": f"dermdata {__version__}",
        "names": {**site_names(state), **{one.id: one.label for one in state.library.vocabulary}},
        "datasets": [dataset(state, name, context) for name in context.entries],
        "history": json.loads(metadata_of(table).get("history", "[]")),
        "citations": [{name: getattr(one, name) for name in citation} for one in found.credits],
        "effective_license": {**vars(found.effective), "because": list(found.effective.because)},
    }


def site_names(state: State) -> dict[str, str]:
    """The body sites' own labels: their ids hold the path."""
    from dermdata.catalogs.files import read_text
    from dermdata.vocabulary import parse_sites

    path = state.catalog.vocabulary_file("body-sites.tsv")
    return {name: site.label for name, site in parse_sites(read_text(path), str(path)).items()}


def dataset(state: State, name: str, context: "Context") -> dict[str, Any]:
    entry = context.entries[name]
    return {
        "name": name,
        "title": entry.title,
        "version": entry.version,
        "digest": state.library.digest_of(name),
        "homepage": entry.homepage,
        "license": entry.license.id,
        "images": entry.counts.images,
    }
