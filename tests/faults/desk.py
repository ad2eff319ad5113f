"""One person's command line before a server that misbehaves: what the promises are checked on."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults.broken import BRIEF
from faults.shelf import ARCHIVES, HEAD, role_of

HOST = "https://data.example"
TESTS = Path(__file__).parents[1]
BLOB = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(18_750))  # 600 kB


@dataclass(frozen=True)
class Offer:
    """A file as its publisher gives it: under which fault, and what the catalog says of it."""

    name: str
    data: bytes = BLOB
    fault: str = ""
    checksum: bool = True
    size: bool = True
    place: str | None = None  # where the server has it; default: under its name
    url: str | None = None  # another address than the server's own
    more: str = ""  # further lines of its TOML

    def entry(self) -> str:
        fault = f"/f/{self.fault}" if self.fault else ""
        unpack = next((kind for end, kind in ARCHIVES.items() if self.name.endswith(end)), None)
        lines = ["[[files]]", f'name = "{self.name}"', f'role = "{role_of(self.name)}"']
        if "source" not in self.more:
            lines.append(f'urls = ["{self.url or f"{HOST}{fault}/{self.place or self.name}"}"]')
        lines += [f'checksum = "sha256:{hashlib.sha256(self.data).hexdigest()}"'] if self.checksum else []
        lines += [f"size = {len(self.data)}"] if self.size and self.data else []
        lines += [f'unpack = "{unpack}"'] if unpack else []
        return "\n".join([*lines, self.more])


@dataclass
class Desk:
    """A catalog of one dataset on the misbehaving server, and a cache that is new with each offer."""

    root: Path
    cli: Callable[..., Any]
    server: Any
    report: Callable[[Any], list[dict[str, Any]]]
    patch: Any  # monkeypatch
    slept: list[float]
    variant: str = "none"  # what the child processes break
    options: list[str] = field(default_factory=list)
    _number: int = 0

    @property
    def place(self) -> Path:
        return self.root / f"try-{self._number}"

    @property
    def cache(self) -> Path:
        return self.place / "cache"

    @property
    def folder(self) -> Path:
        return self.cache / "datasets" / "ours" / "unversioned"

    def offer(self, *offers: Offer, head: str = HEAD, table: str = "", labels: str = "") -> None:
        """Begin anew: these files on the server, an entry that names them, an empty cache, an empty log."""
        self._number += 1
        entry = self.place / "mine" / "datasets" / "ours"
        entry.mkdir(parents=True)
        for one in offers:
            if one.place is None and one.url is None:
                (self.server.root / one.name).write_bytes(one.data)
        text = "\n".join([head, *(one.entry() for one in offers), table])
        (entry / "dataset.toml").write_text(text, encoding="utf-8")
        if labels:
            (entry / "labels.tsv").write_text(labels, encoding="utf-8")
        self.server.reset()
        self.slept.clear()
        catalog = ["--catalog", str(self.place / "mine")]
        self.options = [*catalog, "--rewrite", f"{HOST}/=http://127.0.0.1:{self.server.port}/"]

    def run(self, *words: object, cache: Path | None = None) -> Any:
        """One command line in this process."""
        return self.cli(*self.options, *words, cache=cache or self.cache)

    def fetch(self, *words: object) -> Any:
        return self.run("fetch", "ours", *words)

    def start(self, *words: object, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """The same as a process of its own, broken in the same way."""
        line = [sys.executable, "-m", "faults.broken", self.variant, "--cache", str(self.cache)]
        paths = os.pathsep.join([str(TESTS), str(TESTS.parent)])
        return subprocess.Popen(
            [*line, *self.options, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": paths, **(environment or {})},
        )

    def finals(self) -> dict[str, bytes]:
        """Every file of the publisher's under its final name, by its path in the cache folder."""
        own = ("receipt.json", "manifest.parquet", "contents-")
        found = {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for path in self.folder.rglob("*")
            if path.is_file()
        }
        hidden = lambda name: any(part.startswith(".") for part in name.split("/"))  # noqa: E731
        return {name: data for name, data in found.items() if not hidden(name) and not name.startswith(own)}

    def asked(self, name: str | None = None) -> list[dict[str, Any]]:
        """The requests that have ended."""
        return list(self.server.ended(name))

    def again(self) -> int:
        """The most bytes of one file that went out twice."""
        return max((row["again"] for row in self.report(self.server.ended())), default=0)

    def everything(self) -> dict[str, bytes]:
        """Every file of this try, with what links lead to, by path."""
        return {str(p.relative_to(self.place)): p.read_bytes() for p in self.place.rglob("*") if p.is_file()}


def brief(transfer: Callable[[Any], Any], slept: list[float]) -> Callable[[Any], Any]:
    """The command line's way to the network with all its limits, but short ones, and pauses noted, not slept."""
    from dataclasses import replace

    from dermdata.http import HttpClient

    def quick(state: Any, *_: Any) -> Any:  # no wait is shown
        return HttpClient(replace(transfer(state).settings, sleep=slept.append, trust_env=False, **BRIEF))

    return quick
