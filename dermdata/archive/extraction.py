"""Unpacks an archive in one pass: inflate, CRC, SHA-256 and an inspection of each member while it is in memory.

Threads share the work, with a bound on the bytes that they hold.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Condition, Lock
from types import TracebackType
from typing import Generic, Self, TypeVar

from dermdata import disk
from dermdata.archive.policy import (
    DEFAULT_LIMITS,
    ArchiveEntry,
    ArchiveLimits,
    MemberChecker,
    PathAssigner,
    RangeReader,
    archive_ending,
    archive_kind,
    is_junk,
    safe_name,
)
from dermdata.archive.staging import StagingFolder
from dermdata.archive.tar import TarMember, read_tar
from dermdata.archive.zip_file import list_zip, open_ranges, read_member
from dermdata.errors import ArchiveRefused, CredentialsMissing
from dermdata.model import ArchiveMember, ImageFacts, Unpack
from dermdata.process import count_cores

T = TypeVar("T")
MemberSource = Callable[[list[str]], Iterable[tuple[str, int, Iterable[bytes]]]]
HELD_BYTES = 96 << 20  # bytes of members in memory at a time, over all threads
LEAST_WEIGHT = 256 << 10  # what a piece of work weighs at least, so that the queue is short
SMALL_MEMBER = 64 << 20  # bytes; a member up to this size is held in memory and inspected
STREAMED_WEIGHT = 32 << 20  # what a larger one holds at a time, at most
BATCH_FILES, BATCH_BYTES = 32, 4 << 20


class BoundedExecutor(Generic[T]):
    """Workers whose results come back in the order in which the work was given."""

    def __init__(self, jobs: int) -> None:
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="unpack")
        self._changed = Condition()
        self._held = 0
        self._failed = False
        self._futures: list[Future[T | None]] = []

    def submit(self, weight: int, work: Callable[[], T]) -> bool:
        """Hand over work that holds `weight` bytes, waiting for room; False when other work has failed."""
        weight = max(weight, LEAST_WEIGHT)
        with self._changed:
            self._changed.wait_for(
                lambda: self._failed or not self._held or self._held + weight <= HELD_BYTES
            )
            if self._failed:
                return False
            self._held += weight
        self._futures.append(self._pool.submit(self._run, weight, work))
        return True

    def _run(self, weight: int, work: Callable[[], T]) -> T | None:
        done = False
        try:
            result = None if self._failed else work()
            done = True
            return result
        finally:
            with self._changed:
                self._held -= weight
                self._failed = self._failed or not done
                self._changed.notify()

    def results(self) -> list[T]:
        """Collect what all work gave, in its order; raises the first error."""
        return [result for future in self._futures if (result := future.result()) is not None]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._failed = self._failed or error is not None
        # after Ctrl-C nothing waits: a worker may sleep for two minutes before a host may be asked again
        self._pool.shutdown(wait=kind is not KeyboardInterrupt, cancel_futures=error is not None)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtractedFile:
    """One file as it lies in the folder."""

    name: str  # the archive's own, NFC
    path: str  # ours, relative to the folder
    size: int  # bytes
    sha256: str  # hex
    member: ArchiveMember | None  # where it lies in a zip; None for tar
    image: ImageFacts | None  # what `look` saw; None over 64 MiB


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """What came of an archive."""

    contents: tuple[ExtractedFile, ...]  # by name
    junk: int  # members left out as an operating system's leavings
    unwanted: int  # members that `wanted` left out
    notes: tuple[str, ...] = ()  # what a person should know of it


def extract(
    archive: Path,
    kind: Unpack,
    folder: Path,
    *,
    place: Callable[[str], str],
    wanted: Callable[[str], bool] = lambda _: True,
    jobs: int | None = None,
    look: Callable[[bytes], ImageFacts | None] = lambda _: None,
    progress: Callable[[int], None] = lambda _: None,
    foresee: Callable[[int], None] = lambda _: None,
    limits: ArchiveLimits = DEFAULT_LIMITS,
    encoding: str | None = None,
    open_inner: bool = False,
    members: MemberSource | None = None,
) -> Extraction:
    """Create the wanted members of an archive below a folder, and make them durable.

    Parameters
    ----------
    archive, kind
        The file, and what it is.
    folder
        The caller's temporary folder; after any error, what was created in it is gone again.
    place
        Gives each member's relative path.
    wanted
        Whether a member of this name is to be created.
    jobs
        Threads; None: one a processor.
    look
        Gets the bytes of members up to 64 MiB, in threads.
    progress
        Gets the number of bytes written, one call at a time.
    foresee
        Gets how many more bytes will be written, as soon as that is known: of a zip, and of each zip in it.
    limits
        How much the archive may ask for, with the archives in it.
    encoding
        The code page of a zip's names that do not say that they are UTF-8.
    open_inner
        Whether archives in the archive are unpacked too, one level deep: their members are named as if they lay in a
        folder of the inner archive's name. One that is refused stays as it is, with a note.
    members
        Gives the members of a file that is no archive, one after the other, each with its name, its size in bytes and
        its bytes; sentences for the person are added to the list that it gets. None: the file is what `kind` says.

    Returns
    -------
    Extraction
        The files by name, each with its SHA-256, how many members were left out, and notes for the person.

    Raises
    ------
    ArchiveRefused
        If the archive is damaged, unsafe, or over a limit.
    CredentialsMissing
        If it needs a password.
    StorageError
        If a file cannot be written.

    """
    jobs = jobs or count_cores()
    staging_folder = StagingFolder(folder, archive.name)
    writer = _MemberWriter(staging_folder, place, wanted, look, progress, foresee, encoding, jobs, Lock())
    try:
        with disk.storage_errors(archive):
            if members:
                extraction = _unpack_members(archive, members, writer, limits)
            else:
                extraction = _unpack(archive, kind, writer, limits)
            if open_inner:
                extraction = _unpack_inner(archive, extraction, writer, limits)
        staging_folder.sync(jobs)
    except BaseException:
        staging_folder.discard()
        raise
    return extraction


def _unpack(archive: Path, kind: Unpack, writer: "_MemberWriter", limits: ArchiveLimits) -> Extraction:
    if kind == "zip":
        return _unpack_zip(archive, writer, limits)
    return _unpack_tar(archive, writer, limits, kind)


@dataclass(frozen=True)
class _MemberWriter:
    """What every member needs, zip or tar."""

    staging: StagingFolder
    place: Callable[[str], str]
    wanted: Callable[[str], bool]
    look: Callable[[bytes], ImageFacts | None]
    progress: Callable[[int], None]
    foresee: Callable[[int], None]
    encoding: str | None
    jobs: int
    lock: Lock

    def store(
        self, name: str, size: int, path: str, chunks: Iterable[bytes], member: ArchiveMember | None
    ) -> ExtractedFile:
        """Hash, inspect and write; small members at once, so that nothing is written of a broken one."""
        hasher, image = hashlib.sha256(), None
        if size <= SMALL_MEMBER:
            data = b"".join(chunks)
            image = self.look(data)
            chunks = [data]
        self.staging.write(path, self._hash_chunks(chunks, hasher.update))
        return ExtractedFile(
            name=name, path=path, size=size, sha256=hasher.hexdigest(), member=member, image=image
        )

    def _hash_chunks(self, chunks: Iterable[bytes], update: Callable[[bytes], None]) -> Iterator[bytes]:
        for chunk in chunks:
            update(chunk)
            yield chunk
            with self.lock:
                self.progress(len(chunk))


def _collect_extraction(
    executor: BoundedExecutor[list[ExtractedFile]], junk: int, unwanted: int, notes: tuple[str, ...] = ()
) -> Extraction:
    files = [file for batch in executor.results() for file in batch]
    files.sort(key=lambda file: file.name)
    return Extraction(contents=tuple(files), junk=junk, unwanted=unwanted, notes=notes)


# ------------------------------------------------------------------ archives in archives


def _unpack_inner(
    archive: Path, outer: Extraction, writer: _MemberWriter, limits: ArchiveLimits
) -> Extraction:
    """The extraction with what the archives in it hold in place of them; limits count all of it together."""
    found = [file for file in outer.contents if not archive_kind(file.name)]
    notes = list(outer.notes)
    left = _remaining_limits(limits, outer.contents, archive.stat().st_size)
    for file in outer.contents:
        if not (kind := archive_kind(file.name)):
            continue
        try:
            inner = _unpack_inner_archive(file, kind, writer, left)
        except (ArchiveRefused, CredentialsMissing) as error:
            notes.append(f"{archive.name} holds an archive that is not opened: {error.message}")
            found.append(file)
            continue
        left = _remaining_limits(left, inner.contents)
        found += inner.contents
        notes += inner.notes
        if deeper := [one.name for one in inner.contents if archive_kind(one.name)]:
            notes.append(f"{archive.name} holds archives three deep, which are not opened: {deeper[0]}")
    found.sort(key=lambda file: file.name)
    return replace(outer, contents=tuple(found), notes=tuple(notes))


def _remaining_limits(
    limits: ArchiveLimits, done: Sequence[ExtractedFile], archive_size: int | None = None
) -> ArchiveLimits:
    """What inner archives may still ask for; of the whole archive's size, no more than a bomb's share."""
    most = limits.total_bytes
    if archive_size is not None:
        most = min(most, max(limits.total_floor, limits.total_ratio * archive_size))
    total = max(0, most - sum(one.size for one in done))
    return replace(limits, total_bytes=total, members=max(0, limits.members - len(done)))


def _unpack_inner_archive(
    file: ExtractedFile, kind: Unpack, writer: _MemberWriter, limits: ArchiveLimits
) -> Extraction:
    """One archive's members in a folder of their own, in place of the archive; ArchiveRefused leaves it as it was."""
    stem = file.name.removesuffix(archive_ending(file.name))
    home = "~".join(file.path.rsplit(".", 1))  # nobody else's: `~` is literal in no name of ours
    staging_folder = writer.staging.open_subfolder(home)
    wanted = writer.wanted
    inner = replace(
        writer, staging=staging_folder, place=safe_name, wanted=lambda name: wanted(f"{stem}/{name}")
    )
    try:
        found = _unpack(writer.staging.root / file.path, kind, inner, limits)
    except (ArchiveRefused, CredentialsMissing):
        writer.staging.discard_subfolder(staging_folder)
        raise
    writer.staging.remove(file.path)
    contents = (
        replace(one, name=f"{stem}/{one.name}", path=f"{home}/{one.path}", member=None)
        for one in found.contents
    )
    return replace(found, contents=tuple(contents))


# ------------------------------------------------------------------ zip


def _unpack_zip(archive: Path, writer: _MemberWriter, limits: ArchiveLimits) -> Extraction:
    with (
        open_ranges(archive) as (read, status),
        BoundedExecutor[list[ExtractedFile]](writer.jobs) as executor,
    ):
        listing = list_zip(read, status.st_size, limits, what=archive.name, encoding=writer.encoding)
        paths = PathAssigner(writer.place).assign_all(entry.name for entry in listing.entries)
        entries = [entry for entry in listing.entries if writer.wanted(entry.name)]
        entries.sort(key=lambda entry: entry.offset)
        placed = [(entry, writer.staging.reserve(paths[entry.name])) for entry in entries]
        total = sum(entry.size for entry in entries)
        disk.require_space(writer.staging.root, total)
        writer.foresee(total)
        for batch in _split_batches(placed):
            weight = max(entry.size if entry.size <= SMALL_MEMBER else STREAMED_WEIGHT for entry, _ in batch)
            if not executor.submit(weight, partial(_store_batch, read, batch, writer, archive.name)):
                break
        unwanted = len(listing.entries) - len(entries)
        return _collect_extraction(executor, listing.junk, unwanted, listing.notes)


def _split_batches(placed: Iterable[tuple[ArchiveEntry, str]]) -> Iterator[list[tuple[ArchiveEntry, str]]]:
    """Neighbors in the archive, a few MiB at a time: small members would be all hand-over."""
    batch: list[tuple[ArchiveEntry, str]] = []
    held = 0
    for entry, path in placed:
        batch.append((entry, path))
        held += entry.size
        if len(batch) == BATCH_FILES or held >= BATCH_BYTES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _store_batch(
    read: RangeReader, batch: list[tuple[ArchiveEntry, str]], writer: _MemberWriter, what: str
) -> list[ExtractedFile]:
    files = []
    for entry, path in batch:
        chunks = read_member(read, entry, what=what, encoding=writer.encoding)
        files.append(writer.store(entry.name, entry.size, path, chunks, entry.to_member()))
    return files


# ------------------------------------------------------------------ tar


def _unpack_tar(archive: Path, writer: _MemberWriter, limits: ArchiveLimits, kind: Unpack) -> Extraction:
    checker, paths = MemberChecker(archive.name, limits), PathAssigner(writer.place)
    junk = unwanted = 0
    with BoundedExecutor[list[ExtractedFile]](writer.jobs) as executor:
        for tar_member in read_tar(archive, kind, checker):
            if is_junk(tar_member.name):
                junk += 1
                continue
            checker.add_member(tar_member.name)
            if not writer.wanted(tar_member.name):
                unwanted += 1
            elif not _submit_tar_member(executor, tar_member, paths.assign(tar_member.name), writer):
                break
        return _collect_extraction(executor, junk, unwanted)


def _unpack_members(
    archive: Path, members: MemberSource, writer: _MemberWriter, limits: ArchiveLimits
) -> Extraction:
    """What another reader takes out of a file, within the limits of archives."""
    checker, paths = MemberChecker(archive.name, limits), PathAssigner(writer.place)
    notes: list[str] = []
    packed, total = archive.stat().st_size, 0
    with BoundedExecutor[list[ExtractedFile]](writer.jobs) as executor:
        for name, size, chunks in members(notes):
            total += size
            checker.check_member(name, size, None)
            checker.check_total_ratio(total, packed)
            checker.add_member(name)
            member = TarMember(name, size, iter(chunks))
            if not _submit_tar_member(executor, member, paths.assign(name), writer):
                break
        return _collect_extraction(executor, 0, 0, tuple(notes))


def _submit_tar_member(
    executor: BoundedExecutor[list[ExtractedFile]], tar_member: TarMember, path: str, writer: _MemberWriter
) -> bool:
    """Read a small file and leave the rest to the workers; a large one goes to disk as it comes."""
    writer.staging.reserve(path)
    if tar_member.size <= SMALL_MEMBER:
        data = b"".join(tar_member.chunks)
        return executor.submit(
            tar_member.size, lambda: [writer.store(tar_member.name, tar_member.size, path, [data], None)]
        )
    file = writer.store(tar_member.name, tar_member.size, path, tar_member.chunks, None)
    return executor.submit(0, lambda: [file])
