"""`dermdata fetch --mirror-out DIR`: keep the original files in a folder that `fetch --mirror` reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata.api.display import size
from dermdata.cli.output import Format, emit, write_line
from dermdata.cli.state import State
from dermdata.errors import CacheDamaged, DermdataError, UsageError

if TYPE_CHECKING:
    from dermdata.cache import Receipt
    from dermdata.fetching import Wants, Workshop
    from dermdata.fetching.mirror import Shelf
    from dermdata.model import Dataset


def mirror_out(
    state: State,
    datasets: Sequence["Dataset"],
    wants: "Wants",
    root: Path,
    mirrors: list[str],
    own: list[Path] | None,
    accepted: bool,
    dry_run: bool,
    form: Format | None,
) -> list[DermdataError]:
    """Fill the folder, dataset by dataset; the failures, already told where there are several names."""
    if own:
        said = "--mirror-out keeps official files, --from takes the person's own"
        raise UsageError(said, hint="leave one of them out")
    from dermdata.api.fetch_dataset import PLAN_KEYS, open_workshop
    from dermdata.cli.failures import failed

    root = outside(root.absolute(), state)
    errors: list[DermdataError] = []
    rows: list[dict[str, Any]] = []
    with state.show_progress() as progress, state.transfer() as transfer:
        workshop = open_workshop(state, transfer, progress, mirrors, 1)
        for dataset in datasets:
            try:
                shelf = shelf_of(state, dataset, wants, root, mirrored=bool(mirrors))
                if dry_run:
                    rows += rows_of(shelf)
                    continue
                fill(state, shelf, workshop, accepted=accepted)
            except DermdataError as error:
                errors.append(failed(error, dataset, several=len(datasets) > 1))
    if dry_run:
        emit(rows, PLAN_KEYS, form, "fetch")
    return errors


def outside(root: Path, state: State) -> Path:
    """The folder, which must not be the cache: that keeps archives in another layout."""
    if root.resolve().is_relative_to(state.settings.cache.resolve()):
        raise UsageError(f"--mirror-out {root} lies in the cache itself", hint="give a folder of its own")
    return root


def shelf_of(state: State, dataset: "Dataset", wants: "Wants", root: Path, *, mirrored: bool) -> "Shelf":
    from dermdata.fetching.mirror import shelf
    from dermdata.sources import require_obtainable

    require_obtainable(dataset, mirrored=mirrored)
    return shelf(dataset, wants, root, receipt_of(state, dataset), state.cache.folder(dataset).path)


def receipt_of(state: State, dataset: "Dataset") -> "Receipt | None":
    """What the cache has; a broken receipt has nothing, and is told whenever the dataset is used."""
    try:
        return state.cache.folder(dataset).receipt()
    except CacheDamaged:
        return None


def fill(state: State, shelf: "Shelf", workshop: "Workshop", *, accepted: bool) -> None:
    from dermdata.api.fetch_dataset import require_license
    from dermdata.fetching import mirror

    require_license(state, shelf.dataset, accepted=accepted)
    if absent := shelf.absent:
        total = size(sum(file.size or 0 for file in absent))
        state.say(f"{shelf.dataset.name}: {len(absent):,} files, {total}, to {shelf.path}")
    brought = mirror.fill(shelf, workshop)
    told = f"{size(brought)} downloaded" if brought else "nothing to download"
    state.say(f"{shelf.dataset.name}: {len(shelf.files):,} files, {told}; checksums in SHA256SUMS")
    write_line(str(shelf.path))


def rows_of(shelf: "Shelf") -> list[dict[str, Any]]:
    """What would be downloaded, copied from the cache, or is there."""
    absent = {file.name for file in shelf.absent}
    return [
        {
            "dataset": shelf.dataset.name,
            "step": "have"
            if file.name not in absent
            else "copy"
            if file.name in shelf.cached
            else "download",
            "file": file.name,
            "size_bytes": file.size,
            "checksum": file.checksum,
            "from": str(shelf.cached.get(file.name) or file.source or next(iter(file.urls), "")),
        }
        for file in shelf.files
    ]
