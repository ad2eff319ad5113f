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
from dermdata.cache import Cache, Fetched, Folder, Receipt
from dermdata.cache.records import Directory, Part
from dermdata.cache.unfinished import Unfinished
from dermdata.errors import DermdataError, NetworkError, NotTheFile, Offline, StorageError, TableRefused
from dermdata.fetching import ingest
from dermdata.fetching.assemble import Library, assemble
from dermdata.fetching.earlier import held, readable, seen_before
from dermdata.fetching.interrupt import interruptible
from dermdata.fetching.mend import looked_at, mend
from dermdata.fetching.plan import ALWAYS, Plan
from dermdata.fetching.rest import rest
from dermdata.fetching.shelf import Opening
from dermdata.http import HttpClient
from dermdata.model import Content, Dataset, File, Request
from dermdata.progress import Progress, Silent, Together

STREAMS, MANY_STREAMS, MANY_FILES = 4, 16, 100  # files at once; politeness to a host is transfer's matter
SAVING = 2.0  # seconds between two savings of the receipt while files arrive


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What carrying out needs: the cache, the network, the library of labels, the clock."""

    cache: Cache
    transfer: HttpClient
    library: Library
    resolve: Callable[[Dataset, File], Request | Path]
    explain: Callable[[DermdataError, Dataset, File], DermdataError] = lambda error, _, __: error
    official: Callable[[Dataset, File], Request | Path] | None = None  # as resolve, without mirrors
    around: Any = None  # sources.Surroundings, for listings
    now: Callable[[], str]  # ISO 8601, UTC
    jobs: int = 1
    progress: Progress = field(default_factory=Silent)

    def ask_publisher(self, dataset: Dataset, file: File) -> Request | Path:
        """Where the publisher gives a file, whatever mirrors there are."""
        return (self.official or self.resolve)(dataset, file)


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
    with ledger.at_work():
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
        with ledger.refusals():
            report = assemble(
                plan.dataset,
                folder,
                ledger.contents(),
                workshop.library,
                workshop.progress,
                ledger.lost,
                ledger.coverage,
                plan.part,
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
    if not plan.download:
        return
    many = len(plan.download) > MANY_FILES
    task = f"{plan.dataset.name}: {len(plan.download):,} files"
    progress = Together(workshop.progress, task) if many else workshop.progress
    downloads = Downloads(plan, folder, workshop, ledger, progress)
    if many:
        workshop.progress.begin(task, plan.bytes)
    streams = MANY_STREAMS if many else min(STREAMS, len(plan.download))
    with interruptible(ThreadPoolExecutor(max_workers=streams)) as pool:
        raise_first([pool.submit(downloads.bring, file) for file in plan.download])
    if many:
        workshop.progress.end(task)


@dataclass(frozen=True)
class Downloads:
    """The files of one fetch on their way, each by one call of `bring`, from several threads."""

    plan: Plan
    folder: Folder
    workshop: Workshop
    ledger: "Ledger"
    progress: Progress
    # unpacking uses every core by itself
    one_unpacking: threading.Lock = field(default_factory=threading.Lock)

    def bring(self, file: File) -> None:
        """Download, verify and unpack one file, and note it; or note that it cannot be had."""
        try:
            place = self.workshop.resolve(self.plan.dataset, file)
            if self.bring_rest(file, place):
                return
            taken = self.take(file, place)
        except DermdataError as error:
            tolerant = self.plan.dataset.access.kind == "per-image" and file.role == "images"
            dead = isinstance(error, NetworkError | NotTheFile) and not isinstance(error, Offline)
            if not (dead and tolerant):
                raise self.workshop.explain(error, self.plan.dataset, file) from error
            self.ledger.lose(file, error.message)
            return
        with self.one_unpacking if file.unpack else nullcontext():
            found = ingest.contents_of(file, taken, self.folder, self.workshop.jobs, self.progress)
        self.ledger.add(file, taken, found)

    def take(self, file: File, place: Request | Path) -> ingest.Taken:
        """The whole file under its final name."""
        target = ingest.target_of(file, self.folder)
        same_origin = self.ledger.expect(target, ingest.origin_of(place))
        with ingest.held_to_first_sight(file, place, self.ledger.before(file.name)) as (held, asked):
            return ingest.take(
                held,
                asked,
                target,
                self.workshop.transfer,
                self.progress,
                fresh=self.plan.wants.force,
                same_origin=same_origin,
            )

    def bring_rest(self, file: File, place: Request | Path) -> bool:
        """Whether what partial fetches left of an archive came alone; never where a checksum covers the whole."""
        part = self.ledger.of(file.name) if file.unpack and not self.plan.wants.keep_archives else []
        if not part or published(file, place):
            return False
        official = partial(self.workshop.ask_publisher, self.plan.dataset, file)
        known = self.ledger.directory(file.name)
        opening = Opening(self.plan.dataset.name, self.workshop.transfer, known, official)
        brought = rest(file, place, part, self.folder, opening, self.progress, self.ledger.announce)
        if brought:
            self.ledger.add(file, *brought)
        return brought is not None


def raise_first(futures: list[Future[None]]) -> None:
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
    finally:
        for future in futures:
            future.cancel()
    for future in futures:
        if not future.cancelled():
            future.result()


def published(file: File, place: Request | Path) -> str | None:
    """The checksum that the catalog states of a file, or else its host."""
    return file.checksum or (place.checksum if isinstance(place, Request) else None)


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
        here = {one.file for one in self._contents.values()}
        self._directories = {
            name: one for name, one in (old.directories if old else {}).items() if name in here
        }
        self._unfinished = Unfinished(folder.path)
        self._unfinished.announce(())  # from now on it is known that a run has not ended
        self._brought: set[str] = set()
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

    @property
    def coverage(self) -> dict[str, bool | None]:
        """Of each catalog file of which something is here whether a published checksum covers it."""
        pieces = {one.file: False for one in self._contents.values() if one.file not in self._files}
        return pieces | self._receipt(None, None, {}).coverage

    def directory(self, name: str) -> Directory | None:
        """The directory of an archive of which partial fetches took members."""
        return self._directories.get(name)

    def note_directory(self, name: str, directory: Directory) -> None:
        """Note what an archive's directory is, before a member is taken by it."""
        with self._lock:
            known = self._directories.get(name)
            here = any(one.file == name for one in self._contents.values())
            verified = directory.verified and (not here or bool(known and known.verified))
            official = directory.official or bool(known and known.official)
            self._directories[name] = replace(directory, verified=verified, official=official)

    def expect(self, target: Path, origin: str | None) -> bool:
        """Announce a whole file; whether the one that is there came from the same place in an earlier run."""
        path = target.relative_to(self.folder.path).as_posix()
        with self._lock:
            same = origin is not None and self._unfinished.came_from(path, origin)
            if not same:
                self._unfinished.announce([path], origin)
            return same

    def announce(self, paths: Sequence[str]) -> None:
        """Note members that are about to get their names."""
        with self._lock:
            self._unfinished.announce(paths)

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
        before = self.before(file.name)
        stated = before.stated if before and before.sha256 == taken.sha256 else None
        kept = file.unpack is None or (self.plan.wants.keep_archives and whole)
        with self._lock:
            self._files[file.name] = Fetched(
                name=file.name,
                role=file.role,
                size=taken.size,
                sha256=taken.sha256,
                # of a copy in pieces, and of an archive of which only ranges came, it says nothing
                checksum=file.checksum if whole else None,
                url=taken.url,
                fetched_at=self.workshop.now(),
                path=taken.path.relative_to(self.folder.path).as_posix() if kept else None,
                recognized=taken.recognized,
                mirrored=taken.mirrored,
                stated=taken.stated or stated,
            )
            self._brought.add(file.name)
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

    def save_directories(self) -> None:
        """Put the archives' directories on record; all else in the receipt stays as it is."""
        with self._lock:
            receipt = self.folder.receipt()
            if receipt is None or self.changed:
                self._save(None, {})
            else:
                self.folder.write_receipt(replace(receipt, directories=self._directories))

    def save_unfinished(self) -> None:
        """Note what is whole even when something else failed; a run that brought nothing has changed nothing."""
        with self._lock:
            if not self.changed:
                return
            if self.plan.wants.force:
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
        directories = old.directories if old else {}
        self._directories = {
            n: one for n, one in directories.items() if n not in self._files
        } | self._directories
        self._roles |= frozenset(old.roles) if old else frozenset()

    def _save_now_and_then(self) -> None:
        if time.monotonic() - self._saved > SAVING:
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
            catalog_digest=self.workshop.library.digest_of(self.plan.dataset.name),
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
    def refusals(self) -> Iterator[None]:
        """Where a table is refused, files that nothing vouches for are let go: the next run must ask for them again.

        Those are tables without a checksum, and whatever came without one from a mirror in this run.
        """
        try:
            yield
        except TableRefused:
            plain = {file.name for file in self.plan.dataset.files if file.unpack is None}
            self._forget(
                name
                for name, one in self._files.items()
                if one.verified is not True
                and ((one.role in ALWAYS and name in plain) or (one.mirrored and name in self._brought))
            )
            raise

    def _forget(self, names: Iterable[str]) -> None:
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
            self._sweep()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """A run that fails and leaves no file without a record leaves no list either."""
        try:
            yield
        except BaseException:
            with suppress(StorageError):
                if not self._strays():
                    self._unfinished.end()
            raise

    def _strays(self) -> list[str]:
        kept = {one.path for one in self._files.values() if one.path}
        return self._unfinished.strays(kept | self._contents.keys())

    def _sweep(self) -> None:
        """What this run or a killed one brought and no record names goes; then nothing is on its way any more."""
        for path in self._strays():
            (self.folder.path / path).unlink(missing_ok=True)
        self._unfinished.end()


Bring = Callable[[Plan, Folder, Workshop, Ledger], None]  # puts all of plan.download into the folder
