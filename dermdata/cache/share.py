"""The same bytes in two datasets are stored once: shared extents where the file system can, else a hard link.

A hard link's danger is that a change through one name is a change through all. So a file is hashed before it
takes another's place, loses its write bits, and is never written in place: `verify` finds damage under every
name, and a repair gives one name a new file, which leaves the others as they are.
"""

import errno
import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from dermdata import disk
from dermdata.cache.folder import Folder
from dermdata.checksum import of_file
from dermdata.errors import CacheDamaged, StorageError
from dermdata.process import here

FICLONE = 0x40049409  # linux/fs.h
NO_CLONES = {errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS}
WRITE_BITS = 0o222

Pair = tuple[Path, list[Path], str]  # our file, those that should be the same, their SHA-256


class Sharing:
    """One pass over a folder: each of its files that another folder has too becomes the same storage.

    Only this folder's names are touched, by atomic renames of checked bytes, so no other lock is needed.
    """

    def __init__(self, folder: Folder, others: Iterable[Folder]) -> None:
        self._folder, self._others = folder, others
        self._clones = True  # until the file system says no
        self._changed: set[Path] = set()

    def carry_out(self, jobs: int) -> int:
        """Share what can be shared; the bytes that are stored once less."""
        with ThreadPoolExecutor(max_workers=jobs) as pool:  # hashing releases the GIL
            saved = sum(pool.map(self._joined, self._pairs()))
        for parent in sorted(self._changed):
            with disk.storage_errors(parent):
                disk.sync_folder(parent)
        return saved

    def _pairs(self) -> Iterator[Pair]:
        """Our files that others list too; memory holds digests of this folder alone."""
        mine: dict[str, list[str]] = defaultdict(list)
        for path, digest in self._folder.listed():
            mine[digest].append(path)
        donors: dict[str, list[Path]] = defaultdict(list)
        for other in self._others:
            with suppress(
                CacheDamaged, StorageError
            ):  # that folder's own matter, and told whenever it is used
                for path, digest in other.listed():
                    if digest in mine:
                        donors[digest].append(other.path / path)
        for digest, found in donors.items():
            yield from ((self._folder.path / path, found, digest) for path in mine[digest])

    def _joined(self, pair: Pair) -> int:
        """The bytes saved by taking over the first donor that is what its list says."""
        own, donors, digest = pair
        with suppress(OSError):  # sharing only saves room: whatever is in the way, our own whole copy stays
            before = own.lstat()
            for donor in donors:
                if same(before, donor.lstat()):
                    return 0
            for donor in donors:
                if stat.S_ISREG(before.st_mode) and self._taken_over(own, donor, digest):
                    return before.st_size
        return 0

    def _taken_over(self, own: Path, donor: Path, digest: str) -> bool:
        temporary = own.with_name(f".{own.name[: disk.NAME_SHOWN]}.{here()}.{os.urandom(4).hex()}.tmp")
        try:
            if not self._stands_in(donor, temporary) or of_file(temporary).sha256 != digest:
                return False
            temporary.replace(own)
            self._changed.add(own.parent)
            return True
        except OSError:
            return False  # the next donor may do: too many links, not ours to link, gone meanwhile
        finally:
            temporary.unlink(missing_ok=True)

    def _stands_in(self, donor: Path, temporary: Path) -> bool:
        """Give the donor's storage a second, temporary name beside our file; never a file outside the cache."""
        if not (stat.S_ISREG(donor.lstat().st_mode) and donor.parent.resolve() == real(donor.parent)):
            return False
        if self._clones:
            self._clones = cloned(donor, temporary)
        if not self._clones:
            os.link(donor, temporary, follow_symlinks=False)
            mode = stat.S_IMODE(temporary.lstat().st_mode)
            if mode & WRITE_BITS:
                with suppress(PermissionError):  # another person's file: its mode is theirs
                    temporary.chmod(mode & ~WRITE_BITS)
        return True


def real(folder: Path) -> Path:
    """A cache folder as it is where no link below the cache's root leads elsewhere."""
    root = next(parent for parent in folder.parents if parent.name == "datasets")
    return root.resolve() / folder.relative_to(root)


def same(one: os.stat_result, other: os.stat_result) -> bool:
    return os.path.samestat(one, other)


def cloned(donor: Path, target: Path) -> bool:
    """A new file with the donor's extents, durable; False where the file system has no such thing."""
    import fcntl

    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    with donor.open("rb") as source, os.fdopen(os.open(target, flags, 0o644), "wb") as out:
        try:
            fcntl.ioctl(out.fileno(), FICLONE, source.fileno())
        except OSError as error:
            if error.errno not in NO_CLONES:
                raise
            target.unlink()
            return False
        os.fsync(out.fileno())
    return True
