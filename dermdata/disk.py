"""The one way a file comes to be: temp beside the target, hash while writing, fsync, rename, fsync the folder."""

import errno
import glob
import os
import shutil
import stat
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from dermdata.checksum import Hasher
from dermdata.errors import StorageError, UsageError
from dermdata.markup import count_nouns

FULL_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
LIMIT_REASONS = {  # what is used up though the disk has room: its free bytes would mislead
    errno.EDQUOT: "your disk quota is used up",
    errno.EFBIG: "files may not be that large here (see `ulimit -f`)",
}
TOO_MANY_FILES_ERRORS = {errno.EMFILE, errno.ENFILE}
NOT_A_FOLDER_ERRORS = {errno.ENOTDIR, errno.EEXIST}
FORBIDDEN_ERRORS = {errno.EROFS, errno.EACCES, errno.EPERM}
NO_FOLDER_SYNC_ERRORS = {errno.EINVAL, errno.ENOTSUP}  # some network file systems cannot sync a folder
# where two names for one file cannot be had: on other disks, of other people's files
NO_LINK_ERRORS = {
    errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS,
}  # fmt: skip
# what Windows calls them: no such function (FAT), not supported, and no privilege to make symbolic links
NO_LINK_WINDOWS_ERRORS = {1, 50, 1314}
# bytes stay as they are on Windows, no child process inherits the handle, no pipe is waited for
OPEN_FLAGS = sum(getattr(os, f"O_{name}", 0) for name in ("BINARY", "NOINHERIT", "CLOEXEC", "NONBLOCK"))
NO_LINK = getattr(os, "O_NOFOLLOW", 0)
LONGEST_WINDOWS_PATH = 259  # characters, unless the system is told to take longer ones
# seconds after which a file is replaced again: on Windows, who has it open (a virus scanner) keeps others out
REPLACE_WAITS = (0.01, 0.05, 0.1, 0.3, 0.5, 1.0)
ANOTHER_PATH = "give another path"
ROOM_FOR_A_NAME = 1 << 20  # bytes free at which no folder lacks a block for one more name
NAME_SHOWN = 40  # characters of the target's name in the temporary one, which must stay under 255 bytes


@contextmanager
def storage_errors(path: Path, needed: int | None = None) -> Iterator[None]:
    """Turn the operating system's storage errors into StorageError that names path, bytes needed and free."""
    try:
        yield
    except OSError as error:
        raise to_storage_error(error, path, needed) from error


class NotRegular(OSError):
    """Not a file, or one that is too large, where one of our own files belongs; `strerror` says what is there."""


def to_storage_error(error: OSError, path: Path, needed: int | None = None) -> StorageError:
    """The same failure in words a user can act on."""
    if isinstance(error, NotRegular):
        return StorageError(f"{error.filename} {error.strerror}", hint="move it away, then try again")
    if error.errno in TOO_MANY_FILES_ERRORS:
        return StorageError(
            f"cannot open {error.filename or path}: {error.strerror}",
            hint="raise the limit: `ulimit -n 1024`",
        )
    if not concerns_path(error, path):
        return StorageError(f"cannot use {error.filename}: {error.strerror}")
    if error.errno in NOT_A_FOLDER_ERRORS and (way := find_blocking_file(path)):
        return StorageError(
            f"cannot use {path}: {way} is no folder",
            hint="move it away, or choose another folder with --cache or -o",
        )
    if error.errno in FULL_ERRORS:
        return full_error(error, path, needed)
    if error.errno in FORBIDDEN_ERRORS:
        return forbidden_error(error, path)
    return unusable_error(error, path)


def full_error(error: OSError, path: Path, needed: int | None) -> StorageError:
    """What is used up, and how many bytes were needed."""
    wanted = f"{count_nouns(needed, 'byte')} needed, " if needed is not None else ""
    creating = error.filename is not None
    reason = LIMIT_REASONS.get(error.errno or 0) or describe_space(nearest_existing(path), creating=creating)
    return StorageError(
        f"no room for {path}: {wanted}{reason}", hint="make room and run the same command again"
    )


def forbidden_error(error: OSError, path: Path) -> StorageError:
    """Who may write there."""
    place = nearest_existing(path)
    if error.errno == errno.EROFS:
        reason = "is read-only"
    elif sys.platform == "win32":  # which names no owner, and refuses so what is open elsewhere
        reason = "is another user's, or a program has it open"
    else:
        reason = f"belongs to user {place.stat().st_uid}"
    return StorageError(
        f"cannot write {path}: {place} {reason}", hint="choose another folder with --cache or -o"
    )


def unusable_error(error: OSError, path: Path) -> StorageError:
    """What the system says; of a path that Windows may find too long, which it calls a missing file, that too."""
    length = len(str(path)) if sys.platform == "win32" else 0
    if length > LONGEST_WINDOWS_PATH:
        return StorageError(
            f"cannot use {path}: {error.strerror or error}; its {length:,} characters may be too many for Windows",
            hint="choose a folder with a shorter path, or switch on LongPathsEnabled in Windows' registry",
        )
    return StorageError(f"cannot use {path}: {error.strerror or error}")


def concerns_path(error: OSError, path: Path) -> bool:
    """Whether an error is about writing `path`: about itself, its folders or its temporary, or about no file."""
    if error.filename is None:
        return True
    named = Path(str(error.filename))
    return named == path or named.parent == path.parent or named in path.parents or path in named.parents


def find_blocking_file(path: Path) -> Path | None:
    """A file, or a link that leads nowhere, in place of one of the folders of a path."""
    return next((parent for parent in path.parents if os.path.lexists(parent) and not parent.is_dir()), None)


def nearest_existing(path: Path) -> Path:
    """The nearest ancestor that exists and can be read."""
    while not os.path.exists(path) and path != path.parent:  # noqa: PTH110  # Path.exists raises on long names
        path = path.parent
    return path


def describe_space(place: Path, *, creating: bool = False) -> str:
    """What is free, in words: bytes, or inodes when those have run out."""
    free = shutil.disk_usage(place).free
    if sys.platform != "win32":  # which counts no inodes
        stat = os.statvfs(place)
        # Another thread may have given an inode back since: a name refused beside free bytes was refused for inodes.
        if stat.f_files and (not stat.f_favail or (creating and free >= ROOM_FOR_A_NAME)):
            return "no inodes free (too many files)"
    return f"{count_nouns(free, 'byte')} free"


def has_space(folder: Path, needed: int) -> bool:
    """Whether the folder's file system has this many bytes free."""
    return shutil.disk_usage(nearest_existing(folder)).free >= needed


def require_space(folder: Path, needed: int) -> None:
    """Raise StorageError unless the folder's file system has this many bytes free."""
    if not has_space(folder, needed):
        raise to_storage_error(OSError(errno.ENOSPC, "no space"), folder, needed)


def count_partial_bytes(target: Path) -> int:
    """Bytes on the disk of what is on its way to this name (holes take none)."""
    found = target.parent.glob(f".{glob.escape(target.name[:180])}.*.part")
    return sum(count_allocated_bytes(part.stat()) for part in found)


def count_allocated_bytes(stat: os.stat_result) -> int:
    """Bytes that a file takes on the disk; on Windows, which does not say so, its length."""
    if sys.platform == "win32":
        return stat.st_size
    else:  # noqa: RET505  # a type checker reads one branch for each system
        return stat.st_blocks * 512


@contextmanager
def atomic_write(target: Path) -> Iterator[BinaryIO]:
    """A new file that takes the target's name only when the block ends well and the bytes are on disk."""
    temporary = target.with_name(f".{target.name[:NAME_SHOWN]}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    if is_special(target):  # the rename would put a plain file in place of /dev/null
        raise StorageError(f"{target} is a device or a pipe, not a file", hint=ANOTHER_PATH)
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle = open_handle(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            replace_file(temporary, target)
            sync_folder(target.parent)
        except BaseException:
            with suppress(OSError):  # what stopped the write says more than a failed clean-up
                temporary.unlink()
            raise


def require_file(target: Path) -> None:
    """UsageError when a folder stands where a person wants a file written: before the work, not after it."""
    if not target.name or target.is_dir():
        raise UsageError(f"{target} is a folder, a file is needed", hint=ANOTHER_PATH)
    if is_special(target):
        raise UsageError(f"{target} is a device or a pipe, not a file", hint=ANOTHER_PATH)


def is_special(target: Path) -> bool:
    """Whether a name is there, or leads by a link, to what is neither file nor folder."""
    there = os.path.exists(target)  # noqa: PTH110  # Path.exists raises on long names
    return there and not target.is_file() and not target.is_dir()


def write_chunks(target: Path, chunks: Iterable[bytes], *checksums: str | None) -> Hasher:
    """Write chunks of bytes as the target; the hashes of what was written."""
    hasher = Hasher(*checksums)
    with atomic_write(target) as file:
        for chunk in chunks:
            hasher.update(chunk)
            file.write(chunk)
    return hasher


def write_text(target: Path, text: str) -> Hasher:
    """Write text as UTF-8 with the line ends it has."""
    return write_chunks(target, [text.encode()])


def sync_folder(folder: Path) -> None:
    """Make renames and new names in a folder durable, where the file system can."""
    if sys.platform != "win32":  # which opens no folder, and writes names down in a journal of its own
        handle = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno not in NO_FOLDER_SYNC_ERRORS:
                raise
        finally:
            os.close(handle)


def read_chunks(path: Path, size: int = 1 << 20) -> Iterator[bytes]:
    """A file's bytes, in blocks."""
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(size):
            yield chunk


# ------------------------------------------------------------------ what each system does in its own way


def open_handle(path: "str | os.PathLike[str]", flags: int, mode: int = 0o644, *, links: bool = False) -> int:
    """Open a file as bytes, on each system with the flags it has for that; `links`: it may be a symbolic link.

    OSError (ELOOP) for a link where none may be, also where the system has no flag that refuses it.
    """
    if not (links or NO_LINK) and os.path.islink(path):  # noqa: PTH114  # called for each of 400,000 images
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return os.open(path, flags | OPEN_FLAGS | (0 if links else NO_LINK), mode)


def replace_file(source: Path, target: Path) -> None:
    """Give a file another one's name; on Windows again for two seconds while a program has that one open."""
    for wait in REPLACE_WAITS if sys.platform == "win32" else ():
        try:
            source.replace(target)
        except PermissionError:
            time.sleep(wait)
        else:
            return
    source.replace(target)


def link_file(source: "str | os.PathLike[str]", target: "str | os.PathLike[str]") -> bool:
    """Give a file a second name, by a hard link; False where the disks, their owners or the system have none."""
    if not hasattr(os, "link"):
        return False
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if not is_link_refusal(error):
            raise
        return False
    return True


def is_link_refusal(error: OSError) -> bool:
    """Whether links cannot be had there: another name for the file is no matter of trying again."""
    return error.errno in NO_LINK_ERRORS or getattr(error, "winerror", None) in NO_LINK_WINDOWS_ERRORS


# ------------------------------------------------------------------ reads and writes at a place, from any thread

if sys.platform == "win32":
    _seeking = threading.Lock()  # one place a file: whoever moves it must be alone

    def read_at(handle: int, count: int, at: int) -> bytes:
        """Up to `count` bytes of an open file from byte `at` on."""
        with _seeking:
            os.lseek(handle, at, os.SEEK_SET)
            return os.read(handle, count)

    def read_into(handle: int, view: memoryview, at: int) -> int:
        """Fill a view with an open file's bytes from byte `at` on; how many there were."""
        data = read_at(handle, len(view), at)
        view[: len(data)] = data
        return len(data)

    def _write_some(handle: int, view: memoryview, at: int) -> int:
        with _seeking:
            os.lseek(handle, at, os.SEEK_SET)
            return os.write(handle, view)

else:

    def read_at(handle: int, count: int, at: int) -> bytes:
        """Up to `count` bytes of an open file from byte `at` on."""
        return os.pread(handle, count, at)

    def read_into(handle: int, view: memoryview, at: int) -> int:
        """Fill a view with an open file's bytes from byte `at` on; how many there were."""
        return os.preadv(handle, [view], at)

    def _write_some(handle: int, view: memoryview, at: int) -> int:
        return os.pwrite(handle, view, at)


def write_at(handle: int, data: bytes, at: int) -> None:
    """Write bytes into an open file from byte `at` on."""
    view = memoryview(data)
    while view:  # a nearly full disk writes less than it is given, and only then says so
        count = _write_some(handle, view, at)
        view, at = view[count:], at + count


# ------------------------------------------------------------------ reading what others may have replaced


def read_regular(path: Path, *, most: int, links: bool = False) -> bytes:
    """The bytes of a regular file, and of nothing else that has its name: no pipe or device is waited for.

    Parameters
    ----------
    path
        The file.
    most
        How many bytes it may have.
    links
        Whether the name itself may be a symbolic link; links among its folders are followed always.

    Returns
    -------
    bytes
        All that the file holds.

    Raises
    ------
    NotRegular
        For a link, folder, pipe, socket or device, and for a file of more bytes.
    OSError
        As opening a file raises.

    """
    handle = open_regular(path, links=links)
    with os.fdopen(handle, "rb", buffering=0) as file:
        size = os.fstat(handle).st_size
        data = (
            file.read(size + 1) if size <= most else b""
        )  # what is too long by its own word is not read at all
        while (
            size <= most and len(data) <= most and (more := file.read(1 << 20))
        ):  # it grew, or does not state its size
            data += more
    if max(size, len(data)) > most:
        raise not_regular_error(
            path, f"holds more than the {count_nouns(most, 'byte')} that such a file may have"
        )
    return data


def open_regular(path: Path, *, links: bool = False) -> int:
    """A handle to read a regular file by, which the caller closes; NotRegular for anything else there."""
    try:
        handle = open_handle(path, os.O_RDONLY, links=links)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise not_regular_error(path, "is a symbolic link, not a file") from error
        if error.errno == errno.ENXIO:
            raise not_regular_error(path, "is a socket or a device, not a file") from error
        raise
    try:
        require_regular_mode(os.fstat(handle).st_mode, path)
    except OSError:
        os.close(handle)
        raise
    return handle


def require_regular(path: Path) -> None:
    """NotRegular for a path that leads to a folder, pipe, socket or device, before a library opens it."""
    require_regular_mode(os.stat(path).st_mode, path)  # noqa: PTH116  # Path.stat costs more, for each of many


def require_regular_mode(mode: int, path: Path) -> None:
    if stat.S_ISREG(mode):
        return
    kind = "folder" if stat.S_ISDIR(mode) else "pipe" if stat.S_ISFIFO(mode) else "device or a socket"
    raise not_regular_error(path, f"is a {kind}, not a file")


def not_regular_error(path: Path, what: str) -> NotRegular:
    return NotRegular(errno.EINVAL, what, str(path))
