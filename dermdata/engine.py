"""Where work on images runs: the one seam, a `concurrent.futures` executor of threads here or of a cluster's workers.

Work is given as functions of a module's top level and arguments that can be pickled, and it changes nothing, so
that it can be done anywhere, and done again when a worker dies. Files are given by path, not by content: a cluster
reads them from the file system that it shares, and only what is made of them travels.
"""

import platform
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib import metadata
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

from dermdata.errors import CannotConnect, NetworkError, StorageError, UsageError
from dermdata.unused_imports import show_unused

ExecutorFactory = Callable[[int], Executor]  # from a number of jobs: an executor to be used in a `with`
P = ParamSpec("P")
R = TypeVar("R")

SCHEMES = {"dask": "tcp", "dask+tls": "tls"}
CONNECT_TIMEOUT = 10  # seconds
# what decides the bytes that are made
DECIDING_LIBRARIES = ("dermdata", "pillow", "numpy", "pyarrow", "simplejpeg")


def thread_executor(jobs: int) -> Executor:
    """Threads: reading waits for the disk, and Pillow decodes, scales and encodes without the interpreter's lock."""
    return ThreadPoolExecutor(jobs)


@dataclass(frozen=True)
class Engine:
    """Something that does the work, and how many workers it has by now."""

    make: ExecutorFactory
    workers: int


@contextmanager
def open_engine(url: str) -> Iterator[Engine]:
    """The cluster at `dask://HOST:PORT`; UsageError for another address, CannotConnect when nothing answers there."""
    address = scheduler_address(url)
    show_unused()
    try:
        from distributed import Client, KilledWorker  # an extra
    except ImportError as error:
        raise UsageError(
            f"{url} needs the extra `dask`", hint="pip install 'dermdata[dask]', here and on every worker"
        ) from error
    client_of: Any = Client  # without type information of its own
    try:
        client = client_of(address, timeout=CONNECT_TIMEOUT, set_as_default=False)
    except (OSError, ValueError) as error:
        raise CannotConnect(
            f"no dask scheduler answers at {url}", hint="start one: `dask scheduler`, see docs/cluster.md"
        ) from error
    try:
        with client:
            yield Engine(
                partial(cluster_executor, client), len(client.scheduler_info(n_workers=-1)["workers"])
            )
    except RuntimeError as error:
        if "deserialization" not in str(error):
            raise
        raise UsageError(
            f"{url} cannot read our work: {str(error).splitlines()[0]}",
            hint="install the same dermdata on the scheduler and on every worker",
        ) from error
    except (CancelledError, KilledWorker) as error:
        raise NetworkError(
            f"{url} has lost the work: {error or 'the scheduler is gone'}",
            hint="look into the workers' logs (memory?), then run the same command again: what is there is kept",
        ) from error


def scheduler_address(url: str) -> str:
    """The scheduler's address in dask's own words."""
    parts = urlsplit(url)
    try:
        whole = parts.scheme in SCHEMES and parts.hostname and parts.port
    except ValueError:  # a port that is no number
        whole = None
    if not whole:
        raise UsageError(f"no engine '{url}'", hint="--engine dask://HOST:PORT, the scheduler's address")
    return f"{SCHEMES[parts.scheme]}://{parts.netloc}"


def cluster_executor(client: Any, _jobs: int) -> Executor:
    """The cluster as an executor; how much it does at once is its own affair."""
    return ClusterExecutor(client.get_executor(pure=False))


class ClusterExecutor(Executor):
    """Has each piece of work done by a worker whose libraries are the ones that are here.

    The scheduler gives the work of a worker that dies to another one; work during which three workers in a row have
    died is an error.
    """

    def __init__(self, inner: Executor) -> None:
        self.inner = inner
        self.versions = library_versions()

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Any:
        return self.inner.submit(run_checked, self.versions, partial(fn, *args, **kwargs))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """What is still to be done when the work ends by an error, or by Ctrl-C, is not waited for."""
        self.shutdown(cancel_futures=kind is not None)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.inner.shutdown(wait=wait and not cancel_futures)


def run_checked(wanted: Mapping[str, str], work: Callable[[], R]) -> R:
    """Do the work, if it comes out here as it would there: another Pillow makes other bytes."""
    if library_versions() != wanted:
        differ = [
            f"{name} {found}, not {wanted[name]}"
            for name, found in library_versions().items()
            if found != wanted[name]
        ]
        raise UsageError(
            f"the worker on {socket.gethostname()} has {', '.join(differ)}",
            hint="give every worker the environment of the machine that asks",
        )
    try:
        return work()
    except StorageError as error:
        raise unseen_file_error(error.message, f"(on {socket.gethostname()})") from error
    except OSError as error:
        if error.filename is None:  # not of the file system
            raise
        raise unseen_file_error(
            f"{error.filename}: {error.strerror}", f"(on {socket.gethostname()})"
        ) from error


def unseen_file_error(what: str, where: str) -> StorageError:
    return StorageError(
        f"{what} {where}",
        hint="every worker must see the cache under the same path: --cache on a shared file system",
    )


@cache
def library_versions() -> dict[str, str]:
    """What decides the bytes that are made of an image."""
    return {"python": ".".join(platform.python_version_tuple()[:2])} | {
        name: metadata.version(name) for name in DECIDING_LIBRARIES
    }
