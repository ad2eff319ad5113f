"""An evaluation for a person: overall first, then each column's groups, then what may be claimed of the gaps."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dermdata.api.display import console
from dermdata.cli.output import to_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Row = Mapping[str, Any]
NOT_STATED = "(not stated)"
TOO_SMALL = " *"
MOST = 6  # gaps of one column that are told
HEADLINES = ("accuracy", "balanced_accuracy", "macro_f1", "auroc", "average_precision", "brier", "ece")
SIDES = ("auroc", "sensitivity", "specificity")  # what is shown of each class
GROUPED = ("accuracy", "balanced_accuracy", "auroc")  # what is shown of each group
BINARY = ("balanced_accuracy", "auroc", "sensitivity", "specificity")  # … where one class is judged


def show(result: Mapping[str, Any], color: str) -> None:
    from rich import box

    screen = console(sys.stdout, color)
    style = box.SIMPLE_HEAD if can_show("─", sys.stdout.encoding) else box.ASCII2
    overall = {item["metric"]: item for item in result["items"] if item["by"] is None}
    head(screen, result)
    screen.print()
    screen.print(of_all(overall, style))
    if table := of_classes(overall, result["classes"], style):
        screen.print()
        screen.print(table)
    for by in dict.fromkeys(item["by"] for item in result["items"] if item["by"] is not None):
        screen.print()
        screen.print(of_groups(by, result, style))
        for line in too_small(by, result):
            screen.print(line, markup=False)
    lines = [*claims(result)]
    for line in ["", *lines] if lines else []:
        screen.print(line, markup=False)


def head(screen: "Console", result: Mapping[str, Any]) -> None:
    counts = {name: result[f"{name}_predictions"] for name in ("missing", "unknown", "duplicate")}
    told = [f"{result['n']:,} images judged"]
    told += [
        f"{count:,} {name} prediction{'' if count == 1 else 's'}" for name, count in counts.items() if count
    ]
    if result["without_class"]:
        told.append(f"{result['without_class']:,} without a class")
    screen.print(", ".join(told), markup=False)


def of_all(overall: Mapping[str, Row], box: Any) -> "Table":
    """Every metric that is of no one class, with its operating points."""
    plain = [name for name in overall if name in HEADLINES or name.startswith(("sensitivity", "specificity"))]
    wanted = [name for name in plain if name in HEADLINES or is_binary(overall)]
    table = empty(box, ("metric", "estimate", "interval"))
    for name in wanted:
        table.add_row(name.replace("_", " "), *figures(overall[name]))
    return table


def is_binary(overall: Mapping[str, Row]) -> bool:
    return "sensitivity" in overall


def of_classes(overall: Mapping[str, Row], classes: Sequence[str], box: Any) -> "Table | None":
    """One row a class, one column a measure."""
    shown = [name for name in SIDES if any(f"{name}_{one}" in overall for one in classes)]
    if not shown or is_binary(overall):
        return None
    table = empty(box, ("class", *shown))
    for one in classes:
        items = [overall.get(f"{name}_{one}") for name in shown]
        if any(items):
            table.add_row(to_text(one), *(to_text(cell(item)) for item in items))
    return table


def of_groups(by: str, result: Mapping[str, Any], box: Any) -> "Table":
    """One row a group; those too small are marked."""
    items = [item for item in result["items"] if item["by"] == by]
    groups = dict.fromkeys((item["value"], item["n"]) for item in items)
    cells = {(item["value"], item["metric"]): item for item in items}
    there = {item["metric"] for item in items}
    shown = [name for name in (BINARY if "sensitivity" in there else GROUPED) if name in there]
    small = {one["value"] for one in result["too_small"] if one["by"] == by}
    table = empty(box, (by, "images", *shown))
    for value, n in groups:
        word = NOT_STATED if value is None else str(value)
        numbers = [cell(cells.get((value, name))) for name in shown]
        mark = TOO_SMALL if value in small else ""
        table.add_row(*map(to_text, (f"{word}{mark}", f"{n:,}", *numbers)), style="dim" if mark else None)
    return table


def too_small(by: str, result: Mapping[str, Any]) -> Iterable[str]:
    """Why nothing is claimed of some groups, those of one reason together."""
    reasons: dict[str, list[str]] = {}
    for one in result["too_small"]:
        if one["by"] == by:
            reasons.setdefault(one["reason"], []).append(
                NOT_STATED if one["value"] is None else str(one["value"])
            )
    for reason, values in reasons.items():
        yield f"* too small for a claim: {', '.join(values)}: {reason}"


def empty(box: Any, names: Iterable[str]) -> "Table":
    from rich.table import Table

    table = Table(box=box, pad_edge=False, show_edge=False)
    for number, name in enumerate(names):
        side: Any = "right" if number else "left"
        table.add_column(to_text(name.replace("_", " ")), justify=side, overflow="fold")
    return table


def figures(item: Row) -> tuple[str, str]:
    return number(item["estimate"]), interval(item)


def cell(item: Row | None) -> str:
    """Estimate and interval in one cell, short enough for five of them side by side."""
    if item is None or item["estimate"] is None:
        return "-"
    reach = "" if item["low"] is None else f" ({item['low']:.2f}-{item['high']:.2f})"
    return f"{number(item['estimate'])}{reach}"


def interval(item: Row) -> str:
    return "" if item["low"] is None else f"({number(item['low'])} to {number(item['high'])})"


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def claims(result: Mapping[str, Any]) -> Iterable[str]:
    """The gaps that are more than chance, the widest first in each column; that there is none, where one could be."""
    for by in dict.fromkeys(gap["by"] for gap in result["gaps"]):
        own = [gap for gap in result["gaps"] if gap["by"] == by]
        claimed = sorted((gap for gap in own if gap["claimed"]), key=lambda gap: -gap["gap"])
        if claimed:
            yield f"gap by {by}: {len(claimed)} of {len(own)} metrics differ (1 in 20 would by chance alone)"
        for gap in claimed[:MOST]:
            yield f"  {gap_words(gap)}"
        if len(claimed) > MOST:
            yield f"  … and {len(claimed) - MOST:,} more metrics (`--format json`)"
        if not claimed:
            headline = next((gap for gap in own if gap["metric"] == "balanced_accuracy"), own[0])
            yield f"gap by {by}: {gap_words(headline)}: not more than chance, as all {len(own)} metrics compared"


def gap_words(gap: Row) -> str:
    metric = gap["metric"].replace("_", " ")
    return f"{metric} is {number(gap['gap'])} {interval(gap)} worse for {gap['worst']} than for {gap['best']}"


def can_show(text: str, encoding: str | None) -> bool:
    try:
        text.encode(encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
