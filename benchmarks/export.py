"""Exports of the same images beside `cp -r` and beside what the formats' own libraries do.

    python benchmarks/export.py [--quick] [--folder DIR]

Made-up files of HAM10000's size, random bytes behind a JPEG's first three (no way here decodes them), a manifest row
each. Whole processes on files that are in memory. What ours write is synced; of the others only `cp -r, then sync`
is: the least that the same bytes cost once they are on the disk.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from sidebyside import Goal, Way, apart, compare, dermdata, put_aside, python

SIZE = 150_000  # mean bytes of an image
COPY, SYNCED = "cp -r", "cp -r, then sync"
TAR, DATASETS = "webdataset.TarWriter", "datasets, bytes embedded"
SHARDS, PARQUET = "dermdata webdataset", "dermdata parquet --embed"


def make(folder: Path, count: int) -> None:
    import hashlib
    from random import Random

    import pyarrow as pa

    from dermdata.manifest.parquet import write_manifest
    from dermdata.manifest.schema import SCHEMA

    (folder / "images").mkdir(parents=True)
    draw, rows = Random(1), []
    for number in range(count):
        data = b"\xff\xd8\xff" + draw.randbytes(SIZE + draw.randrange(-SIZE // 2, SIZE // 2))
        name = f"ISIC_{number:07}"
        (folder / "images" / f"{name}.jpg").write_bytes(data)
        rows.append(
            {"dataset": "demo", "image_id": name, "key": f"demo/{name}",
             "path": str(folder / "images" / f"{name}.jpg"),
             "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "format": "jpeg", "width": 600,
             "height": 450, "label_raw": "nv", "diagnosis": ("melanoma", "melanocytic-nevus")[number % 2],
             "age": 40.0, "sex": "female", "split": "train", "license": "CC0-1.0"}
        )  # fmt: skip
    write_manifest(
        pa.Table.from_pylist(rows, schema=SCHEMA), folder / "manifest.parquet", {"dataset": "demo"}
    )


def tar_writer(data: Path, out: Path) -> None:
    import webdataset

    from dermdata.manifest.parquet import read_manifest

    out.mkdir()
    rows = read_manifest(data / "manifest.parquet").to_pylist()
    with webdataset.TarWriter(str(out / "train-000000.tar")) as writer:
        for row in rows:
            sample = {"__key__": row["image_id"], "jpg": Path(row["path"]).read_bytes(), "cls": 1}
            kept = {key: value for key, value in row.items() if value is not None}
            writer.write({**sample, "json": json.dumps(kept).encode()})


def datasets_parquet(data: Path, out: Path) -> None:
    import datasets
    from datasets.table import embed_table_storage

    from dermdata.manifest.parquet import read_manifest

    out.mkdir()
    datasets.disable_progress_bars()
    rows = read_manifest(data / "manifest.parquet").to_pylist()
    made = datasets.Dataset.from_dict(
        {"image": [row["path"] for row in rows], "label": [row["diagnosis"] for row in rows]}
    ).cast_column("image", datasets.Image())
    # a plain `to_parquet` of image files stores only their paths
    made = made.with_format("arrow").map(embed_table_storage, batched=True, batch_size=100).with_format(None)
    made.to_parquet(str(out / "train.parquet"))


HANDS: dict[str, Callable[[Path, Path], None]] = {TAR: tar_writer, DATASETS: datasets_parquet}
NEEDS = {TAR: ("webdataset",), DATASETS: ("datasets",)}


def ways(data: Path, scratch: Path) -> list[Way]:
    out, hub = scratch / "out", scratch / "hf"
    alone = {"HF_HOME": str(hub), "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}

    def gone() -> None:
        for folder in (out, hub):
            put_aside(folder)

    def way(name: str, *words: str | Path) -> Way:
        return Way(
            name=name, words=words, before=gone, after=gone, needs=NEEDS.get(name, ()), environment=alone
        )

    def ours(name: str) -> Way:
        _, form, *options = name.split()
        table = data / "manifest.parquet"
        return way(
            name, *dermdata("--cache", scratch / "cache", "-q", "export", form, *options, "-o", out, table)
        )

    copy: list[str | Path] = ["cp", "-r", data / "images", out]
    return [
        way(COPY, *copy),
        way(SYNCED, "sh", "-c", '"$@" && sync -f "$4"', "sh", *copy),
        *(way(name, *python(__file__, "--by", name, data, out)) for name in HANDS),
        *map(
            ours,
            (SHARDS, PARQUET, "dermdata huggingface", "dermdata imagefolder", "dermdata imagefolder --copy"),
        ),
    ]


GOALS = (
    Goal(way=SHARDS, base=COPY, most=1.3),
    Goal(way=SHARDS, base=TAR, most=0.5),
    Goal(way=PARQUET, base=COPY, most=2.2),
    Goal(way=PARQUET, base=DATASETS, most=0.2),
    Goal(way=SHARDS, base=SYNCED, most=1.3),
    Goal(way=PARQUET, base=SYNCED, most=2.2),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="Fewer images, one round.")
    parser.add_argument("--folder", type=Path, help="Where the data are made for the time of the run.")
    parser.add_argument("--by", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.by:
        HANDS[asked.by[0]](Path(asked.by[1]), Path(asked.by[2]))
        return
    count, rounds = (500, 1) if asked.quick else (10_000, 3)
    with tempfile.TemporaryDirectory(dir=asked.folder) as scratch:
        data = Path(scratch) / "cache" / "datasets" / "demo" / "1.0"  # where links are made, not copies
        apart(make, data, count)
        print(f"{count:,} images, {count * SIZE / 1e6:,.0f} MB.\n")
        compare(ways(data, Path(scratch)), rounds, GOALS)


if __name__ == "__main__":
    main()
