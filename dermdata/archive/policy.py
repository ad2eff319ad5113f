"""What an archive may hold: the names of its members, its limits, and what is refused."""

import hashlib
import re
import stat
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, Self

from dermdata.errors import ArchiveRefused
from dermdata.markup import count_nouns
from dermdata.model import ArchiveMember, Unpack

ARCHIVE_ENDINGS: dict[str, Unpack] = {
    ".zip": "zip", ".tar": "tar", ".tar.gz": "tar.gz", ".tgz": "tar.gz", ".tar.zst": "tar.zst",
}  # fmt: skip
COMPONENT_BYTES = 200
LITERAL_SIGNS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._- ")
CONTROL_SIGN = re.compile(r"[\x00-\x1f\x7f-\x9f]")
DRIVE = re.compile(r"[A-Za-z]:")
RESERVED_NAME = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])\s*(\.|$)", re.IGNORECASE
)
SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}$")
JUNK_NAMES = frozenset({".ds_store", "thumbs.db"})
MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40
DAMAGED_HINT = "it may be damaged at its source, or altered"
SPECIAL_FILES = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}


def normalize_member_name(text: str) -> str:
    """Name a member as we speak of it: NFC, without the leading `./` and closing `/` that tar writes.

    A backslash is a slash: Windows PowerShell and older .NET write such zips, and no name is safer for having one.
    """
    name = unicodedata.normalize("NFC", text).replace("\\", "/")
    while name.startswith("./"):
        name = name[2:]
    return name.removesuffix("/")


def find_name_fault(name: str) -> str | None:
    """Why a member may not be called so; None when it may."""
    if CONTROL_SIGN.search(name):
        return "has a NUL in its name" if "\0" in name else "has a control character in its name"
    if name.startswith("/"):
        return "has an absolute path"
    if DRIVE.match(name):
        return "has a drive letter in its name"
    parts = name.split("/")
    if ".." in parts:
        return "has '..' in its path"
    return "has an empty or '.' part in its path" if "" in parts or "." in parts else None


def archive_ending(name: str) -> str:
    """The end of an archive's name that says which kind it is; empty for all else."""
    lower = name.lower()
    return next((name[-len(ending) :] for ending in ARCHIVE_ENDINGS if lower.endswith(ending)), "")


def archive_kind(name: str) -> Unpack | None:
    """What kind of archive a name claims to be; None for all else."""
    return ARCHIVE_ENDINGS.get(archive_ending(name).lower())


def quote_name(name: str, limit: int = 120) -> str:
    """Make a name fit for a message: quoted, control characters escaped, not longer than a line."""
    return ascii(name) if len(name) <= limit else f"{name[:limit]!a}…"


def is_junk(name: str) -> bool:
    """Whether an operating system left this behind: resource forks, folder settings, thumbnails."""
    base = name.rsplit("/", 1)[-1]
    return name.split("/", 1)[0] == "__MACOSX" or base.startswith("._") or base.casefold() in JUNK_NAMES


def clash_key(name: str) -> str:
    """Equal for names that a case-insensitive or normalizing file system takes for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def safe_name(text: str) -> str:
    """Make a relative path that every common file system takes, another for every name (in NFC).

    Letters and digits of any script, `.`, `_`, `-` and inner spaces stay; the rest is percent-encoded as
    in URLs. A component over 200 bytes is cut and ends in `~`, 20 digits of its SHA-256 and its suffix;
    `~` is never literal, so no other name can look like that.
    """
    return "/".join(_encode_component(part) for part in unicodedata.normalize("NFC", text).split("/"))


def _encode_component(text: str) -> str:
    if not text:
        return "%"
    signs = [sign if sign in LITERAL_SIGNS or sign.isalnum() else _percent_encode(sign) for sign in text]
    if text[0] in ".- " or RESERVED_NAME.match(text):
        signs[0] = _percent_encode(text[0])
    if text[-1] in ". ":
        signs[-1] = _percent_encode(text[-1])
    return _shorten_component("".join(signs))


def _percent_encode(sign: str) -> str:
    return "".join(f"%{byte:02X}" for byte in sign.encode("utf-8", "surrogatepass"))


def _shorten_component(name: str) -> str:
    encoded = name.encode()
    return name if len(encoded) <= COMPONENT_BYTES else _mark_component(name, name)


def _mark_component(component: str, whole: str) -> str:
    """A component, cut where it must be, that ends in a digest of `whole` and its own suffix."""
    suffix = SUFFIX.search(component)
    digest = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:20]
    ending = f"~{digest}{suffix.group() if suffix else ''}"
    return component.encode()[: COMPONENT_BYTES - len(ending)].decode("utf-8", "ignore") + ending


class PathAssigner:
    """Gives members their relative paths, no two that a disk which is blind to case takes for one.

    Where members differ only in case (a folder in two spellings), the first has the plain path, and the others have a
    digest of their names in it.
    """

    def __init__(self, place: Callable[[str], str]) -> None:
        self._place = place
        self._taken: set[str] = set()

    def assign(self, name: str) -> str:
        """The path of one more member."""
        path = self._place(name)
        if clash_key(path) in self._taken:
            folder, slash, leaf = path.rpartition("/")
            path = f"{folder}{slash}{_mark_component(leaf, name)}"
        self._taken.add(clash_key(path))
        return path

    def assign_all(self, names: Iterable[str]) -> dict[str, str]:
        """The path of each of these, whatever order the archive has them in."""
        return {name: self.assign(name) for name in sorted(names)}


class RangeReader(Protocol):
    """Any source of byte ranges, a file or a server; short only where the archive ends."""

    def __call__(self, start: int, length: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class ArchiveEntry:
    """One regular file in an archive."""

    name: str  # the archive's own, NFC
    size: int  # bytes, inflated
    stored: int  # bytes in the archive
    method: int  # 0 stored, 8 deflated, …
    crc32: int
    offset: int  # of its local header, bytes from the start of the archive

    @classmethod
    def from_member(cls, member: ArchiveMember, size: int) -> Self:
        """The entry of a member as a list of contents keeps it, with the bytes that it inflates to."""
        return cls(
            name=member.path,
            size=size,
            stored=member.stored,
            method=member.method,
            crc32=member.crc32,
            offset=member.offset,
        )

    def to_member(self) -> ArchiveMember:
        """Its place in the archive, for a list of contents."""
        return ArchiveMember(
            path=self.name, offset=self.offset, stored=self.stored, method=self.method, crc32=self.crc32
        )


@dataclass(frozen=True, kw_only=True)
class ArchiveLimits:
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


DEFAULT_LIMITS = ArchiveLimits()


class MemberChecker:
    """Counts one archive's members against the limits and refuses names that are unsafe or clash."""

    def __init__(self, what: str, limits: ArchiveLimits) -> None:
        self._what = what
        self._limits = limits
        self._members = self._total = 0
        self._files: dict[str, str] = {}
        self._folders: set[str] = set()
        self._names: set[str] = set()

    def check_member(self, name: str, size: int, stored: int | None) -> None:
        """One more member, junk and folders too; `stored` is None where tar cannot say."""
        limits, self._members, self._total = self._limits, self._members + 1, self._total + size
        self.check_limit("members", self._members)
        self.check_limit("name_bytes", len(name.encode("utf-8", "surrogatepass")), name)
        self.check_limit("member_bytes", size, name)
        self.check_limit("total_bytes", self._total)
        if stored is not None and size > limits.ratio_floor:
            self.check_limit("ratio", size // max(stored, 1), name)
        if reason := find_name_fault(name):
            raise self.refusal(name, reason)

    def check_total_ratio(self, total: int, stored: int) -> None:
        """ArchiveRefused when so many bytes, of all members together, come of so few."""
        if total > self._limits.total_floor:
            self.check_limit("total_ratio", total // max(stored, 1))

    def check_limit(self, limit: str, value: int, name: str | None = None) -> None:
        """ArchiveRefused when the value is over the limit of that name."""
        allowed = getattr(self._limits, limit)
        if value > allowed:
            where = self._what if name is None else f"{self._what}: member {quote_name(name)}"
            raise ArchiveRefused(f"{where} goes over the limit {limit}: {value:,} > {allowed:,}")

    def add_member(self, name: str) -> None:
        """Note a file of an archive; refused when it is there twice, or a folder has its name, in any case."""
        if name in self._names:
            raise self.refusal(name, "is there twice")
        self._names.add(name)
        key = clash_key(name)
        if key in self._folders:
            raise self.refusal(name, "is a file and a folder at once")
        self._files[key] = name
        self._add_parents(key)

    def add_file(self, name: str) -> None:
        """Note a file that will be created; refused also when another one has its name but for case."""
        twin = self._files.get(clash_key(name), name)
        if twin != name:
            raise self.refusal(name, f"has the same name as {quote_name(twin)} but for case")
        self.add_member(name)

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
        return member_refusal(self._what, name, reason)


def member_refusal(what: str, name: str, reason: str, hint: str = DAMAGED_HINT) -> ArchiveRefused:
    """ArchiveRefused that names the archive and the member."""
    return ArchiveRefused(f"{what}: member {quote_name(name)} {reason}", hint=hint)


def refuse_overlap(extents: Iterable[tuple[int, int, str]], end: int, what: str) -> None:
    """Refuse members (start, least end, name) that share bytes, or that do not lie between 0 and `end`."""
    reached, last = 0, ""
    for number, (start, stop, name) in enumerate(sorted(extents)):
        if number == 0 and start:
            raise ArchiveRefused(
                f"{what}: {count_nouns(start, 'byte')} of something else before the first member"
            )
        if start < reached:
            raise member_refusal(what, name, f"overlaps member {quote_name(last)}")
        reached, last = stop, name
    if reached > end:
        raise member_refusal(what, last, "runs into the central directory")
