"""Original files kept in a folder that `fetch --mirror` reads: planned, and filled dataset by dataset."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata.api.fetch_dataset import PLAN_KEYS, open_fetch_context, read_sound_receipt, require_license
from dermdata.api.records import Records
from dermdata.api.resources import Resources
from dermdata.errors import DermdataError, UsageError
from dermdata.terminal import format_size

if TYPE_CHECKING:
    from dermdata.api.fetch_request import FetchReport, FetchRequest
    from dermdata.fetching import FetchContext
    from dermdata.fetching.mirror import MirrorFolder
    from dermdata.model import Dataset, File


def mirror_datasets(
    resources: Resources, datasets: "Sequence[Dataset]", request: "FetchRequest", report: "FetchReport"
) -> None:
    """Fill the folder, dataset by dataset."""
    root = require_outside(resources, request)
    with resources.show_progress() as progress, resources.transfer() as transfer:
        context = open_fetch_context(resources, transfer, progress, list(request.mirrors), 1)
        for dataset in datasets:
            try:
                mirrored = plan_mirror(resources, dataset, request, root)
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
            rows += list_steps(plan_mirror(resources, dataset, request, root))
        except DermdataError as error:
            report.add_failure(dataset, error)
    return Records(rows, PLAN_KEYS)


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
    folder = resources.cache.folder(dataset)
    return plan_mirror_folder(dataset, request.wants, root, read_sound_receipt(folder), folder.path)


def fill_mirror(resources: Resources, mirrored: "MirrorFolder", context: "FetchContext") -> None:
    """Bring what is not there, and say so before and after."""
    from dermdata.fetching import mirror

    name = mirrored.dataset.name
    if absent := mirrored.absent:
        total = format_size(sum(file.size or 0 for file in absent))
        resources.say(f"{name}: {len(absent):,} files, {total}, to {mirrored.path}")
    brought = mirror.fill_mirror(mirrored, context)
    what = f"{format_size(brought)} downloaded" if brought else "nothing to download"
    resources.say(f"{name}: {len(mirrored.files):,} files, {what}; checksums in SHA256SUMS")


def list_steps(mirrored: "MirrorFolder") -> Iterator[dict[str, Any]]:
    """A row for each file of the mirror."""
    absent = {file.name for file in mirrored.absent}

    def step(file: "File") -> str:
        if file.name not in absent:
            return "have"
        return "copy" if file.name in mirrored.cached else "download"

    for file in mirrored.files:
        origin = mirrored.cached.get(file.name) or file.source or next(iter(file.urls), "")
        values = (mirrored.dataset.name, step(file), file.name, file.size, file.checksum, str(origin))
        yield dict(zip(PLAN_KEYS, values, strict=True))
