"""Rows and the bytes of their images, a block at a time: what every format with images writes from.

While one block is written, the next is read and, if asked, scaled by all workers. Never more than two blocks
are in memory.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from itertools import chain

from dermdata.engine import Make, executor
from dermdata.export.files import Found
from dermdata.export.pixels import Recipe, Task, load

BATCH = 16  # images that one call of `load` takes
Loaded = list[bytes | None]


@dataclass(frozen=True)
class Images:
    """One column of image files: where each row's lies, its bytes as stored, and what is done to it."""

    found: Sequence[Found]
    sizes: Sequence[int | None]  # None: not known, so not held against the file
    recipe: Recipe

    def tasks(self, rows: slice) -> list[Task]:
        pairs = zip(self.found[rows], self.sizes[rows], strict=True)
        return [Task(path, size, self.recipe) for path, size in pairs]


def blocks(
    columns: Mapping[str, Images],
    runs: Sequence[slice],
    jobs: int,
    make: Make = executor,
) -> Iterator[tuple[slice, dict[str, Loaded]]]:
    """Each run of rows with the bytes of its images by column, None where there is no file."""
    with make(jobs) as pool:
        waiting: list[tuple[slice, dict[str, list[Future[Loaded]]]]] = []
        try:
            for run in chain(runs, [None]):
                if run is not None:
                    waiting.append((run, {name: asked(pool, one, run) for name, one in columns.items()}))
                if waiting and (len(waiting) == 2 or run is None):
                    rows, futures = waiting.pop(0)
                    yield rows, {name: gathered(parts) for name, parts in futures.items()}
        finally:
            for _, futures in waiting:
                for one in chain(*futures.values()):
                    one.cancel()


def asked(pool: Executor, column: Images, run: slice) -> list[Future[Loaded]]:
    tasks = column.tasks(run)
    return [pool.submit(load, tasks[start : start + BATCH]) for start in range(0, len(tasks), BATCH)]


def gathered(parts: Sequence[Future[Loaded]]) -> Loaded:
    return list(chain.from_iterable(one.result() for one in parts))
