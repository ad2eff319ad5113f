"""`dermdata labels`: the diagnosis vocabulary, and how datasets' words map into it."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from dermdata.api.records import Records
from dermdata.cli.complete import dataset_names
from dermdata.cli.labels_align import align
from dermdata.cli.labels_map import map_
from dermdata.cli.labels_tree import tree
from dermdata.cli.output import FormatOption, emit
from dermdata.cli.state import state_of

app = typer.Typer(
    no_args_is_help=True, help="The diagnosis vocabulary and how each dataset's words map into it."
)
app.command("map")(map_)


@app.command()
def find(
    ctx: typer.Context,
    text: Annotated[list[str], typer.Argument(metavar="TEXT", help="A label, synonym, raw word or code.")],
    limit: Annotated[int, typer.Option(min=1, help="How many hits.", metavar="N")] = 20,
    form: FormatOption = None,
) -> None:
    """Find concepts by label, synonym, a dataset's word or a code; forgives typing errors."""
    from dermdata.api.label_index import find_concepts

    state = state_of(ctx)
    rows = find_concepts(state, " ".join(text), limit)
    shown = ("concept", "name", "malignancy", "matched")
    emit(rows, rows.columns, form, "labels find", shown=shown, color=state.color)
    if not rows:
        state.say(f"no concept is called '{' '.join(text)}'; `dermdata labels tree` shows all")


app.command()(tree)
app.command()(align)


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
    state.say(f"{len(rows):,} rows want a dermatologist; docs/labels.md says how to answer")


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
    words = [f"{count:,} {kind}{'s' * (count != 1)} {what}" for (kind, what), count in counts.items()]
    return ", ".join(words) or "nothing differs"
