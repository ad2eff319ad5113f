"""Fetches again just the files that are broken or missing: a member by one range, else its whole file.

And looks at images that an older version fetched, without fetching anything.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from dermdata import archive, disk
from dermdata.cache import Folder
from dermdata.checksum import of_chunks
from dermdata.errors import ChecksumMismatch
from dermdata.fetching import ingest
from dermdata.fetching.interrupt import interruptible
from dermdata.fetching.plan import Plan
from dermdata.http import HttpClient
from dermdata.model import Content, Dataset, File, Member, Request
from dermdata.progress import Progress

Resolve = Callable[[Dataset, File], Request | Path]


def mend(
    plan: Plan, folder: Folder, transfer: HttpClient, resolve: Resolve, progress: Progress
) -> Iterator[Content]:
    """Each broken file anew, under its recorded SHA-256; yields what was mended."""
    for content in plan.mend:
        file = plan.dataset.file(content.file)
        place = resolve(plan.dataset, file)
        target = folder.path / content.path
        progress.begin(content.path, content.member.stored if content.member else content.size)
        if content.member is None:
            recorded = f"sha256:{content.sha256}"  # what was seen first, where no checksum is published
            asked = place if isinstance(place, Path) else replace(place, checksum=recorded)
            held = replace(file, checksum=recorded)
            ingest.take(held, asked, target, transfer, progress, fresh=True)
        else:
            data = member_bytes(file, content.member, content.size, place, transfer)
            require(content, data)
            disk.write(target, [data])
        progress.end(content.path)
        yield content


def member_bytes(file: File, member: Member, size: int, place: Request | Path, transfer: HttpClient) -> bytes:
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


def unseen(folder: Folder) -> list[Content]:
    """The images that decode and of which an older version did not note what they look like.

    None in a folder that cannot be written: there it could not be noted.
    """
    if not os.access(folder.path, os.W_OK):
        return []
    images = [one for one in folder.contents() if one.image and one.image.format and not one.image.problem]
    return [one for one in images if one.image and one.image.phash is None]


def looked_at(plan: Plan, folder: Folder, jobs: int, progress: Progress) -> Iterator[Content]:
    """What an older version did not note of its images, from one decode of each that is as it was."""
    if not plan.look:
        return
    task = f"{plan.dataset.name}: look at images"
    progress.begin(task, len(plan.look), "images")
    with interruptible(ThreadPoolExecutor(jobs)) as pool:
        for content, found in zip(plan.look, pool.map(partial(look_at, folder), plan.look), strict=True):
            progress.advance(task, 1)
            if found:
                yield found
            else:
                progress.say(f"{content.path} was altered; `dermdata verify --repair` fetches it again")
    progress.end(task)


def look_at(folder: Folder, content: Content) -> Content | None:
    """The content with what its image looks like; None where the file is another one by now."""
    data = (folder.path / content.path).read_bytes()
    return replace(content, image=ingest.seen(data)) if of_chunks([data]) == content.sha256 else None
