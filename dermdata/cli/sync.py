"""`dermdata sync`: a locked cohort rebuilt exactly, or row by row what is gone or changed."""

from pathlib import Path
from typing import Annotated

import typer

from dermdata.cli.output import FormatOption, emit
from dermdata.cli.state import state_of

app = typer.Typer(add_completion=False)
KEYS = ("key", "problem", "column", "was", "now")
OUT_HELP = "Write the manifest: .parquet, .csv, .jsonl, .arrow, or - for a stream."


@app.command()
def sync(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A lock file.", show_default=False)],
    out: Annotated[str | None, typer.Option("--output", "-o", help=OUT_HELP, metavar="OUT")] = None,
    accept_license: Annotated[
        bool,
        typer.Option("--accept-license", help="Accept the datasets' licences where they must be accepted."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what is locked and what would be fetched; change nothing.")
    ] = False,
    form: FormatOption = None,
) -> None:
    """Fetch what is missing and rebuild a locked cohort; exit 4 and the rows on any difference."""
    from dermdata.api.locking import (
        fetch_locked,
        plan_locked,
        read_lock,
        rebuild_rows,
        require_as_locked,
        require_versions,
    )

    state = state_of(ctx)
    if out:
        from dermdata.api.write_manifest import require_out

        require_out(out)
    lock = read_lock(file)
    require_versions(state, lock)
    if dry_run:
        emit([plan_locked(state, lock, one) for one in lock.datasets], PLAN, form, "sync", color=state.color)
        return
    fetch_locked(state, lock, accepted=accept_license)
    table, differences, by_file = rebuild_rows(state, lock)
    if out != "-" or differences:
        emit([vars(one) for one in differences], KEYS, form, "sync", color=state.color)
    require_as_locked(lock, differences, by_file=by_file)
    state.say(f"{table.num_rows:,} rows, each as it was locked")
    if out:
        from dermdata.api.write_manifest import write_manifest
        from dermdata.manifest.rest import Rows

        write_manifest(Rows(table), out, {})
        state.say(f"written to {out}" if out != "-" else "")
    else:
        state.say("nothing written; add -o FILE to have the manifest")


PLAN = ("dataset", "version", "rows", "cached")
