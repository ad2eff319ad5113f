"""Files on this machine that somebody else has laid out: a catalog's own, a mirror's. No link leads out of their folder."""

import os
import stat
from pathlib import Path

from dermdata.errors import DermdataError


def file_within(root: Path, path: Path, refusal: type[DermdataError], what: str) -> Path | None:
    """The path, if a regular file lies there within `root`, links resolved; None if there is nothing, or a folder.

    `refusal`, by the name `what` and before a byte is read, for a link that leads out, a pipe or a device.
    """
    if not os.path.lexists(path):
        return None
    real, home = os.path.realpath(path), os.path.realpath(root)
    if os.path.commonpath([real, home]) != home:
        raise refusal(f"{what}: {path} is a link that leads out of {root}", hint="put the file itself there")
    try:
        mode = os.stat(real).st_mode  # noqa: PTH116  # a link that leads nowhere is nothing
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refusal(f"{what}: {path}: {error.strerror}", hint="put the file itself there") from error
    if stat.S_ISDIR(mode):
        return None
    if not stat.S_ISREG(mode):
        raise refusal(f"{what}: {path} is no regular file", hint="put the file itself there")
    return path
