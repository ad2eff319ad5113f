"""Fetches members of a remote zip by few range requests; each member is checked before it gets a name in the cache.

A partly fetched archive for which no checksum is published is completed in this way where less than half of it is
missing. Where a checksum is published the whole archive is downloaded and held to it.
"""

import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from dermdata import archive, disk
from dermdata.archive.extraction import BoundedExecutor
from dermdata.archive.staging import StagingFolder
from dermdata.cache import DatasetFolder
from dermdata.cache.folder import temporary_name
from dermdata.checksum import sha256_of_chunks
from dermdata.errors import (
    ArchiveRefused,
    IntegrityError,
    NetworkError,
    PersonMustAct,
    SourceChanged,
    StorageError,
)
from dermdata.fetching import ingest
from dermdata.fetching.ingest import VerifiedFile
from dermdata.fetching.remote_zip import (
    MemberRange,
    RemoteZip,
    ZipOpenContext,
    content_to_entry,
    count_stored_bytes,
    is_same_member,
    open_remote_zip,
    require_members_unchanged,
)
from dermdata.markup import count_nouns
from dermdata.model import Content, File, Request
from dermdata.progress import Progress

STREAMS = 16  # ranges at once; how many a host may be asked is the HTTP client's matter
LARGEST_IN_MEMORY = 64 << 20  # bytes; a larger member is inflated to its file
LARGEST_MISSING_SHARE = 0.5  # of the archive's bytes; above it the whole archive comes


def fetch_members(
    archive_zip: RemoteZip,
    wanted: Sequence[Content],
    folder: DatasetFolder,
    progress: Progress,
    note: Callable[[list[Content], int], None],
    announce: Callable[[Sequence[str]], None],
) -> None:
    """The wanted members under their final names; `note` gets those of each range, and its bytes.

    `announce` gets the paths of each range before one of them takes its name.
    """
    if not wanted:
        return
    there = [one for content in wanted if (one := find_stored_member(content, folder))]
    note(there, 0)
    paths = {one.path for one in there}
    missing = [one for one in wanted if one.path not in paths]
    disk.require_space(folder.path, sum(one.size for one in missing))
    for home in {(folder.path / one.path).parent for one in missing}:
        require_inside_folder(home, folder)
    fetch_ranges(archive_zip, missing, folder, progress, note, announce)


def fetch_ranges(
    archive_zip: RemoteZip,
    missing: Sequence[Content],
    folder: DatasetFolder,
    progress: Progress,
    note: Callable[[list[Content], int], None],
    announce: Callable[[Sequence[str]], None],
) -> None:
    """Members that are not here, by few ranges, several at once."""
    ranges = list(archive_zip.group_ranges(missing))
    task = f"{archive_zip.file.name}: {len(missing):,} of {count_nouns(len(archive_zip.entries), 'file')}"
    progress.begin(task, sum(one.length for one in ranges))

    def fetch_range(found: MemberRange) -> None:
        announce([one.path for one in found.members])
        note(store_range_with_retry(archive_zip, found, folder), found.length)
        progress.advance(task, found.length)

    with BoundedExecutor[None](STREAMS) as workers:
        for one in ranges:
            if not workers.submit(memory_needed(one), partial(fetch_range, one)):
                break
        workers.results()
    progress.end(task)


def memory_needed(found: MemberRange) -> int:
    """Bytes in memory while a range is at work: its own, and its largest member's."""
    held = min(found.length, archive.PIECE_BYTES)
    return held + max(min(one.size, LARGEST_IN_MEMORY) for one in found.members)


def store_range_with_retry(
    archive_zip: RemoteZip, found: MemberRange, folder: DatasetFolder
) -> list[Content]:
    """The members of one range; what fails its check is asked for once more, then refused."""
    try:
        return store_range(archive_zip, found, folder)
    except (ArchiveRefused, SourceChanged):
        return store_range(archive_zip, found, folder)


def store_range(archive_zip: RemoteZip, found: MemberRange, folder: DatasetFolder) -> list[Content]:
    read = archive_zip.read
    if found.length <= archive.PIECE_BYTES:
        read = buffer_reader(archive_zip.read(found.start, found.length), found.start)
    if len(found.members) > 1 and all(one.size <= LARGEST_IN_MEMORY for one in found.members):
        return store_small_members(archive_zip, read, found.members, folder)
    return [store_member(archive_zip, read, one, folder) for one in found.members]


def buffer_reader(data: bytes, start: int) -> archive.RangeReader:
    """A reader of what one range brought."""
    return lambda first, length: data[first - start : first - start + length]


def store_small_members(
    archive_zip: RemoteZip, read: archive.RangeReader, members: Sequence[Content], folder: DatasetFolder
) -> list[Content]:
    """Many small members: all on disk before the first has its name, and one wait for the disk."""
    temporary = folder.path / temporary_name("ranges")
    staging_folder = StagingFolder(temporary, archive_zip.file.name)
    with disk.storage_errors(temporary):
        try:
            found = [
                stage_member(staging_folder, one, inflate_member(archive_zip, read, one)) for one in members
            ]
            staging_folder.sync(1)
            for one in found:
                target = folder.path / one.path
                target.parent.mkdir(parents=True, exist_ok=True)
                disk.replace_file(temporary / one.path, target)
            for home in sorted({(folder.path / one.path).parent for one in found}):
                disk.sync_folder(home)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return found


def stage_member(staging_folder: StagingFolder, content: Content, data: bytes) -> Content:
    staging_folder.reserve(content.path)
    staging_folder.write(content.path, [data])
    return complete_content(content, data)


def store_member(
    archive_zip: RemoteZip, read: archive.RangeReader, content: Content, folder: DatasetFolder
) -> Content:
    """One member as its own file; a large one goes to disk as it comes."""
    target = folder.path / content.path
    if content.size > LARGEST_IN_MEMORY:
        written = disk.write_chunks(target, read_content(archive_zip, read, content))
        return replace(content, sha256=written.sha256, image=ingest.inspect_file(content.official, target))
    data = inflate_member(archive_zip, read, content)
    disk.write_chunks(target, [data])
    return complete_content(content, data)


def inflate_member(archive_zip: RemoteZip, read: archive.RangeReader, content: Content) -> bytes:
    """A member's bytes, of the size and CRC-32 that the directory states."""
    return b"".join(read_content(archive_zip, read, content))


def read_content(archive_zip: RemoteZip, read: archive.RangeReader, content: Content) -> Iterator[bytes]:
    """A member's bytes in chunks, by the name that its directory was listed with."""
    file = archive_zip.file
    return archive.read_member(read, content_to_entry(content), what=file.name, encoding=file.name_encoding)


def complete_content(content: Content, data: bytes) -> Content:
    """The member with what only its bytes tell: SHA-256 and image header."""
    return replace(
        content, sha256=sha256_of_chunks([data]), image=ingest.inspect_file(content.official, data)
    )


def find_stored_member(content: Content, folder: DatasetFolder) -> Content | None:
    """The file as a killed run left it, if it is the member by size and CRC-32."""
    path = folder.path / content.path
    if path.is_symlink() or not path.is_file() or content.size > LARGEST_IN_MEMORY or not content.member:
        return None
    if path.stat().st_size != content.size:
        return None
    data = path.read_bytes()
    if zlib.crc32(data) != content.member.crc32:
        return None
    return complete_content(content, data)


def require_inside_folder(home: Path, folder: DatasetFolder) -> None:
    """Refuse a folder that a link leads out of the dataset's own."""
    if not home.resolve().is_relative_to(folder.path.resolve()):
        raise StorageError(f"{home} leads out of the cache", hint="remove it and try again")


def complete_archive(
    file: File,
    place: Request | Path,
    here: Sequence[Content],
    folder: DatasetFolder,
    opening: ZipOpenContext,
    progress: Progress,
    announce: Callable[[Sequence[str]], None],
) -> tuple[VerifiedFile, list[Content]] | None:
    """All the archive's files, the missing ones fetched by ranges; None when the archive must come whole.

    A directory that cannot be read is no error here: the whole archive's own checks say what is wrong. SourceChanged
    when it is not that of which members are here.
    """
    if not here or file.unpack != "zip":
        return None
    try:
        source = open_remote_zip(file, place, opening)
        require_members_unchanged(source, here, opening.dataset)
    except SourceChanged:
        raise
    except (NetworkError, IntegrityError, PersonMustAct):
        return None
    if source.holds_archives:
        return None
    kept = keep_valid_members(here, source, folder)
    missing = [one for one in source.expected_contents if one.path not in kept]
    if count_stored_bytes(missing) > LARGEST_MISSING_SHARE * source.size:
        return None
    moved = [source.cost]

    def note(found: list[Content], count: int) -> None:
        kept.update((one.path, one) for one in found)
        moved.append(count)

    fetch_members(source, missing, folder, progress, note, announce)
    found = list(kept.values())
    taken = VerifiedFile(
        path=folder.path / ingest.archive_folder(file),
        size=source.size,
        sha256=ingest.members_digest(found),
        url=source.url,
        recognized="ranges",
        moved=sum(moved),
    )
    return taken, found


def keep_valid_members(
    here: Sequence[Content], source: RemoteZip, folder: DatasetFolder
) -> dict[str, Content]:
    """What is here and what the archive's directory still says, by path."""
    expected = {one.path: one for one in source.expected_contents}
    return {
        one.path: one
        for one in here
        if is_same_member(one, expected.get(one.path)) and has_full_size(one, folder)
    }


def has_full_size(content: Content, folder: DatasetFolder) -> bool:
    """Whether the file is there at its full size, as `fetch` checks all others."""
    path = folder.path / content.path
    return path.is_file() and path.lstat().st_size == content.size
