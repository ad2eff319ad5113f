"""Puts image files into folders: as links to the cache, or as files of their own. Each appears whole."""

import errno
import os
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from dermdata import disk
from dermdata.errors import StorageError
from dermdata.export import shards
from dermdata.export.job import Job
from dermdata.export.pixels import wrong_size
from dermdata.export.stream import Images, blocks

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


@dataclass(frozen=True, slots=True)
class Placed:
    """One image: where it goes below OUT, where it lies now, its bytes there, and what it is made of."""

    path: str
    source: str
    size: int
    mark: str


def place(job: Job, todo: Sequence[Placed]) -> None:
    """Make the images; what is there under their names is replaced."""
    for parent in sorted({one.path.rpartition("/")[0] for one in todo}):
        with disk.storage_errors(job.out / parent):
            (job.out / parent).mkdir(parents=True, exist_ok=True)
    job.progress.begin(TASK, len(todo), "images")
    if job.copy or job.recipe.changes:
        copy(job, todo)
    else:
        link(job, todo)
    job.progress.end(TASK)


def copy(job: Job, todo: Sequence[Placed]) -> None:
    sizes = [one.size for one in todo]
    images = {TASK: Images([one.source for one in todo], sizes, job.recipe)}
    runs = [slice(*run) for run in shards.cut(sizes, shards.GROUP_BYTES, BLOCK_ROWS)]
    with ThreadPoolExecutor(WRITERS) as writers:
        for run, loaded in blocks(images, runs, job.jobs, job.make):
            targets = [job.out / one.path for one in todo[run]]
            for _ in writers.map(write_one, targets, loaded[TASK]):
                job.progress.advance(TASK, 1)


def write_one(target: Path, data: bytes) -> None:
    with disk.replacing(target) as file:
        file.write(data)


def link(job: Job, todo: Sequence[Placed]) -> None:
    """Hard links; symbolic ones where the system has no others."""
    symbolic = 0
    for one in todo:
        symbolic += linked(real(one), job.out / one.path)
        job.progress.advance(TASK, 1)
    if symbolic:
        job.progress.say(
            f"{symbolic:,} images are symbolic links (hard ones cannot lead there): "
            "they break when the cache is moved or deleted; --copy makes files"
        )


def real(one: Placed) -> str:
    """The file itself, whose size is the manifest's."""
    try:
        facts = os.lstat(one.source)
        source = one.source
        if stat.S_ISLNK(facts.st_mode):
            source = os.path.realpath(source)
            facts = os.stat(source)  # noqa: PTH116  # a Path for each of 400,000 images costs more than the link
    except OSError as error:
        raise StorageError(f"cannot read {one.source}: {error.strerror}") from error
    if facts.st_size != one.size:
        raise wrong_size(one.source, facts.st_size, one.size)
    return source


def linked(source: str, target: Path) -> bool:
    """Link the file; True if the link is symbolic."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in NO_HARD_LINK:
            raise disk.as_storage_error(error, target) from error
    else:
        return False
    try:
        target.symlink_to(source)
    except OSError as error:
        raise StorageError(f"cannot link to {target}: {error.strerror}", hint="use --copy") from error
    return True
