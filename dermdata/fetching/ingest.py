"""One catalog file on its way into the cache: obtain it, verify it, unpack it, inspect its images.

A mirror's `SHA256SUMS` lies beside its files, as `sha256sum --check` reads it; it is believed where no one else states
a checksum.

    <mirror>/<dataset>/SHA256SUMS
    <mirror>/<dataset>/<file name>
"""

import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from dermdata import archive, disk, images
from dermdata.archive import safe_name
from dermdata.cache import DatasetFolder, FetchedFile, RecognizedBy
from dermdata.cache.folder import temporary_name
from dermdata.checksum import Hasher, hash_file, sha256_of_chunks
from dermdata.errors import (
    ChecksumMismatch,
    IntegrityError,
    NotTheFile,
    SentZipped,
    SizeMismatch,
    UsageError,
)
from dermdata.http import HttpClient
from dermdata.http.download import request_key
from dermdata.http.error_pages import is_zip_of_file
from dermdata.http.urls import strip_secrets
from dermdata.markup import count_nouns
from dermdata.model import (
    IMAGE_ENDINGS,
    SLIDE_ENDINGS,
    ArchiveMember,
    Content,
    File,
    ImageFacts,
    ListedArchive,
    Request,
    Role,
    Unpack,
)
from dermdata.progress import Progress, SilentProgress
from dermdata.readers.image_tables import find_member_reader

SUMS_NAME = "SHA256SUMS"
LARGEST_SUMS = 256 << 20  # bytes: a line for each of two million files
SUMS_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")
SLIDE = "a whole slide: kept as it is, not decoded"
LISTING_SOURCE = "listing"  # the source of a table that an archive's records make
ROLE_FOLDERS = {"images": "images", "masks": "masks"}


def read_sha256sums(folder: Path) -> dict[str, str]:
    """SHA-256 (hex) by file name; lines of another form are passed over, no file is no names.

    UsageError for a link, a pipe or a device in its place, and for one that is larger than any such list.
    """
    path = folder / SUMS_NAME
    if not os.path.lexists(path):
        return {}
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_SUMS:
        raise UsageError(f"{path} is no file of checksums", hint="write it with `sha256sum`, or remove it")
    with disk.storage_errors(path):
        lines = path.read_text("utf-8", "replace").splitlines()
    return {match[2]: match[1] for match in map(SUMS_LINE.fullmatch, lines) if match}


def write_sha256sums(folder: Path, sums: Mapping[str, str]) -> None:
    """Write them by name."""
    disk.write_text(folder / SUMS_NAME, "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)))


def find_mirror_checksum(source: Path, name: str) -> str | None:
    """What a mirror folder says of the catalog file `name`, as `sha256:…`; None where it says nothing."""
    levels = name.count("/")
    if len(source.parents) <= levels:
        return None
    digest = read_sha256sums(source.parents[levels]).get(name)
    return f"sha256:{digest}" if digest else None


@dataclass(frozen=True, kw_only=True)
class VerifiedFile:
    """A catalog file whose bytes are verified on this machine."""

    path: Path
    size: int
    sha256: str
    url: str
    recognized: RecognizedBy | None = None  # how, if not as a whole from its official place
    mirrored: bool = False  # from a mirror
    stated: str | None = None  # the checksum that its host states and that it has, besides the catalog's
    moved: int | None = None  # bytes that were downloaded; None: `size`


def obtain_file(
    file: File,
    place: Request | Path,
    target: Path,
    transfer: HttpClient,
    progress: Progress,
    *,
    fresh: bool = False,
    same_origin: bool = False,
) -> VerifiedFile:
    """Download the file, or copy it from a folder, under its final name; only verified bytes get there.

    What an interrupted run left whole is taken as it is, unless it must be `fresh`: if its checksum is the
    published one, or where none is published if it is known to come from this very place (`same_origin`).
    """
    progress.begin(file.name, file.expected_size)
    if not fresh and (whole := find_complete_file(file, target, unchecked=same_origin)):
        progress.end(file.name, "was there" + (", its checksum is right" if file.checksum else ""))
        return replace(whole, mirrored=isinstance(place, Request) and place.mirrors > 0, moved=0)
    if isinstance(place, Path):
        taken = replace(copy_verified(file, place, target, progress), mirrored=not is_part_of_entry(file))
    else:
        taken = download_file(file, place, target, transfer, progress)
    progress.end(file.name)
    return taken


def download_file(
    file: File, place: Request, target: Path, transfer: HttpClient, progress: Progress
) -> VerifiedFile:
    """Download the file; where its host sends a zip of it, take it out of that."""
    try:
        received = transfer.download(place, target, partial(progress.advance, file.name))
    except SentZipped as error:
        progress.say(f"{error.message}; the file is taken out of it")
        return download_zipped(file, place, target, transfer, progress)
    return VerifiedFile(
        path=target,
        size=received.size,
        sha256=received.sha256,
        url=received.url,
        mirrored=is_mirrored(received.url, place),
        stated=place.checksum if received.verified and not file.checksum else None,
    )


def download_zipped(
    file: File, place: Request, target: Path, transfer: HttpClient, progress: Progress
) -> VerifiedFile:
    """Download a zip that holds the file alone; size and checksum are the file's own."""
    wrapped = target.with_name(temporary_name(target.name))
    asked = replace(place, size=None, checksum=None, archive="zip")
    try:
        received = transfer.download(asked, wrapped, partial(progress.advance, file.name))
        taken = copy_verified(file, wrapped, target, SilentProgress())
    finally:
        wrapped.unlink(missing_ok=True)
    return replace(taken, url=received.url, mirrored=is_mirrored(received.url, place), moved=received.size)


def is_mirrored(url: str, place: Request) -> bool:
    """Whether a file came from one of the mirrors that were asked first."""
    return url in [strip_secrets(one) for one in place.urls[: place.mirrors]]


def is_part_of_entry(file: File) -> bool:
    """Whether a file on this machine is the entry's own: it ships with the catalog, or a listing made it."""
    return (file.source or "").startswith(("package:", f"{LISTING_SOURCE}:"))


def origin_key(place: Request | Path) -> str | None:
    """A digest of the place that a file comes from; None for a folder, whose file is only copied anew."""
    return None if isinstance(place, Path) else request_key(place)


def find_complete_file(file: File, target: Path, *, unchecked: bool = False) -> VerifiedFile | None:
    """The file that an interrupted run left under its final name, if its checksum is the catalog's.

    `unchecked`: without a published checksum the size is enough.
    """
    if target.is_symlink() or not target.is_file() or not (file.checksum or unchecked):
        return None
    hasher = hash_file(target, file.checksum)
    whole = hasher.matches(file.checksum) if file.checksum else file.size in (None, target.stat().st_size)
    if not whole:
        return None
    url = file.source or strip_secrets(next(iter(file.urls), ""))
    return VerifiedFile(path=target, size=target.stat().st_size, sha256=hasher.sha256, url=url)


def copy_verified(file: File, source: Path, target: Path, progress: Progress) -> VerifiedFile:
    """Copy a file from a folder, with the same checks as a download."""
    expected = file.checksum or find_mirror_checksum(source, file.name)
    with disk.atomic_write(target) as out:
        hasher, size = Hasher(expected), 0
        for chunk in read_original(file.name, source):
            hasher.update(chunk)
            progress.advance(file.name, len(chunk))
            out.write(chunk)
            size += len(chunk)
        if file.size is not None and size != file.size:
            raise SizeMismatch(f"{source}: {count_nouns(size, 'byte')}, expected {file.size:,}")
        if expected:
            hasher.require(expected, str(source))
    return VerifiedFile(
        path=target,
        size=size,
        sha256=hasher.sha256,
        url=source.as_uri() if source.is_absolute() else str(source),
    )


def join_files(file: File, pieces: Sequence[VerifiedFile], target: Path) -> VerifiedFile:
    """The file of which these are the pieces, one after the other; they are deleted when it is whole."""
    hasher, size = Hasher(file.checksum), 0
    with disk.atomic_write(target) as out:
        for piece in pieces:
            for chunk in disk.read_chunks(piece.path):
                hasher.update(chunk)
                out.write(chunk)
                size += len(chunk)
        if file.checksum:
            hasher.require(file.checksum, file.name)
    for piece in pieces:
        piece.path.unlink(missing_ok=True)
    moved = sum(piece.size if piece.moved is None else piece.moved for piece in pieces)
    return VerifiedFile(path=target, size=size, sha256=hasher.sha256, url=pieces[0].url, moved=moved)


def read_original(name: str, source: Path) -> Iterator[bytes]:
    """A file's bytes in chunks; where a zip that holds it alone lies in its place, out of that.

    NotTheFile for a zip that holds something else.
    """
    with archive.open_ranges(source) as (read, status):
        if not is_zip_of_file(read(0, 4), name):
            yield from disk.read_chunks(source)
            return
        entries = archive.list_zip(read, status.st_size, what=source.name).entries
        if len(entries) != 1 or fold_name(entries[0].name) != fold_name(name):
            raise NotTheFile(
                f"{source} is a zip of {count_nouns(len(entries), 'file')} in place of {name}",
                hint='with unpack = "zip" the entry reads what is in it',
            )
        yield from archive.read_member(read, entries[0], what=source.name)


def fold_name(path: str) -> str:
    """A file's own name as it is compared: without folders, in any case and Unicode form."""
    return unicodedata.normalize("NFC", path.rpartition("/")[2]).casefold()


@contextmanager
def require_first_seen(
    file: File, place: Request | Path, before: FetchedFile | None
) -> Iterator[tuple[File, Request | Path]]:
    """A file without a published checksum must be the one that was seen first: other bytes get no name."""
    made_anew = isinstance(
        file, ListedArchive
    )  # a zip that is made on the way: its files are held to the list
    if file.checksum or made_anew or before is None or before.checksum or before.is_reconstructed:
        yield file, place
        return
    checksum = f"sha256:{before.sha256}"
    with suggest_force(f", as first seen {before.fetched_at}"):
        asked = place if isinstance(place, Path) else replace(place, checksum=checksum)
        yield replace(file, checksum=checksum), asked


@contextmanager
def suggest_force(more: str = "", *, unless: bool = False) -> Iterator[None]:
    """Of other bytes than those first seen, where no checksum is published: what takes the new ones."""
    try:
        yield
    except ChecksumMismatch as error:
        if unless:
            raise
        raise ChecksumMismatch(
            f"{error.message}{more}",
            hint="the publisher has changed it without a version; `dermdata fetch NAME --force` takes the new one",
        ) from error


def file_path(file: File, folder: DatasetFolder) -> Path:
    """Where the catalog file itself lies: images and masks that are no archives go with their kind."""
    leaf = ROLE_FOLDERS.get(file.role, "files") if file.unpack is None else "files"
    return folder.path / leaf / safe_name(file.name)


def count_bytes_on_disk(file: File, folder: DatasetFolder) -> int:
    """Bytes of the file that lie on the disk already, whole or in part; at most its size."""
    target = file_path(file, folder)
    whole = target.is_file() and target.stat().st_size == file.size
    return min(file.size or 0, target.stat().st_size if whole else disk.count_partial_bytes(target))


def collect_contents(
    file: File, taken: VerifiedFile, folder: DatasetFolder, jobs: int, progress: Progress
) -> list[Content]:
    """The files that this one brings into the cache: its members, or itself."""
    if file.unpack is None:
        facts = inspect_file(file.name, taken.path)
        path = taken.path.relative_to(folder.path).as_posix()
        return [
            Content(
                path=path, role=file.role, file=file.name, size=taken.size, sha256=taken.sha256, image=facts
            )
        ]
    return unpack_contents(file, file.unpack, taken.path, folder, jobs, progress)


def unpack_contents(
    file: File, kind: Unpack, source: Path, folder: DatasetFolder, jobs: int, progress: Progress
) -> list[Content]:
    """Every regular member, once through inflate, CRC, SHA-256 and decode check, under names of ours."""
    task, home = f"unpack {file.name}", archive_folder(file)
    listed = index_listed(file) if isinstance(file, ListedArchive) else None
    progress.begin(task, None)
    known = 0

    def foresee(more: int) -> None:
        nonlocal known
        known += more
        progress.begin(task, known)

    reader = find_member_reader(kind)
    with folder.replace_folder(home) as temporary, delete_if_refused(file, source, folder):
        found = archive.extract(
            source,
            kind,
            temporary,
            place=lambda name: member_path(name, file),
            wanted=lambda name: listed is None or find_listed(name, listed) is not None,
            jobs=jobs,
            look=inspect_image,
            progress=lambda count: progress.advance(task, count),
            foresee=foresee,
            encoding=file.name_encoding,
            open_inner=reader is None,
            members=partial(reader, source, file.name.removesuffix(f".{kind}")) if reader else None,
        )
        if isinstance(file, ListedArchive):
            require_listed(file, found.contents)
    progress.end(task, count_nouns(len(found.contents), "file"))
    for note in found.notes:
        progress.say(f"warning: {note}")
    return [
        Content(
            path=f"{home}/{one.path}",
            role=member_role(one.name, file, listed),
            file=file.name,
            size=one.size,
            sha256=one.sha256,
            member=one.member or ArchiveMember(path=one.name, offset=-1, stored=one.size, method=0, crc32=0),
            image=member_image(one, folder.path / home / one.path),
        )
        for one in found.contents
    ]


def member_image(member: archive.ExtractedFile, path: Path) -> ImageFacts | None:
    """What a member is, which only large ones were not asked when they were unpacked; None for no image."""
    if member.image is None or member.name.lower().endswith(SLIDE_ENDINGS):
        return inspect_file(member.name, path)
    return member.image if member.image.format or is_image_name(member.name) else None


def inspect_file(name: str, data: bytes | Path) -> ImageFacts | None:
    """What an image is, told by its first bytes whatever its name is; None for what not even its name calls one."""
    start = read_start(data)
    if name.lower().endswith(SLIDE_ENDINGS):
        return ImageFacts(format="tiff" if images.is_image_start(start) else None, problem=SLIDE, phash=None)
    if not is_image_name(name) and not images.is_image_start(start):
        return None
    return inspect_image(data)


def read_start(data: bytes | Path) -> bytes:
    """The first bytes of a file, by which it is told what it is."""
    if isinstance(data, bytes):
        return data[: images.SIGNATURE_BYTES]
    with disk.storage_errors(data), data.open("rb") as file:
        return file.read(images.SIGNATURE_BYTES)


def inspect_image(data: bytes | Path) -> ImageFacts:
    """What an image is and looks like, from one decode."""
    found = images.inspect_image(data)
    return ImageFacts(
        format=found.format,
        mode=found.mode,
        width=found.width,
        height=found.height,
        problem=found.problem,
        phash=None if found.problem else found.phash or b"",
    )


@contextmanager
def delete_if_refused(file: File, source: Path, folder: DatasetFolder) -> Iterator[None]:
    """Delete an archive of ours that is broken or not what it must be, and that no checksum covers.

    The next run must download it again.
    """
    try:
        yield
    except IntegrityError:
        if not file.checksum and source.is_relative_to(folder.path):
            source.unlink(missing_ok=True)
        raise


def members_digest(found: list[Content]) -> str:
    """What stands for the SHA-256 of an archive that was not there: that of its members' list."""
    ordered = sorted(found, key=lambda one: one.path)
    return sha256_of_chunks(f"{one.sha256}  {one.official}\n".encode() for one in ordered)


def archive_folder(file: File) -> str:
    """The folder, in the dataset's, of what an archive holds."""
    return f"{ROLE_FOLDERS.get(file.role, 'files')}/{safe_name(unpacked_name(file))}"


def member_path(member: str, file: File) -> str:
    """A member's path in its archive's folder, which need not be named twice."""
    return safe_name(member.removeprefix(f"{unpacked_name(file)}/"))


def unpacked_name(file: File) -> str:
    """What the folder is called that an archive's files lie in."""
    return file.name if file.unpack == "folder" else archive_stem(file.name)


def index_listed(file: ListedArchive) -> dict[str, File]:
    """What an archive must hold, by path; archives in it by the folder that they are unpacked to."""
    names = ((unicodedata.normalize("NFC", name), one) for name, one in file.contains.items())
    return {f"{archive_stem(name)}/" if archive.archive_kind(name) else name: one for name, one in names}


def find_listed(member: str, listed: Mapping[str, File]) -> File | None:
    """The listed file that a member is, or comes out of; None for one that nobody asked for."""
    name = unicodedata.normalize("NFC", member)
    if archive.archive_kind(name):
        name = f"{archive_stem(name)}/"
    folders = (name[: at + 1] for at, sign in enumerate(name) if sign == "/")
    return listed.get(name) or next((listed[folder] for folder in folders if folder in listed), None)


def require_listed(file: ListedArchive, found: Iterable[archive.ExtractedFile]) -> None:
    """IntegrityError unless an archive holds each listed file, with its size and the SHA-256 that its host states."""
    here = {unicodedata.normalize("NFC", one.name): one for one in found}
    for name, listed in file.contains.items():
        one = here.get(unicodedata.normalize("NFC", name))
        if one is None:
            if archive.archive_kind(name):
                continue  # it was opened
            raise NotTheFile(f"{file.name} lacks {name}, which its host lists")
        if listed.size not in (None, one.size):
            raise SizeMismatch(
                f"{file.name}: {name}: {count_nouns(one.size, 'byte')}, expected {listed.size:,}"
            )
        stated = listed.checksum or ""
        if stated.startswith("sha256:") and stated != f"sha256:{one.sha256}":
            raise ChecksumMismatch(f"{file.name}: {name}: sha256 is {one.sha256}, expected {stated[7:]}")


def member_role(member: str, file: File, listed: Mapping[str, File] | None = None) -> Role:
    """A member's role: as it is listed, by the entry's globs, else the archive's; names are compared in NFC."""
    if listed is not None and (one := find_listed(member, listed)):
        return one.role
    globs = {unicodedata.normalize("NFC", glob): role for glob, role in file.members.items()}
    return next((role for glob, role in globs.items() if fnmatchcase(member, glob)), file.role)


def is_image_name(name: str) -> bool:
    """Whether a name claims to be an image's; archives also hold licenses and tables."""
    return name.lower().endswith(IMAGE_ENDINGS)


def may_be_image(name: str) -> bool:
    """Whether a file that is not here may be an image: a name without an ending says nothing."""
    return is_image_name(name) or "." not in name.rpartition("/")[2]


def archive_stem(name: str) -> str:
    """The official name without the archive's ending."""
    ending = archive.archive_ending(name)
    return name.removesuffix(ending) if ending else f"{name}.d"
