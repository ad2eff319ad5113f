"""`dermdata sync`: a locked cohort rebuilt exactly, or row by row what is gone or changed."""

from pathlib import Path
from typing import Annotated

import typer

from dermdata.api.display import count_nouns
from dermdata.cli.output import FormatOption, PathsOption, emit
from dermdata.cli.state import state_of

app = typer.Typer(add_completion=False)
OUT_HELP = "Write the manifest: .parquet, .csv, .jsonl, .arrow, or - for a stream."


@app.command()
def sync(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A lock file.", show_default=False)],
    out: Annotated[str | None, typer.Option("--output", "-o", help=OUT_HELP, metavar="OUT")] = None,
    paths: PathsOption = None,
    accept_license: Annotated[
        bool,
        typer.Option("--accept-license", help="Accept the datasets' licenses where they must be accepted."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what is locked and what would be fetched; change nothing.")
    ] = False,
    form: FormatOption = None,
) -> None:
    """Fetch what is missing and rebuild a locked cohort; exit 4 and the rows on any difference."""
    from dermdata.api.locking import plan_sync, sync_cohort

    state = state_of(ctx)
    if out:
        from dermdata.api.exporting import require_out

        require_out(out)
    if dry_run:
        plan = plan_sync(state, file)
        emit(plan, plan.columns, form, "sync", color=state.color)
        return
    rebuilt = sync_cohort(state, file, accepted=accept_license)
    if rebuilt.differences or (form and out != "-"):  # of a cohort that is as it was there is nothing to list
        found = rebuilt.to_records()
        emit(found, found.columns, form, "sync", color=state.color)
    rebuilt.require_as_locked()
    state.say(f"{count_nouns(rebuilt.table.num_rows, 'row')}, each as it was locked")
    if out:
        rebuilt.write(state, out, paths)
        state.say(f"written to {out}" if out != "-" else "")
    else:
        state.say("nothing written; add -o FILE to have the manifest")
