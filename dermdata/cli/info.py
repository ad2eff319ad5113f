"""`dermdata info`: one entry as a card."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dermdata.api.display import bibtex_entry, size
from dermdata.cli.complete import dataset_names
from dermdata.cli.output import write_line, write_prose
from dermdata.cli.state import State, state_of
from dermdata.cli.words import card_rows, labels_of
from dermdata.errors import UsageError
from dermdata.layout import cached_names, version_folder

if TYPE_CHECKING:
    from dermdata.model import Dataset, File

app = typer.Typer(add_completion=False)
WIDTH = 80
KEYS = (
    "name", "title", "kind", "summary", "version", "homepage", "modalities", "tasks", "counts", "license",
    "access", "citation", "files", "labels", "notes", "overlaps", "cached",
)  # fmt: skip
MAY = {True: "yes", False: "no", None: "not stated"}
MANY_FILES, MANY_LABELS = 30, 40


@app.command()
def info(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", autocompletion=dataset_names, help="Dataset or model.")
    ],
    form: Annotated[
        Literal["text", "json", "bibtex", "croissant"], typer.Option("--format", "-f", help="How to show it.")
    ] = "text",
    facts: Annotated[bool, typer.Option("--facts", help="Also say where each fact comes from.")] = False,
) -> None:
    """One card: what it is, licence, access, files, labels, known problems, citation."""
    state = state_of(ctx)
    dataset = state.catalog.outline(name) if form == "text" else state.catalog[name]
    if form == "bibtex":
        entry = bibtex_entry(dataset.name, dataset.citation.bibtex)
        if entry is None:
            raise UsageError(
                f"{dataset.name} has no BibTeX entry", hint=dataset.citation.text or dataset.homepage
            )
        write_line(entry)
        return
    if form == "json":
        document = {"schema": "dermdata.info/1", "items": [as_item(state, dataset)]}
        write_line(json.dumps(document, ensure_ascii=False, indent=1 if sys.stdout.isatty() else None))
        return
    if form == "croissant":
        write_line(json.dumps(as_croissant(state, dataset), ensure_ascii=False, indent=1))
        return
    for line in card(state, dataset, facts):
        write_prose(line)


def as_item(state: State, dataset: "Dataset") -> dict[str, Any]:
    """The entry as one object, its label words with what they map to."""
    facts = asdict(dataset)
    facts["labels"] = [
        {**asdict(label), "count": dataset.counts.labels.get(label.raw_label)}
        for label in labels_of(state.catalog, dataset.name)
    ]
    facts["cached"] = dataset.name in cached_names(state.settings.cache)
    if not dataset.license.link_may_be_shared:
        facts["files"] = []
    return {key: facts[key] for key in KEYS} | {
        "facts": dict(dataset.facts),
        "aliases": list(dataset.aliases),
    }


def as_croissant(state: State, dataset: "Dataset") -> dict[str, Any]:
    """The entry as JSON-LD; no host is asked, so addresses that only hosts can tell are left out."""
    from dermdata.croissant import of_entry

    if dataset.kind == "model":
        raise UsageError(f"{dataset.name} is a model: Croissant describes datasets", hint="--format json")
    found = {file.name: address(state, dataset, file) for file in dataset.files}
    return of_entry(dataset, {name: url for name, url in found.items() if url})


def address(state: State, dataset: "Dataset", file: "File") -> str | None:
    """Where the file is, as far as the catalog alone says."""
    from pathlib import Path

    from dermdata.errors import Offline, PersonMustAct
    from dermdata.sources import Surroundings, official

    try:
        found = official(dataset, file, Surroundings(catalogs=state.catalog.roots))
    except (Offline, PersonMustAct):
        return file.urls[0] if file.urls else None
    return None if isinstance(found, Path) else found.urls[0]


def card(state: State, dataset: "Dataset", facts: bool) -> Iterator[str]:
    """The card's lines, at most 80 columns where words allow."""
    version = f"  {dataset.version}" if dataset.version else ""
    yield from wrapped(f"{dataset.title} ({dataset.name}){version}")
    yield from wrapped(dataset.summary)
    yield ""
    yield from field("home", dataset.homepage)
    yield from field("modality", ", ".join(dataset.modalities))
    yield from field("tasks", ", ".join(dataset.tasks))
    yield from field("counts", counts(dataset))
    yield from field("cached", place(state, dataset))
    yield from field("seed list", dataset.seed_claim)
    yield from rights(dataset)
    yield from access(dataset)
    yield from files(dataset)
    yield from labels(state, dataset)
    yield from listing("Known problems", dataset.notes)
    yield from listing("Overlaps", [f"{one.dataset}: {one.note}" for one in dataset.overlaps])
    if dataset.citation.text or dataset.citation.doi:
        doi = f"https://doi.org/{dataset.citation.doi}" if dataset.citation.doi else ""
        yield from listing("Cite", [text for text in (dataset.citation.text, doi) if text])
    if facts:
        yield from listing(
            "Where the facts come from", [f"{key}: {text}" for key, text in dataset.facts.items()]
        )


def wrapped(text: str, first: str = "", rest: str = "") -> list[str]:
    import textwrap

    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def field(name: str, value: str | None) -> list[str]:
    return wrapped(value, f"{name:<10} ", " " * 11) if value else []


def listing(title: str, lines: Any) -> Iterator[str]:
    if lines:
        yield ""
        yield title
        for line in lines:
            yield from wrapped(line, "  ", "    ")


def place(state: State, dataset: "Dataset") -> str:
    cache = state.settings.cache
    return (
        str(version_folder(cache, dataset.name, dataset.version))
        if dataset.name in cached_names(cache)
        else "no"
    )


def counts(dataset: "Dataset") -> str:
    numbers = {
        key: getattr(dataset.counts, key) for key in ("images", "lesions", "patients", "cases", "masks")
    }
    words = [f"{number:,} {key}" for key, number in numbers.items() if number]
    splits = ", ".join(f"{part} {count:,}" for part, count in dataset.counts.splits.items())
    return ", ".join(words) + (f" (official split: {splits})" if splits else "")


def rights(dataset: "Dataset") -> Iterator[str]:
    terms = dataset.license
    yield ""
    yield "Licence"
    yield from wrapped(f"{terms.id or 'not stated'}  {terms.url or ''}".strip(), "  ", "  ")
    may = {
        "commercial use": terms.commercial_use,
        "redistribution": terms.redistribution,
        "share alike": terms.share_alike,
    }
    yield from wrapped(", ".join(f"{what}: {MAY[allowed]}" for what, allowed in may.items()), "  ", "  ")
    if terms.statement:
        yield from wrapped(terms.statement, "  ", "  ")


def access(dataset: "Dataset") -> Iterator[str]:
    way = dataset.access
    yield ""
    yield f"Access: {way.kind}{f' ({way.service})' if way.service else ''}"
    for text in (way.steps, way.url, way.evidence):
        if text:
            yield from wrapped(text, "  ", "  ")
    if way.alternatives:
        yield from wrapped(f"instead: {', '.join(way.alternatives)}", "  ", "  ")


def files(dataset: "Dataset") -> Iterator[str]:
    if not dataset.files or not dataset.license.link_may_be_shared:
        return
    yield ""
    yield "Files"
    for file in dataset.files[:MANY_FILES]:
        yield f"  {file.name}  {size_of(file)}  {file.role}{'' if file.fetch else ', not fetched'}"
        yield f"    {file.checksum or 'no published checksum: recorded when first fetched'}"
    if len(dataset.files) > MANY_FILES:
        yield f"  … and {len(dataset.files) - MANY_FILES:,} more (--format json has all)"


def size_of(file: "File") -> str:
    return (
        size(file.size)
        if file.size is not None
        else f"about {file.size_text}"
        if file.size_text
        else "size not stated"
    )


def labels(state: State, dataset: "Dataset") -> Iterator[str]:
    rows = card_rows(state.catalog, dataset.name)
    if not rows:
        return
    yield ""
    yield "Labels"
    width = min(32, max(len(raw) for raw, _, _ in rows[:MANY_LABELS]))
    for raw, predicate, concept in rows[:MANY_LABELS]:
        count = dataset.counts.labels.get(raw)
        number = f"{count:>7,}" if count is not None else " " * 7
        sign = "=" if predicate == "exactMatch" else "<" if predicate == "broadMatch" else "~"
        line = f"  {raw:<{width}} {number}  {sign} {concept}"
        if len(line) <= WIDTH:
            yield line
        else:  # a long word stands alone, what it means under it
            yield from wrapped(raw, "  ", "  ")
            yield f"  {'':<{width}} {number}  {sign} {concept}"
    if len(rows) > MANY_LABELS:
        yield f"  … and {len(rows) - MANY_LABELS:,} more (`dermdata labels map {dataset.name}` has all)"
