"""`dermdata info`: one entry as a card, as an object, as BibTeX or as Croissant."""

import json
from typing import Annotated, Literal

import typer

from dermdata.cli.complete import entry_names
from dermdata.cli.output import emit, write_line, write_prose
from dermdata.cli.state import state_of

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
) -> None:
    """One card: what it is, license, access, files, labels, known problems, citation."""
    from dermdata.api.catalog_entries import (
        describe_entry,
        entry_bibtex,
        entry_croissant,
        tell_bibtex_gaps,
        write_card,
    )

    state = state_of(ctx)
    if form == "text":
        for line in write_card(state, name, facts=facts):
            write_prose(line)
    elif form == "bibtex":
        write_line(entry := entry_bibtex(state, name))
        tell_bibtex_gaps(state, name, entry)
    elif form == "json":
        item = describe_entry(state, name)
        emit([item], tuple(item), "json", "info")
    else:
        document = entry_croissant(state, state.catalog[name])
        write_line(json.dumps(document, ensure_ascii=False, indent=1))
