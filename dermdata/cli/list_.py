"""`dermdata list`: the catalog, filtered."""

from contextlib import suppress
from typing import Annotated, Any, Literal

import typer

from dermdata.cli.complete import LIST_FIELDS
from dermdata.cli.output import FormatOption, emit
from dermdata.cli.state import State, state_of
from dermdata.errors import UnknownName
from dermdata.layout import cached_names

app = typer.Typer(add_completion=False)
KEYS = (
    "name", "title", "kind", "images", "classes", "modalities", "tasks", "access", "license",
    "commercial_use", "size_bytes", "skin_tone", "cached", "homepage",
)  # fmt: skip
SHOWN = ("name", "images", "access", "license", "size_bytes", "modalities", "classes", "skin_tone", "cached")
Item = dict[str, Any]


@app.command()
def list_(
    ctx: typer.Context,
    search: Annotated[
        str | None, typer.Option(help="Words in name, title or summary.", metavar="TEXT")
    ] = None,
    modality: Annotated[str | None, typer.Option(help="dermoscopic, clinical, …", metavar="M")] = None,
    task: Annotated[str | None, typer.Option(help="classification, segmentation, …", metavar="T")] = None,
    access: Annotated[
        str | None, typer.Option(help="open, account, agreement, per-image, unavailable", metavar="A")
    ] = None,
    license_: Annotated[
        str | None, typer.Option("--license", help="Licence id, or the beginning of one.", metavar="L")
    ] = None,
    has: Annotated[
        list[str] | None,
        typer.Option(help="Only with this manifest field, such as skin_tone; repeatable.", metavar="FIELD"),
    ] = None,
    kind: Annotated[Literal["dataset", "model", "all"], typer.Option(help="What to list.")] = "dataset",
    cached: Annotated[bool, typer.Option("--cached", help="Only what is in the cache.")] = False,
    sort: Annotated[str, typer.Option(help="Key to sort by; -KEY for descending.", metavar="KEY")] = "name",
    form: FormatOption = None,
) -> None:
    """The catalog: every dataset that dermdata knows, filtered."""
    state = state_of(ctx)
    here = cached_names(state.settings.cache)
    items = [{**item, "cached": item["name"] in here} for item in state.catalog.items]
    one_of = {"modality": ("modalities", modality), "task": ("tasks", task), "access": ("access", access)}
    for option, (key, wanted) in one_of.items():
        items = chosen(items, option, key, wanted, state.catalog.items)
    items = [item for item in items if fits(item, search, license_, kind, cached)]
    for field in has or ():
        items = [item for item in items if known_field(field) in (*item["fields"], *truths(item))]
    if cached:
        whole = complete(state)
        items = [{**item, "complete": item["name"] in whole} for item in items]
    more = ("complete",) if cached else ()
    emit(ordered(items, sort), (*KEYS, *more), form, "list", shown=(*SHOWN, *more), color=state.color)
    if not items:
        state.say("nothing in the catalog fits; `dermdata list` shows all")


def complete(state: State) -> set[str]:
    """The cached datasets that hold all their rows; one whose receipt is broken or absent is none of them."""
    from dermdata.errors import CacheDamaged

    names = set()
    for folder in state.cache.folders():
        with suppress(CacheDamaged):
            receipt = folder.receipt()
            if receipt and receipt.complete:
                names.add(folder.name)
    return names


def chosen(items: list[Item], option: str, key: str, wanted: str | None, all_items: list[Item]) -> list[Item]:
    """The items whose key is or holds the wanted word; a word that no item has is an error, not an empty list."""
    if wanted is None:
        return items
    words = {word for item in all_items for word in as_list(item[key])}
    if wanted not in words:
        raise UnknownName(option, wanted, words, hint=f"one of {', '.join(sorted(words))}")
    return [item for item in items if wanted in as_list(item[key])]


def as_list(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def fits(item: Item, search: str | None, license_: str | None, kind: str, cached: bool) -> bool:
    text = " ".join(str(item[key]) for key in ("name", "title", "summary", "aliases")).lower()
    if search and not all(word in text for word in search.lower().split()):
        return False
    if license_ and not (item["license"] or "").lower().startswith(license_.lower()):
        return False
    return kind in ("all", item["kind"]) and (item["cached"] or not cached)


def known_field(field: str) -> str:
    if field not in LIST_FIELDS:
        raise UnknownName("field", field, LIST_FIELDS, hint=f"one of {', '.join(LIST_FIELDS)}")
    return field


def truths(item: Item) -> list[str]:
    return [key for key in ("skin_tone",) if item[key]]


def ordered(items: list[Item], key: str) -> list[Item]:
    """Sorted by a key, unknown values last."""
    name, falling = key.lstrip("-"), key.startswith("-")
    if name not in KEYS:
        raise UnknownName("sort key", name, KEYS, hint=f"one of {', '.join(KEYS)}")
    known = [item for item in items if item[name] is not None]
    return sorted(known, key=lambda item: item[name], reverse=falling) + [
        item for item in items if item[name] is None
    ]
