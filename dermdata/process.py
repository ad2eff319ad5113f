"""Processes and threads: this machine's name, who still lives, pools that Ctrl-C ends, and locks of open files."""

import os
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HEARD_WITHIN = 0.5  # seconds
MOST_PID = 2**31 - 1  # a larger id, in a file that is damaged or not ours, is nobody's


def machine_name() -> str:
    """This machine's name, without dots."""
    return socket.gethostname().partition(".")[0] or "localhost"


if sys.platform == "win32":
    # os.kill(pid, 0) asks nothing there: signal 0 is Ctrl-C, and it would end the very process that is asked about
    import ctypes

    SYNCHRONIZE = 0x0010_0000  # the right to wait for a process
    ACCESS_DENIED = 5
    STILL_RUNNING = 0x102  # WAIT_TIMEOUT: it has not ended

    def _is_running(pid: int) -> bool:
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = ctypes.c_void_p
        handle = kernel.OpenProcess(SYNCHRONIZE, False, pid)
        if not handle:
            return ctypes.get_last_error() == ACCESS_DENIED
        try:
            return bool(kernel.WaitForSingleObject(ctypes.c_void_p(handle), 0) == STILL_RUNNING)
        finally:
            kernel.CloseHandle(ctypes.c_void_p(handle))

else:

    def _is_running(pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


def count_cores() -> int:
    """How many processor cores this process may use: a scheduler or `taskset` may give it fewer than there are."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux has it
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def is_alive(pid: int, started: str | None = None) -> bool:
    """Tell whether a process of this machine lives; nothing is done to it.

    Parameters
    ----------
    pid
        The process's id; one that no process can have is nobody's.
    started
        When it began, by its `start_time`: another process that has the same id by now does not count. None: any
        process of this id counts.

    """
    lives = 0 < pid <= MOST_PID and _is_running(pid)
    return lives and started in (None, start_time(pid))


def start_time(pid: int) -> str:
    """When a process began, in the kernel's ticks: ids are used again; empty where that cannot be known."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


@contextmanager
def cancel_on_interrupt(pool: ThreadPoolExecutor) -> Iterator[ThreadPoolExecutor]:
    """Wait for all work at the end, but not after Ctrl-C: one body may take hours, and a kill harms nothing."""
    try:
        yield pool
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    except BaseException:
        pool.shutdown()
        raise
    pool.shutdown()


def raise_first_error(futures: Sequence[Future[Any]]) -> None:
    """Wait until all is done or something has failed, which stops what has not begun and is raised.

    In short waits: a Ctrl-C of the very moment in which a thread begins to wait for a lock is heard when it wakes, and
    a host that sends nothing would not wake it.
    """
    over, lock, left = threading.Event(), threading.Lock(), len(futures)

    def note(future: Future[Any]) -> None:
        nonlocal left
        with lock:
            left -= 1
        if not left or (not future.cancelled() and future.exception()):
            over.set()

    for future in futures:
        future.add_done_callback(note)
    try:
        while futures and not over.wait(HEARD_WITHIN):
            pass
    finally:
        for future in futures:
            future.cancel()
    for future in futures:
        if not future.cancelled():
            future.result()


if sys.platform == "win32":
    import msvcrt

    LOCKED_BYTE = 1 << 40  # far behind the end: others may not even read what is locked

    def lock_file(handle: int, *, shared: bool = False) -> bool:  # noqa: ARG001
        """Lock an open file; False when another process has locked it, OSError when nobody can.

        `shared` locks keep only exclusive ones out; Windows has none for open files, and gives an exclusive one.
        """
        os.lseek(handle, LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

else:
    import fcntl

    def lock_file(handle: int, *, shared: bool = False) -> bool:
        """Lock an open file; False when another process has locked it, OSError when nobody can.

        `shared` locks keep only exclusive ones out.
        """
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
