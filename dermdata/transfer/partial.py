"""A file on its way: its partial beside the target, hashed as it grows, resumed from what is proven."""

import os
import stat
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dermdata.checksum import Hasher
from dermdata.disk import storage_errors, sync_folder
from dermdata.errors import StorageError
from dermdata.transfer.follow import Follower
from dermdata.transfer.journal import NOFOLLOW, Journal, Story, Version, claim
from dermdata.transfer.spans import Spans

STEP = 256 * 1024  # bytes that all streams together may hold between two journal lines: what a kill can cost


class Strand:
    """One stream's place in a partial: where it writes next, and what the journal does not know of it yet."""

    def __init__(self, at: int) -> None:
        self.at = self.noted = at
        self.crc = 0  # of the bytes from `noted` on


class Partial:
    """The bytes so far, hashed as they are written; use as a context manager, write from any thread."""

    def __init__(self, target: Path, key: str, checksum: str | None) -> None:
        self.target = target
        self.version = Version()
        self.spans = Spans()
        self.resumed_from = 0
        self.restarts = 0  # how often bytes were given up
        self._key = key
        self._checksum = checksum
        self._shared = target.with_name(f".{target.name[:180]}.{key}.part")
        self._side = self._shared.with_name(self._shared.name + ".json")
        self._path = self._shared
        self._journal: Journal | None = None
        self._file = -1
        self._strands: list[Strand] = []
        self._lock = threading.Lock()
        self._follower = Follower(-1, checksum)

    def __enter__(self) -> "Partial":
        with storage_errors(self.target):
            self.target.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._open()
            except BaseException:
                self._leave()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    @property
    def have(self) -> int:
        """How many bytes there are, wherever they lie."""
        return self.spans.have

    @property
    def hasher(self) -> Hasher:
        """The hash of the bytes before the first gap."""
        with storage_errors(self.target):
            return self._follower.hasher(self.spans.front)

    # ------------------------------------------------------------------ writing

    def begin(self, version: Version) -> None:
        """Forget the bytes so far; what comes now is this version from its first byte."""
        self._follower.stop()
        with storage_errors(self.target, version.total):
            self._log({"key": self._key, **vars(version)})  # before the cut: the old ranges are void now
            os.ftruncate(self._file, 0)
        self.restarts += bool(self.have)
        self.spans.clear()
        self.version, self.resumed_from = version, 0
        self._follower = Follower(self._file, self._checksum)

    @contextmanager
    def strand(self, at: int) -> Iterator[Strand]:
        """A place to write from `at` on; what was written is noted at the end."""
        strand = Strand(at)
        with self._lock:
            self._strands.append(strand)
        try:
            yield strand
        except StorageError:
            with suppress(StorageError):  # a full disk may take no note either; the first error says more
                self._end(strand)
            raise
        except BaseException:
            self._end(strand)
            raise
        self._end(strand)

    def _end(self, strand: Strand) -> None:
        with self._lock:
            self._strands.remove(strand)
        with storage_errors(self.target):
            self.note(strand)

    def write(self, strand: Strand, data: bytes) -> None:
        """Add bytes to a strand, hash them in their turn, and note them now and then."""
        first = strand.at
        with storage_errors(self.target, self._missing(len(data))):
            _put(self._file, data, first)
            strand.crc = zlib.crc32(data, strand.crc)
            strand.at += len(data)
            with self._lock:
                self.spans.add(first, strand.at)
                self._follower.grow(self.spans.front, first, data)
                step = STEP // max(1, len(self._strands))
            if strand.at - strand.noted >= step:
                self.note(strand)

    def _missing(self, at_least: int) -> int:
        return (self.version.total or 0) - self.have if self.version.total else at_least

    def note(self, strand: Strand) -> None:
        """Write down what a strand has written since its last note."""
        if strand.at > strand.noted:
            self._log([strand.noted, strand.at, strand.crc])
            strand.noted, strand.crc = strand.at, 0

    def finish(self) -> None:
        """Give the file its name: fsync, rename, fsync the folder."""
        with storage_errors(self.target):
            os.fsync(self._file)
            if os.fstat(self._file).st_size != self.have:
                raise StorageError(f"{self._path} was changed by another process", hint="run it again")
            self._path.replace(self.target)
            sync_folder(self.target.parent)
            if self._journal is not None:
                self._journal.remove()

    def _log(self, entry: object) -> None:
        if self._journal is not None:
            self._journal.add(entry)

    # ------------------------------------------------------------------ opening and leaving

    def _open(self) -> None:
        story, self._journal = claim(self._side, self._key)
        if self._journal is not None:
            found = _reopen(self._shared)
            self._file = _create(self._shared) if found is None else found
            self._restore(self._file, story)
            os.ftruncate(self._file, self.spans.end)
            return
        own = self._shared.name.removesuffix(".part")
        self._path = self._shared.with_name(f"{own}.{os.getpid()}-{os.urandom(4).hex()}.part")
        self._file = _create(self._path)
        if (source := _reopen(self._shared, os.O_RDONLY)) is not None:
            try:
                self._restore(source, story)
            finally:
                os.close(source)

    def _restore(self, source: int, story: Story) -> None:
        """Take over the bytes that the journal proves, read from disk and hashed."""
        self.version = story.version
        self._follower = Follower(self._file, self._checksum)
        for first, end, crc in sorted(story.ranges):
            data = os.pread(source, end - first, first)
            if len(data) != end - first or zlib.crc32(data) != crc:
                continue
            if source != self._file:
                _put(self._file, data, first)
            self.spans.add(first, end)
            self._follower.grow(self.spans.front, first, data)
        self.resumed_from = self.have

    def _leave(self) -> None:
        self._follower.stop()
        if self._file >= 0:
            os.close(self._file)
        if self._journal is not None:
            self._journal.leave()
        elif self._path != self._shared:
            self._path.unlink(missing_ok=True)


def _reopen(path: Path, flags: int = os.O_RDWR) -> int | None:
    """A partial that is a plain file of ours with one name; None for anything else in its place."""
    try:
        handle = os.open(path, flags | NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # absent, a link, not ours: whoever wants the name must create it
        return None
    found = os.fstat(handle)
    if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink == 1:
        return handle
    os.close(handle)
    return None


def _put(file: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:  # a nearly full disk writes less than it is given, and only then says so
        count = os.pwrite(file, view, at)
        view, at = view[count:], at + count


def _create(path: Path) -> int:
    path.unlink(missing_ok=True)  # a link that was planted there, or a partial that is not ours
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | NOFOLLOW, 0o644)
