"""The folder where an archive's files are created, under names of ours only, and made durable."""

import ctypes
import os
import platform
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from dermdata import disk
from dermdata.archive.policy import ArchiveLimits, MemberChecker
from dermdata.errors import ArchiveRefused, StorageError

CREATE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL


class StagingFolder:
    """Creates regular files below one folder; what a killed run left under the same names is replaced."""

    def __init__(self, folder: Path, what: str) -> None:
        self._what = what
        with disk.storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self.root = folder.resolve(strict=True)
        self._names = MemberChecker(what, ArchiveLimits())
        self._ready = {""}
        self._folders: list[Path] = []
        self._files: list[str] = []
        self._subfolders: list[StagingFolder] = []

    def reserve(self, path: str) -> str:
        """Take a relative path for one file and make its folders; refused when taken or outside."""
        if Path(path).is_absolute() or "\0" in path or {"", ".", ".."} & set(path.split("/")):
            raise ArchiveRefused(f"{self._what}: the path {path!r} would lie outside {self.root}")
        self._names.add_file(path)
        self._make_folder(path.rpartition("/")[0])
        return path

    def _make_folder(self, relative: str) -> None:
        if relative in self._ready:
            return
        self._make_folder(relative.rpartition("/")[0])
        folder = self.root / relative
        with disk.storage_errors(folder):
            try:
                folder.mkdir(mode=0o755)
                self._folders.append(folder)
            except FileExistsError:
                self._require_own(folder)
        self._ready.add(relative)

    def _require_own(self, folder: Path) -> None:
        inside = folder.resolve().is_relative_to(self.root)
        if folder.is_symlink() or not folder.is_dir() or not inside:
            raise StorageError(f"{folder} is in the way, no folder of ours", hint="remove it and try again")

    def write(self, path: str, chunks: Iterable[bytes]) -> None:
        """Create a reserved file with these bytes."""
        target = self.root / path
        with disk.storage_errors(target):
            handle = _create_file(target)
        self._files.append(path)  # list.append is atomic
        try:
            for chunk in chunks:
                _write_all(handle, chunk, target)
            if sys.platform == "win32":
                with disk.storage_errors(target):
                    os.fsync(handle)  # not later: there only who may write a file can wait for the disk
        finally:
            os.close(handle)

    def link(self, path: str, source: Path) -> bool:
        """Make a reserved file a hard link to another one; False where the disks or their owners do not allow that."""
        target = self.root / path
        with disk.storage_errors(target):
            if not disk.link_file(source, target):
                return False
        self._files.append(path)
        return True

    def remove(self, path: str) -> None:
        """Delete a file that was written here; its path stays taken."""
        with disk.storage_errors(self.root / path):
            (self.root / path).unlink()
        self._files.remove(path)

    def open_subfolder(self, path: str) -> "StagingFolder":
        """Another such folder in this one, whose files are made durable and discarded with this one's."""
        self._make_folder(path)
        self._subfolders.append(StagingFolder(self.root / path, self._what))
        return self._subfolders[-1]

    def discard_subfolder(self, subfolder: "StagingFolder") -> None:
        """Delete what was created in a folder in this one, and the folder."""
        subfolder.discard()
        with suppress(OSError):  # something else lies there
            subfolder.root.rmdir()

    def sync(self, jobs: int) -> None:
        """Return only when every file and folder is on the disk: one syncfs, or an fsync each."""
        with disk.storage_errors(self.root):
            if _sync_file_system(self.root):
                return
            for subfolder in self._subfolders:
                subfolder.sync(jobs)
            if sys.platform != "win32":  # there each was synced as it was written
                with ThreadPoolExecutor(jobs) as pool:
                    list(pool.map(self._sync_file, self._files))
            for folder in sorted({self.root, *((self.root / path).parent for path in self._files)}):
                disk.sync_folder(folder)

    def _sync_file(self, path: str) -> None:
        handle = disk.open_handle(self.root / path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def discard(self) -> None:
        """Delete what was created here, and nothing else."""
        for subfolder in self._subfolders:
            subfolder.discard()
        for path in self._files:
            with suppress(OSError):  # on the way out of another error
                (self.root / path).unlink()
        for folder in reversed(self._folders):
            with suppress(OSError):
                folder.rmdir()


def _create_file(target: Path) -> int:
    try:
        return disk.open_handle(target, CREATE_FLAGS)
    except FileExistsError:
        target.unlink()  # left by a killed run; a link is removed, not followed
        return disk.open_handle(target, CREATE_FLAGS)


def _write_all(handle: int, data: bytes, target: Path) -> None:
    view = memoryview(data)
    with disk.storage_errors(target, len(data)):
        while view:
            view = view[os.write(handle, view) :]


def _sync_file_system(folder: Path) -> bool:
    """Linux's syncfs, which reports write errors since 5.8: 10,000 files cost one journal commit."""
    return sys.platform == "linux" and _kernel_version() >= (5, 8) and _call_syncfs(folder)


def _call_syncfs(folder: Path) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "syncfs"):
        return False
    handle = os.open(folder, os.O_RDONLY)  # of Linux only: elsewhere no folder can be opened
    try:
        if libc.syncfs(handle):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(handle)
    return True


def _kernel_version() -> tuple[int, ...]:
    numbers = platform.release().split("-")[0].split(".")[:2]
    return tuple(int(number) if number.isdecimal() else 0 for number in numbers)
