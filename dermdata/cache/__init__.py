"""The local cache: where each dataset lies, its receipt and contents, its lock, and what to sweep.

    <root>/datasets/<name>/<version>/manifest.parquet   written last
                                    /receipt.json       what was fetched, from where, verified how
                                    /contents-*.tsv     every file with size, SHA-256, place in its archive
                                    /files/…  images/…  masks/…
    <root>/locks/<name>.lock
    <root>/index/catalog-*.json                         compiled catalogs, only copies

Paths inside are relative, so the cache may be moved. Receipt, contents and manifest name each other's
SHA-256: a torn set is seen and made again, never trusted.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from dermdata import disk
from dermdata.cache.folder import Folder
from dermdata.cache.lock import held
from dermdata.cache.records import Fetched, Receipt, Recognized
from dermdata.model import Dataset

__all__ = ["Cache", "Fetched", "Folder", "Receipt", "Recognized", "size_of", "version_slug"]


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
        leaf = version_slug(version)
        return Folder(self.root / "datasets" / name / leaf, name, version)

    def folders(self) -> Iterator[Folder]:
        """Every dataset version that has a receipt, by name."""
        for path in sorted(self.root.glob("datasets/*/*/receipt.json")):
            yield Folder(path.parent, path.parent.parent.name, path.parent.name)

    def cached_names(self) -> set[str]:
        """The names with a manifest, quickly: no file is opened."""
        try:
            names = os.listdir(self.root / "datasets")  # noqa: PTH208  # start-up counts
        except FileNotFoundError:
            return set()
        return {name for name in names if any((self.root / "datasets" / name).glob("*/manifest.parquet"))}

    def lock(
        self, name: str, *, waiting: Callable[[str], None], patience: float = 3600
    ) -> AbstractContextManager[None]:
        """Hold one dataset against other processes; says whom it waits for, CacheBusy after `patience` seconds.

        Where the file system's locks do nothing, two writers only double the traffic: every file still
        takes its name by an atomic rename of bytes that were checked.
        """
        return held(self.root / "locks" / f"{name}.lock", name, waiting, patience)

    def remove(self, folder: Folder) -> int:
        """Delete one dataset version; the bytes that were freed."""
        freed = size_of(folder.path)
        with disk.storage_errors(folder.path):
            (folder.path / "receipt.json").unlink(missing_ok=True)
            shutil.rmtree(folder.path)
            if not any(folder.path.parent.iterdir()):
                folder.path.parent.rmdir()
        return freed

    def leftovers(self, older_than: float) -> list[Path]:
        """Partials and temporary folders last touched before `older_than` (seconds since the epoch)."""
        found = [
            path
            for path in self.root.glob("datasets/**/.*")
            if path.name.endswith((".part", ".part.json", ".tmp"))
        ]
        return sorted(path for path in found if touched(path) < older_than)


def touched(path: Path) -> float:
    """When a file was last changed; never, if another process has just taken it away."""
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return float("inf")


def version_slug(version: str | None) -> str:
    """A folder name for a publisher's version."""
    kept = "".join(char if char.isalnum() or char in ".-_" else "_" for char in version or "")
    return kept.lstrip(".") or "unversioned"


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # another process may finish or sweep a file meanwhile
                total += (Path(parent) / name).lstat().st_size
    return total
