"""The journal of a partial file: what is certainly in it, and who works on it; `.part.json` beside the `.part`.

It is lines of JSON, only ever appended to, so that a kill can tear its last line at most:

    {"holder": "host:pid:start:random"}                    somebody works on it …
    {"key": …, "source": 0, "etag": …, "modified": …, "total": …}   a version begins; forget the ranges before
    [0, 262144, 305419896]                                 first byte, end, CRC-32: these bytes are written
    {"free": "host:pid:start:random"}                      … and has left it

Ranges come in any order and leave gaps: several streams write one file. Whoever cannot be sure to be alone (a live
lock, a live holder, a holder on another machine) works in a partial file of its own, begun with a copy of what the
journal proves. Where locks do nothing, the holders' lines keep two processes apart.
"""

import json
import os
import socket
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from dermdata import disk
from dermdata.http.responses import FileVersion
from dermdata.process import is_alive, lock_file, start_time

LONGEST_RANGE = 16 << 20  # bytes; a line of ours is never longer
MOST_BYTES = 1 << 30  # bytes of a journal
T = TypeVar("T")


@dataclass
class JournalEntries:
    """What the lines of a journal say."""

    version: FileVersion = field(default_factory=FileVersion)
    ranges: list[tuple[int, int, int]] = field(default_factory=list)  # first, end, CRC-32
    holders: list[str] = field(default_factory=list)  # oldest first, without those who left

    @classmethod
    def parse(cls, text: str, key: str) -> "JournalEntries":
        """Read a journal's lines, and pass over torn, foreign or senseless ones."""
        entries = cls()
        for line in text.splitlines():
            with suppress(ValueError, RecursionError):  # a torn line: its bytes are fetched again
                entries._add(json.loads(line), key)
        return entries

    def _add(self, entry: object, key: str) -> None:
        match entry:
            case [int(first), int(end), int(crc)] if 0 <= first < end <= first + LONGEST_RANGE:
                self.ranges.append((first, end, crc))
            case {"holder": str(who)}:
                self.holders.append(who)
            case {"free": str(who)} if who in self.holders:
                self.holders.remove(who)
            case {"key": of, "source": source, "etag": etag, "modified": modified, "total": total}:
                self.ranges.clear()
                known = FileVersion(
                    _require_type(int, source),
                    _require_type(str, etag),
                    _require_type(str, modified),
                    _require_type(int, total),
                )
                self.version = known if of == key else FileVersion()


def _require_type(kind: type[T], value: object) -> T | None:
    return value if isinstance(value, kind) else None


class Journal:
    """A journal that is ours alone until it is released."""

    def __init__(self, path: Path, handle: int, me: str) -> None:
        self._path, self._handle, self._me = path, handle, me

    def append(self, entry: object) -> None:
        """Write one line at once; the line end comes first, so that a torn line spoils only itself."""
        os.write(self._handle, f"\n{json.dumps(entry)}".encode())

    def release(self) -> None:
        """Let others have the journal."""
        if self._handle >= 0:
            with suppress(OSError):  # a holder that is not written off is seen to be dead
                self.append({"free": self._me})
            os.close(self._handle)

    def remove(self) -> None:
        """Delete the journal: the file is whole."""
        if sys.platform == "win32":  # an open file cannot be deleted there
            os.close(self._handle)
            self._handle = -1
        self._path.unlink(missing_ok=True)


def claim_journal(path: Path, key: str) -> tuple[JournalEntries, Journal | None]:
    """Return a journal's entries, and the journal itself if nobody else can be at work on its partial file."""
    handle = _open_locked(path)
    if handle is None:
        with suppress(OSError):  # not ours to read: begin with nothing
            text = disk.read_regular(path, most=MOST_BYTES).decode("utf-8", "replace")
            return JournalEntries.parse(text, key), None
        return JournalEntries(), None
    me = ":".join((socket.gethostname(), str(os.getpid()), start_time(os.getpid()), os.urandom(8).hex()))
    journal = Journal(path, handle, me)
    journal.append({"holder": me})
    # read after writing: of two at once, one comes first
    entries = JournalEntries.parse(_read_text(handle), key)
    if next(who for who in entries.holders if who == me or _is_alive(who)) == me:
        return entries, journal
    journal.release()
    return entries, None


def _open_locked(path: Path) -> int | None:
    """Open and lock the journal; return None when somebody else has it."""
    while True:
        try:
            handle = disk.open_handle(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except PermissionError:
            return None
        if not stat.S_ISREG(os.fstat(handle).st_mode):  # a pipe that was planted there
            os.close(handle)
            return None
        try:
            if not lock_file(handle):
                os.close(handle)
                return None
        except OSError:  # no locks on this file system: the holder's line must do
            return handle
        with suppress(FileNotFoundError):
            if os.fstat(handle).st_ino == path.stat().st_ino:
                return handle
        os.close(handle)  # its last holder finished and removed it meanwhile


def _read_text(handle: int) -> str:
    with open(os.dup(handle), "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        file.seek(0)
        return file.read().decode("utf-8", "replace")


def _is_alive(who: str) -> bool:
    """Tell whether a holder may still be at work; on another machine nobody can know."""
    host, pid, since, *_ = [*who.split(":"), "", "", ""]
    if host != socket.gethostname() or not pid.isdecimal():
        return True
    return is_alive(int(pid), since or None)
