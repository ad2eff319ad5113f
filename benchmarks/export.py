"""Exports of the same images beside `cp -r` and beside what the formats' own libraries do.

    python benchmarks/export.py [--quick]

Made-up JPEG-sized files of random bytes (no format here decodes them), an equal manifest row each. Every round
runs all ways once, in turn, each in a process of its own, on files that are in memory; what is written is synced
by our ways alone. `times cp` is the median of the rounds' ratios to `cp -r` in the same round. Peak: the process's largest
resident memory.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

KB = 1000


def images_of(folder: Path) -> list[Path]:
    return sorted((folder / "demo" / "images").iterdir())


def make(folder: Path, count: int, size: int) -> None:
    import hashlib
    import random

    import pyarrow as pa

    from dermdata.manifest import store
    from dermdata.manifest.schema import SCHEMA

    (folder / "demo" / "images").mkdir(parents=True)
    draw, rows = random.Random(1), []
    for number in range(count):
        data = b"\xff\xd8\xff" + draw.randbytes(size + draw.randrange(-size // 2, size // 2))
        name = f"ISIC_{number:07}"
        (folder / "demo" / "images" / f"{name}.jpg").write_bytes(data)
        rows.append(
            {"dataset": "demo", "image_id": name, "key": f"demo/{name}", "path": f"images/{name}.jpg",
             "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "format": "jpeg", "width": 600,
             "height": 450, "label_raw": "nv", "diagnosis": ("melanoma", "melanocytic-nevus")[number % 2],
             "age": 40.0, "sex": "female", "split": "train", "license": "CC0-1.0"}
        )  # fmt: skip
    store.write(
        pa.Table.from_pylist(rows, schema=SCHEMA), folder / "demo" / "manifest.parquet", {"dataset": "demo"}
    )


# ------------------------------------------------------------------ ways, each in a process of its own


def ours(form: str, **choices: object) -> Callable[[Path, Path], None]:
    def run(data: Path, out: Path) -> None:
        from dermdata import export
        from dermdata.manifest import store

        table = store.read(data / "demo" / "manifest.parquet")
        job = export.Job(
            table=table, roots={"demo": data / "demo"}, out=out, jobs=os.cpu_count() or 1, **choices
        )
        export.write(form, job)

    return run


def tar_writer(data: Path, out: Path) -> None:
    import webdataset

    from dermdata.manifest import store

    out.mkdir()
    rows = store.read(data / "demo" / "manifest.parquet").to_pylist()
    with webdataset.TarWriter(str(out / "train-000000.tar")) as writer:
        for row in rows:
            sample = {"__key__": row["image_id"], "jpg": (data / "demo" / row["path"]).read_bytes(), "cls": 1}
            kept = {key: value for key, value in row.items() if value is not None}
            writer.write({**sample, "json": json.dumps(kept).encode()})


def datasets_parquet(data: Path, out: Path) -> None:
    import datasets
    from datasets.table import embed_table_storage

    from dermdata.manifest import store

    out.mkdir()
    datasets.disable_progress_bars()
    rows = store.read(data / "demo" / "manifest.parquet").to_pylist()
    made = datasets.Dataset.from_dict(
        {
            "image": [str(data / "demo" / row["path"]) for row in rows],
            "label": [row["diagnosis"] for row in rows],
        }
    ).cast_column("image", datasets.Image())
    # a plain `to_parquet` of image files stores only their paths
    made = made.with_format("arrow").map(embed_table_storage, batched=True, batch_size=100).with_format(None)
    made.to_parquet(str(out / "train.parquet"))


def copy(data: Path, out: Path) -> None:
    subprocess.run(["cp", "-r", data / "demo" / "images", out], check=True)


WAYS: dict[str, Callable[[Path, Path], None]] = {
    "cp -r": copy,
    "webdataset.TarWriter": tar_writer,
    "dermdata webdataset": ours("webdataset"),
    "datasets, bytes embedded": datasets_parquet,
    "dermdata parquet --embed": ours("parquet", embed=True),
    "dermdata huggingface": ours("huggingface"),
    "dermdata imagefolder": ours("imagefolder"),
    "dermdata imagefolder --copy": ours("imagefolder", copy=True),
}


def child(way: str, data: Path, out: Path) -> None:
    """Imports first, so that only the work is timed."""
    import pyarrow.parquet

    import dermdata.export
    from dermdata.export import huggingface, imagefolder, parquet, webdataset

    del pyarrow, dermdata, huggingface, imagefolder, parquet, webdataset
    if way == "webdataset.TarWriter":
        __import__("webdataset")
    if way.startswith("datasets"):
        __import__("datasets")
    start = time.perf_counter()
    WAYS[way](data, out)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps([seconds, peak]))


def measured(way: str, data: Path, scratch: Path) -> tuple[float, int]:
    out = scratch / "out"
    environment = {**os.environ, "HF_HOME": str(scratch / "hf"), "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    words = [sys.executable, __file__, "--child", way, str(data), str(out)]
    done = subprocess.run(words, check=True, capture_output=True, text=True, env=environment)
    seconds, peak = json.loads(done.stdout.splitlines()[-1])
    shutil.rmtree(out)
    shutil.rmtree(scratch / "hf", ignore_errors=True)
    return seconds, peak


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="Fewer images and rounds.")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        way, data, out = asked.child
        child(way, Path(data), Path(out))
        return
    count, rounds = (2_000, 3) if asked.quick else (10_000, 5)
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        make(data, count, 60 * KB)
        times: dict[str, list[float]] = {way: [] for way in WAYS}
        peaks: dict[str, int] = dict.fromkeys(WAYS, 0)
        for _ in range(rounds):
            os.sync()
            for way in WAYS:
                seconds, peak = measured(way, data, Path(scratch))
                times[way].append(seconds)
                peaks[way] = max(peaks[way], peak)
    report(count, rounds, times, peaks)


def report(count: int, rounds: int, times: dict[str, list[float]], peaks: dict[str, int]) -> None:
    print(f"{count:,} images of 30-90 kB, {rounds} rounds\n")
    print("| way | median s | spread s | times cp | peak MB |")
    print("|---|---|---|---|---|")
    for way, found in times.items():
        ratio = statistics.median(one / base for one, base in zip(found, times["cp -r"], strict=True))
        spread = f"{min(found):.2f}-{max(found):.2f}"
        print(f"| {way} | {statistics.median(found):.2f} | {spread} | {ratio:.2f} | {peaks[way] / 1e6:.0f} |")


if __name__ == "__main__":
    main()
