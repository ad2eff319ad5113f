"""`dermdata doctor`: what a person who helps would ask first."""

from typing import Annotated

import typer

from dermdata.cli.output import FormatOption, emit
from dermdata.cli.state import state_of
from dermdata.errors import ProblemsFound

app = typer.Typer(add_completion=False)


@app.command()
def doctor(
    ctx: typer.Context,
    network: Annotated[
        bool, typer.Option("--network/--no-network", help="Ask the sources whether they answer.")
    ] = True,
    form: FormatOption = None,
) -> None:
    """Versions, cache, free space, credentials found (never their values), sources reachable."""
    from dermdata.api.environment import check_environment

    state = state_of(ctx)
    found = check_environment(state, network=network)
    emit(found, found.columns, form, "doctor", color=state.color)
    if found.facts["errors"]:
        raise ProblemsFound("something needs attention, see the rows marked error")
