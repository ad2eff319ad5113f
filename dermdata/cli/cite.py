"""`dermdata cite`: whom to name for exactly the rows used, what may be done with them, and a Table 1."""

from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from dermdata.api.display import count_nouns
from dermdata.cli.complete import TargetsOrCached, column_names
from dermdata.cli.label_options import SplitOption, WhereOption
from dermdata.cli.output import Format, data_output, emit, write_line, write_prose
from dermdata.cli.state import State, state_of
from dermdata.errors import UsageError

if TYPE_CHECKING:
    from dermdata.api.summaries import Credit, Credits

app = typer.Typer(add_completion=False)
KEYS = ("dataset", "rows", "license", "doi", "bibtex", "attribution")
Form = Literal["text", "bibtex", "json", "jsonl", "csv", "tsv", "names", "table", "markdown", "latex"]
CITE_FORMS = ("text", "bibtex", "json", "jsonl", "csv", "tsv", "names", "table")
FORM_HELP = f"{', '.join(CITE_FORMS)}; with --table1: markdown, latex, csv, json. (default: text, markdown)"
ANSWER = {True: "yes", False: "no", None: "not stated: ask, or treat it as no"}


@app.command()
def cite(
    ctx: typer.Context,
    targets: TargetsOrCached = None,
    table1: Annotated[bool, typer.Option("--table1", help="A paper's Table 1 of these rows.")] = False,
    by: Annotated[
        str | None,
        typer.Option(
            help="The column that --table1 spreads out: dataset, split, … (default: dataset)",
            metavar="COLUMN",
            autocompletion=column_names,
        ),
    ] = None,
    where: WhereOption = None,
    split: SplitOption = None,
    form: Annotated[Form | None, typer.Option("--format", "-f", help=FORM_HELP, show_default=False)] = None,
) -> None:
    """BibTeX, attributions and licenses of exactly the rows used, and the strictest license of the mix."""
    from dermdata.api.summaries import credit_targets, make_table1

    state = state_of(ctx)
    require_options(form, by, table1=table1)
    if table1:
        shown = {"by": by or "dataset", "form": form or "markdown"}
        data_output().write(make_table1(state, targets or (), where=where, split=split, **shown))
        return
    show_credits(state, credit_targets(state, targets or (), where, split), form)


def require_options(form: Form | None, by: str | None, *, table1: bool) -> None:
    """UsageError for a form or a column that only the other answer has."""
    from dermdata.api.summaries import TABLE_FORMS

    allowed = TABLE_FORMS if table1 else CITE_FORMS
    if form not in (None, *allowed):
        with_or_without = "with" if table1 else "without"
        raise UsageError(
            f"there is no format {form} {with_or_without} --table1",
            hint=f"choose one of {', '.join(allowed)}",
        )
    if by and not table1:
        raise UsageError("--by is the column that a Table 1 spreads out", hint="add --table1")


def show_credits(state: State, found: "Credits", form: Form | None) -> None:
    if form == "bibtex":
        write_bibtex(state, found)
    elif form in (None, "text"):
        for line in describe_credits(found):
            write_prose(line)
    else:
        rows = [{name: getattr(one, name) for name in KEYS} for one in found.credits]
        mix = {**vars(found.effective), "because": list(found.effective.because)}
        shown = ("dataset", "rows", "license", "doi")
        rows_form = cast("Format", form)  # those of Table 1 are refused above
        emit(rows, KEYS, rows_form, "cite", shown=shown, beside={"effective_license": mix}, color=state.color)


def write_bibtex(state: State, found: "Credits") -> None:
    """Each dataset's entry once; what has none, and what an entry lacks, is told."""
    from dermdata.api.entry_documents import tell_bibtex_gaps

    for name, entry in {one.dataset: one.bibtex for one in found.credits}.items():
        if entry is None:
            state.say(f"warning: {name} has no citation in the catalog")
            continue
        write_line(f"{entry}\n")
        tell_bibtex_gaps(state, name, entry)


def describe_credits(found: "Credits") -> list[str]:
    """The whole answer in words: what may be done, then whom to name."""
    mix, datasets = found.effective, len({one.dataset for one in found.credits})
    lines = [
        f"{count_nouns(sum(one.rows for one in found.credits), 'row')} of {count_nouns(datasets, 'dataset')}",
        "",
        "What may be done with them together (no legal advice: read the licenses)",
        f"  license of the mix  {mix.id or 'no single one: see below'}",
        f"  commercial use      {ANSWER[mix.commercial_use]}",
        f"  redistribution      {ANSWER[mix.redistribution]}",
        f"  share alike         {ANSWER[mix.share_alike] if mix.share_alike is not None else 'not stated'}",
        *(f"    {reason}" for reason in mix.because),
    ]
    for one in found.credits:
        lines += ["", *describe_credit(one)]
    return [*lines, "", "`--format bibtex` prints the entries, `--table1` a Table 1."]


def describe_credit(one: "Credit") -> list[str]:
    lines = [f"{one.dataset}: {count_nouns(one.rows, 'row')}, {one.license or 'no license is stated'}"]
    if one.attribution:
        lines.append(f"  {one.attribution}")
    if one.doi:
        lines.append(f"  https://doi.org/{one.doi}")
    return lines
