"""Disks that run full: a real tmpfs where this machine may mount one, and one that is counted everywhere."""

import errno
import io
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

PAGE = 4096


class Counted:
    """A folder whose files may take so many bytes and inodes: what goes over is refused as a full disk refuses it."""

    def __init__(self, path: Path, size: int, patch: pytest.MonkeyPatch) -> None:
        self.path, self.size, self.files, self.read_only = path, size, 10**6, False
        path.mkdir()
        self._write, self._open, self._mkdir = os.write, os.open, os.mkdir
        pwrite, fdopen = os.pwrite, os.fdopen
        patch.setattr(os, "write", lambda fd, data: self._write(fd, self._taken(fd, data)))
        patch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, self._taken(fd, data), at))
        patch.setattr(os, "open", self._opened)
        patch.setattr(os, "mkdir", self._made)
        patch.setattr(
            os,
            "fdopen",
            lambda fd, *how, **more: (
                io.BufferedWriter(Raw(self, fd))
                if self._mine(fd) and "w" in how[0]
                else fdopen(fd, *how, **more)
            ),
        )
        patch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=self.free()))
        patch.setattr(os, "statvfs", self._stat)

    def resize(self, size: int | None = None, files: int | None = None, read_only: bool = False) -> None:
        self.size, self.files, self.read_only = size or self.size, files or self.files, read_only

    def free(self) -> int:
        pages = 0
        for folder, _, names in os.walk(self.path):
            for name in names:
                with suppress(FileNotFoundError):  # another thread has just renamed it
                    pages += -(-Path(folder, name).lstat().st_size // PAGE)
        return max(0, self.size - pages * PAGE)

    def _taken(self, fd: int, data: Any) -> Any:
        """As much of the data as there is room for; the disk is full when that is nothing."""
        view = memoryview(data)[: self.free()] if self._mine(fd) else memoryview(data)
        if len(data) and not view:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return view

    def _mine(self, fd: int) -> bool:
        return Path(f"/proc/self/fd/{fd}").readlink().is_relative_to(self.path)

    def _opened(self, path: Any, flags: int, *more: Any, **options: Any) -> int:
        new = flags & os.O_CREAT and not Path(path).exists()
        if Path(path).is_relative_to(self.path):
            self._may(path, change=bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)), new=bool(new))
        return self._open(path, flags, *more, **options)

    def _made(self, path: Any, *more: Any, **options: Any) -> None:
        if Path(path).is_relative_to(self.path) and not Path(path).exists():
            self._may(path, change=True, new=True)
        self._mkdir(path, *more, **options)

    def _may(self, path: Any, *, change: bool, new: bool) -> None:
        if change and self.read_only:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        if new and self._inodes() >= self.files:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    def _inodes(self) -> int:
        return sum(len(folders) + len(names) for _, folders, names in os.walk(self.path))

    def _stat(self, _path: Any) -> os.statvfs_result:
        left = max(0, self.files - self._inodes())
        pages = self.free() // PAGE
        return os.statvfs_result(
            (PAGE, PAGE, self.size // PAGE, pages, pages, self.files, left, left, 0, 255)
        )


class Raw(io.FileIO):
    """A file of a counted disk, for buffered writing."""

    def __init__(self, disk: Counted, fd: int) -> None:
        super().__init__(fd, "wb")
        self.disk, self.fd = disk, fd

    def write(self, data: Any) -> int:
        return self.disk._write(self.fd, self.disk._taken(self.fd, data))


class Tmpfs:
    """A file system of its own."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        path.mkdir()
        mounted("-t", "tmpfs", "-o", f"size={size}", "none", str(path))

    def resize(self, size: int | None = None, files: int | None = None, read_only: bool = False) -> None:
        options = [f"size={size}"] * (size is not None) + [f"nr_inodes={files}"] * (files is not None)
        mounted("-o", ",".join(["remount", *options, *(["ro"] if read_only else [])]), str(self.path))


def mounted(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)


@contextmanager
def disk_of(kind: str, path: Path, size: int, patch: pytest.MonkeyPatch) -> Iterator[Counted | Tmpfs]:
    """A small disk of this kind at a new folder."""
    if kind == "counted":
        yield Counted(path, size, patch)
        return
    disk = Tmpfs(path, size)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def can_mount() -> bool:
    """Whether this machine lets us have a file system of our own."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        try:
            mounted("-t", "tmpfs", "-o", "size=64k", "none", folder)
        except (OSError, subprocess.CalledProcessError):
            return False
        subprocess.run(["umount", folder], check=True)
        return True


KINDS = ["counted", *(["tmpfs"] if can_mount() else [])]
