"""`dermdata lock`: a cohort as a small file that rebuilds it exactly."""

from pathlib import Path
from typing import Annotated

import typer

from dermdata.api.display import count_nouns, format_size
from dermdata.cli.complete import cached_entries
from dermdata.cli.output import FormatOption, emit
from dermdata.cli.state import state_of

app = typer.Typer(add_completion=False)
SHOWN = ("name", "version", "rows", "images")


@app.command()
def lock(
    ctx: typer.Context,
    targets: Annotated[
        list[str],
        typer.Argument(metavar="TARGET…", autocompletion=cached_entries, help="Datasets, manifests or -."),
    ],
    out: Annotated[
        Path, typer.Option("--output", "-o", help="The lock file, such as cohort.lock.", metavar="FILE")
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be locked; write nothing.")
    ] = False,
    form: FormatOption = None,
) -> None:
    """Record exactly these rows: datasets, versions, images' checksums, labels, split; `sync` rebuilds them."""
    from dermdata.api.locking import lock_targets

    state = state_of(ctx)
    made = lock_targets(state, targets, out)
    found = made.to_records()
    emit(found, found.columns, form, "lock", shown=SHOWN, color=state.color)
    count = len(made.data)
    each = f", {count / made.rows:.0f} bytes a row" if made.rows else ""
    state.say(f"{count_nouns(made.rows, 'row')} locked in {format_size(count)}{each}")
    if dry_run:
        state.say("nothing written")
        return
    made.write(out)
    state.say(f"written to {out}; `dermdata sync {out}` rebuilds it")
