"""`dermdata cache`: where it is, what it holds, delete, sweep, take along."""

from pathlib import Path
from typing import Annotated

import typer

from dermdata.api.display import count_nouns, format_size
from dermdata.cli.complete import cached_entries
from dermdata.cli.output import Format, FormatOption, emit, write_line
from dermdata.cli.state import state_of

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Where the cache is, what it holds and how large; delete, sweep, bundle for another machine.",
)
NamesArgument = Annotated[list[str], typer.Argument(metavar="NAME…", autocompletion=cached_entries)]
PathFormat = Annotated[
    Format | None, typer.Option("--format", "-f", help="Default: the bare path.", show_default=False)
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")]


@app.command()
def path(ctx: typer.Context, form: PathFormat = None) -> None:
    """Print the cache folder."""
    place = str(state_of(ctx).settings.cache)
    if form is None:
        write_line(place)
    else:
        emit([{"path": place}], ("path",), form, "cache path")


@app.command("list")
def list_(ctx: typer.Context, form: FormatOption = None) -> None:
    """What the cache holds and how large it is; `shared_bytes` are stored once for several datasets.

    `unverified` counts images that came in part, or from a copy, and that no published checksum covers.
    """
    from dermdata.api.cached_datasets import list_cached

    state = state_of(ctx)
    found = list_cached(state)
    beside = {"kept_bytes": found.facts["kept_bytes"]}
    emit(found, found.columns, form, "cache list", beside=beside, color=state.color)
    saved = found.facts["saved_bytes"]
    state.more(
        f"{format_size(found.facts['bytes'])} in all"
        + (f", {format_size(saved)} saved by sharing" if saved else "")
    )


@app.command()
def remove(ctx: typer.Context, names: NamesArgument, dry_run: DryRun = False) -> None:
    """Delete datasets from the cache (every version of them); what others share with them stays whole."""
    from dermdata.api.cached_datasets import remove_cached

    state = state_of(ctx)
    for one in remove_cached(state, names, dry_run=dry_run):
        if dry_run:
            stays = f"; {format_size(one.shared_bytes)} more are shared and stay" if one.shared_bytes else ""
            state.say(f"would delete {one.path} ({format_size(one.bytes)}{stays})")
        else:
            state.say(f"deleted {one.path} ({format_size(one.bytes)})")


@app.command()
def prune(ctx: typer.Context, dry_run: DryRun = False) -> None:
    """Sweep what killed runs left: partial downloads, temporary files, archives that are unpacked already.

    Partials wait a week, since the next fetch continues them; nothing of a dataset in use is touched.
    """
    from dermdata.api.cached_datasets import prune_cache

    state = state_of(ctx)
    count = freed = 0
    for one in prune_cache(state, dry_run=dry_run):
        state.say(
            f"{'would delete' if dry_run else 'deleted'} {one.path} ({format_size(one.bytes)}, {one.why})"
        )
        count, freed = count + 1, freed + one.bytes
    state.say(f"{count_nouns(count, 'leftover')}, {format_size(freed)}")


@app.command()
def bundle(
    ctx: typer.Context,
    names: NamesArgument,
    out: Annotated[Path, typer.Option("--output", "-o", help="The tar to write.", metavar="FILE.tar")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be written, and how much.")
    ] = False,
) -> None:
    """Write cached datasets, as they are, into one file for a machine without internet.

    `fetch NAME --from FILE.tar` takes them there. Prints the file's SHA-256.
    """
    from dermdata.api.offline_copies import plan_bundle, write_bundle

    state = state_of(ctx)
    plan = plan_bundle(state, names, out)
    if dry_run:
        state.say(
            f"would write {count_nouns(len(plan.folders), 'dataset version')} to {out}: {format_size(plan.bytes)}"
        )
        return
    digest = write_bundle(state, plan)
    state.say(f"on the other machine: dermdata --offline fetch {' '.join(plan.names)} --from {out.name}")
    write_line(f"{digest}  {out}")
