"""Looks at the rows' image files, each different file once, by all workers; batch by batch onto the shelf.

What an earlier audit saw is believed of a file only after its bytes are compared with their SHA-256: one that was
altered at the same size is looked at again.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dermdata.audit.seen import Shelf
from dermdata.checksum import of_chunks
from dermdata.engine import Cluster, not_seen
from dermdata.images import FILE_BYTES, Look, look
from dermdata.images.image_file import ImageFileTooLarge, read_image_file, sha256_of_image_file
from dermdata.progress import Progress

TASK = 16  # images
BATCH = 2_000  # images: what a killed audit loses at most
AHEAD, FAR_AHEAD = 4, 1_024  # tasks waiting for each thread, and for a cluster, however large it grows
TASK_NAME, COMPARING = "look at images", "compare images with what was seen"
MISSING = "the file is missing"
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """A row's image file."""

    path: Path
    dataset: str
    sha256: str | None  # what the manifest says that it is
    bytes: int | None
    problem: str | None = None  # why it cannot be opened


@dataclass(frozen=True, slots=True)
class Seen:
    """What one file was found to be."""

    look: Look
    sha256: str | None  # of the bytes that were read; None: they could not be


def looked_at(
    images: Sequence[Image | None],
    shelves: Mapping[str, Shelf],
    pool: Executor,
    jobs: int,
    progress: Progress,
) -> list[Seen | None]:
    """Of each image what it is, from the shelf where its file is the one that lies there; None of None."""
    found: dict[Path, Seen] = {}
    files = dict.fromkeys(image for image in images if image)
    known = [one for one in files if not one.problem and one.sha256 in shelves[one.dataset].looks]
    for image, digest in zip(known, read_digests(known, pool, jobs, progress), strict=True):
        if digest is not None and digest == image.sha256:
            found[image.path] = Seen(shelves[image.dataset].looks[digest], digest)
    todo: dict[Path, Image] = {}
    for image in files:
        if image.problem:
            found.setdefault(image.path, Seen(Look(problem=image.problem), None))
        elif image.path not in found:
            todo.setdefault(image.path, image)
    if todo:
        progress.begin(TASK_NAME, len(todo), "images")
        look_and_keep(list(todo.values()), shelves, pool, jobs, found, progress)
        progress.end(TASK_NAME)
    return [found[image.path] if image else None for image in images]


def read_digests(
    images: Sequence[Image], pool: Executor, jobs: int, progress: Progress
) -> Iterator[str | None]:
    """The SHA-256 of each file as it is now: what was seen of it before is true of the same bytes only."""
    if not images:
        return
    progress.begin(COMPARING, len(images), "images")
    tasks = [[image.path for image in images[at : at + TASK]] for at in range(0, len(images), TASK)]
    for digests in in_order(pool, digests_of, tasks, jobs * AHEAD):
        progress.advance(COMPARING, len(digests))
        yield from digests
    progress.end(COMPARING)


def digests_of(paths: Sequence[Path]) -> list[str | None]:
    return [digest_of(path) for path in paths]


def digest_of(path: Path) -> str | None:
    """None of a file that cannot be read: looking at it says why."""
    try:
        return sha256_of_image_file(path)
    except OSError:
        return None


def look_and_keep(
    todo: Sequence[Image],
    shelves: Mapping[str, Shelf],
    pool: Executor,
    jobs: int,
    found: dict[Path, Seen],
    progress: Progress,
) -> None:
    tasks = [[image.path for image in todo[at : at + TASK]] for at in range(0, len(todo), TASK)]
    far = isinstance(pool, Cluster)
    done = itertools.chain.from_iterable(in_order(pool, look_at, tasks, FAR_AHEAD if far else jobs * AHEAD))
    try:
        for number, (image, seen) in enumerate(zip(todo, done, strict=True), 1):
            if far:
                require_agreement(image.path, seen)
            found[image.path] = seen
            if seen.sha256:
                shelves[image.dataset].add({seen.sha256: seen.look})
            progress.advance(TASK_NAME, 1)
            if number % BATCH == 0:
                shelves[image.dataset].keep()
    finally:
        for shelf in shelves.values():
            shelf.tidy()


def in_order(pool: Executor, work: Callable[[T], R], tasks: Iterable[T], ahead: int) -> Iterator[R]:
    """The results in the order of the tasks; only so many wait, so that Ctrl-C ends it soon."""
    waiting: deque[Future[R]] = deque()
    for task in tasks:
        waiting.append(pool.submit(work, task))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def require_agreement(path: Path, told: Seen) -> None:
    """StorageError for a file that can be read here and could not by its worker: the data are not to blame."""
    if told.sha256 is None and seen(path).sha256 is not None:
        raise not_seen(f"{path}: {told.look.problem}", "for a worker, though it can be read here")


def look_at(paths: Sequence[Path]) -> list[Seen]:
    return [seen(path) for path in paths]


def seen(path: Path) -> Seen:
    """A file that is not there or cannot be read is a finding, not a failure."""
    try:
        data = read_image_file(path, FILE_BYTES)
    except ImageFileTooLarge:
        return Seen(look(path), None)
    except FileNotFoundError:
        return Seen(Look(problem=MISSING), None)
    except OSError as error:
        return Seen(Look(problem=f"the file cannot be read: {error.strerror}"), None)
    return Seen(look(data), of_chunks([data]))
