"""Runs every benchmark script of this folder and writes what it prints into benchmarks/README.md.

    python benchmarks/run.py [NAME …] [--quick] [--cohort COHORT.parquet] [--date YYYY-MM-DD]

A script is any other .py file here: run as a process of its own, told `--quick` if its source knows that
option. Its Markdown tables go as they are between `<!-- run: NAME -->` and `<!-- end -->`; other output goes
into a text block. A new script gets a new section at the end. A script that fails leaves its section as it was, and the
exit code is 1.
"""

import argparse
import os
import platform
import re
import shlex
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE / "README.md"
HAM10000 = HERE.parents[1] / "shared/data/ham10000/HAM10000_metadata.csv"
LIBRARIES = ("dermdata", "numpy", "pandas", "pyarrow", "pillow", "typer", "scikit-learn")
PEERS = ("duckdb", "datasets", "webdataset", "imagehash", "imagesize", "imagededup", "huggingface-hub")
# as the operations follow each other; any other script of this folder comes after them
ORDER = (
    "startup", "transfer", "checksums", "unpacking", "images", "tables", "splits", "export", "whole_way",
    "memory", "near_duplicates",
)  # fmt: skip


def scripts() -> dict[str, Path]:
    """The benchmark scripts by name, in ORDER."""
    found = {path.stem: path for path in sorted(HERE.glob("*.py")) if path != Path(__file__).resolve()}
    return {name: found[name] for name in (*(one for one in ORDER if one in found), *found)}


def arguments(path: Path, *, quick: bool, cohort: Path | None) -> list[str]:
    """What a script is told: real metadata where they are at hand, and to be quick."""
    words = []
    if path.stem == "splits":
        words += [str(HAM10000)] if HAM10000.is_file() else []
        words += ["--cohort", str(cohort)] if cohort else []
    return [*words, "--quick"] if quick and "--quick" in path.read_text(encoding="utf-8") else words


def measured(path: Path, words: list[str]) -> str | None:
    """What the script prints; None, with its stderr told, when it fails."""
    done = subprocess.run([sys.executable, str(path), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{path.name} failed ({done.returncode}): {done.stderr.strip()}", file=sys.stderr)
        return None
    return done.stdout.strip()


def as_markdown(printed: str) -> str:
    """Output with a Markdown table as it is, any other as a text block."""
    has_table = any(re.match(r"\|[\s:|-]+\|$", line) for line in printed.splitlines())
    return printed if has_table else f"```text\n{printed}\n```"


def machine() -> str:
    """Processor, cores, memory, system."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}"
    )


def processor() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*: (.+)$", info.read_text(), re.MULTILINE) if info.is_file() else None
    return found[1] if found else platform.machine()


def versions() -> str:
    there = [f"{name} {version(name)}" for name in LIBRARIES]
    return ", ".join([f"Python {platform.python_version()}", *there, *filter(None, map(of_peer, PEERS))])


def of_peer(name: str) -> str | None:
    """A peer that is not installed has no version; its script says that it was left out."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return None


def section(path: Path, words: list[str], date: str, printed: str, *, full: bool) -> str:
    """What was run, when, on what, and what came of it."""
    shown = [Path(word).name if word.endswith(".parquet") else word for word in words]
    shown = [word.replace(f"{HERE.parents[1]}/", "../") for word in shown]
    facts = [f"`{shlex.join(['python', f'benchmarks/{path.name}', *shown])}`", date, machine(), versions()]
    speed = "" if full else "Quick run, few rounds, for orientation only: "
    return f"{speed}{'; '.join(facts)}.\n\n{as_markdown(printed)}"


def put(page: str, name: str, text: str) -> str:
    """The page with the section of this script made anew, or added at the end."""
    block = f"<!-- run: {name} -->\n{text}\n<!-- end -->"
    pattern = re.compile(rf"<!-- run: {re.escape(name)} -->\n.*?<!-- end -->", re.DOTALL)
    if pattern.search(page):
        return pattern.sub(lambda _: block, page)
    return f"{page.rstrip()}\n\n## {name}\n\n{block}\n"


def main() -> int:
    known = scripts()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; all by default")
    parser.add_argument("--quick", action="store_true", help="Few rounds.")
    parser.add_argument("--cohort", type=Path, help="The manifest that splits.py tells how to make.")
    parser.add_argument("--date", default=datetime.now(UTC).date().isoformat(), metavar="YYYY-MM-DD")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(known):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    failed = False
    for name in asked.names or known:
        started = time.monotonic()
        words = arguments(known[name], quick=asked.quick, cohort=asked.cohort)
        printed = measured(known[name], words)
        if printed is None:
            failed = True
            continue
        text = section(known[name], words, asked.date, printed, full="--quick" not in words)
        PAGE.write_text(put(PAGE.read_text(encoding="utf-8"), name, text), encoding="utf-8")
        took = time.monotonic() - started
        print(f"{name}: written to {PAGE.relative_to(HERE.parent)} after {took:.0f} s", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
