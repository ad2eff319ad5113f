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
    from dermdata.api.targets import Loaded
    from dermdata.audit import Context, Finding

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
    loaded = load(state, targets, None if report else needed())
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


def needed() -> list[str]:
    """The columns that checks read: not the wide ones that only a page shows."""
    from dermdata.manifest.schema import SCHEMA
    from dermdata.projection import LABEL, REASON, REFINED_FROM, REFINED_LABEL

    wide = {"extra", "caption", "concepts", "masks", "attribution"}
    return [*(name for name in SCHEMA.names if name not in wide), LABEL, REASON, REFINED_FROM, REFINED_LABEL]


def context_of(
    state: State,
    loaded: "Loaded",
    targets: Sequence[str],
    listed: Sequence[tuple[str, str]],
    *,
    changed: bool,
) -> "Context":
    """What the rows' datasets are; counts are compared where all of a dataset's rows are here."""
    from dermdata.agreement import Judge
    from dermdata.api.label_spaces import sources_of, words_of
    from dermdata.audit import Context
    from dermdata.projection import Statements
    from dermdata.split import check

    entries = {name: state.catalog[name] for name in loaded.names if name in state.catalog}
    folders = {name: state.cache.folder(entry) for name, entry in entries.items()}
    receipts = {name: receipt for name, folder in folders.items() if (receipt := folder.receipt())}
    named = {state.catalog[target].name for target in targets if target in state.catalog}
    complete = {name for name, receipt in receipts.items() if receipt.complete}
    vocabulary = state.library.vocabulary
    return Context(
        statements=Statements(words_of(state, sources_of(loaded.table)), vocabulary),
        judge=Judge(vocabulary),
        entries=entries,
        roots=loaded.roots,
        kept={name: folders[name].path for name in receipts},
        whole=frozenset() if changed else frozenset(named & complete),
        check_split=check,
        listed=listed,
    )


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
