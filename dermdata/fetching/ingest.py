"""One catalog file on its way into the cache: take it, verify it, unpack it, look at its images."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from dermdata import archive, disk, images
from dermdata.archive import safe_name
from dermdata.cache import Fetched, Folder, Recognized
from dermdata.checksum import Hasher, of_chunks, of_file
from dermdata.errors import ArchiveRefused, ChecksumMismatch, SizeMismatch
from dermdata.fetching import sums
from dermdata.http import HttpClient
from dermdata.http.download import request_key
from dermdata.http.urls import redact
from dermdata.model import Content, File, ImageFacts, Member, Request, Role, Unpack
from dermdata.progress import Progress

IMAGE_ENDS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp")
MADE = "listing"  # the source of a table that an archive's records make
FOLDERS = {"images": "images", "masks": "masks"}


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A catalog file whose bytes are verified on this machine."""

    path: Path
    size: int
    sha256: str
    url: str
    recognized: Recognized | None = None  # how, if not as a whole from its official place
    mirrored: bool = False  # from a mirror
    stated: str | None = None  # the checksum that its host states and that it has, besides the catalog's
    moved: int | None = None  # bytes that were downloaded; None: `size`


def take(
    file: File,
    place: Request | Path,
    target: Path,
    transfer: HttpClient,
    progress: Progress,
    *,
    fresh: bool = False,
    same_origin: bool = False,
) -> Taken:
    """Download the file, or copy it from a folder, under its final name; only verified bytes get there.

    What an interrupted run left whole is taken as it is, unless it must be `fresh`: if its checksum is the
    published one, or where none is published if it is known to come from this very place (`same_origin`).
    """
    progress.begin(file.name, file.size)
    if not fresh and (whole := already(file, target, unchecked=same_origin)):
        progress.end(file.name, "was there" + (", its checksum is right" if file.checksum else ""))
        return replace(whole, mirrored=isinstance(place, Request) and place.mirrors > 0)
    if isinstance(place, Path):
        taken = replace(copy(file, place, target, progress), mirrored=not lies_with_entry(file))
    else:
        received = transfer.download(place, target, lambda count: progress.advance(file.name, count))
        taken = Taken(
            path=target,
            size=received.size,
            sha256=received.sha256,
            url=received.url,
            mirrored=received.url in [redact(url) for url in place.urls[: place.mirrors]],
            stated=place.checksum if received.verified and not file.checksum else None,
        )
    progress.end(file.name)
    return taken


def lies_with_entry(file: File) -> bool:
    """Whether a file on this machine is the entry's own: it ships with the catalog, or a listing made it."""
    return (file.source or "").startswith(("package:", f"{MADE}:"))


def origin_of(place: Request | Path) -> str | None:
    """What tells the place that a file comes from; None for a folder, whose file is only copied anew."""
    return None if isinstance(place, Path) else request_key(place)


def already(file: File, target: Path, *, unchecked: bool = False) -> Taken | None:
    """The file that an interrupted run left under its final name, if its checksum is the catalog's.

    `unchecked`: without a published checksum the size is enough.
    """
    if target.is_symlink() or not target.is_file() or not (file.checksum or unchecked):
        return None
    hasher = of_file(target, file.checksum)
    whole = hasher.matches(file.checksum) if file.checksum else file.size in (None, target.stat().st_size)
    if not whole:
        return None
    url = file.source or redact(next(iter(file.urls), ""))
    return Taken(path=target, size=target.stat().st_size, sha256=hasher.sha256, url=url)


def copy(file: File, source: Path, target: Path, progress: Progress) -> Taken:
    """Copy a file from a folder, with the same checks as a download."""

    def told(chunk: bytes) -> bytes:
        progress.advance(file.name, len(chunk))
        return chunk

    expected = file.checksum or sums.noted(source, file.name)
    with disk.replacing(target) as out:
        hasher, size = Hasher(expected), 0
        for chunk in disk.chunks_of(source):
            hasher.update(told(chunk))
            out.write(chunk)
            size += len(chunk)
        if file.size is not None and size != file.size:
            raise SizeMismatch(f"{source}: {size:,} bytes, expected {file.size:,}")
        if expected:
            hasher.require(expected, str(source))
    return Taken(
        path=target,
        size=size,
        sha256=hasher.sha256,
        url=source.as_uri() if source.is_absolute() else str(source),
    )


@contextmanager
def held_to_first_sight(
    file: File, place: Request | Path, before: Fetched | None
) -> Iterator[tuple[File, Request | Path]]:
    """A file without a published checksum must be the one that was seen first: other bytes get no name."""
    if file.checksum or before is None or before.checksum or before.remade:
        yield file, place
        return
    checksum = f"sha256:{before.sha256}"
    try:
        asked = place if isinstance(place, Path) else replace(place, checksum=checksum)
        yield replace(file, checksum=checksum), asked
    except ChecksumMismatch as error:
        raise ChecksumMismatch(
            f"{error.message}, as first seen {before.fetched_at}",
            hint="the publisher has changed it without a version; `dermdata cache remove` accepts the new one",
        ) from error


def target_of(file: File, folder: Folder) -> Path:
    """Where the catalog file itself lies: images and masks that are no archives go with their kind."""
    leaf = FOLDERS.get(file.role, "files") if file.unpack is None else "files"
    return folder.path / leaf / safe_name(file.name)


def room_taken(file: File, folder: Folder) -> int:
    """Bytes of the file that lie on the disk already, whole or in part; at most its size."""
    target = target_of(file, folder)
    whole = target.is_file() and target.stat().st_size == file.size
    return min(file.size or 0, target.stat().st_size if whole else disk.taken_by_partials(target))


def contents_of(file: File, taken: Taken, folder: Folder, jobs: int, progress: Progress) -> list[Content]:
    """The files that this one brings into the cache: its members, or itself."""
    if file.unpack is None:
        facts = seen(taken.path) if is_image(file.name) else None
        path = taken.path.relative_to(folder.path).as_posix()
        return [
            Content(
                path=path, role=file.role, file=file.name, size=taken.size, sha256=taken.sha256, image=facts
            )
        ]
    return unpack(file, file.unpack, taken.path, folder, jobs, progress)


def unpack(
    file: File, kind: Unpack, source: Path, folder: Folder, jobs: int, progress: Progress
) -> list[Content]:
    """Every regular member, once through inflate, CRC, SHA-256 and decode check, under names of ours."""
    task, home = f"unpack {file.name}", home_of(file)
    progress.begin(task, None)
    with folder.unpacking(home) as temporary, not_kept_if_refused(file, source, folder):
        found = archive.extract(
            source,
            kind,
            temporary,
            place=lambda name: place_of(name, file),
            jobs=jobs,
            look=seen,
            progress=lambda count: progress.advance(task, count),
        )
    progress.end(task, f"{len(found.contents):,} files")
    return [
        Content(
            path=f"{home}/{one.path}",
            role=role_of(one.name, file),
            file=file.name,
            size=one.size,
            sha256=one.sha256,
            member=one.member or Member(path=one.name, offset=-1, stored=one.size, method=0, crc32=0),
            image=one.image if is_image(one.name) else None,
        )
        for one in found.contents
    ]


def seen(data: bytes | Path) -> ImageFacts:
    """What an image is and looks like, from one decode."""
    found = images.look(data)
    return ImageFacts(
        format=found.format,
        mode=found.mode,
        width=found.width,
        height=found.height,
        problem=found.problem,
        phash=None if found.problem else found.phash or b"",
    )


@contextmanager
def not_kept_if_refused(file: File, source: Path, folder: Folder) -> Iterator[None]:
    """A broken archive of ours that no checksum vouches for is let go: the next run must ask for it again."""
    try:
        yield
    except ArchiveRefused:
        if not file.checksum and source.is_relative_to(folder.path):
            source.unlink(missing_ok=True)
        raise


def listing_digest(found: list[Content]) -> str:
    """What stands for the SHA-256 of an archive that was not there: that of its members' list."""
    ordered = sorted(found, key=lambda one: one.path)
    return of_chunks(f"{one.sha256}  {one.official}\n".encode() for one in ordered)


def home_of(file: File) -> str:
    """The folder, in the dataset's, of what an archive holds."""
    return f"{FOLDERS.get(file.role, 'files')}/{safe_name(stem(file.name))}"


def place_of(member: str, file: File) -> str:
    """A member's path in its archive's folder, which need not be named twice."""
    return safe_name(member.removeprefix(f"{stem(file.name)}/"))


def role_of(member: str, file: File) -> Role:
    """A member's role: by the entry's globs, else the archive's."""
    return next((role for glob, role in file.members.items() if fnmatchcase(member, glob)), file.role)


def is_image(name: str) -> bool:
    """Whether a name claims to be an image's; archives also hold licences and tables."""
    return name.lower().endswith(IMAGE_ENDS)


def stem(name: str) -> str:
    """The official name without the archive's ending."""
    for ending in (".tar.gz", ".tar.zst", ".zip", ".tar", ".tgz"):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return f"{name}.d"
