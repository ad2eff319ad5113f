"""Puts image files into folders: as links to the cache, or as files of their own. Each appears whole.

Images that lie beside a manifest, outside the cache, are always copied.
"""

import errno
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from dermdata import disk
from dermdata.errors import StorageError
from dermdata.export import shards
from dermdata.export.job import Job
from dermdata.export.ledger import Writing
from dermdata.export.pixels import identify
from dermdata.export.stream import Images, blocks, work_in_blocks
from dermdata.manifest.image_files import roots_of

NO_HARD_LINK = {
    errno.EXDEV,
    errno.EPERM,
    errno.EACCES,
    errno.EMLINK,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
}
TASK = "images"
WRITERS = 8  # each waits for the disk most of the time
BLOCK_ROWS = 256
LINK_ROWS = 512  # files that are compared while the ones before are linked


@dataclass(frozen=True, slots=True)
class Placed:
    """One image: where it goes below OUT, where it lies now, its bytes there, and what it is made of."""

    path: str
    source: str
    size: int
    mark: str
    row: int  # of the manifest's table


def place(job: Job, todo: Sequence[Placed], digests: pa.Table, run: Writing) -> None:
    """Make the images, each compared with its row's digest; what is there under their names is replaced."""
    for parent in sorted({one.path.rpartition("/")[0] for one in todo}):
        with disk.storage_errors(job.out / parent):
            (job.out / parent).mkdir(parents=True, exist_ok=True)
    job.progress.begin(TASK, len(todo), "images")
    if job.copy or job.recipe.changes:
        copy(job, todo, digests, run)
    else:
        cached = in_cache(job, todo)
        link(job, [one for one, ours in zip(todo, cached, strict=True) if ours], digests, run)
        copy(job, [one for one, ours in zip(todo, cached, strict=True) if not ours], digests, run)
    job.progress.end(TASK)


def in_cache(job: Job, todo: Sequence[Placed]) -> list[bool]:
    """Which files lie in the cache. No others are linked: who edits an export must not edit their own pictures."""
    roots = roots_of(job.roots)
    folders = [*roots.cached.values(), *([roots.datasets] if roots.datasets else [])]
    homes = tuple(f"{os.path.realpath(folder)}/" for folder in folders)
    parents = {parent: f"{os.path.realpath(parent)}/" for parent in {folder_of(one.source) for one in todo}}
    return [parents[folder_of(one.source)].startswith(homes) for one in todo]


def folder_of(path: str) -> str:
    return path.rpartition("/")[0]


def images_of(job: Job, todo: Sequence[Placed], digests: pa.Table) -> Images:
    rows = pa.array([one.row for one in todo], pa.int64())
    found, sizes = [one.source for one in todo], [one.size for one in todo]
    return Images(found, sizes, job.recipe, digests.take(rows))


def copy(job: Job, todo: Sequence[Placed], digests: pa.Table, run: Writing) -> None:
    if not todo:
        return
    images = images_of(job, todo, digests)
    cuts = shards.cut([one.size for one in todo], shards.GROUP_BYTES, BLOCK_ROWS)

    def write_one(one: Placed, data: bytes) -> None:
        with disk.replacing(job.out / one.path) as file:
            file.write(data)
        run.add(one.path)

    with ThreadPoolExecutor(WRITERS) as writers:
        for cut, loaded in blocks({TASK: images}, [slice(*cut) for cut in cuts], job.jobs, job.make):
            run.require_ours()
            for _ in writers.map(write_one, todo[cut], loaded[TASK]):
                job.progress.advance(TASK, 1)


def link(job: Job, todo: Sequence[Placed], digests: pa.Table, run: Writing) -> None:
    """Hard links; symbolic ones where the system has no others."""
    symbolic, images = 0, images_of(job, todo, digests)
    cuts = [slice(start, start + LINK_ROWS) for start in range(0, len(todo), LINK_ROWS)]
    for cut, files in work_in_blocks(identify, {TASK: images}, cuts, job.jobs, job.make):
        run.require_ours()
        for one, file in zip(todo[cut], files[TASK], strict=True):
            symbolic += linked(real(one.source), f"{job.out}/{one.path}")
            run.add(one.path, file)
        job.progress.advance(TASK, len(files[TASK]))
    if symbolic:
        job.progress.say(
            f"{symbolic:,} images are symbolic links (hard ones cannot lead there): "
            "they break when the cache is moved or deleted; --copy makes files"
        )


def real(source: str) -> str:
    """The file itself, where a name is a link to it."""
    return os.path.realpath(source) if os.path.islink(source) else source  # noqa: PTH114  # see below


def linked(source: str, target: str) -> bool:
    """Link the file; True if the link is symbolic."""
    with suppress(FileNotFoundError):
        os.unlink(target)  # noqa: PTH108  # a Path for each of 400,000 images costs more than the link
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in NO_HARD_LINK:
            raise disk.as_storage_error(error, Path(target)) from error
    else:
        return False
    try:
        Path(target).symlink_to(source)
    except OSError as error:
        raise StorageError(f"cannot link to {target}: {error.strerror}", hint="use --copy") from error
    return True
