"""Start-up as a whole process: dermdata's light commands beside a two-command program with the same Typer.

    python benchmarks/startup.py [--quick] [--rounds 21]

Output to /dev/null, bytecode caches on: PYTHONDONTWRITEBYTECODE doubles every import. The goals are 1.3 times the
Typer program for `list`, `info` and `labels find`, 1.2 times its own for `--help`, 0.6 times hf's for `--version`.
"""

import argparse
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from sidebyside import Goal, Way, compare, dermdata, python

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
TYPER, HELP, HF = "typer, two commands", "typer, two commands, --help", "hf version"
GOALS = (
    *(
        Goal(way=f"dermdata {one}", base=TYPER, most=1.3)
        for one in ("list", "info ham10000", "labels find bowen")
    ),
    Goal(way="dermdata --help", base=HELP, most=1.2),
    Goal(way="dermdata --version", base=HF, most=0.6),
)


def ways(folder: Path) -> list[Way]:
    program = folder / "two.py"
    program.write_text(PROGRAM)
    cache = ("--cache", folder / "cache")
    hf = Path(sys.executable).with_name("hf")
    return [
        Way(name=TYPER, words=python(str(program), "one")),
        Way(name=HELP, words=python(str(program), "--help")),
        Way(name="python -c pass", words=python("-c", "pass")),
        Way(name="dermdata list", words=dermdata(*cache, "list")),
        Way(name="dermdata info ham10000", words=dermdata(*cache, "info", "ham10000")),
        Way(name="dermdata labels find bowen", words=dermdata(*cache, "labels", "find", "bowen")),
        Way(name="dermdata --version", words=dermdata(*cache, "--version")),
        Way(name="dermdata --help", words=dermdata(*cache, "--help")),
        Way(name=HF, words=["sh", "-c", f"exec {hf} version 2>/dev/null"], needs=(str(hf),)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="Fewer rounds.")
    parser.add_argument("--rounds", type=int)
    asked = parser.parse_args()
    print(f"Typer {version('typer')}.\n")
    with tempfile.TemporaryDirectory() as folder:
        compare(ways(Path(folder)), asked.rounds or (3 if asked.quick else 21), GOALS)


if __name__ == "__main__":
    main()
