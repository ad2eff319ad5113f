"""What an image file is, and whether it decodes: ours beside the least work and other libraries.

    python benchmarks/images.py [--quick] [--folder DIR]

Whole processes over generated JPEGs in memory, 600 x 450. Near duplicates, recall with speed: near_duplicates.py.
"""

import argparse
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

from madeup import files
from sidebyside import Goal, Way, apart, compare, python

LIMIT = "limit: read, 1/8 gray decode, 2 processes"
Pool = type[ProcessPoolExecutor] | type[ThreadPoolExecutor]
LOOK = "dermdata: header, decode check, perceptual hash, 2 threads"


def first_block(path: Path) -> None:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        file.read(4096)


def pillow_header(path: Path) -> None:
    from PIL import Image

    with Image.open(path) as image:
        assert image.size == (600, 450)


def imagesize_header(path: Path) -> None:
    import imagesize

    assert imagesize.get(path) == (600, 450)


def our_header(path: Path) -> None:
    from dermdata.images import check_image

    assert check_image(path, decode=False).width == 600


def eighth(path: Path) -> None:
    import io

    from PIL import Image

    with Image.open(io.BytesIO(path.read_bytes())) as image:
        image.draft("L", (1, 1))
        image.load()


def pillow_load(path: Path) -> None:
    from PIL import Image

    with Image.open(path) as image:
        image.load()


def our_look(path: Path) -> None:
    from dermdata.images import inspect_image

    assert inspect_image(path).problem is None


def imagehash_phash(path: Path) -> None:
    import imagehash
    from PIL import Image

    with Image.open(path) as image:
        imagehash.phash(image)


def put(folder: Path, count: int) -> None:
    for leaf, data in files(count):
        (folder / leaf).write_bytes(data)


def in_turn(one: Callable[[Path], None], paths: list[Path]) -> None:
    for path in paths:
        one(path)


def in_pool(one: Callable[[Path], None], paths: list[Path], *, pool: Pool) -> None:
    with pool(max_workers=2) as workers:
        list(workers.map(one, paths, chunksize=50))


threads, processes = partial(in_pool, pool=ThreadPoolExecutor), partial(in_pool, pool=ProcessPoolExecutor)
HEADERS = {
    "open, read 4 KiB": partial(in_turn, first_block),
    "imagesize": partial(in_turn, imagesize_header),
    "Pillow, header": partial(in_turn, pillow_header),
    "dermdata, header": partial(in_turn, our_header),
}
DECODES = {
    LIMIT: partial(processes, eighth),
    "Pillow, whole decode, 2 threads": partial(threads, pillow_load),
    "imagehash phash, 2 threads": partial(threads, imagehash_phash),
    LOOK: partial(threads, our_look),
}
NEEDS = {"imagesize": ("imagesize",), "imagehash phash, 2 threads": ("imagehash",)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="Fewer files, one round.")
    parser.add_argument("--folder", type=Path, help="Where the data are made for the time of the run.")
    parser.add_argument("--by", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.by:
        (HEADERS | DECODES)[asked.by[0]](sorted(Path(asked.by[1]).iterdir()))
        return
    count, rounds = (500, 1) if asked.quick else (5_000, 5)
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        apart(put, Path(name), count)
        print(f"{count:,} images.\n")
        for hands in (HEADERS, DECODES):
            ways = [
                Way(name=one, words=python(__file__, "--by", one, name), needs=NEEDS.get(one, ()))
                for one in hands
            ]
            compare(ways, rounds, [Goal(way=LOOK, base=LIMIT, most=1.3)])


if __name__ == "__main__":
    main()
