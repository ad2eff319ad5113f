"""Ways to one result side by side: each a process of its own, in turn, with its seconds, memory and ratio.

A machine that others use too stretches seconds, so ways take turns and a ratio is the median of the ratios within
each round. `CPU s` is what the process and its children computed: waiting for a turn does not count there.
"""

import os
import shutil
import stat
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def nothing() -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way: its command line, the programs and modules it needs, and what is done outside its time."""

    name: str
    words: Sequence[str | Path]
    needs: tuple[str, ...] = ()
    before: Callable[[], object] = nothing
    after: Callable[[], object] = nothing
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def missing(self) -> str | None:
        """The first thing that it needs and that is not installed."""
        from importlib.util import find_spec

        return next((one for one in self.needs if not (shutil.which(one) or find_spec(one))), None)


@dataclass(frozen=True, kw_only=True)
class Goal:
    """At most so many times another way."""

    way: str
    base: str
    most: float
    why: str = ""  # the cause, where it is missed for a known one


@dataclass(frozen=True)
class Run:
    """What one process took."""

    seconds: float
    cpu: float
    peak: float  # MB, of its largest process


def python(file: str, *words: str | Path) -> list[str | Path]:
    """This interpreter on a script of ours."""
    return [sys.executable, file, *words]


def dermdata(*words: str | Path) -> list[str | Path]:
    return [sys.executable, "-m", "dermdata", *words]


def apart(work: Callable[..., T], *given: Any) -> T:
    """The work's result from a process of its own.

    A process begins with the memory of the one that starts it, so that one stays small, or all peaks were its own.
    """
    with ProcessPoolExecutor(1) as pool:
        return pool.submit(work, *given).result()


def put_aside(folder: Path) -> None:
    """Make room for the next round: what is there keeps its names elsewhere, and loses its bytes.

    ext4 gives no number of a file that was deleted within the last minutes to a new one, and looks for another by
    going through all of them: 10,000 files that were deleted before made each round's first part several times slower,
    for every way. They go with the benchmark's own folder at its end.
    """
    if not folder.exists():
        return
    for path in folder.rglob("*"):
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:  # no link to a file that is still needed
            os.truncate(path, 0)
    folder.rename(folder.with_name(f"{folder.name}-{time.time_ns()}"))


def once(way: Way) -> Run:
    """The way's process from its start to its end; an error of it is ours."""
    way.before()
    # bytecode caches on, as an installed program has them
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    with subprocess.Popen(way.words, stdout=subprocess.DEVNULL, env={**kept, **way.environment}) as process:
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(map(str, way.words)))
    way.after()
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6)


def compare(ways: Sequence[Way], rounds: int, goals: Sequence[Goal] = (), *, warm: bool = True) -> None:
    """Run all ways in turn so many times, print their table, the goals and what was left out."""
    there = [way for way in ways if way.missing is None]
    if warm:  # caches of files and bytecode are filled outside the measure
        for way in there:
            once(way)
    taken: dict[str, list[Run]] = {way.name: [] for way in there}
    for number in range(rounds):
        for way in there if number % 2 else there[::-1]:
            taken[way.name].append(once(way))
    show(taken)
    judge(taken, goals)
    for way in ways:
        if way.missing:
            print(f"Left out: {way.name} ({way.missing} is not installed).\n")


def show(taken: Mapping[str, Sequence[Run]]) -> None:
    first = next(iter(taken))
    print(f"| way | median s | spread s | CPU s | peak MB | times {first} |\n|---|---|---|---|---|---|")
    for name, runs in taken.items():
        seconds = [run.seconds for run in runs]
        print(
            f"| {name} | {statistics.median(seconds):.3f} | {min(seconds):.3f}-{max(seconds):.3f} "
            f"| {statistics.median(run.cpu for run in runs):.3f} | {max(run.peak for run in runs):.0f} "
            f"| {ratio(runs, taken[first]):.2f} |"
        )
    print(flush=True)


def judge(taken: Mapping[str, Sequence[Run]], goals: Sequence[Goal]) -> None:
    """Each goal with what was measured; one without its peer is not judged."""
    rows = [goal for goal in goals if goal.way in taken and goal.base in taken]
    if not rows:
        return
    print("| goal | times, by seconds | times, by CPU | allowed | met |\n|---|---|---|---|---|")
    for goal in rows:
        mine, theirs = taken[goal.way], taken[goal.base]
        found = ratio(mine, theirs)
        met = "yes" if found <= goal.most else f"no{f': {goal.why}' if goal.why else ''}"
        by_cpu = statistics.median(run.cpu for run in mine) / statistics.median(run.cpu for run in theirs)
        print(f"| {goal.way} / {goal.base} | {found:.2f} | {by_cpu:.2f} | {goal.most:g} | {met} |")
    print(flush=True)


def ratio(mine: Sequence[Run], theirs: Sequence[Run]) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(one.seconds / other.seconds for one, other in zip(mine, theirs, strict=True))
