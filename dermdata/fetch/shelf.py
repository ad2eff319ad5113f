"""An archive where it lies, at its host or on disk: its directory, and its members without the rest of it."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from dermdata import archive
from dermdata.archive.directory import TAIL
from dermdata.archive.entries import DEFAULT, Gate
from dermdata.errors import (
    DermdataError,
    IntegrityError,
    NetworkError,
    Offline,
    PersonMustAct,
    ServerRefused,
    SizeMismatch,
)
from dermdata.fetch import ingest
from dermdata.model import Content, File, ImageFacts, Member, Request
from dermdata.transfer import Transfer

GAP = 64 << 10  # bytes between two members that are cheaper to read than to ask again …
REACH = 1 << 20  # … and what one range may span: so much is lost at most when a run is killed
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


def opened(file: File, place: Request | Path, transfer: Transfer) -> Shelf:
    """Read an archive's directory from the first of its addresses that gives ranges.

    ServerRefused with status 200 where none does; NetworkError, IntegrityError or PersonMustAct otherwise.
    """
    if isinstance(place, Path):
        return listed(file, from_disk(place), place.stat().st_size, place.absolute().as_uri())
    failures: list[DermdataError] = []
    for url in place.urls:
        try:
            return at(file, replace(place, urls=(url,)), transfer)
        except Offline:
            raise
        except (NetworkError, IntegrityError, PersonMustAct) as error:
            failures.append(error)
    raise next(filter(whole_only, failures), failures[-1])


def whole_only(error: DermdataError) -> bool:
    """Whether it says that a host gives the file, but no ranges of it."""
    return isinstance(error, ServerRefused) and error.status == 200


def at(file: File, request: Request, transfer: Transfer) -> Shelf:
    """The directory at one address; all that is read later comes from there too."""
    (url,) = request.urls
    size = transfer.resolve_head(request).size
    if size is None:
        raise ServerRefused(f"{file.name}: its host does not say how large it is", status=200)
    if size != (file.size or size):
        transfer.read_range(replace(request, size=None), 0, 1)  # a page in place of the file says so itself
        raise SizeMismatch(
            f"{file.name}: its host has {size:,} bytes, the catalog expects {file.size:,}",
            hint="the source may have changed; nothing was taken from it",
        )
    sized = replace(request, size=size)
    read = lambda start, length: transfer.read_range(sized, start, min(length, size - start))  # noqa: E731
    return listed(file, read, size, url.partition("?")[0])


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


def from_disk(path: Path) -> Callable[[int, int], bytes]:
    def read(start: int, length: int) -> bytes:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            return os.pread(handle, length, start)
        finally:
            os.close(handle)

    return read


def stored(contents: Sequence[Content]) -> int:
    """Bytes in their archive."""
    return sum(one.member.stored for one in contents if one.member)
