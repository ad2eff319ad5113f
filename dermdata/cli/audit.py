"""`dermdata audit`: what is wrong with the data, from broken files to missing skin tones."""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dermdata import disk
from dermdata.cli.complete import Targets
from dermdata.cli.output import FormatOption, emit
from dermdata.cli.state import State, state_of
from dermdata.cli.workers import EngineOption, workers
from dermdata.errors import ProblemsFound, UsageError

if TYPE_CHECKING:
    from dermdata.audit import Finding

app = typer.Typer(add_completion=False)
KEYS = ("level", "code", "dataset", "keys", "message", "evidence")
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
            help="Take away what this list of known issues names, and tell it; repeatable.",
            metavar="LIST@VERSION",
        ),
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help=f"Only this. {CODE_HELP}", metavar="CODE")] = None,
    skip: Annotated[list[str] | None, typer.Option(help=f"Not this. {CODE_HELP}", metavar="CODE")] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Threads. [default: all cores]", show_default=False)
    ] = None,
    engine: EngineOption = None,
    form: FormatOption = None,
) -> None:
    """Find broken images, duplicates, leaks, label conflicts and gaps; exit 1 on any finding of level error."""
    from dermdata import audit as room
    from dermdata.api.auditing import audit_columns, context_of
    from dermdata.api.targets import load

    state = state_of(ctx)
    if report and not report.parent.is_dir():
        raise UsageError(f"there is no folder {report.parent} for the report")
    if report:
        disk.require_file(report)
    if "duplicate-near" in codes_in(only) and not near:
        raise UsageError("duplicate-near is looked for only with --near", hint="add --near")
    codes = room.codes_of(codes_in(only), codes_in(skip))
    lists = [one for name in apply or () for one in room.find(state.catalog.roots, name, state.catalog)]
    loaded = load(state, targets, None if report else audit_columns())
    rows = room.once(loaded.table)
    if twice := loaded.table.num_rows - rows.num_rows:
        state.say(f"{twice:,} rows are there twice: taken once")
    applied = room.apply(rows, lists)
    table = applied.table
    for one in applied.findings:
        state.say(one.message)
    context = context_of(state, loaded, targets, applied.copies, changed=table is not rows)
    with workers(state, engine) as make, state.show_progress() as progress:
        wanted = room.Wanted(near=near, codes=codes, jobs=jobs or os.cpu_count() or 1, make=make)
        found = [*room.audit(table, context, wanted, progress), *applied.findings]
    if report:
        from dermdata.cli.audit_page import write

        checked = codes - (set() if near else {"duplicate-near"})
        line = command(targets, {"apply": apply, "only": only, "skip": skip}, near=near)
        write(state, report, table, found, context, command=line, checked=checked)
    show(
        found,
        f"{', '.join(loaded.names) or targets[0]}: {table.num_rows:,} images audited",
        form,
        state.color,
    )
    tell(state, found, near=near)


def codes_in(words: Sequence[str] | None) -> list[str]:
    """The codes of `--only a --only b,c`."""
    return [code.strip() for word in words or () for code in word.split(",") if code.strip()]


def command(targets: Sequence[str], asked: Mapping[str, Sequence[str] | None], *, near: bool) -> str:
    """The command line as far as it decides what is found."""
    options = [f"--{name}={word}" for name, words in asked.items() for word in words or ()]
    return shlex.join(["dermdata", "audit", *targets, *(["--near"] if near else []), *options])


# ------------------------------------------------------------------ telling


def show(found: Sequence["Finding"], head: str, form: Any, color: str) -> None:
    form = form or ("table" if sys.stdout.isatty() else "tsv")
    if form == "table":
        from dermdata.cli.audit_summary import show as summary

        summary(found, head, color)
    elif form == "names":
        keys = dict.fromkeys(key for one in found for key in one.keys)
        emit([{"key": key} for key in keys], ("key",), form, "audit")
    else:
        emit((vars(one) for one in found), KEYS, form, "audit", beside=levels(found), color=color)


def levels(found: Sequence["Finding"]) -> dict[str, int]:
    """How many there are of each level, beside JSON's items."""
    return {f"{level}s": sum(one.level == level for one in found) for level in ("error", "warning", "note")}


def tell(state: State, found: Sequence["Finding"], *, near: bool) -> None:
    """ProblemsFound where there is an error."""
    counts = levels(found)
    if not near:
        state.more("near duplicates were not looked for; add --near")
    if counts["errors"]:
        said = ", ".join(f"{count:,} {name if count != 1 else name[:-1]}" for name, count in counts.items())
        raise ProblemsFound(
            said, hint="`--format json` lists each with its images, `--report FILE.html` shows them"
        )
    state.say(f"no errors, {counts['warnings']:,} warnings, {counts['notes']:,} notes")
