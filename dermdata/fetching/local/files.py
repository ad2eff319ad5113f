"""The user's own files: every regular file below the given paths, what lies in their archives, and what they are for.

Archives are opened step by step, since most of it may never be needed: the files by their names and sizes, then the
members of zips by their directories, then archives in archives, which must be laid out on disk for that.
"""

import os
import stat
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dermdata import archive, checksum, disk
from dermdata.archive import ArchiveEntry
from dermdata.archive.policy import is_junk
from dermdata.cache import RecognizedBy
from dermdata.errors import DermdataError, IntegrityError, PersonMustAct, UsageError
from dermdata.fetching.ingest import archive_stem, is_image_name
from dermdata.fetching.plan import FetchPlan
from dermdata.http.error_pages import TEXT_ENDINGS
from dermdata.images import SIGNATURE_BYTES, is_image_start
from dermdata.model import ArchiveMember, Content, Dataset, File, ImageFacts, Role, Unpack
from dermdata.text_files import find_stand_in

ZIP_MAGIC = b"PK\3\4"
# archives that are not opened, by the ends of their names; the longer end first
CLOSED_ARCHIVES = {
    ".rar": "a RAR archive", ".7z": "a 7-Zip archive", ".tar.bz2": "a bzip2 tar", ".tbz2": "a bzip2 tar",
    ".tar.xz": "an xz tar", ".txz": "an xz tar", ".gz": "a gzip file", ".bz2": "a bzip2 file", ".xz": "an xz file",
    ".lzh": "an LZH archive", ".cab": "a cabinet", ".dmg": "a disk image", ".iso": "a disk image",
    ".001": "one part of an archive", ".z01": "one part of an archive", ".r00": "one part of an archive",
}  # fmt: skip
MakePlan = Callable[[Dataset], FetchPlan]


@dataclass(frozen=True)
class LocalFile:
    """One file that was given: on disk, or a member of a zip."""

    name: str  # its path below what was given, NFC, with "/"; an archive's name without ending is a folder in it
    shown: str  # where it is, for the person
    origin: Path  # the file on the person's disk that holds it
    path: Path  # the file to read: `origin`, or our copy of what lies deeper
    size: int  # bytes
    entry: ArchiveEntry | None = None  # its place in the zip `path`
    within: "LocalFile | None" = None  # the archive that holds it
    encoding: str | None = None  # the code page by which the names in its zip were read

    @property
    def holders(self) -> Iterator["LocalFile"]:
        """The archives that it lies in, from the inside out."""
        holder = self.within
        while holder:
            yield holder
            holder = holder.within

    @property
    def leaf(self) -> str:
        return self.name.rpartition("/")[2]

    @property
    def member(self) -> str:
        """Its path in the archive that holds it, as the archive names it."""
        if self.entry:
            return self.entry.name
        return self.name.removeprefix(f"{archive_stem(self.within.name)}/") if self.within else self.name


@dataclass(frozen=True)
class LocalProblem:
    """Something given that could not be read, in words."""

    shown: str
    reason: str
    error: DermdataError | None = None


class LocalFiles:
    """The files found so far, how they are read, and what could not be."""

    def __init__(
        self, paths: Iterable[Path], away: Path, workplace: Path, name_encoding: str | None = None
    ) -> None:
        """Look through `paths`, leaving out the cache folder `away`; `workplace` is for our own copies.

        `name_encoding` is the code page of names in zips that do not say that they are UTF-8. UsageError for a path
        that does not exist, or that lies in the cache.
        """
        self.problems: list[LocalProblem] = []
        self.notes: dict[
            LocalFile, tuple[str, ...]
        ] = {}  # archives that were perhaps not read as they are meant
        self._name_encoding = name_encoding
        self.members_by_archive: dict[LocalFile, list[LocalFile]] = {}
        self._workplace = workplace
        self._digests: dict[tuple[LocalFile, str], str | None] = {}
        self._copies: dict[LocalFile, Path] = {}
        away = away.resolve()
        self.paths = tuple(dict.fromkeys(resolve_given_path(path, away) for path in paths))
        found = [one for path in self.paths for one in self.walk_files(path, away)]
        self.loose = list({one.path: one for one in found}.values())

    def all_files(self) -> list[LocalFile]:
        """The loose files and the members of what has been opened."""
        return [*self.loose, *(one for members in self.members_by_archive.values() for one in members)]

    # -------------------------------------------------------------- finding

    def walk_files(self, path: Path, away: Path | None = None) -> Iterator[LocalFile]:
        """A file, or every regular file below a folder; links are not followed, junk is passed over."""
        if not path.is_dir():
            yield from self._check_file(path, path.name)
            return
        for parent, folders, names in os.walk(path, onerror=self._note_error):
            here = Path(parent)
            self._note_links(here / name for name in folders)
            folders[:] = sorted(name for name in folders if here / name != away)
            for name in sorted(names):
                relative = (here / name).relative_to(path.parent).as_posix()
                yield from self._check_file(here / name, relative)

    def _check_file(self, path: Path, relative: str) -> Iterator[LocalFile]:
        if is_junk(relative) or self._note_links([path]):
            return
        try:
            status = path.lstat()
        except OSError as error:
            return self._note_error(error)
        if not stat.S_ISREG(status.st_mode):
            self.problems.append(LocalProblem(printable_path(path), "no regular file"))
        elif not os.access(path, os.R_OK):
            self.problems.append(LocalProblem(printable_path(path), "permission denied"))
        else:
            found = LocalFile(
                normalize_name(printable_path(relative)), printable_path(path), path, path, status.st_size
            )
            yield from self._skip_empty_images([found])

    def _skip_empty_images(self, every: Iterable[LocalFile]) -> Iterator[LocalFile]:
        """Those that hold something: an image of no bytes is what a broken copy leaves."""
        for found in every:
            if found.size or not is_image_name(found.leaf):
                yield found
            else:
                self.problems.append(LocalProblem(found.shown, "the file is empty"))

    def _note_links(self, paths: Iterable[Path]) -> bool:
        links = [path for path in paths if path.is_symlink()]
        self.problems += [
            LocalProblem(printable_path(path), "a symbolic link, not followed") for path in links
        ]
        return bool(links)

    def _note_error(self, error: OSError) -> None:
        self.problems.append(
            LocalProblem(printable_path(error.filename or "?"), (error.strerror or str(error)).lower())
        )

    # -------------------------------------------------------------- opening

    def open_zips(self) -> None:
        """List the members of the zips among the files."""
        for found in self.loose:
            if is_zip(found):
                self.list_members(found)

    def open_deeper(self, known: Iterable[LocalFile]) -> None:
        """List what lies in tars and in archives in archives, but for those that are `known` as a whole."""
        apart = set(known)
        for found in (one for one in self.loose if tar_kind(one)):
            if found not in apart:
                self.list_members(found)
        for found in self.all_files():
            in_archive = found.within and not found.within.within and archive.archive_kind(found.name)
            if in_archive and apart.isdisjoint((found, found.within)):
                self.list_members(found)

    def list_whole(self, found: LocalFile) -> list[tuple[LocalFile, str]]:
        """What unpacking an archive brings, each with its path there; archives in it are opened, as a fetch does."""
        every = []
        for one in self.list_members(found):
            inner = self.list_members(one) if archive.archive_kind(one.name) else []
            stem = one.member.removesuffix(archive.archive_ending(one.member))
            every += [(deep, f"{stem}/{deep.member}") for deep in inner] or [(one, one.member)]
        return every

    def list_members(self, found: LocalFile) -> list[LocalFile]:
        """What lies in an archive; nothing, and a problem in words, when it is refused."""
        if found not in self.members_by_archive:
            self.members_by_archive[found] = []
            with self._note_refusals(found):
                self.members_by_archive[found] = (
                    self._unpack_tar(found) if tar_kind(found) else self._list_zip(found)
                )
        return self.members_by_archive[found]

    @contextmanager
    def _note_refusals(self, found: LocalFile) -> Iterator[None]:
        try:
            yield
        except (IntegrityError, PersonMustAct) as error:
            self.problems.append(LocalProblem(found.shown, error.message, error))
        except OSError as error:
            self.problems.append(LocalProblem(found.shown, (error.strerror or str(error)).lower()))

    def _list_zip(self, found: LocalFile) -> list[LocalFile]:
        path = self.path_on_disk(found)
        with archive.open_ranges(path) as (read, status):
            listing = archive.list_zip(read, status.st_size, what=found.leaf, encoding=self._name_encoding)
        self.notes[found] = listing.notes
        top, encoding = archive_stem(found.name), self._name_encoding
        members = (
            LocalFile(
                f"{top}/{one.name}", f"{found.shown}: {one.name}", found.origin, path, one.size, one, found, encoding
            )
            for one in listing.entries
        )  # fmt: skip
        return list(self._skip_empty_images(members))

    def _unpack_tar(self, found: LocalFile) -> list[LocalFile]:
        home = self._workplace / str(len(self.members_by_archive))
        kind = tar_kind(found)
        assert kind  # noqa: S101  # only archives come here
        done = archive.extract(self.path_on_disk(found), kind, home, place=archive.safe_name)
        top = archive_stem(found.name)
        members = (
            LocalFile(
                f"{top}/{one.name}", f"{found.shown}: {one.name}", found.origin, home / one.path, one.size,
                within=found,
            )
            for one in done.contents
        )  # fmt: skip
        return list(self._skip_empty_images(members))

    # -------------------------------------------------------------- reading

    def read_chunks(self, found: LocalFile) -> Iterator[bytes]:
        """A file's bytes; OSError, or ArchiveRefused for a damaged member."""
        if found.entry:
            with archive.open_ranges(found.path) as (read, _):
                yield from read_entry(read, found, found.entry)
            return
        yield from disk.read_chunks(found.path)

    def read(self, found: LocalFile) -> bytes:
        return b"".join(self.read_chunks(found))

    def path_on_disk(self, found: LocalFile) -> Path:
        """A file of its own with these bytes: the person's, or our copy of a member."""
        if found.entry is None:
            return found.path
        if found not in self._copies:
            copy = self._workplace / f"{len(self._copies)}.member"
            with disk.storage_errors(copy):
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(b"")
            for chunk in self.read_chunks(found):
                with disk.storage_errors(copy, found.size), copy.open("ab") as file:
                    file.write(chunk)
            self._copies[found] = copy
        return self._copies[found]

    def digest(self, found: LocalFile, algorithm: str) -> str | None:
        """The file's digest, read once; None, and a problem in words, when it cannot be read."""
        key = (found, algorithm)
        if key not in self._digests:
            running = checksum.new_hash(algorithm)
            self._digests[key] = None
            with self._note_refusals(found):
                for chunk in self.read_chunks(found):
                    running.update(chunk)
                self._digests[key] = running.hexdigest()
        return self._digests[key]

    def has_checksum(self, found: LocalFile, published: str) -> bool:
        """Whether a file has a published checksum."""
        algorithm, digest = checksum.parse_checksum(published)
        return self.digest(found, algorithm) == digest

    def distinct_files(self, found: Sequence[LocalFile]) -> list[LocalFile]:
        """One of each kind of bytes."""
        if len(found) < 2:
            return list(found)
        return list({self.digest(one, "sha256") or one.shown: one for one in reversed(found)}.values())[::-1]


def resolve_given_path(path: Path, away: Path) -> Path:
    """A path as given, made absolute; UsageError when it is not there or is our own."""
    try:
        real = path.resolve(strict=True)
    except OSError as error:
        raise UsageError(f"--from {path}: {(error.strerror or str(error)).lower()}") from error
    if real.is_relative_to(away):
        raise UsageError(f"--from {path} lies in the cache itself", hint="give the files you downloaded")
    return real


def printable_path(path: Path | str) -> str:
    """A path as text that can be printed, whatever its bytes are."""
    return os.fsencode(path).decode(errors="backslashreplace")


def normalize_name(name: str) -> str:
    """A name as it is compared: macOS stores letters and accents apart."""
    return unicodedata.normalize("NFC", name)


def is_zip(found: LocalFile) -> bool:
    """By its ending; a download without any ending, or a table that was sent zipped, by how it begins."""
    if found.name.lower().endswith(".zip"):
        return True
    if found.entry or not ("." not in found.leaf or found.leaf.lower().endswith(TEXT_ENDINGS)):
        return False
    try:
        with found.path.open("rb") as file:
            return file.read(4) == ZIP_MAGIC
    except OSError:
        return False  # whoever reads it whole says why it cannot be read


def is_image_file(found: LocalFile) -> bool:
    """By its ending; without any by its first bytes."""
    if is_image_name(found.leaf) or "." in found.leaf or not found.size:
        return is_image_name(found.leaf)
    try:
        return is_image_start(read_start(found))
    except (OSError, IntegrityError):
        return False  # whoever reads it whole says why it cannot be read


def explain_stand_in(data: bytes) -> str | None:
    """Why bytes are not an image but something that stands in its place; None for all else."""
    what = find_stand_in(data)
    return what and f"{what}, not the image"


def explain_unread(found: LocalFile) -> str | None:
    """As `explain_stand_in`; None also where it cannot be read, which whoever reads it whole says."""
    try:
        return explain_stand_in(read_start(found))
    except (OSError, IntegrityError):
        return None


def read_start(found: LocalFile) -> bytes:
    """The first bytes of a file, also of one in a zip."""
    if found.entry is None:
        with found.path.open("rb") as file:
            return file.read(SIGNATURE_BYTES)
    with archive.open_ranges(found.path) as (read, _):
        return next(read_entry(read, found, found.entry), b"")


def read_entry(read: archive.RangeReader, found: LocalFile, entry: ArchiveEntry) -> Iterator[bytes]:
    """The bytes of a file in a zip, in chunks."""
    return archive.read_member(read, entry, what=found.origin.name, encoding=found.encoding)


def tar_kind(found: LocalFile) -> Unpack | None:
    kind = archive.archive_kind(found.name)
    return None if kind == "zip" else kind


def explain_closed_archive(found: LocalFile) -> str | None:
    """Why an archive of a kind that is not opened is of no use as it is, by its ending; None for all else."""
    if archive.archive_kind(found.leaf):
        return None
    name = found.leaf.lower()
    what = next((what for ending, what in CLOSED_ARCHIVES.items() if name.endswith(ending)), None)
    return what and f"is {what}, which dermdata does not open: unpack it and give the folder"


@dataclass(frozen=True, kw_only=True)
class ArchivePiece:
    """A file that stands for one member of an official archive."""

    found: LocalFile
    official: str  # the path that the entry's table reads it by
    role: Role

    def to_content(self, file: str) -> Content:
        """How recognition sees it before it is read: by its name, role and size only."""
        return placeholder_content(self.found, file, self.official, self.role)


@dataclass(frozen=True, kw_only=True)
class MatchedFile:
    """One catalog file as it was given: whole, or piece by piece."""

    file: File
    how: RecognizedBy
    whole: LocalFile | None = None
    pieces: tuple[ArchivePiece, ...] = ()

    @property
    def size(self) -> int:
        return self.whole.size if self.whole else sum(one.found.size for one in self.pieces)

    @property
    def sources(self) -> tuple[LocalFile, ...]:
        return (self.whole,) if self.whole else tuple(one.found for one in self.pieces)


@dataclass(frozen=True, kw_only=True)
class NameConflict:
    """A name that several files with different bytes have: none of them was taken."""

    name: str
    found: tuple[LocalFile, ...]


@dataclass(frozen=True, kw_only=True)
class Recognition:
    """What became of one dataset's search; the plan holds only what was found."""

    plan: FetchPlan
    adopted: tuple[MatchedFile, ...]
    missing: tuple[File, ...] = ()  # catalog files
    missing_images: tuple[str, ...] = ()  # names that the table gives
    unnamed: int = 0  # further images that the publisher counts, where no table names them
    missing_masks: int = 0
    conflicts: tuple[NameConflict, ...] = ()
    # catalog file -> other bytes
    mismatched: Mapping[str, tuple[LocalFile, ...]] = field(default_factory=dict)
    used: frozenset[LocalFile] = frozenset()  # all that is this dataset's, also what was refused

    @property
    def complete(self) -> bool:
        return not (self.missing or self.missing_images or self.unnamed)


def placeholder_content(found: LocalFile, file: str, official: str, role: Role) -> Content:
    """A given file under an official path, as the manifest's rooms know files; not read yet, so no SHA-256."""
    member = ArchiveMember(path=official, offset=0, stored=found.size, method=0, crc32=0)
    return Content(
        path=f"{file}/{official}",
        role=role,
        file=file,
        size=found.size,
        sha256=found.shown,
        member=member,
        image=ImageFacts() if is_image_name(official) or is_image_file(found) else None,
    )
