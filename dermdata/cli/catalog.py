"""`dermdata catalog`: check the folder of a catalog or of one entry before it is used or handed in."""

from pathlib import Path
from typing import Annotated

import typer

from dermdata.api.display import count_nouns
from dermdata.cli.output import FormatOption, emit
from dermdata.cli.state import state_of

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Check catalog entries of your own before they are used or handed in.",
)
SHOWN = ("level", "file", "line", "problem")


@app.callback()
def catalog() -> None:
    """Check catalog entries of your own before they are used or handed in."""


@app.command()
def check(
    ctx: typer.Context,
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A catalog's folder, or an entry's own that holds dataset.toml."),
    ],
    form: FormatOption = None,
) -> None:
    """Check every entry of a folder: form, sources, facts, labels, licenses; exit 1 on any error, by file and line."""
    from dermdata.api.catalog_check import check_catalog, require_no_errors

    state = state_of(ctx)
    found = check_catalog(state, folder)
    emit(
        found,
        found.columns,
        form,
        "catalog check",
        shown=SHOWN,
        beside={"facts": found.facts},
        color=state.color,
    )
    said = [count_nouns(found.facts[f"{level}s"], level) for level in ("error", "warning")]
    state.say(f"{count_nouns(found.facts['entries'], 'entry')}: {', '.join(said)}")
    require_no_errors(found)
