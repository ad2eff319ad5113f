"""The catalog as Markdown: one row an entry, then what each kind of access asks of a person."""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

import docs_commands
from dermdata.api.display import format_size
from dermdata.catalogs import Catalog, open_catalog
from dermdata.catalogs.health import LastSeen, find_last_day, read_health
from dermdata.model import Dataset
from docs_markdown import table

HEAD = """\
# Catalog

After reading this page you know which datasets and models dermdata knows, what they hold, under which license
they stand and how they can be had. Made from the catalog by `make docs`; do not edit.

`dermdata list` filters the same table, `dermdata info NAME` shows all that is known of one entry.
An empty cell means that no source states it. Commercial use is what the license says: "no" is a prohibition,
an empty cell is no permission. Size is what `fetch` downloads, where the sizes of all files are known: stated (also rounded)
or seen.

Fetch: **yes** without an account, **account** with a free one, **form** after an agreement (then `--from` what you got),
**by-hand** what only a browser gets (then `--from`), **no**: it cannot be had. Rows is how many images its publisher counts.
Seen live is the last day on which `dermdata doctor --sources --update` saw its files at their hosts; **never** where it
never was.
"""
KINDS = {
    "open": "Files can be downloaded by anyone.",
    "account": "Files need a free account of a service, and its token or password. Set it up once; "
    "`dermdata doctor` shows which credentials it finds, never their values.",
    "agreement": "A form or an agreement comes first. `fetch` says what to do and exits 6.",
    "per-image": "The table is open; each image has an address of its own, and many of these are dead.",
    "unavailable": "Cannot be had. `fetch` says why and exits 6.",
}
FROM = (
    "Steps that end in `--from PATH` describe an option that this version does not have yet "
    "(see [README](../README.md#not-there-yet))."
)


@cache
def catalog() -> Catalog:
    """The bundled catalog alone: what the machine's own settings add is not for the docs."""
    return open_catalog()


@cache
def health() -> dict[str, dict[str, LastSeen]]:
    """What hosts said of each entry's files when they were last asked."""
    return read_health(catalog().roots)


@cache
def entries() -> tuple[Dataset, ...]:
    return tuple(catalog()[name] for name in catalog())


def has_files(entry: Dataset) -> bool:
    """Whether `fetch` knows files to ask for."""
    return entry.access.kind != "unavailable" and bool(
        entry.listing or any(file.fetch for file in entry.files)
    )


def page() -> str:
    parts = [HEAD, in_numbers(), ""]
    for kind, title in (("dataset", "Datasets"), ("model", "Models")):
        items = [item for item in catalog().items if item["kind"] == kind]
        parts += [f"## {title}\n", overview(items), ""]
    parts += ["## How to get them\n"]
    for kind in KINDS:
        parts += [*access_section(kind), ""]
    return "\n".join(parts)


def overview(items: list[dict[str, Any]]) -> str:
    rows = [
        (
            f"`{item['name']}`", item["title"], item["fetch"], item["images"], item["classes"],
            ", ".join(item["modalities"]), item["license"], item["commercial_use"],
            format_size(item["size_bytes"]) if item["size_bytes"] is not None else None,
            find_last_day(health().get(item["name"])) or "never",
        )
        for item in items
    ]  # fmt: skip
    header = (
        "name", "title", "fetch", "rows", "classes", "modality", "license", "commercial use", "size", "seen live",
    )  # fmt: skip
    return table(header, rows)


def access_section(kind: str) -> Iterator[str]:
    """What this kind of access means, and what each of its entries asks for."""
    found = [entry for entry in entries() if entry.access.kind == kind]
    yield f"### {kind}\n"
    yield f"{KINDS[kind]}\n"
    if any("--from" in (entry.access.steps or "") for entry in found) and not can_adopt():
        yield f"{FROM}\n"
    if not found:
        yield "No entry."
    elif kind == "open":
        yield from open_ones(found)
    else:
        header = ("name", "service", "why" if kind == "unavailable" else "what to do", "instead")
        yield table(header, [asked(entry) for entry in found])


def open_ones(found: list[Dataset]) -> Iterator[str]:
    ready = [f"`{entry.name}`" for entry in found if has_files(entry)]
    rest = [f"`{entry.name}`" for entry in found if not has_files(entry)]
    yield f"`fetch` downloads these: {', '.join(ready) or 'none'}."
    if rest:
        yield f"\nOf these the catalog does not know the files yet; `fetch` names the page and exits 6: {', '.join(rest)}."


def asked(entry: Dataset) -> tuple[str, ...]:
    way = entry.access
    what = way.evidence if way.kind == "unavailable" else way.steps or f"see {way.url or entry.homepage}"
    nearest = ", ".join(f"`{name}`" for name in way.alternatives)
    return f"`{entry.name}`", way.service or "", what or "", nearest


def can_adopt() -> bool:
    return "--from" in docs_commands.option_names(docs_commands.commands()["fetch"])


def in_numbers() -> str:
    """Counts of this very catalog."""
    kinds: Counter[str] = Counter(entry.access.kind for entry in entries())
    datasets = sum(entry.kind == "dataset" for entry in entries())
    ready = sum(has_files(entry) for entry in entries())
    ways = ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS)
    return (
        f"{datasets} datasets and {len(entries()) - datasets} models: {ways}. "
        f"Of {ready} the catalog knows the files, so that `fetch` has something to ask for "
        "(some of them need an account or a form first)."
    )
