"""What is wrong with how a command line ended, and where in the code that came from."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fuzzing.inputs import CANARY, PASSWD
from support.forks import Outcome

CODES = {0, 1, 2, 3, 4, 5, 6, 8}
FRAME = re.compile(r'File "[^"]*/(dermdata/[\w/]+\.py)", line (\d+),? in (\w+)')
LARGEST = 4 << 20  # bytes of an output that is looked into


@dataclass(frozen=True)
class Finding:
    """A promise that one command line did not keep."""

    what: str  # exit 70, signal 11, time, memory, outside, secret, traceback, no words
    more: str


def judge(done: Outcome, outputs: Iterable[Path]) -> list[Finding]:
    """All that is wrong with an outcome."""
    found = [Finding(what, done.err) for what in ending(done)]
    found += [Finding(f"outside: {one.partition(chr(9))[0]}", one) for one in done.outside[:3]]
    if any(
        mark in data
        for data in (done.out, done.err.encode(), *map(begin, outputs))
        for mark in (CANARY, PASSWD)
    ):
        found.append(Finding("secret", "what no command may read is in the output"))
    return found


def ending(done: Outcome) -> Iterable[str]:
    if done.how in ("time", "memory"):
        yield done.how
    elif done.code < 0:
        yield f"signal {-done.code}"
    elif done.code not in CODES:
        yield f"exit {done.code}"
    elif "Traceback (most recent" in done.err:
        yield "traceback"
    elif "not enough memory" in done.err:
        yield "memory asked for"
    elif done.code > 1 and not re.search(r"error:|\{\"error\"", done.err):
        yield "no words"


def begin(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST)


def cause(err: str) -> str:
    """The innermost line of ours in a traceback or a dump of threads, and the exception."""
    thread = err.partition("Current thread")[2] or err
    frames = FRAME.findall(thread)
    inner = frames[0] if "most recent call first" in err and frames else frames[-1] if frames else None
    place = f"{inner[0]}:{inner[1]} {inner[2]}" if inner else "?"
    errors = re.findall(
        r"^(\w+(?:\.\w+)*(?:Error|Exception|Iteration|Invalid|Interrupt))\b", err, re.MULTILINE
    )
    return f"{place} {errors[-1] if errors else ''}".strip()
