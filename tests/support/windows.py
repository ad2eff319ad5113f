"""A process in which `os` is that of Windows, as far as that can be had here: what is missing there is missing.

    python -P tests/support/windows.py FOLDER       runs the demo through fetch, split, export and verify there

Files that are open can be neither deleted nor replaced, folders cannot be opened, read-only handles not synced, there are
no forks, no links, no positional reads and writes; signal 0 would end a process; dermdata opens nothing as text.
"""

import errno
import os
import shutil
import stat
import sys
import types
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

MISSING = (
    "fork", "forkpty", "register_at_fork", "pread", "preadv", "pwrite", "pwritev", "statvfs", "fstatvfs", "geteuid",
    "getuid", "fchmod", "fchown", "chown", "sched_getaffinity", "copy_file_range", "sendfile", "posix_fadvise",
    "posix_fallocate", "mkfifo", "getpgid", "setsid", "sync", "fdatasync",
    "O_NOFOLLOW", "O_DIRECTORY", "O_NONBLOCK", "O_CLOEXEC", "O_SYNC", "O_DSYNC",
)  # fmt: skip
O_BINARY = 0x8000  # which changes nothing on Linux
FOREIGN = (  # modules that ask which system they are on when they are imported
    "asyncio", "multiprocessing.pool", "subprocess", "tempfile", "zoneinfo", "duckdb", "httpcore", "numpy", "PIL.Image",
    "platformdirs", "pyarrow.dataset", "pyarrow.parquet", "rich.console", "rich.progress", "typer.rich_utils",
)  # fmt: skip
PACKAGE = f"{os.sep}dermdata{os.sep}"
LK_NBLCK = 2


def refuse_link(_source: object, target: object, *_: object, **__: object) -> NoReturn:
    """As a symbolic link without the privilege, and a hard one on a FAT disk, end."""
    error = OSError(errno.EINVAL, "A required privilege is not held by the client", str(target))
    error.winerror = 1314
    raise error


def refuse_signal(pid: int, number: int) -> NoReturn:
    raise AssertionError(f"os.kill({pid}, {number}) ends a process on Windows")


def is_ours() -> bool:
    """Whether dermdata itself called what called this."""
    return PACKAGE in sys._getframe(2).f_code.co_filename


def is_open(path: object) -> bool:
    """Whether this process has the file open."""
    real = os.path.realpath(os.fspath(path))  # type: ignore[call-overload]
    for handle in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # another thread closed it
            if str(handle.readlink()) == real:
                return True
    return False


def guard_open(real: Callable[..., int]) -> Callable[..., int]:
    def opened(path: Any, flags: int, *rest: int, **more: Any) -> int:
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        if is_ours() and str(path) != os.devnull and not flags & O_BINARY:
            raise AssertionError(f"{path} is opened as text")
        return real(path, flags, *rest, **more)

    return opened


def guard_names(real: Callable[..., None]) -> Callable[..., None]:
    """What deletes or renames: not a file that is open."""

    def renamed(*paths: Any, **more: Any) -> None:
        for path in paths:
            if isinstance(path, str | os.PathLike) and os.path.lexists(path) and is_open(path):
                raise PermissionError(errno.EACCES, "another process has it open", str(path))
        real(*paths, **more)

    return renamed


def guard_sync(real: Callable[[int], None], flags_of: Callable[[int], int]) -> Callable[[Any], None]:
    def synced(file: Any) -> None:
        handle = file if isinstance(file, int) else file.fileno()
        if stat.S_ISDIR(os.fstat(handle).st_mode) or flags_of(handle) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        real(handle)

    return synced


class Kernel:
    """kernel32, of which only what asks whether a process lives is called."""

    def __init__(self, *_: object, **__: object) -> None:
        self.OpenProcess: Any = lambda *_: None
        self.CloseHandle = self.WaitForSingleObject = self.OpenProcess


def become_windows() -> None:
    """Take away what Windows lacks; whatever is imported by now stays as it is here."""
    import ctypes
    import fcntl

    statvfs = os.statvfs

    def measure(path: object) -> types.SimpleNamespace:
        """As `shutil.disk_usage`, which asks Windows itself."""
        found = statvfs(path)  # type: ignore[arg-type]
        return types.SimpleNamespace(free=found.f_bavail * found.f_frsize)

    def lock(handle: int, mode: int, _count: int) -> None:
        assert mode == LK_NBLCK
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PermissionError(errno.EACCES, "locked") from error

    sync = guard_sync(os.fsync, lambda handle: fcntl.fcntl(handle, fcntl.F_GETFL))
    sys.modules["msvcrt"] = types.SimpleNamespace(locking=lock, LK_NBLCK=LK_NBLCK)  # type: ignore[assignment]
    for name in ("fcntl", "resource", "pwd", "grp", "termios"):
        sys.modules[name] = None  # type: ignore[assignment]
    for name in MISSING:
        if hasattr(os, name):
            delattr(os, name)
    os.O_BINARY = O_BINARY  # type: ignore[attr-defined]
    os.open, os.fsync = guard_open(os.open), sync
    for name in ("unlink", "remove", "rename", "replace"):
        setattr(os, name, guard_names(getattr(os, name)))
    os.link = os.symlink = refuse_link
    os.kill = refuse_signal
    shutil.disk_usage, shutil._use_fd_functions = measure, False  # type: ignore[assignment]
    ctypes.WinDLL, ctypes.get_last_error = Kernel, lambda: 0  # type: ignore[attr-defined]
    sys.platform = "win32"


def main(folder: Path) -> None:
    """Import what is not ours, become Windows, then run the commands."""
    for name in FOREIGN:
        import_module(name)
    become_windows()
    from dermdata.cli.app import run

    os.chdir(folder)
    for line in sys.stdin.read().splitlines():
        code = run(["--cache", "cache", *line.split()])
        print(f"exit:{code} {line}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
