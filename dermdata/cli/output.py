"""Rows -> table, json, jsonl, csv, tsv or names on stdout.

What goes to a terminal is shown and never obeyed, in any format: `data_output` for plain text, `console` for tables,
`talk` for people. A pipe or a file gets data as it is.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import IO, Annotated, Any, Literal, Protocol

import typer

from dermdata.api.display import show_controls
from dermdata.api.records import Item
from dermdata.cli.cells import escape, human, plain, to_document, to_line

__all__ = [
    "Format", "FormatOption", "data_output", "emit", "human", "plain", "write_line", "write_prose",
]  # fmt: skip

Format = Literal["table", "names", "json", "jsonl", "csv", "tsv"]
FormatOption = Annotated[
    Format | None,
    typer.Option("--format", "-f", help="Default: table on a terminal, tsv in a pipe.", show_default=False),
]
PathsOption = Annotated[
    Literal["absolute", "relative"] | None,
    typer.Option(
        "--paths",
        help="How OUT names images. (default: absolute; relative in streams and object stores)",
        show_default=False,
    ),
]
AllowMissing = Annotated[
    bool, typer.Option("--allow-missing", help="Images that rows name may be missing: no exit 8.")
]


def emit(
    rows: Iterable[Item],
    columns: Sequence[str],
    form: Format | None,
    command: str,
    *,
    shown: Sequence[str] | None = None,
    cut: Mapping[str, int] = MappingProxyType({}),
    beside: Mapping[str, Any] | None = None,
    color: str = "auto",
) -> None:
    """Write rows to stdout: `columns` in machine formats, `shown` of them in a table; names = the first one.

    `cut` names columns of the table whose words may be cut, each to one such part of the screen's width.
    """
    form = form or ("table" if sys.stdout.isatty() else "tsv")
    if form == "json":
        document = to_document(rows, columns, command, beside or {})
        write_line(json.dumps(document, ensure_ascii=False, indent=1 if sys.stdout.isatty() else None))
    elif form in ("jsonl", "names"):
        for row in rows:
            write_line(to_line(row, columns, form))
    elif form == "table":
        from dermdata.cli.tables import write_table

        write_table(rows, shown or columns, color, cut)
    else:
        write_delimited(rows, columns, form)


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


def write_prose(line: str, *, bold: bool = False) -> None:
    """A line of words for a person on stdout, which stays fit to be shown when it is kept."""
    shown = show_controls(line)
    sys.stdout.write(f"\x1b[1m{shown}\x1b[0m\n" if bold else f"{shown}\n")


def write_delimited(rows: Iterable[Item], columns: Sequence[str], form: str) -> None:
    """CSV after RFC 4180, or TSV in which tab, newline and backslash are escaped."""
    out = data_output()
    if form == "csv":
        import csv

        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([plain(row.get(name)) for name in columns] for row in rows)
        return
    out.write("\t".join(map(escape, columns)) + "\n")
    for row in rows:
        words = map(row.get, columns)
        out.write("\t".join(["" if one is None else escape(plain(one)) for one in words]) + "\n")
