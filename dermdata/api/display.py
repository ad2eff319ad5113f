"""How sizes, notes, failures, progress and strangers' words are shown, alike in the shell and in a notebook."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermdata.errors import Bug, DermdataError, StorageError
from dermdata.markup import bibtex_entry, count_nouns, show_controls
from dermdata.progress import Progress, SilentProgress
from dermdata.terminal import format_size, make_console, print_message
from dermdata.urls import redact_text

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

__all__ = [
    "bibtex_entry",
    "count_nouns",
    "format_size",
    "make_console",
    "print_message",
    "redact_text",
    "show_controls",
]


def explain_failure(error: Exception) -> DermdataError:
    """Return any failure as one of `dermdata.errors`.

    Parameters
    ----------
    error : Exception
        What a call ended with.

    Returns
    -------
    DermdataError
        Itself, if it is one; StorageError for what a disk or the memory refuses; Bug for the rest.

    """
    if isinstance(error, DermdataError):
        return error
    if isinstance(error, OSError):
        from dermdata.disk import FULL_ERRORS, to_storage_error

        if error.filename is None and error.errno in FULL_ERRORS:  # what we write to by name is named
            return StorageError(f"cannot write the output: {error.strerror}")
        return to_storage_error(error, Path(error.filename or "."))
    if isinstance(error, MemoryError) or "can't start new thread" in str(error):
        return StorageError(
            "there is not enough memory", hint="close other programs, raise `ulimit -v`, or give --jobs 1"
        )
    return Bug(
        f"{type(error).__name__}: {error}",
        hint="this is a fault of dermdata: please report it with --debug's output",
    )


@contextmanager
def show_progress(*, quiet: bool, color: str) -> Iterator[Progress]:
    """Show progress in the way that stderr can."""
    if quiet:
        yield SilentProgress()
    elif sys.stderr.isatty():
        with bars(color) as shown:
            yield OnTerminal(shown)
    else:
        yield InLines()


def bars(color: str) -> "Bars":
    """Bytes, rate and time left for each file; a mere count for what is no bytes."""
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bars
    from rich.text import Text

    class Amount(DownloadColumn):
        def render(self, task: Task) -> Text:
            return super().render(task) if task.fields["unit"] == "B" else Text("")

    class Rate(TransferSpeedColumn):
        def render(self, task: Task) -> Text:
            return super().render(task) if task.fields["unit"] == "B" else Text("")

    columns: list[Any] = [
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        Amount(),
        Rate(),
        TimeRemainingColumn(),
    ]
    return Bars(*columns, console=make_console(sys.stderr, color), transient=True)


class OnTerminal:
    """A rich bar for each task."""

    def __init__(self, bars: "Bars") -> None:
        self.bars = bars
        self.tasks: dict[str, TaskID] = {}

    def begin(self, task: str, total: int | None, unit: str = "B") -> None:
        self.tasks[task] = self.bars.add_task(task, total=total, unit=unit)

    def advance(self, task: str, amount: int) -> None:
        self.bars.advance(self.tasks[task], amount)

    def end(self, task: str, note: str = "") -> None:
        self.bars.remove_task(self.tasks.pop(task))
        self.say(f"{task}{': ' if note else ''}{note}")

    def say(self, text: str) -> None:
        self.bars.console.print(text, markup=False, highlight=False)


class InLines:
    """One line on stderr when a task is done, with what it moved."""

    def __init__(self) -> None:
        self.moved: dict[str, tuple[int, str]] = {}
        self.lock = threading.Lock()

    def begin(self, task: str, total: int | None, unit: str = "B") -> None:
        del total
        with self.lock:
            self.moved[task] = (0, unit)

    def advance(self, task: str, amount: int) -> None:
        with self.lock:
            done, unit = self.moved[task]
            self.moved[task] = (done + amount, unit)

    def end(self, task: str, note: str = "") -> None:
        with self.lock:
            done, unit = self.moved.pop(task)
        amount = format_size(done) if unit == "B" else f"{done:,} {unit}"
        self.say(f"{task}: {note or amount}")

    def say(self, text: str) -> None:
        print_message(text)
