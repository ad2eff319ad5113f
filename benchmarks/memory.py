"""How seconds and memory grow with the rows of a manifest and with the number of images.

    python benchmarks/memory.py [--quick] [--only rows|images] [--rows N] [--images N] [--folder DIR]

Each figure is of a process of its own, `python -m dermdata …`: the smaller sizes run three times, the second largest
twice, the largest once (quick: all once); the median of the seconds, the highest peak. Rows: manifests without images,
written in streamed row groups. Images: JPEGs of 64 x 48 in two zips from a server on the loopback, each of its own
bytes, 20 kB of them a comment: an image that was kept would show. `base` is the peak with 100 rows or images. An exponent
is the slope of log(figure) over log(number), of memory above the base; `bytes each` is how much more the peak is for one
row or image more, between the two largest sizes. A million images are not made: what they would take is extrapolated
from the largest size by the exponent of the last step, and straight on.
"""

import argparse
import math
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from grown import dataset, image_bytes, manifest, row_bytes, shuffled_manifest
from madeup import NAME, Made, fetch
from sidebyside import Run, Way, apart, dermdata, once, put_aside
from transfer import serving

BASE = 100
# below these the first rows cost more than the others: buffers of a fixed size are not yet full
JUDGED = {"rows": 1_000_000, "images": 200_000}
ROWS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
IMAGES = (1_000, 10_000, 200_000)
MANY_IMAGES = 1_000_000  # for which memory is extrapolated
QUICK_ROWS, QUICK_IMAGES = 10_000, 2_000
SQL = "SELECT diagnosis, count(*) AS n, avg(age) AS age FROM images WHERE sex = 'female' GROUP BY ALL"
WHERE = "sex = 'female' AND age >= 50"
ALONE = "--allow-missing"  # no image is beside a manifest of these
Taken = dict[str, dict[int, list[Run]]]  # way -> size -> its runs


@dataclass(frozen=True)
class Allowance:
    """How many bytes of memory each row or image more may take, at most."""

    way: str
    most: int
    what: str  # is held of each


# set before anything was measured at the sizes that are judged; when they were set, commands held whole rows
ROW, IMAGE = 400, 1_000  # bytes: a row in memory; a row, and its path, name and digest as Python's text
ROW_ALLOWANCES = (
    Allowance("query", 20, "nothing: DuckDB reads three columns, in pieces"),
    Allowance("stats --by", 100, "four columns, two of them ids"),
    Allowance("select --where", ROW, "the columns that it decides by; the rest is written in pieces"),
    Allowance("select --where, in any order", ROW, "the same: only what is chosen is sorted"),
    Allowance("select, in any order", ROW, "the same of all rows: sorted a column at a time"),
    Allowance("split --by patient", ROW, "its group and part as numbers, one column of ids at a time"),
    Allowance("export csv", ROW, "a few columns; text is made in pieces"),
    Allowance("export parquet", ROW, "a few columns"),
)
IMAGE_ALLOWANCES = (
    Allowance("fetch", IMAGE, "its row, path, name and digest"),
    Allowance("audit", IMAGE, "its row, path, and what was seen"),
    *(
        Allowance(f"export {form}", IMAGE, "its row, path, name and digest")
        for form in ("webdataset", "parquet --embed", "imagefolder")
    ),
)


def of_rows(folder: Path, number: int) -> Iterator[Way]:
    """The commands that read a manifest alone; it is there while they are asked for."""
    table, out = folder / "manifest.parquet", folder / "out"
    apart(manifest, table, number)
    ours = maker(folder, out)
    yield ours("query", "query", SQL, table)
    yield ours("stats --by", "stats", "--by", "diagnosis,sex", table)
    yield ours("select --where", "select", "--where", WHERE, ALONE, "-o", out / "some.parquet", table)
    yield ours("split --by patient", "split", "--by", "patient", ALONE, "-o", out / "split.parquet", table)
    yield ours("export csv", "export", "csv", ALONE, "-o", out / "all.csv", table)
    yield ours("export parquet", "export", "parquet", ALONE, "-o", out / "all.parquet", table)
    apart(shuffled_manifest, table, number)
    yield ours(
        "select --where, in any order", "select", "--where", WHERE, ALONE, "-o", out / "some.parquet", table
    )
    yield ours("select, in any order", "select", ALONE, "-o", out / "sorted.parquet", table)


def of_images(folder: Path, number: int) -> Iterator[Way]:
    """`fetch` into an empty cache, then what reads the images there."""
    made, out = apart(dataset, folder, number), folder / "out"
    ours = maker(folder, out, made)
    with serving(made.served) as base:
        yield Way(name="fetch", words=dermdata(*fetch(made, folder / "cache", base)), before=empty(folder))
    for words in (["audit"], ["audit", "--near"]):
        yield replace(ours(" ".join(words), *words, NAME), before=unseen(folder))
    for form, *options in (("webdataset",), ("parquet", "--embed"), ("imagefolder",)):
        yield ours(" ".join(("export", form, *options)), "export", form, *options, "-o", out / form, NAME)


def maker(folder: Path, out: Path, made: Made | None = None) -> Callable[..., Way]:
    """Ways whose output is taken away before and after each run."""

    def gone() -> None:
        put_aside(out)
        out.mkdir()

    state = ["--cache", folder / "cache", "-q", *(("--catalog", made.catalog) if made else ())]
    return lambda name, *words: Way(name=name, words=dermdata(*state, *words), before=gone, after=gone)


def empty(folder: Path) -> Callable[[], None]:
    def done() -> None:
        put_aside(folder / "cache")
        os.sync()  # what was written before is not paid for by our fsync

    return done


def unseen(folder: Path) -> Callable[[], None]:
    """An audit remembers what it saw: each of these shall look for itself."""

    def done() -> None:
        for kind in ("looks", "alike"):
            for path in folder.glob(f"cache/datasets/*/*/{kind}-*"):
                path.unlink()

    return done


def measured(
    ways: Callable[[Path, int], Iterator[Way]], sizes: Sequence[int], scratch: Path | None, *, quick: bool
) -> Taken:
    """Every way at the base and at each size, the data of one size at a time on disk."""
    taken: Taken = {}
    for number, rounds in zip((BASE, *sizes), rounds_of(sizes, quick=quick), strict=True):
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            for way in ways(Path(folder), number):
                taken.setdefault(way.name, {})[number] = [once(way) for _ in range(rounds)]
    return taken


def rounds_of(sizes: Sequence[int], *, quick: bool) -> list[int]:
    """Of the base, then of each size."""
    return [1 if quick else min(3, left) for left in range(len(sizes) + 1, 0, -1)]


def seconds(runs: Sequence[Run]) -> float:
    return statistics.median(run.seconds for run in runs)


def peak(runs: Sequence[Run]) -> float:
    return max(run.peak for run in runs)


def exponent(first: tuple[int, float], last: tuple[int, float]) -> str:
    """The slope between two points in logarithms; a dash where nothing grew out of nothing."""
    (few, little), (many, much) = first, last
    return f"{math.log(much / little) / math.log(many / few):.2f}" if min(little, much) > 0 else "-"


def exponents(points: Mapping[int, float]) -> str:
    """Over all sizes, and between the two largest."""
    line = list(points.items())
    return f"{exponent(line[0], line[-1])} | {exponent(line[-2], line[-1])}"


def each(by_size: Mapping[int, Sequence[Run]]) -> float:
    """Bytes of the peak for one row or image more, between the two largest sizes."""
    (few, less), (many, more) = list(by_size.items())[-2:]
    return (peak(more) - peak(less)) * 1e6 / (many - few)


def show(taken: Taken, sizes: Sequence[int], what: str) -> None:
    heads = " | ".join(f"{size:,}" for size in sizes)
    rule = "|---" * (len(sizes) + 3)
    print(f"| seconds by {what} | {heads} | exponent | of the last step |\n{rule}|")
    for name, by_size in taken.items():
        points = {size: seconds(by_size[size]) for size in sizes}
        print(f"| {name} | {' | '.join(f'{one:.2f}' for one in points.values())} | {exponents(points)} |")
    print(
        f"\n| peak MB by {what} | base | {heads} | exponent | of the last step | bytes each |\n{rule}|---|---|"
    )
    for name, by_size in taken.items():
        base = peak(by_size[BASE])
        above = {size: peak(by_size[size]) - base for size in sizes}
        shown = " | ".join(f"{base + one:.0f}" for one in above.values())
        print(f"| {name} | {base:.0f} | {shown} | {exponents(above)} | {each(by_size):,.0f} |")
    print(flush=True)


def extrapolate(taken: Taken, sizes: Sequence[int], many: int, what: str) -> None:
    """The peak of so many: by the exponent between the two largest sizes, and straight on from the largest.

    An exponent below 1 may be a fixed part that is not yet small: the one is a low guess, the other a high one.
    """
    few, most = sizes[-2:]
    print(
        f"| measured at {most:,} and extrapolated by the exponent | exponent | MB at {many:,} {what} | bytes each "
        "| MB, straight on |\n|---|---|---|---|---|"
    )
    for name, by_size in taken.items():
        base = peak(by_size[BASE])
        less, more = peak(by_size[few]) - base, peak(by_size[most]) - base
        straight = f"{base + more + each(by_size) * (many - most) / 1e6:,.0f}"
        if min(less, more) <= 0:
            print(f"| {name} | - | - | - | {straight} |")
            continue
        slope = math.log(more / less) / math.log(most / few)
        above = more * (many / most) ** slope
        print(f"| {name} | {slope:.2f} | {base + above:,.0f} | {above * 1e6 / many:,.0f} | {straight} |")
    print(flush=True)


def judge(taken: Taken, sizes: Sequence[int], what: str, allowed: Sequence[Allowance]) -> None:
    """Each allowance with what was measured, and how many times the smallest size's peak the largest's is."""
    few, many = sizes[0], sizes[-1]
    print(
        f"| goal | peak at {many:,} / at {few:,} {what} | bytes each | allowed | met |\n|---|---|---|---|---|"
    )
    for one in allowed:
        by_size = taken[one.way]
        times, found = peak(by_size[many]) / peak(by_size[few]), each(by_size)
        met = "yes" if found <= one.most else "no"
        print(f"| {one.way}: {one.what} | {times:.2f} | {found:,.0f} | {one.most:,} | {met} |")
    print(flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"Up to {QUICK_ROWS:,} rows and {QUICK_IMAGES:,} images."
    )
    parser.add_argument("--only", choices=JUDGED, help="One of the two parts.")
    parser.add_argument("--rows", type=int, default=ROWS[-1], metavar="N", help="At most so many rows.")
    parser.add_argument("--images", type=int, default=IMAGES[-1], metavar="N", help="At most so many images.")
    parser.add_argument("--folder", type=Path, help="Where the data are made for the time of the run.")
    asked = parser.parse_args()
    rows = [one for one in ROWS if one <= (QUICK_ROWS if asked.quick else asked.rows)]
    images = [1_000, QUICK_IMAGES] if asked.quick else [one for one in IMAGES if one <= asked.images]
    if min(len(rows), len(images)) < 2:
        parser.error("growth needs two sizes: at least 10,000 rows and images")
    print(f"A row is {apart(row_bytes):,.0f} bytes in memory, an image {apart(image_bytes):,.0f} on disk.\n")
    for ways, sizes, what, allowed in (
        (of_rows, rows, "rows", ROW_ALLOWANCES),
        (of_images, images, "images", IMAGE_ALLOWANCES),
    ):
        if asked.only not in (None, what):
            continue
        taken = measured(ways, sizes, asked.folder, quick=asked.quick)
        show(taken, sizes, what)
        if sizes[-1] >= JUDGED[what]:
            judge(taken, sizes, what, allowed)
            if what == "images":
                extrapolate(taken, sizes, MANY_IMAGES, what)


if __name__ == "__main__":
    main()
