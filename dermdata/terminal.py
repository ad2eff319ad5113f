"""Words for a person on a terminal: no control character of a text is obeyed, no address shows a password."""

import os
import sys
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING

from dermdata.markup import show_controls
from dermdata.urls import redact

if TYPE_CHECKING:
    from rich.console import Console


def talk(text: str) -> None:
    """A line for a person, on stderr; no address in it shows a password or a signature."""
    sys.stderr.write(f"{show_controls(redact(text))}\n")


def console(file: IO[str], color: str = "auto") -> "Console":
    """A rich console that obeys --color, NO_COLOR and FORCE_COLOR, and no control character of a text."""
    from rich.console import Console, RenderableType
    from rich.console import ConsoleOptions as Options
    from rich.segment import Segment

    class Screen(Console):
        def render(self, renderable: RenderableType, options: Options | None = None) -> Iterable[Segment]:
            for one in super().render(renderable, options):
                yield one if one.control else Segment(show_controls(one.text), one.style)

    forced = {"always": True, "never": False}.get(color)
    never = color == "never" or (color == "auto" and "NO_COLOR" in os.environ)
    width = None if file.isatty() else 120
    return Screen(
        file=file, force_terminal=forced, no_color=never, highlight=False, width=width, soft_wrap=False
    )
