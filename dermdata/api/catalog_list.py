"""What the catalog lists, filtered and sorted, and which of it is in the cache."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dermdata.api.records import Records
from dermdata.api.resources import Resources
from dermdata.errors import CacheDamaged, UnknownName
from dermdata.layout import cached_names

KEYS = (
    "name", "title", "kind", "images", "classes", "modalities", "tasks", "access", "license",
    "commercial_use", "size_bytes", "skin_tone", "cached", "homepage",
)  # fmt: skip
# the manifest's fields that `has` knows (a test compares them with the schema); `skin_tone` stands for any scale
FIELDS = (
    "age", "attribution", "body_site", "caption", "case_id", "concepts", "confirmation", "differential",
    "fitzpatrick", "fitzpatrick_range", "fold_official", "isic_id", "label_raw", "lesion_id", "license",
    "malignancy", "mask", "masks", "monk", "patient_id", "sex", "skin_tone", "split_official",
)  # fmt: skip
ONE_OF = {
    "modality": "modalities",
    "task": "tasks",
    "access": "access",
}  # option -> the key that holds its word
Item = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ListFilter:
    """Which entries are listed; all that is given must hold."""

    search: str | None = None
    modality: str | None = None
    task: str | None = None
    access: str | None = None
    license: str | None = None
    has: Sequence[str] = ()
    kind: str = "dataset"
    cached: bool = False


def list_entries(resources: Resources, wanted: ListFilter, sort: str = "name") -> Records:
    """The entries that fit, sorted by a key, `-key` for descending; UnknownName for a word that no entry has."""
    here = cached_names(resources.settings.cache)
    everything = resources.catalog.items
    items = [{**item, "cached": item["name"] in here} for item in everything]
    for option in ONE_OF:
        items = filter_by_word(items, option, getattr(wanted, option), everything)
    items = [item for item in items if is_listed(item, wanted)]
    for field in wanted.has:
        items = [item for item in items if has_field(item, field)]
    columns: tuple[str, ...] = KEYS
    if wanted.cached:
        items, columns = mark_complete(resources, items), (*KEYS, "complete")
    return Records(sort_entries(items, sort), columns)


def filter_by_word(
    items: list[Item], option: str, wanted: str | None, everything: Sequence[Item]
) -> list[Item]:
    """The items whose key is or holds the wanted word; a word that no item has is an error, not an empty list."""
    if wanted is None:
        return items
    key = ONE_OF[option]
    words = {word for item in everything for word in as_list(item[key])}
    if wanted not in words:
        raise UnknownName(option, wanted, words, hint=f"one of {', '.join(sorted(words))}")
    return [item for item in items if wanted in as_list(item[key])]


def as_list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def is_listed(item: Item, wanted: ListFilter) -> bool:
    """Whether the item has the words and the license, and is of the kind and in the cache as far as asked for."""
    text = " ".join(str(item[key]) for key in ("name", "title", "summary", "aliases")).lower()
    if wanted.search and not all(word in text for word in wanted.search.lower().split()):
        return False
    if wanted.license and not (item["license"] or "").lower().startswith(wanted.license.lower()):
        return False
    return wanted.kind in ("all", item["kind"]) and (item["cached"] or not wanted.cached)


def has_field(item: Item, field: str) -> bool:
    """Whether the dataset's manifest has the field; UnknownName for what is no field."""
    if field not in FIELDS:
        raise UnknownName("field", field, FIELDS, hint=f"one of {', '.join(FIELDS)}")
    return field in item["fields"] or (field == "skin_tone" and bool(item["skin_tone"]))


def sort_entries(items: list[Item], key: str) -> list[Item]:
    """Sorted by a key, unknown values last."""
    name, descending = key.lstrip("-"), key.startswith("-")
    if name not in KEYS:
        raise UnknownName("sort key", name, KEYS, hint=f"one of {', '.join(KEYS)}")
    known = [item for item in items if item[name] is not None]
    unknown = [item for item in items if item[name] is None]
    return [*sorted(known, key=lambda item: item[name], reverse=descending), *unknown]


# ------------------------------------------------------------------ the cache


def mark_complete(resources: Resources, items: list[Item]) -> list[Item]:
    complete = list_complete(resources)
    return [{**item, "complete": item["name"] in complete} for item in items]


def list_complete(resources: Resources) -> set[str]:
    """The cached datasets that hold all their rows; one whose receipt is broken or absent is none of them."""
    names = set()
    for folder in resources.cache.folders():
        with suppress(CacheDamaged):
            receipt = folder.receipt()
            if receipt and receipt.complete:
                names.add(folder.name)
    return names


def list_cached(resources: Resources) -> list[str]:
    """The datasets whose manifest is in the cache, in the version that the catalog has."""
    catalog = resources.catalog
    names = sorted(resources.cache.cached_names())
    return [name for name in names if name in catalog and manifest_path(resources, name).exists()]


def manifest_path(resources: Resources, name: str) -> Path:
    """Where the manifest of a dataset is, or would be."""
    return resources.cache.folder(resources.catalog[name]).manifest
