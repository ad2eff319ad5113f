"""Tables on a terminal: as many columns as fit, and nothing in them that a terminal would obey."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TextIO

from dermdata.api.display import make_console, print_message, show_controls
from dermdata.api.records import Item
from dermdata.cli.cells import human, to_text

if TYPE_CHECKING:
    from rich.box import Box
    from rich.table import Table

WIDEST, PADDING = 36, 3  # characters: a longer cell folds; between two columns
LEAST = 11  # characters of a cell that is cut


def write_table(
    rows: Iterable[Item], columns: Sequence[str], color: str, cut: Mapping[str, int] = MappingProxyType({})
) -> None:
    """A table that fits: columns that would not are left out, the last ones first, and named below."""
    from rich import box
    from rich.table import Table

    screen = make_console(sys.stdout, color)
    cells = [cut_cells(row, columns, cut, screen.width) for row in rows]
    kept = count_fitting(cells, columns, screen.width)
    view = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, name in enumerate(columns[:kept]):
        numeric = all(map(is_numeric, (line[number] for line in cells)))
        # an id must be readable whole: it is what the next command needs
        view.add_column(
            to_text(name.replace("_", " ")),
            justify="right" if numeric else "left",
            no_wrap=numeric or not number or name in cut,
            overflow="ellipsis" if name in cut else "fold",
        )
    for line in cells:
        view.add_row(*map(to_text, line[:kept]))
    screen.print(view)
    if kept < len(columns):
        print_message(f"not shown at this width: {', '.join(columns[kept:])}")


def is_numeric(cell: str) -> bool:
    return cell[:1].isdigit() or cell == "-"


def cut_cells(row: Item, columns: Sequence[str], cut: Mapping[str, int], width: int) -> list[str]:
    """A row's cells as they are shown; those of `cut` in at most such a part of the width."""
    cells = {name: show_controls(human(name, row.get(name))) for name in columns}
    for name, part in cut.items():
        room = min(WIDEST, max(LEAST, width // part))
        if len(cells[name]) > room:
            cells[name] = f"{cells[name][: room - 1]}…"
    return list(cells.values())


def count_fitting(cells: Sequence[Sequence[str]], columns: Sequence[str], width: int) -> int:
    """How many of the columns fit side by side; two at least, which then fold."""
    total = 0
    for number, name in enumerate(columns):
        longest = max((len(line[number]) for line in cells), default=0)
        total += max(min(longest, WIDEST), len(name.split("_")[0])) + PADDING
        if total - PADDING > width and number >= 2:
            return number
    return len(columns)


def line_style(stream: TextIO) -> "Box":
    """The lines of a table, in characters that the stream can show."""
    from rich import box

    try:
        "─".encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return box.ASCII2
    return box.SIMPLE_HEAD


def words_table(style: "Box", names: Iterable[str], rows: Iterable[Sequence[str]]) -> "Table | None":
    """A table of words, all at the left; None without a row."""
    from rich.table import Table

    table = Table(box=style, pad_edge=False, show_edge=False)
    for name in names:
        table.add_column(to_text(name))
    for row in rows:
        table.add_row(*map(to_text, row))
    return table if table.rows else None


def empty_table(style: "Box", names: Iterable[str]) -> "Table":
    """A table with these columns, the numbers at the right."""
    from rich.table import Table

    table = Table(box=style, pad_edge=False, show_edge=False)
    for number, name in enumerate(names):
        side: Any = "right" if number else "left"
        table.add_column(to_text(name.replace("_", " ")), justify=side, overflow="fold")
    return table
