"""Rows -> table, json, jsonl, csv, tsv or names; errors -> words. Only here are stdout and stderr written.

What goes to a terminal is shown and never obeyed, in any format: `data_output` for plain text, `console` for tables,
`talk` for people. A pipe or a file gets data as it is.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal, Protocol

import typer

from dermdata.api.display import console, redact, show_controls, size, talk
from dermdata.errors import DermdataError

if TYPE_CHECKING:
    from rich.text import Text

Row = Mapping[str, Any]
WIDEST, PADDING = 36, 3  # characters: a longer cell folds; between two columns
Format = Literal["table", "names", "json", "jsonl", "csv", "tsv"]
FormatOption = Annotated[
    Format | None,
    typer.Option("--format", "-f", help="Default: table on a terminal, tsv in a pipe.", show_default=False),
]


def emit(
    rows: Iterable[Row],
    columns: Sequence[str],
    form: Format | None,
    command: str,
    *,
    shown: Sequence[str] | None = None,
    beside: Mapping[str, Any] | None = None,
    color: str = "auto",
) -> None:
    """Write rows to stdout: `columns` in machine formats, `shown` of them in a table; names = the first one."""
    form = form or ("table" if sys.stdout.isatty() else "tsv")
    if form == "json":
        document = {
            "schema": f"dermdata.{command}/1",
            **(beside or {}),
            "items": [pick(row, columns) for row in rows],
        }
        write_line(json.dumps(document, ensure_ascii=False, indent=1 if sys.stdout.isatty() else None))
    elif form == "jsonl":
        for row in rows:
            write_line(json.dumps(pick(row, columns), ensure_ascii=False))
    elif form == "names":
        for row in rows:
            write_line(str(row[columns[0]]))
    elif form == "table":
        table(rows, shown or columns, color)
    else:
        delimited(rows, columns, form)


def pick(row: Row, columns: Sequence[str]) -> dict[str, Any]:
    return {name: row.get(name) for name in columns}


def write_line(line: str) -> None:
    data_output().write(f"{line}\n")


class Writable(Protocol):
    """What text can be written to."""

    def write(self, text: str, /) -> int: ...


class Terminal:
    """A terminal that gets the text of data: control characters but tabs and line ends are shown."""

    def __init__(self, file: IO[str]) -> None:
        self.file = file

    def write(self, text: str, /) -> int:
        return self.file.write(show_controls(text, keep="\n\t"))


def data_output() -> Writable:
    """Stdout for text that may hold anything."""
    return Terminal(sys.stdout) if sys.stdout.isatty() else sys.stdout


def write_prose(line: str) -> None:
    """A line of words for a person on stdout, which stays fit to be shown when it is kept."""
    sys.stdout.write(f"{show_controls(line)}\n")


def delimited(rows: Iterable[Row], columns: Sequence[str], form: str) -> None:
    """CSV after RFC 4180, or TSV in which tab, newline and backslash are escaped."""
    out = data_output()
    if form == "csv":
        import csv

        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([plain(row.get(name)) for name in columns] for row in rows)
        return
    out.write("\t".join(map(escaped, columns)) + "\n")
    for row in rows:
        out.write("\t".join(escaped(plain(row.get(name))) for name in columns) + "\n")


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


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def table(rows: Iterable[Row], columns: Sequence[str], color: str) -> None:
    """A table that fits: columns that would not are left out, the last ones first, and named below."""
    from rich import box
    from rich.table import Table

    screen = console(sys.stdout, color)
    cells = [[show_controls(human(name, row.get(name))) for name in columns] for row in rows]
    kept = fitting(cells, columns, screen.width)
    view = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, name in enumerate(columns[:kept]):
        numeric = all(line[number][:1].isdigit() or line[number] == "-" for line in cells)
        # an id must be readable whole: it is what the next command needs
        view.add_column(
            to_text(name.replace("_", " ")),
            justify="right" if numeric else "left",
            no_wrap=numeric or not number,
            overflow="fold",
        )
    for line in cells:
        view.add_row(*map(to_text, line[:kept]))
    screen.print(view)
    if kept < len(columns):
        talk(f"not shown at this width: {', '.join(columns[kept:])}")


def fitting(cells: Sequence[Sequence[str]], columns: Sequence[str], width: int) -> int:
    """How many of the columns fit side by side; two at least, which then fold."""
    total = 0
    for number, name in enumerate(columns):
        longest = max((len(line[number]) for line in cells), default=0)
        total += max(min(longest, WIDEST), len(name.split("_")[0])) + PADDING
        if total - PADDING > width and number >= 2:
            return number
    return len(columns)


def human(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and "bytes" in name:
        return size(value)
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


def write_error(error: DermdataError, *, as_json: bool) -> None:
    """One `error:` line and, where there is a next step, one `hint:` line; or both as JSON."""
    if as_json:
        facts = {
            "code": error.code,
            "message": redact(error.message),
            "hint": error.hint and redact(error.hint),
        }
        talk(json.dumps({"error": facts}, ensure_ascii=False))
        return
    talk(f"error: {indent(error.message)}")
    if error.hint:
        talk(f"hint: {indent(error.hint)}")


def indent(text: str) -> str:
    """Words whose further lines stand under the first: no line of data begins with `error:` or `hint:`."""
    return re.sub(r"\n(?! )", "\n  ", text)
