"""`dermdata labels map`: a dataset's words as concepts, and proposals for the words of a person's own table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from dermdata.api.display import count_nouns, count_share
from dermdata.api.records import Records
from dermdata.cli.complete import dataset_names
from dermdata.cli.label_options import AcceptOption, find_prompt
from dermdata.cli.output import Format, emit, write_line
from dermdata.cli.state import State, state_of
from dermdata.errors import UsageError

SHOWN = ("raw_label", "count", "predicate", "concept", "malignancy", "members")
PROPOSALS_SHOWN = ("raw_label", "count", "how", "score", "concept", "applied", "candidates")
Form = Literal[Format, "sssom"]


def map_(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", autocompletion=dataset_names, show_default=False)
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Propose concepts for a table of your own.", metavar="FILE")
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="The column of --csv that holds the words.", metavar="NAME")
    ] = None,
    accept: AcceptOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write the labels.tsv of a private catalog; its rows there stay.",
            metavar="OUT",
        ),
    ] = None,
    form: Annotated[
        Form | None,
        typer.Option(
            "--format",
            "-f",
            help="Default: table on a terminal, tsv in a pipe. sssom: the mapping standard's TSV.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """How one dataset's own words map to concepts, or what those of your own table may mean."""
    state = state_of(ctx)
    if (name is None) == (csv is None):
        raise UsageError("labels map needs a dataset's NAME or --csv FILE", hint="give one of them")
    if csv is None:
        if column or accept or out:
            raise UsageError("--column, --accept and -o belong to --csv FILE")
        map_dataset(state, str(name), form)
    elif column is None or form == "sssom":
        if column is None:
            raise UsageError("--csv needs --column NAME", hint="the column that holds the diagnosis words")
        raise UsageError("proposals are no SSSOM mappings", hint="-o labels.tsv keeps what is decided")
    else:
        map_own(state, csv, column, accept or (), out, form)


def map_dataset(state: State, name: str, form: Form | None) -> None:
    from dermdata.api.label_tables import export_sssom, map_labels, require_labels

    if form == "sssom":
        write_line(export_sssom(state, name).rstrip("\n"))
        return
    rows = map_labels(state, name)
    require_labels(state.catalog[name], rows)
    emit(rows, rows.columns, form, "labels map", shown=SHOWN, color=state.color)


def map_own(
    state: State, table: Path, column: str, decisions: Sequence[str], out: Path | None, form: Format | None
) -> None:
    """Propose, show, and write what is sure or decided; ProblemsFound if words are left that OUT has no row for."""
    from dermdata.api.label_tables import propose_labels, write_crosswalk

    proposed = propose_labels(state, table, column, decisions, out, find_prompt())
    rows = proposed.records
    emit(rows, rows.columns, form, "labels map", shown=PROPOSALS_SHOWN, color=state.color)
    say_mapped(state, rows)
    if out is not None:
        write_crosswalk(state, out, proposed.labels)
        proposed.require_all()


def say_mapped(state: State, rows: Records) -> None:
    mapped = [row["count"] for row in rows if row["applied"]]
    state.say(
        f"{count_share(len(mapped), len(rows), 'word', 'are')} mapped ({count_nouns(sum(mapped), 'row')})"
    )
    if left := len(rows) - len(mapped):
        likely = sum(row["certainty"] == "likely" for row in rows)
        state.say(
            f"{left:,} are for you to decide, {likely:,} of them likely: --accept all takes those, ask asks, WORD=CONCEPT "
            "decides one; or a row in labels.tsv"
        )
