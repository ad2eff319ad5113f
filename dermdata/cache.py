"""The local cache: where each dataset lies, its receipt and contents, its lock, and what to sweep.

    <root>/datasets/<name>/<version>/manifest.parquet   written last
                                    /receipt.json       what was fetched, from where, verified how
                                    /contents.tsv       every file with size, SHA-256, place in its archive
                                    /files/…  images/…  masks/…
    <root>/locks/<name>.lock
    <root>/index/catalog-*.json                         compiled catalogs, only copies

Paths inside are relative, so the cache may be moved. Receipt, contents and manifest name each other's
SHA-256: a torn set is seen and made again, never trusted.
"""

import csv
import io
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from dermdata import checksum, disk
from dermdata.errors import CacheBusy, CacheDamaged
from dermdata.model import Content, Dataset, ImageFacts, Member

RECEIPT_SCHEMA = "dermdata.receipt/1"
COLUMNS = (
    "path", "role", "file", "size", "sha256", "member", "offset", "stored", "method", "crc32",
    "format", "mode", "width", "height", "problem",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """One catalog file as it was fetched."""

    name: str
    role: str
    size: int  # bytes
    sha256: str
    checksum: str | None  # the published checksum that it matched; None: none is published
    url: str  # where it came from, without query
    fetched_at: str  # ISO 8601, UTC
    path: str | None  # in the cache folder; None: an archive that was unpacked and let go


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What a dataset's folder holds and how it came there."""

    dataset: str
    version: str | None
    tool: str
    catalog_digest: str
    roles: tuple[str, ...]  # what was asked for
    files: tuple[Fetched, ...]
    manifest_sha256: str | None = None
    contents_sha256: str | None = None
    report: Mapping[str, Any] = field(default_factory=dict)  # counts, unmapped words, rows without image

    def file(self, name: str) -> Fetched | None:
        """The fetched file of this name, if it was fetched."""
        return next((file for file in self.files if file.name == name), None)


class Folder:
    """One version of one dataset in the cache."""

    def __init__(self, path: Path, name: str, version: str | None) -> None:
        self.path, self.name, self.version = path, name, version
        self.manifest = path / "manifest.parquet"

    def receipt(self) -> Receipt | None:
        """The receipt, None when nothing was fetched; CacheDamaged when it is broken or newer than we are."""
        path = self.path / "receipt.json"
        try:
            data = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise self.damaged(f"{path} is not JSON ({error})") from error
        if not isinstance(data, dict) or data.pop("schema", None) != RECEIPT_SCHEMA:
            raise self.damaged(f"{path} was written by another version of dermdata")
        try:
            files = tuple(Fetched(**file) for file in data.pop("files"))
            return Receipt(**data | {"files": files, "roles": tuple(data["roles"])})
        except (TypeError, KeyError) as error:
            raise self.damaged(f"{path} is incomplete ({error})") from error

    def damaged(self, what: str) -> CacheDamaged:
        return CacheDamaged(what, hint=f"run `dermdata fetch {self.name} --force` to build it again")

    def write_receipt(self, receipt: Receipt) -> None:
        data = {"schema": RECEIPT_SCHEMA, **asdict(receipt)}
        disk.write_text(self.path / "receipt.json", json.dumps(data, indent=1, ensure_ascii=False) + "\n")

    def contents(self) -> tuple[Content, ...]:
        """Every file the folder should hold; CacheDamaged if the list is not the receipt's."""
        path = self.path / "contents.tsv"
        receipt = self.receipt()
        if receipt is None:
            return ()
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise self.damaged(f"{path} is missing") from error
        if checksum.of_chunks([data]) != receipt.contents_sha256:
            raise self.damaged(f"{path} was altered")
        rows = csv.reader(io.StringIO(data.decode(), newline=""), delimiter="\t")
        next(rows)
        return tuple(content_of(dict(zip(COLUMNS, row, strict=True))) for row in rows)

    @contextmanager
    def unpacking(self, home: str) -> Iterator[Path]:
        """A temporary folder that takes the name `home` when the block ends well, in place of an older one."""
        target = self.path / home
        temporary = target.with_name(f".{target.name}.{here()}.{os.urandom(4).hex()}.tmp")
        with disk.storage_errors(target):
            temporary.mkdir(parents=True)
            try:
                yield temporary
                if target.exists():
                    shutil.rmtree(target)
                temporary.rename(target)
                disk.sync_folder(target.parent)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise

    def sweep(self) -> None:
        """Remove temporary folders that a process of this machine left behind when it was killed."""
        for path in self.path.glob("*/.*.tmp"):
            host, _, pid = path.name.split(".")[-3].rpartition("-")
            if path.is_dir() and host == machine() and not alive(int(pid)):
                shutil.rmtree(path)

    def write_contents(self, contents: Iterable[Content]) -> str:
        """Write the list, by path; its SHA-256."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter="\t", lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(row_of(content) for content in sorted(contents, key=lambda one: one.path))
        return disk.write_text(self.path / "contents.tsv", text.getvalue()).sha256


def row_of(content: Content) -> list[Any]:
    member, image = content.member, content.image or ImageFacts()
    place = [member.path, member.offset, member.stored, member.method, member.crc32] if member else [""] * 5
    facts = [value if value is not None else "" for value in asdict(image).values()]
    return [content.path, content.role, content.file, content.size, content.sha256, *place, *facts]


def content_of(row: Mapping[str, str]) -> Content:
    whole = {key: int(row[key]) for key in ("offset", "stored", "method", "crc32") if row[key]}
    facts: dict[str, Any] = {name: row[name] or None for name in (one.name for one in fields(ImageFacts))}
    for key in ("width", "height"):
        facts[key] = int(facts[key]) if facts[key] else None
    return Content(
        path=row["path"],
        role=row["role"],  # type: ignore[arg-type]  # written by us from a Content, under the receipt's hash
        file=row["file"],
        size=int(row["size"]),
        sha256=row["sha256"],
        member=Member(path=row["member"], **whole) if whole else None,
        image=ImageFacts(**facts) if any(facts.values()) else None,
    )


class Cache:
    """The folder that holds all datasets; opening it touches nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def index(self) -> Path:
        return self.root / "index"

    def folder(self, dataset: Dataset) -> Folder:
        """Where this dataset's version lies, or would lie."""
        return self.folder_of(dataset.name, dataset.version)

    def folder_of(self, name: str, version: str | None) -> Folder:
        leaf = version_slug(version)
        return Folder(self.root / "datasets" / name / leaf, name, version)

    def folders(self) -> Iterator[Folder]:
        """Every dataset version that has a receipt, by name."""
        for path in sorted(self.root.glob("datasets/*/*/receipt.json")):
            yield Folder(path.parent, path.parent.parent.name, path.parent.name)

    def cached_names(self) -> set[str]:
        """The names with a manifest, quickly: no file is opened."""
        try:
            names = os.listdir(self.root / "datasets")  # noqa: PTH208  # start-up counts
        except FileNotFoundError:
            return set()
        return {name for name in names if any((self.root / "datasets" / name).glob("*/manifest.parquet"))}

    @contextmanager
    def lock(self, name: str, *, waiting: Callable[[str], None], patience: float = 3600) -> Iterator[None]:
        """Hold one dataset against other processes; says whom it waits for, CacheBusy after `patience` seconds.

        Where the file system's locks do nothing, two writers only double the traffic: every file still
        takes its name by an atomic rename of bytes that were checked.
        """
        import fcntl

        path = self.root / "locks" / f"{name}.lock"
        with disk.storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        with os.fdopen(handle, "r+") as file:
            wait_for(lambda: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB), file, name, waiting, patience)
            file.seek(0)
            file.truncate()
            file.write(f"process {os.getpid()} on {machine()}\n")
            file.flush()
            yield

    def remove(self, folder: Folder) -> int:
        """Delete one dataset version; the bytes that were freed."""
        freed = size_of(folder.path)
        with disk.storage_errors(folder.path):
            (folder.path / "receipt.json").unlink(missing_ok=True)
            shutil.rmtree(folder.path)
            if not any(folder.path.parent.iterdir()):
                folder.path.parent.rmdir()
        return freed

    def leftovers(self, older_than: float) -> list[Path]:
        """Partials and temporary folders last touched before `older_than` (seconds since the epoch)."""
        found = [path for path in self.root.glob("datasets/**/.*") if path.name.endswith((".part", ".part.json", ".tmp"))]
        return sorted(path for path in found if path.lstat().st_mtime < older_than)


def wait_for(
    take: Callable[[], None], file: io.TextIOBase | Any, name: str, waiting: Callable[[str], None], patience: float
) -> None:
    import time

    said, deadline = False, time.monotonic() + patience
    while True:
        try:
            return take()
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            if time.monotonic() > deadline:
                raise CacheBusy(f"{name} is held by {holder}", hint="wait for it or stop it, then try again") from None
            if not said:
                waiting(f"{name}: waiting for {holder}")
            said = True
            time.sleep(0.2)


def machine() -> str:
    """This machine's name, without dots."""
    return socket.gethostname().partition(".")[0] or "localhost"


def here() -> str:
    """This process among all that may share the cache."""
    return f"{machine()}-{os.getpid()}"


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def version_slug(version: str | None) -> str:
    """A folder name for a publisher's version."""
    kept = "".join(char if char.isalnum() or char in ".-_" else "_" for char in version or "")
    return kept.lstrip(".") or "unversioned"


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    total = 0
    for parent, _, names in os.walk(folder):
        total += sum((Path(parent) / name).lstat().st_size for name in names)
    return total
