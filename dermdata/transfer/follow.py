"""The hash of a file that grows: it follows the front, so that at the end no byte is left to be read."""

import os
import threading

from dermdata.checksum import Hasher
from dermdata.errors import StorageError

INLINE = 2 << 20  # bytes that are hashed where they are written; a longer file gets a thread for the rest
BLOCK = 256 * 1024  # bytes read back at once: they still lie in the processor's cache


class Follower:
    """Hashes the bytes before the front; what others wrote ahead is read back once the front gets there."""

    def __init__(self, file: int, checksum: str | None) -> None:
        self._file = file
        self._hasher = Hasher(checksum)
        self._at = self._front = 0  # hashed; written
        self._stopped = self._ended = False
        self._error: Exception | None = None
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()

    def grow(self, front: int, first: int, data: bytes) -> None:
        """All bytes before `front` are written; the last were `data`, from `first` on."""
        if self._thread is None and self._at < INLINE and first == self._at:
            self._hasher.update(data)
            self._at = self._front = first + len(data)
        if front - self._front < BLOCK:
            return  # waking up a thread for less costs more than it brings
        self._reach(front)

    def _reach(self, front: int) -> None:
        with self._changed:
            self._front = front
            self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._follow, name="hash", daemon=True)
            self._thread.start()

    def hasher(self, front: int) -> Hasher:
        """The hash of all bytes before `front`; OSError or StorageError when they cannot be read back."""
        if self._thread is None:
            self._front = front
            self._catch_up(bytearray(BLOCK if self._at < front else 0))
        else:
            self._reach(front)
            with self._changed:
                self._changed.wait_for(lambda: self._at == self._front or self._ended)
        if self._error is not None:
            raise self._error
        return self._hasher

    def stop(self) -> None:
        """No more reading: the file is about to be cut or closed."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _follow(self) -> None:
        buffer = bytearray(BLOCK)
        try:
            while not self._stopped:
                with self._changed:
                    self._changed.wait_for(lambda: self._at < self._front or self._stopped)
                self._catch_up(buffer)
                with self._changed:
                    self._changed.notify_all()
        except Exception as error:  # noqa: BLE001 - raised again in whoever asks for the hash
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _catch_up(self, buffer: bytearray) -> None:
        view = memoryview(buffer)
        while self._at < self._front and not self._stopped:
            count = os.preadv(self._file, [view[: self._front - self._at]], self._at)
            if not count:
                raise StorageError("the file was cut by another process", hint="run the same command again")
            self._hasher.update(view[:count])
            self._at += count
