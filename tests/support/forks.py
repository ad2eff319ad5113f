"""The client of fork_server.py: dermdata command lines that start at once, limited, watched, killed when asked."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults.stage import SEAMS, environment, named

SERVER = Path(__file__).with_name("fork_server.py")
SECONDS = 60.0  # what no command of these tests needs


@dataclass(frozen=True)
class Job:
    """One command line, without the interpreter, and what is done to it."""

    words: Sequence[str]
    stdin: Path | None = None
    kill_after: float | None = None  # seconds
    stop_at: int | None = None  # the fsync, rename or deletion before which it lets the others work
    seams: Mapping[str, object] = field(default_factory=dict)
    writable: Sequence[Path] = ()  # with `closed`: what may be written, what may not be read
    closed: Sequence[Path] = ()


@dataclass(frozen=True)
class Outcome:
    """How a command line ended."""

    code: int  # negative: the signal
    how: str  # ended, killed, time, memory
    seconds: float
    peak: int  # bytes resident at most
    out: bytes
    err: str
    outside: Sequence[str] = ()  # files written or read where it may not


class Forks:
    """A server of forks in the room `folder`, which is theirs for what they say; use as a context manager."""

    def __init__(self, folder: Path, *, seconds: float = SECONDS, memory: int | None = None) -> None:
        self.folder, self.seconds, self.memory, self.count = folder, seconds, memory, 0

    def __enter__(self) -> "Forks":
        self.folder.mkdir(parents=True, exist_ok=True)
        self.start()
        return self

    def start(self) -> None:
        import dermdata

        paths = os.pathsep.join([str(Path(dermdata.__file__).parents[1])])
        given = {"SEAMS": str(SEAMS), "PYTHONPATH": paths, "COLUMNS": "120", "TMPDIR": str(self.folder)}
        self.process = subprocess.Popen(
            [sys.executable, str(SERVER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment() | given,
        )

    def __exit__(self, *_: object) -> None:
        self.process.communicate()  # the end of its stdin is its end

    def run(self, *jobs: Job, at: Path | None = None) -> list[Outcome]:
        """Run command lines at once, to their ends, in the folder `at`."""
        self.count += 1
        asked = [self.asked(job, number, at or self.folder) for number, job in enumerate(jobs)]
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        answers = json.loads(self.process.stdout.readline())
        return [outcome(one, answer) for one, answer in zip(asked, answers, strict=True)]

    def asked(self, job: Job, number: int, folder: Path) -> dict[str, Any]:
        said = self.folder / f"said-{number}"
        watch = None
        if job.writable:
            log = f"{said}.log"
            Path(log).write_bytes(b"")
            watch = {
                "writable": [os.path.realpath(path) for path in job.writable],
                "closed": [os.path.realpath(path) for path in job.closed],
                "log": log,
            }
        return {
            "words": list(map(str, job.words)),
            "stdin": str(job.stdin) if job.stdin else None,
            "out": f"{said}.out",
            "err": f"{said}.err",
            "folder": str(folder),
            "seconds": self.seconds,
            "memory": self.memory,
            "kill_after": job.kill_after,
            "stop_at": job.stop_at,
            "seams": named(job.seams),
            "watch": watch,
        }


def outcome(asked: Mapping[str, Any], answer: Mapping[str, Any]) -> Outcome:
    watch = asked["watch"]
    outside = Path(watch["log"]).read_text(encoding="utf-8").splitlines() if watch else ()
    return Outcome(
        os.waitstatus_to_exitcode(answer["status"]),
        answer["how"],
        answer["seconds"],
        answer["peak"],
        Path(asked["out"]).read_bytes(),
        Path(asked["err"]).read_text(encoding="utf-8", errors="replace"),
        list(dict.fromkeys(outside)),
    )
