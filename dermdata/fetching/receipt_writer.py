"""The receipt of one folder while files arrive: read once, saved again and again, closed when the manifest is there."""

import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata import __version__, disk
from dermdata.cache import DatasetFolder, FetchedFile, Receipt
from dermdata.cache.cleanup import PendingFiles
from dermdata.cache.receipt import IN_PART, DirectoryFingerprint, FetchedSubset
from dermdata.errors import StorageError, TableRefused
from dermdata.fetching import ingest
from dermdata.fetching.assemble import BuiltManifest
from dermdata.fetching.plan import (
    BASE_ROLES,
    FetchPlan,
    exclude_files,
    find_left_out,
    find_source,
    list_own_names,
    read_earlier_records,
)
from dermdata.model import Content, CopiedDataset, CopyBytes, File

if TYPE_CHECKING:
    from dermdata.fetching.run import FetchContext

SAVE_INTERVAL = 2.0  # seconds between two savings of the receipt while files arrive
SAVE_SHARE = (
    20  # where a saving takes longer than usual, of 100,000 files: so many times its own time between two
)
NOTHING_FETCHED = Receipt(dataset="", version=None, tool="", catalog_digest="", roles=(), files=())


class ReceiptWriter:
    """The receipt and contents of one folder while files arrive; saved under one lock."""

    def __init__(self, plan: FetchPlan, folder: DatasetFolder, context: "FetchContext") -> None:
        self.plan, self.folder, self.context = plan, folder, context
        self._earlier = read_earlier_records(folder, force=plan.wants.force)
        receipt, contents = self._earlier.receipt, self._earlier.contents
        self._switched = receipt is not None and receipt.copy != find_source(plan.dataset)
        if plan.wants.force:
            receipt, contents = self._earlier.unforced(plan.wants)
        old = receipt or NOTHING_FETCHED
        self._catalog_digest = context.library.entry_digest(plan.dataset.name)
        self._files = {one.name: one for one in plan.have}
        self._contents = {one.path: one for one in self._select_contents(contents, old)}
        here = {one.file for one in self._contents.values()}
        self._directories = {name: one for name, one in old.directories.items() if name in here}
        self._pending = PendingFiles(folder.path)
        # from now on it is known that a run has not ended; what came from another source goes when it has
        self._pending.announce(self._list_abandoned() if self._switched else ())
        self._new_files: set[str] = set()
        self._part = old.part
        self._source = find_source(plan.dataset), find_left_out(plan.dataset)
        self._roles_before = frozenset(old.roles)
        self._roles = self._roles_before | plan.wants.roles
        self._lock = threading.Lock()
        self.downloaded = 0
        self.changed = False  # since the receipt was read
        self._lost = dict(old.lost)
        self._refused = dict(old.refused)
        self._due = time.monotonic() + SAVE_INTERVAL

    def _select_contents(self, contents: tuple[Content, ...], old: Receipt) -> tuple[Content, ...]:
        """What stays: besides whole files, what partial fetches took out of archives that never were here."""
        again = {one.name for one in old.files} - set(self._files)
        if self._switched:
            pieces = {one.name for one in old.files if one.recognized in IN_PART and not one.copy}
            again = (again - pieces) | ({one.file for one in contents} - list_own_names(self.plan.dataset))
        return exclude_files(contents, again)

    def _list_abandoned(self) -> list[str]:
        """What is here of another source than this run's."""
        kept = {one.path for one in self._files.values()}
        wholes = [one.path for one in self._earlier.files.values() if one.path and one.path not in kept]
        return wholes + [one.path for one in self._earlier.contents if one.path not in self._contents]

    def earlier_file(self, name: str) -> FetchedFile | None:
        """The file of this name as the last receipt has it, also with --force; not that of another source."""
        found = self._earlier.files.get(name)
        return found if found and found.copy == self._copy_of(name)[0] else None

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
            verified = verified and self._copy_of(name)[1] in (None, "same")
            official = directory.official or bool(known and known.official)
            self._directories[name] = replace(directory, verified=verified, official=official)

    def announce_file(self, file: File, target: Path, origin: str | None) -> bool:
        """Announce a whole file and what is unpacked of it; whether the one that is there came from there before."""
        if file.unpack:
            self.announce_members([f"{ingest.archive_folder(file)}/"])
        path = target.relative_to(self.folder.path).as_posix()
        with self._lock:
            same = origin is not None and self._pending.has_origin(path, origin)
            if not same:
                self._pending.announce([path], origin)
            return same

    def announce_members(self, paths: Sequence[str]) -> None:
        """Note members that are about to get their names, or with `/` at its end the folder that gets all of them."""
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
        """Note files that come without their archive, or are inspected, and the bytes they cost."""
        with self._lock:
            self._contents |= {one.path: one for one in found}
            self.changed = self.changed or bool(found)
            self.downloaded += moved
            self._save_if_due()

    def record_file(self, file: File, taken: ingest.VerifiedFile, found: list[Content]) -> None:
        """Note one whole file and what it brought."""
        fetched = self._describe_file(file, taken)
        with self._lock:
            self._files[file.name] = fetched
            self._new_files.add(file.name)
            if taken.path.is_file():
                self._directories.pop(file.name, None)
            if file.unpack:  # in place of what a partial fetch took out of it
                others = {path: one for path, one in self._contents.items() if one.file != file.name}
                self._contents = others
            self._contents |= {one.path: one for one in found}
            self.changed = True
            self._lost.pop(file.name, None)
            self._refused.pop(file.name, None)
            self.downloaded += taken.size if taken.moved is None else taken.moved
            if file.unpack:
                self._save(None, {})
            self._save_if_due()

    def _copy_of(self, name: str) -> tuple[str | None, CopyBytes | None]:
        """The copy that a catalog file is of, and what is known of its bytes; None twice for the publisher's own."""
        dataset = self.plan.dataset
        if not isinstance(dataset, CopiedDataset) or name in dataset.official:
            return None, None
        return dataset.copy.name, dataset.copy.bytes

    def _describe_file(self, file: File, taken: ingest.VerifiedFile) -> FetchedFile:
        """One whole file as the receipt has it."""
        whole = taken.path.is_file()  # not the pieces of a person's own copy
        before = self.earlier_file(file.name)
        stated = before.stated if before and before.sha256 == taken.sha256 else None
        kept = file.unpack is None or (self.plan.wants.keep_archives and whole)
        copy, copy_bytes = self._copy_of(file.name)
        return FetchedFile(
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
            copy=copy,
            copy_bytes=copy_bytes,
        )

    def record_unavailable(self, file: File, reason: str) -> None:
        """Note that a file of its own address cannot be had."""
        with self._lock:
            self._lost[file.name] = reason
            self._refused.pop(file.name, None)
            self.changed = True

    def record_refused(self, file: File, reason: str) -> None:
        """Note that the host of a file of its own address gives none of its files for now."""
        with self._lock:
            self._refused[file.name] = reason
            self.changed = True

    @property
    def refused(self) -> Mapping[str, str]:
        return self._refused

    @property
    def unavailable(self) -> Mapping[str, str]:
        return {**self._lost, **self._refused}

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
            if self._switched or self.plan.wants.force:
                self._restore_earlier()
            if not self.changed:
                return
            self._save(None, {})
        self.delete_unpacked_archives(self._new_files)

    def _restore_earlier(self) -> None:
        """What was here before --force and was not fetched again is here still."""
        old = self._earlier.receipt or NOTHING_FETCHED
        files = {one.name: one for one in old.files if one.name not in self._files}
        contents = {one.path: one for one in exclude_files(self._earlier.contents, self._files)}
        self._contents = contents | self._contents
        self._files |= files
        self._lost = {**old.lost, **self._lost}
        self._refused = {**old.refused, **self._refused}
        directories = {name: one for name, one in old.directories.items() if name not in self._files}
        self._directories = directories | self._directories
        self._roles |= frozenset(old.roles)
        self._source = (old.copy, old.left_out)

    def _save_if_due(self) -> None:
        if time.monotonic() > self._due:
            self._save(None, {})

    def _save(self, manifest: str | None, report: Mapping[str, Any]) -> None:
        begun = time.monotonic()
        contents = self.folder.write_contents(self._contents.values())
        self.folder.write_receipt(self._receipt(contents, manifest, report))
        self.folder.drop_old_contents(contents)
        ended = time.monotonic()
        self._due = ended + max(SAVE_INTERVAL, SAVE_SHARE * (ended - begun))

    def _receipt(self, contents: str | None, manifest: str | None, report: Mapping[str, Any]) -> Receipt:
        return Receipt(
            dataset=self.plan.dataset.name,
            version=self.plan.dataset.version,
            tool=__version__,
            catalog_digest=self._catalog_digest,
            roles=tuple(sorted(self._roles)),
            files=tuple(self._files[name] for name in sorted(self._files)),
            manifest_sha256=manifest,
            contents_sha256=contents,
            lost=self._lost,
            refused=self._refused,
            report=report,
            part=self._part,
            directories=self._directories,
            copy=self._source[0],
            left_out=self._source[1],
        )

    @contextmanager
    def forget_if_refused(self) -> Iterator[None]:
        """Where a table is refused, delete files that no checksum covers: the next run must download them again.

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
            for path in paths:
                del self._contents[path]
            archives = [self._files.pop(name).path for name in gone]
            self._save(None, {})
            for path in (*paths, *filter(None, archives)):
                (self.folder.path / path).unlink(missing_ok=True)

    def delete_unpacked_archives(self, names: Collection[str] | None = None) -> None:
        """Delete unpacked archives, of these names or all, after the receipt has noted what they held."""
        for file in self.plan.dataset.files:
            fetched = self._files.get(file.name)
            if file.unpack and fetched and fetched.path is None and (names is None or file.name in names):
                ingest.file_path(file, self.folder).unlink(missing_ok=True)

    def close(self, report: BuiltManifest, part: FetchedSubset | None) -> None:
        """Note that all is here, by the manifest that was built of it."""
        with self._lock:
            self._part = part
            self.changed = False
            self._save(report.manifest_sha256, report.facts)
            self._remove_strays()

    @contextmanager
    def clear_pending_on_failure(self) -> Iterator[None]:
        """A run that fails and leaves no file without a record leaves no list either; one that brought nothing, nothing."""
        try:
            yield
        except BaseException:
            with suppress(StorageError):
                if not self._find_strays():
                    self._pending.clear()
                self._drop_empty_record()
                self.folder.remove_if_empty()
            raise

    def _drop_empty_record(self) -> None:
        """Delete a receipt that has nothing on record: what came was refused, and no manifest was ever built."""
        if self._files or self._contents or self._lost or self.folder.manifest.exists():
            return
        with self._lock, disk.storage_errors(self.folder.path):
            for path in (self.folder.path / "receipt.json", *self.folder.path.glob("contents-*.tsv")):
                path.unlink(missing_ok=True)

    def _find_strays(self) -> list[str]:
        kept = {one.path for one in self._files.values() if one.path}
        return self._pending.find_strays(kept | self._contents.keys())

    def _remove_strays(self) -> None:
        """What this run or a killed one brought and no record names goes; then nothing is on its way any more."""
        strays = self._find_strays()
        for path in strays:
            (self.folder.path / path).unlink(missing_ok=True)
        for home in {(self.folder.path / path).parent for path in strays} - {self.folder.path}:
            with suppress(OSError):  # not empty
                home.rmdir()
        self._pending.clear()
