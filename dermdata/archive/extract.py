"""Unpack an archive in one pass: inflate, CRC, SHA-256 and a look at each member while it is in memory."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock

from dermdata import disk
from dermdata.archive.crew import Crew
from dermdata.archive.directory import read_directory
from dermdata.archive.entries import DEFAULT, Entry, Gate, Limits, RangeReader
from dermdata.archive.landing import Landing
from dermdata.archive.members import read_member
from dermdata.archive.names import is_junk
from dermdata.archive.tape import Taped, read_tar
from dermdata.model import ImageFacts, Member, Unpack

SMALL = 64 << 20  # bytes; a member up to this size is held in memory and looked at
STREAMED = 32 << 20  # what a larger one holds at a time, at most
BATCH_FILES, BATCH_BYTES = 32, 4 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtractedFile:
    """One file as it lies in the folder."""

    name: str  # the archive's own, NFC
    path: str  # ours, relative to the folder
    size: int  # bytes
    sha256: str  # hex
    member: Member | None  # where it lies in a zip; None for tar
    image: ImageFacts | None  # what `look` saw; None over 64 MiB


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """What came of an archive."""

    contents: tuple[ExtractedFile, ...]  # by name
    junk: int  # members left out as an operating system's leavings
    unwanted: int  # members that `wanted` left out


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
    limits: Limits = DEFAULT,
) -> Extraction:
    """Create the wanted members below `folder`, the caller's temporary one, and make them durable.

    `place` gives each member's relative path, `look` sees the bytes of members up to 64 MiB (in threads),
    `progress` gets the bytes written, one call at a time. After any error, what was created is gone again.
    ArchiveRefused, CredentialsMissing (a password) or StorageError.
    """
    jobs = jobs or os.cpu_count() or 1
    landing = Landing(folder, archive.name)
    bench = _Bench(landing, place, wanted, look, progress, Lock())
    unpack = _unpack_zip if kind == "zip" else partial(_unpack_tar, kind=kind)
    try:
        with disk.storage_errors(archive):
            extraction = unpack(archive, bench, jobs, limits)
        landing.settle(jobs)
    except BaseException:
        landing.discard()
        raise
    return extraction


@dataclass(frozen=True)
class _Bench:
    """What every member needs, zip or tar."""

    landing: Landing
    place: Callable[[str], str]
    wanted: Callable[[str], bool]
    look: Callable[[bytes], ImageFacts | None]
    progress: Callable[[int], None]
    lock: Lock

    def reserve(self, name: str) -> str:
        path = self.place(name)
        self.landing.reserve(path)
        return path

    def land(
        self, name: str, size: int, path: str, chunks: Iterable[bytes], member: Member | None
    ) -> ExtractedFile:
        """Hash, look and write; small members at once, so that nothing is written of a broken one."""
        hasher, image = hashlib.sha256(), None
        if size <= SMALL:
            data = b"".join(chunks)
            image = self.look(data)
            chunks = [data]
        self.landing.write(path, self._hashed(chunks, hasher.update))
        return ExtractedFile(
            name=name, path=path, size=size, sha256=hasher.hexdigest(), member=member, image=image
        )

    def _hashed(self, chunks: Iterable[bytes], update: Callable[[bytes], None]) -> Iterator[bytes]:
        for chunk in chunks:
            update(chunk)
            yield chunk
            with self.lock:
                self.progress(len(chunk))


def _extraction(crew: Crew[list[ExtractedFile]], junk: int, unwanted: int) -> Extraction:
    files = [file for batch in crew.results() for file in batch]
    return Extraction(contents=tuple(sorted(files, key=lambda file: file.name)), junk=junk, unwanted=unwanted)


# ------------------------------------------------------------------ zip


def _unpack_zip(archive: Path, bench: _Bench, jobs: int, limits: Limits) -> Extraction:
    with _ranges(archive) as (read, size), Crew[list[ExtractedFile]](jobs) as crew:
        listing = read_directory(read, size, limits, archive.name)
        entries = [entry for entry in listing.entries if bench.wanted(entry.name)]
        placed = [(entry, bench.reserve(entry.name)) for entry in sorted(entries, key=lambda e: e.offset)]
        disk.require_space(bench.landing.root, sum(e.size for e in entries))
        for batch in _batches(placed):
            weight = max(entry.size if entry.size <= SMALL else STREAMED for entry, _ in batch)
            if not crew.give(weight, partial(_land_all, read, batch, bench, archive.name)):
                break
        return _extraction(crew, listing.junk, len(listing.entries) - len(entries))


@contextmanager
def _ranges(archive: Path) -> Iterator[tuple[RangeReader, int]]:
    handle = os.open(archive, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        yield lambda start, length: os.pread(handle, length, start), os.fstat(handle).st_size
    finally:
        os.close(handle)


def _batches(placed: Iterable[tuple[Entry, str]]) -> Iterator[list[tuple[Entry, str]]]:
    """Neighbours in the archive, a few MiB at a time: small members would be all hand-over."""
    batch: list[tuple[Entry, str]] = []
    held = 0
    for entry, path in placed:
        batch.append((entry, path))
        held += entry.size
        if len(batch) == BATCH_FILES or held >= BATCH_BYTES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _land_all(
    read: RangeReader, batch: list[tuple[Entry, str]], bench: _Bench, what: str
) -> list[ExtractedFile]:
    return [
        bench.land(entry.name, entry.size, path, read_member(read, entry, what=what), _member(entry))
        for entry, path in batch
    ]


def _member(entry: Entry) -> Member:
    return Member(
        path=entry.name, offset=entry.offset, stored=entry.stored, method=entry.method, crc32=entry.crc32
    )


# ------------------------------------------------------------------ tar


def _unpack_tar(archive: Path, bench: _Bench, jobs: int, limits: Limits, *, kind: Unpack) -> Extraction:
    gate = Gate(archive.name, limits)
    junk = unwanted = 0
    with Crew[list[ExtractedFile]](jobs) as crew:
        for taped in read_tar(archive, kind, gate):
            if is_junk(taped.name):
                junk += 1
                continue
            gate.add_file(taped.name)
            if not bench.wanted(taped.name):
                unwanted += 1
            elif not _give_taped(crew, taped, bench):
                break
        return _extraction(crew, junk, unwanted)


def _give_taped(crew: Crew[list[ExtractedFile]], taped: Taped, bench: _Bench) -> bool:
    """Read a small file and leave the rest to the crew; a large one goes to disk as it comes."""
    path = bench.reserve(taped.name)
    if taped.size <= SMALL:
        data = b"".join(taped.chunks)
        return crew.give(taped.size, lambda: [bench.land(taped.name, taped.size, path, [data], None)])
    file = bench.land(taped.name, taped.size, path, taped.chunks, None)
    return crew.give(0, lambda: [file])
