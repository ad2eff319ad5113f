"""The local cache: where each dataset lies, its receipt and contents, its lock, and what to clean up.

    <root>/datasets/<name>/<version>/manifest.parquet   written last
                                    /receipt.json       what was fetched, from where, verified how
                                    /contents-*.tsv     every file with size, SHA-256, place in its archive
                                    /files/…  images/…  masks/…
    <root>/locks/<name>.lock
    <root>/index/catalog-*.json                         compiled catalogs, only copies

    folder.py   one version's folder        receipt.py  its receipt and contents as values
    locks.py    one process at a time       dedup.py    equal bytes stored once, and counted once
    cleanup.py  what killed runs left

Further caches may be read beside it, such as a group's shared one, and are never written to.

Paths inside are relative, so the cache may be moved. Receipt, contents and manifest name each other's
SHA-256: a torn set is seen and made again, never trusted.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from dermdata import disk
from dermdata.cache.cleanup import Leftover, find_superfluous, find_temporaries
from dermdata.cache.dedup import Deduplicator, DiskUsage, measure_usage, total_bytes
from dermdata.cache.folder import DatasetFolder, holds_files
from dermdata.cache.locks import find_holder, hold_lock
from dermdata.cache.receipt import FetchedFile, Receipt, RecognizedBy
from dermdata.manifest_file import cached_names, version_folder, version_slug
from dermdata.model import Dataset

__all__ = [
    "Cache",
    "DatasetFolder",
    "DiskUsage",
    "FetchedFile",
    "Leftover",
    "Receipt",
    "RecognizedBy",
    "measure_usage",
    "total_bytes",
    "version_slug",
]


class Cache:
    """The folder that holds all datasets, and those that are only read; opening it touches nothing."""

    def __init__(self, root: Path, read_only: Sequence[Path] = ()) -> None:
        self.root, self.read_only = root, tuple(read_only)

    @property
    def index(self) -> Path:
        return self.root / "index"

    def folder(self, dataset: Dataset) -> DatasetFolder:
        """Where this dataset's version lies, or would lie, in the folder that is written to."""
        return self.version_folder(dataset.name, dataset.version)

    def find_folder(self, dataset: Dataset) -> DatasetFolder:
        """Where this dataset's version is read: here, else in the first further cache that has its manifest."""
        folders = [cache.folder(dataset) for cache in self.all_caches]
        return next((one for one in folders if one.manifest.exists()), folders[0])

    def image_folders(self, name: str, dataset: Dataset | None) -> list[Path]:
        """Where images of a dataset may be, in the caches' order; of every version where no catalog says which."""
        meant = [cache.folder(dataset).path for cache in self.all_caches] if dataset else []
        if there := [path for path in meant if path.is_dir()]:
            return there
        return [folder.path for cache in self.all_caches for folder in cache.versions(name)]

    def owns(self, folder: DatasetFolder) -> bool:
        """Whether a folder is in the cache that is written to."""
        return folder.path.is_relative_to(self.root)

    @property
    def all_caches(self) -> "tuple[Cache, ...]":
        """This one, then those that are only read."""
        return (self, *map(Cache, self.read_only))

    def version_folder(self, name: str, version: str | None) -> DatasetFolder:
        return DatasetFolder(version_folder(self.root, name, version), name, version)

    def folders(self) -> Iterator[DatasetFolder]:
        """Every dataset version that has a receipt, by name."""
        for path in self._version_folders("*"):
            if (path / "receipt.json").exists():
                yield DatasetFolder(path, path.parent.name, path.name)

    def names(self) -> list[str]:
        """Every dataset of which a file is here, complete or not."""
        return sorted({path.parent.name for path in self._version_folders("*")})

    def versions(self, name: str) -> list[DatasetFolder]:
        """All that is there of one dataset, with a receipt or without."""
        return [DatasetFolder(path, path.parent.name, path.name) for path in self._version_folders(name)]

    def _version_folders(self, name: str) -> Iterator[Path]:
        for path in sorted(self.root.glob("datasets/*/*")):
            if (
                name in ("*", path.parent.name)
                and path.name[0] != "."
                and path.is_dir()
                and holds_files(path)
            ):
                yield path

    def cached_names(self) -> set[str]:
        """The names with a manifest in any cache, quickly: no file is opened."""
        return set().union(*(cached_names(root) for root in (self.root, *self.read_only)))

    def lock(
        self, name: str, *, waiting: Callable[[str], None], patience: float = 3600
    ) -> AbstractContextManager[None]:
        """Hold one dataset against other processes; says whom it waits for, CacheBusy after `patience` seconds.

        Where the file system's locks do nothing, two writers only double the traffic: every file still
        takes its name by an atomic rename of bytes that were checked.
        """
        return hold_lock(self.root / "locks" / f"{name}.lock", name, waiting, patience)

    def deduplicate(self, folder: DatasetFolder, *, jobs: int = 1) -> int:
        """Store what other datasets have too only once; the bytes saved. For whoever holds the folder's lock."""
        others = (one for one in self.folders() if one.path != folder.path)
        return Deduplicator(folder, others).run(jobs)

    def holder(self, name: str) -> str | None:
        """Who holds a dataset now; asks only, and creates no lock file."""
        return find_holder(self.root / "locks" / f"{name}.lock")

    def remove(self, folder: DatasetFolder) -> int:
        """Delete one dataset version; the bytes that were freed: what others share stays."""
        freed = measure_usage(folder.path).own
        with disk.storage_errors(folder.path):
            (folder.path / "receipt.json").unlink(missing_ok=True)
            shutil.rmtree(folder.path)
            if not any(folder.path.parent.iterdir()):
                folder.path.parent.rmdir()
        return freed

    def find_leftovers(
        self, name: str | None, older_than: float, place: Callable[[str], str]
    ) -> list[Leftover]:
        """What killed runs left of one dataset, or (None) of the cache as a whole.

        `older_than` in seconds since the epoch, `place`: see cleanup.find_superfluous.
        """
        if name is None:
            rooms = [self.root / "datasets", self.index]
            return [one for room in rooms for one in find_temporaries(room, older_than, deep=False)]
        found = list(find_temporaries(self.root / "datasets" / name, older_than))
        return found + [one for folder in self.versions(name) for one in find_superfluous(folder, place)]
