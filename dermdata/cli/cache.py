"""`dermdata cache`: where it is, what it holds, delete, sweep, take along."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dermdata.api.display import size
from dermdata.cli.complete import dataset_names
from dermdata.cli.output import FormatOption, emit, write_line
from dermdata.cli.state import State, state_of
from dermdata.errors import CacheBusy, CacheDamaged, StorageError, UsageError

if TYPE_CHECKING:
    from dermdata.cache import Folder, Leftover, Usage

app = typer.Typer(
    no_args_is_help=True,
    help="Where the cache is, what it holds and how large; delete, sweep, bundle for another machine.",
)
KEYS = (
    "dataset",
    "version",
    "bytes",
    "shared_bytes",
    "images",
    "unverified",
    "complete",
    "path",
    "fetched_at",
)
WEEK = 7 * 24 * 3600  # seconds; a partial that old belongs to nobody
AT_ONCE = -1.0  # seconds of patience
NamesArgument = Annotated[list[str], typer.Argument(metavar="NAME…", autocompletion=dataset_names)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")]


@app.command()
def path(ctx: typer.Context) -> None:
    """Print the cache folder."""
    write_line(str(state_of(ctx).settings.cache))


@app.command("list")
def list_(ctx: typer.Context, form: FormatOption = None) -> None:
    """What the cache holds and how large it is; `shared_bytes` are stored once for several datasets.

    `unverified` counts images that came in part and that no published checksum covers.
    """
    from dermdata.cache import in_all, usage

    state = state_of(ctx)
    folders = [folder for name in state.cache.names() for folder in state.cache.versions(name)]
    usages = [usage(folder.path) for folder in folders]
    rows = [row_of(folder, used) for folder, used in zip(folders, usages, strict=True)]
    emit(rows, KEYS, form, "cache list", color=state.color)
    total, plain = in_all(usages), sum(used.bytes for used in usages)
    state.more(
        f"{size(total)} in all" + (f", {size(plain - total)} saved by sharing" if plain > total else "")
    )


@app.command()
def remove(ctx: typer.Context, names: NamesArgument, dry_run: DryRun = False) -> None:
    """Delete datasets from the cache (every version of them); what others share with them stays whole."""
    from dermdata.cache import usage

    state = state_of(ctx)
    there = in_cache(state, names)
    for folder in [folder for name in there for folder in state.cache.versions(name)]:
        if dry_run:
            used = usage(folder.path)
            state.say(f"would delete {folder.path} ({size(used.own)}{shared(used)})")
            continue
        with state.cache.lock(folder.name, waiting=state.say):
            state.say(f"deleted {folder.path} ({size(state.cache.remove(folder))})")


def shared(used: "Usage") -> str:
    return f"; {size(used.shared)} more are shared and stay" if used.shared else ""


def in_cache(state: State, names: Iterable[str]) -> list[str]:
    """The named datasets as the cache calls them; UsageError when one of them is not there."""
    there = state.cache.names()
    known = {name: name if name in there else official(state, name) for name in names}
    absent = [name for name, found in known.items() if found not in there]
    if absent:
        raise UsageError(f"not in the cache: {', '.join(absent)}", hint="`dermdata cache list` shows what is")
    return list(dict.fromkeys(known.values()))


def official(state: State, name: str) -> str:
    """The catalog's name for an alias; what the catalog does not know stays as it is."""
    try:
        return state.catalog[name].name
    except UsageError:
        return name


@app.command()
def prune(ctx: typer.Context, dry_run: DryRun = False) -> None:
    """Sweep what killed runs left: partial downloads, temporary files, archives that are unpacked already.

    Partials wait a week, since the next fetch continues them; nothing of a dataset in use is touched.
    """
    from dermdata.cache import usage

    state = state_of(ctx)
    count = freed = 0
    for one in seen(state) if dry_run else swept(state):
        used = usage(one.path)
        if not dry_run:
            discard(one.path)
        state.say(f"{'would delete' if dry_run else 'deleted'} {one.path} ({size(used.own)}, {one.why})")
        count, freed = count + 1, freed + used.own
    state.say(f"{count:,} leftovers, {size(freed)}")


def seen(state: State) -> Iterator["Leftover"]:
    """All leftovers but those of datasets in use, without taking a lock: it works on a read-only cache."""
    for name in (None, *state.cache.names()):
        if name and (holder := state.cache.holder(name)):
            state.say(f"{name}: in use by {holder}, left alone")
        else:
            yield from leftovers(state, name)


def swept(state: State) -> Iterator["Leftover"]:
    """All leftovers, each dataset's while its lock is held."""
    for name in (None, *state.cache.names()):
        found = leftovers(state, name)
        if name is None or not found:
            yield from found
            continue
        try:
            with state.cache.lock(name, waiting=lambda _: None, patience=AT_ONCE):
                yield from leftovers(state, name)  # looked for anew: its holder may have just finished them
        except CacheBusy as error:
            state.say(f"{error.message}, left alone")


def leftovers(state: State, name: str | None) -> "list[Leftover]":
    from dermdata.archive import safe_name

    return state.cache.leftovers(name, time.time() - WEEK, safe_name)


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
    from dermdata.cli.bundle import write

    state = state_of(ctx)
    write(state, in_cache(state, names), out, dry_run=dry_run)


def discard(leftover: Path) -> None:
    import shutil

    from dermdata import disk

    with disk.storage_errors(leftover):
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover)
        else:
            leftover.unlink(missing_ok=True)


def row_of(folder: "Folder", used: "Usage") -> dict[str, Any]:
    """One dataset version; without a receipt that can be read it is shown as incomplete, not hidden."""
    row = {
        "dataset": folder.name,
        "version": folder.version,
        "bytes": used.bytes,
        "shared_bytes": used.shared,
        "path": str(folder.path),
    }
    try:
        receipt = folder.receipt()
    except (CacheDamaged, StorageError):
        receipt = None
    if receipt is None:
        return {**row, "images": None, "unverified": None, "complete": False, "fetched_at": None}
    return {
        **row,
        "version": receipt.version,
        "images": receipt.report.get("rows", 0) - receipt.report.get("rows_without_image", 0)
        if receipt.report
        else None,
        "unverified": receipt.report.get("unverified"),  # images; None: not built, or by an older version
        "complete": receipt.complete and folder.manifest.exists(),
        "fetched_at": max((file.fetched_at for file in receipt.files), default=None),
    }
