"""The catalog's entries.

Their list and its filters; one entry as an object, and as a card of text.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata.api.label_index import read_card_rows, read_labels
from dermdata.api.models import list_models
from dermdata.api.records import Records
from dermdata.api.resources import Resources
from dermdata.catalogs.index import has_health
from dermdata.errors import CacheDamaged, UnknownName
from dermdata.manifest_file import cached_names, version_folder
from dermdata.markup import count_nouns, phrase_count
from dermdata.terminal import format_size

if TYPE_CHECKING:
    from dermdata.model import Dataset, FetchWay, File


LIST_KEYS = (
    "name", "title", "kind", "images", "classes", "modalities", "tasks", "access", "fetch",
    "license", "commercial_use", "size_bytes", "skin_tone", "cached", "homepage", "own",
)  # fmt: skip
# the manifest's fields that `has` knows (a test compares them with the schema); `skin_tone` stands for any scale
MANIFEST_FIELDS = (
    "age", "attribution", "body_site", "boxes", "caption", "case_id", "concepts", "confirmation", "differential",
    "fitzpatrick", "fitzpatrick_range", "fold_official", "isic_id", "label_raw", "lesion_id", "license",
    "malignancy", "malignancy_source", "mask", "masks", "monk", "patient_id", "questions", "sex", "skin_tone",
    "split_official",
)  # fmt: skip
WORD_FILTERS = {
    "modality": "modalities",
    "task": "tasks",
    "access": "access",
}  # option -> the key that holds its word
# start-up counts: `dermdata.model` is 7 ms of `list`
FETCH_WAYS: "tuple[FetchWay, ...]" = ("yes", "account", "form", "by-hand", "no")
Item = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ListFilter:
    """Which entries are listed; all that is given must hold."""

    search: str | None = None
    modality: str | None = None
    task: str | None = None
    access: str | None = None
    license: str | None = None
    fetch: Sequence[str] = ()
    commercial: bool | None = None
    min_images: int | None = None
    has: Sequence[str] = ()
    kind: str = "dataset"
    cached: bool = False
    live: bool = False  # add when each was last seen at its hosts


def list_entries(resources: Resources, wanted: ListFilter, sort: str = "name") -> Records:
    """The entries that fit, sorted by a key, `-key` for descending; UnknownName for a word that no entry has."""
    items = everything = mark_cached(resources, resources.catalog.items)
    for option in WORD_FILTERS:
        items = filter_by_word(items, option, getattr(wanted, option), everything)
    require_ways(wanted.fetch)
    items = [item for item in items if is_listed(item, wanted) and is_usable(item, wanted)]
    for field in wanted.has:
        items = [item for item in items if has_field(item, field)]
    items = add_sizes(resources, items)
    columns: tuple[str, ...] = LIST_KEYS
    if wanted.cached:
        items, columns = mark_complete(resources, items), (*LIST_KEYS, "complete")
    if wanted.live:
        from dermdata.api.source_check import mark_seen

        items, columns = mark_seen(resources, items), (*columns, "seen_live")
    return Records(sort_entries(items, sort), columns)


def add_sizes(resources: Resources, items: list[Item]) -> list[Item]:
    """The items, with the sizes that their hosts told. Start-up counts: nothing is imported where none ever did."""
    if not has_health(resources.catalog.roots):
        return items
    from dermdata.api.source_check import add_seen_sizes

    return add_seen_sizes(resources, items)


def filter_by_word(
    items: list[Item], option: str, wanted: str | None, everything: Sequence[Item]
) -> list[Item]:
    """The items whose key is or holds the wanted word; a word that no item has is an error, not an empty list."""
    if wanted is None:
        return items
    key = WORD_FILTERS[option]
    words = {word for item in everything for word in to_list(item[key])}
    if wanted not in words:
        raise UnknownName(option, wanted, words, hint=f"one of {', '.join(sorted(words))}")
    return [item for item in items if wanted in to_list(item[key])]


def list_words(resources: Resources, key: str) -> list[str]:
    """The words that entries have under a key, each once, in order."""
    words = (word for item in resources.catalog.items for word in to_list(item[key]) if word)
    return sorted(set(words))


def to_list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def is_listed(item: Item, wanted: ListFilter) -> bool:
    """Whether the item has the words and the license, and is of the kind and in the cache as far as asked for."""
    text = " ".join(str(item[key]) for key in ("name", "title", "summary", "aliases")).lower()
    if wanted.search and not all(word in text for word in wanted.search.lower().split()):
        return False
    if wanted.license and not (item["license"] or "").lower().startswith(wanted.license.lower()):
        return False
    return wanted.kind in ("all", item["kind"]) and (item["cached"] or not wanted.cached)


def require_ways(words: Sequence[str]) -> None:
    """UnknownName for what is no way to fetch."""
    for word in words:
        if word not in FETCH_WAYS:
            raise UnknownName("way to fetch", word, FETCH_WAYS, hint=f"one of {', '.join(FETCH_WAYS)}")


def is_usable(item: Item, wanted: ListFilter) -> bool:
    """Whether the item can be fetched so, and has the commercial use and the images that are asked for, as far as known."""
    if wanted.fetch and item["fetch"] not in wanted.fetch:
        return False
    if wanted.commercial is not None and item["commercial_use"] is not wanted.commercial:
        return False
    return wanted.min_images is None or (item["images"] or 0) >= wanted.min_images


def has_field(item: Item, field: str) -> bool:
    """Whether the dataset's manifest has the field; UnknownName for what is no field."""
    if field not in MANIFEST_FIELDS:
        raise UnknownName("field", field, MANIFEST_FIELDS, hint=f"one of {', '.join(MANIFEST_FIELDS)}")
    return field in item["fields"] or (field == "skin_tone" and bool(item["skin_tone"]))


def sort_entries(items: list[Item], key: str) -> list[Item]:
    """Sorted by a key, unknown values last."""
    name, descending = key.lstrip("-"), key.startswith("-")
    if name not in LIST_KEYS:
        raise UnknownName("sort key", name, LIST_KEYS, hint=f"one of {', '.join(LIST_KEYS)}")
    known = [item for item in items if item[name] is not None]
    unknown = [item for item in items if item[name] is None]
    return [*sorted(known, key=lambda item: item[name], reverse=descending), *unknown]


# ------------------------------------------------------------------ the cache


def mark_cached(resources: Resources, items: Sequence[Item]) -> list[Item]:
    """The items, with whether each is in the cache, and of a catalog that is laid over the bundled one."""
    here, own = list_cached_names(resources), resources.catalog.own_names()
    return [{**item, "cached": item["name"] in here, "own": item["name"] in own} for item in items]


def mark_complete(resources: Resources, items: list[Item]) -> list[Item]:
    complete = list_complete(resources)
    return [{**item, "complete": item["name"] in complete} for item in items]


def list_complete(resources: Resources) -> set[str]:
    """The cached datasets that hold all their rows; one whose receipt is broken or absent is none of them."""
    names = set()
    for folder in [one for cache in resources.cache.all_caches for one in cache.folders()]:
        with suppress(CacheDamaged):
            receipt = folder.receipt()
            if receipt and receipt.complete:
                names.add(folder.name)
    return names


def list_cached_names(resources: Resources) -> set[str]:
    """The datasets with a manifest in any cache; no file is opened, and nothing more imported."""
    folders = (resources.settings.cache, *resources.settings.caches_read_only)
    return set().union(*map(cached_names, folders))


def list_cached(resources: Resources) -> list[str]:
    """The datasets, no models, whose manifest is in the cache, in the version that the catalog has."""
    catalog = resources.catalog
    names = sorted(resources.cache.cached_names() - list_models(resources))
    return [name for name in names if name in catalog and manifest_path(resources, name).exists()]


def manifest_path(resources: Resources, name: str) -> Path:
    """Where the manifest of a dataset is, or would be."""
    return resources.find_folder(name).manifest


ENTRY_KEYS = (
    "name", "title", "kind", "summary", "version", "homepage", "modalities", "tasks", "counts", "license",
    "access", "citation", "files", "copies", "labels", "notes", "overlaps", "cached",
)  # fmt: skip


def describe_entry(resources: Resources, name: str) -> dict[str, Any]:
    """The entry as one object, its label words with what they map to."""
    from dermdata.api.source_check import read_entry_facts

    dataset = resources.catalog[name]
    facts = asdict(dataset)
    facts["labels"] = [
        {**asdict(label), "count": dataset.counts.labels.get(label.raw_label)}
        for label in read_labels(resources.catalog, dataset.name)
    ]
    facts["cached"] = dataset.name in list_cached_names(resources)
    if not dataset.license.link_may_be_shared:
        facts["files"] = facts["copies"] = []
    return {key: facts[key] for key in ENTRY_KEYS} | {
        "facts": dict(dataset.facts),
        "aliases": list(dataset.aliases),
        "seen_live": read_entry_facts(resources, dataset.name),
    }


WIDTH = 80
ANSWERS = {True: "yes", False: "no", None: "not stated"}
MANY_FILES, MANY_LABELS = 30, 40
FEW_LABELS = 8  # of the short card
HEADINGS = (
    "License",
    "Access",
    "Files",
    "Copies",
    "Labels",
    "Known problems",
    "Overlaps",
    "Cite",
    "Where the facts come from",
)
SIGNS = {"exactMatch": "=", "broadMatch": "<"}


def write_card(resources: Resources, name: str, *, facts: bool = False, short: bool = False) -> Iterator[str]:
    """The card's lines, at most 80 columns where words allow; with `facts`, also where each fact comes from.

    `short` is what a person needs first: files, labels and known problems are counted.
    """
    dataset = resources.catalog.outline(name)
    yield from short_lines(resources, dataset) if short else card_lines(resources, dataset, facts=facts)


def is_heading(line: str, before: str | None) -> bool:
    """Whether a card's line is its title or begins a section; `before` is the line before it, None of the first."""
    return before is None or (not before and line.partition(":")[0] in HEADINGS)


def short_lines(resources: Resources, dataset: "Dataset") -> Iterator[str]:
    """The lines of the short card."""
    yield from wrap_text(f"{dataset.title} ({dataset.name})")
    yield from wrap_text(dataset.summary)
    yield ""
    yield from field_lines("home", dataset.homepage)
    yield from field_lines("counts", describe_counts(dataset))
    yield from field_lines("cached", cached_folder(resources, dataset))
    yield from license_lines(dataset, short=True)
    yield from access_lines(dataset, short=True)
    yield from section_lines("Files", describe_files(dataset))
    yield from section_lines("Labels", describe_labels(resources, dataset))
    yield from section_lines("Known problems", describe_problems(dataset))
    yield ""
    yield from wrap_text(f"`dermdata info {dataset.name}` shows all that is known of it.")


def describe_files(dataset: "Dataset") -> list[str]:
    """How many files there are, and how large; nothing where they may not be named."""
    if not dataset.license.link_may_be_shared:
        return []
    listed = describe_listing(dataset)
    if not dataset.files:
        return [listed] if listed else []
    more = f", and {listed}" if listed else ""
    return [f"{count_nouns(len(dataset.files), 'file')}, {describe_total(dataset.files)}{more}"]


def describe_listing(dataset: "Dataset") -> str | None:
    """Which files only the host, or the table, names; None where the entry names them all."""
    if dataset.listing == "rows":
        return "the images, each at an address that the table names"
    if not dataset.listing:
        return None
    globs = dataset.listed
    only = f", only {', '.join(globs.include)}" if globs and globs.include else ""
    without = f", without {', '.join(globs.exclude)}" if globs and globs.exclude else ""
    return f"those that {dataset.listing.rstrip(':')} lists{only}{without}"


def describe_labels(resources: Resources, dataset: "Dataset") -> list[str]:
    """The commonest labels and their numbers, in a line."""
    counts = dataset.counts.labels
    labels = list(dict.fromkeys(raw for raw, _, _ in read_card_rows(resources.catalog, dataset.name)))
    labels.sort(key=lambda raw: -counts.get(raw, 0))
    words = [f"{raw} {counts[raw]:,}" if raw in counts else raw for raw in labels[:FEW_LABELS]]
    words += [f"… and {len(labels) - FEW_LABELS:,} more"] if len(labels) > FEW_LABELS else []
    return [", ".join(words)] if words else []


def describe_problems(dataset: "Dataset") -> list[str]:
    """How many problems and overlaps are known, in a line."""
    known = [count_nouns(len(dataset.notes), "known problem")] if dataset.notes else []
    known += (
        [f"{count_nouns(len(dataset.overlaps), 'overlap')} with other datasets"] if dataset.overlaps else []
    )
    return [", ".join(known)] if known else []


def describe_total(files: "Sequence[File]") -> str:
    """The sum of the files' sizes, as far as they are stated."""
    sizes = [file.size for file in files if file.size is not None]
    if not sizes:
        return "sizes not stated"
    return format_size(sum(sizes)) if len(sizes) == len(files) else f"over {format_size(sum(sizes))}"


def card_lines(resources: Resources, dataset: "Dataset", *, facts: bool) -> Iterator[str]:
    """The card's lines from an entry or its outline."""
    from dermdata.api.fetch_sources import describe_copies
    from dermdata.api.source_check import describe_entry_health

    version = f"  {dataset.version}" if dataset.version else ""
    yield from wrap_text(f"{dataset.title} ({dataset.name}){version}")
    yield from wrap_text(dataset.summary)
    yield ""
    yield from field_lines("home", dataset.homepage)
    yield from field_lines("modality", ", ".join(dataset.modalities))
    yield from field_lines("tasks", ", ".join(dataset.tasks))
    yield from field_lines("counts", describe_counts(dataset))
    yield from field_lines("cached", cached_folder(resources, dataset))
    yield from field_lines("seen live", describe_entry_health(resources, dataset.name))
    yield from field_lines("seed list", dataset.seed_claim)
    yield from license_lines(dataset)
    yield from access_lines(dataset)
    yield from file_lines(dataset)
    yield from section_lines("Copies", describe_copies(dataset))
    yield from label_lines(resources, dataset)
    yield from section_lines("Known problems", dataset.notes)
    yield from section_lines("Overlaps", [f"{one.dataset}: {one.note}" for one in dataset.overlaps])
    if dataset.citation.text or dataset.citation.doi:
        doi = f"https://doi.org/{dataset.citation.doi}" if dataset.citation.doi else ""
        yield from section_lines("Cite", [text for text in (dataset.citation.text, doi) if text])
    if facts:
        yield from section_lines(
            "Where the facts come from", [f"{key}: {text}" for key, text in dataset.facts.items()]
        )


def wrap_text(text: str, first: str = "", rest: str = "") -> list[str]:
    import textwrap

    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def field_lines(name: str, value: str | None) -> list[str]:
    return wrap_text(value, f"{name:<10} ", " " * 11) if value else []


def section_lines(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield ""
        yield title
        for line in lines:
            yield from wrap_text(line, "  ", "    ")


def cached_folder(resources: Resources, dataset: "Dataset") -> str:
    for cache in (resources.settings.cache, *resources.settings.caches_read_only):
        if dataset.name in cached_names(cache):
            return str(version_folder(cache, dataset.name, dataset.version))
    return "no"


def describe_counts(dataset: "Dataset") -> str:
    numbers = {
        key: getattr(dataset.counts, key) for key in ("images", "lesions", "patients", "cases", "masks")
    }
    words = [phrase_count(number, key) for key, number in numbers.items() if number]
    splits = ", ".join(f"{part} {count:,}" for part, count in dataset.counts.splits.items())
    return ", ".join(words) + (f" (official split: {splits})" if splits else "")


def license_lines(dataset: "Dataset", *, short: bool = False) -> Iterator[str]:
    terms = dataset.license
    yield ""
    yield "License"
    yield from wrap_text(f"{terms.id or 'not stated'}  {terms.url or ''}".strip(), "  ", "  ")
    may = {
        "commercial use": terms.commercial_use,
        "redistribution": terms.redistribution,
        "share alike": terms.share_alike,
    }
    yield from wrap_text(
        ", ".join(f"{what}: {ANSWERS[allowed]}" for what, allowed in may.items()), "  ", "  "
    )
    if terms.statement and not short:
        yield from wrap_text(terms.statement, "  ", "  ")


def access_lines(dataset: "Dataset", *, short: bool = False) -> Iterator[str]:
    way = dataset.access
    yield ""
    yield f"Access: {way.kind}{f' ({way.service})' if way.service else ''}"
    yield from wrap_text(describe_fetch(dataset), "  ", "  ")
    for text in (way.steps,) if short else (way.steps, way.url, way.evidence):
        if text:
            yield from wrap_text(text, "  ", "  ")
    if way.alternatives and not short:
        yield from wrap_text(f"instead: {', '.join(way.alternatives)}", "  ", "  ")


def describe_fetch(dataset: "Dataset") -> str:
    """Whether `fetch` brings it, in a sentence."""
    from dermdata.catalogs.entries import find_fetch_way

    way = find_fetch_way(dataset)
    if way == "no":
        return "It cannot be had."
    if way in ("form", "by-hand"):
        return (
            f"dermdata cannot download this one: `dermdata fetch {dataset.name} --from PATH` takes what you "
            "downloaded by hand."
        )
    if dataset.access.paths:
        return f"`dermdata fetch {dataset.name}` takes it from where it lies on this machine."
    account = f", with an account of {dataset.access.service}" if way == "account" else ""
    return f"`dermdata fetch {dataset.name}` downloads it{account}."


def file_lines(dataset: "Dataset") -> Iterator[str]:
    listed = describe_listing(dataset)
    if not (dataset.files or listed) or not dataset.license.link_may_be_shared:
        return
    yield ""
    yield "Files"
    for file in dataset.files[:MANY_FILES]:
        facts = f"{describe_size(file)}  {file.role}{'' if file.fetch else ', not fetched'}"
        line = f"  {file.name}  {facts}"
        yield from [line] if len(line) <= WIDTH else [f"  {file.name}", f"    {facts}"]
        yield f"    {file.checksum or 'no published checksum: recorded when first fetched'}"
    if len(dataset.files) > MANY_FILES:
        yield f"  … and {len(dataset.files) - MANY_FILES:,} more (--format json has all)"
    yield from wrap_text(listed or "", "  ", "  ")


def describe_size(file: "File") -> str:
    return (
        format_size(file.size)
        if file.size is not None
        else f"about {file.size_text.removeprefix('about ')}"
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
            yield from wrap_text(raw, "  ", "  ")
            means = f"{number}  {sign} {concept}"
            yield f"  {'':<{width}} {means}" if len(means) + width < WIDTH - 2 else f"  {means}"
    if len(rows) > MANY_LABELS:
        yield f"  … and {len(rows) - MANY_LABELS:,} more (`dermdata labels map {dataset.name}` has all)"
