"""Cached datasets as one tar, for a machine without internet: written, and taken out again.

    dermdata-bundle.json            which datasets, and the SHA-256 of each one's receipt
    <name>/<version>/receipt.json   which names the SHA-256 of contents and manifest
    <name>/<version>/contents-*.tsv which names that of every other file
    <name>/<version>/outside.jsonl  of the person's own data: where they were, so that other manifests find them
    <name>/<version>/…

It is one file, because tens of thousands of small ones are slow on a disk that travels, and some of those disks lose
modes or the case of names. It is not compressed, because images are. The same cache gives the same bytes. Every byte
is checked before it gets a name in the other cache.
"""

import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from dermdata import archive, checksum, disk
from dermdata.archive import ArchiveLimits, Extraction
from dermdata.cache import Cache, DatasetFolder
from dermdata.cache.outside import OUTSIDE_NAME, outside_to_text
from dermdata.checksum import Hasher, sha256_of_chunks
from dermdata.errors import ArchiveRefused, CacheDamaged, ChecksumMismatch, UsageError

INDEX_NAME, BUNDLE_SCHEMA = "dermdata-bundle.json", "dermdata.bundle/1"
LARGEST_INDEX = 16 << 20
BUNDLE_LIMITS = ArchiveLimits(member_bytes=2 << 40)  # an archive that was kept is one member
NAMES_SHOWN = 3
COPY_AGAIN = "copy it again, or write it again with `dermdata cache bundle`"


@dataclass(frozen=True, kw_only=True)
class BundledDataset:
    """One dataset version in a bundle."""

    name: str
    version: str | None
    folder: str  # the version as a folder name
    receipt_sha256: str
    outside_sha256: str | None = None  # of the list of where the person's own files were, where there is one

    @property
    def prefix(self) -> str:
        return f"{self.name}/{self.folder}/"


@dataclass(frozen=True, kw_only=True)
class BundleFile:
    """A file on its way into a bundle."""

    name: str  # relative to the dataset's folder
    size: int  # bytes
    sha256: str
    data: bytes | None = None  # None: the file's


def pack_datasets(folders: Sequence[DatasetFolder], target: Path, advance: Callable[[int], None]) -> str:
    """Write the datasets' files, each checked as it is read, as `target`; the SHA-256 of the tar.

    UsageError for a dataset whose fetch did not end; CacheDamaged for a file that is not what it was.
    """
    parts = {folder.path: list(list_bundle_files(folder)) for folder in folders}
    disk.require_space(target.parent, sum(one.size for found in parts.values() for one in found))
    index = [describe_dataset(folder, parts[folder.path]) for folder in folders]
    data = json.dumps(
        {"schema": BUNDLE_SCHEMA, "datasets": [asdict(one) for one in index]}, indent=1
    ).encode()
    with disk.atomic_write(target) as file:
        out = HashingWriter(file)
        with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            tar.addfile(tar_header(INDEX_NAME, len(data)), io.BytesIO(data))
            for folder, one in zip(folders, index, strict=True):
                for part in parts[folder.path]:
                    add_file(tar, one.prefix + part.name, folder, part)
                    advance(part.size)
    return out.hasher.sha256


def list_bundle_files(folder: DatasetFolder) -> Iterator[BundleFile]:
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
        yield BundleFile(name=name, size=len(data), sha256=digest or sha256_of_chunks([data]))
    yield from list_origins(folder)
    vouched = {one.path: (one.size, one.sha256) for one in folder.contents(receipt)}
    for one in receipt.files:
        if one.path:
            vouched.setdefault(one.path, (one.size, one.sha256))
    yield from (BundleFile(name=path, size=size, sha256=digest) for path, (size, digest) in vouched.items())


def list_origins(folder: DatasetFolder) -> Iterator[BundleFile]:
    """The list of where the person's own files were, where there are any: in the bundle all of them are copies."""
    if folder.outside:
        copies = {path: replace(one, placement="copy") for path, one in folder.outside.items()}
        data = outside_to_text(copies).encode()
        yield BundleFile(name=OUTSIDE_NAME, size=len(data), sha256=sha256_of_chunks([data]), data=data)


def describe_dataset(folder: DatasetFolder, parts: Sequence[BundleFile]) -> BundledDataset:
    """A folder as the index names it; the first of its files is the receipt."""
    outside = next((one.sha256 for one in parts if one.name == OUTSIDE_NAME), None)
    found = folder.receipt()
    version = found.version if found else folder.version
    leaf = folder.path.name
    return BundledDataset(
        name=folder.name,
        version=version,
        folder=leaf,
        receipt_sha256=parts[0].sha256,
        outside_sha256=outside,
    )


def add_file(tar: tarfile.TarFile, name: str, folder: DatasetFolder, part: BundleFile) -> None:
    """One file, whose bytes must be those that were recorded."""
    if part.data is not None:
        tar.addfile(tar_header(name, part.size), io.BytesIO(part.data))
        return
    path = folder.locate(part.name)
    hint = f"`dermdata verify {folder.name} --repair` mends it"
    if path != folder.path / part.name:
        hint = f"put it back as it was, or `dermdata fetch {folder.name} --force` takes it as it is now"
    if path.is_symlink() or not path.is_file():
        raise CacheDamaged(f"{path} is missing", hint=hint)
    with path.open("rb") as file:
        source = HashingReader(file)
        if path.stat().st_size == part.size:
            tar.addfile(tar_header(name, part.size), source)
    if source.hasher.sha256 != part.sha256:
        raise CacheDamaged(f"{path} was altered", hint=hint)


def tar_header(name: str, size: int) -> tarfile.TarInfo:
    """Nothing of this machine: no owner, no times."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info


class HashingWriter(io.RawIOBase):
    """A file that hashes what is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.hasher = file, Hasher()

    def write(self, data: bytes) -> int:  # type: ignore[override]  # tarfile writes nothing but bytes
        self.hasher.update(data)
        return self._file.write(data)


class HashingReader(io.RawIOBase):
    """A file that hashes what is read from it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.hasher = file, Hasher()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.hasher.update(data)
        return data


def is_bundle(path: Path) -> bool:
    """Whether a file begins as a bundle does."""
    if not path.is_file():
        return False
    with disk.storage_errors(path), path.open("rb") as file:
        return file.read(len(INDEX_NAME) + 1) == f"{INDEX_NAME}\0".encode()


def read_index(path: Path) -> list[BundledDataset]:
    """What a bundle holds; ArchiveRefused when its index is broken or of a newer dermdata."""
    try:
        with disk.storage_errors(path), tarfile.open(path, "r:") as tar:
            first = tar.next()
            file = tar.extractfile(first) if first and first.size <= LARGEST_INDEX else None
            data = json.loads(file.read()) if file else None
        return parse_index(path, data)
    except (tarfile.TarError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArchiveRefused(f"{path}: its index is broken ({error})", hint=COPY_AGAIN) from error


def parse_index(path: Path, data: Any) -> list[BundledDataset]:
    if not isinstance(data, dict) or data.get("schema") != BUNDLE_SCHEMA:
        raise ArchiveRefused(
            f"{path} was written by another version of dermdata", hint="use the same version on both machines"
        )
    found = [BundledDataset(**one) for one in data["datasets"]]
    if not all(isinstance(text, str) for one in found for text in (one.name, one.folder, one.receipt_sha256)):
        raise TypeError("a text is of another kind")
    return found


def unpack_dataset(
    path: Path,
    one: BundledDataset,
    cache: Cache,
    *,
    jobs: int,
    advance: Callable[[int], None] = lambda _: None,
) -> DatasetFolder:
    """Put one dataset of a bundle into its place, whole or not at all; for whoever holds its lock.

    ArchiveRefused, CacheDamaged or ChecksumMismatch when anything is not as its receipt and contents say.
    """
    home = cache.version_folder(one.name, one.version)
    if home.path.name != one.folder:
        raise ArchiveRefused(
            f"{path}: {one.folder!r} is no folder of version {one.version!r}", hint=COPY_AGAIN
        )
    parent = DatasetFolder(home.path.parent, one.name, one.version)
    with parent.replace_folder(one.folder) as temporary:
        found = archive.extract(
            path,
            "tar",
            temporary,
            place=lambda name: name.removeprefix(one.prefix),
            wanted=lambda name: name.startswith(one.prefix),
            jobs=jobs,
            progress=advance,
            limits=BUNDLE_LIMITS,
        )
        require_complete_dataset(path, one, DatasetFolder(temporary, one.name, one.version), found)
    return home


def require_complete_dataset(
    path: Path, one: BundledDataset, folder: DatasetFolder, found: Extraction
) -> None:
    """The files must be exactly those that index, receipt and contents name, with those checksums."""
    actual = {file.path: file.sha256 for file in found.contents}
    expected = trusted_checksums(one, folder)
    names = actual.keys() | expected.keys()
    wrong = sorted(name for name in names if actual.get(name) != expected.get(name))
    wrong.sort(key=lambda name: "/" in name)  # our own lists first: where one is wrong, all else seems so
    if not wrong and any(not one.in_cache for one in folder.outside.values()):
        wrong = [OUTSIDE_NAME]  # it would lead to files of this machine
    if wrong:
        more = f" and {len(wrong) - NAMES_SHOWN:,} more" if len(wrong) > NAMES_SHOWN else ""
        message = f"{path}: {one.name} is not as it was packed: {', '.join(wrong[:NAMES_SHOWN])}{more}"
        raise ChecksumMismatch(message, hint=COPY_AGAIN)


def trusted_checksums(one: BundledDataset, folder: DatasetFolder) -> dict[str, str | None]:
    """Each file's SHA-256, as far as index and receipt can be believed: an altered receipt vouches for nothing."""
    receipt_path = folder.path / "receipt.json"
    if not receipt_path.is_file() or checksum.hash_file(receipt_path).sha256 != one.receipt_sha256:
        return {"receipt.json": one.receipt_sha256}
    receipt = folder.receipt()
    if receipt is None or receipt.dataset != one.name or receipt.manifest_sha256 is None:
        return {"receipt.json": None}
    own: dict[str, str | None] = {
        "receipt.json": one.receipt_sha256,
        folder.manifest.name: receipt.manifest_sha256,
    }
    if one.outside_sha256:
        own[OUTSIDE_NAME] = one.outside_sha256
    contents = folder.contents_path(receipt.contents_sha256)
    own[contents.name] = receipt.contents_sha256
    if not contents.is_file() or checksum.hash_file(contents).sha256 != receipt.contents_sha256:
        return own
    return {**dict(folder.iter_digests()), **own}
