"""From a server to a table of rows and checked images: `dermdata fetch` beside the commands that people chain.

    python benchmarks/whole_way.py [--quick] [--folder DIR]

The dataset is of HAM10000's shape (two zips of JPEGs and a CSV, generated), the server on the loopback. Ours:
download, SHA-256, unpack, CRC, SHA-256, decode check and perceptual hash of each image, harmonized manifest, all of
it synced. The chain: aria2c -x4, then sha256sum -c, then unzip, then a pandas script that joins the CSV with the
sizes of the images: no decode check, no checksum of an image, nothing synced.
"""

import argparse
import os
import shutil
import tempfile
from pathlib import Path

from madeup import fetch, make
from sidebyside import Goal, Way, apart, compare, dermdata, python
from transfer import serving

FILES = ("part_1.zip", "part_2.zip", "table.csv", "SHA256SUMS")
OURS, CHAIN = "dermdata fetch", "aria2c, sha256sum, unzip, pandas"


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


def rows_of(manifest: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(manifest).num_rows)


def chain(base: str, out: Path) -> list[str]:
    urls = " ".join(f"{base}/{name}" for name in FILES)
    steps = [
        f"cd {out}",
        f"aria2c -q -x4 -s4 -Z --no-conf --file-allocation=none {urls}",
        "sha256sum -c --quiet SHA256SUMS",
        "unzip -q part_1.zip -d images",
        "unzip -q part_2.zip -d images",
        " ".join(map(str, python(__file__, "--script", "."))),
    ]
    return ["sh", "-c", " && ".join(steps)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="Fewer images, 3 rounds.")
    parser.add_argument("--folder", type=Path, help="Where the data are made for the time of the run.")
    parser.add_argument("--script", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.script:
        script(asked.script)
        return
    count, rounds = (500, 3) if asked.quick else (10_015, 5)
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        made, out = apart(make, Path(folder), count), Path(folder) / "out"

        def empty() -> None:
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            os.sync()  # what was written before is not paid for by our fsync

        def whole() -> None:
            (found,) = out.glob("**/manifest.parquet")
            assert apart(rows_of, found) == count
            shutil.rmtree(out)

        with serving(made.served) as base:
            peers = ("aria2c", "sha256sum", "unzip", "pandas")
            ways = [
                Way(name=CHAIN, words=chain(base, out), needs=peers, before=empty, after=whole),
                Way(name=OURS, words=dermdata(*fetch(made, out, base)), before=empty, after=whole),
            ]
            print(
                f"{count:,} images, {sum(path.stat().st_size for path in made.served.iterdir()) / 1e6:,.0f} MB.\n"
            )
            compare(ways, rounds, [Goal(way=OURS, base=CHAIN, most=0.7)])


if __name__ == "__main__":
    main()
