"""Rows and the bytes of their images, a block at a time: what every format with images writes from.

While one block is written, the next is read and, if asked, scaled by all workers. Never more than two blocks
are in memory.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

import pyarrow as pa

from dermdata.engine import Make, executor
from dermdata.export.files import Found
from dermdata.export.pixels import Recipe, Task, load

BATCH = 16  # images that one call of `load` takes
Loaded = list[bytes | None]
Out = TypeVar("Out")


@dataclass(frozen=True)
class Images:
    """One column of image files: where each row's lies, its bytes as stored, and what is done to it."""

    found: Sequence[Found]
    sizes: Sequence[int | None]  # None: not known, so not held against the file
    recipe: Recipe
    digests: pa.Table | None = None  # `sha256` and `key` of each row (pictures.digests); None: not known

    def tasks(self, rows: slice) -> list[Task]:
        """What is to be done for these rows."""
        found, sizes = self.found[rows], self.sizes[rows]
        if self.digests is None:
            return [Task(path, size, self.recipe) for path, size in zip(found, sizes, strict=True)]
        columns = (one[rows].to_pylist() for one in self.digests.columns)
        return [
            Task(path, size, self.recipe, digest, key)
            for path, size, digest, key in zip(found, sizes, *columns, strict=True)
        ]

    def part(self, rows: slice) -> "Images":
        """Those of a run of rows."""
        digests = self.digests[rows] if self.digests is not None else None
        return Images(self.found[rows], self.sizes[rows], self.recipe, digests)

    def take(self, rows: Sequence[int]) -> "Images":
        """Those of these rows, in this order."""
        digests = self.digests.take(pa.array(rows, pa.int64())) if self.digests is not None else None
        found, sizes = [self.found[row] for row in rows], [self.sizes[row] for row in rows]
        return Images(found, sizes, self.recipe, digests)


def blocks(
    columns: Mapping[str, Images],
    runs: Sequence[slice],
    jobs: int,
    make: Make = executor,
) -> Iterator[tuple[slice, dict[str, Loaded]]]:
    """Each run of rows with the bytes of its images by column, None where there is no file."""
    return work_in_blocks(load, columns, runs, jobs, make)


def work_in_blocks(
    work: Callable[[Sequence[Task]], list[Out]],
    columns: Mapping[str, Images],
    runs: Sequence[slice],
    jobs: int,
    make: Make = executor,
) -> Iterator[tuple[slice, dict[str, list[Out]]]]:
    """Each run of rows with what comes of the work on each of its images by column."""
    with make(jobs) as pool:
        waiting: list[tuple[slice, dict[str, list[Future[list[Out]]]]]] = []
        try:
            for run in chain(runs, [None]):
                if run is not None:
                    waiting.append(
                        (run, {name: asked(pool, work, one, run) for name, one in columns.items()})
                    )
                if waiting and (len(waiting) == 2 or run is None):
                    rows, futures = waiting.pop(0)
                    yield rows, {name: gathered(parts) for name, parts in futures.items()}
        finally:
            for _, futures in waiting:
                for one in chain(*futures.values()):
                    one.cancel()


def asked(
    pool: Executor, work: Callable[[Sequence[Task]], list[Out]], column: Images, run: slice
) -> list[Future[list[Out]]]:
    tasks = column.tasks(run)
    return [pool.submit(work, tasks[start : start + BATCH]) for start in range(0, len(tasks), BATCH)]


def gathered(parts: Sequence[Future[list[Out]]]) -> list[Out]:
    return list(chain.from_iterable(one.result() for one in parts))
