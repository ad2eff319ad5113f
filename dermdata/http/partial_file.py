"""A partial file: bytes in any order beside the target, hashed as they grow, resumed from what its journal proves."""

import os
import stat
import sys
import threading
import zlib
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dermdata.checksum import Hasher
from dermdata.disk import open_handle, read_at, read_into, replace_file, storage_errors, sync_folder, write_at
from dermdata.errors import StorageError
from dermdata.http.journal import Journal, JournalEntries, claim_journal
from dermdata.http.responses import FileVersion

ENDLESS = 1 << 62  # the end of a file whose size is unknown
# bytes that are hashed where they are written; a longer file gets a thread for the rest
INLINE_BYTES = 2 << 20
BLOCK_BYTES = 256 * 1024  # bytes read back at once: they still lie in the processor's cache
# bytes that all streams together may hold between two journal lines: what a kill can cost
JOURNAL_STEP = 256 * 1024


class IntervalSet:
    """A set of bytes as sorted intervals `[first, end)` that never touch; others may read while one thread writes."""

    def __init__(self) -> None:
        self._intervals: list[tuple[int, int]] = []

    def add(self, first: int, end: int) -> None:
        """Add an interval, which may overlap with others."""
        intervals = self._intervals
        low = bisect_left(intervals, (first, first))
        if low and intervals[low - 1][1] >= first:
            low -= 1
        high = low
        while high < len(intervals) and intervals[high][0] <= end:
            first, end = min(first, intervals[high][0]), max(end, intervals[high][1])
            high += 1
        # anew: other threads may be reading it
        self._intervals = [*intervals[:low], (first, end), *intervals[high:]]

    def clear(self) -> None:
        """Remove every interval."""
        self._intervals = []

    @property
    def length(self) -> int:
        """The number of bytes in the set."""
        return sum(end - first for first, end in self._intervals)

    @property
    def first_gap(self) -> int:
        """The first byte that is not in the set."""
        intervals = self._intervals
        return intervals[0][1] if intervals and intervals[0][0] == 0 else 0

    @property
    def end(self) -> int:
        """One past the last byte of the set."""
        intervals = self._intervals
        return intervals[-1][1] if intervals else 0

    def gaps(self, total: int) -> list[tuple[int, int]]:
        """Return the intervals that are missing in a file of `total` bytes, first to last."""
        intervals = self._intervals
        firsts = [0, *(end for _, end in intervals)]
        ends = [*(first for first, _ in intervals), total]
        found = [(first, min(end, total)) for first, end in zip(firsts, ends, strict=True)]
        return [(first, end) for first, end in found if first < end]


class BackgroundHasher:
    """Hashes a growing file up to its first gap; bytes behind a gap are read back once it is filled."""

    def __init__(self, file: int, checksum: str | None) -> None:
        self._file = file
        self._hasher = Hasher(checksum)
        self._hashed = self._front = 0  # bytes that are hashed; bytes before the first gap
        self._stopped = self._ended = False
        self._error: Exception | None = None
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()

    def advance(self, front: int, first: int, data: bytes) -> None:
        """Note that all bytes before `front` are written; the last were `data`, from `first` on."""
        if self._thread is None and self._hashed < INLINE_BYTES and first == self._hashed:
            self._hasher.update(data)
            self._hashed = self._front = first + len(data)
        if front - self._front < BLOCK_BYTES:
            return  # waking up a thread for less costs more than it brings
        self._signal(front)

    def _signal(self, front: int) -> None:
        with self._changed:
            self._front = front
            self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="hash", daemon=True)
            self._thread.start()

    def wait_for(self, front: int) -> Hasher:
        """Return the hash of all bytes before `front`; OSError or StorageError when they cannot be read back."""
        if self._thread is None:
            self._front = front
            self._hash_until_front(bytearray(BLOCK_BYTES if self._hashed < front else 0))
        else:
            self._signal(front)
            with self._changed:
                self._changed.wait_for(lambda: self._hashed == self._front or self._ended)
        if self._error is not None:
            raise self._error
        return self._hasher

    def stop(self) -> None:
        """Stop reading: the file is about to be cut or closed."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        buffer = bytearray(BLOCK_BYTES)
        try:
            while not self._stopped:
                with self._changed:
                    self._changed.wait_for(lambda: self._hashed < self._front or self._stopped)
                self._hash_until_front(buffer)
                with self._changed:
                    self._changed.notify_all()
        except Exception as error:  # noqa: BLE001 - raised again in whoever asks for the hash
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _hash_until_front(self, buffer: bytearray) -> None:
        view = memoryview(buffer)
        while self._hashed < self._front and not self._stopped:
            count = read_into(self._file, view[: self._front - self._hashed], self._hashed)
            if not count:
                raise StorageError("the file was cut by another process", hint="run the same command again")
            self._hasher.update(view[:count])
            self._hashed += count


class WriteCursor:
    """One stream's place in a partial file: where it writes next, and what the journal does not hold of it yet."""

    def __init__(self, position: int) -> None:
        self.position = self.recorded = position
        self.crc = 0  # of the bytes from `recorded` on


class PartialFile:
    """The bytes so far of one target; a context manager that any thread may write to.

    Parameters
    ----------
    target
        The file's final name, which it gets by `finish`.
    key
        What tells one request from another: 16 hex digits.
    checksum
        `algorithm:hex`, whose hash is made as the file grows; SHA-256 is made always.

    """

    def __init__(self, target: Path, key: str, checksum: str | None) -> None:
        self.target = target
        self.version = FileVersion()
        self.intervals = IntervalSet()
        self.resumed_from = 0
        self.restarts = 0  # how often the bytes were given up
        self._key = key
        self._checksum = checksum
        self._shared = target.with_name(f".{target.name[:180]}.{key}.part")
        self._side = self._shared.with_name(self._shared.name + ".json")
        self._path = self._shared
        self._journal: Journal | None = None
        self._file = -1
        self._cursors: list[WriteCursor] = []
        self._lock = threading.Lock()
        self._hashing = BackgroundHasher(-1, checksum)

    def __enter__(self) -> "PartialFile":
        with storage_errors(self.target):
            self.target.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._open()
            except BaseException:
                self._close()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    @property
    def received(self) -> int:
        """The number of bytes that are there, wherever they lie."""
        return self.intervals.length

    @property
    def hasher(self) -> Hasher:
        """The hash of the bytes before the first gap; it waits for the last of them."""
        with storage_errors(self.target):
            return self._hashing.wait_for(self.intervals.first_gap)

    # ------------------------------------------------------------------ writing

    def start_over(self, version: FileVersion) -> None:
        """Forget the bytes so far: what comes now is this version from its first byte."""
        self._hashing.stop()
        with storage_errors(self.target, version.total):
            # before the cut: from now on the old ranges count no more
            self._append_entry({"key": self._key, **vars(version)})
            os.ftruncate(self._file, 0)
        self.restarts += bool(self.received)
        self.intervals.clear()
        self.version, self.resumed_from = version, 0
        self._hashing = BackgroundHasher(self._file, self._checksum)

    @contextmanager
    def open_cursor(self, first: int) -> Iterator[WriteCursor]:
        """Yield a place to write from `first` on; what was written is recorded at the end."""
        cursor = WriteCursor(first)
        with self._lock:
            self._cursors.append(cursor)
        try:
            yield cursor
        except StorageError:
            with suppress(StorageError):  # a full disk may take no note either; the first error says more
                self._close_cursor(cursor)
            raise
        except BaseException:
            self._close_cursor(cursor)
            raise
        self._close_cursor(cursor)

    def _close_cursor(self, cursor: WriteCursor) -> None:
        with self._lock:
            self._cursors.remove(cursor)
        with storage_errors(self.target):
            self.record(cursor)

    def write(self, cursor: WriteCursor, data: bytes) -> None:
        """Write bytes at a cursor, hash them in their turn, and record them now and then."""
        first = cursor.position
        with storage_errors(self.target, self._bytes_missing(len(data))):
            write_at(self._file, data, first)
            cursor.crc = zlib.crc32(data, cursor.crc)
            cursor.position += len(data)
            with self._lock:
                self.intervals.add(first, cursor.position)
                self._hashing.advance(self.intervals.first_gap, first, data)
                step = JOURNAL_STEP // max(1, len(self._cursors))
            if cursor.position - cursor.recorded >= step:
                self.record(cursor)

    def _bytes_missing(self, at_least: int) -> int:
        return (self.version.total or 0) - self.received if self.version.total else at_least

    def record(self, cursor: WriteCursor) -> None:
        """Append to the journal what a cursor has written since its last line."""
        if cursor.position > cursor.recorded:
            self._append_entry([cursor.recorded, cursor.position, cursor.crc])
            cursor.recorded, cursor.crc = cursor.position, 0

    def finish(self) -> None:
        """Give the file its name: fsync, rename, fsync the folder."""
        with storage_errors(self.target):
            os.fsync(self._file)
            if os.fstat(self._file).st_size != self.received:
                raise StorageError(f"{self._path} was changed by another process", hint="run it again")
            if sys.platform == "win32":  # an open file cannot be renamed there
                self._hashing.wait_for(self.received)
                self._hashing.stop()
                os.close(self._file)
                self._file = -1
            replace_file(self._path, self.target)
            sync_folder(self.target.parent)
            if self._journal is not None:
                self._journal.remove()

    def _append_entry(self, entry: object) -> None:
        if self._journal is not None:
            self._journal.append(entry)

    # ------------------------------------------------------------------ opening and leaving

    def _open(self) -> None:
        entries, self._journal = claim_journal(self._side, self._key)
        if self._journal is not None:
            found = _reopen_partial(self._shared)
            self._file = _create_partial(self._shared) if found is None else found
            self._restore(self._file, entries)
            os.ftruncate(self._file, self.intervals.end)
            return
        own = self._shared.name.removesuffix(".part")
        self._path = self._shared.with_name(f"{own}.{os.getpid()}-{os.urandom(4).hex()}.part")
        self._file = _create_partial(self._path)
        if (source := _reopen_partial(self._shared, os.O_RDONLY)) is not None:
            try:
                self._restore(source, entries)
            finally:
                os.close(source)

    def _restore(self, source: int, entries: JournalEntries) -> None:
        """Take over the bytes that the journal proves, read from disk and hashed."""
        self.version = entries.version
        self._hashing = BackgroundHasher(self._file, self._checksum)
        for first, end, crc in sorted(entries.ranges):
            data = read_at(source, end - first, first)
            if len(data) != end - first or zlib.crc32(data) != crc:
                continue
            if source != self._file:
                write_at(self._file, data, first)
            self.intervals.add(first, end)
            self._hashing.advance(self.intervals.first_gap, first, data)
        self.resumed_from = self.received

    def _close(self) -> None:
        self._hashing.stop()
        if self._file >= 0:
            os.close(self._file)
        if self._journal is not None:
            if not self.received:
                self._discard()
            self._journal.release()
        elif self._path != self._shared:
            self._path.unlink(missing_ok=True)

    def _discard(self) -> None:
        """Leave no empty file where nothing came: there is nothing to go on from."""
        with suppress(OSError):  # it does no harm; whatever keeps it is told by what failed before
            self._path.unlink(missing_ok=True)
            if self._journal is not None:
                self._journal.remove()


def _reopen_partial(path: Path, flags: int = os.O_RDWR) -> int | None:
    """Open a partial file that is a plain file of ours with one name; return None for anything else in its place."""
    try:
        handle = open_handle(path, flags)
    except OSError:  # absent, a link, not ours: whoever wants the name must create it
        return None
    found = os.fstat(handle)
    ours = sys.platform == "win32" or found.st_uid == os.geteuid()
    if stat.S_ISREG(found.st_mode) and ours and found.st_nlink == 1:
        return handle
    os.close(handle)
    return None


def _create_partial(path: Path) -> int:
    path.unlink(missing_ok=True)  # a link that was planted there, or a partial that is not ours
    return open_handle(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
