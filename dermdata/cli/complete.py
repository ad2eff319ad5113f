"""What the shell can complete: dataset names; and the arguments that commands share for it."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from dermdata.api.display import print_message
from dermdata.cli.state import state_of
from dermdata.errors import DermdataError


def dataset_names(ctx: Any, incomplete: str) -> Iterator[str]:
    """The catalog's names that begin so; completion never fails, it only offers nothing."""
    try:
        names = list(state_of(ctx).catalog)
    except DermdataError as error:
        print_message(error.message)
        return
    yield from (name for name in names if name.startswith(incomplete))


Targets = Annotated[
    list[str],
    typer.Argument(
        metavar="TARGET…",
        autocompletion=dataset_names,
        help="Dataset names, manifest files, or - for a stream.",
    ),
]
TargetsOrCached = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[TARGET…]",
        autocompletion=dataset_names,
        help="Datasets, manifests or - (an Arrow stream); all that is cached if none is given.",
    ),
]
