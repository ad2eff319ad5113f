"""Brings members from a shelf into the cache: few ranges, several at once, each member checked before it has a name."""

import os
import shutil
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from dermdata import archive, disk
from dermdata.archive.crew import Crew
from dermdata.archive.landing import Landing
from dermdata.cache import Folder
from dermdata.checksum import of_chunks
from dermdata.errors import ArchiveRefused, SourceChanged, StorageError
from dermdata.fetching import ingest
from dermdata.fetching.shelf import Reach, Shelf, entry_of
from dermdata.model import Content
from dermdata.process import here
from dermdata.progress import Progress

STREAMS = 16  # ranges at once; how many a host may be asked is transfer's matter
SMALL = 64 << 20  # bytes; a larger member is never in memory as a whole, nor looked at


def bring(
    shelf: Shelf,
    wanted: Sequence[Content],
    folder: Folder,
    progress: Progress,
    note: Callable[[list[Content], int], None],
    announce: Callable[[Sequence[str]], None],
) -> None:
    """The wanted members under their final names; `note` gets those of each range, and its bytes.

    `announce` gets the paths of each range before one of them takes its name.
    """
    if not wanted:
        return
    there = [one for one in (already(content, folder) for content in wanted) if one]
    note(there, 0)
    left = {one.path for one in wanted} - {one.path for one in there}
    reaches = list(shelf.reaches(one for one in wanted if one.path in left))
    task = f"{shelf.file.name}: {len(left):,} of {len(shelf.entries):,} files"
    disk.require_space(folder.path, sum(one.size for one in wanted if one.path in left))
    for home in {(folder.path / path).parent for path in left}:
        require_inside(home, folder)
    progress.begin(task, sum(one.length for one in reaches))

    def take(reach: Reach) -> None:
        announce([one.path for one in reach.members])
        note(landed(shelf, reach, folder), reach.length)
        progress.advance(task, reach.length)

    with Crew[None](STREAMS) as crew:
        for reach in reaches:
            if not crew.give(weight(reach), partial(take, reach)):
                break
        crew.results()
    progress.end(task)


def weight(reach: Reach) -> int:
    """Bytes in memory while a range is at work: its own, and its largest member's."""
    held = min(reach.length, archive.PIECE)
    return held + max(min(one.size, SMALL) for one in reach.members)


def landed(shelf: Shelf, reach: Reach, folder: Folder) -> list[Content]:
    """The members of one range; what fails its check is asked for once more, then refused."""
    try:
        return land(shelf, reach, folder)
    except (ArchiveRefused, SourceChanged):
        return land(shelf, reach, folder)


def land(shelf: Shelf, reach: Reach, folder: Folder) -> list[Content]:
    read = shelf.read
    if reach.length <= archive.PIECE:
        read = within(shelf.read(reach.start, reach.length), reach.start)
    if len(reach.members) > 1 and all(one.size <= SMALL for one in reach.members):
        return together(shelf, read, reach.members, folder)
    return [alone(shelf, read, one, folder) for one in reach.members]


def within(data: bytes, start: int) -> archive.RangeReader:
    """A reader of what one range brought."""
    return lambda first, length: data[first - start : first - start + length]


def together(
    shelf: Shelf, read: archive.RangeReader, members: Sequence[Content], folder: Folder
) -> list[Content]:
    """Many small members: all on disk before the first has its name, and one wait for the disk."""
    temporary = folder.path / f".ranges.{here()}.{os.urandom(4).hex()}.tmp"
    landing = Landing(temporary, shelf.file.name)
    with disk.storage_errors(temporary):
        try:
            found = [landed_in(landing, one, inflated(shelf, read, one)) for one in members]
            landing.settle(1)
            for one in found:
                target = folder.path / one.path
                target.parent.mkdir(parents=True, exist_ok=True)
                (temporary / one.path).replace(target)
            for home in sorted({(folder.path / one.path).parent for one in found}):
                disk.sync_folder(home)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return found


def landed_in(landing: Landing, content: Content, data: bytes) -> Content:
    landing.reserve(content.path)
    landing.write(content.path, [data])
    return seen(content, data)


def alone(shelf: Shelf, read: archive.RangeReader, content: Content, folder: Folder) -> Content:
    """One member as its own file; a large one goes to disk as it comes and is not looked at."""
    target = folder.path / content.path
    if content.size > SMALL:
        written = disk.write(target, archive.read_member(read, entry_of(content), what=shelf.file.name))
        return replace(content, sha256=written.sha256, image=None)
    data = inflated(shelf, read, content)
    disk.write(target, [data])
    return seen(content, data)


def inflated(shelf: Shelf, read: archive.RangeReader, content: Content) -> bytes:
    """A member's bytes, of the size and CRC-32 that the directory states."""
    return b"".join(archive.read_member(read, entry_of(content), what=shelf.file.name))


def seen(content: Content, data: bytes) -> Content:
    """The member with what only its bytes tell: SHA-256 and image header."""
    return replace(content, sha256=of_chunks([data]), image=ingest.seen(data) if content.image else None)


def already(content: Content, folder: Folder) -> Content | None:
    """The file as a killed run left it, if it is the member by size and CRC-32."""
    path = folder.path / content.path
    if path.is_symlink() or not path.is_file() or content.size > SMALL or not content.member:
        return None
    if path.stat().st_size != content.size:
        return None
    data = path.read_bytes()
    if zlib.crc32(data) != content.member.crc32:
        return None
    return seen(content, data)


def require_inside(home: Path, folder: Folder) -> None:
    """Refuse a folder that a link leads out of the dataset's own."""
    if not home.resolve().is_relative_to(folder.path.resolve()):
        raise StorageError(f"{home} leads out of the cache", hint="remove it and try again")
