"""The demo dataset, 120 images: each step of ours beside bare Python that reads and writes the same bytes.

    python benchmarks/small_work.py [--quick] [--folder DIR]

Whole processes. What is small takes start-up and little else, so a bare way imports the same pyarrow and what the
standard library has, and does no work: for `fetch` it takes the members out of the two zips, hashes and writes them,
and writes a manifest; for `split`, `export` and `stats` it reads the manifest with pyarrow and writes it; for `verify`
it takes SHA-256 of each file. pyarrow imports pandas where it is installed, and here it is; ours keep it from that.
mirdata's way is its MD5 in one thread, 4 KiB at a time.
"""

import argparse
import hashlib
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from checksums import hashed, paths_of
from sidebyside import Goal, Way, compare, dermdata, once, put_aside, python

DEMO = Path(__file__).parents[1] / "catalog/datasets/demo/files"
FETCH, TABLE, HASH = (
    "bare: unzip, hash, write Parquet",
    "bare: read and write Parquet",
    "bare: SHA-256 of each file",
)
READ = "bare: read Parquet"
MIRDATA, VERIFY = "mirdata's way (MD5, 1 thread)", "dermdata verify demo"
SPLIT, EXPORT, STATS = "dermdata split demo", "dermdata export parquet demo", "dermdata stats demo"
OURS = "dermdata fetch demo"


def manifest_of(cache: Path) -> Path:
    (found,) = cache.glob("datasets/demo/*/manifest.parquet")
    return found


def unpack(cache: Path, out: Path) -> None:
    import pyarrow.parquet as pq

    out.mkdir()
    for archive in sorted(DEMO.glob("*.zip")):
        with zipfile.ZipFile(archive) as opened:
            for name in opened.namelist():
                data = opened.read(name)
                hashlib.sha256(data).hexdigest()
                (out / f"{archive.stem}-{Path(name).name}").write_bytes(data)
    pq.write_table(pq.read_table(manifest_of(cache)), out / "manifest.parquet")


def rewrite(cache: Path, out: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(pq.read_table(manifest_of(cache)), out)


def read(cache: Path, _: Path) -> None:
    import pyarrow.parquet as pq

    pq.read_table(manifest_of(cache))


def hash_files(cache: Path, _: Path, how: str = "sha256", size: int = 1 << 18) -> None:
    for path in paths_of(cache / "datasets"):
        hashed(path, how, size)


BARE: dict[str, Callable[[Path, Path], None]] = {
    FETCH: unpack,
    READ: read,
    TABLE: rewrite,
    HASH: hash_files,
    MIRDATA: lambda cache, out: hash_files(cache, out, "md5", 4096),
}


def ways(folder: Path) -> list[Way]:
    cache, out, table = folder / "cache", folder / "out", folder / "out.parquet"

    def empty() -> None:
        for made in (out, table):
            put_aside(made)

    def unfetched() -> None:
        empty()
        put_aside(folder / "fetched" / "datasets")  # the catalog's index stays: it is made once

    def ours(name: str, *options: str | Path) -> Way:
        words = name.split()[1:]
        return Way(name=name, words=dermdata("--cache", cache, "-q", *words, *options), before=empty)

    fetch = dermdata("--cache", folder / "fetched", "-q", "fetch", "demo")
    return [
        *(Way(name=name, words=python(__file__, "--by", name, cache, out), before=empty) for name in BARE),
        Way(name=OURS, words=fetch, before=unfetched),
        ours(STATS),
        ours(SPLIT, "--output", table),
        ours(EXPORT, "--output", out),
        ours(VERIFY),
    ]


GOALS = (
    Goal(way=OURS, base=FETCH, most=2),
    Goal(way=STATS, base=READ, most=2),
    Goal(way=SPLIT, base=TABLE, most=2),
    Goal(way=EXPORT, base=TABLE, most=2),
    Goal(way=VERIFY, base=HASH, most=2),
    Goal(way=VERIFY, base=MIRDATA, most=1, why="0.05 s of ours is the start of a Typer program"),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="One round.")
    parser.add_argument("--folder", type=Path, help="Where the data are made for the time of the run.")
    parser.add_argument("--by", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.by:
        BARE[asked.by[0]](Path(asked.by[1]), Path(asked.by[2]))
        return
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        once(Way(name="fetch", words=dermdata("--cache", Path(folder) / "cache", "-q", "fetch", "demo")))
        compare(ways(Path(folder)), 1 if asked.quick else 11, GOALS)


if __name__ == "__main__":
    main()
