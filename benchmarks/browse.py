"""`dermdata browse`: 400,000 rows opened, 100,000 pictures behind them, a screen of 100 thumbnails in a real browser.

    python benchmarks/browse.py [--rows 400000] [--pictures 100000] [--quick]

The pictures are 600 x 450 JPEGs of HAM10000's mean size, hard links of DRAWN files: reading them is reading from memory,
decoding them is decoding them. Memory is the process's peak, libraries included.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from lesions import jpeg, picture

DRAWN, LINKS = 60, 30_000  # a file has so many names at most
SCREEN = 100
FEATURES = 27  # columns of the predictions that are not read
PAGE = """
import resource, sys, time
start = time.perf_counter()
from dermdata.api.browsing import BrowseRequest, serve_page
from dermdata.api.session import open_session
from dermdata.unused_imports import hide_unused
hide_unused()
from dermdata.api.manifest import Manifest
manifest = Manifest.from_targets(open_session(cache=sys.argv[2])._resources, [sys.argv[1]])
from pathlib import Path
more = {"predictions": sys.argv[4], "labels": "malignancy"} if len(sys.argv) > 4 else {}
server = serve_page(manifest._resources, manifest, BrowseRequest(exclusions=Path(sys.argv[3]), **more))
server.start()
def memory():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1]) / 1024
print(server.address, time.perf_counter() - start, memory(), flush=True)
sys.stdin.readline()
print(memory(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)
server.stop()
"""


FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
    "--no-first-run", "--disable-component-update", "--window-size=1280,900",
)  # fmt: skip
# milliseconds until so many thumbnails from a row on are decoded in the page
THUMBNAILS = """
const [first, count, done] = arguments, start = performance.now();
const one = (row) => { const shown = new Image(); shown.src = `/thumb/${row}?v=bench`; return shown.decode(); };
Promise.all(Array.from({length: count}, (_, place) => one(first + place))).then(() => done(performance.now() - start));
"""


def make_pictures(folder: Path, count: int) -> list[str]:
    """So many names of JPEGs."""
    folder.mkdir()
    drawn = []
    for number in range(DRAWN):
        path = folder / f"drawn{number}.jpg"
        path.write_bytes(jpeg(picture(number), 95))
        drawn.append(path)
    names = [f"p{number:06}.jpg" for number in range(count)]
    for number, name in enumerate(names):
        os.link(drawn[number % DRAWN], folder / name)
    return [f"pictures/{name}" for name in names]


def make_manifest(path: Path, rows: int, pictures: list[str]) -> None:
    """A manifest of HAM10000's shape."""
    random = np.random.default_rng(1)
    words = ["melanocytic-nevus", "melanoma", "basal-cell-carcinoma", "benign-keratosis", "dermatofibroma"]
    names = {"melanocytic-nevus": "Melanocytic nevus", "melanoma": "Melanoma"}
    chosen = [words[one] for one in random.choice(5, rows, p=[0.67, 0.12, 0.1, 0.09, 0.02])]
    ids = [f"ISIC_{number:07}" for number in range(rows)]
    lesions = random.integers(0, rows // 2, rows)
    table = pa.table(
        {
            "dataset": pa.array(["made"] * rows).dictionary_encode(),
            "image_id": ids,
            "key": [f"made/{one}" for one in ids],
            "isic_id": ids,
            "path": [pictures[number] if number < len(pictures) else None for number in range(rows)],
            "sha256": [f"{number:064x}" for number in range(rows)],
            "width": pa.array(np.full(rows, 600, np.int32)),
            "height": pa.array(np.full(rows, 450, np.int32)),
            "phash": pa.array([one.tobytes() for one in random.integers(0, 2**63, rows)], pa.binary(8)),
            "modality": pa.array(["dermoscopic"] * rows).dictionary_encode(),
            "patient_id": [f"made/P{one // 3}" for one in lesions],
            "lesion_id": [f"made/L{one}" for one in lesions],
            "label_raw": chosen,
            "diagnosis": pa.array(chosen).dictionary_encode(),
            "diagnosis_name": [names.get(one, one) for one in chosen],
            "age": pa.array(random.integers(1, 18, rows).astype(np.float32) * 5),
            "sex": pa.array(random.choice(["female", "male"], rows)).dictionary_encode(),
            "fitzpatrick": pa.array(random.integers(1, 7, rows).astype(np.int8)),
            "split": pa.array(
                random.choice(["train", "val", "test"], rows, p=[0.7, 0.15, 0.15])
            ).dictionary_encode(),
            "license": pa.array(["CC-BY-4.0"] * rows).dictionary_encode(),
        }
    )
    pq.write_table(table, path)


def make_predictions(path: Path, rows: int) -> None:
    """A model's predictions of all rows, with as many columns of features beside them as some tools write."""
    random = np.random.default_rng(2)
    malignant = random.random(rows).round(6)
    columns = {
        "key": [f"made/ISIC_{number:07}" for number in range(rows)],
        "benign": 1 - malignant,
        "malignant": malignant,
    }
    features = {f"feature_{number}": random.random(rows).round(6) for number in range(FEATURES)}
    pq.write_table(pa.table(columns | features), path)


def open_with_predictions(words: list[str]) -> tuple[float, float, float]:
    """Seconds until it answers, and the memory of the process then and at most, MB."""
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        _, opened, held = process.stdout.readline().split()
        process.stdin.write("\n")
        process.stdin.flush()
        _, most = process.stdout.readline().split()
    return float(opened), float(held), float(most)


def time_queries(address: str) -> dict[str, float]:
    """Seconds of the page's questions."""
    found = {}
    with httpx.Client(follow_redirects=True, timeout=60) as client:
        client.get(address)
        home = address.partition("/?")[0]
        asked = {
            "facets counted anew": ("facets", {"filters": json.dumps({"sex": ["female"]})}),
            "a tick in the tree": (
                "facets",
                {"filters": json.dumps({"diagnosis": ["melanoma"], "sex": ["male"]})},
            ),
            "where age > 60": ("rows", {"where": "age > 60"}),
            "sorted by age, a page": ("rows", {"sort": "-age", "start": "20000"}),
            "grouped by lesion": ("rows", {"group": "lesion"}),
            "one picture, near duplicates": ("picture/17", {}),
        }
        for name, (path, parameters) in asked.items():
            start = time.perf_counter()
            answer = client.get(f"{home}/api/{path}", params=parameters)
            assert answer.status_code == 200, answer.text
            found[name] = time.perf_counter() - start
    return found


def scroll_in_browser(address: str) -> dict[str, float]:
    """A real browser: until the first screen is painted, and how often a tile had no picture while it scrolls."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    profile = tempfile.mkdtemp()
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_script_timeout(60)
    try:
        start = time.perf_counter()
        driver.get(address)
        ready = (
            "const tiles = [...document.querySelectorAll('#tiles .tile')]"
            ".filter(one => one.getBoundingClientRect().top < innerHeight);"
            " return tiles.length > 10 && tiles.every(one => one.querySelector('img')?.complete)"
        )
        while not driver.execute_script(ready):
            time.sleep(0.005)
        painted = time.perf_counter() - start
        script = """
            const done = arguments[0], grid = document.getElementById('grid');
            let frames = 0, missing = 0, seen = 0, empty = 0, slowest = 0, last = performance.now();
            const step = () => {
              const now = performance.now(); slowest = Math.max(slowest, now - last); last = now;
              frames += 1; grid.scrollTop += 40;
              let gap = 0;
              for (const tile of document.querySelectorAll('#tiles .tile')) {
                const at = tile.getBoundingClientRect();
                if (at.bottom < 140 || at.top > innerHeight) continue;
                seen += 1;
                if (!tile.querySelector('img')?.complete) { missing += 1; gap = 1; }
              }
              empty += gap;
              if (frames < 300) requestAnimationFrame(step); else done({frames, missing, seen, empty, slowest});
            };
            requestAnimationFrame(step);
        """
        told = driver.execute_async_script(script)
        screens = [
            driver.execute_async_script(THUMBNAILS, 2_000 + SCREEN * (turn // 2), SCREEN)
            for turn in range(16)
        ]
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)
    cold, warm = statistics.median(screens[::2]), statistics.median(screens[1::2])
    return {"painted": painted, "cold": cold / 1000, "warm": warm / 1000, **told}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--quick", action="store_true", help="little data, for orientation")
    asked = parser.parse_args()
    if asked.quick:
        asked.rows, asked.pictures = 40_000, 5_000
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_manifest(folder / "many.parquet", asked.rows, make_pictures(folder / "pictures", asked.pictures))
        words = [
            sys.executable,
            "-c",
            PAGE,
            str(folder / "many.parquet"),
            str(folder / "cache"),
            str(folder / "x.tsv"),
        ]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin
            assert process.stdout
            address, opened, held = process.stdout.readline().split()
            seen = scroll_in_browser(address)
            queries = time_queries(address)
            process.stdin.write("\n")
            process.stdin.flush()
            later, most = map(float, process.stdout.readline().split())
        make_predictions(folder / "predictions.parquet", asked.rows)
        judged = open_with_predictions([*words, str(folder / "predictions.parquet")])
    print(f"{asked.rows:,} rows, {asked.pictures:,} pictures, {os.cpu_count()} cores\n")
    print("| | measured | goal |\n|---|---|---|")
    print(f"| opened until it answers, s | {float(opened):.2f} | 2 |")
    print(f"| memory of the process when it is open, MB | {float(held):.0f} | 400 |")
    print(f"| after all questions below; the most at any time, MB | {later:.0f}; {most:.0f} | |")
    print(
        f"| opened with predictions of {FEATURES + 3} columns, s; memory then and at most, MB "
        f"| {judged[0]:.2f}; {judged[1]:.0f}, {judged[2]:.0f} | |"
    )
    print(f"| {SCREEN} thumbnails, first time, s | {seen['cold']:.2f} | 0.5 |")
    print(f"| {SCREEN} thumbnails, again, s | {seen['warm']:.2f} | 0.1 |")
    print(f"| Chromium: page until all tiles on the screen have their picture, s | {seen['painted']:.2f} | |")
    print(
        f"| Chromium: frames of {seen['frames']} with a tile that has no picture yet, 40 px a frame | {seen['empty']} | 0 |"
    )
    print(f"| Chromium: slowest frame, ms | {seen['slowest']:.0f} | |")
    for name, seconds in queries.items():
        print(f"| {name}, s | {seconds:.3f} | |")


if __name__ == "__main__":
    main()
