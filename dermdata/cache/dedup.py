"""Equal bytes in two datasets are stored once, by shared extents or else by a hard link, and counted once.

A hard link's danger is that a change through one name is a change through all. So a file is hashed before it takes
another's place, loses its write bits, and is never written in place: `verify` finds damage under every name, and a
repair gives one name a new file, which leaves the others as they are.
"""

import errno
import os
import stat
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from dermdata import disk
from dermdata.cache.folder import DatasetFolder, temporary_name
from dermdata.checksum import hash_file
from dermdata.errors import CacheDamaged, StorageError

FICLONE = 0x40049409  # linux/fs.h
NO_CLONE_ERRORS = {errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS}
WRITE_BITS = 0o222
BATCH_FILES = 32  # to hand over a small file takes longer than to look at it

FileDonors = tuple[Path, list[Path], str]  # our file, those that should be the same, their SHA-256
Inode = tuple[int, int]  # device, number


class Deduplicator:
    """One pass over a folder: each of its files that another folder has too becomes the same storage.

    Only this folder's names are touched, by atomic renames of checked bytes, so no other lock is needed. A file of the
    person's, also one that is linked, is left alone: to share it would make it read-only.
    """

    def __init__(self, folder: DatasetFolder, others: Iterable[DatasetFolder]) -> None:
        self._folder, self._others = folder, others
        self._clones = True  # until the file system says no
        self._changed: set[Path] = set()

    def run(self, jobs: int) -> int:
        """Share what can be shared; the bytes that are stored once less."""
        files = self._find_donors()
        batches = iter(lambda: [*islice(files, BATCH_FILES)], [])
        with ThreadPoolExecutor(max_workers=jobs) as pool:  # hashing releases the GIL
            saved = sum(pool.map(self._deduplicate_batch, batches))
        for parent in sorted(self._changed):
            with disk.storage_errors(parent):
                disk.sync_folder(parent)
        return saved

    def _find_donors(self) -> Iterator[FileDonors]:
        """Our files that others list too; memory holds digests of this folder alone."""
        mine: dict[str, list[str]] = defaultdict(list)
        own = list_linked(self._folder)
        for path, digest in self._folder.iter_digests():
            if path not in own:
                mine[digest].append(path)
        donors: dict[str, list[Path]] = defaultdict(list)
        for other in self._others:
            # a broken folder is its own matter, and an error whenever it is used
            with suppress(CacheDamaged, StorageError):
                own = list_linked(other)
                for path, digest in other.iter_digests():
                    if digest in mine and path not in own:
                        donors[digest].append(other.path / path)
        for digest, found in donors.items():
            yield from ((self._folder.path / path, found, digest) for path in mine[digest])

    def _deduplicate_batch(self, pairs: list[FileDonors]) -> int:
        return sum(map(self._deduplicate_file, pairs))

    def _deduplicate_file(self, pair: FileDonors) -> int:
        """The bytes saved by taking over the first donor that is what its list says."""
        own, donors, digest = pair
        with suppress(OSError):  # sharing only saves room: whatever is in the way, our own whole copy stays
            before = own.lstat()
            for donor in donors:
                if is_same_inode(before, donor.lstat()):
                    return 0
            for donor in donors:
                if stat.S_ISREG(before.st_mode) and self._replace_by_donor(own, donor, digest):
                    return before.st_size
        return 0

    def _replace_by_donor(self, own: Path, donor: Path, digest: str) -> bool:
        temporary = own.with_name(temporary_name(own.name))
        try:
            if not self._link_donor(donor, temporary) or hash_file(temporary).sha256 != digest:
                return False
            disk.replace_file(temporary, own)
            self._changed.add(own.parent)
            return True
        except OSError:
            return False  # the next donor may do: too many links, not ours to link, gone meanwhile
        finally:
            temporary.unlink(missing_ok=True)

    def _link_donor(self, donor: Path, temporary: Path) -> bool:
        """Give the donor's storage a second, temporary name beside our file; never a file outside the cache."""
        if not (
            stat.S_ISREG(donor.lstat().st_mode)
            and donor.parent.resolve() == resolve_cache_folder(donor.parent)
        ):
            return False
        if self._clones:
            self._clones = clone_file(donor, temporary)
        if not self._clones:
            if not disk.link_file(donor, temporary):
                return False
            mode = stat.S_IMODE(temporary.lstat().st_mode)
            if mode & WRITE_BITS:
                with suppress(PermissionError):  # another person's file: its mode is theirs
                    temporary.chmod(mode & ~WRITE_BITS)
        return True


def list_linked(folder: DatasetFolder) -> set[str]:
    """The files of a folder whose storage is the person's."""
    return {path for path, one in folder.outside.items() if one.placement != "copy"}


def resolve_cache_folder(folder: Path) -> Path:
    """A cache folder as it is where no link below the cache's root leads elsewhere."""
    root = next(parent for parent in folder.parents if parent.name == "datasets")
    return root.resolve() / folder.relative_to(root)


def is_same_inode(one: os.stat_result, other: os.stat_result) -> bool:
    return os.path.samestat(one, other)


def clone_file(donor: Path, target: Path) -> bool:
    """A new file with the donor's extents, durable; False where the file system has no such thing."""
    return sys.platform == "linux" and clone_extents(donor, target)


def clone_extents(donor: Path, target: Path) -> bool:
    """A new file by Linux's FICLONE; False where the file system does not know it."""
    import fcntl  # here: Windows, where the module must be importable, has none

    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with donor.open("rb") as source, os.fdopen(disk.open_handle(target, flags), "wb") as out:
        try:
            fcntl.ioctl(out.fileno(), FICLONE, source.fileno())  # type: ignore[attr-defined,unused-ignore]  # not there on Windows, where it is not called
        except OSError as error:
            if error.errno not in NO_CLONE_ERRORS:
                raise
            target.unlink()
            return False
        os.fsync(out.fileno())
    return True


@dataclass(frozen=True, kw_only=True)
class DiskUsage:
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


def measure_usage(folder: Path) -> DiskUsage:
    """Count the bytes of a folder, or of a single file.

    Parameters
    ----------
    folder
        What is counted; shared extents (reflinks) cannot be distinguished from copies.

    Returns
    -------
    DiskUsage
        Its bytes, and those that have names outside it too.

    """
    names: Counter[Inode] = Counter()
    several: dict[Inode, os.stat_result] = {}
    total = 0
    for path in walk_files(folder):
        with suppress(FileNotFoundError):  # another process may finish or sweep a file meanwhile
            status = path.lstat()
            inode = (status.st_dev, status.st_ino)
            total += status.st_size if inode not in several else 0
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                several[inode] = status
                names[inode] += 1
    outside = {inode: one.st_size for inode, one in several.items() if one.st_nlink > names[inode]}
    return DiskUsage(bytes=total, linked=outside)


def walk_files(folder: Path) -> Iterable[Path]:
    if folder.is_symlink() or not folder.is_dir():
        return [folder]
    return (Path(parent) / name for parent, _, names in os.walk(folder) for name in names)


def total_bytes(usages: Iterable[DiskUsage]) -> int:
    """Count the bytes of several folders together.

    Parameters
    ----------
    usages
        One of each folder.

    Returns
    -------
    int
        Bytes; what several folders share counts once.

    """
    linked: dict[Inode, int] = {}
    own = 0
    for one in usages:
        own += one.own
        linked |= one.linked
    return own + sum(linked.values())
