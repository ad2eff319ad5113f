"""The local stand-in for the datasets' real servers, built from the real metadata of ../shared."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conftest import SHARED

TOOL = SHARED / "tools" / "mkmirror" / "mkmirror.py"


@dataclass(frozen=True)
class Mirror:
    """A running mirror and the options that lead every official address to it."""

    root: Path
    port: int
    log: Path
    expected: dict[str, Any]

    @property
    def options(self) -> list[str]:
        rewrite = f"https://=http://127.0.0.1:{self.port}/web/"
        return ["--catalog", str(self.root / "overlay"), "--rewrite", rewrite]

    def requests(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@contextmanager
def mirror(root: Path, *names: str, rows: int | None = None) -> Iterator[Mirror]:
    """Build the datasets in full (or so many rows) and serve them until the block ends."""
    build = [
        sys.executable,
        str(TOOL),
        "--data",
        str(SHARED / "data"),
        "--out",
        str(root),
        "--only",
        ",".join(names),
    ]
    run([*build, *(["--rows", str(rows)] if rows else [])])
    run([sys.executable, str(TOOL), "overlay", str(root)])
    record = json.loads((root / "mirror.json").read_text())["datasets"]
    log = root / "log.jsonl"
    serve = [sys.executable, str(TOOL), "serve", str(root), "--port", "0", "--log", str(log)]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True, cwd=TOOL.parent) as process:
        assert process.stdout
        port = json.loads(process.stdout.readline())["port"]
        try:
            yield Mirror(root, port, log, {name: facts["expected"] for name, facts in record.items()})
        finally:
            process.terminate()


def run(words: list[str]) -> None:
    subprocess.run(words, check=True, capture_output=True, cwd=TOOL.parent)
