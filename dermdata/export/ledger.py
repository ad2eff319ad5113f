"""Which files in OUT are an export's own: kept when unchanged, swept when not, never mixed with a stranger's.

`.dermdata-export.json` names every file with a mark of what decides its bytes. It is written before them, after
those that no longer fit are deleted; each of them gets its name only when it is whole. So a file that has its
name and its mark is done, whenever a run was killed.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from dermdata import disk
from dermdata.errors import BadTable, UsageError
from dermdata.export.job import folder
from dermdata.places import Folder, Place

RECORD = ".dermdata-export.json"
SCHEMA = "dermdata.files/1"
SHOWN = 3
TEMPORARY = re.compile(r"\..+\.(\d{1,9})\.[0-9a-f]{8}\.tmp")  # as disk.replacing names them: by process


@dataclass(frozen=True)
class Entry:
    """One file of an earlier run: what it was made of, and by which export."""

    mark: str  # "": nothing tells whether it is still right
    scope: str


@dataclass(frozen=True)
class Ledger:
    """A folder's record."""

    place: Place
    form: str
    scope: str  # the dataset, then the split: exports of several splits may share a folder
    entries: Mapping[str, Entry] = field(default_factory=dict)

    def require_free(self, wanted: Mapping[str, str]) -> None:
        """UsageError where a file that is to be written is a stranger's, or another export's and would change."""
        if not self.entries:
            return  # OUT is empty
        for path, mark in wanted.items():
            entry = self.entries.get(path)
            if entry is None and is_taken(self.place, path):
                raise foreign(self.place, [path])
            if entry and entry.scope != self.scope and entry.mark != mark:
                raise UsageError(
                    f"{self.place} holds an export of {entry.scope} whose {path} is another",
                    hint="give an empty folder, or export all parts in one go",
                )

    def keeps(self, path: str, mark: str) -> bool:
        """Whether this very file is there already."""
        entry = self.entries.get(path)
        return bool(mark) and entry is not None and entry.mark == mark and self.place.exists(path)

    def begin(self, wanted: Mapping[str, str]) -> None:
        """Delete what earlier runs left and this one will not have, then record what it will have."""
        mine = {path for path, entry in self.entries.items() if entry.scope == self.scope}
        stale = [
            path
            for path, entry in self.entries.items()
            if wanted.get(path, None if path in mine else entry.mark) != entry.mark
        ]
        self.sweep([*stale, *self.torn(wanted)])
        others = {path: entry for path, entry in self.entries.items() if path not in mine}
        entries = others | {path: Entry(mark, self.scope) for path, mark in wanted.items()}
        rows = [[path, entry.mark, entry.scope] for path, entry in sorted(entries.items())]
        facts = {"schema": SCHEMA, "format": self.form, "files": rows}
        text = json.dumps(facts, ensure_ascii=False, indent=0) + "\n"
        self.place.fill(RECORD, lambda path: write_text(path, text))

    def torn(self, wanted: Iterable[str]) -> Iterator[str]:
        """Temporary files of processes that were killed, in the folders that are written to."""
        if not isinstance(self.place, Folder):
            return  # what is on its way to a bucket has no name there
        for parent in sorted({path.rpartition("/")[0] for path in wanted}):
            place = self.place.path / parent
            for name in os.listdir(place) if place.is_dir() else ():  # noqa: PTH208  # as in files.py
                found = TEMPORARY.fullmatch(name)
                if found and not is_running(int(found[1])):
                    yield f"{parent}/{name}" if parent else name

    def sweep(self, paths: Iterable[str]) -> None:
        """Delete these files, and the folders that they leave empty."""
        emptied: set[PurePosixPath] = set()
        for path in paths:
            self.place.delete(path)
            emptied.update(PurePosixPath(path).parents)
        if not isinstance(self.place, Folder):
            return
        for parent in sorted(emptied - {PurePosixPath(".")}, key=lambda one: -len(one.parts)):
            place = self.place.path / parent
            if place.is_dir() and not any(place.iterdir()):
                with disk.storage_errors(place):
                    place.rmdir()


def write_text(path: Path, text: str) -> None:
    disk.write_text(path, text)


def is_taken(place: Place, path: str) -> bool:
    """Whether something has this name, a link that leads nowhere included."""
    return os.path.lexists(place.path / path) if isinstance(place, Folder) else place.exists(path)


def opened(place: Place, form: str, scope: str) -> Ledger:
    """The record of OUT; UsageError where OUT holds what dermdata did not export, or another format."""
    if isinstance(place, Folder):
        folder(place.path)
    names = place.names()
    if RECORD in names:
        return Ledger(place, form, scope, read(place, form))
    if strangers := [name for name in names if not name.startswith(".")]:
        raise foreign(place, strangers)
    return Ledger(place, form, scope)


def read(place: Place, form: str) -> dict[str, Entry]:
    path = place.at(RECORD)
    try:
        with place.opened(RECORD) as file:
            facts: dict[str, Any] = json.loads(file.read().decode("utf-8"))
        entries = {name: Entry(mark, scope) for name, mark, scope in facts["files"]}
        made = str(facts["format"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadTable(
            f"{path} cannot be read as the record of an export: {error}", hint="give an empty folder"
        ) from error
    if any(".." in PurePosixPath(name).parts or name.startswith("/") for name in entries):
        raise BadTable(f"{path} names files outside its folder", hint="give an empty folder")
    if made != form:
        raise UsageError(f"{place} holds an export as {made}", hint="give an empty folder")
    return entries


def foreign(out: Place, names: list[str]) -> UsageError:
    shown = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
    return UsageError(
        f"{out} holds what dermdata did not export ({shown})",
        hint="give an empty folder, so that the two cannot be mixed up",
    )


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)  # asks, does nothing
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True
