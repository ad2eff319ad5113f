"""How work on the lower floors tells the command line what it is doing, without printing."""

import math
from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

ALL_BYTES = "B in all"  # the unit of a task that sums up others, which are shown as well
WORTH_A_LINE = 3.0  # seconds of a wait that is told where lines stay


def describe_wait(subject: str, seconds: float, why: str) -> str:
    """`zenodo.org: waits 12 s, its limit is 60 requests a minute`."""
    return f"{subject}: waits {max(1, math.ceil(seconds))} s, {why}"


class Progress(Protocol):
    """Told by the rooms, shown by the CLI; every call may come from any thread."""

    def begin(self, task: str, total: int | None, unit: str = "B") -> None:
        """A task starts; `total` bytes or images, None if not known. Begun again, it only gets its total."""

    def advance(self, task: str, amount: int) -> None:
        """So much more is done; negative when work starts over."""

    def end(self, task: str, note: str = "") -> None:
        """A task is done; the note says what came of it."""

    def say(self, text: str) -> None:
        """One line for the person."""

    def show_wait(self, subject: str, seconds: float, why: str) -> AbstractContextManager[None]:
        """Nothing moves for so long: `zenodo.org: waits 12 s, its limit is 60 requests a minute`."""


class SilentProgress:
    """Tells nobody."""

    def begin(self, task: str, total: int | None, unit: str = "B") -> None: ...
    def advance(self, task: str, amount: int) -> None: ...
    def end(self, task: str, note: str = "") -> None: ...
    def say(self, text: str) -> None: ...

    def show_wait(self, subject: str, seconds: float, why: str) -> AbstractContextManager[None]:
        del subject, seconds, why
        return nullcontext()


class CombinedProgress:
    """Very many small tasks shown as one."""

    def __init__(self, progress: Progress, task: str) -> None:
        self.progress, self.task = progress, task

    def begin(self, task: str, total: int | None, unit: str = "B") -> None: ...

    def advance(self, task: str, amount: int) -> None:  # noqa: ARG002  # Progress names it so
        self.progress.advance(self.task, amount)

    def end(self, task: str, note: str = "") -> None: ...

    def say(self, text: str) -> None:
        self.progress.say(text)

    def show_wait(self, subject: str, seconds: float, why: str) -> AbstractContextManager[None]:
        return self.progress.show_wait(subject, seconds, why)


class SummedProgress:
    """A few tasks shown one by one, and what those of some names move also as one: `task`, whose unit is ALL_BYTES."""

    def __init__(self, progress: Progress, task: str, names: Collection[str]) -> None:
        self.progress, self.task, self.names = progress, task, frozenset(names)

    def begin(self, task: str, total: int | None, unit: str = "B") -> None:
        self.progress.begin(task, total, unit)

    def advance(self, task: str, amount: int) -> None:
        if task in self.names:
            self.progress.advance(self.task, amount)
        self.progress.advance(task, amount)

    def end(self, task: str, note: str = "") -> None:
        self.progress.end(task, note)

    def say(self, text: str) -> None:
        self.progress.say(text)

    def show_wait(self, subject: str, seconds: float, why: str) -> AbstractContextManager[None]:
        return self.progress.show_wait(subject, seconds, why)
