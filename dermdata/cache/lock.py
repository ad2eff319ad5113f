"""Holds one dataset against other processes."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dermdata import disk
from dermdata.errors import CacheBusy, StorageError
from dermdata.process import machine

NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}


@contextmanager
def held(path: Path, name: str, waiting: Callable[[str], None], patience: float) -> Iterator[None]:
    """Hold the lock file; whoever dies lets go of it."""
    handle = taken(path, name, waiting, patience)
    while not is_at(handle, path):  # deleted while we waited: what we hold, others do not see
        os.close(handle)
        handle = taken(path, name, waiting, patience)
    try:
        with suppress(OSError):  # a courtesy: on a full disk `cache remove` must still get its lock
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {machine()}\n".encode(), 0)
        with turn(path, name, waiting, patience):
            yield
    finally:
        os.close(handle)


@contextmanager
def turn(path: Path, name: str, waiting: Callable[[str], None], patience: float) -> Iterator[None]:
    """Hold back where the lock just taken keeps nobody out."""
    from dermdata.cache.queue import Queue, keeps_others_out

    if keeps_others_out(path):
        yield
        return
    queue = Queue(path.with_suffix(".queue"))
    queue.join()
    try:
        wait_for(queue.require_turn, lambda: queue.ahead() or "another process", name, waiting, patience)
        yield
    finally:
        queue.leave()


def taken(path: Path, name: str, waiting: Callable[[str], None], patience: float) -> int:
    """The open lock file, locked; never one that a symbolic link leads to."""
    import fcntl

    with disk.storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | os.O_NONBLOCK, 0o600)
    try:
        take = lambda: fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # noqa: E731
        wait_for(take, lambda: holder_of(handle), name, waiting, patience)
    except BaseException:
        os.close(handle)
        raise
    return handle


def is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False


def wait_for(
    take: Callable[[], None],
    holder_of_it: Callable[[], str],
    name: str,
    waiting: Callable[[str], None],
    patience: float,
) -> None:
    """Try to take a lock until it is ours; where the file system has no locks, say so and go on."""
    import time

    said, deadline = False, time.monotonic() + patience
    while True:
        try:
            return take()
        except BlockingIOError:
            holder = holder_of_it()
            if time.monotonic() > deadline:
                raise CacheBusy(
                    f"{name} is held by {holder}", hint="wait for it or stop it, then try again"
                ) from None
            if not said:
                waiting(f"{name}: waiting for {holder}")
            said = True
            time.sleep(0.2)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise StorageError(f"cannot lock {name}: {error.strerror}") from error
            return waiting(f"{name}: this file system has no locks ({error.strerror}), going on without")


def holder_of(handle: int) -> str:
    """Who wrote itself into a lock file, fit for a terminal."""
    note = os.pread(handle, 200, 0).decode(errors="replace").strip()
    return "".join(sign for sign in note if sign.isprintable()) or "another process"


def holder_now(path: Path) -> str | None:
    """Who holds a lock file at this moment; None for nobody, and where locks cannot tell."""
    import fcntl

    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | os.O_NONBLOCK)
    except OSError:  # no lock file, or one that is not ours to read: whoever takes the lock is told
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return holder_of(handle)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise StorageError(f"cannot lock {path}: {error.strerror}") from error
    finally:
        os.close(handle)
    return None
