"""`dermdata labels tree`: the concepts, as a tree on a terminal and as rows elsewhere."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from dermdata.api.display import count_nouns, make_console
from dermdata.cli.cells import to_text
from dermdata.cli.complete import concept_names
from dermdata.cli.output import FormatOption, emit
from dermdata.cli.state import state_of

if TYPE_CHECKING:
    from rich.tree import Tree

    from dermdata.api.records import Records


def tree(
    ctx: typer.Context,
    concept: Annotated[
        str | None,
        typer.Argument(metavar="[CONCEPT]", autocompletion=concept_names, help="Only what is under it."),
    ] = None,
    depth: Annotated[int | None, typer.Option(min=1, help="How many levels.", metavar="N")] = None,
    form: FormatOption = None,
) -> None:
    """The diagnosis tree, with how many cached images are of each concept or of what is below it."""
    from dermdata.api.label_tables import list_concepts

    state = state_of(ctx)
    rows = list_concepts(state, concept, depth)
    if form == "table" or (form is None and sys.stdout.isatty()):
        make_console(sys.stdout, state.color).print(draw_tree(rows))
        return
    emit(rows, rows.columns, form, "labels tree", color=state.color)


def draw_tree(rows: "Records") -> "Tree":
    """The rows as a tree; each but the first hangs on its parent, which stands before it."""
    from rich.tree import Tree

    branches: dict[str, Tree] = {}
    for row in rows:
        count = row["images"] or 0
        line = to_text(row["name"])
        line.append(to_text(f" ({row['concept']})", "dim"))
        line.append(f"  {count_nouns(count, 'image')}" if count else "", style="bold cyan")
        branch = Tree(line, guide_style="dim")
        if branches:
            branches[row["parent"]].add(branch)
        branches[row["concept"]] = branch
    return branches[rows[0]["concept"]]
