"""`dermdata` itself: the options that every command takes, and the commands."""

import os
from pathlib import Path
from typing import Annotated

import typer

from dermdata.api import __version__
from dermdata.api.resources import settings_from_environment
from dermdata.cli.commands import Commands
from dermdata.cli.output import write_line
from dermdata.cli.state import CommandLine, State

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},  # commands inherit it
)


def show_version(wanted: bool) -> None:
    if wanted:
        write_line(f"dermdata {__version__}")
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    cache: Annotated[
        Path | None,
        typer.Option(
            help=f"Cache folder; after a {os.pathsep} further ones, only read (env DERMDATA_CACHE).",
            metavar="DIR",
        ),
    ] = None,
    catalog: Annotated[
        list[Path] | None,
        typer.Option(
            help="Catalog folder laid over the bundled one; repeatable (env DERMDATA_CATALOG).", metavar="DIR"
        ),
    ] = None,
    offline: Annotated[
        bool | None, typer.Option("--offline/--online", help="Never use the network (env DERMDATA_OFFLINE).")
    ] = None,
    rewrite: Annotated[
        list[str] | None,
        typer.Option(
            help="Ask every address that begins with FROM at TO; repeatable (env DERMDATA_REWRITE).",
            metavar="FROM=TO",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only results and errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False,
    debug: Annotated[bool, typer.Option(help="Show tracebacks.")] = False,
    color: Annotated[
        str, typer.Option(help="auto, always or never (NO_COLOR, FORCE_COLOR).", metavar="WHEN")
    ] = "auto",
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """List, fetch, verify, split and export open dermatology image datasets."""
    del version
    given = {
        "cache": cache,
        "catalogs": catalog,
        "offline": offline,
        "rewrite": rewrite,
        "quiet": quiet,
        "verbose": verbose,
        "debug": debug,
    }
    line, ctx.obj = ctx.obj, State(settings_from_environment(**given), color, given)
    if isinstance(line, CommandLine):
        line.state = ctx.obj
