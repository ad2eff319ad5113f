"""Rows as JSON, and values as words: plain for machines, with units and dashes for people."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dermdata.api.display import format_size, show_controls
from dermdata.api.records import Item

if TYPE_CHECKING:
    from rich.text import Text


def to_document(
    rows: Iterable[Item], columns: Sequence[str], command: str, beside: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The one object of `--format json`; a command of two words has a hyphen in its schema's name."""
    return {
        "schema": f"dermdata.{command.replace(' ', '-')}/1",
        **beside,
        "items": [pick(row, columns) for row in rows],
    }


def to_line(row: Item, columns: Sequence[str], form: str) -> str:
    """A row as JSON, or its name, which is the first of its columns."""
    return json.dumps(pick(row, columns), ensure_ascii=False) if form == "jsonl" else str(row[columns[0]])


def pick(row: Item, columns: Sequence[str]) -> Item:
    """A row's cells of these columns, null where it has none."""
    return {name: row.get(name) for name in columns}


def plain(value: Any) -> str:
    """A value as one word of text; nothing for null."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(plain(item) for item in value)
    if isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def human(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and "bytes" in name:
        return format_size(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(plain, value))
    return plain(value)


def to_text(words: str, style: str = "") -> "Text":
    """Words for a table or tree: no markup, control characters shown at the width that they then have."""
    from rich.text import Text

    return Text(show_controls(words), style)


def can_show(text: str, encoding: str | None) -> bool:
    """Whether an output of this encoding has all of these characters."""
    try:
        text.encode(encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
