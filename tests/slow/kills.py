"""SIGKILL `dermdata fetch` at random moments, and at every fsync, rename and unlink that strace sees.

    python tests/slow/kills.py --runs 200 --seed 1

After each kill: no final name holds other bytes, the same command completes without help, and no more than
1 MiB was sent twice (counted at the server). Exits 1 if that was ever otherwise. Takes minutes; the kills at
boundaries are also in the suite (tests/faults/test_processes.py), on smaller files and without strace.
"""

import argparse
import itertools
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from faults.stage import CountingSite, environment, finals, publish, small_files, words, wrong_finals

MEBIBYTE = 1 << 20
CALLS = "rename,renameat,renameat2,fsync,unlink,unlinkat"


@dataclass
class Tally:
    """What was seen over all kills."""

    runs: int = 0
    killed: int = 0
    completed: int = 0
    most_again: int = 0  # bytes, after one kill
    wrong: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def kept(self) -> bool:
        """Whether every promise was kept."""
        enough = self.completed == self.runs and self.killed > 0
        return enough and not self.wrong and not self.failed and self.most_again <= MEBIBYTE

    def __str__(self) -> str:
        lines = [
            f"runs {self.runs}, killed {self.killed}, completed by the next command {self.completed}",
            f"most bytes sent twice after one kill: {self.most_again:,} (allowed {MEBIBYTE:,})",
            f"final names that held other bytes: {len(self.wrong)}",
        ]
        return "\n".join([*lines, *self.wrong[:10], *self.failed[:10]])


class Range:
    """Where the kills happen: a server, a dataset, what a whole fetch of it gives, how long it takes."""

    def __init__(self, root: Path, site: CountingSite) -> None:
        self.root, self.site, self.count = root, site, 0
        self.files = small_files(images=12, side=160, loose=4_000_000)
        self.options = publish(root, site, self.files)
        self.cut_checksum("loose.bin")
        self.fetch(root / "good")
        self.good = finals(root / "good")
        again = self.new_cache()
        begun = time.monotonic()
        self.fetch(again)
        self.seconds = time.monotonic() - begun

    def cut_checksum(self, name: str) -> None:
        """One file is published without a checksum: it must not be downloaded again either."""
        entry = self.root / "mine" / "datasets" / "ours" / "dataset.toml"
        parts = entry.read_text().split("[[files]]\n")
        kept = [
            "\n".join(
                line for line in part.splitlines() if name not in part or not line.startswith("checksum")
            )
            for part in parts
        ]
        entry.write_text("\n[[files]]\n".join(kept) + "\n")

    def line(self, cache: Path) -> list[str]:
        return words(cache, self.options, "fetch", "ours")

    def fetch(self, cache: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.line(cache), env=environment(), capture_output=True, text=True, timeout=120, check=False
        )

    def new_cache(self) -> Path:
        """An empty cache with a compiled catalog, so that the kills fall into the fetch."""
        self.count += 1
        cache = self.root / f"cache{self.count}"
        shutil.copytree(self.root / "good" / "index", cache / "index")
        return cache

    def judge(self, cache: Path, what: str, tally: Tally) -> None:
        """Look at what a kill left, and let the same command complete it."""
        tally.wrong += [f"{what}: {name}" for name in wrong_finals(cache, self.good, self.files)]
        answer = self.fetch(cache)
        again = self.site.again()
        tally.most_again = max(tally.most_again, again)
        wrong = wrong_finals(cache, self.good, {})
        whole = answer.returncode == 0 and self.good.keys() == finals(cache).keys()
        tally.completed += whole and not wrong
        tally.wrong += [f"{what}, then completed: {name}" for name in wrong]
        if not whole:
            tally.failed.append(f"{what}: exit {answer.returncode}\n{answer.stderr}")
        if again > MEBIBYTE:
            tally.failed.append(f"{what}: {again:,} bytes sent twice")
        shutil.rmtree(cache)


def at_random(range_: Range, runs: int, seed: int) -> Tally:
    """One SIGKILL a run, at a moment between the start and the end of an undisturbed fetch."""
    tally, moments = Tally(), random.Random(seed)
    for number in range(runs):
        cache, moment = range_.new_cache(), moments.uniform(0.05, range_.seconds)
        range_.site.forget()
        process = subprocess.Popen(
            range_.line(cache), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            tally.killed += 1
        tally.runs += 1
        range_.judge(cache, f"run {number}, killed after {moment:.3f} s", tally)
    return tally


def at_boundaries(range_: Range) -> Tally:
    """N = 1, 2, … : SIGKILL to itself before the N-th fsync, rename or unlink of all threads, until it survives."""
    tally = Tally()
    for number in itertools.count(1):
        cache = range_.new_cache()
        range_.site.forget()
        if survived(range_.line(cache), kill_at=number):
            return tally
        tally.runs, tally.killed = tally.runs + 1, tally.killed + 1
        range_.judge(cache, f"boundary {number}", tally)
    raise AssertionError("unreachable")


def at_system_calls(range_: Range) -> Tally:
    """The same by strace, from outside: it counts each call of each thread by itself."""
    tally = Tally()
    for call in CALLS.split(","):
        for number in itertools.count(1):
            cache = range_.new_cache()
            range_.site.forget()
            inject = f"inject={call}:signal=SIGKILL:when={number}"
            strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={CALLS}", "-e", inject]
            if survived([*strace, *range_.line(cache)]):
                shutil.rmtree(cache)
                break
            tally.runs, tally.killed = tally.runs + 1, tally.killed + 1
            range_.judge(cache, f"{call} {number}", tally)
    return tally


def survived(line: list[str], **seams: object) -> bool:
    """Whether a command line came to a good end."""
    done = subprocess.run(line, env=environment(**seams), capture_output=True, timeout=120, check=False)
    return done.returncode == 0


def main() -> int:
    """Kill, print the figures, and say by the exit code whether they are as promised."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, CountingSite(rate=12e6) as site:
        range_ = Range(Path(folder), site)
        sys.stdout.write(f"an undisturbed fetch takes {range_.seconds:.2f} s\n")
        tallies = {f"at random moments (seed {options.seed})": at_random(range_, options.runs, options.seed)}
        tallies["at every fsync, rename and unlink"] = at_boundaries(range_)
        if shutil.which("strace"):
            tallies["at every fsync, rename and unlink of a thread, by strace"] = at_system_calls(range_)
        else:
            sys.stdout.write("strace is not here: its kills are left out\n")
    for name, tally in tallies.items():
        sys.stdout.write(f"\n{name}\n{tally}\n")
    return 0 if all(tally.kept for tally in tallies.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
