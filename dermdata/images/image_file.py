"""Opens and reads the file of an image that a manifest names: a regular file, of a bounded size, and nothing else.

A name that was looked at before may lead elsewhere by the time it is opened. So the open itself follows no link
at its end and waits for no pipe, and what was opened is asked what it is before a byte is read: a pipe or a device
in an image's place is an error at once, never a wait without end or memory without end.
"""

import errno
import hashlib
import io
import os
import stat
from pathlib import Path

from dermdata import disk
from dermdata.markup import count_nouns

MOST_BYTES = 4 << 30  # of one image file, where the manifest does not say how many it has
CHUNK_BYTES = 1 << 20
FILE_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a symbolic link",
}


class ImageFileTooLarge(OSError):
    """A file of more bytes than it may have; none of them is kept."""

    def __init__(self, path: str, size: int, limit: int) -> None:
        super().__init__(errno.E2BIG, f"it has {count_nouns(size, 'byte')}, {limit:,} are allowed", path)
        self.size = size


def describe_file_kind(mode: int) -> str:
    """What a file that is no regular one is, in words."""
    return FILE_KINDS.get(stat.S_IFMT(mode), "something else")


def open_image_file(path: str | Path) -> io.FileIO:
    """The file, opened for reading; OSError for what is no regular file, also for a symbolic link."""
    try:
        handle = disk.open_handle(path, os.O_RDONLY)
    except OSError as error:
        what = "a symbolic link" if error.errno == errno.ELOOP else "a socket"
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise irregular_file_error(what, path) from error
        raise
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return io.FileIO(handle, "rb")
    os.close(handle)
    raise irregular_file_error(describe_file_kind(mode), path)


def irregular_file_error(what: str, path: str | Path) -> OSError:
    return OSError(errno.EINVAL, f"it is {what}, not a file", str(path))


def read_image_file(path: str | Path, limit: int = MOST_BYTES) -> bytes:
    """All bytes of an image's file.

    Parameters
    ----------
    path : str or Path
        The file itself: a symbolic link is refused.
    limit : int
        The most bytes that it may have, where less than MOST_BYTES are right.

    Raises
    ------
    ImageFileTooLarge
        It has more; that is seen before it is read.
    OSError
        It is not there, cannot be read, or is no regular file.

    """
    with open_image_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > min(limit, MOST_BYTES):
            raise ImageFileTooLarge(str(path), size, min(limit, MOST_BYTES))
        data = file.read(size + 1)
        # one read is all, but of a file that changes or is larger than the system gives at once
        return data if len(data) == size else data + read_remaining(file, len(data), str(path), limit)


def read_remaining(file: io.FileIO, had: int, path: str, limit: int) -> bytes:
    chunks: list[bytes] = []
    while chunk := file.read(CHUNK_BYTES):
        chunks.append(chunk)
        had += len(chunk)
        if had > min(limit, MOST_BYTES):
            raise ImageFileTooLarge(path, had, min(limit, MOST_BYTES))
    return b"".join(chunks)


def hash_image_file(path: str | Path) -> str:
    """The SHA-256 of an image's file, in hexadecimal; OSError as of `open_image_file`."""
    running = hashlib.sha256()
    with open_image_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        room = min(CHUNK_BYTES, size + 1) if size else CHUNK_BYTES  # small files shall not cost a block each
        while chunk := file.read(room):
            running.update(chunk)
    return running.hexdigest()
