"""How sizes, notes, failures, progress and strangers' words are shown, alike in the shell and in a notebook."""

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dermdata.errors import Bug, DermdataError, StorageError
from dermdata.markup import agree_verb, bibtex_entry, count_nouns, count_share, phrase_count, show_controls
from dermdata.progress import ALL_BYTES, WORTH_A_LINE, Progress, SilentProgress, describe_wait
from dermdata.terminal import format_size, make_console, print_message, uses_color
from dermdata.urls import redact_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

__all__ = [
    "agree_verb",
    "bibtex_entry",
    "count_nouns",
    "count_share",
    "format_size",
    "make_console",
    "phrase_count",
    "print_message",
    "redact_text",
    "show_controls",
    "uses_color",
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


# ------------------------------------------------------------------ progress

BEAT = 30.0  # seconds between two lines of a log
COLUMNS = {"amount": 15, "left": 7, "rate": 10, "bar": 12}  # characters, what matters most first
SHORTEST_NAME, LONGEST_NAME = 16, 60
BYTE_UNITS = ("B", ALL_BYTES)
Waits = dict[str, tuple[float, str]]  # what waits -> until when, and why


@contextmanager
def show_progress(*, quiet: bool, color: str) -> Iterator[Progress]:
    """Show progress in the way that stderr can."""
    if quiet:
        yield SilentProgress()
    elif sys.stderr.isatty():
        waits: Waits = {}
        with make_bars(make_console(sys.stderr, color), waits) as shown:
            yield BarsProgress(shown, waits)
    else:
        yield LinesProgress()


def make_bars(console: "Console", waits: Waits) -> "Bars":
    """Bytes (or a mere count), rate and time left of each task, in one line each, however narrow the terminal.

    Below them stands what waits, with the seconds that are left.
    """
    from rich.console import RenderableType
    from rich.progress import BarColumn, DownloadColumn, Task, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars
    from rich.progress import ProgressColumn as Column
    from rich.table import Column as Cells
    from rich.text import Text

    width = fit_columns(console.width - 1)

    class Name(Column):
        def render(self, task: Task) -> Text:
            return Text(shorten_middle(task.description, width["name"]))

    class Amount(DownloadColumn):
        def render(self, task: Task) -> Text:
            if task.fields["unit"] in BYTE_UNITS:
                return super().render(task)
            total = "?" if task.total is None else f"{int(task.total):,}"
            return Text(f"{int(task.completed):,}/{total}")

    class Rate(TransferSpeedColumn):
        def render(self, task: Task) -> Text:
            return super().render(task) if task.fields["unit"] in BYTE_UNITS else Text("")

    kinds: dict[str, Callable[[Cells], Column]] = {
        "name": lambda cells: Name(table_column=cells),
        "bar": lambda cells: BarColumn(bar_width=COLUMNS["bar"], table_column=cells),
        "amount": lambda cells: Amount(table_column=cells),
        "rate": lambda cells: Rate(table_column=cells),
        "left": lambda cells: TimeRemainingColumn(table_column=cells),
    }
    columns = [
        make(Cells(width=width[name], no_wrap=True, justify="left" if name == "name" else "right"))
        for name, make in kinds.items()
        if name in width
    ]

    class BarsAndWaits(Bars):
        def get_renderables(self) -> Iterable[RenderableType]:
            yield from super().get_renderables()
            now = time.monotonic()
            for subject, (until, why) in tuple(waits.items()):
                yield Text(describe_wait(subject, until - now, why), no_wrap=True, overflow="ellipsis")

    return BarsAndWaits(*columns, console=console, transient=True)


def fit_columns(room: int) -> dict[str, int]:
    """The columns that a line of `room` characters has room for, and how wide each is; what matters least goes first."""
    width: dict[str, int] = {}
    for name in COLUMNS:
        if room - COLUMNS[name] - 1 < SHORTEST_NAME:
            break
        width[name] = COLUMNS[name]
        room -= COLUMNS[name] + 1
    return {**width, "name": min(room, LONGEST_NAME)}


def shorten_middle(text: str, width: int) -> str:
    """A name of at most `width` characters: its beginning and its end tell files apart."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


class BarsProgress:
    """A rich bar for each task; a sum of others stands above them."""

    def __init__(self, bars: "Bars", waits: Waits) -> None:
        self.bars = bars
        self.waits = waits
        self.tasks: dict[str, TaskID] = {}

    def begin(self, task: str, total: int | None, unit: str = "B") -> None:
        if task in self.tasks:
            self.bars.update(self.tasks[task], total=total)
        else:
            self.tasks[task] = self.bars.add_task(task, total=total, unit=unit)

    def advance(self, task: str, amount: int) -> None:
        self.bars.advance(self.tasks[task], amount)

    def end(self, task: str, note: str = "") -> None:
        """Say what came of it, and how long all took where that was more than a moment."""
        ended = self.tasks.pop(task)
        found = next(one for one in self.bars.tasks if one.id == ended)
        self.bars.remove_task(ended)
        self.say(conclude_task(task, note, int(found.completed), found.fields["unit"], found.elapsed or 0.0))

    def say(self, text: str) -> None:
        if text:
            self.bars.console.print(text, markup=False, highlight=False)

    @contextmanager
    def show_wait(self, subject: str, seconds: float, why: str) -> Iterator[None]:
        wait = self.waits[subject] = (time.monotonic() + seconds, why)
        try:
            yield
        finally:
            if self.waits.get(subject) is wait:  # else somebody else waits for the same, and longer
                del self.waits[subject]


@dataclass
class RunningTask:
    """One task of a log: how far it is, and how far it was at the last line."""

    total: int | None
    unit: str
    began: float
    done: int = 0
    told: int = 0

    def describe(self, name: str, seconds: float) -> str:
        """`imgs_part_1.zip 12%`, with the rate where bytes are moved."""
        share = f" {100 * self.done // self.total}%" if self.total else f" {self.amount}"
        if self.unit not in BYTE_UNITS:
            return f"{name}{share}"
        rate = format_size(int(max(0, self.done - self.told) / max(seconds, 0.001)))
        return f"{name}{share} {rate}/s"

    @property
    def amount(self) -> str:
        return format_size(self.done) if self.unit in BYTE_UNITS else phrase_count(self.done, self.unit)


class LinesProgress:
    """One line on stderr when a task is done, with what it moved; one every 30 seconds of what is under way."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.running: dict[str, RunningTask] = {}
        self.lock = threading.Lock()
        self.last = clock()
        self.waits_shown: dict[str, float] = {}  # when each was

    def begin(self, task: str, total: int | None, unit: str = "B") -> None:
        with self.lock:
            if known := self.running.get(task):
                known.total = total
                return
            if not self.running:
                self.last = self.clock()
            self.running[task] = RunningTask(total, unit, self.clock())

    def advance(self, task: str, amount: int) -> None:
        with self.lock:
            one = self.running[task]
            one.done += amount
            # a sum is told with the task that it grew by, which follows
            due = one.unit != ALL_BYTES and self.clock() - self.last >= BEAT
            line = self._describe_all() if due else None
        if line:
            self.say(line)

    def _describe_all(self) -> str:
        """The sum of all first, then each task that is under way."""
        now = self.clock()
        seconds, self.last = now - self.last, now
        ordered = sorted(self.running.items(), key=lambda item: item[1].unit != ALL_BYTES)
        words = [one.describe(name, seconds) for name, one in ordered]
        for one in self.running.values():
            one.told = one.done
        return ", ".join(words)

    def end(self, task: str, note: str = "") -> None:
        with self.lock:
            ended = self.running.pop(task)
        self.say(conclude_task(task, note, ended.done, ended.unit, self.clock() - ended.began))

    def say(self, text: str) -> None:
        if text:
            print_message(text)

    def show_wait(self, subject: str, seconds: float, why: str) -> AbstractContextManager[None]:
        """A line when it begins, for waits that are worth one; of the same subject one every 30 seconds."""
        now = self.clock()
        with self.lock:
            due = seconds >= WORTH_A_LINE and now - self.waits_shown.get(subject, -BEAT) >= BEAT
            if due:
                self.waits_shown[subject] = now
        if due:
            self.say(describe_wait(subject, seconds, why))
        return nullcontext()


def conclude_task(task: str, note: str, done: int, unit: str, seconds: float) -> str:
    """What came of a task, in one line; of a sum only how long it took, and nothing where that was no time."""
    amount = format_size(done) if unit in BYTE_UNITS else phrase_count(done, unit)
    if unit == ALL_BYTES:
        return f"{task}: {amount} in {format_duration(seconds)}" if seconds >= BEAT else ""
    return f"{task}: {note or amount}"


def format_duration(seconds: float) -> str:
    """`45 s`, `12 min 5 s`, `3 h 20 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
