"""Where the time of one command goes: functions of it under a stopwatch, in a process of its own.

`python benchmarks/stages/__init__.py WORD …` runs `dermdata WORD …` and prints what each stage of an audit took as JSON.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

REST = "start-up, checks, printing"
# stage -> the functions that are it, as the module that calls them knows them
NEAR = {
    "rows": ["dermdata.api.targets:load", "dermdata.audit.run:row_images"],
    "look": ["dermdata.audit.run:inspect_images"],
    "join": ["dermdata.duplicates:find_near_pairs"],
    "same pixels": ["dermdata.audit.run:group_same_pixels"],
    "verify": ["dermdata.duplicates:verify_pairs"],
    "report": ["dermdata.api.auditing:write_audit_report"],
}


@dataclass
class Stopwatch:
    """Seconds and processor time by stage; a stage within another one is taken from it."""

    spent: dict[str, tuple[float, float]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)  # how many things the last function of a stage gave
    running: list[str] = field(default_factory=lambda: [REST])
    last: tuple[float, float] = (0.0, 0.0)

    def turn(self) -> None:
        """Count what has passed for the stage that runs."""
        now = (time.perf_counter(), time.process_time())
        seconds, cpu = self.spent.get(self.running[-1], (0.0, 0.0))
        self.spent[self.running[-1]] = (seconds + now[0] - self.last[0], cpu + now[1] - self.last[1])
        self.last = now

    def watch(self, place: str, stage: str) -> None:
        """Put a function under the watch where it is called from."""
        module, name = place.split(":")
        owner = import_module(module)
        work: Callable[..., Any] = getattr(owner, name)

        @wraps(work)
        def watched(*given: Any, **named: Any) -> Any:
            self.turn()
            self.running.append(stage)
            try:
                found = work(*given, **named)
            finally:
                self.turn()
                self.running.pop()
            if isinstance(found, Sized):
                self.counts[stage] = len(found)
            return found

        setattr(owner, name, watched)


@dataclass(frozen=True)
class Told:
    """What a command took, and how much memory at most."""

    stages: Mapping[str, tuple[float, float]]  # seconds, processor time
    counts: Mapping[str, int]  # rows, looks, pairs
    peak: float  # MiB


def peak_memory() -> float:
    """MiB of this process; not by `getrusage`, which counts the process that started it as well."""
    kept = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(kept[1]) / 1024 if kept else float("nan")


def watched_command(words: Sequence[str | Path]) -> Told:
    """Run it to its end, whatever it finds."""
    line = [sys.executable, __file__, *map(str, words)]
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=False)
    return Told(**json.loads(done.stdout.splitlines()[-1]))


def main(words: Sequence[str]) -> None:
    watch = Stopwatch(last=(time.perf_counter(), 0.0))
    for stage, places in NEAR.items():
        for place in places:
            watch.watch(place, stage)
    from dermdata.start import main as command

    sys.argv = ["dermdata", *words]
    try:
        command()
    finally:
        watch.turn()
        print(json.dumps({"stages": watch.spent, "counts": watch.counts, "peak": peak_memory()}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
