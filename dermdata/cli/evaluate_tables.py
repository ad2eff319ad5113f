"""An evaluation for a person: overall first, then each column's groups, then what may be claimed of the gaps."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dermdata.api.display import make_console
from dermdata.api.evaluating import (
    NOT_STATED,
    POINT_COLUMNS,
    describe_counts,
    describe_differences,
    describe_points,
    describe_small_groups,
    show_interval,
    show_number,
)
from dermdata.cli.cells import to_text
from dermdata.cli.tables import empty_table, line_style, words_table

if TYPE_CHECKING:
    from rich.table import Table

    from dermdata.api.records import Item, Records

TOO_SMALL = " *"
HEADLINES = ("accuracy", "balanced_accuracy", "macro_f1", "auroc", "average_precision", "brier", "ece")
SIDES = ("auroc", "sensitivity", "specificity")  # what is shown of each class
GROUPED = ("accuracy", "balanced_accuracy", "auroc")  # what is shown of each group
BINARY = ("balanced_accuracy", "auroc", "sensitivity", "specificity")  # … where one class is judged


def show(found: "Records", color: str) -> None:
    """Write all of it to stdout."""
    screen = make_console(sys.stdout, color)
    style = line_style(sys.stdout)
    overall = {item["metric"]: item for item in found if item["by"] is None}
    screen.print(f"{describe_counts(found.facts)}\n", markup=False)
    screen.print(metrics_table(overall, style))
    points = words_table(style, POINT_COLUMNS, describe_points(found))
    for table in filter(None, (classes_table(overall, found.facts["classes"], style), points)):
        screen.print()
        screen.print(table)
    for by in dict.fromkeys(item["by"] for item in found if item["by"] is not None):
        screen.print()
        screen.print(groups_table(by, found, style))
        for line in describe_small_groups(by, found.facts):
            screen.print(line, markup=False)
    lines = [*describe_differences(found.facts)]
    for line in ["", *lines] if lines else []:
        screen.print(line, markup=False)


def metrics_table(overall: "Mapping[str, Item]", style: Any) -> "Table":
    """Every metric that is of no one class, with its operating points."""
    plain = [name for name in overall if name in HEADLINES or name.startswith(("sensitivity", "specificity"))]
    wanted = [name for name in plain if name in HEADLINES or is_binary(overall)]
    table = empty_table(style, ("metric", "estimate", "interval"))
    for name in wanted:
        item = overall[name]
        table.add_row(name.replace("_", " "), show_number(item["estimate"]), show_interval(item))
    return table


def is_binary(overall: "Mapping[str, Item]") -> bool:
    return "sensitivity" in overall


def classes_table(overall: "Mapping[str, Item]", classes: Sequence[str], style: Any) -> "Table | None":
    """One row a class, one column a measure."""
    shown = [name for name in SIDES if any(f"{name}_{one}" in overall for one in classes)]
    if not shown or is_binary(overall):
        return None
    table = empty_table(style, ("class", *shown))
    for one in classes:
        items = [overall.get(f"{name}_{one}") for name in shown]
        if any(items):
            table.add_row(to_text(one), *(to_text(to_cell(item)) for item in items))
    return table


def groups_table(by: str, found: "Records", style: Any) -> "Table":
    """One row a group; those too small are marked."""
    groups = group_items(by, found)
    there = {metric for items in groups.values() for metric in items}
    shown = [name for name in (BINARY if "sensitivity" in there else GROUPED) if name in there]
    small = {one["value"] for one in found.facts["too_small"] if one["by"] == by}
    table = empty_table(style, (by, "images", *shown))
    for value, items in groups.items():
        words = group_words(value, items, shown)
        if value in small:
            table.add_row(to_text(f"{words[0]}{TOO_SMALL}"), *map(to_text, words[1:]), style="dim")
        else:
            table.add_row(*map(to_text, words))
    return table


def group_items(by: str, found: "Records") -> "dict[Any, dict[str, Item]]":
    """The metrics of each value of a column."""
    groups: dict[Any, dict[str, Item]] = {}
    for item in found:
        if item["by"] == by:
            groups.setdefault(item["value"], {})[item["metric"]] = item
    return groups


def group_words(value: Any, items: "Mapping[str, Item]", shown: Sequence[str]) -> list[str]:
    """A group's name, its images, and its metrics."""
    images = next(iter(items.values()))["n"]
    name = NOT_STATED if value is None else str(value)
    return [name, f"{images:,}", *(to_cell(items.get(metric)) for metric in shown)]


def to_cell(item: "Item | None") -> str:
    """Estimate and interval in one cell, short enough for five of them side by side."""
    if item is None or item["estimate"] is None:
        return "-"
    reach = "" if item["low"] is None else f" ({item['low']:.2f}-{item['high']:.2f})"
    return f"{show_number(item['estimate'])}{reach}"
