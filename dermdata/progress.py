"""How work on the lower floors tells the command line what it is doing, without printing."""

from typing import Protocol


class Progress(Protocol):
    """Told by the rooms, shown by the CLI; every call may come from any thread."""

    def begin(self, task: str, total: int | None, unit: str = "B") -> None:
        """A task starts; `total` bytes or images, None if not known."""

    def advance(self, task: str, amount: int) -> None:
        """So much more is done; negative when work starts over."""

    def end(self, task: str, note: str = "") -> None:
        """A task is done; the note says what came of it."""

    def say(self, text: str) -> None:
        """One line for the person."""


class SilentProgress:
    """Tells nobody."""

    def begin(self, task: str, total: int | None, unit: str = "B") -> None: ...
    def advance(self, task: str, amount: int) -> None: ...
    def end(self, task: str, note: str = "") -> None: ...
    def say(self, text: str) -> None: ...


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
