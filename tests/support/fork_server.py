"""Runs dermdata command lines in forks of a process that has imported everything: start-up is paid once.

Reads a JSON list of jobs from each line of its stdin, runs them all at once, answers each with a JSON list.
A job: {"words": […], "stdin": file or null, "out": file, "err": file, "folder": working folder, "seconds": limit,
"memory": bytes or null, "kill_after": seconds or null, "seams": {"SEAM_…": …}, "watch": null or
{"writable": [folders], "closed": [paths], "log": file}, "stop_at": N or null}.
An answer: {"status", "how": "ended" | "killed" | "time" | "memory", "seconds", "peak": bytes}.

- Memory is what is resident (VmHWM), as Arrow and DuckDB reserve address space that they never use; a limit of
  four times as much data is there too, so that one huge request fails instead of being promised.
- Before a process is ended for its time or memory, it writes to stderr where each of its threads is.
- `stop_at`: it stops before its N-th fsync, rename or deletion until the others have ended, or wait for it.
- `watch`: what the process opens in Python for writing outside some folders, or opens at all of some paths, is
  noted in a file, by an audit hook.
"""

import faulthandler
import gc
import importlib
import itertools
import json
import os
import pkgutil
import re
import resource
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TICK = 0.01  # seconds between two looks at the memory of what runs
DATA = 4  # a process may ask for so many times the memory that it may use
LEAST = 2 << 30  # bytes that any process may ask for
SETTLED = 0.05  # seconds until a fork is the command that it is to be
PATIENCE = 0.5  # seconds that a stopped process lets the others work
BOUNDARIES = ("fsync", "rename", "replace", "unlink", "remove", "rmdir")
BUSIEST = 4  # times its limit that a command may take on a machine that others use, waiting included
TOLD = 0.3  # seconds to say where the threads are
# what ends the process, and what wants the modules that are hidden from the command line
NOT_PRELOADED = ("dermdata.__main__", "dermdata.browse.app", "dermdata.browse.guard")
LAZY = [
    "pyarrow.parquet",
    "pyarrow.compute",
    "duckdb",
    "openpyxl",
    "PIL.JpegImagePlugin",
    "PIL.PngImagePlugin",
]
CHANGED = {  # audit event -> (place of a path among its values, place of the open folder that it starts from)
    "os.rename": [(0, 2), (1, 3)],
    "os.link": [(0, 2), (1, 3)],  # a hard link to a file from outside would let what is outside be changed
    "os.symlink": [(1, 2)],
    "os.mkdir": [(0, 2)],
    "os.rmdir": [(0, 1)],
    "os.remove": [(0, 1)],
    "os.chmod": [(0, 2)],
    "os.truncate": [(0, 0)],
}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def preload() -> None:
    """Import all that a command might, as `dermdata.start` does: without pandas."""
    from dermdata.unused_imports import hide_unused

    hide_unused()
    import dermdata
    from dermdata.start import COLLECT_AFTER

    for module in pkgutil.walk_packages(dermdata.__path__, "dermdata."):
        if not module.name.startswith(NOT_PRELOADED):
            importlib.import_module(module.name)
    for name in LAZY:
        importlib.import_module(name)
    from dermdata.catalogs import open_catalog

    catalog = open_catalog()  # each fork would compile it, and parse its concepts, for itself
    catalog.load_vocabulary()
    catalog.load_body_sites()
    from dermdata.cli.app import COMMANDS, make_root

    for name in COMMANDS:
        make_root().get_command(None, name)
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)


# ------------------------------------------------------------------ the child


def become(job: dict[str, Any]) -> None:
    """The child's way from the fork to its end."""
    os.setsid()
    for handle, path, flags in (
        (0, job.get("stdin") or os.devnull, os.O_RDONLY),
        (1, job["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, job["err"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, handle)
        os.close(opened)
    sys.stdin = os.fdopen(0, "r", encoding="utf-8", closefd=False)
    os.chdir(job["folder"])
    if job.get("memory"):
        resource.setrlimit(resource.RLIMIT_DATA, (max(DATA * job["memory"], LEAST),) * 2)
    if job.get("seams"):
        sys.path.insert(0, os.environ["SEAMS"])
        import sitecustomize

        sitecustomize.arm(job["seams"])
    if job.get("stop_at"):
        stop_before(job["stop_at"])
    if job.get("watch"):
        sys.addaudithook(Watch(**job["watch"]))
    from dermdata.cli.app import main

    main(job["words"])


def stop_before(number: int) -> None:
    """Stop this process before its N-th boundary."""
    counter = itertools.count(1)

    def stopping(call: Callable[..., Any]) -> Callable[..., Any]:
        def act(*arguments: Any, **options: Any) -> Any:
            if next(counter) == number:
                os.kill(os.getpid(), signal.SIGSTOP)
            return call(*arguments, **options)

        return act

    for name in BOUNDARIES:
        setattr(os, name, stopping(getattr(os, name)))


class Watch:
    """An audit hook that notes what is written outside some folders, and what is opened of closed paths."""

    def __init__(self, writable: list[str], closed: list[str], log: str) -> None:
        self.writable, self.closed, self.busy = writable, closed, False
        self.handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.own = [sys.prefix, sys.base_prefix, str(Path(os.__file__).parents[1])]

    def __call__(self, event: str, values: tuple[Any, ...]) -> None:
        if self.busy or not (event == "open" or event in CHANGED):
            return
        self.busy = True  # what we do ourselves is no event
        try:
            if event == "open":
                self.look_at_opening(resolved(values[0]), values[2] or 0)
            else:
                self.look_at_change(event, values)
        finally:
            self.busy = False

    def look_at_opening(self, path: str | None, flags: int) -> None:
        if path is None or is_below(path, self.own) or path.startswith("/proc/"):
            return
        if flags & WRITING and path != os.devnull and not is_below(path, self.writable):
            self.note("written", path)
        if is_below(os.path.realpath(path), self.closed):
            self.note("read", path)

    def look_at_change(self, event: str, values: tuple[Any, ...]) -> None:
        for number, folder in CHANGED[event]:
            path = resolved(values[number], values[folder] if folder else -1)
            if path is not None and not is_below(path, self.writable):
                self.note(event, path)

    def note(self, act: str, path: str) -> None:
        os.write(self.handle, f"{act}\t{path!r}\n".encode(errors="replace"))


def resolved(path: str | bytes | int, folder: int = -1) -> str | None:
    """A path whose folders are no links; None for what is none."""
    text = "" if isinstance(path, int) else os.fsdecode(path)
    if not text or "\0" in text:
        return None
    start = os.path.realpath(f"/proc/self/fd/{folder}") if folder >= 0 else os.getcwd()  # noqa: PTH109
    parent, leaf = os.path.split(os.path.normpath(f"{start}/{text}") if text[0] != "/" else text)
    return f"{os.path.realpath(parent).rstrip('/')}/{leaf}"


def is_below(path: str, folders: list[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


# ------------------------------------------------------------------ the parent


@dataclass
class Running:
    """A fork, and what is known of it."""

    job: dict[str, Any]
    process: int
    handle: int  # its pidfd
    begun: float
    peak: int = 0
    how: str = "ended"
    asked: float | None = None  # since when it is to say where its threads are
    status: int | None = None
    ended: float = 0

    def look(self, now: float) -> None:
        """Kill it where its moment, its time or its memory says so."""
        elapsed = now - self.begun
        kill_after, memory = self.job.get("kill_after"), self.job.get("memory")
        if kill_after is not None and elapsed >= kill_after:
            self.end("killed")
        elif self.asked is not None:
            if now - self.asked > TOLD:
                self.end(self.how)
        elif elapsed > self.job["seconds"] and self.is_overdue(elapsed):
            self.ask("time", now)
        elif memory and elapsed > SETTLED:
            self.peak = max(self.peak, resident(self.process))
            if self.peak > memory:
                self.ask("memory", now)

    def is_overdue(self, elapsed: float) -> bool:
        """Whether its time is over, were the machine its own: what other programs took is not counted."""
        limit: float = self.job["seconds"]
        return elapsed - queued(self.process) > limit or elapsed > BUSIEST * limit

    def ask(self, how: str, now: float) -> None:
        """Let it write where its threads are, then end it."""
        self.how, self.asked = how, now
        os.kill(self.process, signal.SIGUSR1)

    def end(self, how: str) -> None:
        self.how, self.asked = how, None
        os.kill(self.process, signal.SIGKILL)

    def reap(self) -> None:
        _, self.status, used = os.wait4(self.process, 0)
        self.ended = time.monotonic()
        self.peak = max(self.peak, used.ru_maxrss * 1024)
        if self.how == "killed" and not os.WIFSIGNALED(self.status):
            self.how = "ended"
        os.close(self.handle)

    def answer(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "how": self.how,
            "seconds": self.ended - self.begun,
            "peak": self.peak,
        }


def resident(process: int) -> int:
    """The most bytes of memory that a process has had; 0 when it is gone."""
    try:
        text = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+)", text)
    return int(found[1]) * 1024 if found else 0


def queued(process: int) -> float:
    """Seconds for which a process could have run, but others did: those of its thread that waited longest."""
    delays = []
    for path in Path(f"/proc/{process}/task").glob("*/schedstat"):
        try:
            delays.append(int(path.read_text(encoding="utf-8").split()[1]))
        except (OSError, IndexError):  # a thread that has just ended
            continue
    return max(delays, default=0) / 1e9


def start(job: dict[str, Any]) -> Running:
    process = os.fork()
    if process == 0:
        try:
            become(job)
        except SystemExit as end:
            threading._shutdown()  # type: ignore[attr-defined]  # a thread that never ends holds a real process too
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(int(end.code or 0))
        except BaseException:  # noqa: BLE001  # the fault of this file: told by a code that no command has
            import traceback

            traceback.print_exc()
            sys.stderr.flush()
        os._exit(99)
    return Running(job, process, os.pidfd_open(process), time.monotonic())


def together(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run jobs at once, to their ends."""
    every = [start(job) for job in jobs]
    waiting = {one.handle: one for one in every}
    poll = select.poll()
    for handle in waiting:
        poll.register(handle, select.POLLIN)
    while waiting:
        for handle, _ in poll.poll(pause(waiting.values())):
            poll.unregister(handle)
            waiting.pop(handle).reap()
        now = time.monotonic()
        alone = all(one.job.get("stop_at") for one in waiting.values())
        for one in waiting.values():
            one.look(now)
            if one.job.get("stop_at") and (alone or now - one.begun > PATIENCE):
                os.kill(one.process, signal.SIGCONT)  # again and again: it may come to its stop later
    return [one.answer() for one in every]


def pause(waiting: Any) -> float:
    """Milliseconds until something may be due."""
    now = time.monotonic()
    due = [
        one.begun + one.job["kill_after"] - now for one in waiting if one.job.get("kill_after") is not None
    ]
    return max(0.0, min([TICK, *due]) * 1000)


def main() -> None:
    """Serve until stdin ends."""
    faulthandler.enable()  # children have it from their first moment, each on its own stderr
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    preload()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(together(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
