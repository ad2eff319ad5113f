"""`dermdata cache bundle` and `dermdata fetch --from FILE.tar`: cached datasets to a machine without internet."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dermdata import disk
from dermdata.api.display import size
from dermdata.cli.output import Format, emit, write_line
from dermdata.cli.state import State
from dermdata.errors import CacheDamaged, DermdataError, UsageError

if TYPE_CHECKING:
    from dermdata.cache import Folder, Receipt
    from dermdata.cache.bundle import Bundled
    from dermdata.fetching import Wants
    from dermdata.model import Dataset


def write(state: State, names: Sequence[str], target: Path, *, dry_run: bool) -> None:
    """Write a bundle; its SHA-256 goes to stdout as `sha256sum` writes it."""
    from dermdata.cache import usage
    from dermdata.cache.bundle import pack

    folders = [folder for name in names for folder in state.cache.versions(name) if folder.receipt()]
    if missing := set(names) - {folder.name for folder in folders}:
        name = min(missing)
        raise UsageError(f"{name} is not complete", hint=f"`dermdata fetch {name}` completes it")
    disk.require_file(target)
    task, total = f"bundle {target.name}", sum(usage(folder.path).bytes for folder in folders)
    if dry_run:
        return state.say(f"would write {len(folders)} dataset versions to {target}: {size(total)}")
    with state.show_progress() as progress:
        progress.begin(task, total)
        digest = pack(folders, target, lambda count: progress.advance(task, count))
        progress.end(task)
    state.say(f"on the other machine: dermdata --offline fetch {' '.join(names)} --from {target.name}")
    write_line(f"{digest}  {target}")
    return None


def among(paths: Sequence[Path]) -> list[Path]:
    """The bundles among what was given with --from; UsageError when they are mixed with other files."""
    from dermdata.fetching.bundle import is_bundle

    found = [path for path in paths if is_bundle(path)]
    if found and len(found) < len(paths):
        raise UsageError("--from takes bundles or other files, not both at once", hint="run it once for each")
    return found


def take(
    state: State,
    datasets: Sequence["Dataset"],
    wants: "Wants",
    paths: Sequence[Path],
    *,
    jobs: int,
    accepted: bool,
    dry_run: bool,
    form: Format | None,
) -> list[DermdataError]:
    """Each dataset out of the bundles; the failures, already told where there are several names."""
    from dermdata.api.fetch_dataset import PLAN_KEYS, require_license
    from dermdata.cli.failures import failed
    from dermdata.fetching.bundle import index

    held = {(one.name, one.folder): (path, one) for path in reversed(paths) for one in index(path)}
    places = [(dataset, *place_of(state, dataset, held)) for dataset in datasets]
    if dry_run:
        rows = [
            {"dataset": dataset.name, "step": "unpack", "file": path.name, "from": str(path)}
            for dataset, path, _ in places
        ]
        emit(rows, PLAN_KEYS, form, "fetch")
        return []
    errors: list[DermdataError] = []
    for dataset, path, one in places:
        try:
            agreed = accepted or dataset.access.kind == "agreement"
            require_license(state, dataset, accepted=agreed)
            with state.cache.lock(dataset.name, waiting=state.say):
                take_one(state, dataset, wants, path, one, jobs)
        except DermdataError as error:
            errors.append(failed(error, dataset, several=len(datasets) > 1))
    return errors


def place_of(
    state: State, dataset: "Dataset", held: dict[tuple[str, str], tuple[Path, "Bundled"]]
) -> tuple[Path, "Bundled"]:
    """The bundle that holds the version that the catalog means; UsageError, with what they hold, otherwise."""
    leaf = state.cache.folder(dataset).path.name
    if found := held.get((dataset.name, leaf)):
        return found
    inside = ", ".join(sorted(f"{name} {version}" for name, version in held)) or "nothing"
    raise UsageError(
        f"no {dataset.name} of version {leaf} in the bundle",
        hint=f"it holds {inside}; for another version, use the catalog that it was made with",
    )


def take_one(state: State, dataset: "Dataset", wants: "Wants", path: Path, one: "Bundled", jobs: int) -> None:
    from dermdata.fetching.bundle import unpack

    folder = state.cache.folder(dataset)
    if stands(folder, one, force=wants.force):
        state.say(f"{dataset.name}: nothing to do")
    else:
        folder.sweep()
        task = f"unpack {dataset.name}"
        with state.show_progress() as progress:
            progress.begin(task, None)
            unpack(path, one, state.cache, jobs=jobs, advance=lambda count: progress.advance(task, count))
            state.cache.share(folder, jobs=jobs)
            progress.end(task, "every checksum is right")
    bring_up_to_date(state, dataset, jobs)
    write_line(str(folder.manifest))


def stands(folder: "Folder", one: "Bundled", *, force: bool) -> bool:
    """Whether the cache has this very dataset; UsageError when it has another state of it, without --force."""
    from dermdata.checksum import of_file

    receipt = receipt_of(folder)
    if force or receipt is None or receipt.manifest_sha256 is None or not folder.manifest.is_file():
        return False
    if of_file(folder.path / "receipt.json").sha256 == one.receipt_sha256:
        return True
    raise UsageError(
        f"{folder.name} is in the cache already, as another fetch left it",
        hint="--force puts the bundle's in its place",
    )


def receipt_of(folder: "Folder") -> "Receipt | None":
    """The receipt; a broken one stands in nobody's way, since the bundle brings a whole one."""
    try:
        return folder.receipt()
    except CacheDamaged:
        return None


def bring_up_to_date(state: State, dataset: "Dataset", jobs: int) -> None:
    """Build the manifest anew where this catalog is another one, and say what the bundle does not hold."""
    from dermdata.api.fetch_dataset import already, open_workshop, plan_fetch
    from dermdata.api.fetch_report import tell
    from dermdata.fetching import Wants, run

    wants = Wants()
    entry = already(state, dataset, wants) or dataset
    plan = plan_fetch(state, entry, wants)
    if plan.download or plan.mend:
        receipt = state.cache.folder(dataset).receipt()
        roles = ", ".join(receipt.roles) if receipt else ""
        state.say(
            f"warning: {dataset.name}: {len(plan.download):,} files of this catalog ({size(plan.bytes)}) "
            f"are not in the bundle, which was fetched for {roles}"
        )
    elif not plan.nothing:
        with state.show_progress() as progress:
            tell(state, dataset, run(plan, open_workshop(state, None, progress, [], jobs)))
