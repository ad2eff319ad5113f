"""An entry as a card of text, in 80 columns: what it is, license, access, files, labels, known problems, citation."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dermdata.api.label_index import read_card_rows
from dermdata.api.resources import Resources
from dermdata.layout import cached_names, version_folder
from dermdata.units import size

if TYPE_CHECKING:
    from dermdata.model import Dataset, File

WIDTH = 80
ANSWERS = {True: "yes", False: "no", None: "not stated"}
MANY_FILES, MANY_LABELS = 30, 40
SIGNS = {"exactMatch": "=", "broadMatch": "<"}


def write_card(resources: Resources, name: str, *, facts: bool) -> Iterator[str]:
    """The card's lines, at most 80 columns where words allow; with `facts`, also where each fact comes from."""
    yield from card_lines(resources, resources.catalog.outline(name), facts=facts)


def card_lines(resources: Resources, dataset: "Dataset", *, facts: bool) -> Iterator[str]:
    """The card's lines from an entry or its outline."""
    version = f"  {dataset.version}" if dataset.version else ""
    yield from wrap(f"{dataset.title} ({dataset.name}){version}")
    yield from wrap(dataset.summary)
    yield ""
    yield from field("home", dataset.homepage)
    yield from field("modality", ", ".join(dataset.modalities))
    yield from field("tasks", ", ".join(dataset.tasks))
    yield from field("counts", describe_counts(dataset))
    yield from field("cached", cached_folder(resources, dataset))
    yield from field("seed list", dataset.seed_claim)
    yield from license_lines(dataset)
    yield from access_lines(dataset)
    yield from file_lines(dataset)
    yield from label_lines(resources, dataset)
    yield from section("Known problems", dataset.notes)
    yield from section("Overlaps", [f"{one.dataset}: {one.note}" for one in dataset.overlaps])
    if dataset.citation.text or dataset.citation.doi:
        doi = f"https://doi.org/{dataset.citation.doi}" if dataset.citation.doi else ""
        yield from section("Cite", [text for text in (dataset.citation.text, doi) if text])
    if facts:
        yield from section(
            "Where the facts come from", [f"{key}: {text}" for key, text in dataset.facts.items()]
        )


def wrap(text: str, first: str = "", rest: str = "") -> list[str]:
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
    return wrap(value, f"{name:<10} ", " " * 11) if value else []


def section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield ""
        yield title
        for line in lines:
            yield from wrap(line, "  ", "    ")


def cached_folder(resources: Resources, dataset: "Dataset") -> str:
    cache = resources.settings.cache
    return (
        str(version_folder(cache, dataset.name, dataset.version))
        if dataset.name in cached_names(cache)
        else "no"
    )


def describe_counts(dataset: "Dataset") -> str:
    numbers = {
        key: getattr(dataset.counts, key) for key in ("images", "lesions", "patients", "cases", "masks")
    }
    words = [f"{number:,} {key}" for key, number in numbers.items() if number]
    splits = ", ".join(f"{part} {count:,}" for part, count in dataset.counts.splits.items())
    return ", ".join(words) + (f" (official split: {splits})" if splits else "")


def license_lines(dataset: "Dataset") -> Iterator[str]:
    terms = dataset.license
    yield ""
    yield "Licence"
    yield from wrap(f"{terms.id or 'not stated'}  {terms.url or ''}".strip(), "  ", "  ")
    may = {
        "commercial use": terms.commercial_use,
        "redistribution": terms.redistribution,
        "share alike": terms.share_alike,
    }
    yield from wrap(", ".join(f"{what}: {ANSWERS[allowed]}" for what, allowed in may.items()), "  ", "  ")
    if terms.statement:
        yield from wrap(terms.statement, "  ", "  ")


def access_lines(dataset: "Dataset") -> Iterator[str]:
    way = dataset.access
    yield ""
    yield f"Access: {way.kind}{f' ({way.service})' if way.service else ''}"
    for text in (way.steps, way.url, way.evidence):
        if text:
            yield from wrap(text, "  ", "  ")
    if way.alternatives:
        yield from wrap(f"instead: {', '.join(way.alternatives)}", "  ", "  ")


def file_lines(dataset: "Dataset") -> Iterator[str]:
    if not dataset.files or not dataset.license.link_may_be_shared:
        return
    yield ""
    yield "Files"
    for file in dataset.files[:MANY_FILES]:
        yield f"  {file.name}  {describe_size(file)}  {file.role}{'' if file.fetch else ', not fetched'}"
        yield f"    {file.checksum or 'no published checksum: recorded when first fetched'}"
    if len(dataset.files) > MANY_FILES:
        yield f"  … and {len(dataset.files) - MANY_FILES:,} more (--format json has all)"


def describe_size(file: "File") -> str:
    return (
        size(file.size)
        if file.size is not None
        else f"about {file.size_text}"
        if file.size_text
        else "size not stated"
    )


def label_lines(resources: Resources, dataset: "Dataset") -> Iterator[str]:
    rows = read_card_rows(resources.catalog, dataset.name)
    if not rows:
        return
    yield ""
    yield "Labels"
    width = min(32, max(len(raw) for raw, _, _ in rows[:MANY_LABELS]))
    for raw, predicate, concept in rows[:MANY_LABELS]:
        count = dataset.counts.labels.get(raw)
        number = f"{count:>7,}" if count is not None else " " * 7
        sign = SIGNS.get(predicate, "~")
        line = f"  {raw:<{width}} {number}  {sign} {concept}"
        if len(line) <= WIDTH:
            yield line
        else:  # a long word stands alone, what it means under it
            yield from wrap(raw, "  ", "  ")
            yield f"  {'':<{width}} {number}  {sign} {concept}"
    if len(rows) > MANY_LABELS:
        yield f"  … and {len(rows) - MANY_LABELS:,} more (`dermdata labels map {dataset.name}` has all)"
