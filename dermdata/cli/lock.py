"""`dermdata lock`: a cohort as a small file that rebuilds it exactly."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dermdata import __version__, disk
from dermdata.cli.complete import dataset_names
from dermdata.cli.output import FormatOption, emit, size
from dermdata.cli.state import State, state_of
from dermdata.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from dermdata.cohort import DatasetLock

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
    from dermdata.cli.target import load
    from dermdata.cohort import dumps, locked

    state = state_of(ctx)
    disk.require_file(out)
    table = load(state, targets).table
    if not table.num_rows:
        raise UsageError("there is nothing to lock: the table has no rows")
    bases = {name: base_of(state, name) for name in names_in(state, table)}
    facts = [described(state, name, table) for name in bases]
    made = dumps(locked(table, bases, facts, f"dermdata {__version__}"))
    emit([vars(one) for one in facts], KEYS, form, "lock", shown=SHOWN, color=state.color)
    each = len(made) / table.num_rows
    if count := unverified(table):
        state.say(f"warning: {count:,} rows have an unverified image: no published checksum covers it")
    state.say(f"{table.num_rows:,} rows locked in {size(len(made))}, {each:.0f} bytes a row")
    if dry_run:
        state.say("nothing written")
        return
    disk.write(out, [made])
    state.say(f"written to {out}; `dermdata sync {out}` rebuilds it")


def unverified(table: "pa.Table") -> int:
    """Rows whose image came in part, without a published checksum that covers it."""
    import pyarrow.compute as pc

    if "verified" not in table.column_names:
        return 0
    return int(pc.sum(pc.equal(table["verified"], False)).as_py() or 0)


def names_in(state: State, table: "pa.Table") -> list[str]:
    """The datasets of the rows, all of which must be in the catalog and in the cache."""
    from dermdata.cli.target import datasets_of

    names = sorted(name or "" for name in datasets_of(table))
    for name in names:
        if name not in state.catalog:
            raise UsageError(
                f"rows of {name or 'no dataset'} cannot be locked: no catalog knows it",
                hint="docs/private-catalogs.md shows how to add a dataset",
            )
        if not state.cache.folder(state.catalog[name]).manifest.exists():
            raise UsageError(f"{name} is not in the cache", hint=f"dermdata fetch {name}")
    return names


def base_of(state: State, name: str) -> "pa.Table":
    from dermdata.manifest import store

    return store.read(state.cache.folder(state.catalog[name]).manifest)


def described(state: State, name: str, table: "pa.Table") -> "DatasetLock":
    import pyarrow.compute as pc

    from dermdata.cohort import DatasetLock
    from dermdata.projection import words_of

    dataset = state.catalog[name]
    rows = table.filter(pc.equal(words_of(table, "dataset"), name))
    return DatasetLock(
        name=name,
        version=dataset.version,
        rows=rows.num_rows,
        images=words_of(rows, "path").null_count < rows.num_rows,
        catalog_digest=state.library.digest_of(name),
        sources_digest=digest_of_files(state, name),
    )


def digest_of_files(state: State, name: str) -> str:
    """SHA-256 over the names and checksums of the files that the dataset's manifest was built from."""
    receipt = state.cache.folder(state.catalog[name]).receipt()
    files = sorted((one.name, one.sha256) for one in receipt.files) if receipt else []
    return hashlib.sha256("\n".join(f"{sha}  {leaf}" for leaf, sha in files).encode()).hexdigest()
