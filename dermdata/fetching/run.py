"""Carries out a plan: several files at once, each noted in the receipt as soon as it is whole."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dermdata import disk
from dermdata.cache import Cache, DatasetFolder
from dermdata.cache.receipt import FetchedSubset
from dermdata.errors import (
    BrokeOff,
    CannotConnect,
    DermdataError,
    HostRefused,
    NetworkError,
    NotTheFile,
    Offline,
    ProxyUnreachable,
    ServerRefused,
    Stalled,
    StorageError,
)
from dermdata.fetching import ingest
from dermdata.fetching.assemble import LabelResources, assemble_manifest
from dermdata.fetching.plan import FetchPlan
from dermdata.fetching.receipt_writer import ReceiptWriter
from dermdata.fetching.remote_zip import ZipOpenContext
from dermdata.fetching.repair import inspect_images, repair_files
from dermdata.fetching.zip_ranges import complete_archive
from dermdata.http import HttpClient
from dermdata.markup import agree_verb, count_nouns
from dermdata.model import CopiedDataset, Dataset, File, Request
from dermdata.process import cancel_on_interrupt, raise_first_error
from dermdata.progress import ALL_BYTES, CombinedProgress, Progress, SilentProgress, SummedProgress

REASONS_SHOWN = 5
# images of a host that fail alike in a row before it is asked for no more in this run: tried again and again, or gone
FAILED_FILES, GONE_FILES = 24, 200
FAULT_STATUS = 500  # and above: the host's own trouble
STREAMS, MANY_STREAMS, MANY_FILES = (
    4,
    16,
    100,
)  # files at once; politeness to a host is the HTTP client's matter


# what keeps from every file alike: an image that meets it is not dead
ON_THE_WAY = (Offline, ProxyUnreachable)


@dataclass(frozen=True, kw_only=True)
class FetchContext:
    """What carrying out needs: the cache, the network, the library of labels, the clock."""

    cache: Cache
    transfer: HttpClient
    library: LabelResources
    resolve: Callable[[Dataset, File], Request | Path]
    explain: Callable[[DermdataError, Dataset, File], DermdataError] = lambda error, _, __: error
    official: Callable[[Dataset, File], Request | Path] | None = None  # as resolve, without mirrors
    resolve_context: Any = None  # hosts.ResolveContext, for listings
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
    copied: CopiedDataset | None = None  # the copy that stands in for the publisher


# puts all of plan.download into the folder
ObtainFiles = Callable[[FetchPlan, DatasetFolder, FetchContext, ReceiptWriter], None]


def run_plan(plan: FetchPlan, context: FetchContext, bring: ObtainFiles | None = None) -> FetchResult:
    """Download, verify, unpack, mend; then build the manifest and write it last.

    Parameters
    ----------
    plan
        What is to be done; nothing is a plan too.
    context
        The cache, the network, the labels, the clock. The caller holds the dataset's lock.
    bring
        Puts the plan's files into the folder in another way than by downloading them.

    Returns
    -------
    FetchResult
        The manifest, its report, and the bytes that were downloaded.

    Raises
    ------
    NetworkError, IntegrityError, StorageError, PersonMustAct
        If a file does not come whole; what is whole by then stays noted, and the next fetch goes on from there.
    TableRefused
        If the source's table cannot be read.

    """
    folder = context.cache.folder(plan.dataset)
    if plan.is_empty:
        folder = context.cache.find_folder(plan.dataset)  # all may be in a cache that is only read
        receipt = folder.receipt()
        return FetchResult(
            manifest=folder.manifest,
            report=receipt.report if receipt else {},
            downloaded=0,
            nothing_to_do=True,
            part=plan.part,
            copied=find_copied(plan),
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
        manifest=folder.manifest,
        report=report.facts,
        downloaded=receipt_writer.downloaded,
        part=plan.part,
        copied=find_copied(plan),
    )


def find_copied(plan: FetchPlan) -> CopiedDataset | None:
    """The entry by its copy; None where its publisher gives it."""
    return plan.dataset if isinstance(plan.dataset, CopiedDataset) else None


def require_plan_space(plan: FetchPlan, folder: DatasetFolder) -> None:
    """Archives and what they unpack to must fit; unpacked images are about as large as their zip.

    What an earlier run left of them, whole or in part, has its room already; it is only looked for where that counts.
    """
    needed = sum((file.expected_size or 0) * (2 if file.unpack else 1) for file in plan.download)
    if not plan.wants.force and not disk.has_space(folder.path, needed):
        needed -= sum(ingest.count_bytes_on_disk(file, folder) for file in plan.download)
    disk.require_space(folder.path, needed)


def download_files(
    plan: FetchPlan, folder: DatasetFolder, context: FetchContext, receipt_writer: ReceiptWriter
) -> None:
    """All missing files, several at once; the first failure stops what has not begun and is raised.

    Where every image has an address of its own (`per-image`), a dead one is noted and the others go on.
    """
    if not plan.download:
        return
    many = len(plan.download) > MANY_FILES
    hosts = HostAnswers(list_giving_hosts(plan.dataset, folder))
    downloads = FileDownloader(plan, folder, context, receipt_writer, context.progress, hosts)
    if len(plan.download) > 1:
        task = f"{plan.dataset.name}: {count_nouns(len(plan.download), 'file')}"
        total = CombinedProgress(context.progress, task) if many else None
        names = {file.name for file in plan.download}
        downloads = replace(downloads, progress=total or SummedProgress(context.progress, task, names))
        context.progress.begin(task, plan.download_bytes, "B" if many else ALL_BYTES)
    streams = MANY_STREAMS if many else min(STREAMS, len(plan.download))
    with downloads.leave_silent_hosts(), cancel_on_interrupt(ThreadPoolExecutor(max_workers=streams)) as pool:
        raise_first_error([pool.submit(downloads.fetch_file, file) for file in plan.download])
    tell_refused(plan.dataset, receipt_writer, context.progress)
    if len(plan.download) > 1:
        context.progress.end(task)


@dataclass(frozen=True)
class FileDownloader:
    """The files of one fetch on their way, each by one call of `bring`, from several threads."""

    plan: FetchPlan
    folder: DatasetFolder
    context: FetchContext
    receipt_writer: ReceiptWriter
    progress: Progress
    hosts: "HostAnswers"
    # unpacking uses every core by itself
    one_unpacking: threading.Lock = field(default_factory=threading.Lock)

    def leave_silent_hosts(self) -> AbstractContextManager[None]:
        """Where thousands of images have addresses of their own, not each is tried at a host that answers none."""
        return (
            self.context.transfer.leave_silent_hosts()
            if has_loose_images(self.plan.dataset)
            else nullcontext()
        )

    def fetch_file(self, file: File) -> None:
        """Download, verify and unpack one file, and note it; or note that it cannot be had."""
        try:
            taken = self.obtain_joined(file) if file.parts else self.obtain_single(file)
        except DermdataError as error:
            if not self.is_bearable(error, file):
                raise self.context.explain(error, self.plan.dataset, file) from error
            self.record_loss(file, error)
            return
        if taken is None:
            return
        self.hosts.note_file(file)
        with self.one_unpacking if file.unpack else nullcontext():
            found = ingest.collect_contents(file, taken, self.folder, self.context.jobs, self.progress)
        self.receipt_writer.record_file(file, taken, found)

    def is_bearable(self, error: DermdataError, file: File) -> bool:
        """Whether a file may be wanting: one image of a dataset whose images have addresses of their own."""
        tolerant = has_loose_images(self.plan.dataset) and file.role == "images"
        dead = isinstance(error, NetworkError | NotTheFile | HostRefused) and not isinstance(
            error, ON_THE_WAY
        )
        return dead and tolerant

    def record_loss(self, file: File, error: DermdataError) -> None:
        """Note that a file cannot be had: for good, or as long as its host gives nothing or cannot be reached."""
        reason = self.hosts.note_failure(file, error) or error
        if is_passing(error):
            self.receipt_writer.record_refused(file, reason.message)
        else:
            self.receipt_writer.record_unavailable(file, error.message)

    def find_closed_host(self, place: Request | Path) -> DermdataError | None:
        """What the only host that is to be asked has said to all, if it has."""
        if isinstance(place, Path) or len(place.urls) > 1:
            return None
        return self.hosts.closed.get(urlsplit(place.urls[0]).netloc)

    def obtain_single(self, file: File) -> ingest.VerifiedFile | None:
        """The file from its one place; None where its host is closed to all, or what lacked of it came alone."""
        place = self.context.resolve(self.plan.dataset, file)
        if closed := self.find_closed_host(place):
            self.receipt_writer.record_refused(file, closed.message)
            return None
        return None if self.fetch_missing_members(file, place) else self.obtain_whole(file, place)

    def obtain_joined(self, file: File) -> ingest.VerifiedFile:
        """The file put together from its pieces, which are gone then."""
        resolve = partial(self.context.resolve, self.plan.dataset)
        pieces = [self.obtain_whole(part, resolve(part)) for part in file.parts]
        return ingest.join_files(file, pieces, ingest.file_path(file, self.folder))

    def obtain_whole(self, file: File, place: Request | Path) -> ingest.VerifiedFile:
        """The whole file under its final name."""
        target = ingest.file_path(file, self.folder)
        same_origin = self.receipt_writer.announce_file(file, target, ingest.origin_key(place))
        before, force = self.receipt_writer.earlier_file(file.name), self.plan.wants.force
        with ingest.require_first_seen(file, place, None if force else before) as (held, asked):
            taken = ingest.obtain_file(
                held,
                asked,
                target,
                self.context.transfer,
                self.progress,
                fresh=force,
                same_origin=same_origin,
            )
        if force and before and before.checksum is None and before.sha256 != taken.sha256:
            self.progress.say(f"{file.name}: other bytes than those of {before.fetched_at}, taken anew")
        return taken

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


class HostAnswers:
    """What each host gave in this run, and why it is not asked for more: it refuses all, or failed too often alike.

    Parameters
    ----------
    gave
        Hosts that gave files in earlier runs.

    """

    def __init__(self, gave: set[str]) -> None:
        self._gave, self._lock = gave, threading.Lock()
        self._failures = Counter[tuple[str, type[DermdataError], int]]()  # host, kind, status
        self.closed: dict[str, DermdataError] = {}  # nobody asks them for the next file

    def note_file(self, file: File) -> None:
        """A file came: what failed before was no sign of a dead host."""
        for url in file.urls[:1]:
            with self._lock:
                self._gave.add(host := urlsplit(url).netloc)
                for kind in [kind for kind in self._failures if kind[0] == host]:
                    del self._failures[kind]

    def note_failure(self, file: File, error: DermdataError) -> DermdataError | None:
        """Count a failure of a file with one address; why its host is not asked any more, where that is so.

        A failure that may be over tomorrow counts as often as no file has come in between. Files that are gone say
        nothing of those of a host that gave any.
        """
        if len(file.urls) != 1:
            return None
        host, passing = urlsplit(file.urls[0]).netloc, is_passing(error)
        with self._lock:
            if is_about_all(error):  # all of its files have the first one's reason
                return self.closed.setdefault(host, error)
            kind = (host, type(error), getattr(error, "status", 0))
            self._failures[kind] += 1
            count = self._failures[kind]
            if count >= (FAILED_FILES if passing else GONE_FILES) and (passing or host not in self._gave):
                said = f"{host} gave none of {count_nouns(count, 'image')} in a row; of the last: {error.message}"
                self.closed.setdefault(host, NetworkError(said))
            return self.closed.get(host)


def list_giving_hosts(dataset: Dataset, folder: DatasetFolder) -> set[str]:
    """The hosts that gave files to earlier fetches, where a host's images may be gone one by one."""
    receipt = folder.receipt() if has_loose_images(dataset) else None
    return {urlsplit(one.url).netloc for one in receipt.files} if receipt else set()


def has_loose_images(dataset: Dataset) -> bool:
    """Whether each image has an address of its own, of which some may be dead."""
    return dataset.access.kind == "per-image"


def is_passing(error: DermdataError) -> bool:
    """Whether a failure is of the day: a host that refuses everybody or cannot be reached, and not a file that is gone."""
    if isinstance(error, ServerRefused) and error.status >= FAULT_STATUS:
        return True
    return is_about_all(error) or isinstance(error, Stalled | BrokeOff)


def is_about_all(error: DermdataError) -> bool:
    """Whether a failure tells that the next request to this host is vain, too."""
    return isinstance(error, CannotConnect) or (isinstance(error, HostRefused) and error.whole_host)


def tell_refused(dataset: Dataset, receipt_writer: ReceiptWriter, progress: Progress) -> None:
    """Say why images are left for the next fetch, the most frequent reasons first."""
    for reason, count in Counter(receipt_writer.refused.values()).most_common(REASONS_SHOWN):
        left = f"{count_nouns(count, 'image')} {agree_verb(count, 'are')} left"
        progress.say(f"{dataset.name}: {reason}: {left} for the next `dermdata fetch {dataset.name}`")


def published_checksum(file: File, place: Request | Path) -> str | None:
    """The checksum that the catalog states of a file, or else its host."""
    return file.checksum or (place.checksum if isinstance(place, Request) else None)
