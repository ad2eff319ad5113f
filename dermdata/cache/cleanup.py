"""What killed runs left in the cache: temporary files, unpacked archives, old lists, and files that no receipt names.

    <dataset>/<version>/.unfinished.json    a line a file, while a fetch runs and after one that did not end

A run writes this list before it puts a file into the folder. So the next fetch knows the files that no receipt names
for dermdata's own, and where each one came from.
"""

import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dermdata import disk
from dermdata.cache.folder import DatasetFolder, find_local_maker
from dermdata.cache.receipt import FetchedFile
from dermdata.errors import CacheDamaged, StorageError
from dermdata.process import is_alive

PENDING_NAME = ".unfinished.json"
TEMPORARY_ENDING = re.compile(r"\..*\.(part|part\.json|tmp)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class PendingFile:
    """One file that was on its way."""

    origin: str | None  # a digest of where it was to come from; None: a member of an archive
    inode: int | None  # of the file that had the name before, which is not the one that came


class PendingFiles:
    """The list of one dataset's folder; for whoever holds the dataset's lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / PENDING_NAME
        self._known = self._read()

    def __contains__(self, path: str) -> bool:
        """Whether this path is that of a file which a run was bringing, or lies in a folder that one was filling."""
        folders = (f"{folder}/" for folder in PurePosixPath(path).parents)
        return path in self._known or any(folder in self._known for folder in folders)

    def _read(self) -> dict[str, PendingFile]:
        found: dict[str, PendingFile] = {}
        if not os.path.lexists(self._path):
            return found
        with open(self._open(os.O_RDONLY), "rb") as file:  # noqa: PTH123  # a descriptor, not a path
            for line in file:
                with suppress(ValueError, TypeError):  # a line may be cut
                    path, origin, inode = json.loads(line)
                    found[str(path)] = PendingFile(origin=origin, inode=inode)
        return found

    def _open(self, how: int) -> int:
        """The open list; StorageError for a link, a pipe or a device in its place."""
        with disk.storage_errors(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = disk.open_handle(self._path, how)
        if stat.S_ISREG(os.fstat(handle).st_mode):
            return handle
        os.close(handle)
        raise StorageError(f"{self._path} is no file", hint="remove it and try again")

    def announce(self, paths: Iterable[str], origin: str | None = None) -> None:
        """Note files, relative to the dataset's folder, before one of them takes its name; a folder ends with `/`."""
        lines = []
        for path in paths:
            one = PendingFile(origin=origin, inode=inode_of(self._folder / path))
            self._known[path] = one
            lines.append(f"\n{json.dumps([path, one.origin, one.inode])}")  # a torn line spoils only itself
        handle = self._open(os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            view = memoryview("".join(lines).encode())
            with disk.storage_errors(self._path, len(view)):
                while view:
                    view = view[os.write(handle, view) :]
        finally:
            os.close(handle)

    def has_origin(self, path: str, origin: str) -> bool:
        """Whether the file that has this name now is one that an earlier run was bringing from there."""
        one = self._known.get(path)
        return one is not None and one.origin == origin and one.inode != inode_of(self._folder / path)

    def find_strays(self, known: Iterable[str]) -> list[str]:
        """Files that were brought and are on no record: paths that are not `known`."""
        left = sorted(set(self._known) - set(known))
        return [path for path in left if is_own_file(self._folder, path)]

    def clear(self) -> None:
        """Nothing is on its way any more."""
        self._known.clear()
        with disk.storage_errors(self._path):
            self._path.unlink(missing_ok=True)


def has_pending_files(folder: Path) -> bool:
    """Whether a run has not ended in this folder, or is at work."""
    return os.path.lexists(folder / PENDING_NAME)


def is_unfinished(folder: DatasetFolder) -> bool:
    """Whether the last fetch into this folder was interrupted, failed, or is at work; CacheDamaged for a broken receipt."""
    receipt = folder.receipt()
    return receipt is None or receipt.manifest_sha256 is None or has_pending_files(folder.path)


def holds_kept_files_only(folder: DatasetFolder) -> bool:
    """Whether there is nothing but whole files that a failed fetch left for the next one."""
    try:
        receipt = folder.receipt()
    except (CacheDamaged, StorageError):
        return False
    if receipt is None or receipt.manifest_sha256 or folder.manifest.exists():
        return False
    return not has_pending_files(folder.path) and next(walk_temporaries(folder.path, deep=True), None) is None


def inode_of(path: Path) -> int | None:
    try:
        return path.lstat().st_ino
    except OSError:  # nothing there, or a name that the file system does not take
        return None


def is_own_file(folder: Path, path: str) -> bool:
    """Whether a path is that of a regular file in the folder: relative, straight down, and no link on the way."""
    parts = path.split("/")
    if path.startswith("/") or {"", ".", ".."} & set(parts) or "\0" in path:
        return False  # whoever could write the list may not make us delete anything elsewhere
    home = folder.resolve()
    file = home / path
    inside = file.parent.resolve() == file.parent and file.parent.is_relative_to(home)
    return inside and file.is_file() and not file.is_symlink()


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """A file or folder that no fetch needs any more."""

    path: Path
    why: str


def find_temporaries(place: Path, older_than: float, *, deep: bool = True) -> Iterator[Leftover]:
    """Partials and temporary files below a folder, by path.

    Those that name a process of this machine go when it is dead, and stay while it lives. Of the others
    (another machine's, or a partial that the next fetch would continue) only the age, seconds since the
    epoch, can tell: a download that stands still for a minute is given up, so none is a week old.
    """
    for path in sorted(walk_temporaries(place, deep=deep)):
        maker = find_local_maker(path.name)
        if maker is not None:
            if not is_alive(maker):
                yield Leftover(path=path, why=f"of process {maker}, which is gone")
        elif last_change(path) < older_than:
            yield Leftover(path=path, why="untouched for a week")


def walk_temporaries(place: Path, *, deep: bool) -> Iterator[Path]:
    for parent, folders, names in os.walk(place):
        mine = [name for name in (*folders, *names) if TEMPORARY_ENDING.fullmatch(name)]
        yield from (Path(parent) / name for name in mine)
        folders[:] = [name for name in folders if deep and name not in mine]


def find_superfluous(folder: DatasetFolder, place: Callable[[str], str]) -> Iterator[Leftover]:
    """Archives that were unpacked and then deleted by the record, and lists that the receipt does not name.

    `place` gives the path below `files/` of a catalog file's name. A broken receipt makes nothing superfluous.
    """
    with suppress(CacheDamaged, StorageError):
        receipt = folder.receipt()
        if receipt is None:
            return
        yield from find_unpacked_archives(folder, receipt.files, place)
        current = folder.contents_path(receipt.contents_sha256)
        for path in sorted(folder.path.glob("contents-*.tsv")):
            if current.exists() and path != current:
                yield Leftover(path=path, why="an older list")


def find_unpacked_archives(
    folder: DatasetFolder, files: Iterable[FetchedFile], place: Callable[[str], str]
) -> Iterator[Leftover]:
    """Archives that are there though the receipt has noted them as unpacked and gone."""
    for one in files:
        if one.path is None and not one.is_reconstructed:
            path = folder.path / "files" / place(one.name)
            if path.is_file() and not path.is_symlink():
                yield Leftover(path=path, why="unpacked already")


def last_change(path: Path) -> float:
    """When a file, or anything in a folder, was last changed; never, if another process has just taken it."""
    inside = [Path(parent) / name for parent, _, names in os.walk(path) for name in names]
    try:
        return max(one.lstat().st_mtime for one in (path, *inside))
    except FileNotFoundError:
        return float("inf")
