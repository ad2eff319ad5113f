"""Carries out a plan: several files at once, each noted in the receipt as soon as it is whole."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from dermdata import __version__, disk
from dermdata.cache import Cache, DatasetFolder, FetchedFile, Receipt
from dermdata.cache.cleanup import PendingFiles
from dermdata.cache.receipt import DirectoryFingerprint, FetchedSubset
from dermdata.errors import DermdataError, NetworkError, NotTheFile, Offline, StorageError, TableRefused
from dermdata.fetching import ingest
from dermdata.fetching.assemble import LabelResources, assemble_manifest
from dermdata.fetching.plan import (
    BASE_ROLES,
    FetchPlan,
    read_earlier_files,
    read_sound_records,
    read_starting_records,
)
from dermdata.fetching.remote_zip import ZipOpenContext
from dermdata.fetching.repair import inspect_images, repair_files
from dermdata.fetching.zip_ranges import complete_archive
from dermdata.http import HttpClient
from dermdata.model import Content, Dataset, File, Request
from dermdata.process import cancel_on_interrupt
from dermdata.progress import CombinedProgress, Progress, SilentProgress

STREAMS, MANY_STREAMS, MANY_FILES = 4, 16, 100  # files at once; politeness to a host is transfer's matter
SAVE_INTERVAL = 2.0  # seconds between two savings of the receipt while files arrive


@dataclass(frozen=True, kw_only=True)
class FetchContext:
    """What carrying out needs: the cache, the network, the library of labels, the clock."""

    cache: Cache
    transfer: HttpClient
    library: LabelResources
    resolve: Callable[[Dataset, File], Request | Path]
    explain: Callable[[DermdataError, Dataset, File], DermdataError] = lambda error, _, __: error
    official: Callable[[Dataset, File], Request | Path] | None = None  # as resolve, without mirrors
    resolve_context: Any = None  # sources.Surroundings, for listings
    now: Callable[[], str]  # ISO 8601, UTC
    jobs: int = 1
    progress: Progress = field(default_factory=SilentProgress)

    def resolve_official(self, dataset: Dataset, file: File) -> Request | Path:
        """Where the publisher gives a file, whatever mirrors there are."""
        return (self.official or self.resolve)(dataset, file)


@dataclass(frozen=True, kw_only=True)
class FetchResult:
    """What a fetch brought."""

    manifest: Path
    report: Mapping[str, Any]
    downloaded: int  # bytes
    nothing_to_do: bool = False
    part: FetchedSubset | None = None  # the rows that are here, where these are not all


def run_plan(plan: FetchPlan, context: FetchContext, bring: "ObtainFiles | None" = None) -> FetchResult:
    """Download (or `bring` in another way), verify, unpack, mend; then build the manifest and write it last."""
    folder = context.cache.folder(plan.dataset)
    if plan.is_empty:
        receipt = folder.receipt()
        return FetchResult(
            manifest=folder.manifest,
            report=receipt.report if receipt else {},
            downloaded=0,
            nothing_to_do=True,
            part=plan.part,
        )
    folder.remove_dead_temporaries()
    if bring is None:
        require_plan_space(plan, folder)
    receipt_writer = ReceiptWriter(plan, folder, context)
    with receipt_writer.clear_pending_on_failure():
        try:
            (bring or download_files)(plan, folder, context, receipt_writer)
            for content in repair_files(plan, folder, context.transfer, context.resolve, context.progress):
                receipt_writer.replace_content(content)
            for content in inspect_images(plan, folder, context.jobs, context.progress):
                receipt_writer.record_contents([content], 0)
        except BaseException:
            with suppress(StorageError):  # a full disk takes no note; what filled it says more
                receipt_writer.save_after_failure()
            raise
        receipt_writer.save()
        receipt_writer.delete_unpacked_archives()
        with receipt_writer.forget_if_refused():
            report = assemble_manifest(
                plan.dataset,
                folder,
                receipt_writer.contents(),
                context.library,
                context.progress,
                receipt_writer.unavailable,
                receipt_writer.coverage,
                plan.part,
            )
        receipt_writer.close(report, plan.part)
    if plan.download or plan.mend:  # a mere rebuild brings no new bytes
        context.cache.deduplicate(folder, jobs=context.jobs)
    return FetchResult(
        manifest=folder.manifest, report=report.facts, downloaded=receipt_writer.downloaded, part=plan.part
    )


def require_plan_space(plan: FetchPlan, folder: DatasetFolder) -> None:
    """Archives and what they unpack to must fit; unpacked images are about as large as their zip.

    What an earlier run left of them, whole or in part, has its room already.
    """
    needed = sum((file.size or 0) * (2 if file.unpack else 1) for file in plan.download)
    if not plan.wants.force:
        needed -= sum(ingest.count_bytes_on_disk(file, folder) for file in plan.download)
    disk.require_space(folder.path, needed)


def download_files(
    plan: FetchPlan, folder: DatasetFolder, context: FetchContext, receipt_writer: "ReceiptWriter"
) -> None:
    """All missing files, several at once; the first failure stops what has not begun and is raised.

    Where every image has an address of its own (`per-image`), a dead one is noted and the others go on.
    """
    if not plan.download:
        return
    many = len(plan.download) > MANY_FILES
    task = f"{plan.dataset.name}: {len(plan.download):,} files"
    progress = CombinedProgress(context.progress, task) if many else context.progress
    downloads = FileDownloader(plan, folder, context, receipt_writer, progress)
    if many:
        context.progress.begin(task, plan.download_bytes)
    streams = MANY_STREAMS if many else min(STREAMS, len(plan.download))
    with cancel_on_interrupt(ThreadPoolExecutor(max_workers=streams)) as pool:
        raise_first_error([pool.submit(downloads.fetch_file, file) for file in plan.download])
    if many:
        context.progress.end(task)


@dataclass(frozen=True)
class FileDownloader:
    """The files of one fetch on their way, each by one call of `bring`, from several threads."""

    plan: FetchPlan
    folder: DatasetFolder
    context: FetchContext
    receipt_writer: "ReceiptWriter"
    progress: Progress
    # unpacking uses every core by itself
    one_unpacking: threading.Lock = field(default_factory=threading.Lock)

    def fetch_file(self, file: File) -> None:
        """Download, verify and unpack one file, and note it; or note that it cannot be had."""
        try:
            place = self.context.resolve(self.plan.dataset, file)
            if self.fetch_missing_members(file, place):
                return
            taken = self.obtain_whole(file, place)
        except DermdataError as error:
            tolerant = self.plan.dataset.access.kind == "per-image" and file.role == "images"
            dead = isinstance(error, NetworkError | NotTheFile) and not isinstance(error, Offline)
            if not (dead and tolerant):
                raise self.context.explain(error, self.plan.dataset, file) from error
            self.receipt_writer.record_unavailable(file, error.message)
            return
        with self.one_unpacking if file.unpack else nullcontext():
            found = ingest.collect_contents(file, taken, self.folder, self.context.jobs, self.progress)
        self.receipt_writer.record_file(file, taken, found)

    def obtain_whole(self, file: File, place: Request | Path) -> ingest.VerifiedFile:
        """The whole file under its final name."""
        target = ingest.file_path(file, self.folder)
        same_origin = self.receipt_writer.announce_file(target, ingest.origin_key(place))
        with ingest.require_first_seen(file, place, self.receipt_writer.earlier_file(file.name)) as (
            held,
            asked,
        ):
            return ingest.obtain_file(
                held,
                asked,
                target,
                self.context.transfer,
                self.progress,
                fresh=self.plan.wants.force,
                same_origin=same_origin,
            )

    def fetch_missing_members(self, file: File, place: Request | Path) -> bool:
        """Whether what partial fetches left of an archive came alone; never where a checksum covers the whole."""
        part = (
            self.receipt_writer.list_file_contents(file.name)
            if file.unpack and not self.plan.wants.keep_archives
            else []
        )
        if not part or published_checksum(file, place):
            return False
        official = partial(self.context.resolve_official, self.plan.dataset, file)
        known = self.receipt_writer.directory(file.name)
        opening = ZipOpenContext(self.plan.dataset.name, self.context.transfer, known, official)
        brought = complete_archive(
            file, place, part, self.folder, opening, self.progress, self.receipt_writer.announce_members
        )
        if brought:
            self.receipt_writer.record_file(file, *brought)
        return brought is not None


def raise_first_error(futures: list[Future[None]]) -> None:
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
    finally:
        for future in futures:
            future.cancel()
    for future in futures:
        if not future.cancelled():
            future.result()


def published_checksum(file: File, place: Request | Path) -> str | None:
    """The checksum that the catalog states of a file, or else its host."""
    return file.checksum or (place.checksum if isinstance(place, Request) else None)


class ReceiptWriter:
    """The receipt and contents of one folder while files arrive; saved under one lock."""

    def __init__(self, plan: FetchPlan, folder: DatasetFolder, context: FetchContext) -> None:
        self.plan, self.folder, self.context = plan, folder, context
        old, contents = read_starting_records(folder, plan.wants)
        self._before = {one.name: one for one in read_earlier_files(folder)}
        self._earlier_records = read_sound_records(folder) if plan.wants.force else (None, ())
        self._files = {one.name: one for one in plan.have}
        # besides whole files, what partial fetches took out of archives that never were here
        again = {one.name for one in old.files} - set(self._files) if old else set()
        self._contents = {one.path: one for one in contents if one.file not in again}
        here = {one.file for one in self._contents.values()}
        self._directories = {
            name: one for name, one in (old.directories if old else {}).items() if name in here
        }
        self._pending = PendingFiles(folder.path)
        self._pending.announce(())  # from now on it is known that a run has not ended
        self._new_files: set[str] = set()
        self._part = old.part if old else None
        self._roles_before = frozenset(old.roles) if old else frozenset()
        self._roles = self._roles_before | plan.wants.roles
        self._lock = threading.Lock()
        self.downloaded = 0
        self.changed = False  # since the receipt was read
        self._lost = dict(old.lost) if old else {}
        self._saved = time.monotonic()

    def earlier_file(self, name: str) -> FetchedFile | None:
        return self._before.get(name)

    def contents(self) -> tuple[Content, ...]:
        return tuple(self._contents[path] for path in sorted(self._contents))

    @property
    def coverage(self) -> dict[str, bool | None]:
        """Of each catalog file of which something is here whether a published checksum covers it."""
        pieces = {one.file: False for one in self._contents.values() if one.file not in self._files}
        return pieces | self._receipt(None, None, {}).coverage

    def directory(self, name: str) -> DirectoryFingerprint | None:
        """The directory of an archive of which partial fetches took members."""
        return self._directories.get(name)

    def record_directory(self, name: str, directory: DirectoryFingerprint) -> None:
        """Note what an archive's directory is, before a member is taken by it."""
        with self._lock:
            known = self._directories.get(name)
            here = any(one.file == name for one in self._contents.values())
            verified = directory.verified and (not here or bool(known and known.verified))
            official = directory.official or bool(known and known.official)
            self._directories[name] = replace(directory, verified=verified, official=official)

    def announce_file(self, target: Path, origin: str | None) -> bool:
        """Announce a whole file; whether the one that is there came from the same place in an earlier run."""
        path = target.relative_to(self.folder.path).as_posix()
        with self._lock:
            same = origin is not None and self._pending.has_origin(path, origin)
            if not same:
                self._pending.announce([path], origin)
            return same

    def announce_members(self, paths: Sequence[str]) -> None:
        """Note members that are about to get their names."""
        with self._lock:
            self._pending.announce(paths)

    def keep_table_roles(self) -> None:
        """Nothing but tables came of this run, whatever was wanted."""
        self._roles = self._roles_before | BASE_ROLES

    def has_file(self, name: str) -> bool:
        """Whether this catalog file is here as a whole, or known to be lost."""
        return name in self._files or name in self._lost

    def list_file_contents(self, name: str) -> list[Content]:
        """What is here of one catalog file."""
        with self._lock:
            return [one for one in self._contents.values() if one.file == name]

    def record_contents(self, found: list[Content], moved: int) -> None:
        """Note files that come without their archive, or are looked at, and the bytes they cost."""
        with self._lock:
            self._contents |= {one.path: one for one in found}
            self.changed = self.changed or bool(found)
            self.downloaded += moved
            self._save_if_due()

    def record_file(self, file: File, taken: ingest.VerifiedFile, found: list[Content]) -> None:
        """Note one whole file and what it brought."""
        whole = taken.path.is_file()  # not the pieces of a person's own copy
        before = self.earlier_file(file.name)
        stated = before.stated if before and before.sha256 == taken.sha256 else None
        kept = file.unpack is None or (self.plan.wants.keep_archives and whole)
        with self._lock:
            self._files[file.name] = FetchedFile(
                name=file.name,
                role=file.role,
                size=taken.size,
                sha256=taken.sha256,
                # of a copy in pieces, and of an archive of which only ranges came, it says nothing
                checksum=file.checksum if whole else None,
                url=taken.url,
                fetched_at=self.context.now(),
                path=taken.path.relative_to(self.folder.path).as_posix() if kept else None,
                recognized=taken.recognized,
                mirrored=taken.mirrored,
                stated=taken.stated or stated,
            )
            self._new_files.add(file.name)
            if whole:
                self._directories.pop(file.name, None)
            if file.unpack:  # in place of what a partial fetch took out of it
                others = {path: one for path, one in self._contents.items() if one.file != file.name}
                self._contents = others
            self._contents |= {one.path: one for one in found}
            self.changed = True
            self._lost.pop(file.name, None)
            self.downloaded += taken.size if taken.moved is None else taken.moved
            if file.unpack:
                self._save(None, {})
            self._save_if_due()

    def record_unavailable(self, file: File, reason: str) -> None:
        """Note that a file of its own address cannot be had."""
        with self._lock:
            self._lost[file.name] = reason
            self.changed = True

    @property
    def unavailable(self) -> Mapping[str, str]:
        return self._lost

    def replace_content(self, content: Content) -> None:
        self.changed = True
        self._contents[content.path] = content
        self.downloaded += content.member.stored if content.member else content.size

    def save(self) -> None:
        with self._lock:
            self._save(None, {})

    def save_directories(self) -> None:
        """Put the archives' directories on record; all else in the receipt stays as it is."""
        with self._lock:
            receipt = self.folder.receipt()
            if receipt is None or self.changed:
                self._save(None, {})
            else:
                self.folder.write_receipt(replace(receipt, directories=self._directories))

    def save_after_failure(self) -> None:
        """Note what is whole even when something else failed; a run that brought nothing has changed nothing."""
        with self._lock:
            if not self.changed:
                return
            if self.plan.wants.force:
                self._restore_earlier()
            self._save(None, {})

    def _restore_earlier(self) -> None:
        """What was here before --force and was not fetched again is here still."""
        old, contents = self._earlier_records
        files = {one.name: one for one in old.files if one.name not in self._files} if old else {}
        still = {one.path: one for one in contents if one.file not in self._files}
        self._contents = still | self._contents
        self._files |= files
        self._lost = {**(old.lost if old else {}), **self._lost}
        directories = old.directories if old else {}
        self._directories = {
            n: one for n, one in directories.items() if n not in self._files
        } | self._directories
        self._roles |= frozenset(old.roles) if old else frozenset()

    def _save_if_due(self) -> None:
        if time.monotonic() - self._saved > SAVE_INTERVAL:
            self._save(None, {})

    def _save(self, manifest: str | None, report: Mapping[str, Any]) -> None:
        contents = self.folder.write_contents(self._contents.values())
        self.folder.write_receipt(self._receipt(contents, manifest, report))
        self.folder.drop_old_contents(contents)
        self._saved = time.monotonic()

    def _receipt(self, contents: str | None, manifest: str | None, report: Mapping[str, Any]) -> Receipt:
        return Receipt(
            dataset=self.plan.dataset.name,
            version=self.plan.dataset.version,
            tool=__version__,
            catalog_digest=self.context.library.entry_digest(self.plan.dataset.name),
            roles=tuple(sorted(self._roles)),
            files=tuple(self._files[name] for name in sorted(self._files)),
            manifest_sha256=manifest,
            contents_sha256=contents,
            lost=self._lost,
            report=report,
            part=self._part,
            directories=self._directories,
        )

    @contextmanager
    def forget_if_refused(self) -> Iterator[None]:
        """Where a table is refused, files that nothing vouches for are let go: the next run must ask for them again.

        Those are tables without a checksum, and whatever came without one from a mirror in this run.
        """
        try:
            yield
        except TableRefused:
            plain = {file.name for file in self.plan.dataset.files if file.unpack is None}
            self._forget_files(
                name
                for name, one in self._files.items()
                if one.verified is not True
                and ((one.role in BASE_ROLES and name in plain) or (one.mirrored and name in self._new_files))
            )
            raise

    def _forget_files(self, names: Iterable[str]) -> None:
        gone = set(names)
        if not gone:
            return
        with self._lock:
            paths = [path for path, one in self._contents.items() if one.file in gone]
            paths += [one.path for name, one in self._files.items() if name in gone and one.path]
            self._files = {name: one for name, one in self._files.items() if name not in gone}
            self._contents = {path: one for path, one in self._contents.items() if one.file not in gone}
            self._save(None, {})
            for path in paths:
                (self.folder.path / path).unlink(missing_ok=True)

    def delete_unpacked_archives(self) -> None:
        """Delete unpacked archives, after the receipt has noted what they held; an earlier run's too."""
        for file in self.plan.dataset.files:
            fetched = self._files.get(file.name)
            if file.unpack and fetched and fetched.path is None:
                ingest.file_path(file, self.folder).unlink(missing_ok=True)

    def close(self, report: Any, part: FetchedSubset | None) -> None:
        with self._lock:
            self._part = part
            self.changed = False
            self._save(report.manifest_sha256, report.facts)
            self._remove_strays()

    @contextmanager
    def clear_pending_on_failure(self) -> Iterator[None]:
        """A run that fails and leaves no file without a record leaves no list either."""
        try:
            yield
        except BaseException:
            with suppress(StorageError):
                if not self._find_strays():
                    self._pending.clear()
            raise

    def _find_strays(self) -> list[str]:
        kept = {one.path for one in self._files.values() if one.path}
        return self._pending.find_strays(kept | self._contents.keys())

    def _remove_strays(self) -> None:
        """What this run or a killed one brought and no record names goes; then nothing is on its way any more."""
        for path in self._find_strays():
            (self.folder.path / path).unlink(missing_ok=True)
        self._pending.clear()


ObtainFiles = Callable[
    [FetchPlan, DatasetFolder, FetchContext, ReceiptWriter], None
]  # puts all of plan.download into the folder
