"""Cuts the rows of an export into shards, and reads the bytes of their images a block at a time.

While one block is written, the next is read and, if asked, scaled by all workers. Never more than two blocks are in
memory.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from dermdata.engine import ExecutorFactory, thread_executor
from dermdata.export.image_bytes import ImageTask, Recipe, load_images
from dermdata.export.job import foreign_files_error
from dermdata.export.metadata import EXPORT_DIGEST_KEY
from dermdata.manifest.image_files import FoundPath
from dermdata.object_store import Storage

SHARD_BYTES, SHARD_ROWS = 500_000_000, 100_000
GROUP_BYTES, GROUP_ROWS = 32_000_000, 65_536  # one row group is in memory at a time
# changes when the same rows shall be written otherwise; "1": images were not compared with their rows; "2": a mask
# did not lie on a turned image
LAYOUT = "3"
LOAD_BATCH = 16  # images that one call of `load_images` takes
LoadedImages = list[bytes | None]
Out = TypeVar("Out")


@dataclass(frozen=True)
class Shard:
    """Rows `start` to `stop` (exclusive) as one file."""

    name: str
    start: int
    stop: int


def cut_runs(sizes: Sequence[int], most_bytes: int, most_rows: int) -> list[tuple[int, int]]:
    """Runs of rows, in order, each as long as both limits allow; at least one run, at least one row in each."""
    runs, start, held = [], 0, 0
    for row, size in enumerate(sizes):
        if row > start and (held + size > most_bytes or row - start == most_rows):
            runs.append((start, row))
            start, held = row, 0
        held += size
    return [*runs, (start, len(sizes))]


def name_shards(stem: str, sizes: Sequence[int]) -> list[Shard]:
    """The shards of all rows: `<stem>-00000-of-00003.parquet`."""
    runs = cut_runs(sizes, SHARD_BYTES, SHARD_ROWS)
    names = [f"{stem}-{number:05}-of-{len(runs):05}.parquet" for number in range(len(runs))]
    return [Shard(name, *run) for name, run in zip(names, runs, strict=True)]


def table_digest(table: pa.Table, sizes: Sequence[int], *parts: str) -> str:
    """SHA-256 of all that decides the bytes of an export: equal digests, equal files."""
    whole = table.combine_chunks()
    blocks = (whole.slice(start, GROUP_ROWS) for start in range(0, table.num_rows, GROUP_ROWS))
    return blocks_digest(table.schema, blocks, *parts, *map(str, sizes))


def blocks_digest(schema: pa.Schema, blocks: Iterable[pa.Table], *parts: str) -> str:
    """The same of rows that come in blocks of GROUP_ROWS."""
    settings = (LAYOUT, pa.__version__, SHARD_BYTES, SHARD_ROWS, GROUP_BYTES, GROUP_ROWS, *parts)
    running = hashlib.sha256(repr(settings).encode())
    for block in blocks:
        for batch in block.combine_chunks().to_batches():
            running.update(batch.serialize())
    running.update(schema.serialize())
    return running.hexdigest()


def read_digest(storage: Storage, name: str) -> str | None:
    """The digest that an exported file carries; None for a file that is not there or not ours."""
    try:
        with storage.open(name) as file:
            metadata = pq.read_metadata(file).metadata or {}
    except (OSError, pa.ArrowInvalid):
        return None
    found: bytes | None = metadata.get(EXPORT_DIGEST_KEY)
    return None if found is None else found.decode()


def find_stale_shards(storage: Storage, stem: str, wanted: Sequence[Shard]) -> list[str]:
    """Shards of the same name that another run left; UsageError when the folder holds Parquet files not ours.

    Shards of other datasets or splits may stay beside these; so may files that are not Parquet.
    """
    require_own_tables(storage)
    pattern = re.compile(re.escape(stem) + r"-\d{5}-of-\d{5}\.parquet")
    keep = {shard.name for shard in wanted}
    return [name for name in list_tables(storage) if pattern.fullmatch(name) and name not in keep]


def require_own_tables(storage: Storage) -> None:
    """UsageError when the folder holds Parquet files that dermdata did not export."""
    strangers = [name for name in list_tables(storage) if read_digest(storage, name) is None]
    if strangers:
        raise foreign_files_error(storage, strangers, "tables that")


def list_tables(storage: Storage) -> list[str]:
    return [name for name in storage.list_names() if name.endswith(".parquet") and not name.startswith(".")]


def delete_shards(storage: Storage, names: Sequence[str]) -> None:
    """Delete shards of another run, before the new ones come: a mixture must never be seen."""
    for name in names:
        storage.delete(name)


@dataclass(frozen=True)
class ImageColumn:
    """One column of image files: where each row's lies, its bytes as stored, and what is done to it."""

    paths: Sequence[FoundPath]
    sizes: Sequence[int | None]  # None: not known, so not held against the file
    recipe: Recipe
    digests: pa.Table | None = None  # `sha256` and `key` of each row (`image_digests`); None: not known
    level: Sequence[bool] | None = (
        None  # whether a mask or boxes lie on the image (`ImageTask.level`); None: on none
    )
    images: Sequence[FoundPath] | None = None  # of masks: their images

    def tasks(self, rows: slice) -> list[ImageTask]:
        """What is to be done for these rows."""
        found, sizes = self.paths[rows], self.sizes[rows]
        nothing = [None] * len(found)
        digests, keys = (
            (one[rows].to_pylist() for one in self.digests.columns)
            if self.digests is not None
            else (nothing, nothing)
        )
        level = self.level[rows] if self.level else [False] * len(found)
        images = self.images[rows] if self.images else nothing
        return [
            ImageTask(path, size, self.recipe, digest, key, flat, image)
            for path, size, digest, key, flat, image in zip(
                found, sizes, digests, keys, level, images, strict=True
            )
        ]

    def slice_rows(self, rows: slice) -> "ImageColumn":
        """Those of a run of rows."""
        return replace(
            self,
            paths=self.paths[rows],
            sizes=self.sizes[rows],
            digests=self.digests[rows] if self.digests is not None else None,
            level=self.level and self.level[rows],
            images=self.images and self.images[rows],
        )

    def take_rows(self, rows: Sequence[int]) -> "ImageColumn":
        """Those of these rows, in this order."""
        return replace(
            self,
            paths=[self.paths[row] for row in rows],
            sizes=[self.sizes[row] for row in rows],
            digests=self.digests.take(pa.array(rows, pa.int64())) if self.digests is not None else None,
            level=self.level and [self.level[row] for row in rows],
            images=self.images and [self.images[row] for row in rows],
        )


def pair_with_masks(images: ImageColumn, masks: Sequence[FoundPath]) -> dict[str, ImageColumn]:
    """The columns `image` and, where any row has one, `mask`: made like the images but as classes, lying on them.

    How many bytes a mask has nobody states.
    """
    if not any(masks):
        return {"image": images}
    recipe = replace(images.recipe, mask=True)
    return {
        "image": replace(images, level=[mask is not None for mask in masks]),
        "mask": ImageColumn(masks, [None] * len(masks), recipe, images=images.paths),
    }


def load_blocks(
    columns: Mapping[str, ImageColumn],
    runs: Sequence[slice],
    jobs: int,
    make: ExecutorFactory = thread_executor,
) -> Iterator[tuple[slice, dict[str, LoadedImages]]]:
    """Each run of rows with the bytes of its images by column, None where there is no file."""
    return map_blocks(load_images, columns, runs, jobs, make)


def map_blocks(
    work: Callable[[Sequence[ImageTask]], list[Out]],
    columns: Mapping[str, ImageColumn],
    runs: Sequence[slice],
    jobs: int,
    make: ExecutorFactory = thread_executor,
) -> Iterator[tuple[slice, dict[str, list[Out]]]]:
    """Each run of rows with what comes of the work on each of its images by column."""
    with make(jobs) as pool:
        waiting: list[tuple[slice, dict[str, list[Future[list[Out]]]]]] = []
        try:
            for run in chain(runs, [None]):
                if run is not None:
                    waiting.append(
                        (run, {name: submit_tasks(pool, work, one, run) for name, one in columns.items()})
                    )
                if waiting and (len(waiting) == 2 or run is None):
                    rows, futures = waiting.pop(0)
                    yield rows, {name: gather_results(parts) for name, parts in futures.items()}
        finally:
            for _, futures in waiting:
                for one in chain(*futures.values()):
                    one.cancel()


def submit_tasks(
    pool: Executor, work: Callable[[Sequence[ImageTask]], list[Out]], column: ImageColumn, run: slice
) -> list[Future[list[Out]]]:
    tasks = column.tasks(run)
    return [
        pool.submit(work, tasks[start : start + LOAD_BATCH]) for start in range(0, len(tasks), LOAD_BATCH)
    ]


def gather_results(parts: Sequence[Future[list[Out]]]) -> list[Out]:
    return list(chain.from_iterable(one.result() for one in parts))
