"""What the person gave: every regular file below the paths, and what lies in their archives.

Opened step by step, since most of it may never be needed: the files by their names and sizes, then the
members of zips by their directories, then archives in archives, which must be laid out on disk for that.
"""

import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dermdata import archive, checksum, disk
from dermdata.archive import Entry, RangeReader
from dermdata.archive.names import is_junk
from dermdata.errors import DermdataError, IntegrityError, PersonMustAct, UsageError
from dermdata.fetching.ingest import is_image, stem
from dermdata.model import Unpack

TARS: dict[str, Unpack] = {".tar": "tar", ".tar.gz": "tar.gz", ".tgz": "tar.gz", ".tar.zst": "tar.zst"}
ZIP_MAGIC = b"PK\3\4"
CHUNK = 1 << 20


@dataclass(frozen=True)
class Found:
    """One file that was given: on disk, or a member of a zip."""

    name: str  # its path below what was given, NFC, with "/"; an archive's name without ending is a folder in it
    shown: str  # where it is, for the person
    origin: Path  # the file on the person's disk that holds it
    path: Path  # the file to read: `origin`, or our copy of what lies deeper
    size: int  # bytes
    entry: Entry | None = None  # its place in the zip `path`
    within: "Found | None" = None  # the archive that holds it

    @property
    def leaf(self) -> str:
        return self.name.rpartition("/")[2]

    @property
    def member(self) -> str:
        """Its path in the archive that holds it, as the archive names it."""
        if self.entry:
            return self.entry.name
        return self.name.removeprefix(f"{stem(self.within.name)}/") if self.within else self.name


@dataclass(frozen=True)
class Problem:
    """Something given that could not be read, in words."""

    shown: str
    reason: str
    error: DermdataError | None = None


class Given:
    """The files found so far, how they are read, and what could not be."""

    def __init__(self, paths: Iterable[Path], away: Path, workplace: Path) -> None:
        """Look through `paths`, leaving out the cache folder `away`; `workplace` is for our own copies.

        UsageError for a path that does not exist, or that lies in the cache.
        """
        self.problems: list[Problem] = []
        self.opened: dict[Found, list[Found]] = {}
        self._workplace = workplace
        self._digests: dict[tuple[Found, str], str | None] = {}
        self._copies: dict[Found, Path] = {}
        away = away.resolve()
        self.paths = tuple(dict.fromkeys(checked(path, away) for path in paths))
        found = [one for path in self.paths for one in self.files(path, away)]
        self.loose = list({one.path: one for one in found}.values())

    def all(self) -> list[Found]:
        """The loose files and the members of what has been opened."""
        return [*self.loose, *(one for members in self.opened.values() for one in members)]

    # -------------------------------------------------------------- looking

    def files(self, path: Path, away: Path | None = None) -> Iterator[Found]:
        """A file, or every regular file below a folder; links are not followed, junk is passed over."""
        if not path.is_dir():
            yield from self._file(path, path.name)
            return
        for parent, folders, names in os.walk(path, onerror=self._note):
            here = Path(parent)
            self._links(here / name for name in folders)
            folders[:] = sorted(name for name in folders if here / name != away)
            for name in sorted(names):
                relative = (here / name).relative_to(path.parent).as_posix()
                yield from self._file(here / name, relative)

    def _file(self, path: Path, relative: str) -> Iterator[Found]:
        if is_junk(relative) or self._links([path]):
            return
        try:
            status = path.lstat()
        except OSError as error:
            return self._note(error)
        if not stat.S_ISREG(status.st_mode):
            self.problems.append(Problem(text_of(path), "no regular file"))
        elif not os.access(path, os.R_OK):
            self.problems.append(Problem(text_of(path), "permission denied"))
        else:
            found = Found(matched(text_of(relative)), text_of(path), path, path, status.st_size)
            yield from self._filled([found])

    def _filled(self, every: Iterable[Found]) -> Iterator[Found]:
        """Those that hold something: an image of no bytes is what a broken copy leaves."""
        for found in every:
            if found.size or not is_image(found.leaf):
                yield found
            else:
                self.problems.append(Problem(found.shown, "the file is empty"))

    def _links(self, paths: Iterable[Path]) -> bool:
        links = [path for path in paths if path.is_symlink()]
        self.problems += [Problem(text_of(path), "a symbolic link, not followed") for path in links]
        return bool(links)

    def _note(self, error: OSError) -> None:
        self.problems.append(Problem(text_of(error.filename or "?"), (error.strerror or str(error)).lower()))

    # -------------------------------------------------------------- opening

    def open_zips(self) -> None:
        """List the members of the zips among the files."""
        for found in self.loose:
            if is_zip(found):
                self.members(found)

    def open_deeper(self, known: Iterable[Found]) -> None:
        """List what lies in zips in zips and in tars, but for those that are `known` as a whole."""
        apart = set(known)
        nested = [one for one in self.all() if one.entry and one.name.lower().endswith(".zip")]
        tars = [one for one in self.loose if tar_kind(one)]
        for found in (*nested, *tars):
            if found not in apart and (found.within is None or found.within.entry is None):
                self.members(found)

    def members(self, found: Found) -> list[Found]:
        """What lies in an archive; nothing, and a problem in words, when it is refused."""
        if found not in self.opened:
            self.opened[found] = []
            with self._refusals(found):
                self.opened[found] = self._untarred(found) if tar_kind(found) else self._listed(found)
        return self.opened[found]

    @contextmanager
    def _refusals(self, found: Found) -> Iterator[None]:
        try:
            yield
        except (IntegrityError, PersonMustAct) as error:
            self.problems.append(Problem(found.shown, error.message, error))
        except OSError as error:
            self.problems.append(Problem(found.shown, (error.strerror or str(error)).lower()))

    def _listed(self, found: Found) -> list[Found]:
        path = self.on_disk(found)
        with ranges(path) as read:
            entries = archive.list_zip(read, path.stat().st_size, what=found.leaf)
        top = stem(found.name)
        members = (
            Found(f"{top}/{one.name}", f"{found.shown}: {one.name}", found.origin, path, one.size, one, found)
            for one in entries
        )
        return list(self._filled(members))

    def _untarred(self, found: Found) -> list[Found]:
        home = self._workplace / str(len(self.opened))
        kind = tar_kind(found)
        assert kind  # noqa: S101  # only archives come here
        done = archive.extract(self.on_disk(found), kind, home, place=archive.safe_name)
        top = stem(found.name)
        members = (
            Found(
                f"{top}/{one.name}", f"{found.shown}: {one.name}", found.origin, home / one.path, one.size,
                within=found,
            )
            for one in done.contents
        )  # fmt: skip
        return list(self._filled(members))

    # -------------------------------------------------------------- reading

    def chunks(self, found: Found) -> Iterator[bytes]:
        """A file's bytes; OSError, or ArchiveRefused for a damaged member."""
        if found.entry:
            with ranges(found.path) as read:
                yield from archive.read_member(read, found.entry, what=found.origin.name)
            return
        with found.path.open("rb", buffering=0) as file:
            while chunk := file.read(CHUNK):
                yield chunk

    def read(self, found: Found) -> bytes:
        return b"".join(self.chunks(found))

    def on_disk(self, found: Found) -> Path:
        """A file of its own with these bytes: the person's, or our copy of a member."""
        if found.entry is None:
            return found.path
        if found not in self._copies:
            copy = self._workplace / f"{len(self._copies)}.member"
            with disk.storage_errors(copy):
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(b"")
            for chunk in self.chunks(found):
                with disk.storage_errors(copy, found.size), copy.open("ab") as file:
                    file.write(chunk)
            self._copies[found] = copy
        return self._copies[found]

    def digest(self, found: Found, algorithm: str) -> str | None:
        """The file's digest, read once; None, and a problem in words, when it cannot be read."""
        key = (found, algorithm)
        if key not in self._digests:
            running = checksum.new(algorithm)
            self._digests[key] = None
            with self._refusals(found):
                for chunk in self.chunks(found):
                    running.update(chunk)
                self._digests[key] = running.hexdigest()
        return self._digests[key]

    def has(self, found: Found, published: str) -> bool:
        """Whether a file has a published checksum."""
        algorithm, digest = checksum.parse(published)
        return self.digest(found, algorithm) == digest

    def distinct(self, found: Sequence[Found]) -> list[Found]:
        """One of each kind of bytes."""
        if len(found) < 2:
            return list(found)
        return list({self.digest(one, "sha256") or one.shown: one for one in reversed(found)}.values())[::-1]


def checked(path: Path, away: Path) -> Path:
    """A path as given, made absolute; UsageError when it is not there or is our own."""
    try:
        real = path.resolve(strict=True)
    except OSError as error:
        raise UsageError(f"--from {path}: {(error.strerror or str(error)).lower()}") from error
    if real.is_relative_to(away):
        raise UsageError(f"--from {path} lies in the cache itself", hint="give the files you downloaded")
    return real


@contextmanager
def ranges(path: Path) -> Iterator[RangeReader]:
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        yield lambda start, length: os.pread(handle, length, start)
    finally:
        os.close(handle)


def text_of(path: Path | str) -> str:
    """A path as text that can be printed, whatever its bytes are."""
    return os.fsencode(path).decode(errors="backslashreplace")


def matched(name: str) -> str:
    """A name as tables and archives write it: macOS stores letters and accents apart."""
    return unicodedata.normalize("NFC", name)


def is_zip(found: Found) -> bool:
    """By its ending; a download without any ending by how it begins."""
    if found.name.lower().endswith(".zip"):
        return True
    if found.entry or "." in found.leaf:
        return False
    with found.path.open("rb") as file:
        return file.read(4) == ZIP_MAGIC


def tar_kind(found: Found) -> Unpack | None:
    name = found.name.lower()
    return next((kind for ending, kind in TARS.items() if name.endswith(ending)), None)
