"""Makes this process's operating system fail, as SEAM_… variables say: what strace's inject does, everywhere.

SEAM_KILL_AT=N     SIGKILL to itself at the N-th fsync, rename, replace, unlink or rmdir, before it happens
SEAM_COUNT=FILE    append one line for each of these calls
SEAM_FLOCK=none    flock succeeds and does nothing, as on Lustre or some NFS
"""

import fcntl
import itertools
import os
import signal
from collections.abc import Callable, Mapping
from typing import Any

BOUNDARIES = ("fsync", "rename", "replace", "unlink", "remove", "rmdir")


def arm(seams: Mapping[str, str]) -> None:
    """Patch the os functions of this process."""
    if seams.get("SEAM_FLOCK") == "none":
        fcntl.flock = lambda _handle, _how: None
    kill_at, log = int(seams.get("SEAM_KILL_AT", "0")), seams.get("SEAM_COUNT")
    if not (kill_at or log):
        return
    counter = itertools.count(1)  # next() is one step: threads do not share a number
    for name in BOUNDARIES:
        setattr(os, name, watched(name, getattr(os, name), counter, kill_at, log))


def watched(
    name: str, call: Callable[..., Any], counter: "itertools.count[int]", kill_at: int, log: str | None
) -> Callable[..., Any]:
    def act(*arguments: Any, **options: Any) -> Any:
        number = next(counter)
        if log:
            with open(log, "a", encoding="utf-8") as file:
                file.write(f"{number} {name}\n")
        if number == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)

    return act


arm(os.environ)
