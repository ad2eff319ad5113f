"""A deflated zip of JPEGs onto the disk: ours beside `cp -r` of the same files and the programs that unpack.

    python benchmarks/unpacking.py [--quick] [--folder DIR]

Ours checks CRC and size, takes SHA-256 of each member and syncs every file and folder; "as fetch does" also reads
each image's header, decodes it and takes its perceptual hash. No other way here hashes or decodes, and only
`cp -r, then sync` syncs. The two limits are the least of the parts: the same files copied and on the disk, and the
smallest decode that sees all data of an unpacked JPEG (an eighth of its size, gray) on two processes.
"""

import argparse
import os
import tempfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from madeup import files, zipped
from sidebyside import Goal, Way, apart, compare, put_aside, python

if TYPE_CHECKING:
    from dermdata.model import ImageFacts

COPY, SYNCED, UNZIP = "cp -r", "limit: cp -r, then sync", "unzip"
DECODE = "limit: 1/8 gray decode, 2 processes"
OURS, FETCH = "dermdata: unpack, CRC, SHA-256, synced", "dermdata: as fetch does, images decoded"


def ours(archive: Path, out: Path, *, seen: bool) -> None:
    from dermdata.archive import extract

    out.mkdir()
    look = seeing() if seen else nothing_seen
    extract(archive, "zip", out, place=lambda name: name, jobs=os.cpu_count() or 1, look=look)


def seeing() -> "Callable[[bytes], ImageFacts | None]":
    from dermdata.fetching import ingest  # which imports what decodes

    return ingest.inspect_image


def nothing_seen(_: bytes) -> None:
    return None


def decoded(archive: Path, out: Path) -> None:
    """The images that lie unpacked beside the archive."""
    from concurrent.futures import ProcessPoolExecutor

    from images import eighth

    out.mkdir()
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(eighth, sorted((archive.parent / "plain").iterdir()), chunksize=50))


def filled(archive: Path, count: int) -> None:
    zipped(archive, files(count))


def extractall(archive: Path, out: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(out)


HANDS: dict[str, Callable[[Path, Path], None]] = {
    OURS: partial(ours, seen=False),
    FETCH: partial(ours, seen=True),
    DECODE: decoded,
    "zipfile.extractall": extractall,
}


def ways(archive: Path, plain: Path, out: Path) -> list[Way]:
    def empty() -> None:
        put_aside(out)
        os.sync()  # what was written before is not paid for by our fsync

    def made() -> None:
        empty()
        out.mkdir()

    def way(
        name: str, *words: str | Path, before: Callable[[], None] = empty, needs: tuple[str, ...] = ()
    ) -> Way:
        return Way(name=name, words=words, before=before, needs=needs)

    return [
        way(UNZIP, "unzip", "-q", archive, "-d", out, needs=("unzip",)),
        way(COPY, "cp", "-r", plain, out),
        way(SYNCED, "sh", "-c", 'cp -r "$1" "$2" && sync -f "$2"', "sh", plain, out),
        way("7z", "7z", "x", "-bso0", archive, f"-o{out}", needs=("7z",)),
        way("bsdtar", "bsdtar", "-xf", archive, "-C", out, before=made, needs=("bsdtar",)),
        *(way(name, *python(__file__, "--by", name, archive, out)) for name in HANDS),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="Fewer files, one round.")
    parser.add_argument("--folder", type=Path, help="Where the data are made for the time of the run.")
    parser.add_argument("--by", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.by:
        HANDS[asked.by[0]](Path(asked.by[1]), Path(asked.by[2]))
        return
    count, rounds = (500, 1) if asked.quick else (5_000, 5)
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        archive, plain = Path(folder) / "images.zip", Path(folder) / "plain"
        apart(filled, archive, count)
        extractall(archive, plain)
        print(f"{count:,} images, {archive.stat().st_size / 1e6:,.0f} MB.\n")
        goals = [Goal(way=FETCH, base=UNZIP, most=0.6), Goal(way=OURS, base=UNZIP, most=0.3)]
        compare(ways(archive, plain, Path(folder) / "out"), rounds, goals)


if __name__ == "__main__":
    main()
