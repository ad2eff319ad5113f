"""`dermdata fetch`: download, verify, unpack, build the manifest."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dermdata.api.fetch_dataset import (
    PLAN_KEYS,
    fetch_dataset,
    foreseen,
    open_workshop,
    plan_fetch,
    plan_rows,
)
from dermdata.api.fetch_report import require_usable, tell
from dermdata.api.subset import SubsetFetch
from dermdata.cli.complete import dataset_names
from dermdata.cli.failures import failed
from dermdata.cli.output import Format, FormatOption, emit, write_line
from dermdata.cli.state import State, state_of
from dermdata.errors import DermdataError, SomeFailed, UsageError

if TYPE_CHECKING:
    from dermdata.fetching import Wants
    from dermdata.model import Dataset

app = typer.Typer(add_completion=False)


@app.command()
def fetch(
    ctx: typer.Context,
    names: Annotated[
        list[str], typer.Argument(metavar="NAME…", autocompletion=dataset_names, help="Datasets to fetch.")
    ],
    only: Annotated[
        Literal["metadata", "images", "masks"] | None,
        typer.Option(help="Only these files (metadata always comes along)."),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            help="Only the images of rows of which this is true, as in `select --where`.", metavar="EXPR"
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first N of these rows.", metavar="N")
    ] = None,
    mirror: Annotated[
        list[str] | None,
        typer.Option(
            help="Try <mirror>/<dataset>/<file> first: an address or a folder; repeatable.", metavar="URL|DIR"
        ),
    ] = None,
    own: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            help="Take the files from these archives or folders, in any layout; repeatable. Downloads nothing.",
            metavar="PATH",
        ),
    ] = None,
    mirror_out: Annotated[
        Path | None,
        typer.Option(
            "--mirror-out",
            help="Only keep the original files as <DIR>/<dataset>/<file>, which --mirror reads elsewhere.",
            metavar="DIR",
        ),
    ] = None,
    accept_license: Annotated[
        bool,
        typer.Option("--accept-license", help="Accept the dataset's licence where one must be accepted."),
    ] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="CPU threads. [default: all cores]", show_default=False)
    ] = None,
    keep_archives: Annotated[
        bool, typer.Option("--keep-archives", help="Keep archives after unpacking.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Fetch again what is there.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done; change nothing.")
    ] = False,
    form: FormatOption = None,
) -> None:
    """Download, verify, unpack and harmonize datasets; prints the manifests' paths."""
    from dermdata.fetching import Wants

    state = state_of(ctx)
    some = where is not None or limit is not None
    whole = only in (None, "images") and not some
    wants = Wants(only=only, force=force, keep_archives=keep_archives, whole=whole)
    datasets = [state.catalog[name] for name in dict.fromkeys(names)]  # a wrong name stops before any request
    cores = jobs or os.cpu_count() or 1
    require_together(own, mirror, some)
    part = SubsetFetch(state, wants, where, limit) if some else None
    if part:
        part.check()
    if mirror_out:
        if some:
            raise UsageError("--mirror-out keeps whole files", hint="leave --where and --limit out")
        from dermdata.cli.mirror_out import mirror_out as keep

        kept = keep(state, datasets, wants, mirror_out, mirror or [], own, accept_license, dry_run, form)
        conclude(kept, len(datasets))
        return
    if own:
        from dermdata.cli.bundle import among, take
        from dermdata.cli.fetch_from import fetch_from

        took = (take if among(own) else fetch_from)(
            state, datasets, wants, own, jobs=cores, accepted=accept_license, dry_run=dry_run, form=form
        )
        conclude(took, len(datasets))
    elif dry_run:
        show(state, datasets, wants, mirror or [], form, part)
    else:
        errors = each(state, datasets, wants, mirror or [], cores, accept_license, part)
        conclude(errors, len(datasets))


def require_together(own: list[Path] | None, mirror: list[str] | None, some: bool) -> None:
    """UsageError for options that contradict each other."""
    if own and mirror:
        raise UsageError("--from downloads nothing", hint="leave --mirror out, or --from")
    if own and some:
        raise UsageError("--from takes all that is there", hint="`select --where` filters it afterwards")


def show(
    state: State,
    datasets: list["Dataset"],
    wants: "Wants",
    mirrors: list[str],
    form: Format | None,
    part: SubsetFetch | None,
) -> None:
    """The plans of a dry run, as rows."""
    if part:
        emit(part.shown(datasets, mirrors), (*PLAN_KEYS, "count"), form, "fetch")
        return
    from dermdata.sources import require_obtainable

    plans = [plan_fetch(state, foreseen(state, one, wants, mirrors), wants) for one in datasets]
    for plan in plans:
        if not plan.nothing:
            require_obtainable(plan.dataset, mirrored=bool(mirrors))
    emit([row for plan in plans for row in plan_rows(plan)], PLAN_KEYS, form, "fetch")


def each(
    state: State,
    datasets: list["Dataset"],
    wants: "Wants",
    mirrors: list[str],
    jobs: int,
    accepted: bool,
    some: SubsetFetch | None = None,
) -> list[DermdataError]:
    """Fetch one after the other; a failure is told and the next one goes on."""
    errors: list[DermdataError] = []
    with state.show_progress() as progress, state.transfer() as transfer:
        for dataset in datasets:
            try:
                workshop = open_workshop(state, transfer, progress, mirrors, jobs)
                if some:
                    outcome = some.fetched(dataset, workshop, mirrored=bool(mirrors), accepted=accepted)
                else:
                    outcome = fetch_dataset(
                        state, dataset, wants, workshop, mirrored=bool(mirrors), accepted=accepted
                    )
                tell(state, dataset, outcome)
                write_line(str(outcome.manifest))
                require_usable(dataset, outcome)
            except DermdataError as error:
                errors.append(failed(error, dataset, several=len(datasets) > 1))
    return errors


def conclude(errors: list[DermdataError], asked: int) -> None:
    """Raise the one error; say that some of several failed, or that all did and with what code."""
    if not errors:
        return
    if asked == 1:
        raise errors[0]
    several = SomeFailed(
        f"{len(errors)} of {asked} datasets had problems, the others are done", hint="see the lines above"
    )
    if len(errors) == asked:
        several = SomeFailed(f"all {asked} datasets had problems", hint="see the lines above")
        codes = {error.exit_code for error in errors}
        several.exit_code = codes.pop() if len(codes) == 1 else several.exit_code
    raise several
