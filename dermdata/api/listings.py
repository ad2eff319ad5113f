"""Entries whose files a host lists: ask it when it must be, and never when an earlier fetch knows."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import finalize

from dermdata.api.resources import Resources

if TYPE_CHECKING:
    from dermdata.fetch import Plan, Wants, Workshop
    from dermdata.model import Dataset, File, Request
    from dermdata.sources import Surroundings

Planned = Callable[[Resources, "Dataset", "Wants"], "Plan"]


def foreseen(resources: Resources, dataset: "Dataset", wants: "Wants", mirrors: list[str]) -> "Dataset":
    """The entry with the files that a fetch would find, as far as that can be known without fetching."""
    from dermdata.fetch.listing import BY_ROWS, with_listed
    from dermdata.sources import isic
    from dermdata.sources import listing as ask

    place = dataset.listing
    if place is None or not asks(place, wants):
        return dataset
    if known := already(resources, dataset, wants):
        return known
    if place == BY_ROWS:
        resources.say(
            f"{dataset.name}: which images there are, only its table says: --only metadata fetches that"
        )
        return dataset
    with resources.transfer() as transfer:
        around = surroundings(resources, transfer, mirrors)
        if place.startswith("isic:"):
            query, collections = isic.search(place.removeprefix("isic:"))
            resources.say(f"{dataset.name}: {isic.count(query, collections, around):,} images in the archive")
            return dataset
        return with_listed(dataset, lambda where: ask(where, around))


def asks(place: str, wants: "Wants") -> bool:
    """Whether the listing says anything of what is wanted: an archive's records are its table too."""
    return wants.only != "metadata" or place.startswith("isic:")


def already(resources: Resources, dataset: "Dataset", wants: "Wants") -> "Dataset | None":
    """The entry with the files of an earlier, complete fetch, so that its listing is not asked again."""
    from dermdata.fetch.listing import with_known

    receipt = None if wants.force or not dataset.listing else resources.cache.folder(dataset).receipt()
    if receipt and receipt.complete and set(wants.roles) <= set(receipt.roles):
        return with_known(dataset, receipt)
    return None


def listed(
    resources: Resources, dataset: "Dataset", wants: "Wants", workshop: "Workshop", planned: Planned
) -> tuple["Dataset", "Workshop"]:
    """The entry with every file that its host's listing, or its own table, names."""
    from dermdata.fetch import listing, run
    from dermdata.fetch.plan import Wants as Only
    from dermdata.sources import listing as ask

    place = dataset.listing
    if place is None or not asks(place, wants):
        return dataset, workshop
    around = workshop.around
    if place == listing.BY_ROWS:
        run(planned(resources, dataset, Only(only="metadata", force=wants.force)), workshop)
        return listing.with_rows(dataset, resources.cache.folder(dataset)), workshop
    if place.startswith("isic:"):
        return with_isic_records(resources, dataset, place.removeprefix("isic:"), workshop)
    return listing.with_listed(dataset, lambda where: ask(where, around)), workshop


def with_isic_records(
    resources: Resources, dataset: "Dataset", identity: str, workshop: "Workshop"
) -> tuple["Dataset", "Workshop"]:
    """The ISIC Archive's records, asked page by page, as table and files."""
    from dermdata import disk
    from dermdata.fetch.listing import RECORDS, with_records
    from dermdata.sources import isic

    query, collections = isic.search(identity)
    records = list(isic.pages(query, collections, workshop.around))
    entry, data = with_records(dataset, map(isic.flatten, records), isic.files_of(records))
    made = resources.cache.folder(dataset).temporary(RECORDS)
    disk.write(made, [data])
    usual = workshop.resolve

    def resolve(one: "Dataset", file: "File") -> "Request | Path":
        return made if file.name == RECORDS else usual(one, file)

    finalize(resolve, made.unlink, missing_ok=True)  # gone with the workshop; a killed one's goes in a sweep
    return entry, replace(workshop, resolve=resolve)


def surroundings(resources: Resources, transfer: Any, mirrors: list[str]) -> "Surroundings":
    """Whom the source adapters may ask: catalogs, mirrors, the network and the person's credentials."""
    from dermdata.credentials import Credentials, system_keyring
    from dermdata.sources import Surroundings

    network = (
        {"ask": transfer.get_json, "read": transfer.get_bytes, "head": transfer.resolve_head}
        if transfer
        else {}
    )
    return Surroundings(
        catalogs=resources.catalog.roots,
        mirrors=tuple(mirrors),
        environment=os.environ,
        credentials=Credentials(os.environ, Path.home(), system_keyring),
        **network,
    )
