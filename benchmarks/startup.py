"""Start-up as a whole process: dermdata's light commands beside a two-command program with the same Typer.

    python benchmarks/startup.py [--rounds 15]

Interleaved, medians, output to /dev/null, bytecode caches on: PYTHONDONTWRITEBYTECODE doubles every import.
The goal is 1.3 times the Typer program for `list`, `info` and `labels find`, 1.2 times its own for `--help`.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

PROGRAM = '''
import typer
app = typer.Typer()

@app.command()
def one(name: str = "x") -> None:
    """The first."""
    print(name)

@app.command()
def two(name: str = "x") -> None:
    """The second."""
    print(name)

app()
'''


def commands(folder: Path) -> dict[str, list[str]]:
    program = folder / "two.py"
    program.write_text(PROGRAM)
    python = [sys.executable]
    dermdata = [*python, "-m", "dermdata", "--cache", str(folder / "cache")]
    return {
        "python -c pass": [*python, "-c", "pass"],
        "typer, two commands": [*python, str(program), "one"],
        "typer, two commands, --help": [*python, str(program), "--help"],
        "dermdata list": [*dermdata, "list"],
        "dermdata info ham10000": [*dermdata, "info", "ham10000"],
        "dermdata labels find bowen": [*dermdata, "labels", "find", "bowen"],
        "dermdata --version": [*dermdata, "--version"],
        "dermdata --help": [*dermdata, "--help"],
    }


def measure(rounds: int) -> dict[str, list[float]]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        running = commands(Path(folder))
        seconds: dict[str, list[float]] = {name: [] for name in running}
        for number in range(rounds + 1):
            for name, words in running.items():
                started = time.perf_counter()
                subprocess.run(words, stdout=subprocess.DEVNULL, check=True, env=environment)
                if number:  # the first round fills the caches
                    seconds[name].append(time.perf_counter() - started)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    seconds = measure(parser.parse_args().rounds)
    base = statistics.median(seconds["typer, two commands"])
    print(f"Python {sys.version.split()[0]}, typer {version('typer')}, {os.cpu_count()} cores\n")
    print("| command | median s | spread s | times the Typer program |\n|---|---|---|---|")
    for name, runs in seconds.items():
        middle = statistics.median(runs)
        print(f"| `{name}` | {middle:.3f} | {min(runs):.3f}-{max(runs):.3f} | {middle / base:.2f} |")


if __name__ == "__main__":
    main()
