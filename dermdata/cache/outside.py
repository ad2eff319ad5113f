"""Files of a dataset that lie outside the cache, where the person has them: which, where, and whether they are as they were.

    <dataset>/<version>/outside.jsonl    a line a file: its path in the folder, and the facts of `OutsideFile`

The list of contents names them like all others, so a manifest is the same whether its files lie in the cache or not.
They are the person's: they are read, never written, moved or deleted. Of files that were copied or linked the list says
where they came from, so that whatever names them there finds them here, on other machines too. Only dermdata writes this
list, into its own cache: no manifest can bring one, and a bundle none that leads out of the cache.
"""

import json
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Literal, get_args

from dermdata import disk
from dermdata.checksum import hash_file
from dermdata.errors import CacheDamaged, IntegrityError, StorageError
from dermdata.markup import count_nouns
from dermdata.model import Placement

OUTSIDE_NAME = "outside.jsonl"
LARGEST_LIST = 1 << 30  # bytes
FIELD_TYPES = (str, str, int, int, str, str)
NAMES_SHOWN = 3
PLACEMENTS = get_args(Placement)
OutsideState = Literal["ok", "missing", "modified"]


@dataclass(frozen=True, slots=True)
class OutsideFile:
    """One of the person's files, as it was when it was taken."""

    origin: str  # its absolute path
    size: int  # bytes
    changed: int  # when it was last changed, in nanoseconds since the epoch
    sha256: str
    placement: Placement = "in-place"  # else the cache has it under a name of its own, too

    @property
    def in_cache(self) -> bool:
        return self.placement != "in-place"

    def check(self) -> OutsideState:
        """Whether it is as it was: read only where its time alone has changed; StorageError where it cannot be."""
        try:
            status = os.lstat(self.origin)
            if not stat.S_ISREG(status.st_mode) or status.st_size != self.size:
                return "modified"
            same = status.st_mtime_ns == self.changed or hash_file(Path(self.origin)).sha256 == self.sha256
        except (FileNotFoundError, NotADirectoryError):
            return "missing"
        except OSError as error:
            raise StorageError(
                f"{shorten_origins([self.origin])} cannot be read: {(error.strerror or str(error)).lower()}",
                hint="give yourself the right to read it, or add the dataset from where you can",
            ) from error
        return "ok" if same else "modified"

    def find_origin(self, dataset: str) -> str | None:
        """Its path; None where it is gone, IntegrityError where it is another one by now."""
        state = self.check()
        if state == "modified":
            raise changed_error(dataset, [self.origin])
        return self.origin if state == "ok" else None


def describe_outside(origin: Path, sha256: str, placement: Placement = "in-place") -> OutsideFile:
    """A file of the person's as it is now; `sha256` is that of the bytes that were read."""
    status = origin.stat()
    return OutsideFile(str(origin), status.st_size, status.st_mtime_ns, sha256, placement)


def read_outside(folder: Path) -> dict[str, OutsideFile]:
    """The list of a dataset's folder, by the path in the folder; empty where all lies in the cache.

    CacheDamaged for a list that is none.
    """
    path = folder / OUTSIDE_NAME
    try:
        data = disk.read_regular(path, most=LARGEST_LIST)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise disk.to_storage_error(error, path) from error
    try:
        return dict(map(parse_line, data.splitlines()))
    except (ValueError, TypeError, RecursionError) as error:
        raise CacheDamaged(
            f"{path} is broken ({error})",
            hint=f"run `dermdata fetch {folder.parent.name} --force` to build it again",
        ) from error


def parse_line(line: bytes) -> tuple[str, OutsideFile]:
    """One line; ValueError for what is none."""
    values = json.loads(line)
    fits = isinstance(values, list) and [type(one) for one in values] == list(FIELD_TYPES)
    if not fits or values[-1] not in PLACEMENTS:
        raise ValueError(f"no file of the person's: {line[:80]!r}")
    return values[0], OutsideFile(*values[1:])


def outside_to_text(files: Mapping[str, OutsideFile]) -> str:
    """The list as it is stored."""
    return "".join(json.dumps([name, *astuple(files[name])]) + "\n" for name in sorted(files))


def write_outside(folder: Path, files: Mapping[str, OutsideFile]) -> None:
    """Write the list; none at all where no file came from outside."""
    path = folder / OUTSIDE_NAME
    if files:
        disk.write_text(path, outside_to_text(files))
    else:
        with disk.storage_errors(path):
            path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class OutsidePaths:
    """A dataset's files that lie outside the caches, or came from there, by the path in its folder and by their own."""

    files: Mapping[str, OutsideFile]  # that lie outside
    names: Mapping[str, str]  # by where they lie, or were: the path in the folder

    def __contains__(self, path: str) -> bool:
        return path in self.files or path in self.names

    def find(self, path: str) -> OutsideFile | None:
        """The file that a path of either kind names."""
        return self.files.get(path) or self.files.get(self.names.get(path, ""))


def read_outside_paths(folders: Iterable[Path]) -> OutsidePaths:
    """The lists of a dataset's folders in the caches; the first one that has a path is right."""
    files: dict[str, OutsideFile] = {}
    for folder in folders:
        files = read_outside(folder) | files
    left = {path: one for path, one in files.items() if not one.in_cache}
    return OutsidePaths(left, {one.origin: path for path, one in files.items()})


def require_unchanged(name: str, files: Iterable[OutsideFile]) -> None:
    """StorageError that names files of the person's that are gone, IntegrityError for those that were changed."""
    found: dict[OutsideState, list[str]] = {}
    for one in files:
        if not one.in_cache and (state := one.check()) != "ok":
            found.setdefault(state, []).append(one.origin)
    if gone := found.get("missing"):
        raise StorageError(
            f"{name}: {count_nouns(len(gone), 'file', 'are')} no longer where the dataset was added from: "
            f"{shorten_origins(gone)}",
            hint=f"put them back, or say where they are: dermdata fetch {name} --from FOLDER",
        )
    if changed := found.get("modified"):
        raise changed_error(name, changed)


def list_changed_copies(files: Iterable[OutsideFile]) -> list[str]:
    """The files of the person's that were changed since the cache took them over: it has them as they were."""
    return [one.origin for one in files if one.in_cache and one.check() == "modified"]


def changed_error(name: str, origins: list[str]) -> IntegrityError:
    """That files of the person's are not what they were when they were taken."""
    return IntegrityError(
        f"{name}: {count_nouns(len(origins), 'file', 'were')} changed since the dataset was added: "
        f"{shorten_origins(origins)}",
        hint=f"`dermdata fetch {name} --force` takes them as they are now",
    )


def shorten_origins(origins: list[str]) -> str:
    """The first ones as text that can be printed, and how many more there are."""
    shown = [os.fsencode(one).decode(errors="backslashreplace") for one in origins[:NAMES_SHOWN]]
    more = f" and {len(origins) - NAMES_SHOWN:,} more" if len(origins) > NAMES_SHOWN else ""
    return f"{', '.join(map(show_line, shown))}{more}"


def show_line(text: str) -> str:
    """A text in one line."""
    return text.replace("\n", "\\n").replace("\r", "\\r")
