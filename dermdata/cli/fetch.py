"""`dermdata fetch`: download, verify, unpack, build the manifest."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from dermdata.cli.complete import entry_names
from dermdata.cli.output import FormatOption, emit
from dermdata.cli.printed_report import PrintedReport
from dermdata.cli.state import state_of

app = typer.Typer(add_completion=False)


@app.command()
def fetch(
    ctx: typer.Context,
    names: Annotated[
        list[str], typer.Argument(metavar="NAME…", autocompletion=entry_names, help="Datasets and models.")
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
        typer.Option("--accept-license", help="Accept the dataset's license where one must be accepted."),
    ] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="CPU threads. (default: all cores)", show_default=False)
    ] = None,
    keep_archives: Annotated[
        bool, typer.Option("--keep-archives", help="Keep archives after unpacking.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Fetch again what is there.")] = False,
    copy: Annotated[
        str | None,
        typer.Option(help="Take this copy (`info` names them), not the publisher's files.", metavar="NAME"),
    ] = None,
    no_copies: Annotated[
        bool, typer.Option("--no-copies", help="Ask no copy where the publisher's host refuses.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done; change nothing.")
    ] = False,
    form: FormatOption = None,
) -> None:
    """Download, verify, unpack and harmonize datasets and models; prints where they are."""
    from dermdata.api.fetch_request import FetchRequest, fetch_datasets, plan_datasets

    request = FetchRequest(
        names=tuple(dict.fromkeys(names)),
        only=only,
        where=where,
        limit=limit,
        mirrors=mirror or (),
        own_paths=own or (),
        mirror_out=mirror_out,
        accept_license=accept_license,
        force=force,
        keep_archives=keep_archives,
        jobs=jobs,
        copy=copy,
        copies=not no_copies,
    )
    report = PrintedReport(len(request.names), form)
    if dry_run:
        steps = plan_datasets(state_of(ctx), request, report)
        emit(steps, steps.columns, form, "fetch")
        report.raise_failures()
        return
    fetch_datasets(state_of(ctx), request, report)
    report.conclude()
