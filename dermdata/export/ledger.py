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

    out: Path
    form: str
    scope: str  # the dataset, then the split: exports of several splits may share a folder
    entries: Mapping[str, Entry] = field(default_factory=dict)

    def require_free(self, wanted: Mapping[str, str]) -> None:
        """UsageError where a file that is to be written is a stranger's, or another export's and would change."""
        if not self.entries:
            return  # OUT is empty
        for path, mark in wanted.items():
            entry = self.entries.get(path)
            if entry is None and os.path.lexists(self.out / path):
                raise foreign(self.out, [path])
            if entry and entry.scope != self.scope and entry.mark != mark:
                raise UsageError(
                    f"{self.out} holds an export of {entry.scope} whose {path} is another",
                    hint="give an empty folder, or export all parts in one go",
                )

    def keeps(self, path: str, mark: str) -> bool:
        """Whether this very file is there already."""
        entry = self.entries.get(path)
        return bool(mark) and entry is not None and entry.mark == mark and (self.out / path).exists()

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
        disk.write_text(self.out / RECORD, json.dumps(facts, ensure_ascii=False, indent=0) + "\n")

    def torn(self, wanted: Iterable[str]) -> Iterator[str]:
        """Temporary files of processes that were killed, in the folders that are written to."""
        for parent in sorted({path.rpartition("/")[0] for path in wanted}):
            place = self.out / parent
            for name in os.listdir(place) if place.is_dir() else ():  # noqa: PTH208  # as in files.py
                found = TEMPORARY.fullmatch(name)
                if found and not is_running(int(found[1])):
                    yield f"{parent}/{name}" if parent else name

    def sweep(self, paths: Iterable[str]) -> None:
        """Delete these files, and the folders that they leave empty."""
        emptied: set[PurePosixPath] = set()
        for path in paths:
            with disk.storage_errors(self.out / path):
                (self.out / path).unlink(missing_ok=True)
            emptied.update(PurePosixPath(path).parents)
        for parent in sorted(emptied - {PurePosixPath(".")}, key=lambda one: -len(one.parts)):
            place = self.out / parent
            if place.is_dir() and not any(place.iterdir()):
                with disk.storage_errors(place):
                    place.rmdir()


def opened(out: Path, form: str, scope: str) -> Ledger:
    """The record of OUT; UsageError where OUT holds what dermdata did not export, or another format."""
    path = folder(out) / RECORD
    if path.exists():
        return Ledger(out, form, scope, read(path, form))
    if out.is_dir():
        strangers = sorted(name for name in os.listdir(out) if not name.startswith("."))  # noqa: PTH208
        if strangers:
            raise foreign(out, strangers)
    return Ledger(out, form, scope)


def read(path: Path, form: str) -> dict[str, Entry]:
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        entries = {name: Entry(mark, scope) for name, mark, scope in facts["files"]}
        made = str(facts["format"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadTable(
            f"{path} cannot be read as the record of an export: {error}", hint="give an empty folder"
        ) from error
    if any(".." in PurePosixPath(name).parts or name.startswith("/") for name in entries):
        raise BadTable(f"{path} names files outside its folder", hint="give an empty folder")
    if made != form:
        raise UsageError(f"{path.parent} holds an export as {made}", hint="give an empty folder")
    return entries


def foreign(out: Path, names: list[str]) -> UsageError:
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
