"""Cached datasets as one tar, for a machine without internet: written here, taken by fetch/bundle.py.

    dermdata-bundle.json            which datasets, and the SHA-256 of each one's receipt
    <name>/<version>/receipt.json   which names the SHA-256 of contents and manifest
    <name>/<version>/contents-*.tsv which names that of every other file
    <name>/<version>/…

One file, because tens of thousands of small ones are slow on a disk that travels, and some of those disks
lose modes or the case of names; not compressed, because images are. The same cache gives the same bytes.
"""

import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from dermdata import disk
from dermdata.cache.folder import Folder
from dermdata.checksum import Hasher, of_chunks
from dermdata.errors import CacheDamaged, UsageError

INDEX, SCHEMA = "dermdata-bundle.json", "dermdata.bundle/1"


@dataclass(frozen=True, kw_only=True)
class Bundled:
    """One dataset version in a bundle."""

    name: str
    version: str | None
    folder: str  # the version as a folder name
    receipt_sha256: str

    @property
    def prefix(self) -> str:
        return f"{self.name}/{self.folder}/"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A file on its way into a bundle."""

    name: str  # relative to the dataset's folder
    size: int  # bytes
    sha256: str


def pack(folders: Sequence[Folder], target: Path, advance: Callable[[int], None]) -> str:
    """Write the datasets' files, each checked as it is read, as `target`; the SHA-256 of the tar.

    UsageError for a dataset whose fetch did not end; CacheDamaged for a file that is not what it was.
    """
    parts = {folder.path: list(parts_of(folder)) for folder in folders}
    disk.require_space(target.parent, sum(one.size for found in parts.values() for one in found))
    index = [bundled(folder, parts[folder.path][0]) for folder in folders]
    data = json.dumps({"schema": SCHEMA, "datasets": [asdict(one) for one in index]}, indent=1).encode()
    with disk.replacing(target) as file:
        out = Hashing(file)
        with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            tar.addfile(header(INDEX, len(data)), io.BytesIO(data))
            for folder, one in zip(folders, index, strict=True):
                for part in parts[folder.path]:
                    add(tar, one.prefix + part.name, folder, part)
                    advance(part.size)
    return out.hasher.sha256


def parts_of(folder: Folder) -> Iterator[Part]:
    """The receipt, then what it vouches for; nothing else that may lie in the folder."""
    receipt = folder.receipt()
    if receipt is None or receipt.manifest_sha256 is None or receipt.contents_sha256 is None:
        raise UsageError(
            f"{folder.name} is not complete, so it cannot be bundled",
            hint=f"`dermdata fetch {folder.name}` completes it",
        )
    contents = folder.contents_path(receipt.contents_sha256)
    own = {"receipt.json": None, contents.name: receipt.contents_sha256}
    own[folder.manifest.name] = receipt.manifest_sha256
    for name, digest in own.items():
        with disk.storage_errors(folder.path / name):
            data = (folder.path / name).read_bytes()
        yield Part(name=name, size=len(data), sha256=digest or of_chunks([data]))
    known = folder.contents()
    yield from (Part(name=one.path, size=one.size, sha256=one.sha256) for one in known)
    paths = {one.path for one in known}
    for one in receipt.files:
        if one.path and one.path not in paths:
            yield Part(name=one.path, size=one.size, sha256=one.sha256)


def bundled(folder: Folder, receipt: Part) -> Bundled:
    """A folder as the index names it."""
    found = folder.receipt()
    version = found.version if found else folder.version
    leaf = folder.path.name
    return Bundled(name=folder.name, version=version, folder=leaf, receipt_sha256=receipt.sha256)


def add(tar: tarfile.TarFile, name: str, folder: Folder, part: Part) -> None:
    """One file, whose bytes must be those that were recorded."""
    path = folder.path / part.name
    hint = f"`dermdata verify {folder.name} --repair` mends it"
    if path.is_symlink() or not path.is_file():
        raise CacheDamaged(f"{path} is missing", hint=hint)
    with path.open("rb") as file:
        source = Reading(file)
        if path.stat().st_size == part.size:
            tar.addfile(header(name, part.size), source)
    if source.hasher.sha256 != part.sha256:
        raise CacheDamaged(f"{path} was altered", hint=hint)


def header(name: str, size: int) -> tarfile.TarInfo:
    """Nothing of this machine: no owner, no times."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info


class Hashing(io.RawIOBase):
    """A file that hashes what is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.hasher = file, Hasher()

    def write(self, data: bytes) -> int:  # type: ignore[override]  # tarfile writes nothing but bytes
        self.hasher.update(data)
        return self._file.write(data)


class Reading(io.RawIOBase):
    """A file that hashes what is read from it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.hasher = file, Hasher()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.hasher.update(data)
        return data
