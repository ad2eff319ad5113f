"""Builds a paper's Table 1: who and what is in the rows, for each dataset (or part) and together."""

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.errors import UnknownName
from dermdata.manifest.columns import find_extra_column, text_column
from dermdata.manifest.schema import USUAL_PARTS
from dermdata.markup import count_nouns, escape_latex, escape_markdown

GROUPS = (
    ("Sex", "sex"),
    ("Fitzpatrick skin type", "fitzpatrick"),
    ("Monk skin tone", "monk"),
    ("Modality", "modality"),
    ("Confirmation", "confirmation"),
    ("Malignancy", "malignancy"),
)
DIAGNOSES = (("Class", "label"), ("Diagnosis", "diagnosis"))
LARGEST = 15  # diagnoses that have a line of their own
NOT_STATED = "not stated"
TOTAL = "Total"
NONE_KNOWN = "–"
COUNTED = (("Patients", "patient_id"), ("Lesions", "lesion_id"), ("Cases", "case_id"))
NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")


@dataclass(frozen=True)
class Table1Line:
    """One line: what it counts, under which heading, and its cell for each column."""

    heading: str
    name: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Table1:
    """Columns (datasets or parts, then the total) and lines."""

    columns: tuple[str, ...]
    lines: tuple[Table1Line, ...]


def build_table1(table: pa.Table, by: str = "dataset") -> Table1:
    """Count with shares of the column; ages as median and quartiles.

    Parameters
    ----------
    table : pyarrow.Table
        A manifest.
    by : str, default "dataset"
        The column whose values are the columns of the table.

    Returns
    -------
    Table1
        Patients and lesions are distinct ids; shares are of the column's images.

    Raises
    ------
    UnknownName
        For a column that is not there.

    """
    own = find_extra_column(table, by)
    if own is None and by not in table.column_names:
        raise UnknownName("column", by, table.column_names, hint="a source's own columns are extra.NAME")
    words = text_column(table, by) if own is None else own.combine_chunks()
    names = sorted((word for word in words.unique().to_pylist() if word is not None), key=natural_order)
    parts = [table.filter(pc.equal(words, name)) for name in names]
    if words.null_count:
        names.append(NOT_STATED)
        parts.append(table.filter(pc.is_null(words)))
    if len(parts) > 1 or not parts:
        names.append(TOTAL)
        parts.append(table)
    return Table1(tuple(names), tuple(build_lines(parts)))


def build_lines(parts: Sequence[pa.Table]) -> Iterable[Table1Line]:
    yield Table1Line("", "Images", tuple(f"{part.num_rows:,}" for part in parts))
    for name, column in COUNTED:
        cells = tuple(count_distinct(part, column) for part in parts)
        if name != "Cases" or cells[-1] != NONE_KNOWN:  # few sources file images by case
            yield Table1Line("", name, cells)
    yield Table1Line("", "Age in years, median (quartiles)", tuple(age_quartiles(part) for part in parts))
    yield from missing_lines(parts, "Age", "age")
    for heading, column in (*GROUPS, diagnosis_column(parts)):
        yield from value_lines(parts, heading, column)


def diagnosis_column(parts: Sequence[pa.Table]) -> tuple[str, str]:
    """The class of a label space where rows have one."""
    named = parts[-1].column_names
    return DIAGNOSES[0] if "label" in named else DIAGNOSES[1]


def count_distinct(part: pa.Table, column: str) -> str:
    known = text_column(part, column)
    if known.null_count == part.num_rows:
        return NONE_KNOWN
    lacking = f" ({count_nouns(known.null_count, 'image')} without)" if known.null_count else ""
    return f"{pc.count_distinct(known).as_py():,}{lacking}"


def age_quartiles(part: pa.Table) -> str:
    if "age" not in part.column_names:
        return "–"
    found = sorted(age for age in part["age"].to_pylist() if age is not None and isfinite(age))
    if not found:
        return "–"
    if len(found) == 1:
        return f"{found[0]:g}"
    low, middle, high = statistics.quantiles(found, n=4, method="inclusive")
    return f"{middle:g} ({low:g}–{high:g})"


def missing_lines(parts: Sequence[pa.Table], name: str, column: str) -> Iterable[Table1Line]:
    lacking = [
        part.num_rows
        if column not in part.column_names
        else part.num_rows - (pc.sum(pc.is_finite(part[column])).as_py() or 0)
        for part in parts
    ]
    if any(lacking):
        yield Table1Line("", f"{name} {NOT_STATED}", tuple(map(count_and_share, lacking, parts)))


def value_lines(parts: Sequence[pa.Table], heading: str, column: str) -> Iterable[Table1Line]:
    """A line for each value, the most frequent first (skin types in their order), then what is not stated."""
    counts = [value_counts(part, column) for part in parts]
    ordered = order_values(counts[-1], column)
    if not ordered:
        return
    shown = ordered[:LARGEST] if column in ("diagnosis", "label") else ordered
    groups: list[tuple[str, Sequence[str | None]]] = [(value, [value]) for value in shown]
    if rest := ordered[len(shown) :]:
        groups.append((f"{len(rest)} others", rest))
    for name, values in (*groups, (NOT_STATED, [None])):
        sums = [sum(count.get(value, 0) for value in values) for count in counts]
        if any(sums):
            yield Table1Line(heading, name, tuple(map(count_and_share, sums, parts)))


def order_values(counts: Mapping[str | None, int], column: str) -> list[str]:
    """Skin types in their order, else the most frequent first; without what is not stated."""
    known = [value for value in counts if value is not None]
    if column in ("fitzpatrick", "monk"):
        return sorted(known, key=natural_order)
    return sorted(known, key=lambda value: (-counts[value], value))


def natural_order(word: str) -> tuple[int, float, str]:
    """Parts of a split as papers list them, numbers by size (10 after 2), then words by their letters."""
    if word in USUAL_PARTS:
        return 0, USUAL_PARTS.index(word), word
    return (1, float(word), word) if NUMBER.fullmatch(word) else (2, 0, word)


def value_counts(part: pa.Table, column: str) -> dict[str | None, int]:
    return {one["values"]: one["counts"] for one in text_column(part, column).value_counts().to_pylist()}


def count_and_share(count: int, part: pa.Table) -> str:
    return f"{count:,} ({count / part.num_rows:.1%})" if part.num_rows else "0"


# ------------------------------------------------------------------ writing


def to_markdown(table: Table1) -> str:
    head = ["", *map(escape_markdown, table.columns)]
    rows = [head, ["---", *("---:" for _ in table.columns)]]
    for line, new in mark_headings(table):
        if new:
            rows.append([f"**{escape_markdown(line.heading)}**", *("" for _ in table.columns)])
        indent = "&emsp;" if line.heading else ""
        rows.append([f"{indent}{escape_markdown(line.name)}", *line.cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def to_latex(table: Table1) -> str:
    """A tabular for the booktabs package."""
    rows = [" & ".join(["", *map(escape_latex, table.columns)]) + r" \\", r"\midrule"]
    for line, new in mark_headings(table):
        if new:
            heading = escape_latex(line.heading)
            rows.append(rf"\multicolumn{{{len(table.columns) + 1}}}{{l}}{{\textit{{{heading}}}}} \\")
        indent = r"\quad " if line.heading else ""
        rows.append(" & ".join([indent + escape_latex(line.name), *map(escape_latex, line.cells)]) + r" \\")
    columns = "l" + "r" * len(table.columns)
    body = "\n".join(
        ["% needs \\usepackage{booktabs}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule", *rows]
    )
    return body + "\n\\bottomrule\n\\end{tabular}\n"


def mark_headings(table: Table1) -> Iterable[tuple[Table1Line, bool]]:
    """Each line, and whether a new heading begins with it."""
    before = ""
    for line in table.lines:
        yield line, bool(line.heading) and line.heading != before
        before = line.heading
