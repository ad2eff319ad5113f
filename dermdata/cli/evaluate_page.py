"""`dermdata evaluate --report FILE.html`: what the page needs beside the numbers."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dermdata.cli.state import State


def write(state: State, path: Path, result: Mapping[str, Any], table: Any, command: str) -> None:
    """The page, whole or not at all."""
    from dermdata import disk
    from dermdata.report import evaluation_page

    chunks = evaluation_page(result, {**about(state, table), "command": command})
    disk.write(path, (chunk.encode() for chunk in chunks))
    state.say(f"written to {path}")


def about(state: State, table: Any) -> dict[str, Any]:
    """Where the judged rows come from, and whom to cite."""
    from dermdata import __version__
    from dermdata.api.targets import datasets_of
    from dermdata.cite import cite
    from dermdata.manifest.store import metadata_of

    names = sorted(name for name in datasets_of(table) if name)
    entries = {name: state.catalog[name] for name in names if name in state.catalog}
    found = cite(table, entries.get)
    citation = ("dataset", "rows", "license", "doi", "bibtex", "attribution")
    return {
        "title": f"Evaluation on {', '.join(names) or 'a manifest'}",
        "tool": f"dermdata {__version__}",
        "names": {concept.id: concept.label for concept in state.library.vocabulary},
        "datasets": [dataset(state, name, entry) for name, entry in entries.items()],
        "history": json.loads(metadata_of(table).get("history", "[]")),
        "citations": [{name: getattr(one, name) for name in citation} for one in found.credits],
        "effective_license": {**vars(found.effective), "because": list(found.effective.because)},
    }


def dataset(state: State, name: str, entry: Any) -> dict[str, Any]:
    return {
        "name": name, "title": entry.title, "version": entry.version, "digest": state.library.digest_of(name),
        "homepage": entry.homepage, "license": entry.license.id, "images": entry.counts.images,
    }  # fmt: skip
