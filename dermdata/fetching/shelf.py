"""An archive where it lies, at its host or on disk: its directory, and its members without the rest of it."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from dermdata import archive
from dermdata.archive.directory import TAIL
from dermdata.archive.entries import DEFAULT, Gate
from dermdata.cache.records import Directory
from dermdata.checksum import of_file
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
from dermdata.fetching import ingest, sums
from dermdata.http import HttpClient
from dermdata.http.urls import redact
from dermdata.model import Content, File, ImageFacts, Member, Request

GAP = 64 << 10  # bytes between two members that are cheaper to read than to ask again …
REACH = 1 << 20  # … and what one range may span: so much is lost at most when a run is killed
NOT_TRUSTED = 206  # the status of ranges that a mirror gives and that nothing vouches for
NOT_SEEN = ImageFacts()


@dataclass(frozen=True)
class Reach:
    """Neighbouring members that one range brings."""

    start: int
    length: int
    members: tuple[Content, ...]


@dataclass(frozen=True)
class Shelf:
    """One zip by its central directory."""

    file: File
    read: archive.RangeReader
    size: int  # bytes of the archive
    url: str
    entries: tuple[archive.Entry, ...]
    cost: int  # bytes that were read to know this
    etag: str | None = None
    modified: str | None = None
    verified: bool = False  # the whole archive has its published checksum
    official: bool = True  # the publisher's own, or proven to have the same directory
    notes: tuple[str, ...] = ()  # what a person should know of where it was found

    @cached_property
    def directory(self) -> Directory:
        """The directory as it goes on record."""
        running = hashlib.sha256(f"{self.size}\n".encode())
        for one in self.entries:
            line = [one.name, one.size, one.stored, one.method, one.crc32, one.offset]
            running.update(json.dumps(line).encode())
        return Directory(
            digest=running.hexdigest(),
            size=self.size,
            url=self.url,
            etag=self.etag,
            modified=self.modified,
            verified=self.verified,
            official=self.official,
        )

    @cached_property
    def foreseen(self) -> tuple[Content, ...]:
        """Every file that unpacking would bring; in place of its SHA-256 stands what the directory says of it."""
        home, gate = ingest.home_of(self.file), Gate(self.file.name, DEFAULT)
        return tuple(self._foreseen(one, home, gate) for one in self.entries)

    def _foreseen(self, entry: archive.Entry, home: str, gate: Gate) -> Content:
        path = ingest.place_of(entry.name, self.file)
        gate.add_file(path)
        return Content(
            path=f"{home}/{path}",
            role=ingest.role_of(entry.name, self.file),
            file=self.file.name,
            size=entry.size,
            sha256=f"crc32:{entry.crc32:08x}:{entry.size}",
            member=Member(
                path=entry.name,
                offset=entry.offset,
                stored=entry.stored,
                method=entry.method,
                crc32=entry.crc32,
            ),
            image=NOT_SEEN if ingest.is_image(entry.name) else None,
        )

    @cached_property
    def _next(self) -> dict[int, int]:
        """Where the member that begins here ends at the latest: where the next one begins."""
        starts = sorted(one.offset for one in self.entries)
        return dict(zip(starts, [*starts[1:], self.size], strict=True))

    def span(self, content: Content) -> tuple[int, int]:
        """First byte of a member's header, and the one after its last byte."""
        start, length = archive.member_span(entry_of(content))
        return start, min(start + length, self._next[start])

    def reaches(self, wanted: Iterable[Content]) -> Iterator[Reach]:
        """The wanted members by as few ranges as cost no more than twice their own bytes."""
        held: list[Content] = []
        start = end = 0
        for one in sorted(wanted, key=offset_of):
            first, last = self.span(one)
            if held and first - end <= min(GAP, last - first) and last - start <= REACH:
                held.append(one)
                end = last
                continue
            if held:
                yield Reach(start, end - start, tuple(held))
            held, start, end = [one], first, last
        if held:
            yield Reach(start, end - start, tuple(held))


def entry_of(content: Content) -> archive.Entry:
    """The directory's word on a member, from what the list of contents keeps of it."""
    member = content.member
    assert member is not None  # noqa: S101  # a shelf's contents are all members
    return archive.Entry(
        name=member.path,
        size=content.size,
        stored=member.stored,
        method=member.method,
        crc32=member.crc32,
        offset=member.offset,
    )


def offset_of(content: Content) -> int:
    return entry_of(content).offset


# ------------------------------------------------------------------ opening


@dataclass(frozen=True)
class Opening:
    """What opening an archive needs besides its place: whom to ask, and what is known of it."""

    dataset: str
    transfer: HttpClient
    known: Directory | None = None  # by which members were taken before
    official: Callable[[], Request | Path] | None = (
        None  # where its publisher gives it, when a mirror must be compared
    )


def opened(file: File, place: Request | Path, opening: Opening) -> Shelf:
    """Read an archive's directory where it lies, or from the first of its addresses that gives ranges.

    A mirror's zip must have the directory of its publisher's. ServerRefused with status 200 where there are no ranges
    to be had, or none to be trusted; SourceChanged where its members are not those that were taken before;
    NetworkError, IntegrityError or PersonMustAct otherwise.
    """
    if isinstance(place, Path):
        return unchanged(on_disk(file, place), opening)
    if place.mirrors:
        return from_mirror(file, place, opening)
    return unchanged(first_of(file, place, opening.transfer), opening)


def unchanged(shelf: Shelf, opening: Opening) -> Shelf:
    """The archive, if its directory is the one by which members were taken before; else SourceChanged."""
    if opening.known is None or opening.known.digest == shelf.directory.digest:
        return shelf
    before, now = opening.known.size, shelf.size
    differs = f"{before:,} bytes then, {now:,} now" if before != now else "its members are other ones"
    raise changed(shelf, differs, opening.dataset)


def changed(shelf: Shelf, differs: str, dataset: str) -> SourceChanged:
    """What a person is told when two parts would be of two archives."""
    return SourceChanged(
        f"{shelf.file.name} at {shelf.url} is not the archive that parts were taken of before: {differs}",
        hint=f"nothing was mixed; `dermdata fetch {dataset} --force` takes the whole new one, "
        f"`dermdata cache remove {dataset}` forgets the old one",
    )


def require_holds(shelf: Shelf, here: Sequence[Content], dataset: str) -> None:
    """SourceChanged unless every member that is here stands in the directory as it was taken."""
    foreseen = {one.path: one for one in shelf.foreseen} if here else {}
    for one in here:
        told = foreseen.get(one.path)
        if told is None or (told.member, told.size) != (one.member, one.size):
            raise changed(shelf, f"{one.official} is not as it was", dataset)


def first_of(file: File, request: Request, transfer: HttpClient) -> Shelf:
    """The directory from the first of these addresses that gives ranges."""
    failures: list[DermdataError] = []
    for url in request.urls:
        try:
            return at(file, replace(request, urls=(url,)), transfer)
        except Offline:
            raise
        except (NetworkError, IntegrityError, PersonMustAct) as error:
            failures.append(error)
    raise next(filter(whole_only, failures), failures[-1])


# ------------------------------------------------------------------ mirrors


def from_mirror(file: File, place: Request, opening: Opening) -> Shelf:
    """The first mirror whose zip has the publisher's directory; else the publisher's own zip.

    CRC-32 and sizes are no proof against somebody who means harm: what comes so is not verified, and says so. They
    keep out another version, a zip made anew, and a mirror that is simply wrong.
    """
    own = publisher_of(file, place, opening)
    if isinstance(own, DermdataError) and not (opening.known and opening.known.official):
        raise not_compared(file, place, own)
    known = opening.known if isinstance(own, DermdataError) else own.directory
    failures: list[DermdataError] = []
    for url in place.urls[: place.mirrors]:
        try:
            found = at(file, replace(place, urls=(url,)), opening.transfer)
            require_same(found, known, url)
            return replace(found, official=True)
        except Offline:
            raise
        except (NetworkError, IntegrityError, PersonMustAct) as error:
            failures.append(error)
    if isinstance(own, DermdataError):
        raise failures[-1]
    return replace(own, notes=tuple(f"{error.message}; the publisher's is taken" for error in failures))


def require_same(mirrored: Shelf, known: Directory | None, url: str) -> None:
    if known is None or mirrored.directory.digest != known.digest:
        raise ChecksumMismatch(
            f"{mirrored.file.name} at the mirror {redact(url)} has another directory than its publisher's",
            hint="nothing was taken from it; the mirror holds another version",
        )


def publisher_of(file: File, place: Request, opening: Opening) -> Shelf | DermdataError:
    """The archive at its publisher, or why it cannot be looked at there."""
    own = replace(place, urls=place.urls[place.mirrors :], mirrors=0)
    try:
        asked = opening.official() if opening.official else own  # with its own credentials, if it wants any
        if isinstance(asked, Path):
            return unchanged(on_disk(file, asked), opening)
        return unchanged(first_of(file, asked, opening.transfer), opening)
    except (Offline, SourceChanged):
        raise
    except (NetworkError, IntegrityError, PersonMustAct) as error:
        return error


def not_compared(file: File, place: Request, why: DermdataError) -> DermdataError:
    """Why no part comes from a mirror that cannot be compared with the publisher's archive."""
    said = f"the mirror's archive cannot be compared with its publisher's ({why.message})"
    if file.checksum or place.checksum:
        return ServerRefused(f"{file.name}: {said}", status=NOT_TRUSTED)  # the whole one has its checksum
    return NotTheFile(
        f"{file.name}: {said}, and no checksum is published",
        hint="try again when its publisher can be reached; without --where and --limit the mirror's file is believed",
    )


def whole_only(error: DermdataError) -> bool:
    """Whether it says that the file is to be had, but no ranges of it, or none that are to be trusted."""
    return isinstance(error, ServerRefused) and error.status in (200, NOT_TRUSTED)


# ------------------------------------------------------------------ reading


def at(file: File, request: Request, transfer: HttpClient) -> Shelf:
    """The directory at one address; all that is read later comes from there too, and of the same version."""
    (url,) = request.urls
    head = transfer.resolve_head(request)
    size = head.size
    if size is None:
        raise ServerRefused(f"{file.name}: its host does not say how large it is", status=200)
    if size != (file.size or size):
        transfer.read_range(replace(request, size=None), 0, 1)  # a page in place of the file says so itself
        raise SizeMismatch(
            f"{file.name}: its host has {size:,} bytes, the catalog expects {file.size:,}",
            hint="the source may have changed; nothing was taken from it",
        )
    sized = replace(request, size=size)

    def read(start: int, length: int) -> bytes:
        return transfer.read_range(sized, start, min(length, size - start), head)

    return replace(listed(file, read, size, redact(url)), etag=head.etag, modified=head.modified)


def listed(file: File, read: archive.RangeReader, size: int, url: str) -> Shelf:
    costs: list[int] = []

    def counted(start: int, length: int) -> bytes:
        costs.append(length)
        return read(start, length)

    entries = archive.list_zip(tail_kept(counted, size), size, what=file.name)
    return Shelf(file, read, size, url, entries, sum(costs))


def tail_kept(read: archive.RangeReader, size: int) -> archive.RangeReader:
    """A reader that asks for the archive's last bytes once: its directory often lies in them, or ends there.

    Never all bytes by one range, which some servers answer as if no range had been asked for.
    """
    start = max(1, size - TAIL)
    tail: list[bytes] = []

    def ask(first: int, length: int) -> bytes:
        if first + length <= start:
            return read(first, length)
        if not tail:
            tail.append(read(start, size - start))
        front = read(first, start - first) if first < start else b""
        return front + tail[0][max(0, first - start) : first - start + length]

    return ask


def on_disk(file: File, path: Path) -> Shelf:
    """An archive on this machine, as a whole compared with its checksum first: that costs no network."""
    read, size = from_disk(path)
    if size != (file.size or size):
        raise SizeMismatch(f"{path}: {size:,} bytes, expected {file.size:,}")
    if expected := file.checksum or sums.noted(path, file.name):
        of_file(path, expected).require(expected, str(path))
    verified = file.checksum is not None
    shelf = listed(file, read, size, path.absolute().as_uri())
    return replace(shelf, verified=verified, official=verified or ingest.lies_with_entry(file))


def from_disk(path: Path) -> tuple[Callable[[int, int], bytes], int]:
    """A reader of the file as it is now, and its size; SourceChanged when another one lies there later."""

    def looked_at(handle: int) -> tuple[int, int, int]:
        status = os.fstat(handle)
        return status.st_ino, status.st_size, status.st_mtime_ns

    @contextmanager
    def opened_file() -> Iterator[int]:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0))
        try:
            yield handle
        finally:
            os.close(handle)

    with opened_file() as handle:
        first = looked_at(handle)

    def read(start: int, length: int) -> bytes:
        with opened_file() as handle:
            if looked_at(handle) != first:
                raise SourceChanged(
                    f"{path} has changed while it was read", hint="run the same command again"
                )
            return os.pread(handle, length, start)

    return read, first[1]


def stored(contents: Sequence[Content]) -> int:
    """Bytes in their archive."""
    return sum(one.member.stored for one in contents if one.member)
