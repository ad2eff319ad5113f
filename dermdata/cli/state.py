"""One run of the command line: its words, and what it adds to its session, which is how it talks to the person."""

import itertools
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dermdata.api.display import print_message, show_controls
from dermdata.api.resources import Resources, Settings, settings_from_environment
from dermdata.progress import Progress

JSON_ASKED = (("--format", "json"), ("-f", "json"))


class State(Resources):
    """The session of one run, which talks on stderr."""

    def __init__(
        self, settings: Settings, color: str = "auto", given: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(settings)
        self.color = color
        self.given = dict(given or {})  # the global options, as the settings were made of them
        self.form: str | None = None  # of the command's answer, once that is parsed

    def take_option(self, name: str, value: Any) -> None:
        """Take a global option that stands after the command: what can be repeated is added, others replace."""
        if name == "color":
            self.color = value
            return
        name = {"catalog": "catalogs"}.get(name, name)
        if isinstance(value, list | tuple):
            value = [*(self.given.get(name) or ()), *value]
        self.given[name] = value
        self.settings = settings_from_environment(**self.given)

    def say(self, text: str) -> None:
        """Write one line for the person on stderr; not with --quiet."""
        if not self.settings.quiet:
            print_message(text, self.color)

    def more(self, text: str) -> None:
        """Write a line for --verbose."""
        if self.settings.verbose:
            self.say(text)

    def confirm(self, question: str, statement: str) -> bool:
        """Ask at the terminal; where there is none, the answer is no."""
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        import typer

        print_message(statement)
        return typer.confirm(show_controls(question), err=True)

    @contextmanager
    def show_progress(self) -> Iterator[Progress]:
        """Show progress as this run's stderr can."""
        from dermdata.api.display import show_progress

        with show_progress(quiet=self.settings.quiet, color=self.color) as progress:
            yield progress


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
        spelled = {"--format=json", "-fjson"} & {*self.arguments}
        return bool(spelled) or any(pair in JSON_ASKED for pair in itertools.pairwise(self.arguments))

    @property
    def color(self) -> str:
        """When colors are wanted: auto before anything is parsed."""
        return self.state.color if self.state else "auto"


def state_of(ctx: Any) -> State:
    """The run's state; commands called without the callback (in tests) get the environment's."""
    if not isinstance(ctx.obj, State):
        ctx.obj = State(settings_from_environment())
    return ctx.obj
