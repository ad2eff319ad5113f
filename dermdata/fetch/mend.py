"""Fetches again just the files that are broken or missing: a member by one range, else its whole file."""

from collections.abc import Callable, Iterator
from pathlib import Path

from dermdata import archive, disk
from dermdata.cache import Folder
from dermdata.checksum import of_chunks
from dermdata.errors import ChecksumMismatch
from dermdata.fetch import ingest
from dermdata.fetch.plan import Plan
from dermdata.model import Content, Dataset, File, Member, Request
from dermdata.progress import Progress
from dermdata.transfer import Transfer

Resolve = Callable[[Dataset, File], Request | Path]


def mend(
    plan: Plan, folder: Folder, transfer: Transfer, resolve: Resolve, progress: Progress
) -> Iterator[Content]:
    """Each broken file anew, under its recorded SHA-256; yields what was mended."""
    for content in plan.mend:
        file = plan.dataset.file(content.file)
        place = resolve(plan.dataset, file)
        target = folder.path / content.path
        progress.begin(content.path, content.member.stored if content.member else content.size)
        if content.member is None:
            ingest.take(file, place, target, transfer, progress, fresh=True)
        else:
            data = member_bytes(file, content.member, content.size, place, transfer)
            require(content, data)
            disk.write(target, [data])
        progress.end(content.path)
        yield content


def member_bytes(file: File, member: Member, size: int, place: Request | Path, transfer: Transfer) -> bytes:
    """One member out of its archive, wherever that is, by reading only its own range."""

    def read(start: int, length: int) -> bytes:
        if isinstance(place, Path):
            with place.open("rb") as source:
                source.seek(start)
                return source.read(length)
        return transfer.read_range(place, start, length)

    entry = archive.Entry(
        name=member.path,
        size=size,
        stored=member.stored,
        method=member.method,
        crc32=member.crc32,
        offset=member.offset,
    )
    return b"".join(archive.read_member(read, entry, what=file.name))


def require(content: Content, data: bytes) -> None:
    actual = of_chunks([data])
    if actual != content.sha256:
        raise ChecksumMismatch(
            f"{content.path}: sha256 is {actual}, expected {content.sha256}",
            hint="the archive at the source has changed; `dermdata fetch --force` takes the new one",
        )
