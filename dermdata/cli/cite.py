"""`dermdata cite`: whom to name for exactly the rows used, what may be done with them, and a Table 1."""

import csv
import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dermdata.cli.complete import TargetsOrCached
from dermdata.cli.output import data_output, emit, write_line, write_prose
from dermdata.cli.state import State, state_of
from dermdata.errors import UsageError

if TYPE_CHECKING:
    from dermdata.cite import Credit, Credits
    from dermdata.rights import Mix
    from dermdata.table1 import Table1

app = typer.Typer(add_completion=False)
KEYS = ("dataset", "rows", "license", "doi", "bibtex", "attribution")
Form = Literal["text", "bibtex", "json", "jsonl", "csv", "tsv", "names", "table", "markdown", "latex"]
CITE_FORMS = ("text", "bibtex", "json", "jsonl", "csv", "tsv", "names", "table")
TABLE_FORMS = ("markdown", "latex", "csv", "json")
FORM_HELP = (
    "text, bibtex, json, jsonl, csv, tsv, names, table; with --table1: markdown, latex, csv, json. "
    "[default: text, or markdown]"
)
ANSWER = {True: "yes", False: "no", None: "not stated: ask, or treat it as no"}


@app.command()
def cite(
    ctx: typer.Context,
    targets: TargetsOrCached = None,
    table1: Annotated[bool, typer.Option("--table1", help="A paper's Table 1 of these rows.")] = False,
    by: Annotated[
        str | None,
        typer.Option(
            help="The column that --table1 spreads out: dataset, split, … [default: dataset]",
            metavar="COLUMN",
            show_default=False,
        ),
    ] = None,
    form: Annotated[Form | None, typer.Option("--format", "-f", help=FORM_HELP, show_default=False)] = None,
) -> None:
    """BibTeX, attributions and licences of exactly the rows used, and the strictest licence of the mix."""
    from dermdata import cite as room
    from dermdata.api.targets import cached, load

    state = state_of(ctx)
    allowed = TABLE_FORMS if table1 else CITE_FORMS
    if form not in (None, *allowed):
        with_or_without = "with" if table1 else "without"
        raise UsageError(
            f"there is no format {form} {with_or_without} --table1",
            hint=f"choose one of {', '.join(allowed)}",
        )
    if by and not table1:
        raise UsageError("--by is the column that a Table 1 spreads out", hint="add --table1")
    loaded = load(state, targets or cached(state))
    if table1:
        from dermdata.table1 import table1 as made

        write_table1(made(loaded.table, by or "dataset"), form)
        return
    catalog = state.catalog
    found = room.cite(loaded.table, lambda name: catalog[name] if name in catalog else None)  # noqa: SIM401  # no dict
    for name in found.unknown:
        state.say(f"warning: no catalog knows {name}: add its citation and licence by hand")
    show(state, found, form)


def show(state: State, found: "Credits", form: Form | None) -> None:
    if form == "bibtex":
        write_bibtex(state, found)
    elif form in (None, "text"):
        for line in text(found):
            write_prose(line)
    else:
        rows = [{name: getattr(one, name) for name in KEYS} for one in found.credits]
        beside = {"effective_license": terms(found.effective)}
        shown = ("dataset", "rows", "license", "doi")
        emit(rows, KEYS, form, "cite", shown=shown, beside=beside, color=state.color)  # type: ignore[arg-type]


def terms(mix: "Mix") -> dict[str, Any]:
    return {**vars(mix), "because": list(mix.because)}


def write_bibtex(state: State, found: "Credits") -> None:
    """Each dataset's entry once; what has none is said."""
    entries = {one.dataset: one.bibtex for one in found.credits}
    for name, entry in entries.items():
        if entry:
            write_line(f"{entry}\n")
        else:
            state.say(f"warning: {name} has no citation in the catalog")


def text(found: "Credits") -> list[str]:
    """The whole answer in words: what may be done, then whom to name."""
    mix = found.effective
    lines = [
        f"{sum(one.rows for one in found.credits):,} rows of {len({one.dataset for one in found.credits})} datasets",
        "",
        "What may be done with them together (no legal advice: read the licences)",
        f"  licence of the mix  {mix.id or 'no single one: see below'}",
        f"  commercial use      {ANSWER[mix.commercial_use]}",
        f"  redistribution      {ANSWER[mix.redistribution]}",
        f"  share alike         {ANSWER[mix.share_alike] if mix.share_alike is not None else 'not stated'}",
        *(f"    {reason}" for reason in mix.because),
    ]
    for one in found.credits:
        lines += ["", *credited(one)]
    return [*lines, "", "`--format bibtex` prints the entries, `--table1` a Table 1."]


def credited(one: "Credit") -> list[str]:
    lines = [f"{one.dataset}: {one.rows:,} rows, {one.license or 'no licence is stated'}"]
    if one.attribution:
        lines.append(f"  {one.attribution}")
    if one.doi:
        lines.append(f"  https://doi.org/{one.doi}")
    return lines


def write_table1(table: "Table1", form: Form | None) -> None:
    from dermdata.table1 import latex, markdown

    out = data_output()
    if form == "latex":
        out.write(latex(table))
    elif form == "csv":
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["group", "value", *table.columns])
        writer.writerows([line.heading, line.name, *line.cells] for line in table.lines)
    elif form == "json":
        items = [
            {
                "group": line.heading or None,
                "value": line.name,
                **dict(zip(table.columns, line.cells, strict=True)),
            }
            for line in table.lines
        ]
        write_line(json.dumps({"schema": "dermdata.table1/1", "items": items}, ensure_ascii=False))
    else:
        out.write(markdown(table))
