"""`dermdata lock`: a cohort as a small file that rebuilds it exactly."""

from pathlib import Path
from typing import Annotated

import typer

from dermdata import disk
from dermdata.api.display import size
from dermdata.cli.complete import dataset_names
from dermdata.cli.output import FormatOption, emit
from dermdata.cli.state import state_of
from dermdata.errors import UsageError

app = typer.Typer(add_completion=False)
KEYS = ("name", "version", "rows", "images", "catalog_digest", "sources_digest")
SHOWN = KEYS[:4]


@app.command()
def lock(
    ctx: typer.Context,
    targets: Annotated[
        list[str],
        typer.Argument(metavar="TARGET…", autocompletion=dataset_names, help="Datasets, manifests or -."),
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
    from dermdata.api.locking import lock_table
    from dermdata.api.targets import load

    state = state_of(ctx)
    disk.require_file(out)
    table = load(state, targets).table
    if not table.num_rows:
        raise UsageError("there is nothing to lock: the table has no rows")
    locked, made = lock_table(state, table)
    emit([vars(one) for one in locked.datasets], KEYS, form, "lock", shown=SHOWN, color=state.color)
    each = len(made) / table.num_rows
    state.say(f"{table.num_rows:,} rows locked in {size(len(made))}, {each:.0f} bytes a row")
    if dry_run:
        state.say("nothing written")
        return
    disk.write(out, [made])
    state.say(f"written to {out}; `dermdata sync {out}` rebuilds it")
