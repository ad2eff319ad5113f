"""Datasets for machines without internet: cached ones as one file, originals for `fetch --mirror`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata import disk
from dermdata.api.cached_datasets import find_cached
from dermdata.api.fetch_dataset import (
    PLAN_KEYS,
    find_earlier,
    foresee_files,
    open_fetch_context,
    plan_fetch,
    read_sound_receipt,
    require_license,
)
from dermdata.api.fetch_outcome import tell_outcome
from dermdata.api.fetch_sources import find_recorded_entry
from dermdata.api.models import find_result
from dermdata.api.records import Records
from dermdata.api.resources import Resources
from dermdata.errors import DermdataError, UsageError
from dermdata.markup import count_nouns
from dermdata.terminal import format_size

if TYPE_CHECKING:
    from dermdata.api.fetch_request import FetchReport, FetchRequest
    from dermdata.cache import DatasetFolder
    from dermdata.fetching import FetchContext
    from dermdata.fetching.bundle import BundledDataset
    from dermdata.fetching.mirror import MirrorFolder
    from dermdata.model import Dataset, File


@dataclass(frozen=True, kw_only=True)
class BundlePlan:
    """What a bundle will hold: every version of its datasets that is in the cache."""

    names: Sequence[str]  # as the cache calls them
    folders: "Sequence[DatasetFolder]"
    sizes: Sequence[int]  # bytes of each
    target: Path

    @property
    def bytes(self) -> int:
        """Bytes of all folders together."""
        return sum(self.sizes)

    def to_records(self) -> Records:
        """A row for each dataset version; `facts` have the bytes of all."""
        rows = [
            {"dataset": folder.name, "version": folder.version, "bytes": count}
            for folder, count in zip(self.folders, self.sizes, strict=True)
        ]
        return Records(rows, ("dataset", "version", "bytes"), {"bytes": self.bytes})


def plan_bundle(resources: Resources, names: Sequence[str], target: Path) -> BundlePlan:
    """What a bundle of these datasets would hold.

    UsageError for one that is not in the cache or not complete, and where no file can be written.
    """
    from dermdata.cache import measure_usage

    there = find_cached(resources, names)
    folders = [folder for folder in there if (receipt := folder.receipt()) and receipt.manifest_sha256]
    names = list(dict.fromkeys(folder.name for folder in there))
    if missing := set(names) - {folder.name for folder in folders}:
        name = min(missing)
        raise UsageError(f"{name} is not complete", hint=f"`dermdata fetch {name}` completes it")
    disk.require_file(target)
    sizes = [measure_usage(folder.path).bytes for folder in folders]
    return BundlePlan(names=names, folders=folders, sizes=sizes, target=target)


def write_bundle(resources: Resources, plan: BundlePlan) -> str:
    """Write the tar, each file checked as it is read; its SHA-256."""
    from dermdata.fetching.bundle import pack_datasets

    task = f"bundle {plan.target.name}"
    with resources.show_progress() as progress:
        progress.begin(task, plan.bytes)
        digest = pack_datasets(plan.folders, plan.target, lambda count: progress.advance(task, count))
        progress.end(task)
    tell_own_entries(resources, plan.names)
    return digest


def tell_own_entries(resources: Resources, names: Sequence[str]) -> None:
    """Say which entries the other machine does not have: those of catalogs that are laid over the bundled one."""
    for name in sorted(resources.catalog.own_names() & set(names)):
        roots = [root for root in resources.catalog.roots[1:] if (root / "datasets" / name).is_dir()]
        for root in roots:
            resources.say(
                f"{name} is of a catalog of your own: take {root / 'datasets' / name} along, "
                "and give the catalog that holds it with --catalog"
            )


# ------------------------------------------------------------------ taking

Place = tuple["Dataset", Path, "BundledDataset"]


def plan_bundles(resources: Resources, datasets: "Sequence[Dataset]", request: "FetchRequest") -> Records:
    """Which bundle each dataset would be unpacked from."""
    rows = [
        {"dataset": dataset.name, "step": "unpack", "file": path.name, "from": str(path)}
        for dataset, path, _ in find_places(resources, datasets, request.own_paths)
    ]
    return Records(rows, PLAN_KEYS)


def take_bundles(
    resources: Resources, datasets: "Sequence[Dataset]", request: "FetchRequest", report: "FetchReport"
) -> None:
    """Take each dataset out of the bundles; what goes wrong goes to the report."""
    for dataset, path, one in find_places(resources, datasets, request.own_paths):
        try:
            require_license(resources, dataset, accepted=request.accepts(dataset))
            with resources.cache.lock(dataset.name, waiting=resources.say):
                take_dataset(resources, dataset, path, one, request)
                report.add_path(dataset, find_result(dataset, resources.cache.folder(dataset).manifest))
        except DermdataError as error:
            report.add_failure(dataset, error)


def find_places(resources: Resources, datasets: "Sequence[Dataset]", paths: Sequence[Path]) -> list[Place]:
    """The bundle that holds the version of each dataset that the catalog means.

    UsageError, with what the bundles hold, where none does.
    """
    from dermdata.fetching.bundle import read_index

    held = {(one.name, one.folder): (path, one) for path in reversed(paths) for one in read_index(path)}
    places = []
    for dataset in datasets:
        leaf = resources.cache.folder(dataset).path.name
        if (dataset.name, leaf) not in held:
            inside = ", ".join(sorted(f"{name} {version}" for name, version in held)) or "nothing"
            raise UsageError(
                f"no {dataset.name} of version {leaf} in the bundle",
                hint=f"it holds {inside}; for another version, use the catalog that it was made with",
            )
        places.append((dataset, *held[dataset.name, leaf]))
    return places


def take_dataset(
    resources: Resources, dataset: "Dataset", path: Path, one: "BundledDataset", request: "FetchRequest"
) -> None:
    """Unpack one dataset, unless it is here just so, and build its manifest for this catalog; for who holds its lock."""
    from dermdata.fetching.bundle import unpack_dataset

    folder, jobs = resources.cache.folder(dataset), request.cores
    if is_there(folder, one, force=request.force):
        resources.say(f"{dataset.name}: nothing to do")
    else:
        folder.remove_dead_temporaries()
        task = f"unpack {dataset.name}"
        with resources.show_progress() as progress:
            progress.begin(task, None)
            unpack_dataset(
                path, one, resources.cache, jobs=jobs, advance=lambda count: progress.advance(task, count)
            )
            resources.cache.deduplicate(folder, jobs=jobs)
            progress.end(task, "every checksum is right")
    bring_up_to_date(resources, dataset, jobs)


def is_there(folder: "DatasetFolder", one: "BundledDataset", *, force: bool) -> bool:
    """Whether the cache has this very dataset; UsageError when it has another state of it, without --force."""
    from dermdata.checksum import hash_file

    receipt = read_sound_receipt(folder)  # the bundle brings a whole one
    if force or receipt is None or receipt.manifest_sha256 is None or not folder.manifest.is_file():
        return False
    if hash_file(folder.path / "receipt.json").sha256 == one.receipt_sha256:
        return True
    raise UsageError(
        f"{folder.name} is in the cache already, as another fetch left it",
        hint="--force puts the bundle's in its place",
    )


def bring_up_to_date(resources: Resources, dataset: "Dataset", jobs: int) -> None:
    """Build the manifest anew where this catalog is another one, and say what the bundle does not hold."""
    from dermdata.fetching import FetchSettings, run_plan

    wants = FetchSettings()
    entry = find_recorded_entry(resources, dataset)
    entry = find_earlier(resources, entry, wants) or entry
    plan = plan_fetch(resources, entry, wants)
    if plan.download or plan.mend:
        receipt = resources.cache.folder(dataset).receipt()
        roles = ", ".join(receipt.roles) if receipt else ""
        resources.say(
            f"warning: {dataset.name}: {count_nouns(len(plan.download), 'file')} "
            f"of this catalog ({format_size(plan.download_bytes)}) "
            f"are not in the bundle, which was fetched for {roles}"
        )
    elif not plan.is_empty:
        with resources.show_progress() as progress:
            outcome = run_plan(plan, open_fetch_context(resources, None, progress, [], jobs))
            tell_outcome(resources, dataset, outcome)


def mirror_datasets(
    resources: Resources, datasets: "Sequence[Dataset]", request: "FetchRequest", report: "FetchReport"
) -> None:
    """Fill the folder, dataset by dataset."""
    root = require_outside(resources, request)
    with resources.show_progress() as progress, resources.transfer(progress) as transfer:
        context = open_fetch_context(resources, transfer, progress, list(request.mirrors), 1)
        for dataset in datasets:
            try:
                entry = list_model(resources, dataset, request)
                mirrored = plan_mirror(resources, entry, request, root)
                require_license(resources, dataset, accepted=request.accept_license)
                fill_mirror(resources, mirrored, context)
                report.add_path(dataset, mirrored.path)
            except DermdataError as error:
                report.add_failure(dataset, error)


def plan_mirrors(
    resources: Resources, datasets: "Sequence[Dataset]", request: "FetchRequest", report: "FetchReport"
) -> Records:
    """What would be downloaded, copied from the cache, or is there; what cannot be mirrored goes to the report."""
    root = require_outside(resources, request)
    rows: list[dict[str, Any]] = []
    for dataset in datasets:
        try:
            entry = list_model(resources, dataset, request)
            rows += list_steps(plan_mirror(resources, entry, request, root))
        except DermdataError as error:
            report.add_failure(dataset, error)
    return Records(rows, PLAN_KEYS)


def list_model(resources: Resources, dataset: "Dataset", request: "FetchRequest") -> "Dataset":
    """A model with the files that its host lists, which is all that a mirror needs; a dataset as it is."""
    if dataset.kind != "model" or not dataset.listing:
        return dataset
    from dermdata.hosts import require_obtainable

    require_obtainable(dataset, mirrored=bool(request.mirrors))
    return replace(foresee_files(resources, dataset, request.wants, list(request.mirrors)), listing=None)


def require_outside(resources: Resources, request: "FetchRequest") -> Path:
    """The folder, which must not be the cache: that keeps archives in another layout."""
    assert request.mirror_out  # noqa: S101  # asked for where it is given only
    root = request.mirror_out.absolute()
    if root.resolve().is_relative_to(resources.settings.cache.resolve()):
        raise UsageError(f"--mirror-out {root} lies in the cache itself", hint="give a folder of its own")
    return root


def plan_mirror(
    resources: Resources, dataset: "Dataset", request: "FetchRequest", root: Path
) -> "MirrorFolder":
    """One dataset's folder in the mirror, and what is to be in it."""
    from dermdata.fetching.mirror import plan_mirror_folder
    from dermdata.hosts import require_obtainable

    require_obtainable(dataset, mirrored=bool(request.mirrors))
    folder = resources.cache.find_folder(dataset)
    return plan_mirror_folder(dataset, request.wants, root, read_sound_receipt(folder), folder.path)


def fill_mirror(resources: Resources, mirrored: "MirrorFolder", context: "FetchContext") -> None:
    """Bring what is not there, and say so before and after."""
    from dermdata.fetching import mirror

    name = mirrored.dataset.name
    if absent := mirrored.absent:
        total = format_size(sum(file.expected_size or 0 for file in absent))
        resources.say(f"{name}: {count_nouns(len(absent), 'file')}, {total}, to {mirrored.path}")
    brought = mirror.fill_mirror(mirrored, context)
    what = f"{format_size(brought)} downloaded" if brought else "nothing to download"
    resources.say(f"{name}: {count_nouns(len(mirrored.files), 'file')}, {what}; checksums in SHA256SUMS")


def list_steps(mirrored: "MirrorFolder") -> Iterator[dict[str, Any]]:
    """A row for each file of the mirror."""
    absent = {file.name for file in mirrored.absent}

    def step(file: "File") -> str:
        if file.name not in absent:
            return "have"
        return "copy" if file.name in mirrored.cached else "download"

    for file in mirrored.files:
        origin = mirrored.cached.get(file.name) or file.source or next(iter(file.urls), "")
        values = (
            mirrored.dataset.name,
            step(file),
            file.name,
            file.expected_size,
            file.checksum,
            str(origin),
        )
        yield dict(zip(PLAN_KEYS, values, strict=True))
