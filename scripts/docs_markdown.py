"""Markdown as plain text: cells that cannot break their table."""

from collections.abc import Iterable, Sequence
from typing import Any


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; numbers stand to the right where every cell of a column is one or empty."""
    lines = [[cell(value) for value in row] for row in rows]
    numeric = [is_numeric([line[n] for line in lines]) for n in range(len(header))]
    rule = ["---:" if right else "---" for right in numeric]
    return "\n".join(f"| {' | '.join(line)} |" for line in (list(header), rule, *lines))


def cell(value: Any) -> str:
    """One value as a cell: nothing for what is not stated."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return " ".join(str(value).split()).replace("|", "\\|")


def is_numeric(column: Sequence[str]) -> bool:
    filled = [text for text in column if text]
    return bool(filled) and all(text.replace(",", "").isdecimal() for text in filled)
