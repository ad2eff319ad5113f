"""`dermdata info`: one entry as a card, as an object, as BibTeX or as Croissant."""

import json
import sys
from typing import Annotated, Literal

import typer

from dermdata.api.display import uses_color
from dermdata.cli.complete import entry_names
from dermdata.cli.output import emit, write_line, write_prose
from dermdata.cli.state import state_of
from dermdata.errors import UsageError

app = typer.Typer(add_completion=False)


@app.command()
def info(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", autocompletion=entry_names, help="Dataset or model.")
    ],
    form: Annotated[
        Literal["text", "json", "bibtex", "croissant"], typer.Option("--format", "-f", help="How to show it.")
    ] = "text",
    facts: Annotated[bool, typer.Option("--facts", help="Also say where each fact comes from.")] = False,
    short: Annotated[
        bool,
        typer.Option("--short", help="What one needs first; files, labels and known problems are counted."),
    ] = False,
) -> None:
    """One card: what it is, license, access, files, labels, known problems, citation."""
    from dermdata.api.catalog_entries import describe_entry, is_heading, write_card
    from dermdata.api.entry_documents import entry_bibtex, entry_croissant, tell_bibtex_gaps

    state = state_of(ctx)
    if short and (facts or form != "text"):
        raise UsageError(
            "--short is a card of its own: it does not go with --facts or --format", hint="leave one out"
        )
    if form == "text":
        bold, before = uses_color(sys.stdout, state.color), None
        for line in write_card(state, name, facts=facts, short=short):
            write_prose(line, bold=bold and is_heading(line, before))
            before = line
    elif form == "bibtex":
        write_line(entry := entry_bibtex(state, name))
        tell_bibtex_gaps(state, name, entry)
    elif form == "json":
        item = describe_entry(state, name)
        emit([item], tuple(item), "json", "info")
    else:
        document = entry_croissant(state, state.catalog[name])
        write_line(json.dumps(document, ensure_ascii=False, indent=1))
