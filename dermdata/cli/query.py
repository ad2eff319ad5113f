"""`dermdata query`: SQL over the cached manifests, or over the manifests that are named."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from dermdata.cli.complete import TargetsOrCached
from dermdata.cli.output import AllowMissing, FormatOption, PathsOption, emit
from dermdata.cli.state import state_of
from dermdata.errors import UsageError

app = typer.Typer(add_completion=False)
SQL_HELP = "One SELECT. Tables: `images`, and each dataset by its name (- or _). `-` reads it from stdin."
OUT_HELP = "Write the answer: .parquet, .csv, .jsonl, .arrow, or - for an Arrow stream."


@app.command()
def query(
    ctx: typer.Context,
    sql: Annotated[str, typer.Argument(metavar="SQL", help=SQL_HELP, show_default=False)],
    targets: TargetsOrCached = None,
    out: Annotated[str | None, typer.Option("--output", "-o", help=OUT_HELP, metavar="OUT")] = None,
    paths: PathsOption = None,
    allow_missing: AllowMissing = False,
    form: FormatOption = None,
) -> None:
    """Ask the manifests in SQL; reads only, and nothing but the manifests."""
    from dermdata.api.querying import open_query, write_answer

    state = state_of(ctx)
    if out:
        from dermdata.api.exporting import require_out

        require_out(out)
    text = read_stdin(targets or ()) if sql == "-" else sql
    with open_query(state, targets or ()) as asked:
        if out:
            write_answer(
                state, asked, text, out, targets=targets or (), paths=paths, allow_missing=allow_missing
            )
            if form is not None and out != "-":
                emit([{"path": out}], ("path",), form, "query", color=state.color)
        else:
            columns, rows = asked.rows(text)
            emit(rows, columns, form, "query", color=state.color)


def read_stdin(targets: Sequence[str]) -> str:
    """The query on stdin, where no target is."""
    if "-" in targets:
        raise UsageError("stdin cannot be the query and a table at once", hint="write the SQL as an argument")
    if sys.stdin is None:
        raise UsageError("- reads the query from stdin, but stdin is closed")
    return typer.get_text_stream("stdin").read()
