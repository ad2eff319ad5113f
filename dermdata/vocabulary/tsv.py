"""The catalog's tab-separated files: UTF-8, one header line, Excel quoting only where a tab or `"` needs it.

Both sides use Python's csv module with a tab and minimal quoting, so a raw label keeps its quotes, commas
and blanks exactly. (A line break inside a field is legal too; the catalog has none.)
"""

import csv
from collections.abc import Iterable, Sequence
from io import StringIO

from dermdata.errors import BadCatalog
from dermdata.markup import count_nouns
from dermdata.text_files import drop_separator_line, find_delimiter

# of a dataset's labels.tsv
LABEL_COLUMNS = ("field", "raw_label", "concept", "predicate", "malignancy", "members", "note")


class TabDialect(csv.excel_tab):
    """One line ending on every machine; a stray quote is an error, not a guess."""

    lineterminator = "\n"
    strict = True


class QuotedTabDialect(TabDialect):
    """The same file with all fields of a row in quotes."""

    quoting = csv.QUOTE_ALL


def read_rows(
    text: str, header: Sequence[str], issues: list[str], least: int | None = None
) -> list[tuple[int, list[str]]]:
    """Rows with their line numbers; a wrong header, a row of another width and bad quoting become issues.

    What programs do to a row's end is mended: empty cells beyond the header's go, and empty cells come where an
    editor has cut the tabs away, if `least` cells are there.
    """
    data, said = drop_separator_line(text.encode())
    delimiter = find_delimiter(data, (said, "\t"))
    reader = csv.reader(StringIO(data.decode(), newline=""), TabDialect, delimiter=delimiter)
    rows: list[tuple[int, list[str]]] = []
    try:
        for cells in reader:
            row = mend_row_end(cells, len(header), least or len(header))
            if row and len(row) != len(header):
                issues.append(
                    f"line {reader.line_num}: {count_nouns(len(row), 'field')} instead of {len(header)}"
                )
            elif row:
                rows.append((reader.line_num, row))
    except csv.Error as error:
        issues.append(f"line {reader.line_num}: {error}")
    if not rows or rows[0][1] != list(header):
        issues.insert(0, f"line 1: the header must be {' '.join(header)}, separated by tabs")
    return rows[1:]


def mend_row_end(cells: list[str], width: int, least: int) -> list[str]:
    """A row of the right width where only empty cells at its end are too many or too few."""
    if len(cells) > width and not any(cells[width:]):
        return cells[:width]
    return cells + [""] * (width - len(cells)) if len(cells) >= least else cells


def rows_to_text(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The text of such a file; `read_rows` gives the same rows back."""
    out = StringIO(newline="")
    for row in (header, *rows):
        # minimal quoting forgets a lone carriage return, which the reader takes for the end of the line
        dialect = QuotedTabDialect if any("\r" in cell for cell in row) else TabDialect
        csv.writer(out, dialect).writerow(row)
    return out.getvalue()


def raise_issues(where: str, issues: Sequence[str]) -> None:
    """BadCatalog with every issue on its own line, if there is one."""
    if issues:
        lines = "".join(f"\n  {issue}" for issue in issues)
        raise BadCatalog(f"{where} has {len(issues)} issue(s):{lines}")


def split_field(field: str) -> tuple[str, ...]:
    """The parts of a `|`-separated field."""
    return tuple(field.split("|")) if field else ()
