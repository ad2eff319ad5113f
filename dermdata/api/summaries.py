"""Rows in numbers and names: counts by any columns, whom to credit, and a paper's Table 1."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from dermdata.api.label_spaces import ADDED, NEEDED, project
from dermdata.api.manifest_selection import load_narrowed
from dermdata.api.records import Records
from dermdata.api.resources import Resources
from dermdata.api.targets import SUFFIXES, list_cached_targets, load, load_lean, open_columns_on_disk
from dermdata.cohort.cite import Credit, Credits, collect_credits
from dermdata.cohort.dedupe import describe_overlaps
from dermdata.cohort.table1 import Table1, build_table1, to_latex, to_markdown
from dermdata.errors import UnknownName
from dermdata.licenses import CombinedTerms
from dermdata.manifest.lazy import LazyTable
from dermdata.object_store import is_remote

__all__ = [
    "TABLE_FORMS", "CombinedTerms", "Credit", "Credits",
    "credit_rows", "credit_targets", "format_table1", "make_table1",
]  # fmt: skip


@dataclass(frozen=True)
class CountRequest:
    """What is counted: by which columns (an overview without any), and in which label space."""

    by: tuple[str, ...] = ()
    labels: str | None = None
    strict: bool = False
    where: str | None = None
    split: str | None = None
    share: float = 1.0  # of a differential's weight that a class needs
    exclude: tuple[str, ...] = ()  # exclusion lists

    @classmethod
    def from_names(
        cls, by: Iterable[str], labels: str | None = None, *, strict: bool = False, share: float = 1.0
    ) -> "CountRequest":
        """Each column once, in the order in which they are named first."""
        return cls(tuple(dict.fromkeys(by)), labels, strict, share=share)

    @property
    def shown_columns(self) -> tuple[str, ...]:
        """The columns that rows are counted by, all at once or one after the other."""
        from dermdata.cohort.stats import OVERVIEW_COLUMNS

        return self.by or (*(ADDED if self.labels else ()), *OVERVIEW_COLUMNS)

    @property
    def columns(self) -> list[str]:
        """The columns of a manifest that counting reads."""
        from dermdata.cohort.stats import COUNTED_COLUMNS

        shown = [name.partition(".")[0] if name.startswith("extra.") else name for name in self.shown_columns]
        return [*shown, *COUNTED_COLUMNS.values(), *(NEEDED if self.labels else ()), "dataset"]


def list_identities(targets: Sequence[str]) -> Sequence[str]:
    """The columns that tell whether several datasets have images in common: one alone is not read for that."""
    alone = len(targets) == 1 and (is_remote(targets[0]) or not targets[0].endswith(SUFFIXES))
    return [] if alone else ["isic_id"]


def count_targets(resources: Resources, targets: Sequence[str], request: CountRequest) -> Records:
    """Count the rows of targets, of all that is cached without any; only the columns that are needed are read."""
    targets = targets or list_cached_targets(resources)
    plain = request.where is None and request.split is None and not request.exclude
    if plain and not request.labels and open_columns_on_disk(resources, targets):
        loaded = load_lean(resources, targets, lambda _: ["dataset"])  # the others one at a time
    elif plain:
        loaded = load(resources, targets, [*request.columns, *list_identities(targets)])
    else:
        loaded = load_narrowed(resources, targets, request.where, request.split, request.exclude)
    resources.more(f"counting {', '.join(loaded.names)}")
    table = loaded.rows() if loaded.rest else loaded.table
    return count_rows(resources, table, loaded.names, request)


def count_rows(
    resources: Resources, table: pa.Table | LazyTable, names: Sequence[str], request: CountRequest
) -> Records:
    """A record a cell: the columns, or `by` and `value` in an overview, then images, patients, lesions, share."""
    from dermdata.cohort import stats as room

    for overlap in describe_overlaps(table, ("id",)):
        resources.say(overlap)
    if request.labels:
        table = project(resources, table, request.labels, strict=request.strict, share=request.share)
    if request.by:
        rows = room.tabulate(table, request.by)
        return Records(rows, (*request.by, *room.list_measures(rows)))
    compared = ["dataset"] if len(names) > 1 else []  # several datasets are also compared
    rows = room.tabulate_each(table, [*compared, *request.shown_columns])
    return Records(rows, ("by", "value", *room.list_measures(rows)))


TABLE_FORMS = ("markdown", "latex", "csv", "json")


def credit_targets(
    resources: Resources, targets: Sequence[str] = (), where: str | None = None, split: str | None = None
) -> Credits:
    """The credits of the targets' rows, of all that is cached without any; whom no catalog knows is told."""
    found = credit_rows(resources, load_rows(resources, targets, where, split))
    for name in found.unknown:
        resources.say(f"warning: no catalog knows {name}: add its citation and license by hand")
    return found


def load_rows(resources: Resources, targets: Sequence[str], where: str | None, split: str | None) -> pa.Table:
    """The rows of targets, or of all that is cached, that the filters leave."""
    return load_narrowed(resources, targets or list_cached_targets(resources), where, split).table


def credit_rows(resources: Resources, table: pa.Table) -> Credits:
    """The credits of exactly these rows, as the catalog knows their datasets."""
    catalog = resources.catalog
    return collect_credits(table, lambda name: catalog[name] if name in catalog else None)  # noqa: SIM401  # no dict


def make_table1(
    resources: Resources,
    targets: Sequence[str] = (),
    *,
    where: str | None = None,
    split: str | None = None,
    by: str = "dataset",
    form: str = "markdown",
) -> str:
    """A Table 1 of the targets' rows, of all that is cached without any, as a text in one of TABLE_FORMS."""
    return format_table1(load_rows(resources, targets, where, split), by=by, form=form)


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
