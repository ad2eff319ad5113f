"""What killed runs left in the cache, and why each may go; looks only, deletes nothing."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dermdata.cache.folder import TEMPORARY, Folder
from dermdata.cache.records import Fetched
from dermdata.errors import CacheDamaged, StorageError
from dermdata.process import alive, machine

OURS = re.compile(r"\..*\.(part|part\.json|tmp)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """A file or folder that no fetch needs any more."""

    path: Path
    why: str


def temporaries(place: Path, older_than: float, *, deep: bool = True) -> Iterator[Leftover]:
    """Partials and temporary files below a folder, by path.

    Those that name a process of this machine go when it is dead, and stay while it lives. Of the others
    (another machine's, or a partial that the next fetch would continue) only the age, seconds since the
    epoch, can tell: a download that stands still for a minute is given up, so none is a week old.
    """
    for path in sorted(found(place, deep=deep)):
        maker = TEMPORARY.fullmatch(path.name)
        if maker and maker["host"] == machine():
            if not alive(int(maker["pid"])):
                yield Leftover(path=path, why=f"of process {maker['pid']}, which is gone")
        elif touched(path) < older_than:
            yield Leftover(path=path, why="untouched for a week")


def found(place: Path, *, deep: bool) -> Iterator[Path]:
    for parent, folders, names in os.walk(place):
        mine = [name for name in (*folders, *names) if OURS.fullmatch(name)]
        yield from (Path(parent) / name for name in mine)
        folders[:] = [name for name in folders if deep and name not in mine]


def superfluous(folder: Folder, place: Callable[[str], str]) -> Iterator[Leftover]:
    """Archives that were unpacked and noted as let go, and lists that the receipt does not name.

    `place` gives the path below `files/` of a catalog file's name. A broken receipt makes nothing superfluous.
    """
    with suppress(CacheDamaged, StorageError):
        receipt = folder.receipt()
        if receipt is None:
            return
        yield from let_go(folder, receipt.files, place)
        current = folder.contents_path(receipt.contents_sha256)
        for path in sorted(folder.path.glob("contents-*.tsv")):
            if current.exists() and path != current:
                yield Leftover(path=path, why="an older list")


def let_go(folder: Folder, files: Iterable[Fetched], place: Callable[[str], str]) -> Iterator[Leftover]:
    """Archives that are there though the receipt has noted them as unpacked and gone."""
    for one in files:
        if one.path is None and not one.remade:
            path = folder.path / "files" / place(one.name)
            if path.is_file() and not path.is_symlink():
                yield Leftover(path=path, why="unpacked already")


def touched(path: Path) -> float:
    """When a file, or anything in a folder, was last changed; never, if another process has just taken it."""
    inside = [Path(parent) / name for parent, _, names in os.walk(path) for name in names]
    try:
        return max(one.lstat().st_mtime for one in (path, *inside))
    except FileNotFoundError:
        return float("inf")
