"""A file on its way: its partial beside the target, hashed as it grows, resumed from what is proven."""

import os
import stat
import zlib
from pathlib import Path

from dermdata.checksum import Hasher
from dermdata.disk import storage_errors, sync_folder
from dermdata.errors import StorageError
from dermdata.transfer.journal import NOFOLLOW, Journal, Story, Version, claim

STEP = 256 * 1024  # bytes between two journal lines: what a kill can cost


class Partial:
    """The bytes so far, hashed as they are written; use as a context manager."""

    def __init__(self, target: Path, key: str, checksum: str | None) -> None:
        self.target = target
        self.version = Version()
        self.have = 0  # bytes
        self.resumed_from = 0
        self.restarts = 0  # how often bytes were given up
        self.hasher = Hasher(checksum)
        self._key = key
        self._checksum = checksum
        self._shared = target.with_name(f".{target.name[:180]}.{key}.part")
        self._side = self._shared.with_name(self._shared.name + ".json")
        self._path = self._shared
        self._journal: Journal | None = None
        self._file = -1
        self._noted = (0, 0)  # up to which byte the journal knows, CRC-32 of what followed

    def __enter__(self) -> "Partial":
        with storage_errors(self.target):
            self.target.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._open()
            except BaseException:
                self._leave()
                raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None or not issubclass(kind, StorageError):  # a full disk takes no note either
                with storage_errors(self._path):
                    self.note()
        finally:
            self._leave()

    # ------------------------------------------------------------------ writing

    def begin(self, version: Version) -> None:
        """Forget the bytes so far; what comes now is this version from its first byte."""
        with storage_errors(self.target, version.total):
            self._log({"key": self._key, **vars(version)})  # before the cut: the old ranges are void now
            os.ftruncate(self._file, 0)
        self.restarts += bool(self.have)
        self.version, self.have, self._noted = version, 0, (0, 0)
        self.resumed_from = 0
        self.hasher = Hasher(self._checksum)

    def write(self, data: bytes) -> None:
        """Append bytes, hash them, and note them now and then."""
        with storage_errors(self.target, self._missing(len(data))):
            _put(self._file, data, self.have)
            self.hasher.update(data)
            self._noted = (self._noted[0], zlib.crc32(data, self._noted[1]))
            self.have += len(data)
            if self.have - self._noted[0] >= STEP:
                self.note()

    def _missing(self, at_least: int) -> int:
        return (self.version.total or 0) - self.have if self.version.total else at_least

    def note(self) -> None:
        """Write down what has been written since the last note."""
        first, crc = self._noted
        if self.have > first:
            self._log([first, self.have, crc])
            self._noted = (self.have, 0)

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
            os.ftruncate(self._file, self.have)
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
        for first, end, crc in story.prefix():
            data = os.pread(source, end - first, first)
            if len(data) != end - first or zlib.crc32(data) != crc:
                break
            if source != self._file:
                _put(self._file, data, first)
            self.hasher.update(data)
            self.have = end
        self.resumed_from = self.have
        self._noted = (self.have, 0)

    def _leave(self) -> None:
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
