"""A zip where it lies, at its host or on disk: its central directory, and its members without the rest of it.

A mirror's zip must have the same directory as its publisher's.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from dermdata import archive
from dermdata.archive.policy import PathAssigner
from dermdata.archive.zip_file import TAIL_BYTES
from dermdata.cache.receipt import DirectoryFingerprint
from dermdata.checksum import hash_file
from dermdata.errors import (
    ChecksumMismatch,
    DermdataError,
    IntegrityError,
    NetworkError,
    NotTheFile,
    Offline,
    PersonMustAct,
    ServerRefused,
    SizeMismatch,
    SourceChanged,
)
from dermdata.fetching import ingest
from dermdata.fetching.ingest import find_mirror_checksum
from dermdata.http import HttpClient
from dermdata.http.client import RemoteFile
from dermdata.http.urls import redact, strip_secrets
from dermdata.markup import count_nouns
from dermdata.model import Content, File, ImageFacts, Request

LARGEST_GAP = 64 << 10  # bytes between two members that are cheaper to read than to ask again …
LARGEST_RANGE = 1 << 20  # … and what one range may span: so much is lost at most when a run is killed
UNTRUSTED_RANGES = 206  # the status of ranges that a mirror gives and that nothing vouches for
NOT_INSPECTED = ImageFacts()


@dataclass(frozen=True)
class MemberRange:
    """Neighboring members that one range brings."""

    start: int
    length: int
    members: tuple[Content, ...]


@dataclass(frozen=True)
class RemoteZip:
    """One zip by its central directory."""

    file: File
    read: archive.RangeReader
    size: int  # bytes of the archive
    url: str
    entries: tuple[archive.ArchiveEntry, ...]
    cost: int  # bytes that were read to know this
    etag: str | None = None
    modified: str | None = None
    verified: bool = False  # the whole archive has its published checksum
    official: bool = True  # the publisher's own, or proven to have the same directory
    notes: tuple[str, ...] = ()  # what a person should know of it, and of where it was found

    @cached_property
    def directory(self) -> DirectoryFingerprint:
        """The directory as it goes on record."""
        running = hashlib.sha256(f"{self.size}\n".encode())
        for one in self.entries:
            line = [one.name, one.size, one.stored, one.method, one.crc32, one.offset]
            running.update(json.dumps(line).encode())
        return DirectoryFingerprint(
            digest=running.hexdigest(),
            size=self.size,
            url=self.url,
            etag=self.etag,
            modified=self.modified,
            verified=self.verified,
            official=self.official,
        )

    @cached_property
    def expected_contents(self) -> tuple[Content, ...]:
        """Every file that unpacking would bring; in place of its SHA-256 stands what the directory says of it."""
        home = ingest.archive_folder(self.file)
        places = PathAssigner(lambda name: ingest.member_path(name, self.file))
        paths = places.assign_all(one.name for one in self.entries)
        return tuple(self._expected_content(one, f"{home}/{paths[one.name]}") for one in self.entries)

    def _expected_content(self, entry: archive.ArchiveEntry, path: str) -> Content:
        return Content(
            path=path,
            role=ingest.member_role(entry.name, self.file),
            file=self.file.name,
            size=entry.size,
            sha256=f"crc32:{entry.crc32:08x}:{entry.size}",
            member=entry.to_member(),
            image=NOT_INSPECTED if ingest.may_be_image(entry.name) else None,
        )

    @property
    def holds_archives(self) -> bool:
        """Whether archives lie in it, which only a fetch of the whole opens."""
        return any(archive.archive_kind(one.name) for one in self.entries)

    @cached_property
    def _next_offsets(self) -> dict[int, int]:
        """Where the member that begins here ends at the latest: where the next one begins."""
        starts = sorted(one.offset for one in self.entries)
        return dict(zip(starts, [*starts[1:], self.size], strict=True))

    def byte_span(self, content: Content) -> tuple[int, int]:
        """First byte of a member's header, and the one after its last byte."""
        start, length = archive.member_span(content_to_entry(content))
        return start, min(start + length, self._next_offsets[start])

    def group_ranges(self, wanted: Iterable[Content]) -> Iterator[MemberRange]:
        """The wanted members by as few ranges as cost no more than twice their own bytes."""
        held: list[Content] = []
        start = end = 0
        for one in sorted(wanted, key=member_offset):
            first, last = self.byte_span(one)
            if held and first - end <= min(LARGEST_GAP, last - first) and last - start <= LARGEST_RANGE:
                held.append(one)
                end = last
                continue
            if held:
                yield MemberRange(start, end - start, tuple(held))
            held, start, end = [one], first, last
        if held:
            yield MemberRange(start, end - start, tuple(held))


def content_to_entry(content: Content) -> archive.ArchiveEntry:
    """What the directory says of a member, from what the list of contents keeps of it."""
    assert content.member is not None  # noqa: S101  # the contents of a zip are all members
    return archive.ArchiveEntry.from_member(content.member, content.size)


def member_offset(content: Content) -> int:
    return content_to_entry(content).offset


# ------------------------------------------------------------------ opening


@dataclass(frozen=True)
class ZipOpenContext:
    """What opening an archive needs besides its place: whom to ask, and what is known of it."""

    dataset: str
    transfer: HttpClient
    known: DirectoryFingerprint | None = None  # by which members were taken before
    # where its publisher gives it, when a mirror must be compared
    official: Callable[[], Request | Path] | None = None


def open_remote_zip(file: File, place: Request | Path, opening: ZipOpenContext) -> RemoteZip:
    """Read an archive's directory where it lies, or from the first of its addresses that gives ranges.

    A mirror's zip must have the directory of its publisher's. ServerRefused with status 200 where there are no ranges
    to be had, or none to be trusted; SourceChanged where its members are not those that were taken before;
    NetworkError, IntegrityError or PersonMustAct otherwise.
    """
    if isinstance(place, Path):
        return require_unchanged(open_zip_on_disk(file, place), opening)
    if place.mirrors:
        return open_mirror_zip(file, place, opening)
    return require_unchanged(open_first_with_ranges(file, place, opening.transfer), opening)


def require_unchanged(remote_zip: RemoteZip, opening: ZipOpenContext) -> RemoteZip:
    """The archive, if its directory is the one by which members were taken before; else SourceChanged."""
    if opening.known is None or opening.known.digest == remote_zip.directory.digest:
        return remote_zip
    before, now = opening.known.size, remote_zip.size
    differs = (
        f"{count_nouns(before, 'byte')} then, {now:,} now" if before != now else "its members are other ones"
    )
    raise source_changed_error(remote_zip, differs, opening.dataset)


def source_changed_error(remote_zip: RemoteZip, differs: str, dataset: str) -> SourceChanged:
    """The error where two parts would be of two archives."""
    return SourceChanged(
        f"{remote_zip.file.name} at {remote_zip.url} is not the archive that parts were taken of before: {differs}",
        hint=f"nothing was mixed; `dermdata fetch {dataset} --force` takes the whole new one, "
        f"`dermdata cache remove {dataset}` forgets the old one",
    )


def require_members_unchanged(remote_zip: RemoteZip, here: Sequence[Content], dataset: str) -> None:
    """SourceChanged unless every member that is here stands in the directory as it was taken."""
    expected = {one.path: one for one in remote_zip.expected_contents} if here else {}
    for one in here:
        if not is_same_member(one, expected.get(one.path)):
            raise source_changed_error(remote_zip, f"{one.official} is not as it was", dataset)


def is_same_member(content: Content, expected: Content | None) -> bool:
    """Whether a member is as the directory has it now."""
    return expected is not None and (content.member, content.size) == (expected.member, expected.size)


def open_first_with_ranges(file: File, request: Request, transfer: HttpClient) -> RemoteZip:
    """The directory from the first of these addresses that gives ranges."""
    failures: list[DermdataError] = []
    for url in request.urls:
        try:
            return open_zip_at_url(file, replace(request, urls=(url,)), transfer)
        except Offline:
            raise
        except (NetworkError, IntegrityError, PersonMustAct) as error:
            failures.append(error)
    raise next(filter(is_whole_only, failures), failures[-1])


# ------------------------------------------------------------------ mirrors


def open_mirror_zip(file: File, place: Request, opening: ZipOpenContext) -> RemoteZip:
    """The first mirror whose zip has the publisher's directory; else the publisher's own zip.

    CRC-32 and sizes are no proof against somebody who means harm: what comes so is not verified, and says so. They
    keep out another version, a zip made anew, and a mirror that is simply wrong.
    """
    own = open_publisher_zip(file, place, opening)
    if isinstance(own, DermdataError) and not (opening.known and opening.known.official):
        raise not_comparable_error(file, place, own)
    known = opening.known if isinstance(own, DermdataError) else own.directory
    failures: list[DermdataError] = []
    for url in place.urls[: place.mirrors]:
        try:
            found = open_zip_at_url(file, replace(place, urls=(url,)), opening.transfer)
            require_same_directory(found, known, url)
            return replace(found, official=True)
        except Offline:
            raise
        except (NetworkError, IntegrityError, PersonMustAct) as error:
            failures.append(error)
    if isinstance(own, DermdataError):
        raise failures[-1]
    taken = (f"{error.message}; the publisher's is taken" for error in failures)
    return replace(own, notes=(*own.notes, *taken))


def require_same_directory(mirrored: RemoteZip, known: DirectoryFingerprint | None, url: str) -> None:
    if known is None or mirrored.directory.digest != known.digest:
        raise ChecksumMismatch(
            f"{mirrored.file.name} at the mirror {redact(url)} has another directory than its publisher's",
            hint="nothing was taken from it; the mirror holds another version",
        )


def open_publisher_zip(file: File, place: Request, opening: ZipOpenContext) -> RemoteZip | DermdataError:
    """The archive at its publisher, or why it cannot be read there."""
    own = replace(place, urls=place.urls[place.mirrors :], mirrors=0)
    try:
        asked = opening.official() if opening.official else own  # with its own credentials, if it wants any
        if isinstance(asked, Path):
            return require_unchanged(open_zip_on_disk(file, asked), opening)
        return require_unchanged(open_first_with_ranges(file, asked, opening.transfer), opening)
    except (Offline, SourceChanged):
        raise
    except (NetworkError, IntegrityError, PersonMustAct) as error:
        return error


def not_comparable_error(file: File, place: Request, why: DermdataError) -> DermdataError:
    """Why no part comes from a mirror that cannot be compared with the publisher's archive."""
    reason = f"the mirror's archive cannot be compared with its publisher's ({why.message})"
    if file.checksum or place.checksum:
        # the whole one has its checksum
        return ServerRefused(f"{file.name}: {reason}", status=UNTRUSTED_RANGES)
    return NotTheFile(
        f"{file.name}: {reason}, and no checksum is published",
        hint="try again when its publisher can be reached; without --where and --limit the mirror's file is believed",
    )


def is_whole_only(error: DermdataError) -> bool:
    """Whether it says that the file is to be had, but no ranges of it, or none that are to be trusted."""
    return type(error) is ServerRefused and error.status in (200, UNTRUSTED_RANGES)


# ------------------------------------------------------------------ reading


def open_zip_at_url(file: File, request: Request, transfer: HttpClient) -> RemoteZip:
    """The directory at one address; all that is read later comes from there too, and of the same version."""
    (url,) = request.urls
    read, size, head = open_ranges_at_url(file, request, transfer)
    return replace(
        read_zip_directory(file, read, size, strip_secrets(url)), etag=head.etag, modified=head.modified
    )


def open_ranges_at_url(
    file: File, request: Request, transfer: HttpClient
) -> tuple[archive.RangeReader, int, RemoteFile]:
    """A reader of a file's bytes where it lies, its size, and its validators.

    ServerRefused with status 200 where its host does not say how large it is.
    """
    head = transfer.resolve_head(request)
    size = head.size
    if size is None:
        raise ServerRefused(f"{file.name}: its host does not say how large it is", status=200)
    if size != (file.size or size):
        transfer.read_range(replace(request, size=None), 0, 1)  # a page in place of the file says so itself
        raise SizeMismatch(
            f"{file.name}: its host has {count_nouns(size, 'byte')}, the catalog expects {file.size:,}",
            hint="the source may have changed; nothing was taken from it",
        )
    sized = replace(request, size=size)

    def read(start: int, length: int) -> bytes:
        length = min(length, size - start)
        if 1 < length == size:  # all of it: some servers take that for no range
            return read(0, 1) + read(1, length - 1)
        return transfer.read_range(sized, start, length, head)

    return read, size, head


def read_zip_directory(file: File, read: archive.RangeReader, size: int, url: str) -> RemoteZip:
    costs: list[int] = []

    def count_cost(start: int, length: int) -> bytes:
        costs.append(length)
        return read(start, length)

    tail = cache_tail(count_cost, size)
    listing = archive.list_zip(tail, size, what=file.name, encoding=file.name_encoding)
    return RemoteZip(file, read, size, url, listing.entries, sum(costs), notes=listing.notes)


def cache_tail(read: archive.RangeReader, size: int) -> archive.RangeReader:
    """A reader that asks for the archive's last bytes once: its directory often lies in them, or ends there.

    Never all bytes by one range, which some servers answer as if no range had been asked for.
    """
    start = max(1, size - TAIL_BYTES)
    tail: list[bytes] = []

    def ask(first: int, length: int) -> bytes:
        if first + length <= start:
            return read(first, length)
        if not tail:
            tail.append(read(start, size - start))
        front = read(first, start - first) if first < start else b""
        return front + tail[0][max(0, first - start) : first - start + length]

    return ask


def open_zip_on_disk(file: File, path: Path) -> RemoteZip:
    """An archive on this machine, as a whole compared with its checksum first: that costs no network."""
    read, size = open_disk_reader(path)
    if size != (file.size or size):
        raise SizeMismatch(f"{path}: {count_nouns(size, 'byte')}, expected {file.size:,}")
    if expected := file.checksum or find_mirror_checksum(path, file.name):
        hash_file(path, expected).require(expected, str(path))
    verified = file.checksum is not None
    remote_zip = read_zip_directory(file, read, size, path.absolute().as_uri())
    return replace(remote_zip, verified=verified, official=verified or ingest.is_part_of_entry(file))


def open_disk_reader(path: Path) -> tuple[Callable[[int, int], bytes], int]:
    """A reader of the file as it is now, and its size; SourceChanged when another one lies there later."""
    with archive.open_ranges(path) as (_, first):
        pass

    def read(start: int, length: int) -> bytes:
        with archive.open_ranges(path) as (read_range, now):
            if file_identity(now) != file_identity(first):
                raise SourceChanged(
                    f"{path} has changed while it was read", hint="run the same command again"
                )
            return read_range(start, length)

    return read, first.st_size


def file_identity(status: os.stat_result) -> tuple[int, int, int]:
    """What tells one version of a local file from another."""
    return status.st_ino, status.st_size, status.st_mtime_ns


def count_stored_bytes(contents: Sequence[Content]) -> int:
    """Bytes in their archive."""
    return sum(one.member.stored for one in contents if one.member)
