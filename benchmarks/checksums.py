"""Every file of a cached dataset against its checksum: `dermdata verify` beside reading alone and what others do.

    python benchmarks/checksums.py [--quick] [--folder DIR]

JPEGs of HAM10000's number and size, generated, fetched into a cache once, in memory. mirdata's way: MD5 in one
thread, 4 KiB at a time, as its `validate` does; pooch's: SHA-256 in one thread, 64 KiB at a time, as its
`file_hash` does. These two are its few lines written here, so that neither needs to be installed.
"""

import argparse
import hashlib
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from madeup import NAME, fetch, make
from sidebyside import Goal, Way, apart, compare, dermdata, once, python
from transfer import serving

READING, MIRDATA, OURS = "reading alone, 2 threads", "mirdata's way (MD5, 1 thread)", "dermdata verify"


def paths_of(folder: Path) -> list[str]:
    """Every file below a folder, by os.walk: the list is no part of what is compared."""
    return [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names]  # noqa: PTH118


def read(path: str) -> None:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        buffer = bytearray(1 << 18)
        while file.readinto(buffer):
            pass


def hashed(path: str, how: str, size: int) -> str:
    running = hashlib.new(how)
    with open(path, "rb") as file:  # noqa: PTH123
        while chunk := file.read(size):
            running.update(chunk)
    return running.hexdigest()


def in_threads(one: Callable[[str], object], folder: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(one, paths_of(folder), chunksize=64):
            pass


def in_turn(one: Callable[[str], object], folder: Path) -> None:
    for path in paths_of(folder):
        one(path)


HANDS: dict[str, Callable[[Path], None]] = {
    READING: partial(in_threads, read),
    MIRDATA: partial(in_turn, lambda path: hashed(path, "md5", 4096)),
    "pooch's way (SHA-256, 1 thread)": partial(in_turn, lambda path: hashed(path, "sha256", 1 << 16)),
}


def ways(made: Path, options: list[str | Path]) -> list[Way]:
    shell = f"find {made} -type f -print0 | xargs -0 -P2 -n200 {{}} >/dev/null"
    return [
        *(Way(name=name, words=python(__file__, "--by", name, made)) for name in HANDS),
        *(
            Way(name=f"{one}, 2 processes", words=["sh", "-c", shell.format(one)], needs=(one.split()[0],))
            for one in ("sha256sum", "openssl dgst -sha256")
        ),
        Way(name=OURS, words=dermdata(*options, "verify", NAME)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="Fewer files, one round.")
    parser.add_argument("--folder", type=Path, help="Where the data are made for the time of the run.")
    parser.add_argument("--by", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.by:
        HANDS[asked.by[0]](Path(asked.by[1]))
        return
    count, rounds = (1_000, 1) if asked.quick else (10_015, 5)
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        made, cache = apart(make, Path(folder), count), Path(folder) / "cache"
        with serving(made.served) as base:
            once(Way(name="fetch", words=dermdata(*fetch(made, cache, base))))
        files = cache / "datasets" / NAME
        total = sum(os.stat(path).st_size for path in paths_of(files))  # noqa: PTH116
        print(f"{len(paths_of(files)):,} files, {total / 1e6:,.0f} MB.\n")
        options: list[str | Path] = ["--cache", cache, "--catalog", made.catalog, "--quiet"]
        goals = [Goal(way=OURS, base=READING, most=2.3), Goal(way=OURS, base=MIRDATA, most=0.3)]
        compare(ways(files, options), rounds, goals)


if __name__ == "__main__":
    main()
