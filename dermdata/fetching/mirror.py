"""Keeps a dataset's original files as `<mirror>/<dataset>/<file name>`, the layout that `fetch --mirror` reads."""

import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from dermdata import disk
from dermdata.cache import Receipt
from dermdata.errors import DermdataError, IntegrityError, UsageError
from dermdata.fetching import ingest
from dermdata.fetching.ingest import SUMS_NAME, read_sha256sums, write_sha256sums
from dermdata.fetching.plan import FetchSettings, is_up_to_date
from dermdata.fetching.receipt_writer import SAVE_INTERVAL
from dermdata.fetching.run import STREAMS, FetchContext
from dermdata.hosts.base import is_plain_name
from dermdata.model import Dataset, File
from dermdata.process import cancel_on_interrupt, raise_first_error


@dataclass(frozen=True, kw_only=True)
class MirrorFolder:
    """One dataset's folder in a mirror, what is to be on it, and what the cache has of that."""

    dataset: Dataset
    files: tuple[File, ...]
    path: Path
    cached: dict[str, Path]  # files that the cache keeps as they were published
    digests: dict[str, str]  # and their SHA-256

    @property
    def absent(self) -> tuple[File, ...]:
        """What is not there yet, by names and sizes."""
        return tuple(file for file in self.files if not self._has_file(file))

    def _has_file(self, file: File) -> bool:
        path = self.path / file.name
        return path.is_file() and file.size in (None, path.stat().st_size)


def plan_mirror_folder(
    dataset: Dataset, wants: FetchSettings, root: Path, receipt: Receipt | None, cache: Path
) -> MirrorFolder:
    """What a mirror of one dataset holds; UsageError where files alone cannot stand in for its host.

    `receipt` and `cache` (the dataset's cache folder) say what need not be downloaded.
    """
    if dataset.listing and wants.only != "metadata":
        raise UsageError(
            f"{dataset.name}: which files there are, only its host or table says, so a mirror of files is not enough",
            hint=f"`dermdata fetch {dataset.name}`, then `dermdata cache bundle {dataset.name} -o FILE.tar`",
        )
    files = wants.select_files(dataset)
    for file in files:
        if not is_plain_name(file.name) or file.name == SUMS_NAME:
            raise UsageError(f"{dataset.name}: a mirror cannot hold a file of the name {file.name!r}")
    had = list_usable_files(files, receipt) if receipt else {}
    return MirrorFolder(
        dataset=dataset,
        files=files,
        path=root / dataset.name,
        cached={name: cache / path for name, (path, _) in had.items()},
        digests={name: digest for name, (_, digest) in had.items()},
    )


def list_usable_files(files: Iterable[File], receipt: Receipt) -> dict[str, tuple[str, str]]:
    """Path and SHA-256 of each file that the cache keeps as its publisher has it now, by name."""
    fetched = {one.name: one for one in receipt.files}
    kept = [one for file in files if (one := fetched.get(file.name)) and is_up_to_date(file, one)]
    return {one.name: (one.path, one.sha256) for one in kept if one.path}


def fill_mirror(mirror: MirrorFolder, context: FetchContext) -> int:
    """Bring what is not there, verified; the bytes that were not there before. Goes on where a killed run stopped."""
    disk.require_space(mirror.path, sum(file.expected_size or 0 for file in mirror.absent))
    writer = MirrorWriter(mirror, context)
    try:
        with cancel_on_interrupt(ThreadPoolExecutor(max_workers=STREAMS)) as pool:
            raise_first_error([pool.submit(writer.store_file, file) for file in mirror.files])
    finally:
        writer.save()  # what is whole is noted even when something else failed
    return writer.new_bytes


class MirrorWriter:
    """Puts files into a mirror, several at once, and notes the checksum of each."""

    def __init__(self, mirror: MirrorFolder, context: FetchContext) -> None:
        self._mirror, self._context = mirror, context
        before = read_sha256sums(mirror.path)
        self._sums = {name: digest for name, digest in before.items() if (mirror.path / name).is_file()}
        self._lock = threading.Lock()
        self._saved = 0.0
        self.new_bytes = 0

    def store_file(self, file: File) -> None:
        """One file under its final name: as it is there, from the cache, else from where its source says."""
        whole = self._find_present(file) or self._copy_from_cache(file)
        if whole is None:
            whole = self._fetch_from_source(file)
            with self._lock:
                self.new_bytes += whole.size
        with self._lock:
            self._sums[file.name] = whole.sha256
            if time.monotonic() - self._saved > SAVE_INTERVAL:
                self._save()

    def _find_present(self, file: File) -> ingest.VerifiedFile | None:
        noted = self._sums.get(file.name)
        known = file.checksum or (f"sha256:{noted}" if noted else None)
        self._context.progress.begin(file.name, file.expected_size)
        whole = ingest.find_complete_file(replace(file, checksum=known), self._mirror.path / file.name)
        if whole:
            self._context.progress.end(file.name, "is there, its checksum is right")
        return whole

    def _copy_from_cache(self, file: File) -> ingest.VerifiedFile | None:
        """The cache's own copy, if it is sound; a damaged one is `verify`'s matter, and the source is asked."""
        source = self._mirror.cached.get(file.name)
        if source is None or not source.is_file():
            return None
        asked = replace(file, checksum=file.checksum or f"sha256:{self._mirror.digests[file.name]}")
        try:
            taken = ingest.copy_verified(asked, source, self._mirror.path / file.name, self._context.progress)
        except IntegrityError:
            return None
        self._context.progress.end(file.name, "from the cache")
        return taken

    def _fetch_from_source(self, file: File) -> ingest.VerifiedFile:
        mirror, context = self._mirror, self._context
        target = mirror.path / file.name
        try:
            place = context.resolve(mirror.dataset, file)
            return ingest.obtain_file(file, place, target, context.transfer, context.progress, fresh=True)
        except DermdataError as error:
            raise context.explain(error, mirror.dataset, file) from error

    def save(self) -> None:
        with self._lock:
            if self._sums:
                self._save()

    def _save(self) -> None:
        write_sha256sums(self._mirror.path, self._sums)
        self._saved = time.monotonic()
