"""`--engine URL`: who does the work on images."""

from typing import Annotated

import typer

EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine", help="Work on images on a cluster: dask://HOST:PORT (docs/cluster.md).", metavar="URL"
    ),
]
