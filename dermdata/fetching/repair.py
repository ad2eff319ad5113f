"""Repair a dataset's folder: fetch only its broken files again, inspect its images, remove what a killed run left.

A broken member of a zip costs one range request, any other file is downloaded as a whole. Images that an older version
fetched are inspected without fetching anything.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from dermdata import archive, disk
from dermdata.archive import ArchiveEntry, safe_name
from dermdata.cache import DatasetFolder, FetchedFile
from dermdata.cache.cleanup import PendingFiles, find_unpacked_archives, has_pending_files
from dermdata.cache.folder import TEMPORARY_NAME
from dermdata.checksum import sha256_of_chunks
from dermdata.errors import CacheDamaged, ChecksumMismatch
from dermdata.fetching import ingest
from dermdata.fetching.plan import FetchPlan
from dermdata.http import HttpClient
from dermdata.model import Content, Dataset, File, ListedArchive, Request
from dermdata.process import cancel_on_interrupt
from dermdata.progress import Progress

ResolveFile = Callable[[Dataset, File], Request | Path]


def repair_files(
    plan: FetchPlan, folder: DatasetFolder, transfer: HttpClient, resolve: ResolveFile, progress: Progress
) -> Iterator[Content]:
    """Each broken file anew, under its recorded SHA-256; yields what was mended."""
    for content in plan.mend:
        file, member = plan.dataset.file(content.file), content.member
        if isinstance(file, ListedArchive) and content.official in file.contains:
            file, member = file.contains[content.official], None  # its host also gives it alone
        place = resolve(plan.dataset, file)
        target = folder.path / content.path
        progress.begin(content.path, member.stored if member else content.size)
        if member is None:
            recorded = f"sha256:{content.sha256}"  # what was seen first, where no checksum is published
            asked = place if isinstance(place, Path) else replace(place, checksum=recorded)
            held = replace(file, checksum=recorded)
            with ingest.suggest_force(unless=file.checksum is not None):
                ingest.obtain_file(held, asked, target, transfer, progress, fresh=True)
        else:
            entry = ArchiveEntry.from_member(member, content.size)
            data = read_member_bytes(file, entry, place, transfer)
            require_recorded_bytes(content, data)
            disk.write_chunks(target, [data])
        progress.end(content.path)
        yield content


def read_member_bytes(file: File, entry: ArchiveEntry, place: Request | Path, transfer: HttpClient) -> bytes:
    """One member out of its archive, wherever that is, by reading only its own range."""
    if isinstance(place, Path):
        with archive.open_ranges(place) as (read, _):
            return b"".join(archive.read_member(read, entry, what=file.name, encoding=file.name_encoding))
    read_range = partial(transfer.read_range, place)
    return b"".join(archive.read_member(read_range, entry, what=file.name, encoding=file.name_encoding))


def require_recorded_bytes(content: Content, data: bytes) -> None:
    actual = sha256_of_chunks([data])
    if actual != content.sha256:
        raise ChecksumMismatch(
            f"{content.path}: sha256 is {actual}, expected {content.sha256}",
            hint="the archive at the source has changed; `dermdata fetch --force` takes the new one",
        )


def find_uninspected(folder: DatasetFolder, contents: Iterable[Content]) -> list[Content]:
    """The images that decode and whose perceptual hash an older version did not note.

    Parameters
    ----------
    folder
        The dataset's folder in the cache.
    contents
        Every file it should hold.

    Returns
    -------
    list of Content
        Empty for a folder that cannot be written: there it could not be noted.

    """
    if not os.access(folder.path, os.W_OK):
        return []
    images = [one for one in contents if one.image and one.image.format and not one.image.problem]
    return [one for one in images if one.image and one.image.phash is None]


def inspect_images(
    plan: FetchPlan, folder: DatasetFolder, jobs: int, progress: Progress
) -> Iterator[Content]:
    """What an older version did not note of its images, from one decode of each that is as it was."""
    if not plan.look:
        return
    task = f"{plan.dataset.name}: look at images"
    progress.begin(task, len(plan.look), "images")
    with cancel_on_interrupt(ThreadPoolExecutor(jobs)) as pool:
        for content, found in zip(
            plan.look, pool.map(partial(inspect_cached_image, folder), plan.look), strict=True
        ):
            progress.advance(task, 1)
            if found:
                yield found
            else:
                progress.say(f"{content.path} was altered; `dermdata verify --repair` fetches it again")
    progress.end(task)


def inspect_cached_image(folder: DatasetFolder, content: Content) -> Content | None:
    """The content with what its image looks like; None where the file is another one by now."""
    data = folder.locate(content.path).read_bytes()
    return (
        replace(content, image=ingest.inspect_image(data))
        if sha256_of_chunks([data]) == content.sha256
        else None
    )


def has_leftovers(folder: DatasetFolder, files: Iterable[FetchedFile]) -> bool:
    """Whether a run has not ended here, or one of the receipt's `files` is an unpacked archive that is still there.

    A bundle is unpacked beside the folder: what a killed one left is seen there.
    """
    beside = any(TEMPORARY_NAME.fullmatch(name) for name in os.listdir(folder.path.parent))  # noqa: PTH208  # a few names
    archives = next(find_unpacked_archives(folder, files, safe_name), None) is not None
    return beside or archives or has_pending_files(folder.path)


def list_leftovers(folder: DatasetFolder) -> list[str]:
    """Files of ours that no record names: archives that were to be deleted, and what was on its way."""
    receipt = folder.receipt()
    files = receipt.files if receipt else ()
    kept = {one.path for one in folder.contents(receipt)} | {one.path for one in files if one.path}
    archives = {
        one.path.relative_to(folder.path).as_posix()
        for one in find_unpacked_archives(folder, files, safe_name)
    }
    return sorted(archives.union(PendingFiles(folder.path).find_strays(kept)))


def remove_leftovers(folder: DatasetFolder) -> None:
    """Sweep all of it; for whoever holds the dataset's lock.

    Where the records themselves are broken nothing is: only another fetch knows what is ours.
    """
    folder.remove_dead_temporaries()
    try:
        found = list_leftovers(folder)
    except CacheDamaged:
        return
    for path in found:
        (folder.path / path).unlink(missing_ok=True)
    PendingFiles(folder.path).clear()
