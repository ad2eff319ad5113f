"""Compares the cache with its receipts: every file missing, altered, unreadable or extra; changes nothing."""

import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dermdata.cache import DatasetFolder, FetchedFile
from dermdata.cache.cleanup import PendingFiles
from dermdata.checksum import hash_file
from dermdata.errors import BadTable, CacheDamaged
from dermdata.model import Content

FileStatus = Literal["ok", "missing", "modified", "unreadable", "extra"]
OWN_FILES = re.compile(
    r"receipt\.json|outside\.jsonl|manifest\.parquet|contents-[0-9a-f]*\.tsv|(looks|alike)-[0-9a-f]*\.(cache|parquet)"
)

BATCH_FILES, BATCH_BYTES = 32, 4 << 20


@dataclass(frozen=True, kw_only=True)
class FileCheck:
    """What became of one cached file."""

    dataset: str
    path: str  # relative to the dataset's cache folder
    status: FileStatus
    expected: str | None = None  # `sha256:…`, or bytes with --quick
    actual: str | None = None
    content: Content | None = None  # what to fetch again
    # whether a published checksum covers it; None: none is published, or no file's
    verified: bool | None = None


def verify_folder(
    folder: DatasetFolder,
    contents: Sequence[Content],
    *,
    quick: bool,
    jobs: int,
    advance: Callable[[int], None],
) -> Iterator[FileCheck]:
    """Compare one dataset's folder with its records.

    Parameters
    ----------
    folder
        The dataset's folder in the cache.
    contents
        Every file it should hold.
    quick
        Whether sizes are enough; else every file is hashed.
    jobs
        Threads.
    advance
        Gets the bytes of the files whose turn it is.

    Yields
    ------
    FileCheck
        One a file, the ok ones too, in the order of `contents`; then the manifest, then what is extra.

    Raises
    ------
    CacheDamaged
        If the receipt cannot be read.

    """
    receipt = folder.receipt()
    if receipt is None:
        return
    check, coverage = check_size if quick else check_checksum, receipt.coverage

    def check_batch(some: Sequence[Content]) -> list[FileCheck]:
        advance(sum(content.size for content in some))
        # of an archive without a record of its own only members are here
        return [check(folder, content, coverage.get(content.file, False)) for content in some]

    with ThreadPoolExecutor(max_workers=jobs) as pool:  # hashlib and read release the GIL
        for findings in pool.map(check_batch, make_batches(contents)):
            yield from findings
    if receipt.manifest_sha256 is not None:  # else a fetch did not end, and none is to be expected
        yield from check_manifest(folder, receipt.manifest_sha256)
    yield from find_extra_files(folder, contents, receipt.files)


def make_batches(contents: Iterable[Content]) -> Iterator[list[Content]]:
    """Neighbors, a few MiB at a time: handing over a small file costs as much as hashing it."""
    batch: list[Content] = []
    held = 0
    for content in contents:
        batch.append(content)
        held += content.size
        if len(batch) == BATCH_FILES or held >= BATCH_BYTES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def unreadable_dataset(folder: DatasetFolder, error: CacheDamaged) -> FileCheck:
    """What is found of a dataset whose receipt or list cannot be believed: nothing can be compared with it."""
    return FileCheck(dataset=folder.name, path="receipt.json", status="unreadable", actual=error.message)


def check_size(folder: DatasetFolder, content: Content, verified: bool | None) -> FileCheck:
    path, expected = folder.locate(content.path), f"{content.size} bytes"
    try:
        size = path.lstat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return make_check(folder, content, "missing", expected, None, verified)
    except OSError as error:
        return make_check(folder, content, "unreadable", expected, error.strerror, verified)
    status: FileStatus = "ok" if size == content.size else "modified"
    return make_check(folder, content, status, expected, f"{size} bytes", verified)


def check_checksum(folder: DatasetFolder, content: Content, verified: bool | None) -> FileCheck:
    path, expected = folder.locate(content.path), f"sha256:{content.sha256}"
    try:
        if path.is_symlink():
            return make_check(folder, content, "modified", expected, "a symbolic link", verified)
        actual = f"sha256:{hash_file(path).sha256}"
    except (FileNotFoundError, NotADirectoryError):
        return make_check(folder, content, "missing", expected, None, verified)
    except OSError as error:
        return make_check(folder, content, "unreadable", expected, error.strerror, verified)
    return make_check(folder, content, "ok" if actual == expected else "modified", expected, actual, verified)


def make_check(
    folder: DatasetFolder,
    content: Content,
    status: FileStatus,
    expected: str,
    actual: str | None,
    verified: bool | None,
) -> FileCheck:
    outside = folder.outside.get(content.path)
    if outside and not outside.in_cache and status != "ok":  # nobody finds it by its path in the cache
        actual = f"{actual or 'nothing'} at {outside.origin}"
    return FileCheck(
        dataset=folder.name,
        path=content.path,
        status=status,
        expected=expected,
        actual=actual,
        content=content,
        verified=verified,
    )


def check_manifest(folder: DatasetFolder, expected: str) -> Iterator[FileCheck]:
    """The manifest must be the one that the receipt names."""
    name, wanted = folder.manifest.name, f"sha256:{expected}"
    if not folder.manifest.is_file():
        yield FileCheck(dataset=folder.name, path=name, status="missing", expected=wanted)
        return
    actual = f"sha256:{hash_file(folder.manifest).sha256}"
    status: FileStatus = "ok" if actual == wanted else "modified"
    yield FileCheck(dataset=folder.name, path=name, status=status, expected=wanted, actual=actual)


def find_extra_files(
    folder: DatasetFolder, contents: Iterable[Content], files: Iterable[FetchedFile]
) -> Iterator[FileCheck]:
    """Files that nobody put there on record; what a fetch is bringing is the next fetch's matter."""
    known = {content.path for content in contents} | {file.path for file in files if file.path}
    coming = PendingFiles(folder.path)  # of a run that is at work or did not end
    there = set(walk_names(folder))
    for name in sorted(there - known - find_other_spellings(folder, there - known, known - there)):
        partial = any(
            part.startswith(".") and part.endswith((".part", ".tmp", ".json")) for part in name.split("/")
        )
        if not partial and name not in coming and not OWN_FILES.fullmatch(name):
            size = (folder.path / name).lstat().st_size
            yield FileCheck(dataset=folder.name, path=name, status="extra", actual=f"{size} bytes")


def find_other_spellings(folder: DatasetFolder, listed: set[str], wanted: set[str]) -> set[str]:
    """Which listed names are of files that are known by another spelling: some disks do not give a name as it was put.

    FAT may list names in small letters, HFS+ decomposed, and such disks find a file by both.
    """
    places = {fold_name(name): name for name in wanted}
    return {
        name
        for name in listed
        if (known := places.get(fold_name(name))) and is_same_file(folder.path / known, folder.path / name)
    }


def fold_name(name: str) -> str:
    """What a disk that is not particular takes for the same name."""
    return unicodedata.normalize("NFC", name).casefold()


def is_same_file(one: Path, other: Path) -> bool:
    """Whether two names are of one file; not where either leads nowhere."""
    with suppress(FileNotFoundError):
        return os.path.samestat(one.lstat(), other.lstat())
    return False


def walk_names(folder: DatasetFolder) -> Iterator[str]:
    """Everything in the folder that is no folder; strings, for a Path of each of 10,000 files takes longer to make."""
    for place, folders, files in os.walk(folder.path):
        below = os.path.relpath(place, folder.path).replace(os.sep, "/")
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]  # noqa: PTH114, PTH118
        yield from (name if below == "." else f"{below}/{name}" for name in (*files, *links))


def find_affected_rows(folder: DatasetFolder, findings: Iterable[FileCheck]) -> dict[str, list[str]]:
    """Find which of the manifest's rows use files that were found.

    Parameters
    ----------
    folder
        The dataset's folder in the cache.
    findings
        Checks of files; those of other datasets are passed over.

    Returns
    -------
    dict of str to list of str
        Path -> row keys; empty where the manifest itself is broken or missing.

    """
    from dermdata.manifest.parquet import read_manifest  # Arrow, which a sound cache needs not

    wanted = {one.path: list[str]() for one in findings if one.dataset == folder.name and one.content}
    if not wanted or not folder.manifest.is_file():
        return {}
    try:
        table = read_manifest(folder.manifest, ["key", "path", "mask_path", "masks"])
    except BadTable:  # it is a finding of its own
        return {}
    for row in table.to_pylist():
        for path in list_row_files(row) & wanted.keys():
            wanted[path].append(row["key"])
    return wanted


def list_row_files(row: Mapping[str, Any]) -> set[str]:
    """The paths of a row's image and masks."""
    return {row["path"], row["mask_path"], *(path for _, path in row["masks"] or ())}
