"""The receipt and the list of contents as values, and as the rows and JSON they are stored in; no I/O."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from dermdata.model import ArchiveMember, Content, CopyBytes, ImageFacts

IMAGE_FACTS = tuple(one.name for one in fields(ImageFacts))
CONTENTS_COLUMNS = (
    "path", "role", "file", "size", "sha256", "member", "offset", "stored", "method", "crc32", *IMAGE_FACTS,
)  # fmt: skip
REPORT_KINDS: Mapping[str, Any] = {
    **dict.fromkeys(
        ("rows_in", "rows", "rows_without_image", "undecodable", "lost", "unverified"), int | None
    ),
    **dict.fromkeys(("unmapped_labels", "unmapped_values", "unpartnered", "unusable"), Mapping[str, int]),
    **dict.fromkeys(("rejected", "differences"), list),
    **dict.fromkeys(
        ("images_without_row", "masks_without_row", "images_not_found", "closed_archives"), Mapping[str, Any]
    ),
}
ONE_COLOR = "-"  # in place of a perceptual hash
# content, part: not verified; part: not complete; ranges: downloaded member by member, each by its CRC-32;
# rows: so too, but only the members that the dataset's rows name; own: the person's own data, which nobody publishes;
# own part: some of them, others that the table names are nowhere
RecognizedBy = Literal["checksum", "name", "content", "part", "ranges", "rows", "own", "own part"]
PIECES = ("content", "part", "ranges", "rows", "own", "own part")
IN_PART = ("part", "own part")
UNPUBLISHED = ("ranges", "own", "own part")


@dataclass(frozen=True, kw_only=True)
class FetchedFile:
    """One catalog file as it was fetched."""

    name: str
    role: str
    size: int  # bytes
    sha256: str
    checksum: str | None  # the published checksum that it matched; None: none is published
    url: str  # where it came from, without query
    fetched_at: str  # ISO 8601, UTC
    path: str | None  # in the cache folder; None: an archive that was unpacked and deleted
    # how the person's own copy was recognized; None: downloaded whole
    recognized: RecognizedBy | None = None
    mirrored: bool = False  # from a mirror, not from where its publisher gives it
    stated: str | None = None  # the checksum that its host stated and that it has, where the catalog has none
    copy: str | None = None  # the copy that it is a file of; None: the publisher's own
    copy_bytes: CopyBytes | None = None  # what was known then of the copy's bytes

    @property
    def is_reconstructed(self) -> bool:
        """Whether it stands for members that came without their archive: its own bytes were never here."""
        return self.path is None and self.recognized in PIECES

    @property
    def verified(self) -> bool | None:
        """Whether a published checksum vouches for its bytes; None where it came whole and none is published."""
        if self.is_reconstructed and (self.checksum or self.recognized not in UNPUBLISHED):
            return False  # pieces, whatever checksum is published for the archive that was not there
        if self.copy_bytes not in (None, "same"):
            return (
                False  # a checksum tells that it is the copy's file, not that its images are the publisher's
            )
        return True if self.checksum or self.stated else None


@dataclass(frozen=True, kw_only=True)
class DirectoryFingerprint:
    """A zip's central directory as a partial fetch read it; with another one it is another archive.

    Each member is checked by the size and CRC-32 that stand in it. So the same directory means the same members as
    far as these tell, also where the validators have changed: a host may give them anew for the same bytes.
    """

    digest: str  # SHA-256 over the archive's size and every entry
    size: int  # bytes of the archive
    url: str  # where it was read, without query
    etag: str | None = None
    modified: str | None = None
    verified: bool = False  # the whole archive had its published checksum when members were taken out of it
    official: bool = True  # read where the publisher gives it, or proven to be the same


@dataclass(frozen=True, kw_only=True)
class SubsetSpec:
    """One partial fetch, as it was asked for."""

    where: str | None
    limit: int | None
    roles: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class FetchedSubset:
    """The rows that partial fetches took; the manifest holds them and no others."""

    asked: tuple[SubsetSpec, ...]
    rows: tuple[str, ...]  # image_id, in the manifest's order
    of: int  # rows of the whole dataset


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What a dataset's folder holds and how it came there."""

    dataset: str
    version: str | None
    tool: str
    catalog_digest: str
    roles: tuple[str, ...]  # what was asked for
    files: tuple[FetchedFile, ...]
    manifest_sha256: str | None = None
    contents_sha256: str | None = None
    # file with an address of its own -> why it is not here
    lost: Mapping[str, str] = field(default_factory=dict)
    # such a file of a host that refused all of its files for the time: the next fetch asks again
    refused: Mapping[str, str] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)  # counts, unmapped words, rows without image
    part: FetchedSubset | None = None  # None: all rows
    # archive of which some members are here
    directories: Mapping[str, DirectoryFingerprint] = field(default_factory=dict)
    copy: str | None = None  # the copy that stands in for what the publisher's host refused
    left_out: tuple[str, ...] = ()  # official files that the copy has nothing for

    @property
    def coverage(self) -> dict[str, bool | None]:
        """Of each catalog file whether a published checksum covers what is here of it; None: none is published."""
        return {name: one.verified for name, one in self.directories.items()} | {
            one.name: one.verified for one in self.files
        }

    @property
    def complete(self) -> bool:
        """Whether all rows and images were asked for, no copy or host kept some back, and the manifest was written."""
        wanted = self.part is None and "images" in self.roles and not self.refused
        whole = all(file.recognized not in IN_PART for file in self.files)
        return wanted and whole and self.manifest_sha256 is not None

    def file(self, name: str) -> FetchedFile | None:
        """The fetched file of this name, if it was fetched."""
        return next((file for file in self.files if file.name == name), None)


class ContentsDialect(csv.excel_tab):
    """Tabs and LF; a cell with a tab, a quote or LF is quoted (no name holds a CR: the archive room refuses it)."""

    lineterminator = "\n"


def receipt_from_json(data: dict[str, Any]) -> Receipt:
    """The receipt of its JSON; TypeError or KeyError when a part is absent, unknown or of another kind."""
    files = tuple(FetchedFile(**file) for file in data.pop("files"))
    part = subset_from_json(data.pop("part", None))
    found = data.pop("directories", {})
    if not isinstance(found, dict):
        raise TypeError("directories is of another kind")
    directories = {name: DirectoryFingerprint(**one) for name, one in found.items()}
    names = {"roles": tuple(data["roles"]), "left_out": tuple(data.get("left_out", ()))}
    more = {"files": files, "part": part, "directories": directories, **names}
    receipt = Receipt(**data | more)
    require_field_types(receipt)
    for name, kind in REPORT_KINDS.items():
        if name in receipt.report and not is_of_type(receipt.report[name], kind):
            raise TypeError(f"{name} of the report is of another kind")
    return receipt


def receipt_to_json(receipt: Receipt) -> dict[str, Any]:
    """What `receipt_from_json` reads; `asdict` would copy each value of 100,000 files."""
    return {
        **vars(receipt),
        "files": [vars(file) for file in receipt.files],
        "part": receipt.part and asdict(receipt.part),
        "directories": {name: vars(one) for name, one in receipt.directories.items()},
    }


def subset_from_json(data: dict[str, Any] | None) -> FetchedSubset | None:
    if data is None:
        return None
    asked = tuple(SubsetSpec(**one | {"roles": tuple(one["roles"])}) for one in data["asked"])
    return FetchedSubset(asked=asked, rows=tuple(data["rows"]), of=data["of"])


def require_field_types(value: Any) -> None:
    """Raise TypeError where a field of a dataclass, or of one inside it, is not of the type that it declares."""
    cls: type = type(value)
    for name, kind in field_types(cls):
        if not is_of_type(getattr(value, name), kind):
            raise TypeError(f"{type(value).__name__}.{name} is of another kind")


@cache
def field_types(cls: type) -> tuple[tuple[str, Any], ...]:
    """The name and the declared type of each field: a receipt has 100,000 values of a few classes."""
    return tuple(get_type_hints(cls).items())


@cache
def type_parts(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    return get_origin(kind), get_args(kind)


def is_of_type(value: Any, kind: Any) -> bool:
    """Whether a value read from JSON is of this type; a bool is no whole number."""
    origin, arguments = type_parts(kind)
    if origin in (Union, UnionType):
        return any(is_of_type(value, one) for one in arguments)
    if origin is Literal:
        return isinstance(value, str) and value in arguments
    if origin in (tuple, Mapping):
        return is_container_of(value, origin, arguments)
    if kind is not Any and type(value) is not kind:
        return False
    if is_dataclass(value):
        require_field_types(value)
    return True


def is_container_of(value: Any, origin: Any, arguments: tuple[Any, ...]) -> bool:
    """Whether a value is a `tuple[kind, ...]` or a mapping whose keys and values are of the types that it declares."""
    if origin is tuple:
        return isinstance(value, tuple) and all(is_of_type(one, arguments[0]) for one in value)
    keys, values = arguments
    return isinstance(value, dict) and all(
        is_of_type(key, keys) and is_of_type(one, values) for key, one in value.items()
    )


def content_to_row(content: Content) -> list[Any]:
    member, image = content.member, content.image or ImageFacts()
    place = [member.path, member.offset, member.stored, member.method, member.crc32] if member else [""] * 5
    phash = ONE_COLOR if image.phash == b"" else image.phash and image.phash.hex()
    words = (image.format, image.mode, image.width, image.height, image.problem, phash)
    facts = ["" if value is None else value for value in words]
    return [content.path, content.role, content.file, content.size, content.sha256, *place, *facts]


def contents_from_rows(rows: Iterator[list[str]]) -> Iterator[Content]:
    """The contents of a list whose first row names the columns; one of before perceptual hashes lacks theirs."""
    names = next(rows)
    if names == list(CONTENTS_COLUMNS):
        yield from map(content_from_row, rows)
        return
    for row in rows:
        cells = dict(zip(names, row, strict=True))
        yield content_from_row([cells.get(name, "") for name in CONTENTS_COLUMNS])


def content_from_row(row: list[str]) -> Content:
    """The content of its row, column by column: a dict of each of 100,000 rows would take as long again."""
    path, role, file, size, sha256, member, offset, stored, method, crc32, *image = row
    place = None
    if offset:
        place = ArchiveMember(
            path=member, offset=int(offset), stored=int(stored), method=int(method), crc32=int(crc32)
        )
    return Content(
        path=path,
        role=role,  # type: ignore[arg-type]  # written by us from a Content, under the receipt's hash
        file=file,
        size=int(size),
        sha256=sha256,
        member=place,
        image=image_from_cells(*image) if any(image) else None,
    )


def image_from_cells(form: str, mode: str, width: str, height: str, problem: str, phash: str) -> ImageFacts:
    """What a row says of an image; what is empty is not known."""
    return ImageFacts(
        format=form or None,
        mode=mode or None,
        width=int(width) if width else None,
        height=int(height) if height else None,
        problem=problem or None,
        phash=(b"" if phash == ONE_COLOR else bytes.fromhex(phash)) if phash else None,
    )
