"""Turns at a dataset where the file system's locks keep nobody out: who came first, and still lives, goes first.

Some network file systems grant every lock (Lustre, GPFS and NFS, as they are mounted). There each process
appends a line when it comes and one when it goes. Only this machine's processes can be told to be alive, so
another machine's are not waited for: two such writers double the traffic, and every file still takes its name
by an atomic rename of bytes that were checked.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from dermdata import disk
from dermdata.errors import StorageError
from dermdata.process import alive, began, machine

MOST = 64 << 20  # bytes of a queue


class Queue:
    """One process's place among those that want a dataset."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.me = f"{machine()} {os.getpid()} {began(os.getpid())} {os.urandom(8).hex()}"

    def join(self) -> None:
        """Come; on a full disk nobody can, and all go in at once."""
        with suppress(StorageError):
            self._append(f"+ {self.me}")

    def leave(self) -> None:
        """Go; who cannot say so is seen to be dead."""
        with suppress(StorageError):
            self._append(f"- {self.me}")

    def require_turn(self) -> None:
        """BlockingIOError while somebody is ahead, as a lock would have it."""
        if self.ahead():
            raise BlockingIOError

    def ahead(self) -> str | None:
        """Who came before us, has not gone and lives; None: it is our turn."""
        there: list[str] = []
        text = (
            disk.read_regular(self.path, most=MOST).decode("utf-8", "replace") if self.path.is_file() else ""
        )
        for line in text.splitlines():
            sign, _, who = line.partition(" ")
            if sign == "+":
                there.append(who)
            elif sign == "-" and who in there:
                there.remove(who)
        before = there[: there.index(self.me)] if self.me in there else []
        return next((words(who) for who in before if blocks(who)), None)

    def _append(self, line: str) -> None:
        """In one write; the line end comes first, so that a torn line spoils only itself."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0)
        with disk.storage_errors(self.path):
            handle = os.open(self.path, flags, 0o600)
            try:
                os.write(handle, f"\n{line}\n".encode())
            finally:
                os.close(handle)


def keeps_others_out(path: Path) -> bool:
    """Whether the lock that this process holds on the file would stop another one: a second opening must fail."""
    try:
        handle = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False


def blocks(who: str) -> bool:
    """Whether this is a living process of this machine, and not ourselves."""
    host, pid, since, *_ = [*who.split(" "), "", "", ""]
    ours = host == machine() and pid.isdecimal() and len(pid) < 10  # else no process id of ours
    if not ours or int(pid) in (0, os.getpid()):
        return False
    return alive(int(pid)) and began(int(pid)) == since


def words(who: str) -> str:
    host, pid, *_ = who.split(" ")
    return f"process {pid} on {host}"
