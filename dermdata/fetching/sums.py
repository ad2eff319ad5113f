"""`SHA256SUMS` beside a mirror's files: written as `sha256sum --check` reads it, and believed where no one else says.

<mirror>/<dataset>/SHA256SUMS
<mirror>/<dataset>/<file name>
"""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from dermdata import disk
from dermdata.errors import UsageError

NAME = "SHA256SUMS"
LARGEST = 256 << 20  # bytes: a line for each of two million files
LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def read(folder: Path) -> dict[str, str]:
    """SHA-256 (hex) by file name; lines of another form are passed over, no file is no names.

    UsageError for a link, a pipe or a device in its place, and for one that is larger than any such list.
    """
    path = folder / NAME
    if not os.path.lexists(path):
        return {}
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
        raise UsageError(f"{path} is no file of checksums", hint="write it with `sha256sum`, or remove it")
    with disk.storage_errors(path):
        lines = path.read_text("utf-8", "replace").splitlines()
    return {match[2]: match[1] for match in map(LINE.fullmatch, lines) if match}


def write(folder: Path, sums: Mapping[str, str]) -> None:
    """Write them by name."""
    disk.write_text(folder / NAME, "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)))


def noted(source: Path, name: str) -> str | None:
    """What a mirror folder says of the catalog file `name`, as `sha256:…`; None where it says nothing."""
    levels = name.count("/")
    if len(source.parents) <= levels:
        return None
    digest = read(source.parents[levels]).get(name)
    return f"sha256:{digest}" if digest else None
