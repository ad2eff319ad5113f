"""A dataset's fetch as a session does it: its plan, its license, its lock, and the files that only a host can list."""

import os
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import finalize

from dermdata.api.resources import Resources
from dermdata.errors import CacheDamaged, LicenseNotAccepted
from dermdata.units import size

if TYPE_CHECKING:
    from dermdata.cache import Fetched, Folder, Receipt
    from dermdata.fetching import Outcome, Plan, Wants, Workshop
    from dermdata.model import Dataset, File, Request
    from dermdata.sources import Surroundings

PLAN_KEYS = ("dataset", "step", "file", "size_bytes", "checksum", "from")


def foresee_files(resources: Resources, dataset: "Dataset", wants: "Wants", mirrors: list[str]) -> "Dataset":
    """The entry with the files that a fetch would find, as far as that can be known without fetching."""
    from dermdata.fetching.listing import BY_ROWS, with_listed
    from dermdata.sources import isic
    from dermdata.sources import listing as ask

    place = dataset.listing
    if place is None or not needs_listing(place, wants):
        return dataset
    if known := find_earlier(resources, dataset, wants):
        return known
    if place == BY_ROWS:
        resources.say(
            f"{dataset.name}: which images there are, only its table says: --only metadata fetches that"
        )
        return dataset
    with resources.transfer() as transfer:
        around = open_surroundings(resources, transfer, mirrors)
        if place.startswith("isic:"):
            query, collections = isic.search(place.removeprefix("isic:"))
            resources.say(f"{dataset.name}: {isic.count(query, collections, around):,} images in the archive")
            return dataset
        return with_listed(dataset, lambda where: ask(where, around))


def needs_listing(place: str, wants: "Wants") -> bool:
    """Whether the listing says anything of what is wanted: an archive's records are its table too."""
    return wants.only != "metadata" or place.startswith("isic:")


def find_earlier(resources: Resources, dataset: "Dataset", wants: "Wants") -> "Dataset | None":
    """The entry with the files of an earlier, complete fetch, so that its listing is not asked again."""
    from dermdata.fetching.listing import with_known

    receipt = None if wants.force or not dataset.listing else resources.cache.folder(dataset).receipt()
    if receipt and receipt.complete and set(wants.roles) <= set(receipt.roles):
        return with_known(dataset, receipt)
    return None


def list_files(
    resources: Resources, dataset: "Dataset", wants: "Wants", workshop: "Workshop"
) -> tuple["Dataset", "Workshop"]:
    """The entry with every file that its host's listing, or its own table, names."""
    from dermdata.fetching import listing, run
    from dermdata.fetching.plan import Wants as Only
    from dermdata.sources import listing as ask

    place = dataset.listing
    if place is None or not needs_listing(place, wants):
        return dataset, workshop
    around = workshop.around
    if place == listing.BY_ROWS:
        run(plan_fetch(resources, dataset, Only(only="metadata", force=wants.force)), workshop)
        return listing.with_rows(dataset, resources.cache.folder(dataset)), workshop
    if place.startswith("isic:"):
        return with_isic_records(resources, dataset, place.removeprefix("isic:"), workshop)
    return listing.with_listed(dataset, lambda where: ask(where, around)), workshop


def with_isic_records(
    resources: Resources, dataset: "Dataset", identity: str, workshop: "Workshop"
) -> tuple["Dataset", "Workshop"]:
    """The ISIC Archive's records, asked page by page, as table and files."""
    from dermdata import disk
    from dermdata.fetching.listing import RECORDS, with_records
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


def open_surroundings(resources: Resources, transfer: Any, mirrors: list[str]) -> "Surroundings":
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


# ------------------------------------------------------------------ one dataset


def plan_fetch(resources: Resources, dataset: "Dataset", wants: "Wants") -> "Plan":
    """The plan for one dataset, with the files that a look at sizes finds broken."""
    from dermdata.fetching import plan, receipt_for, unseen
    from dermdata.verification import verify

    folder = resources.cache.folder(dataset)
    receipt = receipt_for(folder, wants)
    if receipt is None or wants.force:
        return plan(dataset, receipt, wants, resources.library.digest_of(dataset.name))
    findings = verify(folder, folder.contents(), quick=True, jobs=1, advance=lambda _: None)
    wrong = [one for one in findings if one.status != "ok"]
    broken = [one.content for one in wrong if one.content]
    if any(one.path == folder.manifest.name for one in wrong):
        receipt = replace(receipt, manifest_sha256=None)
    digest = resources.library.digest_of(dataset.name)
    return plan(dataset, receipt, wants, digest, broken, unseen(folder))


def read_sound_receipt(folder: "Folder") -> "Receipt | None":
    """What the cache has of a dataset; a broken receipt has nothing, and is told whenever the dataset is used."""
    try:
        return folder.receipt()
    except CacheDamaged:
        return None


def fetch_dataset(
    resources: Resources,
    dataset: "Dataset",
    wants: "Wants",
    workshop: "Workshop",
    *,
    mirrored: bool,
    accepted: bool,
) -> "Outcome":
    """Do what is left to do; what is complete asks neither a host nor the person again."""
    from dermdata.fetching import run
    from dermdata.sources import require_obtainable

    done = find_earlier(resources, dataset, wants)
    plan = plan_fetch(resources, done or dataset, wants)
    if plan.nothing and (done or not dataset.listing):
        sweep_after_kill(resources, dataset, plan.have)
        return run(plan, workshop)
    require_obtainable(dataset, mirrored=mirrored)
    require_license(resources, dataset, accepted=accepted)
    with resources.cache.lock(dataset.name, waiting=resources.say):
        entry, workshop = list_files(resources, dataset, wants, workshop)
        plan = plan_fetch(resources, entry, wants)  # another process may have done it while we waited
        if not plan.nothing:
            resources.say(f"{dataset.name}: {len(plan.download):,} files, {size(plan.bytes)} to download")
        return run(plan, workshop)


def sweep_after_kill(resources: Resources, dataset: "Dataset", files: Iterable["Fetched"]) -> None:
    """Where all is here: sweep what a killed run left, unless one is at work. Takes no lock where there is nothing."""
    from dermdata.fetching.tidy import is_untidy, tidy

    folder = resources.cache.folder(dataset)
    if not is_untidy(folder, files) or not os.access(folder.path, os.W_OK):
        return
    if resources.cache.holder(dataset.name) is None:
        with resources.cache.lock(dataset.name, waiting=resources.say):
            tidy(folder)


def open_workshop(
    resources: Resources, transfer: Any, progress: Any, mirrors: list[str], jobs: int
) -> "Workshop":
    from dermdata.fetching import Workshop
    from dermdata.sources import explained, official, resolve

    around = open_surroundings(resources, transfer, mirrors)
    return Workshop(
        cache=resources.cache,
        transfer=transfer,
        library=resources.library,
        resolve=lambda dataset, file: resolve(dataset, file, around),
        official=lambda dataset, file: official(dataset, file, around),
        explain=lambda error, dataset, file: explained(error, dataset, file, around),
        around=around,
        now=lambda: datetime.now(UTC).isoformat(timespec="seconds"),
        jobs=jobs,
        progress=progress,
    )


def plan_rows(plan: "Plan") -> list[dict[str, Any]]:
    """The plan as rows: what would be downloaded, mended and built, and what is there."""
    from dermdata.http.urls import redact

    rows = []
    for file in plan.download:
        origin = file.source or (redact(file.urls[0]) if file.urls else None)
        rows.append(plan_row(plan, "download", file.name, file.size, file.checksum, origin))
    rows += [
        plan_row(plan, "mend", one.path, one.size, f"sha256:{one.sha256}", one.file) for one in plan.mend
    ]
    rows += [plan_row(plan, "have", one.name, one.size, f"sha256:{one.sha256}", one.url) for one in plan.have]
    return rows + ([plan_row(plan, "build", "manifest.parquet", None, None, None)] if plan.build else [])


def plan_row(
    plan: "Plan", step: str, file: str, count: int | None, checksum: str | None, origin: str | None
) -> dict[str, Any]:
    return dict(zip(PLAN_KEYS, (plan.dataset.name, step, file, count, checksum, origin), strict=True))


def require_license(resources: Resources, dataset: "Dataset", *, accepted: bool) -> None:
    """Where a license must be accepted: an option, or the person's yes; LicenseNotAccepted without."""
    if not dataset.license.must_accept or accepted:
        return
    text = f"{dataset.license.id or 'its licence'} ({dataset.license.url or dataset.homepage})"
    if resources.confirm(f"Accept {text} for {dataset.name}?", dataset.license.statement or ""):
        return
    raise LicenseNotAccepted(
        f"{dataset.name} asks you to accept {text}", hint="read it, then add --accept-license"
    )
