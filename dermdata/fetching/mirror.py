"""Keeps a dataset's original files as `<mirror>/<dataset>/<file name>`, the layout that `fetch --mirror` reads."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from dermdata import disk
from dermdata.cache import Receipt
from dermdata.errors import DermdataError, IntegrityError, UsageError
from dermdata.fetching import ingest, sums
from dermdata.fetching.plan import Wants, is_had
from dermdata.fetching.run import SAVING, STREAMS, Workshop, raise_first
from dermdata.model import Dataset, File
from dermdata.sources.record import plain


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """One dataset's folder in a mirror, what is to be on it, and what the cache has of that."""

    dataset: Dataset
    files: tuple[File, ...]
    path: Path
    cached: dict[str, Path]  # files that the cache keeps as they were published
    digests: dict[str, str]  # and their SHA-256

    @property
    def absent(self) -> tuple[File, ...]:
        """What is not there yet, by a look at names and sizes."""
        return tuple(file for file in self.files if not self._seems_there(file))

    def _seems_there(self, file: File) -> bool:
        path = self.path / file.name
        return path.is_file() and file.size in (None, path.stat().st_size)


def shelf(dataset: Dataset, wants: Wants, root: Path, receipt: Receipt | None, cache: Path) -> Shelf:
    """What a mirror of one dataset holds; UsageError where files alone cannot stand in for its host.

    `receipt` and `cache` (the dataset's cache folder) say what need not be downloaded.
    """
    if dataset.listing and wants.only != "metadata":
        raise UsageError(
            f"{dataset.name}: which files there are, only its host or table says, so a mirror of files is not enough",
            hint=f"`dermdata fetch {dataset.name}`, then `dermdata cache bundle {dataset.name} -o FILE.tar`",
        )
    files = tuple(file for file in dataset.files if file.fetch and file.role in wants.roles)
    for file in files:
        if not plain(file.name) or file.name == sums.NAME:
            raise UsageError(f"{dataset.name}: a mirror cannot hold a file of the name {file.name!r}")
    had = [one for file in files if receipt and (one := receipt.file(file.name)) and is_had(file, one)]
    return Shelf(
        dataset=dataset,
        files=files,
        path=root / dataset.name,
        cached={one.name: cache / one.path for one in had if one.path},
        digests={one.name: one.sha256 for one in had if one.path},
    )


def fill(shelf: Shelf, workshop: Workshop) -> int:
    """Bring what is not there, verified; the bytes that were not there before. Goes on where a killed run stopped."""
    disk.require_space(shelf.path, sum(file.size or 0 for file in shelf.absent))
    keeper = Keeper(shelf, workshop)
    try:
        with ThreadPoolExecutor(max_workers=STREAMS) as pool:
            raise_first([pool.submit(keeper.keep, file) for file in shelf.files])
    finally:
        keeper.save()  # what is whole is noted even when something else failed
    return keeper.brought


class Keeper:
    """Puts files on a shelf, several at once, and notes the checksum of each."""

    def __init__(self, shelf: Shelf, workshop: Workshop) -> None:
        self._shelf, self._workshop = shelf, workshop
        before = sums.read(shelf.path)
        self._sums = {name: digest for name, digest in before.items() if (shelf.path / name).is_file()}
        self._lock = threading.Lock()
        self._saved = 0.0
        self.brought = 0

    def keep(self, file: File) -> None:
        """One file under its final name: as it is there, from the cache, else from where its source says."""
        whole = self._standing(file) or self._from_cache(file)
        if whole is None:
            whole = self._from_source(file)
            with self._lock:
                self.brought += whole.size
        with self._lock:
            self._sums[file.name] = whole.sha256
            if time.monotonic() - self._saved > SAVING:
                self._save()

    def _standing(self, file: File) -> ingest.Taken | None:
        noted = self._sums.get(file.name)
        known = file.checksum or (f"sha256:{noted}" if noted else None)
        self._workshop.progress.begin(file.name, file.size)
        whole = ingest.already(replace(file, checksum=known), self._shelf.path / file.name)
        if whole:
            self._workshop.progress.end(file.name, "is there, its checksum is right")
        return whole

    def _from_cache(self, file: File) -> ingest.Taken | None:
        """The cache's own copy, if it is sound; a damaged one is `verify`'s matter, and the source is asked."""
        source = self._shelf.cached.get(file.name)
        if source is None or not source.is_file():
            return None
        asked = replace(file, checksum=file.checksum or f"sha256:{self._shelf.digests[file.name]}")
        try:
            taken = ingest.copy(asked, source, self._shelf.path / file.name, self._workshop.progress)
        except IntegrityError:
            return None
        self._workshop.progress.end(file.name, "from the cache")
        return taken

    def _from_source(self, file: File) -> ingest.Taken:
        shelf, workshop = self._shelf, self._workshop
        target = shelf.path / file.name
        try:
            place = workshop.resolve(shelf.dataset, file)
            return ingest.take(file, place, target, workshop.transfer, workshop.progress, fresh=True)
        except DermdataError as error:
            raise workshop.explain(error, shelf.dataset, file) from error

    def save(self) -> None:
        with self._lock:
            if self._sums:
                self._save()

    def _save(self) -> None:
        sums.write(self._shelf.path, self._sums)
        self._saved = time.monotonic()
