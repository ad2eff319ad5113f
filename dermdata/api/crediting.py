"""Whom to name for exactly the rows used, what may be done with them, and a paper's Table 1 of them."""

import csv
import io
import json
from collections.abc import Sequence

import pyarrow as pa

from dermdata.api.resources import Resources
from dermdata.api.targets import list_cached_targets, load
from dermdata.cohort.cite import Credit, Credits, collect_credits
from dermdata.cohort.table1 import Table1, build_table1, to_latex, to_markdown
from dermdata.errors import UnknownName
from dermdata.licenses import CombinedTerms

TABLE_FORMS = ("markdown", "latex", "csv", "json")


def credit_targets(resources: Resources, targets: Sequence[str] = ()) -> Credits:
    """The credits of all rows of the targets; of all that is cached without any."""
    return credit_rows(resources, load(resources, targets or list_cached_targets(resources)).table)


def credit_rows(resources: Resources, table: pa.Table) -> Credits:
    """The credits of exactly these rows, as the catalog knows their datasets."""
    catalog = resources.catalog
    return collect_credits(table, lambda name: catalog[name] if name in catalog else None)  # noqa: SIM401  # no dict


def make_table1(
    resources: Resources, targets: Sequence[str] = (), *, by: str = "dataset", form: str = "markdown"
) -> str:
    """A Table 1 of all rows of the targets, of all that is cached without any, as a text in one of TABLE_FORMS."""
    return format_table1(load(resources, targets or list_cached_targets(resources)).table, by=by, form=form)


def format_table1(rows: pa.Table, *, by: str, form: str) -> str:
    """A Table 1 of these rows as a text; UnknownName for a column or a form that there is not."""
    writers = {"markdown": to_markdown, "latex": to_latex, "csv": write_csv, "json": write_json}
    if form not in writers:
        raise UnknownName("format", form, TABLE_FORMS)
    return writers[form](build_table1(rows, by))


def write_csv(table: Table1) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["group", "value", *table.columns])
    writer.writerows([line.heading, line.name, *line.cells] for line in table.lines)
    return out.getvalue()


def write_json(table: Table1) -> str:
    items = [
        {"group": line.heading or None, "value": line.name, **dict(zip(table.columns, line.cells, strict=True))}
        for line in table.lines
    ]  # fmt: skip
    return json.dumps({"schema": "dermdata.table1/1", "items": items}, ensure_ascii=False) + "\n"


__all__ = [
    "TABLE_FORMS",
    "CombinedTerms",
    "Credit",
    "Credits",
    "credit_rows",
    "credit_targets",
    "format_table1",
    "make_table1",
]
