"""The local stand-in for the datasets' real servers, built from the real metadata of ../shared."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Literal, NamedTuple

from conftest import SHARED

Pictures = Literal["drawn", "noise", "names", "none"]
SMALL = "16x12"  # pixels
OURS, QUESTIONS = "quiet?", 100  # the user agent of our own questions, and how often one is asked at most
TOOL = SHARED / "tools" / "mkmirror" / "mkmirror.py"
BUILDER = Path(__file__).with_name("small_mirror.py")


class Noted(NamedTuple):
    """How many requests the log has, whole lines each."""

    ours: int
    others: int


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
        """All that were asked so far, oldest first.

        The server notes a request after its answer is out, so a client may read the log too early. Quiet means:
        between two questions of our own, each noted before the next is asked, nobody else's was noted.
        """
        noted = self.noted()
        for _ in range(QUESTIONS):
            self.ask()
            before, noted = noted, self.noted()
            if noted.others == before.others:
                lines = self.log.read_text().splitlines()[: noted.ours + noted.others]
                return [one for one in map(json.loads, lines) if one["user_agent"] != OURS]
        raise AssertionError("the mirror is never quiet")

    def noted(self) -> Noted:
        text = self.log.read_bytes() if self.log.exists() else b""
        ours = text.count(f'"{OURS}"'.encode())
        return Noted(ours, text.count(b"\n") - ours)

    def ask(self) -> None:
        """Ask for nothing that matters over a connection of its own; back when that is noted, and a little later."""
        before = self.noted().ours
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", "/quiet", headers={"User-Agent": OURS})
        connection.getresponse().read()
        connection.close()
        until = time.monotonic() + 30
        while self.noted().ours == before:
            assert time.monotonic() < until, "the mirror does not note what it is asked"
            time.sleep(0.005)
        time.sleep(0.02)


@contextmanager
def mirror(
    root: Path,
    *names: str,
    rows: int | None = None,
    pictures: Pictures = "drawn",
    world: Literal["plain", "2026"] = "plain",
) -> Iterator[Mirror]:
    """Build the datasets in full (or so many rows) and serve them, as the hosts of a year do, until the block ends.

    For tests of what the tables say every picture is there, but a few pixels of `noise`; for those that fetch tables
    alone there are `none`.
    """
    builder = builder_words(root, *names, rows=rows, pictures=pictures)
    with serving(root, *builder, "serve", *served(root), "--world", world) as running:
        yield running


def build(root: Path, *names: str, rows: int | None = None, pictures: Pictures = "drawn") -> None:
    """Build the datasets, all that can be where none is named; with `names` a sample of the rows, and a pixel each."""
    words = [sys.executable, *builder_words(root, *names, rows=rows, pictures=pictures)]
    subprocess.run(words, check=True, capture_output=True, cwd=TOOL.parent)


def builder_words(root: Path, *names: str, rows: int | None, pictures: Pictures) -> list[str]:
    words = [str(BUILDER), str(TOOL), pictures, "--", "--data", str(SHARED / "data"), "--out", str(root)]
    words += ["--only", ",".join(names)] if names else []
    words += ["--rows", str(rows)] if rows else []
    return words if pictures == "drawn" else [*words, "--size", SMALL]


@contextmanager
def serve(root: Path, *options: str) -> Iterator[Mirror]:
    """Serve what lies in a mirror's folder until the block ends."""
    with serving(root, str(TOOL), "serve", *served(root), *options) as running:
        yield running


def served(root: Path) -> list[str]:
    return [str(root), "--port", "0", "--log", str(root / "log.jsonl")]


@contextmanager
def serving(root: Path, *words: str) -> Iterator[Mirror]:
    """Run a program that tells its port when it serves a mirror's folder, until the block ends."""
    with subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, text=True, cwd=TOOL.parent
    ) as process:
        assert process.stdout
        try:
            told = process.stdout.readline()
            assert told, f"{words[0]} ended, its reason is above"
            record = json.loads((root / "mirror.json").read_text())["datasets"]
            expected = {name: facts["expected"] for name, facts in record.items()}
            yield Mirror(root, json.loads(told)["port"], root / "log.jsonl", expected)
        finally:
            process.terminate()


def record(root: Path, *records: tuple[str, ...]) -> list[list[str]]:
    """Register folders as records of hosts: (host, id, folder, options…); each one's addresses, its listing's first."""
    code = (
        "import contextlib, io, json, sys; from mirror_records import record\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    with contextlib.redirect_stdout(io.StringIO()) as told: record(words)\n"
        "    print(json.dumps(told.getvalue().split()))"
    )
    words = [
        [str(root), "--host", host, "--id", id_, "--from", folder, *more]
        for host, id_, folder, *more in records
    ]
    call = [sys.executable, "-c", code, json.dumps(words)]
    told = subprocess.run(call, check=True, capture_output=True, text=True, cwd=TOOL.parent).stdout
    return [json.loads(line) for line in told.splitlines()]
