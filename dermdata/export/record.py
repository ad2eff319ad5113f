"""The record of an export's folder: its own files are kept when unchanged, deleted when stale, never mixed with others'.

`.dermdata-export.json` is a JSON value a line: a head, then for each file its path, the fingerprint of what decides its
bytes, and which export it belongs to; and, once the file was written whole with this fingerprint, its bytes (of a link
also when its file was last changed). A run writes the record before the files, as what is to be; then each file's line
is added when the file has its name; the last act puts them in order. So what is kept was written, whenever a run was
killed: a line without bytes promises nothing, nor does the record of an earlier version (dermdata.files/1), whose
images were not compared.

One run at a time writes into a folder: it holds `.dermdata-export.lock` while it does, the others wait. Where a file
system's locks keep nobody out, and in object stores, which have none, a run sees at its end that the record, or a
file that it wrote, is another's: then it fails, and nothing in the folder is kept by the next one.
"""

import json
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from dermdata import disk
from dermdata.cache.locks import hold_lock
from dermdata.errors import BadTable, StorageError, UsageError
from dermdata.export.image_bytes import FileIdentity, identity_from_stat
from dermdata.export.job import foreign_files_error, require_folder
from dermdata.markup import count_nouns
from dermdata.object_store import LocalFolder, Storage
from dermdata.process import is_alive
from dermdata.progress import Progress

RECORD, LOCK = ".dermdata-export.json", ".dermdata-export.lock"
SCHEMA = "dermdata.files/2"
LOCK_TIMEOUT = 3600  # seconds for which another run is waited for
TEMPORARY_NAME = re.compile(
    r"\..+\.(\d{1,9})\.[0-9a-f]{8}\.tmp"
)  # as disk.atomic_write names them: by process
encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class RecordEntry:
    """One file of an export: what it is made of, by which export, and what it was when it was whole."""

    fingerprint: str  # "": nothing tells whether it is still right
    scope: str
    size: int | None = None  # bytes; None: not known to be whole
    time: int | None = None  # when its content was last changed, ns; kept in the record for links only
    inode: int | None = None  # of what this run wrote; not in the record
    linked: bool = False


@dataclass(frozen=True)
class ExportRecord:
    """A folder's record."""

    storage: Storage
    form: str
    scope: str  # the dataset, then the split: exports of several splits may share a folder
    entries: Mapping[str, RecordEntry] = field(default_factory=dict)

    def require_free(self, wanted: Mapping[str, str]) -> None:
        """UsageError where a file that is to be written is somebody else's, or another export's and would change."""
        if not self.entries:
            return  # OUT is empty
        for path, fingerprint in wanted.items():
            entry = self.entries.get(path)
            if entry is None and is_name_taken(self.storage, path):
                raise foreign_files_error(self.storage, [path])
            if entry and entry.scope != self.scope and entry.fingerprint != fingerprint:
                raise UsageError(
                    f"{self.storage} holds an export of {entry.scope} whose {path} is another",
                    hint="give an empty folder, or export all parts in one go",
                )

    def is_current(self, path: str, fingerprint: str) -> bool:
        """Whether this very file was written by an earlier run, and is still what it was then."""
        entry = self.entries.get(path)
        return (
            bool(fingerprint)
            and entry is not None
            and entry.fingerprint == fingerprint
            and is_whole(self.storage, path, entry)
        )

    @contextmanager
    def open_run(self, wanted: Mapping[str, str], progress: Progress) -> Iterator["ExportRun"]:
        """Hold the folder and write the wanted files (path -> fingerprint); StorageError if another run wrote there too."""
        with hold_folder(self.storage, progress.say):
            record = open_record(
                self.storage, self.form, self.scope
            )  # as it is now: who held the folder has ended
            record.require_free(wanted)
            run = ExportRun(record, wanted)
            try:
                yield run
                run.finish()
            finally:
                run.close()


class ExportRun:
    """One run's writing into a folder: what it keeps of earlier runs, and what it has written so far."""

    def __init__(self, record: ExportRecord, wanted: Mapping[str, str]) -> None:
        self.record, self.storage, self.fingerprints = record, record.storage, wanted
        self.run_id = os.urandom(8).hex()
        kept = (path for path, fingerprint in wanted.items() if record.is_current(path, fingerprint))
        entries, scope = record.entries, record.scope
        self.done = {
            path: entries[path] if entries[path].scope == scope else replace(entries[path], scope=scope)
            for path in kept
        }
        self.handle = -1  # the record's handle, to add lines to

    def is_kept(self, path: str) -> bool:
        """Whether this file is there already and stays."""
        return path in self.done

    def begin(self) -> None:
        """Delete what earlier runs left and this one will not have, then record what it will have."""
        scope, wanted = self.record.scope, self.fingerprints
        stale = [
            path
            for path, entry in self.record.entries.items()
            if wanted.get(path, None if entry.scope == scope else entry.fingerprint) != entry.fingerprint
        ]
        delete_files(self.storage, [*stale, *find_torn_files(self.storage, wanted)])
        self.write_record(self.run_id, self.other_entries(), self.done)
        if isinstance(self.storage, LocalFolder):
            with disk.storage_errors(self.storage.locate(RECORD)):
                self.handle = disk.open_handle(self.storage.locate(RECORD), os.O_WRONLY | os.O_APPEND)

    def add(self, path: str, source: FileIdentity | None = None) -> None:
        """Record that a file is whole and has its name (of a link: that it is this file); from any thread."""
        fingerprint, scope = self.fingerprints[path], self.record.scope
        if not isinstance(self.storage, LocalFolder):  # objects cannot grow; and there are few of them
            self.done[path] = RecordEntry(fingerprint, scope, self.storage.size(path))
            self.require_own_record()
            self.write_record(self.run_id, self.other_entries(), self.done)
            return
        found = read_identity(f"{self.storage}/{path}")
        if source is not None and found != source:
            raise StorageError(
                f"{self.storage.locate(path)} was changed while it was linked",
                hint="run the same command again",
            )
        entry = RecordEntry(
            fingerprint, scope, found.size, found.time, found.inode, linked=source is not None
        )
        self.done[path] = entry
        try:
            os.write(self.handle, record_line(path, entry))  # a line that is cut by a full disk is no promise
        except OSError as error:
            raise disk.to_storage_error(error, self.storage.locate(RECORD)) from error

    def require_own_record(self) -> None:
        """StorageError unless the record is still the one that this run began."""
        if read_head(self.storage).get("run") != self.run_id:
            self.abandon()

    def finish(self) -> None:
        """Put the record in order, if all that was written or kept is still there and nobody else wrote."""
        self.require_own_record()
        if not all(is_whole(self.storage, path, self.done[path]) for path in self.fingerprints):
            self.abandon()
        self.write_record(None, self.other_entries(), self.done)

    def abandon(self) -> None:
        """Let nothing in the folder be kept by the next run, and say why."""
        known = {
            **self.record.entries,
            **(read_record(self.storage)[1] if is_name_taken(self.storage, RECORD) else {}),
        }
        doubtful = {path: RecordEntry(entry.fingerprint, entry.scope) for path, entry in known.items()}
        self.write_record(None, doubtful, {})
        raise concurrent_export_error(self.storage)

    def other_entries(self) -> dict[str, RecordEntry]:
        """What other exports have in this folder."""
        entries, scope = self.record.entries, self.record.scope
        return {
            path: one for path, one in entries.items() if one.scope != scope and path not in self.fingerprints
        }

    def write_record(
        self, run: str | None, others: Mapping[str, RecordEntry], done: Mapping[str, RecordEntry]
    ) -> None:
        """Write the record whole; no line is added to the one before it, which Windows does not replace while it is open."""
        self.close()
        scope, paths = self.record.scope, sorted({*others, *self.fingerprints})
        head = {"schema": SCHEMA, "format": self.record.form, "run": run, "files": len(paths)}

        def lines() -> Iterator[bytes]:
            yield f"{encode(head)}\n".encode()
            for path in paths:
                known = done.get(path) or others.get(path)
                yield record_line(path, known or RecordEntry(self.fingerprints[path], scope))

        self.storage.put(RECORD, lambda target: disk.write_chunks(target, lines()))

    def close(self) -> None:
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1


def record_line(path: str, entry: RecordEntry) -> bytes:
    facts = [] if entry.size is None else [entry.size, entry.time] if entry.linked else [entry.size]
    return f"{encode([path, entry.fingerprint, entry.scope, *facts])}\n".encode(errors="surrogatepass")


# ------------------------------------------------------------------ one writer


@contextmanager
def hold_folder(storage: Storage, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a folder against other exports; CacheBusy where another one does not let go. Object stores have no locks."""
    if not isinstance(storage, LocalFolder):
        yield
        return
    path = storage.path / LOCK
    require_lockable(path)
    try:
        with hold_lock(path, str(storage), say, LOCK_TIMEOUT):
            try:
                yield
            finally:
                remove_lock(path)
    finally:
        if sys.platform == "win32":  # what is open, by us or by who waits for it, cannot be deleted there
            remove_lock(path)


def remove_lock(path: Path) -> None:
    """A courtesy: a run that waited checks that the file it locked is still there."""
    with suppress(OSError):
        path.unlink()


def concurrent_export_error(storage: Storage) -> StorageError:
    return StorageError(
        f"another export wrote into {storage} at the same time, so that its files may be of either",
        hint="when it has ended, run the same command again: what is not this export's is made anew",
    )


def require_lockable(path: Path) -> None:
    """StorageError where something else has the lock file's name: it would be written into."""
    try:
        facts = path.lstat()
    except OSError:  # none, or a folder that cannot be entered: making the file will fail
        return
    if not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1:
        raise StorageError(
            f"{path} is a link or no file, so that it cannot be locked",
            hint="move it away, or give another folder",
        )


# ------------------------------------------------------------------ files


def read_identity(path: str) -> FileIdentity:
    try:
        return identity_from_stat(os.stat(path))  # noqa: PTH116  # 100,000 files: a Path for each costs more
    except OSError as error:
        raise disk.to_storage_error(error, Path(path)) from error


def is_whole(storage: Storage, path: str, entry: RecordEntry) -> bool:
    """Whether a file is what was written: its bytes, of a link's file and of what this run wrote also its time."""
    if entry.size is None:
        return False
    if not isinstance(storage, LocalFolder):
        return storage.exists(path) and storage.size(path) == entry.size
    try:
        facts = (os.stat if entry.linked else os.lstat)(f"{storage}/{path}")
    except (FileNotFoundError, NotADirectoryError):
        return False
    same = facts.st_size == entry.size and entry.time in (None, facts.st_mtime_ns)
    return same and entry.inode in (None, facts.st_ino) and stat.S_ISREG(facts.st_mode)


def is_name_taken(storage: Storage, path: str) -> bool:
    """Whether something has this name, a link that leads nowhere included."""
    return os.path.lexists(storage.path / path) if isinstance(storage, LocalFolder) else storage.exists(path)


def find_torn_files(storage: Storage, wanted: Iterable[str]) -> Iterator[str]:
    """Temporary files of processes that were killed, in the folders that are written to."""
    if not isinstance(storage, LocalFolder):
        return  # what is on its way to a bucket has no name there
    for parent in sorted({path.rpartition("/")[0] for path in wanted}):
        folder = storage.path / parent
        for name in os.listdir(folder) if folder.is_dir() else ():  # noqa: PTH208  # as for `read_identity`
            found = TEMPORARY_NAME.fullmatch(name)
            if found and not is_alive(int(found[1])):
                yield f"{parent}/{name}" if parent else name


def delete_files(storage: Storage, paths: Iterable[str]) -> None:
    """Delete these files, and the folders that they leave empty."""
    emptied: set[PurePosixPath] = set()
    for path in paths:
        storage.delete(path)
        emptied.update(PurePosixPath(path).parents)
    if not isinstance(storage, LocalFolder):
        return
    for parent in sorted(emptied - {PurePosixPath(".")}, key=lambda one: -len(one.parts)):
        folder = storage.path / parent
        if folder.is_dir() and not any(folder.iterdir()):
            with disk.storage_errors(folder):
                folder.rmdir()


# ------------------------------------------------------------------ the record


def open_record(storage: Storage, form: str, scope: str) -> ExportRecord:
    """The record of OUT; UsageError where OUT holds what dermdata did not export, or another format."""
    if isinstance(storage, LocalFolder):
        require_folder(storage.path)
    names = storage.list_names()
    if RECORD in names:
        made, entries = read_record(storage)
        if made != form:
            raise UsageError(f"{storage} holds an export as {made}", hint="give an empty folder")
        return ExportRecord(storage, form, scope, entries)
    if strangers := [name for name in names if not name.startswith(".")]:
        raise foreign_files_error(storage, strangers)
    return ExportRecord(storage, form, scope)


def read_record(storage: Storage) -> tuple[str, dict[str, RecordEntry]]:
    """The format of the export and its files; BadTable for a record that cannot be read or leads elsewhere."""
    path = storage.locate(RECORD)
    try:
        with storage.open(RECORD) as file:
            head, rows = parse_record(file.read())
        entries = {row[0]: to_entry(row) for row in rows}
        made = str(head["format"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise BadTable(
            f"{path} cannot be read as the record of an export: {error}", hint="give an empty folder"
        ) from error
    if any(".." in PurePosixPath(name).parts or name.startswith("/") for name in entries):
        raise BadTable(f"{path} names files outside its folder", hint="give an empty folder")
    return made, entries


def parse_record(data: bytes) -> tuple[dict[str, Any], list[list[Any]]]:
    """Head and rows. Of rows that were added while files were written one may be cut, or lost with the machine's power."""
    first, _, rest = data.partition(b"\n")
    if SCHEMA.encode() not in first:
        whole: dict[str, Any] = json.loads(data)
        return whole, [row[:3] for row in whole["files"]]
    head: dict[str, Any] = json.loads(first)
    lines = rest.split(b"\n")
    rows: list[list[Any]] = json.loads(b"[" + b",".join(lines[: head["files"]]) + b"]")
    if len(rows) != head["files"]:
        raise ValueError(f"{count_nouns(len(rows), 'file')} of {head['files']}")
    for line in lines[head["files"] :]:
        with suppress(ValueError):
            rows.append(json.loads(line))
    return head, rows


def to_entry(row: list[Any]) -> RecordEntry:
    _, fingerprint, scope, *facts = row
    size, time = [*facts, None, None][:2]
    return RecordEntry(str(fingerprint), str(scope), size, time, linked=time is not None)


def read_head(storage: Storage) -> dict[str, Any]:
    """The record's head; empty where there is no record with one."""
    if not is_name_taken(storage, RECORD):
        return {}
    with storage.open(RECORD) as file:
        first = file.readline()
    try:
        head: dict[str, Any] = json.loads(first)
    except ValueError:
        return {}
    return head
