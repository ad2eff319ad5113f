"""The audit inspects each different image file once and caches the results in files beside the dataset's manifest.

The files are Parquet and not called so: a glob for `*.parquet` finds the manifest and nothing else.

A cached result is used only where the file's bytes still have their SHA-256; a killed audit loses at most one
batch.
"""

import itertools
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from dermdata import disk
from dermdata.checksum import sha256_of_chunks
from dermdata.engine import ClusterExecutor, unseen_file_error
from dermdata.errors import StorageError
from dermdata.images import FILE_BYTE_LIMIT, ImageInspection, PrivateTag, inspect_image
from dermdata.images.image_file import ImageFileTooLarge, hash_image_file, read_image_file
from dermdata.progress import Progress

T = TypeVar("T")
R = TypeVar("R")
FORMAT_VERSION = b"3"  # records of another version mean something else, and are not read
PRIVATE_TYPE = pa.list_(pa.struct([("kind", pa.string()), ("tag", pa.string())]))
LOOK_SCHEMA = pa.schema(
    [
        ("sha256", pa.string()),
        *((name, pa.string()) for name in ("format", "mode", "problem", "damage")),
        *((name, pa.int32()) for name in ("width", "height")),
        ("orientation", pa.int8()),
        ("phash", pa.binary(8)),
        ("private", PRIVATE_TYPE),
    ]
)
SIMILARITY_SCHEMA = pa.schema(
    [("one", pa.string()), ("other", pa.string()), ("turn", pa.int8()), ("likeness", pa.float32())]
)
DigestPair = tuple[str, str, int]  # the digests of two files, and how the second was turned
SHARED_WORDS = ("format", "mode")  # of an inspection: few different ones
ROWS_AT_ONCE = 8192  # that are Python's own
IMAGES_PER_TASK = 16
# whatever is in it, a task costs a cluster milliseconds of scheduler, worker and client: `benchmarks/dask_scaling.py`
IMAGES_PER_CLUSTER_TASK = 64
SPREAD = 64  # tasks that few images make at least
IMAGES_PER_SAVE = 2_000  # what a killed audit loses at most
TASKS_PER_WORKER = 4  # tasks waiting for each thread
TASKS_PER_CLUSTER = 1_024  # for a cluster, however large it grows
SUFFIX, EARLIER_SUFFIX = ".cache", ".parquet"  # of the files of cached results, now and in earlier versions
INSPECT_TASK, COMPARE_TASK = "look at images", "compare images with what was seen"
MISSING_FILE = "the file is missing"


class ParquetLog:
    """The files of one kind in one folder; what cannot be written is reported once and only costs time."""

    def __init__(self, folder: Path | None, kind: str, schema: pa.Schema, progress: Progress) -> None:
        self.folder, self.kind, self.progress = folder, kind, progress
        self.metadata_key = f"dermdata.{kind}".encode()
        self.schema = schema.with_metadata({self.metadata_key: FORMAT_VERSION})
        self.paths: list[Path] = find_log_files(folder, kind) if folder else []

    def read(self) -> Iterator[dict[str, Any]]:
        """The rows of all files that can be read and are of this format."""
        for path in self.paths:
            for batch in self._read_table(path).to_batches(ROWS_AT_ONCE):
                yield from batch.to_pylist()

    def _read_table(self, path: Path) -> pa.Table:
        try:
            disk.require_regular(path)
            # ParquetFile, not read_table: the latter imports pandas
            with pq.ParquetFile(path) as file:
                if (file.schema_arrow.metadata or {}).get(self.metadata_key) != FORMAT_VERSION:
                    return self.schema.empty_table()
                return file.read(columns=self.schema.names)
        except (OSError, pa.ArrowException) as error:
            self.progress.say(f"{path} cannot be read, its images are looked at again: {error}")
            return self.schema.empty_table()

    def write(self, columns: Sequence[Iterable[Any]]) -> Path | None:
        """One more file of these columns, in the schema's order; None where it cannot be written."""
        if self.folder is None or not self.folder.is_dir():  # a folder removed meanwhile is not made again
            return None
        buffer = pa.BufferOutputStream()
        arrays = [pa.array(cells, field.type) for cells, field in zip(columns, self.schema, strict=True)]
        pq.write_table(pa.Table.from_arrays(arrays, schema=self.schema), buffer, compression="zstd")
        data = buffer.getvalue().to_pybytes()
        path = self.folder / f"{self.kind}-{sha256_of_chunks([data])[:16]}{SUFFIX}"
        try:
            disk.write_chunks(path, [data])
        except StorageError as error:
            self.progress.say(f"what was seen of images is not kept: {error.message}")
            self.folder = None
            return None
        self.paths.append(path)
        return path

    def compact(self, columns: Callable[[], Sequence[Iterable[Any]]]) -> None:
        """One file of all rows, whose columns are called for, in place of several."""
        old = self.paths
        if len(old) > 1 and (whole := self.write(columns())):
            self.paths = [whole]
            with disk.storage_errors(whole):
                for path in {*old} - {whole}:
                    path.unlink(missing_ok=True)


def find_log_files(folder: Path, kind: str) -> list[Path]:
    """The files of one kind; those with the ending of earlier versions get today's, where the folder can be written."""
    for path in folder.glob(f"{kind}-*{EARLIER_SUFFIX}"):
        with suppress(OSError):  # a read-only cache: it is read under its old name
            path.rename(path.with_suffix(SUFFIX))
    return sorted(path for ending in (SUFFIX, EARLIER_SUFFIX) for path in folder.glob(f"{kind}-*{ending}"))


class InspectionCache:
    """What the images of one dataset are, by digest, and how alike two of them are."""

    def __init__(self, folder: Path | None, progress: Progress) -> None:
        self._look_log = ParquetLog(folder, "looks", LOOK_SCHEMA, progress)
        self._similarity_log = ParquetLog(folder, "alike", SIMILARITY_SCHEMA, progress)
        self.looks = {row.pop("sha256"): look_from_row(row) for row in self._look_log.read()}
        self._new: list[str] = []

    def add(self, looks: Mapping[str, ImageInspection]) -> None:
        """Remember these; on disk with `save`."""
        self._new += [digest for digest in looks if digest not in self.looks]
        self.looks.update(looks)

    def save(self) -> None:
        """Write what is new as one more file."""
        if self._new:
            self._look_log.write(self._look_columns(self._new))
            self._new = []

    def compact(self) -> None:
        """Write what is new, and make one file of several."""
        self.save()
        self._look_log.compact(lambda: self._look_columns(self.looks))

    def _look_columns(self, digests: Iterable[str]) -> list[Iterable[Any]]:
        """What these images are, as LOOK_SCHEMA has it, by digest: a cell at a time, since rows as dicts are large."""
        ordered = sorted(digests)
        looks = [self.looks[digest] for digest in ordered]
        private = ([one._asdict() for one in look.private] for look in looks)
        facts = (map(attrgetter(name), looks) for name in LOOK_SCHEMA.names[1:-1])
        return [ordered, *facts, private]

    def read_similarities(self) -> dict[DigestPair, float]:
        """What is known of pairs of which the first is this dataset's."""
        return {
            (row["one"], row["other"], row["turn"]): row["likeness"] for row in self._similarity_log.read()
        }

    def save_similarities(self, pairs: Mapping[DigestPair, float], known: Mapping[DigestPair, float]) -> None:
        """Write these, and make one file of them and the known ones."""
        if pairs:
            self._similarity_log.write(similarity_columns(pairs))
            self._similarity_log.compact(lambda: similarity_columns({**known, **pairs}))


def similarity_columns(pairs: Mapping[DigestPair, float]) -> list[Iterable[Any]]:
    """Pairs as SIMILARITY_SCHEMA has them, ascending."""
    ordered = sorted(pairs)
    parts = (map(itemgetter(place), ordered) for place in range(3))
    return [*parts, map(pairs.__getitem__, ordered)]


def look_from_row(row: dict[str, Any]) -> ImageInspection:
    words = {name: sys.intern(word) for name in SHARED_WORDS if (word := row[name]) is not None}
    return ImageInspection(**row | words | {"private": tuple(PrivateTag(**one) for one in row["private"])})


@dataclass(frozen=True, kw_only=True, slots=True)
class RowImage:
    """A row's image file."""

    name: str  # absolute; a Path is ten times as large
    dataset: str
    sha256: str | None  # what the manifest says that it is
    bytes: int | None
    problem: str | None = None  # why it cannot be opened

    @property
    def path(self) -> Path:
        return Path(self.name)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What one file was found to be."""

    look: ImageInspection
    sha256: str | None  # of the bytes that were read; None: they could not be


def inspect_images(
    images: Sequence[RowImage | None],
    caches: Mapping[str, InspectionCache],
    pool: Executor,
    jobs: int,
    progress: Progress,
) -> list[Inspection | None]:
    """What each image is, from the cache where its file has the cached bytes; None of None."""
    files = dict.fromkeys(image for image in images if image)
    found = find_cached(files, caches, pool, jobs, progress)
    todo: dict[str, RowImage] = {}
    for image in files:
        if image.problem:
            found.setdefault(image.name, Inspection(ImageInspection(problem=image.problem), None))
        elif image.name not in found:
            todo.setdefault(image.name, image)
    if todo:
        progress.begin(INSPECT_TASK, len(todo), "images")
        inspect_and_save(list(todo.values()), caches, pool, jobs, found, progress)
        progress.end(INSPECT_TASK)
    return [found[image.name] if image else None for image in images]


def find_cached(
    files: Iterable[RowImage],
    caches: Mapping[str, InspectionCache],
    pool: Executor,
    jobs: int,
    progress: Progress,
) -> dict[str, Inspection]:
    """What is cached of the files whose bytes are still those that were inspected."""
    known = [one for one in files if not one.problem and one.sha256 in caches[one.dataset].looks]
    return {
        image.name: Inspection(caches[image.dataset].looks[digest], image.sha256)  # one text of each digest
        for image, digest in zip(known, read_digests(known, pool, jobs, progress), strict=True)
        if digest is not None and digest == image.sha256
    }


def read_digests(
    images: Sequence[RowImage], pool: Executor, jobs: int, progress: Progress
) -> Iterator[str | None]:
    """The SHA-256 of each file as it is now: what is cached of it is true of the same bytes only."""
    if not images:
        return
    progress.begin(COMPARE_TASK, len(images), "images")
    for digest in map_files(pool, hash_files, images, attrgetter("path"), jobs):
        progress.advance(COMPARE_TASK, 1)
        yield digest
    progress.end(COMPARE_TASK)


def hash_files(paths: Sequence[Path]) -> list[str | None]:
    return [hash_file(path) for path in paths]


def hash_file(path: Path) -> str | None:
    """None of a file that cannot be read: looking at it says why."""
    try:
        return hash_image_file(path)
    except OSError:
        return None


def inspect_and_save(
    todo: Sequence[RowImage],
    caches: Mapping[str, InspectionCache],
    pool: Executor,
    jobs: int,
    found: dict[str, Inspection],
    progress: Progress,
) -> None:
    far = isinstance(pool, ClusterExecutor)
    done = map_files(pool, inspect_files, todo, attrgetter("path"), jobs)
    try:
        for number, (image, seen) in enumerate(zip(todo, done, strict=True), 1):
            if far:
                require_visible_to_worker(image.path, seen)
            if seen.sha256 is not None and seen.sha256 == image.sha256:
                seen = Inspection(seen.look, image.sha256)  # one text of each digest
            found[image.name] = seen
            if seen.sha256:
                caches[image.dataset].add({seen.sha256: seen.look})
            progress.advance(INSPECT_TASK, 1)
            if number % IMAGES_PER_SAVE == 0:
                caches[image.dataset].save()
    finally:
        for cache in caches.values():
            cache.compact()


def map_files(
    pool: Executor,
    work: Callable[[Sequence[Path]], Sequence[R]],
    files: Sequence[T],
    path_of: Callable[[T], Path],
    jobs: int,
) -> Iterator[R]:
    """What the work finds of each file, in their order; a cluster is given larger tasks, and more at a time."""
    most, share, ahead = IMAGES_PER_TASK, jobs * TASKS_PER_WORKER, jobs * TASKS_PER_WORKER
    if isinstance(pool, ClusterExecutor):
        most, share, ahead = IMAGES_PER_CLUSTER_TASK, SPREAD, TASKS_PER_CLUSTER
    size = min(max(len(files) // share, 1), most)
    tasks = ([path_of(one) for one in files[at : at + size]] for at in range(0, len(files), size))
    return itertools.chain.from_iterable(map_in_order(pool, work, tasks, ahead))


def map_in_order(pool: Executor, work: Callable[[T], R], tasks: Iterable[T], ahead: int) -> Iterator[R]:
    """The results in the order of the tasks; only so many wait, so that Ctrl-C ends it soon."""
    waiting: deque[Future[R]] = deque()
    for task in tasks:
        waiting.append(pool.submit(work, task))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def require_visible_to_worker(path: Path, found: Inspection) -> None:
    """StorageError for a file that can be read here and could not by its worker: the data are not to blame."""
    if found.sha256 is None and inspect_file(path).sha256 is not None:
        raise unseen_file_error(f"{path}: {found.look.problem}", "for a worker, though it can be read here")


def inspect_files(paths: Sequence[Path]) -> list[Inspection]:
    return [inspect_file(path) for path in paths]


def inspect_file(path: Path) -> Inspection:
    """A file that is not there or cannot be read is a finding, not a failure."""
    try:
        data = read_image_file(path, FILE_BYTE_LIMIT)
    except ImageFileTooLarge:
        return Inspection(inspect_image(path), None)
    except FileNotFoundError:
        return Inspection(ImageInspection(problem=MISSING_FILE), None)
    except OSError as error:
        return Inspection(ImageInspection(problem=f"the file cannot be read: {error.strerror}"), None)
    return Inspection(inspect_image(data), sha256_of_chunks([data]))
