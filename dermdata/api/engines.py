"""Who does the work on images: threads of this process, or the workers of a cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dermdata.api.resources import Resources

if TYPE_CHECKING:
    from dermdata.engine import ExecutorFactory


@contextmanager
def open_workers(resources: Resources, url: str | None) -> Iterator["ExecutorFactory"]:
    """Threads here, or a cluster's workers; how many of these there are is told.

    Parameters
    ----------
    resources : Resources
        Who is told.
    url : str, optional
        The scheduler of a cluster, as `dask://HOST:PORT`.

    Raises
    ------
    UsageError
        For an address of another kind, and where the extra `dask` is not installed.
    NetworkError
        Where no scheduler answers, or it loses the work.

    """
    from dermdata import engine

    if url is None:
        yield engine.thread_executor
        return
    with engine.open_engine(url) as found:
        resources.say(
            f"{url}: {found.workers} worker{'s' * (found.workers != 1)}"
            if found.workers
            else f"{url} has no workers yet: waiting for them"
        )
        yield found.make
