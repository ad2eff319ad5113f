"""Downloads beside aria2c and curl, from a server of its own on the loopback, interleaved.

    python benchmarks/transfer.py [--quick] [--rounds N] [--only limited|unlimited|small …]

limited    one file, each connection gets 5 MB/s: ours with 4 connections, beside `aria2c -x4 -s4`
unlimited  one file as fast as it goes: ours, beside `curl` and then `sha256sum`
small      many files of 20 kB, 30 ms before each answer: ours with 16 connections, beside `aria2c -j16 -x1`

Ours always verifies SHA-256 and syncs each file and its folder; aria2c and curl do not sync, aria2c does not
hash. Every run is a process of its own, start-up included. A peer that is not installed is left out in words.
The data are made anew in a temporary folder (--folder puts it elsewhere).
"""

import argparse
import hashlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sidebyside import put_aside

RATE = 5_000_000  # bytes a second, of each connection of the limited server
LATENCY = 0.03  # seconds before each answer of the server of small files
SMALL = 20_000  # bytes of each small file
STREAMS = 16  # connections for small files
SLICE = 0.02  # seconds that the limited server sends ahead


# ------------------------------------------------------------------ the server, a process of its own


def serve(folder: Path, rate: int, latency: float) -> None:
    """Answer GET for the files of a folder until killed; prints its port first."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer_all, args=(connection, folder, rate, latency), daemon=True).start()


def answer_all(connection: socket.socket, folder: Path, rate: int, latency: float) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        with connection, connection.makefile("rb") as lines:
            while words := lines.readline().split():
                fields = (line.partition(b":") for line in iter(lines.readline, b"\r\n"))
                headers = {name.strip().lower(): value.strip() for name, _, value in fields}
                time.sleep(latency)
                answer(connection, folder / words[1].decode().lstrip("/"), headers, rate)
    except ConnectionError:  # a client that has enough leaves in the middle
        return


def answer(connection: socket.socket, path: Path, headers: dict[bytes, bytes], rate: int) -> None:
    size = path.stat().st_size
    first, end = 0, size
    if asked := headers.get(b"range"):
        begin, _, last = asked.removeprefix(b"bytes=").partition(b"-")
        first, end = int(begin), int(last) + 1 if last else size
    status = f"206 Partial Content\r\nContent-Range: bytes {first}-{end - 1}/{size}" if asked else "200 OK"
    head = f'HTTP/1.1 {status}\r\nContent-Length: {end - first}\r\nETag: "{size}"\r\nAccept-Ranges: bytes\r\n\r\n'
    connection.sendall(head.encode())
    with path.open("rb") as file:
        send(connection, file.fileno(), first, end, rate)


def send(connection: socket.socket, file: int, first: int, end: int, rate: int) -> None:
    """The bytes by sendfile, no faster than `rate` bytes a second; 0: no limit."""
    begun, at = time.monotonic(), first
    while at < end:
        most = min(end - at, int(rate * SLICE) or 1 << 24)
        at += os.sendfile(connection.fileno(), file, at, most)
        if rate:
            time.sleep(max(0.0, begun + (at - first) / rate - time.monotonic()))


@contextmanager
def serving(folder: Path, rate: int = 0, latency: float = 0.0) -> Iterator[str]:
    """The address of a running server."""
    words = [sys.executable, __file__, "--serve", str(folder), str(rate), str(latency)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


# ------------------------------------------------------------------ ours, a process of its own


def fetch(base: str, listing: Path, target: Path, connections: int) -> None:
    """Download every `name size sha256` of a listing as `fetch` does."""
    from dermdata.http import HttpClient, NetworkSettings
    from dermdata.model import Request

    def one(line: str) -> None:
        name, size, digest = line.split()
        request = Request(urls=(f"{base}/{name}",), size=int(size), checksum=f"sha256:{digest}")
        transfer.download(request, target / name)

    network = NetworkSettings(connections=connections, trust_env=False)
    with HttpClient(network) as transfer, ThreadPoolExecutor(connections) as pool:
        for _ in pool.map(one, listing.read_text().splitlines()):
            pass


def ours(base: str, listing: Path, target: Path, connections: int) -> list[str]:
    words = ["--fetch", base, str(listing), str(target), str(connections)]
    return [sys.executable, __file__, *words]


# ------------------------------------------------------------------ the three comparisons


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is compared: two ways to the same files, and the ratio that is allowed."""

    name: str
    what: str
    peer: str
    needs: tuple[str, ...]
    files: int
    size: int  # bytes of each
    connections: int
    most: float  # times the peer
    command: Callable[[str, Path, Path], list[str]]
    rate: int = 0
    latency: float = 0.0


def aria2c(base: str, listing: Path, target: Path, *words: str) -> list[str]:
    quiet = ["aria2c", "-q", "--file-allocation=none", "--no-conf", "-d", str(target)]
    urls = listing.with_suffix(".urls")
    urls.write_text("".join(f"{base}/{line.split()[0]}\n" for line in listing.read_text().splitlines()))
    return [*quiet, *words, "-i", str(urls)]


def curl(base: str, listing: Path, target: Path) -> list[str]:
    name = listing.read_text().split()[0]
    return ["sh", "-c", f"curl -sf -o {target / name} {base}/{name} && sha256sum {target / name} >/dev/null"]


def works(*, quick: bool) -> list[Work]:
    return [
        Work(
            name="limited", what="one file, 5 MB/s a connection", peer="aria2c -x4 -s4", needs=("aria2c",),
            files=1, size=(20 if quick else 100) * 1_000_000, connections=4, most=1.2, rate=RATE,
            command=lambda base, listing, target: aria2c(base, listing, target, "-x4", "-s4", "-k1M"),
        ),
        Work(
            name="unlimited", what="one file, no limit", peer="curl, then sha256sum",
            needs=("curl", "sha256sum"), files=1, size=(200 if quick else 1300) * 1_000_000, connections=4,
            most=0.7, command=curl,
        ),
        Work(
            name="small", what="small files, 30 ms latency", peer="aria2c -j16 -x1", needs=("aria2c",),
            files=1_000 if quick else 10_000, size=SMALL, connections=STREAMS, most=1.2, latency=LATENCY,
            command=lambda base, listing, target: aria2c(base, listing, target, f"-j{STREAMS}", "-x1"),
        ),
    ]  # fmt: skip


def prepared(work: Work, folder: Path) -> Path:
    """Random files, and the listing of them."""
    lines = []
    (folder / "served").mkdir(parents=True)
    for number in range(work.files):
        running, name = hashlib.sha256(), f"{number:05}.bin"
        with (folder / "served" / name).open("wb") as file:
            for at in range(0, work.size, 1 << 20):
                block = os.urandom(min(1 << 20, work.size - at))
                running.update(block)
                file.write(block)
        lines.append(f"{name} {work.size} {running.hexdigest()}\n")
    (folder / "listing").write_text("".join(lines))
    return folder / "listing"


def seconds(words: list[str], target: Path, files: int) -> float:
    """How long a command takes to fill an empty folder with so many files."""
    target.mkdir()
    begun = time.perf_counter()
    subprocess.run(words, check=True)
    took = time.perf_counter() - begun
    assert len(list(target.iterdir())) == files, f"{words[0]} did not bring every file"
    put_aside(target)
    return took


def measured(work: Work, folder: Path, rounds: int) -> str:
    """One row of the table."""
    listing, target = prepared(work, folder), folder / "target"
    times: tuple[list[float], list[float]] = ([], [])
    missing = [program for program in work.needs if shutil.which(program) is None]
    with serving(folder / "served", work.rate, work.latency) as base:
        for number in range(rounds):
            turns = [(0, ours(base, listing, target, work.connections))]
            if not missing:
                turns.append((1, work.command(base, listing, target)))
            for which, words in turns if number % 2 else turns[::-1]:
                times[which].append(seconds(words, target, work.files))
    mine = statistics.median(times[0])
    if missing:
        return f"| {work.what} | {mine:.2f} | - | - | left out: {missing[0]} is not installed |"
    theirs = statistics.median(times[1])
    spread = f"{min(times[0]):.2f}-{max(times[0]):.2f}, {min(times[1]):.2f}-{max(times[1]):.2f}"
    return (
        f"| {work.what} ({work.files:,} x {work.size / 1e6:g} MB) | {mine:.2f} | {work.peer}: {theirs:.2f} "
        f"| {spread} | {mine / theirs:.2f} | {work.most} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="Less data, one round.")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only", nargs="*", default=["limited", "unlimited", "small"])
    parser.add_argument("--folder", type=Path, help="Where the data are made for the time of the run.")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--fetch", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve(Path(asked.serve[0]), int(asked.serve[1]), float(asked.serve[2]))
    elif asked.fetch:
        fetch(asked.fetch[0], Path(asked.fetch[1]), Path(asked.fetch[2]), int(asked.fetch[3]))
    else:
        compare(asked)


def compare(asked: argparse.Namespace) -> None:
    rounds = asked.rounds or (1 if asked.quick else 3)
    print(f"Medians of {rounds} interleaved runs, whole processes, SHA-256 and fsync in ours.\n")
    print("| work | ours s | peer s | spread s: ours, peer | times the peer | allowed |")
    print("|---|---|---|---|---|---|")
    for work in works(quick=asked.quick):
        if work.name in asked.only:
            with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
                print(measured(work, Path(folder), rounds), flush=True)


if __name__ == "__main__":
    main()
