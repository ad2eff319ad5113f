"""Words for a person on a terminal: no control character is obeyed, no address shows a password."""

import os
import sys
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING

from dermdata.markup import show_controls
from dermdata.urls import redact_text

if TYPE_CHECKING:
    from rich.console import Console


def format_size(count: int | None) -> str:
    """Bytes for people: 1.4 GB (powers of ten, as publishers write them)."""
    if count is None:
        return "unknown size"
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


MOST_COLUMNS = 10_000
LABEL_STYLES = {"error": "1;31", "warning": "33", "hint": "2"}  # ANSI: bold red, yellow, dim


def print_message(text: str, color: str = "auto") -> None:
    """A line for a person, on stderr; no address in it shows a password or a signature.

    `error:`, `warning:` or `hint:` at its beginning is colored where `color` (auto, always or never) and the terminal
    allow it.
    """
    shown = show_controls(redact_text(text))
    label, colon, rest = shown.partition(":")
    if colon and label in LABEL_STYLES and uses_color(sys.stderr, color):
        shown = f"\x1b[{LABEL_STYLES[label]}m{label}:\x1b[0m{rest}"
    sys.stderr.write(f"{shown}\n")


def uses_color(file: IO[str], color: str = "auto") -> bool:
    """Whether --color, NO_COLOR, FORCE_COLOR and the terminal want colors, in this order."""
    if color in ("always", "never"):
        return color == "always"
    if os.environ.get("NO_COLOR") or os.environ.get("FORCE_COLOR"):
        return not os.environ.get("NO_COLOR")
    return file.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def wanted_width() -> int:
    """The columns of what is no terminal: those of COLUMNS, else 120."""
    text = os.environ.get("COLUMNS", "")
    return int(text) if text.isdecimal() and 0 < int(text) < MOST_COLUMNS else 120


def make_console(file: IO[str], color: str = "auto") -> "Console":
    """A rich console that obeys --color, NO_COLOR and FORCE_COLOR, and no control character of a text."""
    # rich is loaded where something is drawn: start-up counts
    from rich.console import Console, RenderableType
    from rich.console import ConsoleOptions as Options
    from rich.segment import Segment

    class Screen(Console):
        def render(self, renderable: RenderableType, options: Options | None = None) -> Iterable[Segment]:
            for one in super().render(renderable, options):
                yield one if one.control else Segment(show_controls(one.text), one.style)

    forced = {"always": True, "never": False}.get(color)
    never = color == "never" or (color == "auto" and "NO_COLOR" in os.environ)
    width = None if file.isatty() else wanted_width()
    return Screen(
        file=file, force_terminal=forced, no_color=never, highlight=False, width=width, soft_wrap=False
    )
