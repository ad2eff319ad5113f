"""What recognition finds, as values: what was given for what, what is missing, what was left alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dermdata.cache import Recognized
from dermdata.fetching.adopt.given import Found
from dermdata.fetching.ingest import is_image
from dermdata.fetching.plan import Plan
from dermdata.model import Content, Dataset, File, ImageFacts, Member, Role

Planner = Callable[[Dataset], Plan]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A file that stands for one member of an official archive."""

    found: Found
    official: str  # the path that the entry's table reads it by
    role: Role

    def content(self, file: str) -> Content:
        """How recognition sees it before it is read: by its name, role and size only."""
        return content_of(self.found, file, self.official, self.role)


@dataclass(frozen=True, kw_only=True)
class Adopted:
    """One catalog file as it was given: whole, or piece by piece."""

    file: File
    how: Recognized
    whole: Found | None = None
    pieces: tuple[Piece, ...] = ()

    @property
    def size(self) -> int:
        return self.whole.size if self.whole else sum(one.found.size for one in self.pieces)

    @property
    def sources(self) -> tuple[Found, ...]:
        return (self.whole,) if self.whole else tuple(one.found for one in self.pieces)


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """A name that several files with different bytes have: none of them was taken."""

    name: str
    found: tuple[Found, ...]


@dataclass(frozen=True, kw_only=True)
class Recognition:
    """What became of one dataset's search; the plan holds only what was found."""

    plan: Plan
    adopted: tuple[Adopted, ...]
    missing: tuple[File, ...] = ()  # catalog files
    missing_images: tuple[str, ...] = ()  # names that the table gives
    unnamed: int = 0  # further images that the publisher counts, where no table names them
    missing_masks: int = 0
    conflicts: tuple[Conflict, ...] = ()
    mismatched: Mapping[str, tuple[Found, ...]] = field(default_factory=dict)  # catalog file -> other bytes
    used: frozenset[Found] = frozenset()  # all that is this dataset's, also what was refused

    @property
    def complete(self) -> bool:
        return not (self.missing or self.missing_images or self.unnamed)


def content_of(found: Found, file: str, official: str, role: Role) -> Content:
    """A given file under an official path, as the manifest's rooms know files; not read yet, so no SHA-256."""
    member = Member(path=official, offset=0, stored=found.size, method=0, crc32=0)
    return Content(
        path=f"{file}/{official}",
        role=role,
        file=file,
        size=found.size,
        sha256=found.shown,
        member=member,
        image=ImageFacts() if is_image(official) else None,
    )
