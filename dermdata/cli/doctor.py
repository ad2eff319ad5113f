"""`dermdata doctor`: what a person who helps would ask first, and what the sources have today."""

from pathlib import Path
from typing import Annotated

import typer

from dermdata.cli.complete import entry_names
from dermdata.cli.output import Format, FormatOption, emit
from dermdata.cli.state import State, state_of
from dermdata.errors import ProblemsFound, UsageError

app = typer.Typer(add_completion=False)
SHOWN = ("name", "state", "asked", "detail")


@app.command()
def doctor(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME…]", autocompletion=entry_names, help="With --sources: only these entries."
        ),
    ] = None,
    network: Annotated[
        bool, typer.Option("--network/--no-network", help="Ask the sources whether they answer.")
    ] = True,
    sources: Annotated[
        bool,
        typer.Option(
            "--sources",
            help="Ask each entry's hosts for one byte or their listing, and compare with the catalog.",
        ),
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(help="With --sources: keep all of it, with its date.", metavar="FILE.json"),
    ] = None,
    update: Annotated[
        Path | None,
        typer.Option(help="With --sources: note in DIR/health.json what was seen.", metavar="DIR"),
    ] = None,
    form: FormatOption = None,
) -> None:
    """Versions, cache, free space, credentials found (never their values), sources and what they have."""
    from dermdata.api.environment import check_environment

    state = state_of(ctx)
    if sources:
        show_sources(state, names or [], report, update, form)
        return
    if names or report or update:
        raise UsageError("names, --report and --update go with --sources", hint="add --sources")
    found = check_environment(state, network=network)
    emit(found, found.columns, form, "doctor", color=state.color)
    if found.facts["errors"]:
        raise ProblemsFound("something needs attention, see the rows marked error")


def show_sources(
    state: State, names: list[str], report: Path | None, update: Path | None, form: Format | None
) -> None:
    """Print what each entry's hosts have, an entry a row."""
    from dermdata.api.source_check import check_sources, require_as_stated

    found = check_sources(state, names, report=report, update=update)
    columns = found.columns if form in ("json", "jsonl") else found.columns[:-1]  # places are for programs
    emit(found, columns, form, "doctor sources", shown=SHOWN, beside=found.facts, color=state.color)
    require_as_stated(found)
