"""`dermdata cache`: where it is, what it holds, delete, sweep."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dermdata.cli.complete import dataset_names
from dermdata.cli.output import FormatOption, emit, size
from dermdata.cli.state import state_of
from dermdata.errors import CacheDamaged, UsageError

if TYPE_CHECKING:
    from dermdata.cache import Folder

app = typer.Typer(
    no_args_is_help=True, help="Where the cache is, what it holds and how large; delete and sweep."
)
KEYS = ("dataset", "version", "bytes", "images", "complete", "path", "fetched_at")
WEEK = 7 * 24 * 3600  # seconds; a partial that old belongs to nobody


@app.command()
def path(ctx: typer.Context) -> None:
    """Print the cache folder."""
    sys.stdout.write(f"{state_of(ctx).settings.cache}\n")


@app.command("list")
def list_(ctx: typer.Context, form: FormatOption = None) -> None:
    """What the cache holds and how large it is."""
    state = state_of(ctx)
    rows = [row_of(folder) for folder in state.cache.folders()]
    emit(rows, KEYS, form, "cache list", color=state.color)
    state.more(f"{size(sum(row['bytes'] for row in rows))} in all")


@app.command()
def remove(
    ctx: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME…", autocompletion=dataset_names)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
) -> None:
    """Delete datasets from the cache (every version of them)."""
    from dermdata.cache import size_of

    state = state_of(ctx)
    folders = [folder for folder in state.cache.folders() if folder.name in names]
    absent = [name for name in names if name not in {folder.name for folder in folders}]
    if absent:
        raise UsageError(f"not in the cache: {', '.join(absent)}", hint="`dermdata cache list` shows what is")
    for folder in folders:
        if dry_run:
            state.say(f"would delete {folder.path} ({size(size_of(folder.path))})")
            continue
        with state.cache.lock(folder.name, waiting=state.say):
            state.say(f"deleted {folder.path} ({size(state.cache.remove(folder))})")


@app.command()
def prune(
    ctx: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
) -> None:
    """Sweep partial downloads and temporary files that nobody has touched for a week."""
    state = state_of(ctx)
    found = [one.path for name in (None, *state.cache.names()) for one in state.cache.leftovers(name, time.time() - WEEK, str)]
    for one in found:
        state.say(f"{'would delete' if dry_run else 'deleted'} {one}")
        if not dry_run:
            discard(one)
    state.say(f"{len(found)} leftovers")


def discard(leftover: Path) -> None:
    import shutil

    from dermdata import disk

    with disk.storage_errors(leftover):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover)
        else:
            leftover.unlink(missing_ok=True)


def row_of(folder: "Folder") -> dict[str, Any]:
    """One dataset version; a broken receipt is shown as incomplete, not hidden."""
    from dermdata.cache import size_of

    row = {
        "dataset": folder.name,
        "version": folder.version,
        "bytes": size_of(folder.path),
        "path": str(folder.path),
    }
    try:
        receipt = folder.receipt()
    except CacheDamaged:
        return {**row, "images": None, "complete": False, "fetched_at": None}
    if receipt is None:
        return {**row, "images": None, "complete": False, "fetched_at": None}
    return {
        **row,
        "version": receipt.version,
        "images": receipt.report.get("rows", 0) - receipt.report.get("rows_without_image", 0)
        if receipt.report
        else None,
        "complete": receipt.manifest_sha256 is not None and folder.manifest.exists(),
        "fetched_at": max((file.fetched_at for file in receipt.files), default=None),
    }
