"""`dermdata labels`: the diagnosis vocabulary, and how datasets' words map into it."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from dermdata.api.display import count_nouns
from dermdata.api.records import Records
from dermdata.cli.complete import dataset_names, space_names
from dermdata.cli.labels_align import align
from dermdata.cli.labels_map import map_
from dermdata.cli.labels_tree import tree
from dermdata.cli.output import FormatOption, emit
from dermdata.cli.state import state_of
from dermdata.errors import UsageError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="The diagnosis vocabulary and how each dataset's words map into it.",
)
app.command("map")(map_)


@app.command()
def find(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="A label, synonym, raw word or code.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many hits.", metavar="N")] = 20,
    sites: Annotated[
        bool, typer.Option("--sites", help="Find body sites; without TEXT all are listed.")
    ] = False,
    form: FormatOption = None,
) -> None:
    """Find concepts by label, synonym, a dataset's word or a code; forgives typing errors."""
    from dermdata.api.label_index import find_concepts, find_sites

    state = state_of(ctx)
    text = " ".join(words or ())
    if not text and not sites:
        raise UsageError("there is no TEXT to find", hint="`dermdata labels tree` shows all concepts")
    rows = find_sites(state, text, limit) if sites else find_concepts(state, text, limit)
    shown = [name for name in rows.columns if name not in ("path", "score")]
    emit(rows, rows.columns, form, "labels find", shown=shown, color=state.color)
    if not rows:
        command = "labels find --sites" if sites else "labels tree"
        kind = "body site" if sites else "concept"
        state.say(f"no {kind} is called '{text}'; `dermdata {command}` shows all")


app.command()(tree)
app.command()(align)


@app.command()
def spaces(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[SPACE]", autocompletion=space_names, help="A name, a file, or a,b+c."),
    ] = None,
    form: FormatOption = None,
) -> None:
    """The label spaces that --labels takes; the classes of one, and the concepts of each."""
    from dermdata.api.label_spaces import list_spaces

    state = state_of(ctx)
    rows = list_spaces(state, name)
    shown = [one for one in rows.columns if name or one != "classes"]
    emit(rows, rows.columns, form, "labels spaces", shown=shown, beside=rows.facts, color=state.color)


@app.command()
def review(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME…]", autocompletion=dataset_names, help="Only of these datasets."),
    ] = None,
    form: FormatOption = None,
) -> None:
    """The words whose concept a dermatologist should decide, and why."""
    from dermdata.api.label_tables import list_doubts

    state = state_of(ctx)
    rows = list_doubts(state, names or ())
    shown = ("dataset", "raw_label", "reason", "concept")
    emit(rows, rows.columns, form, "labels review", shown=shown, color=state.color)
    state.say(
        f"{count_nouns(len(rows), 'row')} to be decided by a dermatologist; docs/labels.md says how to answer"
    )


@app.command()
def diff(
    ctx: typer.Context,
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A catalog folder.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Another one.")],
    form: FormatOption = None,
) -> None:
    """What differs between the concepts, words and label spaces of two catalog folders."""
    from dermdata.api.label_tables import compare_catalogs

    state = state_of(ctx)
    rows = compare_catalogs(state, old, new)
    emit(rows, rows.columns, form, "labels diff", color=state.color)
    state.say(count_changes(rows))


def count_changes(rows: Records) -> str:
    """`3 concepts added, 1 label changed`, or that nothing differs."""
    counts = Counter((row["kind"], row["what"]) for row in rows)
    words = [f"{count_nouns(count, kind)} {what}" for (kind, what), count in counts.items()]
    return ", ".join(words) or "nothing differs"
