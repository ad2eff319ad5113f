"""`dermdata verify`: every cached file against its recorded checksum."""

from typing import Annotated

import typer

from dermdata.api.display import count_nouns
from dermdata.cli.complete import cached_entries
from dermdata.cli.output import FormatOption, emit
from dermdata.cli.state import state_of

app = typer.Typer(add_completion=False)
SHOWN = ("path", "status", "dataset", "rows", "expected", "actual")


@app.command()
def verify(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME…]",
            autocompletion=cached_entries,
            help="Datasets; all cached ones if none is named.",
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Only sizes, no checksums.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Fetch again just what is broken or missing.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="List the files that are ok too.")] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Threads. (default: all cores)", show_default=False)
    ] = None,
    form: FormatOption = None,
) -> None:
    """Check every cached file; silent when all is well, exit 1 when anything is wrong."""
    from dermdata.api.verifying import VERIFY_KEYS, repair_cached, verify_cached

    state = state_of(ctx)
    check = verify_cached(state, names or [], quick=quick, jobs=jobs)
    found = len(check.wrong)
    state.more(f"{count_nouns(len(check.findings), 'file')} checked, {found:,} wrong")
    for name, count in check.unverified.items():
        state.say(
            f"{name}: {count_nouns(count, 'file', 'are')} unverified: they came in part or from a copy, "
            "and no published checksum covers them"
        )
    if repair:
        for one in check.wrong:
            state.say(f"{one.dataset}: {one.path} is {one.status}")
        check = repair_cached(state, check)
    if check.wrong or every or form in ("json", "csv", "tsv"):
        rows, beside = check.to_records(every=every), {"unfinished": list(check.unfinished)}
        emit(rows, VERIFY_KEYS, form, "verify", shown=SHOWN, beside=beside, color=state.color)
    if not repair:
        check.require_right()
        return
    check.require_repaired()
    if found:
        state.say(f"{count_nouns(found, 'file')} repaired")
