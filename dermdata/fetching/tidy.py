"""What a killed run left of a dataset that is complete otherwise: seen by a look at a few names, swept by the next fetch."""

import os
from collections.abc import Iterable

from dermdata.archive import safe_name
from dermdata.cache import Fetched, Folder
from dermdata.cache.folder import TEMPORARY
from dermdata.cache.sweep import let_go
from dermdata.cache.unfinished import Unfinished, has_unfinished
from dermdata.errors import CacheDamaged


def is_untidy(folder: Folder, files: Iterable[Fetched]) -> bool:
    """Whether a run has not ended here, or one of the receipt's `files` is an unpacked archive that is still there.

    A bundle is unpacked beside the folder: what a killed one left is seen there.
    """
    beside = any(TEMPORARY.fullmatch(name) for name in os.listdir(folder.path.parent))  # noqa: PTH208  # a few names
    archives = next(let_go(folder, files, safe_name), None) is not None
    return beside or archives or has_unfinished(folder.path)


def leavings(folder: Folder) -> list[str]:
    """Files of ours that no record names: archives that were let go, and what was on its way."""
    receipt = folder.receipt()
    files = receipt.files if receipt else ()
    kept = {one.path for one in folder.contents()} | {one.path for one in files if one.path}
    archives = {one.path.relative_to(folder.path).as_posix() for one in let_go(folder, files, safe_name)}
    return sorted(archives.union(Unfinished(folder.path).strays(kept)))


def tidy(folder: Folder) -> None:
    """Sweep all of it; for whoever holds the dataset's lock.

    Where the records themselves are broken nothing is: another fetch must tell first what is ours.
    """
    folder.sweep()
    try:
        found = leavings(folder)
    except CacheDamaged:
        return
    for path in found:
        (folder.path / path).unlink(missing_ok=True)
    Unfinished(folder.path).end()
