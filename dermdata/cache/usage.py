"""How much room folders take: what is stored once for several names counts once."""

import os
import stat
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

Inode = tuple[int, int]  # device, number


@dataclass(frozen=True, kw_only=True)
class Usage:
    """One folder's bytes."""

    bytes: int  # of all its files, each stored one counted once
    linked: dict[Inode, int]  # bytes of those that have names outside the folder too

    @property
    def shared(self) -> int:
        """Bytes that stay when the folder goes."""
        return sum(self.linked.values())

    @property
    def own(self) -> int:
        """Bytes that are free when the folder goes."""
        return self.bytes - self.shared


def usage(folder: Path) -> Usage:
    """Count a folder, or a single file; shared extents (reflinks) cannot be told from copies."""
    names: Counter[Inode] = Counter()
    several: dict[Inode, os.stat_result] = {}
    total = 0
    for path in files_of(folder):
        with suppress(FileNotFoundError):  # another process may finish or sweep a file meanwhile
            status = path.lstat()
            inode = (status.st_dev, status.st_ino)
            total += status.st_size if inode not in several else 0
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                several[inode] = status
                names[inode] += 1
    outside = {inode: one.st_size for inode, one in several.items() if one.st_nlink > names[inode]}
    return Usage(bytes=total, linked=outside)


def files_of(folder: Path) -> Iterable[Path]:
    if folder.is_symlink() or not folder.is_dir():
        return [folder]
    return (Path(parent) / name for parent, _, names in os.walk(folder) for name in names)


def in_all(usages: Iterable[Usage]) -> int:
    """Bytes of several folders together."""
    linked: dict[Inode, int] = {}
    own = 0
    for one in usages:
        own += one.own
        linked |= one.linked
    return own + sum(linked.values())
