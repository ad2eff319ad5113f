"""`dermdata sync`: a locked cohort rebuilt exactly, or row by row what is gone or changed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dermdata import disk
from dermdata.cli.lock import base_of, digest_of_files
from dermdata.cli.output import FormatOption, emit
from dermdata.cli.state import State, state_of
from dermdata.errors import CohortDiffers, UsageError

if TYPE_CHECKING:
    from dermdata.cohort import DatasetLock, Difference, Lock

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
    from dermdata.cli.lock import wrong_files_of
    from dermdata.cohort import compared, loads, rebuilt

    state = state_of(ctx)
    if not file.exists() or file.is_dir():
        raise UsageError(f"no lock file at {file}", hint="`dermdata lock TARGET -o FILE` makes one")
    if out:
        from dermdata.api.write_manifest import require_out

        require_out(out)
    with disk.storage_errors(file):
        lock = loads(file.read_bytes(), file.name)
    require_versions(state, lock)
    if dry_run:
        emit([plan_fetch(state, lock, one) for one in lock.datasets], PLAN, form, "sync", color=state.color)
        return
    bring(state, lock, accept_license)
    bases = {one.name: base_of(state, one.name) for one in lock.datasets}
    table = rebuilt(lock, bases)
    differences = compared(lock, table)
    files = [] if differences else wrong_files_of(state, table, list(bases))
    differences += files
    if out != "-" or differences:
        emit([vars(one) for one in differences], KEYS, form, "sync", color=state.color)
    if differences:
        mend = (
            f"; `dermdata verify {' '.join(sorted(bases))} --repair` fetches such files again"
            if files
            else ""
        )
        raise CohortDiffers(
            told(lock, differences), hint=f"nothing is written; the rows are listed above{mend}"
        )
    state.say(f"{table.num_rows:,} rows, each as it was locked")
    if out:
        from dermdata.api.write_manifest import write_manifest
        from dermdata.manifest.rest import Rows

        write_manifest(Rows(table), out, {})
        state.say(f"written to {out}" if out != "-" else "")
    else:
        state.say("nothing written; add -o FILE to have the manifest")


PLAN = ("dataset", "version", "rows", "cached")


def plan_fetch(state: State, lock: "Lock", one: "DatasetLock") -> dict[str, object]:
    from dermdata.api.lock_fetch import fetch_of

    here = fetch_of(state, lock, one).cached(state.catalog[one.name])
    return {"dataset": one.name, "version": one.version, "rows": one.rows, "cached": here}


def require_versions(state: State, lock: "Lock") -> None:
    """Another version of a dataset has other rows: said before anything is downloaded."""
    for one in lock.datasets:
        if one.name not in state.catalog:
            raise UsageError(
                f"no catalog knows {one.name}", hint="add the catalog it was locked with: --catalog DIR"
            )
        now = state.catalog[one.name].version
        if now != one.version:
            raise CohortDiffers(
                f"{one.name} was locked in version {one.version}, the catalog has {now}",
                hint="use the catalog or the dermdata version it was locked with",
            )


def bring(state: State, lock: "Lock", accepted: bool) -> None:
    """Fetch what the cache lacks of the locked rows; the rest of a dataset only where half of it is locked."""
    from dermdata.api.fetch_dataset import open_workshop
    from dermdata.api.fetch_report import tell
    from dermdata.api.lock_fetch import fetch_of

    with state.show_progress() as progress, state.transfer() as transfer:
        for one in lock.datasets:
            dataset = state.catalog[one.name]
            workshop = open_workshop(state, transfer, progress, [], 1)
            outcome = fetch_of(state, lock, one).brought(dataset, workshop, accepted=accepted)
            tell(state, dataset, outcome)
    for one in lock.datasets:
        if state.library.digest_of(one.name) != one.catalog_digest:
            state.say(f"{one.name}: the catalog has changed since it was locked; the rows decide")
        receipt = state.cache.folder(state.catalog[one.name]).receipt()
        partial = receipt is not None and receipt.part is not None  # it holds other files than those locked
        if not partial and digest_of_files(state, one.name) != one.sources_digest:
            state.say(f"{one.name}: the fetched files are not those it was locked with; the rows decide")


def told(lock: "Lock", differences: "list[Difference]") -> str:
    kinds: dict[str, set[str]] = {}
    for one in differences:
        kinds.setdefault(one.problem, set()).add(one.key)
    words = {"gone": "gone", "image": "with another image", "mask": "with another mask"}
    words["value"] = "with another value"
    parts = ", ".join(f"{len(keys):,} {words[kind]}" for kind, keys in kinds.items())
    rows = len({one.key for one in differences})
    return f"{rows:,} of {lock.rows.num_rows:,} rows are not as they were locked: {parts}"
