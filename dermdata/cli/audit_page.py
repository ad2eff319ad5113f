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
    from dermdata.projection import words_of

    columns = [words_of(table, name).to_pylist() for name in ("key", "dataset", "path")]
    paths = {
        key: context.roots[dataset or ""] / path for key, dataset, path in zip(*columns, strict=True) if path
    }

    def look(key: str) -> bytes | None:
        path = paths.get(key)
        return path.read_bytes() if path and path.is_file() else None

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
        "names": {concept.id: concept.label for concept in state.library.vocabulary},
        "datasets": [dataset(state, name, context) for name in context.entries],
        "history": json.loads(metadata_of(table).get("history", "[]")),
        "citations": [{name: getattr(one, name) for name in citation} for one in found.credits],
        "effective_license": {**vars(found.effective), "because": list(found.effective.because)},
    }


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
