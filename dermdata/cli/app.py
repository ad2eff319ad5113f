"""Run one command line: errors turned into words, and the exit code.

The one place where an error becomes a line, a hint and an exit code.
"""

import io
import json
import os
import sys
from contextlib import suppress
from functools import cache
from typing import Any, NoReturn

import typer.main

from dermdata.api.display import print_message
from dermdata.cli.commands import COMMANDS
from dermdata.cli.failures import to_error, write_error
from dermdata.cli.root import app
from dermdata.cli.state import CommandLine

__all__ = ["COMMANDS", "app", "main", "run"]

INTERRUPTED, BROKEN_PIPE = 130, 141


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run one command line and leave the process with its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    open_missing_streams()
    escape_unprintable()
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


def escape_unprintable() -> None:
    """What the code page of a terminal or a pipe does not have (cp1252, ASCII) is written as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def run(arguments: list[str]) -> int:
    """The exit code of one command line; every error ends here."""
    line = CommandLine(arguments)
    try:
        code = make_root()(arguments, standalone_mode=False, prog_name="dermdata", obj=line)
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

            print_message(traceback.format_exc().rstrip())
        told = to_error(error)
        write_error(told, as_json=line.wants_json, color=line.color)
        return told.exit_code
    if code == INTERRUPTED:  # Typer makes this code of Ctrl-C too
        words = "interrupted; what is whole was kept, the same command goes on from here"
        facts = {"error": {"code": "interrupted", "message": words, "hint": None}}
        print_message(json.dumps(facts) if line.wants_json else words)
    return int(code or 0)


@cache
def make_root() -> Any:
    """The root command, which `app(…)` would make anew for each command line of a process."""
    return typer.main.get_command(app)


def pipe_broken() -> int:
    """The reader has left (`| head`): nothing more to say, also not at the interpreter's own flush."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return BROKEN_PIPE
