"""`dermdata query`: SQL over the cached manifests, or over the manifests that are named."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dermdata.cli.complete import TargetsOrCached
from dermdata.cli.output import FormatOption, emit
from dermdata.cli.state import State, state_of
from dermdata.errors import UnknownName, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

app = typer.Typer(add_completion=False)
SQL_HELP = "One SELECT. Tables: `images`, and each dataset by its name (- or _). `-` reads it from stdin."
OUT_HELP = "Write the answer: .parquet, .csv, .jsonl, .arrow, or - for an Arrow stream."


@app.command()
def query(
    ctx: typer.Context,
    sql: Annotated[str, typer.Argument(metavar="SQL", help=SQL_HELP, show_default=False)],
    targets: TargetsOrCached = None,
    out: Annotated[str | None, typer.Option("--output", "-o", help=OUT_HELP, metavar="OUT")] = None,
    form: FormatOption = None,
) -> None:
    """Ask the manifests in SQL; reads only, and nothing but the manifests."""
    from dermdata.query import Query

    state = state_of(ctx)
    if out:
        from dermdata.api.write_manifest import require_out

        require_out(out)
    if sql == "-" and "-" in (targets or ()):
        raise UsageError("stdin cannot be the query and a table at once", hint="write the SQL as an argument")
    text = of_stdin() if sql == "-" else sql
    sources = tables(state, targets or here(state))
    with Query(sources, state.cache.root / ".query") as asked:
        try:
            if out:
                from dermdata.api.write_manifest import write_manifest
                from dermdata.manifest.rest import Rows

                answer = asked.table(text)
                write_manifest(Rows(answer), out, {})
                if out != "-":
                    state.say(f"{answer.num_rows:,} rows written to {out}")
            else:
                columns, rows = asked.rows(text)
                emit(rows, columns, form, "query", color=state.color)
        except UnknownName as error:
            raise told(state, error, bool(sources)) from error


def of_stdin() -> str:
    if sys.stdin is None:
        raise UsageError("- reads the query from stdin, but stdin is closed")
    return typer.get_text_stream("stdin").read()


def tables(state: State, targets: list[str]) -> "dict[str, Path | pa.Table]":
    """Each target under its own name; UsageError where two have the same."""
    found: dict[str, Path | pa.Table] = {}
    for target in dict.fromkeys(targets):
        name, source = named(state, target)
        if name in found or (name == "images" and len(targets) > 1):
            raise UsageError(f"two tables would be called {name}", hint=f"rename the file of {target}")
        found[name] = source
    return found


def here(state: State) -> list[str]:
    """The datasets in the cache; none is no error yet: `SELECT 1` needs none."""
    names = state.cache.cached_names()
    return [name for name in sorted(names) if name in state.catalog and manifest_of(state, name).exists()]


def manifest_of(state: State, name: str) -> Path:
    return state.cache.folder(state.catalog[name]).manifest


def named(state: State, target: str) -> "tuple[str, Path | pa.Table]":
    """A target as a table and its name; a Parquet manifest stays on disk."""
    path = Path(target)
    if path.suffix == ".parquet" and path.is_file():
        return path.stem, path
    if target in state.catalog and manifest_of(state, target).exists():
        return state.catalog[target].name, manifest_of(state, target)
    from dermdata.api.targets import load

    return "stdin" if target == "-" else path.stem, load(state, [target]).table


def told(state: State, error: UnknownName, any_table: bool) -> Exception:
    """A table that is a dataset which is not fetched is no unknown name."""
    name = error.name.strip('"')
    dashed = next((one for one in state.catalog if one.replace("-", "_") == name), name)
    if dashed in state.catalog and error.kind == "table":
        return UsageError(f"{dashed} is not in the cache", hint=f"dermdata fetch {dashed}")
    if error.kind == "table" and not any_table:
        return UsageError(f"there is no table {name}: no dataset is in the cache", hint="dermdata fetch NAME")
    return error
