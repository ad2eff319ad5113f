"""The local cache: where each dataset lies, its receipt and contents, its lock, and what to sweep.

    <root>/datasets/<name>/<version>/manifest.parquet   written last
                                    /receipt.json       what was fetched, from where, verified how
                                    /contents-*.tsv     every file with size, SHA-256, place in its archive
                                    /files/…  images/…  masks/…
    <root>/locks/<name>.lock
    <root>/index/catalog-*.json                         compiled catalogs, only copies

    folder.py   one version's folder        records.py  its receipt and contents as values
    lock.py     one process at a time       process.py  which one, and whether it lives
    share.py    equal bytes stored once     usage.py    and counted once
    sweep.py    what killed runs left

Paths inside are relative, so the cache may be moved. Receipt, contents and manifest name each other's
SHA-256: a torn set is seen and made again, never trusted.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from dermdata import disk
from dermdata.cache.folder import Folder
from dermdata.cache.lock import held, holder_now
from dermdata.cache.records import Fetched, Receipt, Recognized
from dermdata.cache.share import Sharing
from dermdata.cache.sweep import Leftover, superfluous, temporaries
from dermdata.cache.usage import Usage, in_all, usage
from dermdata.layout import cached_names, version_folder, version_slug
from dermdata.model import Dataset

__all__ = [
    "Cache",
    "Fetched",
    "Folder",
    "Leftover",
    "Receipt",
    "Recognized",
    "Usage",
    "in_all",
    "usage",
    "version_slug",
]


class Cache:
    """The folder that holds all datasets; opening it touches nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def index(self) -> Path:
        return self.root / "index"

    def folder(self, dataset: Dataset) -> Folder:
        """Where this dataset's version lies, or would lie."""
        return self.folder_of(dataset.name, dataset.version)

    def folder_of(self, name: str, version: str | None) -> Folder:
        return Folder(version_folder(self.root, name, version), name, version)

    def folders(self) -> Iterator[Folder]:
        """Every dataset version that has a receipt, by name."""
        for path in self._version_folders("*"):
            if (path / "receipt.json").exists():
                yield Folder(path, path.parent.name, path.name)

    def names(self) -> list[str]:
        """Every dataset that has a folder, complete or not."""
        return sorted({path.parent.name for path in self._version_folders("*")})

    def versions(self, name: str) -> list[Folder]:
        """All that is there of one dataset, with a receipt or without."""
        return [Folder(path, path.parent.name, path.name) for path in self._version_folders(name)]

    def _version_folders(self, name: str) -> Iterator[Path]:
        for path in sorted(self.root.glob("datasets/*/*")):
            if name in ("*", path.parent.name) and path.name[0] != "." and path.is_dir():
                yield path

    def cached_names(self) -> set[str]:
        """The names with a manifest, quickly: no file is opened."""
        return cached_names(self.root)

    def lock(
        self, name: str, *, waiting: Callable[[str], None], patience: float = 3600
    ) -> AbstractContextManager[None]:
        """Hold one dataset against other processes; says whom it waits for, CacheBusy after `patience` seconds.

        Where the file system's locks do nothing, two writers only double the traffic: every file still
        takes its name by an atomic rename of bytes that were checked.
        """
        return held(self.root / "locks" / f"{name}.lock", name, waiting, patience)

    def share(self, folder: Folder, *, jobs: int = 1) -> int:
        """Store what other datasets have too only once; the bytes saved. For whoever holds the folder's lock."""
        others = (one for one in self.folders() if one.path != folder.path)
        return Sharing(folder, others).carry_out(jobs)

    def holder(self, name: str) -> str | None:
        """Who holds a dataset now; asks only, and creates no lock file."""
        return holder_now(self.root / "locks" / f"{name}.lock")

    def remove(self, folder: Folder) -> int:
        """Delete one dataset version; the bytes that were freed: what others share stays."""
        freed = usage(folder.path).own
        with disk.storage_errors(folder.path):
            (folder.path / "receipt.json").unlink(missing_ok=True)
            shutil.rmtree(folder.path)
            if not any(folder.path.parent.iterdir()):
                folder.path.parent.rmdir()
        return freed

    def leftovers(self, name: str | None, older_than: float, place: Callable[[str], str]) -> list[Leftover]:
        """What killed runs left of one dataset, or (None) of the cache as a whole.

        `older_than` in seconds since the epoch, `place`: see sweep.superfluous.
        """
        if name is None:
            rooms = [self.root / "datasets", self.index]
            return [one for room in rooms for one in temporaries(room, older_than, deep=False)]
        found = list(temporaries(self.root / "datasets" / name, older_than))
        return found + [one for folder in self.versions(name) for one in superfluous(folder, place)]
