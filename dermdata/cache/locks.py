"""Holds one dataset against other processes, by a lock file; where locks keep nobody out, by a queue of process ids.

Some network file systems grant every lock (Lustre, GPFS and NFS, as they are mounted). There each process appends a
line to the queue when it comes and one when it goes, and who came first, and still lives, goes first. Only this
machine's processes can be asked whether they live, so another machine's are not waited for: two such writers double
the traffic, and every file still takes its name by an atomic rename of bytes that were checked.
"""

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dermdata import disk
from dermdata.errors import CacheBusy, StorageError
from dermdata.process import is_alive, lock_file, machine_name, start_time

LARGEST_QUEUE = 64 << 20  # bytes of a queue
NO_LOCK_ERRORS = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}


class LockQueue:
    """One process's place among those that want a dataset."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.me = f"{machine_name()} {os.getpid()} {start_time(os.getpid())} {os.urandom(8).hex()}"

    def join(self) -> None:
        """Come; on a full disk nobody can, and all go in at once."""
        with suppress(StorageError):
            self._append(f"+ {self.me}")

    def leave(self) -> None:
        """Go; who cannot say so is seen to be dead."""
        with suppress(StorageError):
            self._append(f"- {self.me}")

    def is_our_turn(self) -> bool:
        """Whether nobody is ahead of us."""
        return self.find_predecessor() is None

    def find_predecessor(self) -> str | None:
        """Who came before us, has not gone and lives; None: it is our turn."""
        there: list[str] = []
        text = (
            disk.read_regular(self.path, most=LARGEST_QUEUE).decode("utf-8", "replace")
            if self.path.is_file()
            else ""
        )
        for line in text.splitlines():
            sign, _, who = line.partition(" ")
            if sign == "+":
                there.append(who)
            elif sign == "-" and who in there:
                there.remove(who)
        before = there[: there.index(self.me)] if self.me in there else []
        return next((describe_process(who) for who in before if is_blocking(who)), None)

    def _append(self, line: str) -> None:
        """In one write; the line end comes first, so that a torn line spoils only itself."""
        with disk.storage_errors(self.path):
            handle = disk.open_handle(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(handle, f"\n{line}\n".encode())
            finally:
                os.close(handle)


def is_exclusive(path: Path) -> bool:
    """Whether the lock that this process holds on the file would stop another one: a second opening must fail."""
    try:
        handle = disk.open_handle(path, os.O_RDWR)
    except OSError:
        return False
    try:
        return not lock_file(handle)
    except OSError:
        return False
    finally:
        os.close(handle)


def is_blocking(who: str) -> bool:
    """Whether this is a living process of this machine, and not ourselves."""
    host, pid, since, *_ = [*who.split(" "), "", "", ""]
    ours = host == machine_name() and pid.isdecimal() and len(pid) < 10  # else no process id of ours
    if not ours or int(pid) in (0, os.getpid()):
        return False
    return is_alive(int(pid), since)


def describe_process(who: str) -> str:
    host, pid, *_ = who.split(" ")
    return f"process {pid} on {host}"


@contextmanager
def hold_lock(path: Path, name: str, waiting: Callable[[str], None], patience: float) -> Iterator[None]:
    """Hold the lock file; whoever dies lets go of it."""
    handle = acquire_lock(path, name, waiting, patience)
    while not is_same_file(handle, path):  # deleted while we waited: what we hold, others do not see
        os.close(handle)
        handle = acquire_lock(path, name, waiting, patience)
    try:
        with suppress(OSError):  # a courtesy: on a full disk `cache remove` must still get its lock
            os.ftruncate(handle, 0)
            disk.write_at(handle, f"process {os.getpid()} on {machine_name()}\n".encode(), 0)
        with wait_turn(path, name, waiting, patience):
            yield
    finally:
        os.close(handle)


@contextmanager
def wait_turn(path: Path, name: str, waiting: Callable[[str], None], patience: float) -> Iterator[None]:
    """Hold back where the lock just taken keeps nobody out."""
    if is_exclusive(path):
        yield
        return
    queue = LockQueue(path.with_suffix(".queue"))
    queue.join()
    try:
        wait_until_free(
            queue.is_our_turn, lambda: queue.find_predecessor() or "another process", name, waiting, patience
        )
        yield
    finally:
        queue.leave()


def acquire_lock(path: Path, name: str, waiting: Callable[[str], None], patience: float) -> int:
    """The open lock file, locked; never one that a symbolic link leads to."""
    with disk.storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = disk.open_handle(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        wait_until_free(lambda: lock_file(handle), lambda: read_holder(handle), name, waiting, patience)
    except BaseException:
        os.close(handle)
        raise
    return handle


def is_same_file(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False


def wait_until_free(
    take: Callable[[], bool],
    holder_of_it: Callable[[], str],
    name: str,
    waiting: Callable[[str], None],
    patience: float,
) -> None:
    """Try to take a lock until it is ours; where the file system has no locks, say so and go on."""
    announced, deadline = False, time.monotonic() + patience
    while True:
        try:
            if take():
                return None
        except OSError as error:
            if error.errno not in NO_LOCK_ERRORS:
                raise StorageError(f"cannot lock {name}: {error.strerror}") from error
            return waiting(f"{name}: this file system has no locks ({error.strerror}), going on without")
        holder = holder_of_it()
        if time.monotonic() > deadline:
            raise CacheBusy(f"{name} is held by {holder}", hint="wait for it or stop it, then try again")
        if not announced:
            waiting(f"{name}: waiting for {holder}")
        announced = True
        time.sleep(0.2)


def read_holder(handle: int) -> str:
    """Who wrote itself into a lock file, fit for a terminal."""
    note = disk.read_at(handle, 200, 0).decode(errors="replace").strip()
    return "".join(sign for sign in note if sign.isprintable()) or "another process"


def find_holder(path: Path) -> str | None:
    """Who holds a lock file at this moment; None for nobody, and where locks cannot tell."""
    try:
        handle = disk.open_handle(path, os.O_RDONLY)
    except OSError:  # no lock file, or one that is not ours to read: whoever takes the lock gets the error
        return None
    try:
        return None if lock_file(handle, shared=True) else read_holder(handle)
    except OSError as error:
        if error.errno not in NO_LOCK_ERRORS:
            raise StorageError(f"cannot lock {path}: {error.strerror}") from error
        return None
    finally:
        os.close(handle)
