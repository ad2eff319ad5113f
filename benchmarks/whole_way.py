"""From a server to a table of rows and checked images: `dermdata fetch` beside the commands that people chain.

    python benchmarks/whole_way.py [--quick] [--folder DIR]

The dataset is of HAM10000's shape (two zips of JPEGs and a CSV, generated), the server on the loopback. Ours:
download, SHA-256, unpack, CRC, SHA-256, decode check and perceptual hash of each image, harmonized manifest, all of
it synced. The chain: aria2c -x4, then sha256sum -c, then unzip, then a pandas script that joins the CSV with the
sizes of the images: no decode check, no checksum of an image, nothing synced. The limit is the least program that
does what ours does, on two processes: aria2c, sha256sum, then of each member inflating, CRC, SHA-256, the smallest
decode that sees all data (an eighth of its size, gray) and writing, and a sync; no perceptual hash and no table.
"""

import argparse
import hashlib
import io
import os
import tempfile
import zipfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from madeup import fetch, make
from sidebyside import Goal, Way, apart, compare, dermdata, put_aside, python
from transfer import serving

ZIPS = ("part_1.zip", "part_2.zip")
FILES = (*ZIPS, "table.csv", "SHA256SUMS")
OURS, CHAIN = "dermdata fetch", "aria2c, sha256sum, unzip, pandas"
LIMIT = "limit: aria2c, sha256sum, inflate, hash, 1/8 gray decode, write, sync"


def script(folder: Path) -> None:
    """What people write after unzip."""
    import pandas as pd
    from PIL import Image

    rows = pd.read_csv(folder / "table.csv")
    sizes = []
    for path in sorted((folder / "images").iterdir()):
        with Image.open(path) as image:
            sizes.append((path.stem, *image.size, path.stat().st_size))
    facts = pd.DataFrame(sizes, columns=["image_id", "width", "height", "bytes"])
    rows.merge(facts, on="image_id", validate="1:1").to_parquet(folder / "manifest.parquet")


def least(folder: Path) -> None:
    """What no program that checks every image can do without, a process for each half of each zip."""
    (folder / "images").mkdir()
    with ProcessPoolExecutor(2) as pool:
        for archive in ZIPS:
            list(pool.map(partial(least_of, folder, archive), (0, 1)))
    os.sync()


def least_of(folder: Path, archive: str, half: int) -> list[str]:
    from PIL import Image

    digests = []
    with zipfile.ZipFile(folder / archive) as opened:
        for name in opened.namelist()[half::2]:
            data = opened.read(name)
            digests.append(hashlib.sha256(data).hexdigest())
            with Image.open(io.BytesIO(data)) as image:
                image.draft("L", (1, 1))
                image.load()
            (folder / "images" / name).write_bytes(data)
    return digests


def rows_of(manifest: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(manifest).num_rows)


def download(base: str, out: Path) -> list[str]:
    urls = " ".join(f"{base}/{name}" for name in FILES)
    return [
        f"cd {out}",
        f"aria2c -q -x4 -s4 -Z --no-conf --file-allocation=none {urls}",
        "sha256sum -c --quiet SHA256SUMS",
    ]


def shell(*steps: str) -> list[str]:
    return ["sh", "-c", " && ".join(steps)]


def chain(base: str, out: Path) -> list[str]:
    unzips = [f"unzip -q {name} -d images" for name in ZIPS]
    return shell(*download(base, out), *unzips, " ".join(map(str, python(__file__, "--script", "."))))


def limit(base: str, out: Path) -> list[str]:
    return shell(*download(base, out), " ".join(map(str, python(__file__, "--least", "."))))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="Fewer images, one round.")
    parser.add_argument("--folder", type=Path, help="Where the data are made for the time of the run.")
    parser.add_argument("--script", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--least", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.script:
        script(asked.script)
        return
    if asked.least:
        least(asked.least)
        return
    count, rounds = (500, 1) if asked.quick else (10_015, 3)
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        made, out = apart(make, Path(folder), count), Path(folder) / "out"

        def empty() -> None:
            put_aside(out)
            out.mkdir()
            os.sync()  # what was written before is not paid for by our fsync

        def whole() -> None:
            (found,) = out.glob("**/manifest.parquet")
            assert apart(rows_of, found) == count

        def written() -> None:
            assert len(list((out / "images").iterdir())) == count

        with serving(made.served) as base:
            peers = ("aria2c", "sha256sum", "unzip", "pandas")
            ways = [
                Way(name=CHAIN, words=chain(base, out), needs=peers, before=empty, after=whole),
                Way(name=OURS, words=dermdata(*fetch(made, out, base)), before=empty, after=whole),
                Way(name=LIMIT, words=limit(base, out), needs=("aria2c",), before=empty, after=written),
            ]
            print(
                f"{count:,} images, {sum(path.stat().st_size for path in made.served.iterdir()) / 1e6:,.0f} MB.\n"
            )
            compare(
                ways, rounds, [Goal(way=OURS, base=CHAIN, most=0.7), Goal(way=OURS, base=LIMIT, most=1.3)]
            )


if __name__ == "__main__":
    main()
