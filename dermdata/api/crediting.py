"""Whom to name for exactly the rows used, what may be done with them, and a paper's Table 1 of them."""

import csv
import io
import json
from collections.abc import Sequence

import pyarrow as pa

from dermdata.api.resources import Resources
from dermdata.api.targets import cached, load
from dermdata.cite import Credit, Credits, cite
from dermdata.errors import UnknownName
from dermdata.rights import Mix
from dermdata.table1 import Table1, latex, markdown, table1

TABLE_FORMS = ("markdown", "latex", "csv", "json")


def credit_targets(resources: Resources, targets: Sequence[str] = ()) -> Credits:
    """The credits of all rows of the targets; of all that is cached without any."""
    return credit_rows(resources, load(resources, targets or cached(resources)).table)


def credit_rows(resources: Resources, table: pa.Table) -> Credits:
    """The credits of exactly these rows, as the catalog knows their datasets."""
    catalog = resources.catalog
    return cite(table, lambda name: catalog[name] if name in catalog else None)  # noqa: SIM401  # no dict


def make_table1(
    resources: Resources, targets: Sequence[str] = (), *, by: str = "dataset", form: str = "markdown"
) -> str:
    """A Table 1 of all rows of the targets, of all that is cached without any, as a text in one of TABLE_FORMS."""
    return format_table1(load(resources, targets or cached(resources)).table, by=by, form=form)


def format_table1(rows: pa.Table, *, by: str, form: str) -> str:
    """A Table 1 of these rows as a text; UnknownName for a column or a form that there is not."""
    writers = {"markdown": markdown, "latex": latex, "csv": write_csv, "json": write_json}
    if form not in writers:
        raise UnknownName("format", form, TABLE_FORMS)
    return writers[form](table1(rows, by))


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
    "Credit",
    "Credits",
    "Mix",
    "credit_rows",
    "credit_targets",
    "format_table1",
    "make_table1",
]
