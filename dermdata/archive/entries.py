"""What an archive may hold: entries, limits, and the names that clash."""

import stat
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from dermdata.archive.names import clash_key, fault, shown
from dermdata.errors import ArchiveRefused

MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40
KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}


class RangeReader(Protocol):
    """Any source of byte ranges, a file or a server; short only where the archive ends."""

    def __call__(self, start: int, length: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One regular file in an archive."""

    name: str  # the archive's own, NFC
    size: int  # bytes, inflated
    stored: int  # bytes in the archive
    method: int  # 0 stored, 8 deflated, …
    crc32: int
    offset: int  # of its local header, bytes from the start of the archive


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much an archive may ask for; going over one refuses it by that limit's name."""

    members: int = 2_000_000
    member_bytes: int = 4 * GIB
    total_bytes: int = 2 * TIB
    ratio: int = 1000  # inflated to stored, of members over `ratio_floor`
    ratio_floor: int = 4 * MIB
    total_ratio: int = 250  # inflated to stored, of all members together over `total_floor`
    total_floor: int = 256 * MIB
    name_bytes: int = 1024
    directory_bytes: int = 512 * MIB


DEFAULT = Limits()


class Gate:
    """Counts one archive's members against the limits and refuses names that are unsafe or clash."""

    def __init__(self, what: str, limits: Limits) -> None:
        self._what = what
        self._limits = limits
        self._members = self._total = 0
        self._files: dict[str, str] = {}
        self._folders: set[str] = set()

    def count(self, name: str, size: int, stored: int | None) -> None:
        """One more member, junk and folders too; `stored` is None where tar cannot say."""
        limits, self._members, self._total = self._limits, self._members + 1, self._total + size
        self.check("members", self._members)
        self.check("name_bytes", len(name.encode("utf-8", "surrogatepass")), name)
        self.check("member_bytes", size, name)
        self.check("total_bytes", self._total)
        if stored is not None and size > limits.ratio_floor:
            self.check("ratio", size // max(stored, 1), name)
        if reason := fault(name):
            raise self.refusal(name, reason)

    def check_total_ratio(self, total: int, stored: int) -> None:
        """ArchiveRefused when so many bytes, of all members together, come of so few."""
        if total > self._limits.total_floor:
            self.check("total_ratio", total // max(stored, 1))

    def check(self, limit: str, value: int, name: str | None = None) -> None:
        """ArchiveRefused when the value is over the limit of that name."""
        allowed = getattr(self._limits, limit)
        if value > allowed:
            where = self._what if name is None else f"{self._what}: member {shown(name)}"
            raise ArchiveRefused(f"{where} goes over the limit {limit}: {value:,} > {allowed:,}")

    def add_file(self, name: str) -> None:
        """Note a file that will be created; refused when anything else has its name, in any case."""
        key = clash_key(name)
        if key in self._files:
            twin = self._files[key]
            reason = "is there twice" if twin == name else f"has the same name as {shown(twin)} but for case"
            raise self.refusal(name, reason)
        if key in self._folders:
            raise self.refusal(name, "is a file and a folder at once")
        self._files[key] = name
        self._add_parents(key)

    def add_folder(self, name: str) -> None:
        """Note a folder, which may come as often as it likes but never where a file is."""
        self._add_parents(f"{clash_key(name)}/")

    def _add_parents(self, key: str) -> None:
        parent = key.rpartition("/")[0]
        while parent and parent not in self._folders:
            if parent in self._files:
                raise self.refusal(self._files[parent], "is a file and a folder at once")
            self._folders.add(parent)
            parent = parent.rpartition("/")[0]

    def refusal(self, name: str, reason: str) -> ArchiveRefused:
        """Make the error about one member, for the caller to raise."""
        return refusal(self._what, name, reason)


def refusal(what: str, name: str, reason: str) -> ArchiveRefused:
    """ArchiveRefused that names the archive and the member."""
    hint = "it may be damaged at its source, or altered"
    return ArchiveRefused(f"{what}: member {shown(name)} {reason}", hint=hint)


def refuse_overlap(extents: Iterable[tuple[int, int, str]], end: int, what: str) -> None:
    """Refuse members (start, least end, name) that share bytes, or that do not lie between 0 and `end`."""
    reached, last = 0, ""
    for number, (start, stop, name) in enumerate(sorted(extents)):
        if number == 0 and start:
            raise ArchiveRefused(f"{what}: {start:,} bytes of something else before the first member")
        if start < reached:
            raise refusal(what, name, f"overlaps member {shown(last)}")
        reached, last = stop, name
    if reached > end:
        raise refusal(what, last, "runs into the central directory")
