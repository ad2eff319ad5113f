"""Near duplicates: what is found of known copies, what is found wrongly, and how long it takes.

    python benchmarks/near_duplicates.py [--quick] [--others N] [--folder DIR]

Generated lesions (`lesions/`), 600 x 450, JPEG quality 95, and nine kinds of copies of the first 2,000. All hashes are
made of the same images (`--others 500`: other hashes, which take minutes, of the first 500 only: the fewer images,
the fewer wrong pairs, which is in their favor). For each the widest threshold is taken that makes at most one wrong
pair per 1,000 images. What is not installed is named as left out. Encoding is timed warm, with 2 workers.

Then the command by stage over 100,000 images that are put together of strips of 400 lesions (`spliced/`), and the join
alone over hashes that are made.
"""

import argparse
import importlib.util
import io
import math
import multiprocessing
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import spliced
from lesions import VARIANTS, jpeg, picture
from numpy.typing import NDArray
from PIL import Image
from stages import peak_memory, watched_command

from dermdata import audit, duplicates, images
from dermdata.crosswalks.extents import LabelComparer
from dermdata.progress import SilentProgress
from dermdata.projection import LabelStatements
from dermdata.vocabulary import parse_vocabulary

ROOT = Path(__file__).parents[1]
WORKERS, QUALITY = 2, 95
QUICK, FULL = (50_000,), (500_000, 1_000_000)  # hashes of the self-joins
JUDGED = FULL[-1]
PORTION = 100_000
JOIN_FORMS = (".1f", ".1f", ",", ".0f")
Goals = list[tuple[str, float, float]]  # what, measured, allowed
Hashes = NDArray[np.uint64]
Pool = type[ProcessPoolExecutor] | type[ThreadPoolExecutor]


# ------------------------------------------------------------------ pictures


def place(folder: Path, kind: str, seed: int) -> Path:
    return folder / kind.replace(" ", "-").replace("%", "percent") / f"{seed:06}.jpg"


def make(folder: Path, copies: int, seed: int) -> None:
    """One lesion's file, and its copies where wanted, made from the stored file."""
    base = place(folder, "base", seed)
    base.write_bytes(jpeg(picture(seed), QUALITY))
    if seed < copies:
        with Image.open(base) as stored:
            for kind, (how, quality) in VARIANTS.items():
                place(folder, kind, seed).write_bytes(jpeg(how(stored), quality))


def made(folder: Path, count: int, copies: int) -> None:
    for kind in ("base", *VARIANTS):
        place(folder, kind, 0).parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(WORKERS) as workers:
        list(workers.map(partial(make, folder, copies), range(count), chunksize=50))


# ------------------------------------------------------------------ ours


def seen(paths: Sequence[Path]) -> list[bytes | None]:
    with ThreadPoolExecutor(WORKERS) as threads:
        return [one.phash for one in threads.map(images.inspect_image, paths)]


def of(folder: Path, kind: str, number: int) -> Any:
    return images.read_raster(place(folder, kind, number))


def ours(folder: Path, copies: int) -> dict[str, list[float]]:
    """By hash alone and after verification: recall of each kind, then wrong pairs per 1,000 images."""
    hashes = {kind: seen([place(folder, kind, n) for n in range(copies)]) for kind in ("base", *VARIANTS)}
    alone, both = [], []
    for kind in VARIANTS:
        found = duplicates.find_near_pairs(hashes["base"], hashes[kind])
        kept = duplicates.verify_pairs(found, partial(of, folder, "base"), partial(of, folder, kind))
        alone.append(100 * float((found.i == found.j).sum()) / copies)
        both.append(100 * float((kept.i == kept.j).sum()) / copies)
    found = duplicates.find_near_pairs(hashes["base"])
    kept = duplicates.verify_pairs(found, partial(of, folder, "base"))
    alone.append(len(found) / copies * 1000)
    both.append(len(kept) / copies * 1000)
    return {
        f"dermdata, hash only (<= {duplicates.DEFAULT_RADIUS} bits)": alone,
        "**dermdata, verified**": both,
    }


# ------------------------------------------------------------------ others


def imagehash_of(name: str, path: Path) -> Any:
    import imagehash

    with Image.open(path) as image:
        return np.packbits(getattr(imagehash, name)(image).hash)[None]


def pdq(path: Path) -> Any:
    """The eight hashes of the turned image, which pdqhash gives together."""
    import pdqhash

    with Image.open(path) as image:
        return np.packbits(np.array(pdqhash.compute_dihedral(np.asarray(image.convert("RGB")))[0]), axis=1)


def imagededup_of(path: Path) -> Any:
    from imagededup.methods import PHash

    found = PHash(verbose=False).encode_image(str(path))
    return np.frombuffer(bytes.fromhex(found), np.uint8)[None]


OTHERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "imagehash phash": ("imagehash", partial(imagehash_of, "phash")),
    "imagehash dhash": ("imagehash", partial(imagehash_of, "dhash")),
    "pdqhash, 8 turns": ("pdqhash", pdq),
    "imagededup PHash": ("imagededup", imagededup_of),
}


def others() -> dict[str, Callable[[Path], Any]]:
    return {name: way for name, (module, way) in OTHERS.items() if importlib.util.find_spec(module)}


def encoded(way: Callable[[Path], Any], paths: Sequence[Path]) -> Any:
    with ProcessPoolExecutor(WORKERS) as workers:
        return np.array(list(workers.map(way, paths, chunksize=20)))


def apart(one: Any, turns: Any) -> Any:
    """Differing bits of each with each [n, m], the least of all turns."""
    views = np.unpackbits(turns, axis=2).astype(np.float32) * 2 - 1
    plain = np.unpackbits(one[:, 0], axis=1).astype(np.float32) * 2 - 1
    return np.min([(plain.shape[1] - plain @ views[:, turn].T) / 2 for turn in range(views.shape[1])], axis=0)


def theirs(way: Callable[[Path], Any], folder: Path, copies: int) -> tuple[int, list[float]]:
    """The widest threshold with one wrong pair per 1,000 images; recall of each kind, and the wrong pairs."""
    base = encoded(way, [place(folder, "base", n) for n in range(copies)])
    between = np.sort(apart(base, base)[np.triu_indices(copies, 1)])
    threshold = math.ceil(between[copies // 1000]) - 1
    found = []
    for kind in VARIANTS:
        turns = encoded(way, [place(folder, kind, n) for n in range(copies)])
        found.append(100 * float((np.diagonal(apart(base, turns)) <= threshold).mean()))
    return threshold, [*found, float((between <= threshold).sum()) / copies * 1000]


# ------------------------------------------------------------------ time


def limit(path: Path) -> None:
    """The least that finds a JPEG cut or whole: read it, decode an eighth of it in gray."""
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        image.draft("L", (1, 1))
        image.load()


def timed(way: Callable[[Path], Any], paths: Sequence[Path], pool: Pool) -> float:
    """Seconds, workers started and warm."""
    with pool(max_workers=WORKERS) as workers:
        list(workers.map(way, paths[:8]))
        start = time.perf_counter()
        list(workers.map(way, paths, chunksize=20))
        return time.perf_counter() - start


def times(paths: Sequence[Path], rounds: int) -> None:
    ways: dict[str, tuple[Callable[[Path], Any], Pool]] = {
        "limit: read + 1/8 gray decode": (limit, ProcessPoolExecutor),
        "dermdata look, threads": (images.inspect_image, ThreadPoolExecutor),
        "dermdata look, processes": (images.inspect_image, ProcessPoolExecutor),
        **{name: (way, ProcessPoolExecutor) for name, way in others().items()},
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):  # interleaved: the machine may be shared
        for name, (way, pool) in ways.items():
            taken[name].append(timed(way, paths, pool))
    medians = {name: statistics.median(one) / len(paths) * 1000 for name, one in taken.items()}
    rows = [
        [name, f"{one:.2f}", f"{one / next(iter(medians.values())):.2f}"] for name, one in medians.items()
    ]
    show(["encoding", "s per 1,000 images", "times the limit"], rows)


def whole(paths: Sequence[Path]) -> None:
    """Look, join and verify, as an audit does; none of these images is a copy."""
    start = time.perf_counter()
    hashes = seen(paths)
    looked = time.perf_counter()
    found = duplicates.find_near_pairs(hashes)
    joined = time.perf_counter()
    with ThreadPoolExecutor(WORKERS) as threads:
        kept = duplicates.verify_pairs(found, partial(numbered, paths), run=threads.map)
    done = time.perf_counter()
    spent = [f"{one:.1f}" for one in (looked - start, joined - looked, done - joined)]
    row = [f"{len(paths):,}", *spent, f"{len(found):,}", f"{len(kept) / len(paths) * 1000:.2f}"]
    show(["images", "look s", "join s", "verify s", "candidates", "wrong pairs per 1,000 images"], [row])


def audited(paths: Sequence[Path]) -> None:
    """The command's whole work on these images, nothing remembered, beside imagededup's encoding of them alone."""
    names = [path.stem for path in paths]
    table = pa.table(
        {"dataset": ["lesions"] * len(paths), "image_id": names, "path": [path.name for path in paths]}
    )
    tree = parse_vocabulary((ROOT / "catalog/vocabulary/concepts.tsv").read_text(encoding="utf-8"))
    roots = {"lesions": paths[0].parent}
    context = audit.AuditContext(statements=LabelStatements({}, tree), judge=LabelComparer(tree), roots=roots)
    rows = []
    for near in (False, True):
        start = time.perf_counter()
        audit.run_audit(table, context, audit.AuditOptions(near=near, jobs=WORKERS), SilentProgress())
        rows.append([f"dermdata audit{' --near' if near else ''}", f"{time.perf_counter() - start:.1f}"])
    if way := others().get("imagededup PHash"):
        rows.append(["imagededup PHash, encoding alone", f"{timed(way, paths, ProcessPoolExecutor):.1f}"])
    show([f"{len(paths):,} images", "s"], rows)


def numbered(paths: Sequence[Path], number: int) -> Any:
    return images.read_raster(paths[number])


# ------------------------------------------------------------------ many


def staged(folder: Path, count: int) -> Goals:
    """`audit --near --report` of so many images by stage, beside the least decode before and after it."""
    table, page = spliced.make(folder, count), folder / "report.html"
    paths = sorted(folder.glob("*/*.jpg"))
    words: list[str | Path] = [
        "--cache",
        folder / "cache",
        "-q",
        "audit",
        "--near",
        "--jobs",
        str(WORKERS),
        "--report",
        page,
        table,
    ]
    least = [least_decode(paths)]
    told = watched_command(words)
    least.append(least_decode(paths))
    rows = []
    for name, taken in told.stages.items():
        count_found = f"{told.counts[name]:,}" if name in told.counts else ""
        rows.append([name, *(f"{one:.1f}" for one in taken), count_found])
    whole = [f"{sum(one):.1f}" for one in zip(*told.stages.values(), strict=True)]
    limits = [statistics.mean(one) for one in zip(*least, strict=True)]
    rows.append(["**all of it**", *whole, ""])
    rows.append(["limit: read + 1/8 gray decode, 2 processes", *(f"{one:.1f}" for one in limits), ""])
    mean = statistics.mean(path.stat().st_size for path in paths) / 1000
    head = f"`audit --near --report`, {count:,} images of {mean:.0f} kB; peak {told.peak:.0f} MiB"
    show([head, "s", "CPU s", "things found"], rows)
    times = [taken / limit for taken, limit in zip(told.stages["look"], limits, strict=True)]
    return [
        (f"look / limit, {count:,} images: times, by seconds", times[0], 1.3),
        (f"look / limit, {count:,} images: times, by CPU", times[1], 1.3),
    ]


def least_decode(paths: Sequence[Path]) -> tuple[float, float]:
    """Seconds and processor time of the limit."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = timed(limit, paths, ProcessPoolExecutor)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def self_joins(hashes: Sequence[bytes | None], counts: Sequence[int]) -> Goals:
    """Each in a process of its own, whose peak it is."""
    rows: list[list[str]] = []
    goals: Goals = []
    for count in counts:
        for kind in ("random", "as the lesions'"):
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
                joined = process.submit(self_join, kind, hashes, count).result()
            rows.append(
                [
                    f"{count:,} {kind}",
                    *(f"{one:{form}}" for one, form in zip(joined, JOIN_FORMS, strict=True)),
                ]
            )
            if count == JUDGED:
                goals.append((f"self-join of {count:,} hashes {kind}: s", joined[0], 15))
                goals.append((f"self-join of {count:,} hashes {kind}: peak MiB", joined[3], 2_000))
    show(["self-join over 8 turns", "s", "CPU s", "pairs", "process's peak MiB"], rows)
    return goals


def self_join(kind: str, hashes: Sequence[bytes | None], count: int) -> tuple[float, float, int, float]:
    """Seconds, processor time, pairs and peak memory."""
    made = random_hashes(count) if kind == "random" else hashes_like(hashes, count)
    start, cpu = time.perf_counter(), time.process_time()
    found = duplicates.find_near_pairs(made, workers=WORKERS)
    return time.perf_counter() - start, time.process_time() - cpu, len(found), peak_memory()


def random_hashes(count: int) -> Hashes:
    return np.random.default_rng(1).integers(0, 2**64, count, np.uint64)


def hashes_like(hashes: Sequence[bytes | None], count: int) -> Hashes:
    """Hashes in which bits go together as in these; made in portions, which take less memory than the join."""
    rng = np.random.default_rng(1)
    bits = np.unpackbits(np.array([list(one) for one in hashes if one], np.uint8), axis=1).astype(float)
    spread = np.linalg.cholesky(np.corrcoef(bits.T) + 0.05 * np.eye(64))
    center = np.array([statistics.NormalDist().inv_cdf(float(one)) for one in bits.mean(0).clip(0.01, 0.99)])
    found = np.empty(count, np.uint64)
    for start in range(0, count, PORTION):
        some = found[start : start + PORTION]
        like = rng.standard_normal((len(some), 64)) @ spread.T + center > 0
        some[:] = np.packbits(like, axis=1).view(">u8")[:, 0]
    return found


def emptied(folder: Path) -> Path:
    """A folder in which nothing is: what an audit has seen would be remembered."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def judge(goals: Goals) -> None:
    rows = [
        [name, f"{found:,.2f}", f"{most:,g}", "yes" if found <= most else "no"] for name, found, most in goals
    ]
    show(["goal", "measured", "allowed", "met"], rows)


def show(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    for row in (head, ["---"] * len(head), *rows):
        print(f"| {' | '.join(row)} |")
    print(flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="Fewer images and hashes.")
    parser.add_argument("--folder", type=Path, help="Keep the pictures there, and use those that are.")
    parser.add_argument("--others", type=int, default=2_000, metavar="N", help="Images for other hashes.")
    asked = parser.parse_args()
    copies, count, many, hashes = (60, 400, 1_000, QUICK) if asked.quick else (2_000, 10_015, 100_000, FULL)
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        if not place(folder, "base", count - 1).exists():
            made(folder, count, copies)
        paths = [place(folder, "base", n) for n in range(count)]
        rows = ours(folder, copies)
        for name, way in others().items():
            threshold, found = theirs(way, folder, min(asked.others, copies))
            rows[f"{name} (<= {threshold} bits)"] = found
        head = [f"recall %, {copies:,} lesions", *VARIANTS, "wrong pairs per 1,000 images"]
        show(head, [[name, *(f"{one:.1f}" for one in row)] for name, row in rows.items()])
        times(paths[:1_000], 1 if asked.quick else 3)
        whole(paths)
        audited(paths)
        goals = staged(emptied(folder / "spliced"), many)
        judge(goals + self_joins(seen(paths[:copies]), hashes))
    if missing := dict.fromkeys(name for name, _ in OTHERS.values() if not importlib.util.find_spec(name)):
        print(f"Left out, not installed: {', '.join(missing)}.")


if __name__ == "__main__":
    main()
