"""What a Dask cluster adds to the work on images: one and two workers, beside as many processes without it.

    python benchmarks/dask_scaling.py [--quick] [--folder DIR]

Two kinds of work: `audit`'s looks at images by its own code, and what `fetch` does to each image that it has unpacked
(decode check, perceptual hash, SHA-256, size; `fetch` itself has no `--engine`). JPEGs of 600 x 450 and 21 kB: the less
work an image is, the more its way counts. Client, scheduler and workers are processes of this machine, each worker has one
thread. Where two workers, the scheduler and the client share two cores, the most that can be had is less than twice.

What is said of more workers than were run is an inference from what a task costs a worker, and the scheduler and the
client, who do all tasks one after the other, and that doubling the workers makes an image as much dearer again as from one
to two; it takes for granted that each worker has a core and the files come as fast.
What the scheduler's process computes while nothing comes is counted as work on tasks, so it can feed more than is said.
Bytes are those of tasks and results as dask packs them, without its own words about them.
"""

import argparse
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import spliced
from cluster import Cluster, look_as_fetch, started

from dermdata import engine
from dermdata.audit import inspection
from dermdata.progress import SilentProgress

NAMES = {1: "1 worker", 2: "2 workers"}
NETWORK = 125e6  # bytes a second: one Gbit/s
EMPTY_TASKS = 1_000
PARTS = ("workers", "scheduler", "client")
LEAST, WANTED = 1.5, 3.0  # times one worker: of two, and of four
Work = Callable[[Sequence[Path], Executor], int]


# ------------------------------------------------------------------ the work


def fetched(paths: Sequence[Path], pool: Executor) -> int:
    """What `fetch` does to each image."""
    return sum(1 for _ in inspection.map_files(pool, look_as_fetch, paths, Path, jobs=2))


def audited(paths: Sequence[Path], pool: Executor) -> int:
    """The looks of `audit`, by its own code; nothing is remembered."""
    images = [inspection.RowImage(name=str(path), dataset="", sha256=None, bytes=None) for path in paths]
    caches = {"": inspection.InspectionCache(None, SilentProgress())}
    found = inspection.inspect_images(images, caches, pool, 2, SilentProgress())
    return sum(1 for one in found if one and one.look.phash)


WORKS: dict[str, tuple[Work, Callable[[Sequence[Path]], list[Any]]]] = {
    "fetch": (fetched, look_as_fetch),
    "audit": (audited, inspection.inspect_files),
}


# ------------------------------------------------------------------ the measure


@dataclass(frozen=True, kw_only=True)
class Way:
    """Who does the work."""

    name: str
    pool: Callable[[], Executor]
    cluster: Cluster | None = None


@dataclass(frozen=True, kw_only=True)
class Taken:
    """Seconds, and the processor time of who took part."""

    seconds: float
    workers: float = 0.0
    scheduler: float = 0.0
    client: float = 0.0


def taken(way: Way, work: Callable[[Executor], int], expected: int) -> Taken:
    """One run, its workers warm."""
    with way.pool() as pool:
        before = clocks(way.cluster)
        done = work(pool)
        after = clocks(way.cluster)
    assert done == expected, f"{way.name}: {done} of {expected}"
    seconds, client, scheduler, workers = (late - early for late, early in zip(after, before, strict=True))
    return Taken(seconds=seconds, client=client, scheduler=scheduler, workers=workers)


def clocks(cluster: Cluster | None) -> tuple[float, float, float, float]:
    """Seconds; processor time of this process, the scheduler and the workers."""
    there = (cluster.scheduler_seconds(), cluster.worker_seconds()) if cluster else (0.0, 0.0)
    return (time.perf_counter(), time.process_time(), *there)


def ways(folder: Path, stack: ExitStack) -> Iterator[Way]:
    """Processes, warm when the work comes, and clusters."""
    for number, name in NAMES.items():
        processes = stack.enter_context(ProcessPoolExecutor(number))
        list(processes.map(abs, range(100)))
        yield Way(name=f"without Dask, {name}", pool=partial(Lent, processes))
        cluster = stack.enter_context(started(folder, number))
        found = stack.enter_context(engine.open_engine(cluster.url))
        yield Way(name=f"Dask, {name}", pool=partial(found.make, number), cluster=cluster)


class Lent(Executor):
    """A pool of processes that stays when the work is done."""

    def __init__(self, inner: Executor) -> None:
        self.submit = inner.submit  # type: ignore[method-assign]

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """The next work needs it."""


def measure(there: Sequence[Way], work: Work, paths: Sequence[Path], rounds: int) -> dict[str, list[Taken]]:
    """All ways in turn, so many times; the first time warms and is not counted."""
    found: dict[str, list[Taken]] = {way.name: [] for way in there}
    for way in there:
        taken(way, partial(work, paths[:500]), 500)
    for number in range(rounds):
        for way in there if number % 2 else there[::-1]:
            found[way.name].append(taken(way, partial(work, paths), len(paths)))
    return found


def nothing(pool: Executor) -> int:
    """So many tasks without work."""
    return sum(inspection.map_in_order(pool, int, ["1"] * EMPTY_TASKS, inspection.TASKS_PER_CLUSTER))


def cost_of_task(way: Way) -> list[str]:
    """What a task without work takes, in ms."""
    empty = taken(way, nothing, EMPTY_TASKS)
    return [way.name, *(f"{1000 * getattr(empty, part) / EMPTY_TASKS:.2f}" for part in ("seconds", *PARTS))]


# ------------------------------------------------------------------ what is moved


def moved(paths: Sequence[Path], work: Callable[[Sequence[Path]], list[Any]]) -> tuple[int, int]:
    """Bytes of a task and of its results, as dask packs them."""
    from distributed.protocol import pickle

    pack: Callable[[object], bytes] = pickle.dumps  # without type information of its own
    task = (engine.run_checked, engine.library_versions(), partial(work, paths))
    return len(pack(task)), len(pack(work(paths)))


# ------------------------------------------------------------------ tables


def show(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for row in (head, ["---"] * len(head), *rows):
        print(f"| {' | '.join(row)} |")
    print(flush=True)


def middle(runs: Sequence[Taken], name: str) -> float:
    return float(statistics.median(getattr(one, name) for one in runs))


def times(runs: Mapping[str, Sequence[Taken]], kind: str) -> float:
    """How many times as fast two are as one, the median of the rounds."""
    one, two = (runs[f"{kind}, {name}"] for name in NAMES.values())
    return statistics.median(few.seconds / many.seconds for few, many in zip(one, two, strict=True))


def show_runs(name: str, runs: Mapping[str, Sequence[Taken]], count: int) -> None:
    rows = []
    for way, some in runs.items():
        seconds = [one.seconds for one in some]
        median, spread = statistics.median(seconds), f"{min(seconds):.2f}-{max(seconds):.2f}"
        parts = [f"{middle(some, part):.2f}" if way.startswith("Dask") else "" for part in PARTS]
        rows.append([way, f"{median:.2f}", spread, f"{count / median:,.0f}", *parts])
    head = [f"{name}, {count:,} images", "median s", "spread s", "images a second"]
    show([*head, "workers' CPU s", "scheduler's CPU s", "client's CPU s"], rows)


def judge(
    name: str, runs: Mapping[str, Sequence[Taken]], count: int, packed: tuple[int, int]
) -> list[list[str]]:
    """The goal, and what is inferred of more workers."""
    one, two = runs["Dask, 1 worker"], runs["Dask, 2 workers"]
    worker, scheduler, client = (middle(one, part) for part in PARTS)
    in_turn = max(scheduler, client)
    by_cpu = 2 * worker / (middle(two, "workers") + middle(two, "scheduler") + middle(two, "client"))
    found, alone = times(runs, "Dask"), times(runs, "without Dask")
    at_scheduler = worker / in_turn
    at_network = NETWORK / (sum(packed) / inspection.IMAGES_PER_CLUSTER_TASK) / (count / worker)
    slower = min(
        1.0, worker / middle(two, "workers")
    )  # what an image takes more with two workers than with one
    inferred = min(4 * slower**2, at_scheduler, at_network)
    return [
        [f"{name}: 2 workers / 1 worker", f"{found:.2f}", f"at least {LEAST}", met(found >= LEAST)],
        [f"{name}: the same without Dask", f"{alone:.2f}", "", ""],
        [f"{name}: the most that 2 cores allow with scheduler and client on them, by CPU", f"{by_cpu:.2f}", "", ""],
        [f"{name}: inferred: workers that scheduler or client can feed", f"{at_scheduler:.0f}", "", ""],
        [f"{name}: inferred: workers that 1 Gbit/s can feed", f"{at_network:,.0f}", "", ""],
        [f"{name}: inferred: 4 workers / 1 worker", f"{inferred:.2f}", f"at least {WANTED:g}", met(inferred >= WANTED)],
    ]  # fmt: skip


def met(is_met: bool) -> str:
    return "yes" if is_met else "no"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="Fewer images, one round.")
    parser.add_argument("--folder", type=Path, help="Where the data are made for the time of the run.")
    asked = parser.parse_args()
    if not importlib.util.find_spec("distributed"):
        print("Left out: Dask (distributed is not installed).")
        return
    count, rounds = (1_536, 1) if asked.quick else (16_384, 5)
    with tempfile.TemporaryDirectory(dir=asked.folder) as name, ExitStack() as stack:
        compare(Path(name), stack, count, rounds)


def compare(folder: Path, stack: ExitStack, count: int, rounds: int) -> None:
    """Print the tables of both kinds of work, of what is moved and what a task costs, and the goals."""
    spliced.make(folder, count)
    paths = sorted(folder.glob("*/*.jpg"))
    file = f"{statistics.mean(path.stat().st_size for path in paths):,.0f}"
    there = list(ways(folder, stack))
    goals: list[list[str]] = []
    sizes: list[list[str]] = []
    for kind, (work, of_task) in WORKS.items():
        runs = measure(there, work, paths, rounds)
        show_runs(kind, runs, count)
        packed = moved(paths[: inspection.IMAGES_PER_CLUSTER_TASK], of_task)
        goals += judge(kind, runs, count, packed)
        sizes.append([kind, *(f"{one / inspection.IMAGES_PER_CLUSTER_TASK:.0f}" for one in packed), file])
    costs = [cost_of_task(way) for way in there if way.cluster]
    show(
        ["moved for each image, bytes", "its path, in the task", "what was seen", "its file, not moved"],
        sizes,
    )
    show(["a task without work, ms", "seconds", "workers' CPU", "scheduler's CPU", "client's CPU"], costs)
    show(["goal", "measured", "wanted", "met"], goals)


if __name__ == "__main__":
    main()
