"""`--engine URL`: who does the work on images."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from dermdata.cli.state import State

if TYPE_CHECKING:
    from dermdata.engine import Make

EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine", help="Work on images on a cluster: dask://HOST:PORT (docs/cluster.md).", metavar="URL"
    ),
]


@contextmanager
def workers(state: State, url: str | None) -> Iterator["Make"]:
    """Threads here, or a cluster's workers and a word on how many there are."""
    from dermdata import engine

    if url is None:
        yield engine.executor
        return
    with engine.opened(url) as found:
        state.say(
            f"{url}: {found.workers} worker{'s' * (found.workers != 1)}"
            if found.workers
            else f"{url} has no workers yet: waiting for them"
        )
        yield found.make
