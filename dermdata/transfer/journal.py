"""What is certainly in a partial, and who works on it: `.part.json` beside the `.part`.

It is lines of JSON, only ever appended to, so a kill can tear its last line at most:

    {"holder": "host:pid:start:random"}                    somebody works on it …
    {"key": …, "source": 0, "etag": …, "modified": …, "total": …}   a version begins; forget the ranges before
    [0, 262144, 305419896]                                 first byte, end, CRC-32: these bytes are written
    {"free": "host:pid:start:random"}                      … and has left it

Ranges come in any order and leave gaps: several streams write one file. Whoever cannot be sure to
be alone (a live lock, a live holder, a holder on another machine) works in a partial of its own, begun with a
copy of what the journal proves. Where locks do nothing, the holders' lines keep two processes apart.
"""

import fcntl
import json
import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from dermdata import disk

LONGEST_RANGE = 16 << 20  # bytes; a line of ours is never longer
MOST = 1 << 30  # bytes of a journal
NOFOLLOW = os.O_NOFOLLOW | os.O_CLOEXEC

T = TypeVar("T")


@dataclass
class Version:
    """Which version of the file the partial holds, as the server named it."""

    source: int | None = None  # which of the request's addresses sent it
    etag: str | None = None
    modified: str | None = None
    total: int | None = None


@dataclass
class Story:
    """What a journal tells."""

    version: Version = field(default_factory=Version)
    ranges: list[tuple[int, int, int]] = field(default_factory=list)  # first, end, CRC-32
    holders: list[str] = field(default_factory=list)  # oldest first, without those who left

    @classmethod
    def read(cls, text: str, key: str) -> "Story":
        """A journal's lines; torn, foreign or senseless ones are passed over."""
        story = cls()
        for line in text.splitlines():
            with suppress(ValueError, RecursionError):  # a torn line: its bytes are fetched again
                story._take(json.loads(line), key)
        return story

    def _take(self, entry: object, key: str) -> None:
        match entry:
            case [int(first), int(end), int(crc)] if 0 <= first < end <= first + LONGEST_RANGE:
                self.ranges.append((first, end, crc))
            case {"holder": str(who)}:
                self.holders.append(who)
            case {"free": str(who)} if who in self.holders:
                self.holders.remove(who)
            case {"key": of, "source": source, "etag": etag, "modified": modified, "total": total}:
                self.ranges.clear()
                known = Version(_as(int, source), _as(str, etag), _as(str, modified), _as(int, total))
                self.version = known if of == key else Version()


def _as(kind: type[T], value: object) -> T | None:
    return value if isinstance(value, kind) else None


class Journal:
    """A journal that is ours alone until it is left."""

    def __init__(self, path: Path, handle: int, me: str) -> None:
        self._path, self._handle, self._me = path, handle, me

    def add(self, entry: object) -> None:
        """One line, in one write; the line end comes first, so that a torn line spoils only itself."""
        _append(self._handle, entry)

    def leave(self) -> None:
        """Let others have it."""
        with suppress(OSError):  # a holder that is not written off is seen to be dead
            self.add({"free": self._me})
        os.close(self._handle)

    def remove(self) -> None:
        """The file is whole: nothing is left to tell."""
        self._path.unlink(missing_ok=True)


def claim(path: Path, key: str) -> tuple[Story, Journal | None]:
    """What a journal tells, and the journal itself if nobody else can be at work on its partial."""
    handle = _locked(path)
    if handle is None:
        with suppress(OSError):  # not ours to read: begin with nothing
            return Story.read(disk.read_regular(path, most=MOST).decode("utf-8", "replace"), key), None
        return Story(), None
    me = ":".join((*_identity(os.getpid()), os.urandom(8).hex()))
    journal = Journal(path, handle, me)
    journal.add({"holder": me})
    story = Story.read(_text(handle), key)  # read after writing: of two at once, one comes first
    if next(who for who in story.holders if who == me or _alive(who)) == me:
        return story, journal
    journal.leave()
    return story, None


def _append(journal: int, entry: object) -> None:
    """One line, in one write; the line end comes first, so that a torn line spoils only itself."""
    os.write(journal, f"\n{json.dumps(entry)}".encode())


def _locked(path: Path) -> int | None:
    """The journal, opened and locked; None when somebody else has it."""
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | NOFOLLOW | os.O_NONBLOCK, 0o600)
        except PermissionError:
            return None
        if not stat.S_ISREG(os.fstat(handle).st_mode):  # a pipe that was planted there
            os.close(handle)
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        except OSError:  # no locks on this file system: the holder's line must do
            return handle
        with suppress(FileNotFoundError):
            if os.fstat(handle).st_ino == path.stat().st_ino:
                return handle
        os.close(handle)  # its last holder finished and removed it meanwhile


def _text(handle: int) -> str:
    with open(os.dup(handle), "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        file.seek(0)
        return file.read().decode("utf-8", "replace")


def _identity(pid: int) -> tuple[str, str, str]:
    """Host, process id and the time the process began: a process id alone is used again."""
    try:
        began = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        began = ""
    return socket.gethostname(), str(pid), began


def _alive(who: str) -> bool:
    """Whether a holder may still be at work; of another machine nobody can tell."""
    host, pid, began, *_ = [*who.split(":"), "", "", ""]
    if host != socket.gethostname() or not pid.isdecimal():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _identity(int(pid))[2] == began or not began
