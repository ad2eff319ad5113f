"""A dataset's fetch as a session does it: its plan, its license, its lock, and the files that only a host can list."""

import os
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata.api.archive_search import ARCHIVE_PREFIX, add_archive_records, is_archive, open_search
from dermdata.api.resources import Resources
from dermdata.errors import CacheDamaged, LicenseNotAccepted
from dermdata.markup import count_nouns
from dermdata.terminal import format_size

if TYPE_CHECKING:
    from dermdata.cache import DatasetFolder, FetchedFile, Receipt
    from dermdata.fetching import FetchContext, FetchPlan, FetchResult, FetchSettings
    from dermdata.hosts import ResolveContext
    from dermdata.model import Dataset, File

PLAN_KEYS = ("dataset", "step", "file", "size_bytes", "checksum", "from")


def foresee_files(
    resources: Resources, dataset: "Dataset", wants: "FetchSettings", mirrors: list[str]
) -> "Dataset":
    """The entry with the files that a fetch would find, as far as that can be known without fetching."""
    from dermdata.fetching.listing import LISTED_BY_ROWS, add_listed_files, add_mirrored_files
    from dermdata.hosts import bundle_files, explain_listing_errors, isic
    from dermdata.hosts import list_files as ask

    place = dataset.listing
    if place is None or not needs_listing(dataset, wants):
        return dataset
    if known := find_earlier(resources, dataset, wants) or add_mirrored_files(dataset, mirrors):
        return known
    if place == LISTED_BY_ROWS:
        resources.say(
            f"{dataset.name}: which images there are, only its table says: --only metadata fetches that"
        )
        return dataset
    with resources.transfer() as transfer, explain_listing_errors(dataset):
        resolve_context = open_surroundings(resources, transfer, mirrors)
        if is_archive(dataset):
            count = isic.count_images(*open_search(dataset), resolve_context)
            resources.say(f"{dataset.name}: {count_nouns(count, 'image')} in the archive")
            return dataset
        return add_listed_files(
            dataset,
            lambda where: ask(where, resolve_context),
            lambda where, files: bundle_files(where, files, resolve_context),
        )


def needs_listing(dataset: "Dataset", wants: "FetchSettings") -> bool:
    """Whether the listing says anything of what is wanted: an archive's records are its table, a model has none."""
    own_table = (dataset.listing or "").startswith(ARCHIVE_PREFIX)
    return wants.only != "metadata" or own_table or dataset.kind == "model"


def find_earlier(resources: Resources, dataset: "Dataset", wants: "FetchSettings") -> "Dataset | None":
    """The entry with the files of an earlier, complete fetch, so that its listing is not asked again."""
    from dermdata.fetching.listing import add_known_files

    receipt = None if wants.force or not dataset.listing else resources.cache.find_folder(dataset).receipt()
    if receipt is None or not receipt.complete or not set(wants.roles) <= set(receipt.roles):
        return None
    if dataset.listed and receipt.catalog_digest != resources.library.entry_digest(dataset.name):
        return None  # the entry may want others of the listed files by now
    return add_known_files(dataset, receipt)


def list_files(
    resources: Resources,
    dataset: "Dataset",
    wants: "FetchSettings",
    context: "FetchContext",
    *,
    part: bool = False,
) -> tuple["Dataset", "FetchContext"]:
    """The entry with every file that its host's listing, or its own table, names; `part`: of some rows only."""
    from dermdata.fetching import listing, run_plan
    from dermdata.fetching.plan import FetchSettings as Only
    from dermdata.hosts import bundle_files, explain_listing_errors
    from dermdata.hosts import list_files as ask

    place = dataset.listing
    if place is None or not needs_listing(dataset, wants):
        return dataset, context
    resolve_context = context.resolve_context
    if known := listing.add_mirrored_files(dataset, resolve_context.mirrors):
        return known, context
    if place == listing.LISTED_BY_ROWS:
        tables = Only(only="metadata", force=wants.force)
        run_plan(plan_fetch(resources, dataset, tables, own=True), context)
        return listing.add_row_files(dataset, resources.cache.folder(dataset)), context
    receipt = None if wants.force else resources.cache.folder(dataset).receipt()
    single = {one.name for one in receipt.files} if receipt else set()

    def bundle(where: str, files: tuple["File", ...]) -> tuple["File", ...]:
        """What came alone by an earlier fetch of a part stays so."""
        here = tuple(file for file in files if file.name in single)
        others = tuple(file for file in files if file.name not in single)
        return (*here, *bundle_files(where, others, resolve_context, part=part))

    with explain_listing_errors(dataset):
        if is_archive(dataset):
            return add_archive_records(resources, dataset, context)
        return listing.add_listed_files(dataset, lambda where: ask(where, resolve_context), bundle), context


def open_surroundings(resources: Resources, transfer: Any, mirrors: list[str]) -> "ResolveContext":
    """Whom the source adapters may ask: catalogs, mirrors, the network and the person's credentials."""
    from dermdata.credentials import Credentials, read_system_keyring
    from dermdata.hosts import ResolveContext

    network = (
        {
            "ask": transfer.get_json,
            "ask_page": transfer.get_json_page,
            "read": transfer.get_bytes,
            "head": transfer.resolve_head,
        }
        if transfer
        else {}
    )
    return ResolveContext(
        catalogs=resources.catalog.roots,
        mirrors=tuple(mirrors),
        environment=os.environ,
        credentials=Credentials(os.environ, Path.home(), read_system_keyring),
        **network,
    )


# ------------------------------------------------------------------ one dataset


def plan_fetch(
    resources: Resources, dataset: "Dataset", wants: "FetchSettings", *, own: bool = False
) -> "FetchPlan":
    """The plan for one dataset: nothing where a cache that is only read has all of it (but not for our `own`)."""
    folder = resources.cache.folder(dataset)
    if not (own or wants.force or folder.manifest.exists()):
        for further in resources.cache.all_caches[1:]:
            plan = plan_folder(resources, dataset, further.folder(dataset), wants)
            receipt = read_sound_receipt(further.folder(dataset))
            if receipt and receipt.complete and not plan.download and not plan.mend:
                return replace(plan, build=False)
    return plan_folder(resources, dataset, folder, wants)


def plan_folder(
    resources: Resources, dataset: "Dataset", folder: "DatasetFolder", wants: "FetchSettings"
) -> "FetchPlan":
    """What one folder of the dataset lacks, with the files that a look at sizes finds broken."""
    from dermdata.fetching import find_uninspected, make_plan, read_prior_receipt
    from dermdata.verification import verify_folder

    receipt = read_prior_receipt(folder, wants)
    dataset = keep_complete_source(resources, dataset, receipt, wants)
    if receipt is None or wants.force:
        return make_plan(dataset, receipt, wants, resources.library.entry_digest(dataset.name))
    contents = folder.contents()
    findings = verify_folder(folder, contents, quick=True, jobs=1, advance=lambda _: None)
    wrong = [one for one in findings if one.status != "ok"]
    broken = [one.content for one in wrong if one.content]
    if any(one.path == folder.manifest.name for one in wrong):
        receipt = replace(receipt, manifest_sha256=None)
    digest = resources.library.entry_digest(dataset.name)
    return make_plan(dataset, receipt, wants, digest, broken, find_uninspected(folder, contents))


def keep_complete_source(
    resources: Resources, dataset: "Dataset", receipt: "Receipt | None", wants: "FetchSettings"
) -> "Dataset":
    """The entry by the source from which all of it is here, if it is: only --force replaces that by another."""
    from dermdata.fetching.copies import is_settled, use_recorded_copy
    from dermdata.fetching.plan import find_source

    if receipt is None or wants.force or receipt.copy == find_source(dataset):
        return dataset
    entry, find_entry = resources.catalog[dataset.name], resources.catalog.__getitem__
    return (
        use_recorded_copy(entry, receipt, find_entry) if is_settled(entry, receipt, find_entry) else dataset
    )


def read_sound_receipt(folder: "DatasetFolder") -> "Receipt | None":
    """What the cache has of a dataset; a broken receipt has nothing, and is told whenever the dataset is used."""
    try:
        return folder.receipt()
    except CacheDamaged:
        return None


def fetch_dataset(
    resources: Resources,
    dataset: "Dataset",
    wants: "FetchSettings",
    context: "FetchContext",
    *,
    mirrored: bool,
    accepted: bool,
) -> "FetchResult":
    """Do what is left to do; what is complete asks neither a host nor the person again."""
    from dermdata.fetching import run_plan
    from dermdata.fetching.copies import choose_obtainer
    from dermdata.hosts import require_obtainable

    done = find_earlier(resources, dataset, wants)
    plan = plan_fetch(resources, done or dataset, wants)
    if plan.is_empty and (done or not dataset.listing):
        sweep_after_kill(resources, dataset, plan.have)
        return run_plan(plan, context)
    if plan.asks_hosts or dataset.listing or not plan.have:
        require_obtainable(dataset, mirrored=mirrored)
        require_license(resources, dataset, accepted=accepted)
    with resources.cache.lock(dataset.name, waiting=resources.say):
        entry, context = list_files(resources, dataset, wants, context)
        plan = plan_fetch(resources, entry, wants)  # another process may have done it while we waited
        if plan.asks_hosts:
            resources.say(f"{dataset.name}: {describe_download(resources, plan)}")
        return run_plan(plan, context, choose_obtainer(plan))


def describe_download(resources: Resources, plan: "FetchPlan") -> str:
    """How much is to come, and how much of it an interrupted run has left here."""
    from dermdata.fetching.ingest import count_bytes_on_disk

    folder = resources.cache.folder(plan.dataset)
    count, size = len(plan.download) + len(plan.mend), plan.download_bytes
    files = count_nouns(count, "file")
    here = 0 if plan.wants.force else sum(count_bytes_on_disk(file, folder) for file in plan.download)
    if size is None or not here:
        return f"{files}, {format_size(size)} to download"
    return f"{files}, {format_size(size - here)} to download, {format_size(here)} are here"


def sweep_after_kill(resources: Resources, dataset: "Dataset", files: Iterable["FetchedFile"]) -> None:
    """Where all is here: sweep what a killed run left, unless one is at work. Takes no lock where there is nothing."""
    from dermdata.fetching.repair import has_leftovers, remove_leftovers

    folder = resources.cache.folder(dataset)
    if not folder.path.is_dir():  # all is in a cache that is only read
        return
    if not has_leftovers(folder, files) or not os.access(folder.path, os.W_OK):
        return
    if resources.cache.holder(dataset.name) is None:
        with resources.cache.lock(dataset.name, waiting=resources.say):
            remove_leftovers(folder)


def open_fetch_context(
    resources: Resources, transfer: Any, progress: Any, mirrors: list[str], jobs: int
) -> "FetchContext":
    from dermdata.fetching import FetchContext
    from dermdata.hosts import explain_download_error, resolve, resolve_official
    from dermdata.model import CopiedDataset

    resolve_context = open_surroundings(resources, transfer, mirrors)

    def owner(dataset: "Dataset", file: "File") -> "Dataset":
        """The entry that says where a file is: a copy's may be those of another one."""
        origins = dataset.origins if isinstance(dataset, CopiedDataset) else {}
        name = origins.get(file.name, dataset.name)
        return dataset if name == dataset.name else resources.catalog[name]

    return FetchContext(
        cache=resources.cache,
        transfer=transfer,
        library=resources.library,
        resolve=lambda dataset, file: resolve(owner(dataset, file), file, resolve_context),
        official=lambda dataset, file: resolve_official(owner(dataset, file), file, resolve_context),
        explain=lambda error, dataset, file: explain_download_error(error, dataset, file, resolve_context),
        resolve_context=resolve_context,
        now=lambda: datetime.now(UTC).isoformat(timespec="seconds"),
        jobs=jobs,
        progress=progress,
    )


def plan_rows(plan: "FetchPlan") -> list[dict[str, Any]]:
    """The plan as rows: what would be downloaded, mended and built, and what is there."""
    from dermdata.http.urls import strip_secrets
    from dermdata.model import CopiedDataset

    rows = []
    in_part = plan.dataset.in_part if isinstance(plan.dataset, CopiedDataset) else ()
    for file in plan.download:
        origin = file.source or (strip_secrets(file.urls[0]) if file.urls else None)
        step, size = ("pick", None) if file.name in in_part else ("download", file.expected_size)
        rows.append(plan_row(plan, step, file.name, size, file.checksum, origin))
    rows += [
        plan_row(plan, "mend", one.path, one.size, f"sha256:{one.sha256}", one.file) for one in plan.mend
    ]
    rows += [plan_row(plan, "have", one.name, one.size, f"sha256:{one.sha256}", one.url) for one in plan.have]
    return rows + ([plan_row(plan, "build", "manifest.parquet", None, None, None)] if plan.build else [])


def plan_row(
    plan: "FetchPlan", step: str, file: str, count: int | None, checksum: str | None, origin: str | None
) -> dict[str, Any]:
    return dict(zip(PLAN_KEYS, (plan.dataset.name, step, file, count, checksum, origin), strict=True))


def require_license(resources: Resources, dataset: "Dataset", *, accepted: bool) -> None:
    """Where a license must be accepted: an option, or the person's yes; LicenseNotAccepted without."""
    if not dataset.license.must_accept or accepted:
        return
    text = f"{dataset.license.id or 'its license'} ({dataset.license.url or dataset.homepage})"
    if resources.confirm(f"Accept {text} for {dataset.name}?", dataset.license.statement or ""):
        return
    raise LicenseNotAccepted(
        f"{dataset.name} asks you to accept {text}", hint="read it, then add --accept-license"
    )
