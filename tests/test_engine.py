"""Work on a real cluster of two worker processes comes out as it does here, even when one of them is killed."""

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from dermdata import engine, export
from dermdata.audit import inspection
from dermdata.engine import ClusterExecutor, library_versions, run_checked
from dermdata.errors import CannotConnect, NetworkError, SizeMismatch, StorageError, UsageError
from dermdata.export import Job, shards
from dermdata.export.image_bytes import ImageTask, Recipe, load_images
from dermdata.images import hash_pixels, read_raster
from export.samples import row, table
from support.audit_builders import audited, rows
from support.lesion_pictures import blurred_lesion, jpeg, turned_picture

# what dask leaves to the garbage collector says so in its own time
pytestmark = [
    pytest.mark.xdist_group("cluster"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def nothing_is_left_for_other_tests() -> Iterator[None]:
    gc.freeze()  # what other tests keep is not looked through each time
    yield
    gc.collect()


# a scheduler and two workers, each a process: prints their address and the workers' numbers, ends with its stdin
CLUSTER = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster("127.0.0.1", n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        print(cluster.scheduler_address.removeprefix("tcp://"), *(one.pid for one in cluster.workers.values()), flush=True)
        sys.stdin.read()
"""
IMAGES = 24


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """The engine's URL and the workers' process ids."""
    script = folder / "cluster.py"
    script.write_text(CLUSTER)
    settings = os.environ | {"DASK_DISTRIBUTED__NANNY__PRE_SPAWN_ENVIRON__OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, cwd=folder, env=settings,
    ) as process:  # fmt: skip
        assert process.stdout
        assert process.stdin
        address, *pids = process.stdout.readline().split()
        yield f"dask://{address}", list(map(int, pids))
        process.stdin.close()


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    root = tmp_path / "cache" / "demo"
    rows = table([row(root, number) for number in range(IMAGES)])

    def make(out: str, **changes: object) -> Job:
        return Job(
            table=rows, roots={"demo": root}, out=tmp_path / out, embed=True, size=5, jobs=2, **changes
        )  # type: ignore[arg-type]

    return make


def test_a_cluster_that_loses_a_worker_writes_what_threads_write(
    job: Callable[..., Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "LOAD_BATCH", 1)
    export.write("webdataset", job("local"))
    with cluster(tmp_path) as (url, pids), engine.open_engine(url) as found:
        assert found.workers == 2

        export.write("webdataset", job("far", make=partial(Killing, found.make, pids[:1])))
        with found.make(1) as pool, pytest.raises(SizeMismatch, match="the manifest says"):
            pool.submit(load_images, [ImageTask(str(tmp_path / "cluster.py"), 1, Recipe())]).result()
        with pytest.raises(UsageError, match="cannot read our work"), engine.open_engine(url) as other:
            other.make(1).submit(refuse).result()
        with pytest.raises(NetworkError, match="lost the work"), engine.open_engine(url):
            raise CancelledError  # what a future says whose scheduler is gone
    local, far = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("local", "far"))
    assert local == far


def test_an_audit_on_a_cluster_that_loses_a_worker_finds_what_threads_find(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken, missing and near alike: the same findings with the same evidence, in the same order."""
    monkeypatch.setattr(inspection, "IMAGES_PER_TASK", 1)
    pictures = [blurred_lesion(number) for number in range(8)]
    pictures += [turned_picture(pictures[number], number) for number in range(1, 4)]
    names = [f"{number}.jpg" for number in range(len(pictures) + 2)]
    for name, one in zip(names, pictures, strict=False):
        (tmp_path / name).write_bytes(jpeg(one))
    (tmp_path / names[-2]).write_bytes(jpeg(pictures[0])[:2000])
    table = rows(path=names)
    local = audited(table, root=tmp_path, near=True)
    with cluster(tmp_path) as (url, pids), engine.open_engine(url) as found:
        far = audited(table, root=tmp_path, near=True, make=partial(Killing, found.make, pids[:1]))
    assert far == local
    assert {"duplicate-near", "image-truncated", "image-unreadable"} <= {one.code for one in local}


class Killing(ClusterExecutor):
    """Kills a worker once, when several pieces of work are with it."""

    def __init__(self, make: engine.ExecutorFactory, victims: list[int], jobs: int) -> None:
        self.inner, self.victims, self.asked = make(jobs), victims, 0

    def submit(self, *work: object) -> object:  # type: ignore[override]
        future = self.inner.submit(*work)  # type: ignore[arg-type]
        self.asked += 1
        if self.asked == 8 and self.victims:
            os.kill(self.victims.pop(), signal.SIGKILL)
        return future


def refuse() -> None:
    """Of a module that the cluster does not have."""


def test_work_that_ends_by_an_error_waits_for_nothing() -> None:
    """Of a thousand tasks that a cluster has got, Ctrl-C would wait for all; dask cancels what is not waited for."""
    whole, broken = Recorded(1), Recorded(1)
    with ClusterExecutor(whole) as pool:
        pool.submit(str)
    with suppress(KeyboardInterrupt), ClusterExecutor(broken):
        raise KeyboardInterrupt
    assert (whole.waited, broken.waited) == ([True], [False])


class Recorded(ThreadPoolExecutor):
    """Remembers whether its end was waited for."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self.waited: list[bool] = []

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.waited.append(wait)
        super().shutdown(wait, cancel_futures=cancel_futures)


@pytest.mark.parametrize(
    ("files", "largest", "tasks"), [(0, 0, 0), (3, 1, 3), (640, 10, 64), (10_000, 64, 157)]
)
def test_a_cluster_gets_large_tasks_of_many_files_and_small_ones_of_few(
    files: int, largest: int, tasks: int
) -> None:
    """What a task costs its scheduler is the same for one image and for many; and no worker shall be idle."""
    paths = [Path(f"{number}.jpg") for number in range(files)]
    seen: list[int] = []

    def names(some: Sequence[Path]) -> list[str]:
        seen.append(len(some))
        return [path.name for path in some]

    with ClusterExecutor(ThreadPoolExecutor(2)) as pool:
        found = list(inspection.map_files(pool, names, paths, Path, jobs=1))
    assert found == [path.name for path in paths]
    assert (max(seen, default=0), len(seen)) == (largest, tasks)


def test_a_worker_with_other_libraries_is_refused() -> None:
    """Another Pillow makes other bytes, so nothing of it may be mixed in."""
    with pytest.raises(UsageError, match=r"has pillow .*, not 0\.1"):
        run_checked(library_versions() | {"pillow": "0.1"}, str)


def test_a_worker_that_does_not_see_the_files_says_where_it_is() -> None:
    with (
        ClusterExecutor(ThreadPoolExecutor(1)) as pool,
        pytest.raises(StorageError, match=r"no disk \(on .+\)") as caught,
    ):
        pool.submit(missing).result()
    assert "the same path" in str(caught.value.hint)


@pytest.mark.parametrize("read", [hash_pixels, read_raster])
def test_it_says_so_also_where_the_picture_was_looked_at_before(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    """What a look found is on the shelf, but comparing pictures reads the files again."""
    with (
        ClusterExecutor(ThreadPoolExecutor(1)) as pool,
        pytest.raises(StorageError, match=r"gone\.jpg: No such file.* \(on .+\)") as caught,
    ):
        pool.submit(read, tmp_path / "gone.jpg").result()
    assert "the same path" in str(caught.value.hint)


def missing() -> None:
    raise StorageError("no disk")


@pytest.mark.parametrize("url", ["ray://h:1", "dask://h", "dask://:8786", "dask://h:many", "h:8786", ""])
def test_an_engine_that_there_is_not(url: str) -> None:
    with pytest.raises(UsageError, match="no engine"), engine.open_engine(url):
        raise AssertionError("opened")


def test_no_scheduler_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "CONNECT_TIMEOUT", 0.3)
    with (
        pytest.raises(CannotConnect, match="no dask scheduler answers"),
        engine.open_engine("dask://127.0.0.1:9"),
    ):
        raise AssertionError("opened")


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match="needs the extra `dask`"), engine.open_engine("dask://127.0.0.1:9"):
        raise AssertionError("opened")
