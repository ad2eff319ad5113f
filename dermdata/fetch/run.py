"""Carries out a plan: several files at once, each noted in the receipt as soon as it is whole."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dermdata import __version__, disk
from dermdata.cache import Cache, Fetched, Folder, Receipt
from dermdata.cache.records import Part
from dermdata.errors import DermdataError, NetworkError, NotTheFile, Offline, StorageError
from dermdata.fetch import ingest
from dermdata.fetch.assemble import Library, assemble
from dermdata.fetch.earlier import held, readable, seen_before
from dermdata.fetch.interrupt import interruptible
from dermdata.fetch.mend import looked_at, mend
from dermdata.fetch.plan import ALWAYS, Plan
from dermdata.fetch.rest import rest
from dermdata.model import Content, Dataset, File, Request
from dermdata.progress import Progress, Silent, Together
from dermdata.transfer import Transfer

STREAMS, MANY_STREAMS, MANY_FILES = 4, 16, 100  # files at once; politeness to a host is transfer's matter
SAVING = 2.0  # seconds between two savings of the receipt while files arrive


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What carrying out needs: the cache, the network, the library of labels, the clock."""

    cache: Cache
    transfer: Transfer
    library: Library
    resolve: Callable[[Dataset, File], Request | Path]
    explain: Callable[[DermdataError, Dataset, File], DermdataError] = lambda error, _, __: error
    around: Any = None  # sources.Surroundings, for listings
    now: Callable[[], str]  # ISO 8601, UTC
    jobs: int = 1
    progress: Progress = field(default_factory=Silent)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a fetch brought."""

    manifest: Path
    report: Mapping[str, Any]
    downloaded: int  # bytes
    nothing_to_do: bool = False
    part: Part | None = None  # the rows that are here, where these are not all


def run(plan: Plan, workshop: Workshop, bring: "Bring | None" = None) -> Outcome:
    """Download (or `bring` in another way), verify, unpack, mend; then build the manifest and write it last."""
    folder = workshop.cache.folder(plan.dataset)
    if plan.nothing:
        receipt = folder.receipt()
        return Outcome(
            manifest=folder.manifest,
            report=receipt.report if receipt else {},
            downloaded=0,
            nothing_to_do=True,
            part=plan.part,
        )
    folder.sweep()
    if bring is None:
        require_room(plan, folder)
    ledger = Ledger(plan, folder, workshop)
    try:
        (bring or download)(plan, folder, workshop, ledger)
        for content in mend(plan, folder, workshop.transfer, workshop.resolve, workshop.progress):
            ledger.replace(content)
        for content in looked_at(plan, folder, workshop.jobs, workshop.progress):
            ledger.hold([content], 0)
    except BaseException:
        with suppress(StorageError):  # a full disk takes no note; what filled it says more
            ledger.save_unfinished()
        raise
    ledger.save()
    ledger.let_archives_go()
    report = assemble(
        plan.dataset, folder, ledger.contents(), workshop.library, workshop.progress, ledger.lost, plan.part
    )
    ledger.close(report, plan.part)
    if plan.download or plan.mend:  # a mere rebuild brings no new bytes
        workshop.cache.share(folder, jobs=workshop.jobs)
    return Outcome(
        manifest=folder.manifest, report=report.facts, downloaded=ledger.downloaded, part=plan.part
    )


def require_room(plan: Plan, folder: Folder) -> None:
    """Archives and what they unpack to must fit; unpacked images are about as large as their zip.

    What an earlier run left of them, whole or in part, has its room already.
    """
    needed = sum((file.size or 0) * (2 if file.unpack else 1) for file in plan.download)
    if not plan.wants.force:
        needed -= sum(ingest.room_taken(file, folder) for file in plan.download)
    disk.require_space(folder.path, needed)


def download(plan: Plan, folder: Folder, workshop: Workshop, ledger: "Ledger") -> None:
    """All missing files, several at once; the first failure stops what has not begun and is raised.

    Where every image has an address of its own (`per-image`), a dead one is noted and the others go on.
    """
    one_unpacking = threading.Lock()  # unpacking uses every core by itself
    tolerant = plan.dataset.access.kind == "per-image"
    many = len(plan.download) > MANY_FILES
    task = f"{plan.dataset.name}: {len(plan.download):,} files"
    progress = Together(workshop.progress, task) if many else workshop.progress

    def bring_one(file: File) -> None:
        try:
            place = workshop.resolve(plan.dataset, file)
            part = ledger.of(file.name) if file.unpack and not plan.wants.keep_archives else []
            if by_ranges := rest(file, place, part, folder, workshop.transfer, progress):
                ledger.add(file, *by_ranges)
                return
            target = ingest.target_of(file, folder)
            with ingest.held_to_first_sight(file, place, ledger.before(file.name)) as (held, asked):
                taken = ingest.take(held, asked, target, workshop.transfer, progress, fresh=plan.wants.force)
        except DermdataError as error:
            dead = isinstance(error, NetworkError | NotTheFile) and not isinstance(error, Offline)
            if not (dead and tolerant and file.role == "images"):
                raise workshop.explain(error, plan.dataset, file) from error
            ledger.lose(file, error.message)
            return
        with one_unpacking if file.unpack else nullcontext():
            found = ingest.contents_of(file, taken, folder, workshop.jobs, progress)
        ledger.add(file, taken, found)

    if not plan.download:
        return
    if many:
        workshop.progress.begin(task, plan.bytes)
    streams = MANY_STREAMS if many else min(STREAMS, len(plan.download))
    with interruptible(ThreadPoolExecutor(max_workers=streams)) as pool:
        raise_first([pool.submit(bring_one, file) for file in plan.download])
    if many:
        workshop.progress.end(task)


def raise_first(futures: list[Future[None]]) -> None:
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
    finally:
        for future in futures:
            future.cancel()
    for future in futures:
        if not future.cancelled():
            future.result()


class Ledger:
    """The receipt and contents of one folder while files arrive; saved under one lock."""

    def __init__(self, plan: Plan, folder: Folder, workshop: Workshop) -> None:
        self.plan, self.folder, self.workshop = plan, folder, workshop
        old, contents = held(folder, plan.wants)
        self._before = {one.name: one for one in seen_before(folder)}
        self._there = readable(folder) if plan.wants.force else (None, ())
        self._files = {one.name: one for one in plan.have}
        # besides whole files, what partial fetches took out of archives that never were here
        again = {one.name for one in old.files} - set(self._files) if old else set()
        self._contents = {one.path: one for one in contents if one.file not in again}
        self._part = old.part if old else None
        self._roles_before = frozenset(old.roles) if old else frozenset()
        self._roles = self._roles_before | plan.wants.roles
        self._lock = threading.Lock()
        self.downloaded = 0
        self.changed = False  # since the receipt was read
        self._lost = dict(old.lost) if old else {}
        self._saved = time.monotonic()

    def before(self, name: str) -> Fetched | None:
        return self._before.get(name)

    def contents(self) -> tuple[Content, ...]:
        return tuple(self._contents[path] for path in sorted(self._contents))

    def only_tables(self) -> None:
        """Nothing but tables came of this run, whatever was wanted."""
        self._roles = self._roles_before | ALWAYS

    def has(self, name: str) -> bool:
        """Whether this catalog file is here as a whole, or known to be lost."""
        return name in self._files or name in self._lost

    def of(self, name: str) -> list[Content]:
        """What is here of one catalog file."""
        with self._lock:
            return [one for one in self._contents.values() if one.file == name]

    def hold(self, found: list[Content], moved: int) -> None:
        """Note files that come without their archive, or are looked at, and the bytes they cost."""
        with self._lock:
            self._contents |= {one.path: one for one in found}
            self.changed = self.changed or bool(found)
            self.downloaded += moved
            self._save_now_and_then()

    def add(self, file: File, taken: ingest.Taken, found: list[Content]) -> None:
        """Note one whole file and what it brought."""
        whole = taken.path.is_file()  # not the pieces of a person's own copy
        kept = file.unpack is None or (self.plan.wants.keep_archives and whole)
        with self._lock:
            self._files[file.name] = Fetched(
                name=file.name,
                role=file.role,
                size=taken.size,
                sha256=taken.sha256,
                checksum=file.checksum,
                url=taken.url,
                fetched_at=self.workshop.now(),
                path=taken.path.relative_to(self.folder.path).as_posix() if kept else None,
                recognized=taken.recognized,
            )
            if file.unpack:  # in place of what a partial fetch took out of it
                others = {path: one for path, one in self._contents.items() if one.file != file.name}
                self._contents = others
            self._contents |= {one.path: one for one in found}
            self.changed = True
            self._lost.pop(file.name, None)
            self.downloaded += taken.size if taken.moved is None else taken.moved
            if file.unpack:
                self._save(None, {})
            self._save_now_and_then()

    def lose(self, file: File, reason: str) -> None:
        """Note that a file of its own address cannot be had."""
        with self._lock:
            self._lost[file.name] = reason
            self.changed = True

    @property
    def lost(self) -> Mapping[str, str]:
        return self._lost

    def replace(self, content: Content) -> None:
        self.changed = True
        self._contents[content.path] = content
        self.downloaded += content.member.stored if content.member else content.size

    def save(self) -> None:
        with self._lock:
            self._save(None, {})

    def save_unfinished(self) -> None:
        """Note what is whole even when something else failed; --force that brought nothing has changed nothing."""
        with self._lock:
            if self.plan.wants.force:
                if not self.changed:
                    return
                self._take_back()
            self._save(None, {})

    def _take_back(self) -> None:
        """What was here before --force and was not fetched again is here still."""
        old, contents = self._there
        files = {one.name: one for one in old.files if one.name not in self._files} if old else {}
        still = {one.path: one for one in contents if one.file not in self._files}
        self._contents = still | self._contents
        self._files |= files
        self._lost = {**(old.lost if old else {}), **self._lost}
        self._roles |= frozenset(old.roles) if old else frozenset()

    def _save_now_and_then(self) -> None:
        if time.monotonic() - self._saved > SAVING:
            self._save(None, {})

    def _save(self, manifest: str | None, report: Mapping[str, Any]) -> None:
        contents = self.folder.write_contents(self._contents.values())
        receipt = Receipt(
            dataset=self.plan.dataset.name,
            version=self.plan.dataset.version,
            tool=__version__,
            catalog_digest=self.workshop.library.digest_of(self.plan.dataset.name),
            roles=tuple(sorted(self._roles)),
            files=tuple(self._files[name] for name in sorted(self._files)),
            manifest_sha256=manifest,
            contents_sha256=contents,
            lost=self._lost,
            report=report,
            part=self._part,
        )
        self.folder.write_receipt(receipt)
        self.folder.drop_old_contents(contents)
        self._saved = time.monotonic()

    def let_archives_go(self) -> None:
        """Delete unpacked archives, after the receipt has noted what they held; an earlier run's too."""
        for file in self.plan.dataset.files:
            fetched = self._files.get(file.name)
            if file.unpack and fetched and fetched.path is None:
                ingest.target_of(file, self.folder).unlink(missing_ok=True)

    def close(self, report: Any, part: Part | None) -> None:
        with self._lock:
            self._part = part
            self.changed = False
            self._save(report.manifest_sha256, report.facts)


Bring = Callable[[Plan, Folder, Workshop, Ledger], None]  # puts all of plan.download into the folder
