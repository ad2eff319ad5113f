"""Cached files against their recorded checksums, and what is wrong among them fetched again."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from dermdata.api.records import Records
from dermdata.api.resources import Resources
from dermdata.errors import (
    CacheDamaged,
    NetworkError,
    Offline,
    PersonMustAct,
    ProblemsFound,
    StorageError,
    UsageError,
)
from dermdata.markup import agree_verb, count_nouns, count_share
from dermdata.process import count_cores

if TYPE_CHECKING:
    from dermdata.cache import Cache, DatasetFolder, Receipt
    from dermdata.model import Content, Dataset
    from dermdata.verification import FileCheck

VERIFY_KEYS = ("dataset", "path", "status", "expected", "actual", "rows", "verified")


@dataclass(frozen=True, kw_only=True)
class CacheCheck:
    """What came of a look at cached files."""

    folders: "Sequence[DatasetFolder]"
    findings: "Sequence[FileCheck]"  # of every file, the ok ones too
    quick: bool
    jobs: int
    unfinished: Sequence[str] = ()  # datasets whose last fetch was interrupted or failed

    @property
    def wrong(self) -> "list[FileCheck]":
        """The files that are not as they were recorded."""
        return [one for one in self.findings if one.status != "ok"]

    @property
    def unverified(self) -> Counter[str]:
        """How many files of a dataset no published checksum covers: they came in part."""
        return Counter(one.dataset for one in self.findings if one.verified is False)

    def to_records(self, *, every: bool = False) -> Records:
        """What is wrong, or `every` file, each with the manifest's rows that use it; `facts` count all files."""
        from dermdata.verification import find_affected_rows

        wrong = self.wrong
        keys = {folder.name: find_affected_rows(folder, wrong) for folder in self.folders}
        rows = [
            {**vars(one), "rows": keys.get(one.dataset, {}).get(one.path, [])}
            for one in (self.findings if every else wrong)
        ]
        items = [{key: row[key] for key in VERIFY_KEYS} for row in rows]
        return Records(items, VERIFY_KEYS, self.facts)

    @property
    def facts(self) -> dict[str, Any]:
        """What stands beside the rows: how many files were looked at, and whose fetch did not end."""
        return {"files": len(self.findings), "unfinished": list(self.unfinished)}

    def require_right(self) -> None:
        """ProblemsFound, with what mends it, where a file is wrong."""
        if wrong := self.wrong:
            hint = suggest_repair(self.folders, wrong)
            raise ProblemsFound(
                f"{count_share(len(wrong), len(self.findings), 'file', 'are')} wrong", hint=hint
            )

    def require_repaired(self) -> None:
        """ProblemsFound where a file is wrong after the repair."""
        if left := self.wrong:
            hint = explain_extra(self.folders, left)
            raise ProblemsFound(
                f"{count_nouns(len(left), 'file', 'are')} still wrong after the repair", hint=hint
            )


# ------------------------------------------------------------------ looking


def verify_cached(
    resources: Resources, names: Sequence[str], *, quick: bool = False, jobs: int | None = None
) -> CacheCheck:
    """Compare every file of these datasets, or of all that are cached, with its checksum (`quick`: its size).

    UsageError for a dataset that is not in the cache.
    """
    check = check_folders(resources, choose_folders(resources, names), quick, jobs or count_cores())
    unfinished = find_unfinished(resources, [folder.name for folder in check.folders] if names else None)
    for name in unfinished:
        resources.say(explain_unfinished(resources, name))
    return replace(check, unfinished=unfinished)


def find_unfinished(resources: Resources, names: Sequence[str] | None) -> list[str]:
    """The datasets, of these or of all, whose last fetch was interrupted, failed, or is at work."""
    from dermdata.cache.cleanup import is_unfinished

    found = []
    for name in resources.cache.names() if names is None else names:
        with suppress(CacheDamaged):  # a finding of its own
            if any(map(is_unfinished, list_current_folders(resources, name))):
                found.append(name)
    return found


def list_current_folders(resources: Resources, name: str) -> "list[DatasetFolder]":
    """What the cache has of the version that `fetch` would bring; all versions, where no catalog knows the dataset."""
    versions = resources.cache.versions(name)
    try:
        current = resources.cache.folder(resources.catalog[name]).path
    except UsageError:
        return versions
    return [folder for folder in versions if folder.path == current]


def explain_unfinished(resources: Resources, name: str) -> str:
    """What to do about a dataset whose last fetch did not end: nothing in it is wrong for that."""
    if holder := resources.cache.holder(name):
        return f"{name}: a fetch is at work ({holder})"
    return f"{name}: fetch was interrupted, run `dermdata fetch {name}` again"


def choose_folders(resources: Resources, names: Sequence[str]) -> "list[DatasetFolder]":
    """The cached folders of these names, or all: of a dataset that is in several caches those that are read."""
    if not names:
        first: dict[str, Cache] = {}
        found = [(cache, folder) for cache in resources.cache.all_caches for folder in cache.folders()]
        return [folder for cache, folder in found if first.setdefault(folder.name, cache) is cache]
    folders = []
    for name in names:
        dataset = resources.catalog[name]
        folder = resources.cache.find_folder(dataset)
        if not (folder.path / "receipt.json").exists():
            raise UsageError(
                f"{dataset.name} is not in the cache", hint=f"`dermdata fetch {dataset.name}` fetches it"
            )
        folders.append(folder)
    return folders


def check_folders(
    resources: Resources, folders: "Sequence[DatasetFolder]", quick: bool, jobs: int
) -> CacheCheck:
    """What is found of every file of these folders."""
    from dermdata import verification as room

    findings: list[FileCheck] = []
    with resources.show_progress() as progress:
        for folder in folders:
            task = f"verify {folder.name}"
            advance = partial(progress.advance, task)
            try:
                contents = folder.contents()
                progress.begin(task, sum(content.size for content in contents))
                findings += room.verify_folder(folder, contents, quick=quick, jobs=jobs, advance=advance)
                progress.end(task)
            except CacheDamaged as error:  # the other datasets are looked at all the same
                findings.append(room.unreadable_dataset(folder, error))
    return CacheCheck(folders=folders, findings=findings, quick=quick, jobs=jobs)


# ------------------------------------------------------------------ repairing


def repair_cached(resources: Resources, check: CacheCheck) -> CacheCheck:
    """Fetch the wrong files again, dataset by dataset, and look once more; what else is there stays as it is.

    What an interrupted run left in a dataset that is complete is swept; what the next fetch goes on from is not.
    """
    wrong = check.wrong
    for folder in check.folders:
        if folder.name in check.unfinished and resources.cache.owns(folder):
            sweep_interrupted(resources, folder)
    if not wrong:
        return check
    for folder in check.folders:
        mine = [one for one in wrong if one.dataset == folder.name]
        if mine and not resources.cache.owns(folder):
            raise StorageError(
                f"{count_nouns(len(mine), 'file')} of {folder.name} {agree_verb(len(mine), 'are')} "
                f"wrong in {folder.path}, which is only read",
                hint="whoever owns that cache repairs it, with `--cache` naming it first",
            )
        repair_folder(resources, folder, mine)
    return check_folders(resources, check.folders, check.quick, check.jobs)


def sweep_interrupted(resources: Resources, folder: "DatasetFolder") -> None:
    """Remove what an interrupted run left in a complete dataset; nobody's who is at work, and nothing that is of use."""
    from dermdata.fetching.repair import remove_leftovers

    receipt = folder.receipt()
    if receipt and receipt.manifest_sha256 and resources.cache.holder(folder.name) is None:
        with resources.cache.lock(folder.name, waiting=resources.say):
            remove_leftovers(folder)


def repair_folder(resources: Resources, folder: "DatasetFolder", wrong: "Sequence[FileCheck]") -> None:
    """Fetch one dataset's wrong files again."""
    from dermdata.fetching.copies import use_recorded_copy

    sweep_extra(resources, folder, [one.path for one in wrong if one.status == "extra"])
    mine = [one.content for one in wrong if one.status != "extra"]
    receipt = folder.receipt()  # a broken one ends the repair: there is nothing to mend by
    if not mine or receipt is None:
        return
    broken = list(filter(None, mine))
    require_fetchable(folder, broken)
    if len(broken) < len(mine):  # the manifest itself
        receipt = replace(receipt, manifest_sha256=None)
    entry = use_recorded_copy(resources.catalog[folder.name], receipt, resources.catalog.__getitem__)
    if entry.listing:
        repair_listed(resources, folder, entry, receipt, broken)
    else:
        fetch_broken(resources, folder, entry, receipt, broken)


def require_fetchable(folder: "DatasetFolder", broken: "Sequence[Content]") -> None:
    """ProblemsFound for files of the person's own: nobody has them but the person."""
    if own := [one for one in broken if one.path in folder.outside]:
        raise ProblemsFound(
            f"{count_nouns(len(own), 'file')} of {folder.name} {agree_verb(len(own), 'are')} the person's own: "
            "there is nowhere to fetch them from",
            hint=suggest_own(folder.name),
        )


def repair_listed(
    resources: Resources,
    folder: "DatasetFolder",
    entry: "Dataset",
    receipt: "Receipt",
    broken: "list[Content]",
) -> None:
    """Fetch files that a host or a table listed from where they came; its listing is not asked again."""
    from dermdata.fetching.listing import add_known_files

    require_addresses(receipt, broken)
    try:
        fetch_broken(resources, folder, add_known_files(entry, receipt), receipt, broken)
    except Offline:
        raise
    except (NetworkError, PersonMustAct) as error:
        error.hint = suggest_fetch(entry.name)  # a listing of today may have other addresses
        raise


def fetch_broken(
    resources: Resources,
    folder: "DatasetFolder",
    dataset: "Dataset",
    receipt: "Receipt",
    broken: "list[Content]",
) -> None:
    """Carry out the plan of a fetch for these files only."""
    from dermdata.api.fetch_dataset import list_files, open_fetch_context
    from dermdata.fetching import FetchSettings, make_plan, run_plan
    from dermdata.fetching.copies import choose_obtainer

    entry = resources.catalog[folder.name]
    with (
        resources.show_progress() as progress,
        resources.transfer(progress) as transfer,
        resources.cache.lock(folder.name, waiting=resources.say),
    ):
        context = open_fetch_context(resources, transfer, progress, [], count_cores())
        if needs_list(entry, broken):
            dataset, context = list_files(resources, entry, FetchSettings(), context)
        digest = resources.library.manifest_digest(entry)
        steps = make_plan(dataset, receipt, FetchSettings(), digest, broken)
        known = tuple(file for file in steps.download if receipt.file(file.name))
        steps = replace(steps, download=known)  # repair never fetches what was not there before
        run_plan(steps, context, choose_obtainer(steps))


def needs_list(entry: "Dataset", broken: "Sequence[Content]") -> bool:
    """Whether a broken file came in a zip that its host makes of many: alone it is at an address of the host's list."""
    from dermdata.hosts import BUNDLING_HOSTS

    own = {file.name for file in entry.files}
    bundled = (entry.listing or "").partition(":")[0] in BUNDLING_HOSTS
    return bundled and any(one.member and one.file not in own for one in broken)


def sweep_extra(resources: Resources, folder: "DatasetFolder", extra: Sequence[str]) -> None:
    """What is extra and ours, since a killed run left it, goes; nothing else that is."""
    from dermdata.fetching.repair import list_leftovers, remove_leftovers

    if extra:
        with resources.cache.lock(folder.name, waiting=resources.say):
            if not set(extra).isdisjoint(list_leftovers(folder)):
                remove_leftovers(folder)


def require_addresses(receipt: "Receipt", broken: "Sequence[Content]") -> None:
    """ProblemsFound for a file that was made of a host's answers: only another fetch makes it again."""
    for one in broken:
        fetched = receipt.file(one.file)
        if fetched and not fetched.url.startswith(("https:", "http:")):
            raise ProblemsFound(
                f"{one.path} of {receipt.dataset} has no address on record to repair it from",
                hint=suggest_fetch(receipt.dataset),
            )


# ------------------------------------------------------------------ what to do about it


def suggest_fetch(name: str) -> str:
    return f"the same `dermdata fetch {name} …` as before (--where, --limit) asks its host anew and mends it"


def suggest_own(name: str) -> str:
    return f"put them back as they were, or `dermdata fetch {name} --force` takes them as they are now"


def suggest_repair(folders: "Sequence[DatasetFolder]", wrong: "Sequence[FileCheck]") -> str:
    """What mends it: a dataset whose own lists are broken must be built anew."""
    lost = [one.dataset for one in wrong if one.path == "receipt.json"]
    outside = {(folder.name, path) for folder in folders for path in folder.outside}
    if own := next((one.dataset for one in wrong if (one.dataset, one.path) in outside), None):
        return suggest_own(own)
    if lost:
        return f"`dermdata fetch {' '.join(lost)} --force` builds anew what has no sound receipt"
    return explain_extra(folders, wrong) or "`dermdata verify --repair` fetches just those again"


def explain_extra(folders: "Sequence[DatasetFolder]", left: "Sequence[FileCheck]") -> str | None:
    """Where nothing but extra files is wrong: whose they are."""
    from dermdata.fetching.repair import list_leftovers

    if any(one.status != "extra" for one in left):
        return None
    found = {(one.dataset, one.path) for one in left}
    concerned = {name for name, _ in found}
    ours = {(one.name, path) for one in folders if one.name in concerned for path in list_leftovers(one)}
    if found <= ours:
        names = " ".join(sorted(concerned))
        return f"a killed run left them: `dermdata fetch {names}` or `verify --repair` sweeps them"
    return "files that dermdata did not put there are never deleted: move them away"
