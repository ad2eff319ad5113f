"""The one way a file comes to be: temp beside the target, hash while writing, fsync, rename, fsync the folder."""

import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from dermdata.checksum import Hasher
from dermdata.errors import StorageError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}


@contextmanager
def storage_errors(path: Path, needed: int | None = None) -> Iterator[None]:
    """Turn the operating system's storage errors into StorageError that names path, bytes needed and free."""
    try:
        yield
    except OSError as error:
        raise as_storage_error(error, path, needed) from error


def as_storage_error(error: OSError, path: Path, needed: int | None = None) -> StorageError:
    """The same failure in words a user can act on."""
    place = existing(path)
    if error.errno in FULL:
        wanted = f"{needed:,} bytes needed, " if needed is not None else ""
        return StorageError(f"no room for {path}: {wanted}{space(place)}", hint="make room and run the same command again")
    if error.errno in FORBIDDEN:
        reason = "is read-only" if error.errno == errno.EROFS else f"belongs to user {place.stat().st_uid}"
        return StorageError(f"cannot write {path}: {place} {reason}", hint="choose another folder with --cache or -o")
    return StorageError(f"cannot use {path}: {error.strerror or error}")


def existing(path: Path) -> Path:
    """The nearest ancestor that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def space(place: Path) -> str:
    """What is free, in words: bytes, or inodes when those have run out."""
    stat = os.statvfs(place)
    if stat.f_files and not stat.f_favail:
        return "no inodes free (too many files)"
    return f"{shutil.disk_usage(place).free:,} free"


def require_space(folder: Path, needed: int) -> None:
    """Raise StorageError unless the folder's file system has this many bytes free."""
    place = existing(folder)
    if shutil.disk_usage(place).free < needed:
        raise as_storage_error(OSError(errno.ENOSPC, "no space"), folder, needed)


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """A new file that takes the target's name only when the block ends well and the bytes are on disk."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        handle = os.open(temporary, flags, 0o644)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
            sync_folder(target.parent)
        except BaseException:
            with suppress(FileNotFoundError):
                temporary.unlink()
            raise


def write(target: Path, chunks: Iterable[bytes], *checksums: str | None) -> Hasher:
    """Write chunks of bytes as the target; the hashes of what was written."""
    hasher = Hasher(*checksums)
    with replacing(target) as file:
        for chunk in chunks:
            hasher.update(chunk)
            file.write(chunk)
    return hasher


def write_text(target: Path, text: str) -> Hasher:
    """Write text as UTF-8 with the line ends it has."""
    return write(target, [text.encode()])


def sync_folder(folder: Path) -> None:
    """Make renames and new names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def chunks_of(path: Path, size: int = 1 << 20) -> Iterator[bytes]:
    """A file's bytes, in blocks."""
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(size):
            yield chunk
