"""Damaged files of every kind, through every command that reads them, under limits of memory and time.

    python tests/slow/fuzz.py --minutes 30 --seed 1 --memory 1G [--kinds lock,table,…]
    python tests/slow/fuzz.py --again FOLDER/case.json

Manifests, locks, tables, workbooks, catalogs, archives, images, predictions, lists, label spaces, bundles and the
cache's own files are damaged, as bytes and by what they are made of. Every command must end by itself, within 30 s
and the memory, with an exit code of the contract and words; without a traceback; nothing may be written outside the
cache and the output folder, and no file outside the dataset's may be read (a canary and /etc/passwd are watched).

What goes wrong is tried again alone, made smaller where that is cheap, and kept in a folder with its input. Exits 1
if anything did. It judges the dermdata of the interpreter that runs it.
"""

import argparse
import base64
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzzing.inputs import KINDS, Case, Room, make_case
from fuzzing.judge import Finding, cause, judge
from support.forks import Forks, Outcome

SECONDS = 30.0
COMMANDS = 4  # of one input
SMALL = 64_000  # bytes of an input that is worth making smaller
TRIES = 24  # runs that making it smaller may take
UNITS = {"M": 1 << 20, "G": 1 << 30}


@dataclass
class Kept:
    """One fault: where it comes from, how often it was met, the input that shows it."""

    case: Case
    what: str
    cause: str
    more: str  # the end of what was said
    times: int = 1
    folder: Path | None = None


@dataclass
class Fuzz:
    """One run over many cases."""

    room: Room
    folder: Path | None = None  # where findings are kept
    at_once: int = 2
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)  # kind, command -> runs
    codes: Counter[str] = field(default_factory=Counter)
    kept: dict[tuple[str, ...], Kept] = field(default_factory=dict)
    unsure: list[str] = field(default_factory=list)  # not met again
    slowest: float = 0
    largest: int = 0

    def try_case(self, case: Case) -> None:
        """All commands of a case; what goes wrong is tried again, and kept."""
        self.room.lay(case)
        numbers = range(len(case.commands))
        for first in range(0, len(case.commands), self.at_once):
            batch = numbers[first : first + self.at_once]
            jobs = [self.room.job(case, number) for number in batch]
            for number, done in zip(batch, self.room.forks.run(*jobs, at=self.room.case), strict=True):
                self.count(case, number, done)
                if found := judge(done, self.room.outputs(number)):
                    self.keep(replace(case, commands=[case.commands[number]]), found)
        for number in numbers:
            for place in ("cache", "out"):
                shutil.rmtree(self.room.case / f"{place}-{number}", ignore_errors=True)

    def count(self, case: Case, number: int, done: Outcome) -> None:
        words = case.commands[number]
        command = " ".join(words[: 2 if words[0] in ("export", "cache", "labels") else 1])
        self.counts[case.kind, command] += 1
        self.codes[str(done.code) if done.how == "ended" else done.how] += 1
        self.slowest, self.largest = max(self.slowest, done.seconds), max(self.largest, done.peak)

    def alone(self, case: Case, *options: str) -> tuple[Outcome, list[Finding]]:
        """One command, nobody beside it."""
        self.room.lay(case)
        job = self.room.job(case, 0)
        (done,) = self.room.forks.run(replace(job, words=[*options, *job.words]), at=self.room.case)
        return done, judge(done, self.room.outputs(0))

    def keep(self, case: Case, first: list[Finding]) -> None:
        """Try it again; with --debug, so that the place in the code is told."""
        _, again = self.alone(case)
        for one in first:
            if one.what not in {two.what for two in again}:
                self.unsure.append(f"{one.what}, once: {case.name} {' '.join(case.commands[0])}")
        for one in again:
            told = one.more
            if one.what in ("exit 70", "memory asked for"):
                told = self.alone(case, "--debug")[0].err
            command = case.commands[0][0]
            key = (one.what, cause(told)) if "?" not in cause(told) else (one.what, case.kind, command)
            if key in self.kept:
                self.kept[key].times += 1
                continue
            kept = Kept(self.smaller(case, one.what, cause(told)), one.what, cause(told), told[-1500:])
            self.kept[key] = kept
            self.save(kept)

    def smaller(self, case: Case, what: str, source: str) -> Case:
        """Take pieces away from the input as long as the same goes wrong."""
        name = next(iter(case.files))
        if what in ("time", "memory") or not 64 < len(case.files[name]) < SMALL:
            return case

        def fails(data: bytes) -> bool:
            options = ["--debug"] if what == "exit 70" else []
            done, found = self.alone(replace(case, files={**case.files, name: data}), *options)
            return any(one.what == what and cause(done.err) == source for one in found)

        data = shrunk(case.files[name], fails)
        return replace(case, files={**case.files, name: data})

    def save(self, kept: Kept) -> None:
        """A folder with the input as a file, and what `--again` needs."""
        if self.folder is None:
            return
        kept.folder = (
            self.folder
            / f"{len(self.kept):03}-{kept.case.kind}-{kept.what.replace(' ', '-').replace(':', '')}"
        )
        kept.folder.mkdir(parents=True)
        for name, data in kept.case.files.items():
            (kept.folder / name.rpartition("/")[2]).write_bytes(data)
        document = {
            **vars(kept.case), "files": {name: base64.b64encode(data).decode() for name, data in kept.case.files.items()},
            "what": kept.what, "cause": kept.cause, "more": kept.more,
        }  # fmt: skip
        (kept.folder / "case.json").write_text(json.dumps(document, indent=1), encoding="utf-8")

    def __str__(self) -> str:
        kinds = sorted({kind for kind, _ in self.counts})
        lines = [f"{sum(self.counts.values()):,} runs; exit codes {dict(sorted(self.codes.items()))}"]
        lines.append(f"slowest {self.slowest:.1f} s, most memory {self.largest >> 20} MB")
        for kind in kinds:
            of_kind = {command: count for (one, command), count in sorted(self.counts.items()) if one == kind}
            lines.append(
                f"  {kind}: " + ", ".join(f"{command} {count}" for command, count in of_kind.items())
            )
        lines.append(f"{len(self.kept)} faults")
        for kept in sorted(self.kept.values(), key=lambda one: (one.what, one.cause)):
            lines.append(f"- {kept.what} ({kept.times} times) {kept.cause}")
            lines.append(
                f"    {kept.case.kind} {kept.case.name}: {' '.join(kept.case.commands[0])}  {kept.folder or ''}"
            )
            if kept.cause.startswith("?"):
                lines += [f"      {line}" for line in kept.more.strip().splitlines()[-4:]]
        lines += [f"- not met again: {one}" for one in self.unsure]
        return "\n".join(lines)


def shrunk(data: bytes, fails: Callable[[bytes], bool]) -> bytes:
    """Halves, quarters, eighths … are taken away while it still fails."""
    size, tries = len(data) // 2, TRIES
    while size >= 16 and tries:
        at = 0
        while at < len(data) and tries:
            tries -= 1
            less = data[:at] + data[at + size :]
            if fails(less):
                data = less
            else:
                at += size
        size //= 2
    return data


def fuzz_cases(
    room: Room, fuzz: Fuzz, seed: int, kinds: Sequence[str], goes_on: Callable[[int], bool]
) -> None:
    number = 0
    while goes_on(number):
        fuzz.try_case(make_case(room, seed, number, kinds, COMMANDS))
        number += 1


def again(path: Path, fuzz: Fuzz) -> int:
    """One kept case, with all that is said."""
    document = json.loads(path.read_text(encoding="utf-8"))
    told = {name: document.pop(name) for name in ("what", "cause", "more")}
    files = {name: base64.b64decode(data) for name, data in document.pop("files").items()}
    commands = [tuple(words) for words in document.pop("commands")]
    case = Case(**document, files=files, commands=commands)
    _, found = fuzz.alone(case)
    done, _ = fuzz.alone(case, "--debug")  # says more
    sys.stdout.write(
        f"{' '.join(commands[0])}\nexit {done.code} ({done.how}), {done.seconds:.1f} s, {done.peak >> 20} MB\n"
    )
    sys.stdout.write(
        f"{done.err[-6000:]}\nwas: {told['what']} {told['cause']}\nis: {[one.what for one in found] or 'right'}\n"
    )
    return 1 if found else 0


def main() -> int:
    """Fuzz for some minutes, print what was met, and say by the exit code whether all was well."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--memory", default="1G", help="most resident bytes of a command, as 512M or 1G")
    parser.add_argument("--kinds", default=",".join(KINDS), help="only these, comma-separated")
    parser.add_argument("--at-once", type=int, default=2, help="commands that run at the same time")
    parser.add_argument("--again", type=Path, metavar="FILE", help="only the kept case of this file")
    options = parser.parse_args()
    import dermdata

    sys.stdout.write(f"dermdata of {Path(dermdata.__file__).parent}, seed {options.seed}\n")
    memory = int(options.memory[:-1]) * UNITS[options.memory[-1]]
    root = Path(tempfile.mkdtemp(prefix="fuzz-"))
    with Forks(root / "said", seconds=SECONDS, memory=memory) as forks:
        room = Room(root, forks)
        fuzz = Fuzz(room, None if options.again else root / "found", options.at_once)
        if options.again:
            return again(options.again, fuzz)
        end = time.monotonic() + 60 * options.minutes
        fuzz_cases(room, fuzz, options.seed, options.kinds.split(","), lambda _: time.monotonic() < end)
    sys.stdout.write(f"{fuzz}\n")
    return 1 if fuzz.kept else 0


if __name__ == "__main__":
    sys.exit(main())
