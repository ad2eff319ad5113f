"""The Typer app: global options, commands loaded when they are asked for, errors turned into words.

The one place where an error becomes a line, a hint and an exit code. A command is a module of this
package that is only imported when it runs: `dermdata list` must not pay for `fetch`.
"""

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from dermdata import __version__
from dermdata.api.display import talk
from dermdata.api.resources import in_environment
from dermdata.cli.global_options import accept_global_options
from dermdata.cli.output import write_error, write_line
from dermdata.cli.state import State, state_of
from dermdata.errors import Bug, DermdataError, StorageError, UsageError, nearest

# each command's own first sentence (a test holds them equal): `--help` must not import every command to say it
COMMANDS = {
    "list": "The catalog: every dataset that dermdata knows, filtered.",
    "info": "One card: what it is, licence, access, files, labels, known problems, citation.",
    "fetch": "Download, verify, unpack and harmonize datasets; prints the manifests' paths.",
    "verify": "Check every cached file; silent when all is well, exit 1 when anything is wrong.",
    "cache": "Where the cache is, what it holds and how large; delete, sweep, bundle for another machine.",
    "labels": "The diagnosis vocabulary and how each dataset's words map into it.",
    "select": "Join datasets, filter them by any column or concept, fold doubles, and write one manifest.",
    "query": "Ask the manifests in SQL; reads only, and nothing but the manifests.",
    "split": "Split by patient or lesion, stratified, seeded; no group is ever in two parts.",
    "export": "Write manifests, and images if asked to, in the format of another tool; prints the paths.",
    "stats": "Counts and cross-tables: images, patients and lesions in each cell.",
    "audit": "Find broken images, duplicates, leaks, label conflicts and gaps; exit 1 on any finding of level error.",
    "evaluate": "Metrics of a model's predictions, overall and by group, with intervals and the gap to the worst group.",
    "lock": "Record exactly these rows: datasets, versions, images' checksums, labels, split; `sync` rebuilds them.",
    "sync": "Fetch what is missing and rebuild a locked cohort; exit 4 and the rows on any difference.",
    "cite": "BibTeX, attributions and licences of exactly the rows used, and the strictest licence of the mix.",
    "demo": "Fetch, verify, count, split, export and audit the bundled demo dataset: no network, a few seconds.",
    "doctor": "Versions, cache, free space, credentials found (never their values), sources reachable.",
}
MODULES = {"list": "list_", "export": "export_"}  # names that would hide a builtin or a package
INTERRUPTED, BROKEN_PIPE = 130, 141


class Commands(TyperGroup):
    """Finds a command in its module, by name; while it only tells of them, no module is imported."""

    telling = False

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self.telling = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self.telling = False

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        if self.telling:
            return TyperCommand(cmd_name, help=COMMANDS[cmd_name])
        module = import_module(f"dermdata.cli.{MODULES.get(cmd_name, cmd_name)}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        accept_global_options(command, self)
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = nearest(args[0], COMMANDS)
            hint = f"did you mean {' or '.join(near)}?" if near else "`dermdata --help` lists the commands"
            raise DermdataError(f"unknown command '{args[0]}'", hint=hint)
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},  # commands inherit it
)


def version(wanted: bool) -> None:
    if wanted:
        write_line(f"dermdata {__version__}")
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    cache: Annotated[
        Path | None, typer.Option(help="Cache folder (env DERMDATA_CACHE).", metavar="DIR")
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
    show_version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """List, fetch, verify, split and export open dermatology image datasets."""
    del show_version
    given = {
        "cache": cache,
        "catalogs": catalog,
        "offline": offline,
        "rewrite": rewrite,
        "quiet": quiet,
        "verbose": verbose,
        "debug": debug,
    }
    line, ctx.obj = ctx.obj, State(in_environment(**given), color, given)
    if isinstance(line, CommandLine):
        line.state = ctx.obj


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run one command line and leave the process with its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    open_missing_streams()
    code = run(arguments)
    if code == INTERRUPTED:  # threads may still be at a body that takes hours: nothing waits for them
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # its reader may be gone
                stream.flush()
        os._exit(code)
    sys.exit(code)


def open_missing_streams() -> None:
    """Give a closed stdin, stdout or stderr (`>&-`) to nobody, or the next file opened would take its number."""
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(handle, True)
    os.close(handle)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115  # until the end


@dataclass
class CommandLine:
    """One command line, and its session as soon as the global options are parsed."""

    arguments: list[str]
    state: State | None = None

    @property
    def debug(self) -> bool:
        """Whether tracebacks are wanted; before anything is parsed, whether the option stands there."""
        return self.state.settings.debug if self.state else "--debug" in self.arguments

    @property
    def wants_json(self) -> bool:
        """Whether errors are to be JSON: as the command's format is, or would have been but for a wrong option."""
        if self.state and self.state.form is not None:
            return self.state.form == "json"
        pairs = zip(self.arguments, [*self.arguments[1:], ""], strict=True)
        return any(
            word in ("--format=json", "-fjson") or (word in ("--format", "-f") and following == "json")
            for word, following in pairs
        )


def run(arguments: list[str]) -> int:
    """The exit code of one command line; every error ends here."""
    line = CommandLine(arguments)
    try:
        code = app(arguments, standalone_mode=False, prog_name="dermdata", obj=line)
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except SystemExit as end:  # click makes a bare 1 of a reader that has left
        if not isinstance(end.__context__, BrokenPipeError):
            raise
        return pipe_broken()
    except BrokenPipeError:
        return pipe_broken()
    except Exception as error:  # noqa: BLE001  # the ground floor of errors: what nobody foresaw is told too
        if line.debug:
            import traceback

            talk(traceback.format_exc().rstrip())
        return say(in_words(error), as_json=line.wants_json)
    if code == INTERRUPTED:  # Typer makes this code of Ctrl-C too
        talk("interrupted; what is whole was kept, the same command goes on from here")
    return int(code or 0)


def pipe_broken() -> int:
    """The reader has left (`| head`): nothing more to say, also not at the interpreter's own flush."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return BROKEN_PIPE


def in_words(error: Exception) -> DermdataError:
    """Any failure as something to tell the person."""
    if isinstance(error, DermdataError):
        return error
    if isinstance(error, TyperException):
        return usage(error)
    if isinstance(error, OSError):
        from dermdata.disk import FULL, as_storage_error

        if error.filename is None and error.errno in FULL:  # what we write to by name is named
            return StorageError(f"cannot write the output: {error.strerror}")
        return as_storage_error(error, Path(error.filename or "."))
    if isinstance(error, MemoryError) or "can't start new thread" in str(error):
        return StorageError(
            "there is not enough memory", hint="close other programs, raise `ulimit -v`, or give --jobs 1"
        )
    return Bug(
        f"{type(error).__name__}: {error}",
        hint="this is a fault of dermdata: please report it with --debug's output",
    )


def usage(error: TyperException) -> DermdataError:
    """A wrong option or argument in our own words."""
    words = getattr(error, "format_message", lambda: str(error))()
    ctx = getattr(error, "ctx", None)
    hint = f"`{ctx.command_path} --help` shows the options" if ctx else None
    return UsageError(words.strip().rstrip("."), hint=hint)


def say(error: DermdataError, *, as_json: bool) -> int:
    write_error(error, as_json=as_json)
    return error.exit_code


__all__ = ["app", "main", "run", "state_of"]
