"""A Dask cluster on this machine, as processes whose processor time can be read, and work of `fetch` for its workers."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dermdata.checksum import sha256_of_chunks
from dermdata.fetching.ingest import inspect_image
from dermdata.model import ImageFacts

# a scheduler and workers of one thread, each a process: prints their address and numbers, ends with its stdin
SCRIPT = """
import os, sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster("127.0.0.1", n_workers={workers}, threads_per_worker=1, dashboard_address=None) as cluster:
        address = cluster.scheduler_address.removeprefix("tcp://")
        print(address, os.getpid(), *(one.pid for one in cluster.workers.values()), flush=True)
        sys.stdin.read()
"""


@dataclass(frozen=True)
class Cluster:
    """Where it is, and which processes it is."""

    url: str  # what `--engine` takes
    scheduler: int
    workers: list[int]

    def scheduler_seconds(self) -> float:
        """Processor time of the scheduler so far."""
        return processor_time([self.scheduler])

    def worker_seconds(self) -> float:
        """Processor time of all workers so far."""
        return processor_time(self.workers)


def processor_time(numbers: Sequence[int]) -> float:
    """Seconds that these processes have computed."""
    import psutil  # type: ignore[import-untyped]  # comes with distributed

    times = [psutil.Process(number).cpu_times() for number in numbers]
    return sum(float(one.user + one.system) for one in times)


@contextmanager
def started(folder: Path, workers: int) -> Iterator[Cluster]:
    """A cluster of so many workers, for as long as the block runs."""
    script = folder / f"cluster_{workers}.py"
    script.write_text(SCRIPT.format(workers=workers), encoding="utf-8")
    settings = {
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "DASK_DISTRIBUTED__NANNY__PRE_SPAWN_ENVIRON__OMP_NUM_THREADS": "1",
    }
    with subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, cwd=folder, env=os.environ | settings,
    ) as process:  # fmt: skip
        assert process.stdout
        assert process.stdin
        address, *numbers = process.stdout.readline().split()
        scheduler, *workers_of = map(int, numbers)
        yield Cluster(f"dask://{address}", scheduler, workers_of)
        process.stdin.close()


def look_as_fetch(paths: Sequence[Path]) -> list[tuple[ImageFacts, str, int]]:
    """What `fetch` does to each image that it has unpacked: decode check and hash, SHA-256, size."""
    found = []
    for path in paths:
        data = path.read_bytes()
        found.append((inspect_image(data), sha256_of_chunks([data]), len(data)))
    return found
