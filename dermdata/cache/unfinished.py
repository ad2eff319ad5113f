"""What a run is about to put into a dataset's folder, written down first: a killed run's list is read by the next.

    <dataset>/<version>/.unfinished.json    a line a file, while a fetch runs and after one that did not end

So the next fetch knows the files that no receipt names for dermdata's own, and where each one came from.
"""

import json
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dermdata import disk
from dermdata.errors import StorageError

NAME = ".unfinished.json"


@dataclass(frozen=True, kw_only=True)
class Announced:
    """One file that was on its way."""

    origin: str | None  # a digest of where it was to come from; None: a member of an archive
    inode: int | None  # of the file that had the name before, which is not the one that came


class Unfinished:
    """The list of one dataset's folder; for whoever holds the dataset's lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / NAME
        self._known = self._read()

    def _read(self) -> dict[str, Announced]:
        found: dict[str, Announced] = {}
        if not os.path.lexists(self._path):
            return found
        with open(self._opened(os.O_RDONLY), "rb") as file:  # noqa: PTH123  # a descriptor, not a path
            for line in file:
                with suppress(ValueError, TypeError):  # a line may be cut
                    path, origin, inode = json.loads(line)
                    found[str(path)] = Announced(origin=origin, inode=inode)
        return found

    def _opened(self, how: int) -> int:
        """The open list; StorageError for a link, a pipe or a device in its place."""
        with disk.storage_errors(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = how | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
            handle = os.open(self._path, flags, 0o644)
        if stat.S_ISREG(os.fstat(handle).st_mode):
            return handle
        os.close(handle)
        raise StorageError(f"{self._path} is no file", hint="remove it and try again")

    def announce(self, paths: Iterable[str], origin: str | None = None) -> None:
        """Note files, relative to the dataset's folder, before one of them takes its name."""
        lines = []
        for path in paths:
            one = Announced(origin=origin, inode=inode_of(self._folder / path))
            self._known[path] = one
            lines.append(f"\n{json.dumps([path, one.origin, one.inode])}")  # a torn line spoils only itself
        handle = self._opened(os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            view = memoryview("".join(lines).encode())
            with disk.storage_errors(self._path, len(view)):
                while view:
                    view = view[os.write(handle, view) :]
        finally:
            os.close(handle)

    def came_from(self, path: str, origin: str) -> bool:
        """Whether the file that has this name now is one that an earlier run was bringing from there."""
        one = self._known.get(path)
        return one is not None and one.origin == origin and one.inode != inode_of(self._folder / path)

    def strays(self, known: Iterable[str]) -> list[str]:
        """Files that were brought and are on no record: paths that are not `known`."""
        left = sorted(set(self._known) - set(known))
        return [path for path in left if is_own(self._folder, path)]

    def end(self) -> None:
        """Nothing is on its way any more."""
        self._known.clear()
        with disk.storage_errors(self._path):
            self._path.unlink(missing_ok=True)


def has_unfinished(folder: Path) -> bool:
    """Whether a run has not ended in this folder, or is at work."""
    return os.path.lexists(folder / NAME)


def inode_of(path: Path) -> int | None:
    try:
        return path.lstat().st_ino
    except OSError:  # nothing there, or a name that the file system does not take
        return None


def is_own(folder: Path, path: str) -> bool:
    """Whether a path is that of a regular file in the folder: relative, straight down, and no link on the way."""
    parts = path.split("/")
    if path.startswith("/") or {"", ".", ".."} & set(parts) or "\0" in path:
        return False  # whoever could write the list may not make us delete anything elsewhere
    home = folder.resolve()
    file = home / path
    inside = file.parent.resolve() == file.parent and file.parent.is_relative_to(home)
    return inside and file.is_file() and not file.is_symlink()
