"""One small dataset of a private catalog, a server that counts what it sends, and child processes to break."""

import contextlib
import hashlib
import io
import json
import os
import random
import re
import subprocess
import sys
import threading
import time
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from support.servers import Site

HOST = "https://files.example/"
PIECE = 16 * 1024  # bytes the server sends at a time
ENTRY = """
name = "ours"
title = "Ours"
kind = "dataset"
summary = "small pictures of noise"
version = "1"
[access]
kind = "open"
evidence = "made by the tests"
[[table]]
reader = "table"
file = "table.csv"
[table.columns]
image_id = "id"
sex = "sex"
"""
SEAMS = Path(__file__).parent / "seams"  # a sitecustomize for children


class CountingSite(Site):
    """Sends in pieces, at a rate if one is given, and notes every piece: (address, first byte, bytes)."""

    def __init__(self, rate: float | None = None) -> None:
        super().__init__()
        self.rate = rate  # bytes a second, of one reply
        self.pieces: list[tuple[str, int, int]] = []
        self.watch: Callable[[str, int], None] = lambda _address, _offset: None  # before each piece
        self.stall_at: dict[str, int] = {}  # address -> the byte before which the reply falls silent
        self.awake = threading.Event()
        self.lengthless: set[str] = set()  # addresses whose size is told by nobody

    def answer(self, request: Any) -> None:
        body = io.BytesIO()
        silent = request.path.removeprefix("/web/") in self.lengthless
        wire, request.wfile = request.wfile, Tee(request.wfile, body, silent)
        request.close_connection = silent
        with contextlib.suppress(ConnectionError):  # the client was killed: what these tests are about
            super().answer(request)
            request.wfile = wire
            self.send(request, wire, body.getvalue())
        request.wfile = wire

    def send(self, request: Any, wire: Any, body: bytes) -> None:
        address = request.path.removeprefix("/web/")
        wanted = request.headers.get("Range")
        whole = len(self.files.get(address, b""))
        first = whole - len(body) if wanted else 0
        for start in range(0, len(body), PIECE):
            self.watch(address, first + start)
            if first + start >= self.stall_at.get(address, whole):
                self.awake.wait(60)
                request.close_connection = True
                return
            piece = body[start : start + PIECE]
            wire.write(piece)
            wire.flush()
            self.pieces.append((address, first + start, len(piece)))
            if self.rate:
                time.sleep(len(piece) / self.rate)

    def forget(self) -> None:
        self.pieces.clear()
        self.requests.clear()

    def again(self) -> int:
        """Bytes that went out more than once, over all files."""
        times: dict[tuple[str, int], int] = defaultdict(int)
        for address, first, count in self.pieces:
            for byte in range(first // 256, (first + count + 255) // 256):
                times[address, byte] += 1
        return sum(256 * (count - 1) for count in times.values())

    def downloads(self) -> dict[str, int]:
        """How often each address was asked for."""
        counts: dict[str, int] = defaultdict(int)
        for address, _ in self.requests:
            counts[address] += 1
        return dict(counts)


class Tee:
    """Lets a reply's head through and keeps its body back, to be sent piece by piece."""

    def __init__(self, wire: Any, body: io.BytesIO, lengthless: bool) -> None:
        self.wire, self.body, self.lengthless, self.in_body = wire, body, lengthless, False

    def write(self, data: bytes) -> int:
        if self.in_body:
            return self.body.write(data)
        self.in_body = data.endswith(b"\r\n\r\n")
        if self.lengthless:
            data = re.sub(rb"Content-Length: \d+\r\n", b"Connection: close\r\n", data)
        return int(self.wire.write(data))

    def flush(self) -> None:
        self.wire.flush()


def noise(seed: int, side: int) -> bytes:
    """A JPEG that hardly compresses, the same on every run."""
    pixels = random.Random(seed).randbytes(side * side * 3)
    out = io.BytesIO()
    Image.frombytes("RGB", (side, side), pixels).save(out, "JPEG", quality=90)
    return out.getvalue()


def small_files(images: int = 8, side: int = 96, loose: int = 300_000) -> dict[str, bytes]:
    """The files of the dataset as its publisher would give them."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for number in range(images):
            info = zipfile.ZipInfo(f"IMG_{number:03d}.jpg", (2020, 1, 1, 0, 0, 0))
            archive.writestr(info, noise(number, side))
    rows = "".join(f"IMG_{number:03d},female\n" for number in range(images))
    return {
        "images.zip": out.getvalue(),
        "loose.bin": random.Random(7).randbytes(loose),
        "table.csv": f"id,sex\n{rows}".encode(),
    }


def publish(
    root: Path,
    site: Site,
    files: Mapping[str, bytes],
    *,
    sizes: bool = True,
    checksums: bool = True,
    entry: str = ENTRY,
    version: str = "1",
) -> list[str]:
    """Put the files on the server and their entry into a catalog folder; the options that lead there."""
    text = [entry.replace('version = "1"', f'version = "{version}"')]
    for name, data in files.items():
        site.put(HOST + name, data)
        role = {"images.zip": "images", "table.csv": "metadata"}.get(name, "other")
        role = "images" if name.endswith(".jpg") else role
        lines = [f'name = "{name}"', f'role = "{role}"', f'urls = ["{HOST}{name}"]']
        lines += [f"size = {len(data)}"] if sizes else []
        lines += [f'checksum = "sha256:{hashlib.sha256(data).hexdigest()}"'] if checksums else []
        lines += ['unpack = "zip"'] if name.endswith(".zip") else []
        text.append("[[files]]\n" + "\n".join(lines))
    folder = root / "mine" / "datasets" / "ours"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.toml").write_text("\n".join(text), encoding="utf-8")
    return ["--catalog", str(root / "mine"), "--rewrite", site.rewrite]


def finals(cache: Path) -> dict[str, bytes]:
    """Every file of `ours` under its final name, by its path."""
    home = cache / "datasets" / "ours"
    return {
        path.relative_to(home).as_posix(): path.read_bytes()
        for path in sorted(home.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(home).parts)
    }


def own(name: str) -> bool:
    """Whether it is a file of dermdata's own, which says what is there: it changes as a fetch goes on."""
    leaf = name.rpartition("/")[2]
    return leaf == "receipt.json" or leaf.startswith("contents-")


def wrong_finals(cache: Path, good: Mapping[str, bytes], archives: Mapping[str, bytes]) -> list[str]:
    """Final names that hold other bytes than a whole fetch gives them (an archive not yet let go is right)."""
    wrong = []
    for name, data in finals(cache).items():
        expected = good.get(name, archives.get(name.rpartition("/")[2]))
        if not own(name) and data != expected:
            wrong.append(name)
    return wrong


def words(cache: Path, options: Iterable[str], *command: str) -> list[str]:
    """A command line of a process of its own."""
    return [sys.executable, "-m", "dermdata", "--cache", str(cache), *options, *command]


def environment(**seams: object) -> dict[str, str]:
    """The environment of a child; with `seams`, one whose operating system fails as they say."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DERMDATA_", "COV_"))}
    kept["OPENBLAS_NUM_THREADS"] = "1"
    if seams:
        before = os.environ.get("PYTHONPATH")
        kept["PYTHONPATH"] = os.pathsep.join([str(SEAMS), *([before] if before else [])])
        kept |= named(seams)
    return kept


def named(seams: Mapping[str, object]) -> dict[str, str]:
    return {f"SEAM_{key.upper()}": str(value) for key, value in seams.items()}


def run(line: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command line to its end, which must come within a minute."""
    options.setdefault("env", environment())
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False, **options)


def until(reached: Callable[[], bool], seconds: float = 20) -> None:
    """Return as soon as it is so; a test that waits in vain fails."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.005)


@dataclass(frozen=True)
class Ended:
    """How a forked command line ended."""

    code: int  # negative: the signal
    err: str


class Zygote:
    """Forks ready-made dermdata processes; use as a context manager."""

    def __enter__(self) -> "Zygote":
        line = [sys.executable, str(Path(__file__).with_name("zygote.py"))]
        self.process = subprocess.Popen(
            line,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment() | {"SEAMS": str(SEAMS), "PYTHONPATH": os.pathsep.join(path_of_tests())},
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()  # the end of its stdin is its end

    def all(
        self, *jobs: Sequence[str], unprivileged: bool = False, each: Sequence[Any] = (), **seams: object
    ) -> list[Ended]:
        """Run command lines (without the interpreter) at once, to their ends; `each` has one's own seams."""
        assert self.process.stdin
        assert self.process.stdout
        more = each or [{}] * len(jobs)
        asked = [
            {"words": list(job), "seams": named({**seams, **own}), "unprivileged": unprivileged}
            for job, own in zip(jobs, more, strict=True)
        ]
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        answers = json.loads(self.process.stdout.readline())
        return [Ended(os.waitstatus_to_exitcode(status), err) for status, err in answers]

    def run(self, *job: str, unprivileged: bool = False, **seams: object) -> Ended:
        return self.all(job, unprivileged=unprivileged, **seams)[0]


def path_of_tests() -> list[str]:
    """Where the dermdata under test lies."""
    import dermdata

    return [str(Path(dermdata.__file__).parents[1])]
