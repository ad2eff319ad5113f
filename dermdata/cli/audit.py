"""`dermdata audit`: what is wrong with the data, from broken files to missing skin tones."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dermdata.api.display import count_nouns, phrase_count
from dermdata.cli.complete import Targets
from dermdata.cli.label_options import SplitOption, WhereOption
from dermdata.cli.output import AllowMissing, Format, FormatOption, emit
from dermdata.cli.state import State, state_of
from dermdata.cli.workers import EngineOption
from dermdata.errors import ProblemsFound

if TYPE_CHECKING:
    from dermdata.api.auditing import AuditFindings

app = typer.Typer(add_completion=False)
CODE_HELP = "A kind of finding, such as duplicate-near; repeatable."


@app.command()
def audit(
    ctx: typer.Context,
    targets: Targets,
    near: Annotated[
        bool,
        typer.Option("--near", help="Find near duplicates too: turned, mirrored, cropped, encoded anew."),
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="Write all of it as one offline page.", metavar="FILE.html")
    ] = None,
    apply: Annotated[
        list[str] | None,
        typer.Option(
            help="Take away what this list of known issues names, and tell it: of the catalog, or your own file; "
            "repeatable.",
            metavar="LIST@VERSION|FILE",
        ),
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help=f"Only this. {CODE_HELP}", metavar="CODE")] = None,
    skip: Annotated[list[str] | None, typer.Option(help=f"Not this. {CODE_HELP}", metavar="CODE")] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Threads. (default: all cores)", show_default=False)
    ] = None,
    engine: EngineOption = None,
    allow_missing: AllowMissing = False,
    where: WhereOption = None,
    split: SplitOption = None,
    form: FormatOption = None,
) -> None:
    """Find broken images, duplicates, leaks, label conflicts and gaps; exit 1 on any finding of level error."""
    from dermdata.api.auditing import AuditRequest, audit_targets

    state = state_of(ctx)
    request = AuditRequest(
        near=near,
        apply=apply or (),
        only=only or (),
        skip=skip or (),
        jobs=jobs,
        engine=engine,
        report=report,
        allow_missing=allow_missing,
        where=where,
        split=split,
    )
    request.require_possible("--near")
    found = audit_targets(state, targets, request)
    show(
        found,
        f"{', '.join(found.datasets) or targets[0]}: {count_nouns(found.images, 'image')} audited",
        form,
        state.color,
    )
    tell(state, found, near=near)


def show(found: "AuditFindings", head: str, form: Format | None, color: str) -> None:
    """A screen of what to do for a person; `names`: the images; findings in other formats."""
    form = form or ("table" if sys.stdout.isatty() else "tsv")
    if form == "table":
        from dermdata.cli.findings import show as summary

        summary(found, head, color)
    elif form == "names":
        keys = dict.fromkeys(key for one in found for key in one["keys"])
        emit([{"key": key} for key in keys], ("key",), form, "audit")
    else:
        emit(found, found.columns, form, "audit", beside=found.facts, color=color)


def tell(state: State, found: "AuditFindings", *, near: bool) -> None:
    """ProblemsFound where there is an error; before that ImagesMissing, where the audit could not see all."""
    counts = found.facts
    if not near:
        state.more("near duplicates were not looked for; add --near")
    if found.missing:
        state.say(", ".join(phrase_count(count, name) for name, count in counts.items()))
        raise found.missing
    if counts["errors"]:
        said = ", ".join(phrase_count(count, name) for name, count in counts.items())
        raise ProblemsFound(
            said, hint="`--format json` lists each with its images, `--report FILE.html` shows them"
        )
    told = (count_nouns(counts[name], name[:-1]) for name in ("warnings", "notes"))
    state.say(f"no errors, {', '.join(told)}")
