"""`dermdata stats`: how many images, patients and lesions, by diagnosis, sex, skin type or any column."""

import sys
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dermdata.api.display import count_nouns, make_console
from dermdata.api.label_spaces import check_strict, find_share
from dermdata.api.records import Item
from dermdata.cli import label_options as options
from dermdata.cli.cells import can_show, to_text
from dermdata.cli.complete import TargetsOrCached, column_names
from dermdata.cli.output import FormatOption, emit, human
from dermdata.cli.state import state_of

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

app = typer.Typer(add_completion=False)
BY_HELP = "Columns to count by, such as diagnosis,sex. (default: an overview)"
MEASURES = ("images", "patients", "lesions", "cases")
NOT_STATED = "(not stated)"
EIGHTHS = " ▏▎▍▌▋▊▉█"
WIDEST, NARROWEST, PADDING = 40, 8, 3  # columns of a bar; between two columns of the table


@app.command()
def stats(
    ctx: typer.Context,
    targets: TargetsOrCached = None,
    by: Annotated[
        str | None,
        typer.Option(help=BY_HELP, metavar="COLS", autocompletion=column_names, show_default=False),
    ] = None,
    labels: options.LabelsOption = None,
    strict: options.StrictOption = False,
    differential: options.DifferentialOption = None,
    min_weight: options.WeightOption = None,
    where: options.WhereOption = None,
    split: options.SplitOption = None,
    exclude: options.ExcludeOption = None,
    form: FormatOption = None,
) -> None:
    """Counts and cross-tables: images, patients and lesions in each cell."""
    from dermdata.api.summaries import CountRequest, count_targets

    state = state_of(ctx)
    check_strict(labels, strict=strict)
    columns = filter(None, map(str.strip, (by or "").split(",")))
    rows = where, split, find_share(labels, differential, min_weight), tuple(exclude or ())
    request = CountRequest(tuple(dict.fromkeys(columns)), labels, strict, *rows)
    counted = count_targets(state, targets or (), request)
    if form == "table" or (form is None and sys.stdout.isatty()):
        show_tables(counted, request.by, state.color)
        return
    emit(counted, counted.columns, form, "stats", color=state.color)


def show_tables(rows: Sequence[Item], columns: Sequence[str], color: str) -> None:
    """Tables with bars; one for each column of the overview."""
    screen = make_console(sys.stdout, color)
    blocks = can_show(EIGHTHS, sys.stdout.encoding)
    tables: list[tuple[Sequence[str], Sequence[Item]]] = [(columns, rows)]
    if not columns:
        parts = groupby(rows, key=lambda row: row["by"])
        tables = [((name,), [{name: row["value"], **row} for row in part]) for name, part in parts]
    images = sum(row["images"] for row in tables[0][1]) if tables else 0  # each is in one cell of a table
    screen.print(count_nouns(images, "image"), markup=False)
    for names, part in tables:
        screen.print()
        screen.print(make_table(part, names, screen.width, blocks=blocks))


def make_table(rows: Sequence[Item], columns: Sequence[str], width: int, *, blocks: bool) -> "Table":
    """Words and numbers, and bars in what they leave of the width: none where that is too little."""
    from rich import box
    from rich.table import Table

    measures = list_counts(rows)
    heads = [to_text(name.replace("_", " ")) for name in (*columns, *measures, "share")]
    lines = [show_cells(row, columns, measures) for row in rows]
    wide = sum(max(cell.cell_len for cell in cells) + PADDING for cells in zip(heads, *lines, strict=True))
    room, largest = min(WIDEST, width - wide), max((row["images"] for row in rows), default=1)
    table = Table(box=box.SIMPLE_HEAD if blocks else box.ASCII2, pad_edge=False, show_edge=False)
    for number, head in enumerate(heads):
        is_word = number < len(columns)
        table.add_column(head, justify="left" if is_word else "right", no_wrap=not is_word, overflow="fold")
    for row, line in zip(rows, lines, strict=True):
        drawn = [to_text(bar(row["images"] / largest, room, blocks=blocks), "cyan")] * (room >= NARROWEST)
        table.add_row(*line, *drawn)
    return table


def show_cells(row: Item, columns: Sequence[str], measures: Sequence[str]) -> "list[Text]":
    words = [describe_value(name, row[name]) for name in columns]
    numbers = [human(name, row[name]) for name in measures]
    return [to_text(cell) for cell in (*words, *numbers, f"{row['share']:.1%}")]


def list_counts(rows: Sequence[Item]) -> list[str]:
    """What is counted: cases only where there are some."""
    return [name for name in MEASURES if not rows or name in rows[0]]


def describe_value(name: str, value: Any) -> str:
    return NOT_STATED if value is None else human(name, value)


def bar(share: float, width: int, *, blocks: bool) -> str:
    """A bar of up to `width` columns; anything above nothing is seen."""
    if not blocks:
        return "#" * max(1, round(share * width))
    eighths = max(1, round(share * width * 8))
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()
