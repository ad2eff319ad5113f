"""Makes this process's operating system fail, as SEAM_… variables say: what strace's inject does, everywhere.

SEAM_KILL_AT=N     SIGKILL to itself at the N-th fsync, rename, replace, unlink or rmdir, before it happens
SEAM_EIO_AT=N      the N-th fsync fails with EIO
SEAM_COUNT=FILE    append one line for each of these calls
SEAM_FLOCK=none    flock succeeds and does nothing, as on Lustre or some NFS
"""

import errno
import fcntl
import itertools
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

BOUNDARIES = ("fsync", "rename", "replace", "unlink", "remove", "rmdir")


def arm(seams: Mapping[str, str]) -> None:
    """Patch the os functions of this process."""
    if seams.get("SEAM_FLOCK") == "none":
        fcntl.flock = lambda _handle, _how: None
    if eio_at := int(seams.get("SEAM_EIO_AT", "0")):
        os.fsync = failing(os.fsync, itertools.count(1), eio_at)
    kill_at, log = int(seams.get("SEAM_KILL_AT", "0")), seams.get("SEAM_COUNT")
    if not (kill_at or log):
        return
    counter = itertools.count(1)  # next() is one step: threads do not share a number
    for name in BOUNDARIES:
        setattr(os, name, watched(name, getattr(os, name), counter, kill_at, log))


def failing(call: Callable[..., Any], counter: "itertools.count[int]", eio_at: int) -> Callable[..., Any]:
    def act(*arguments: Any) -> Any:
        if next(counter) == eio_at:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return call(*arguments)

    return act


def watched(
    name: str, call: Callable[..., Any], counter: "itertools.count[int]", kill_at: int, log: str | None
) -> Callable[..., Any]:
    def act(*arguments: Any, **options: Any) -> Any:
        number = next(counter)
        if log:
            with Path(log).open("a", encoding="utf-8") as file:
                file.write(f"{number} {name}\n")
        if number == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)

    return act


arm(os.environ)
