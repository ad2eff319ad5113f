"""Any number of different photo-like JPEGs in little time: strips of few drawn lesions laid under each other.

With a restart marker after so many rows of blocks, a JPEG's data fall apart into strips that decode alone, and the strips
of files with the same tables can be exchanged as bytes. Each picture takes each strip of another lesion, so no two have
the same pixels, and few share more than one strip.
"""

import io
import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from pathlib import Path
from random import Random

DRAWN = 400
ROWS = 5  # of blocks, in a strip: six strips
QUALITY = 75  # 23 kB: a hundred thousand stay in the system's memory, and no disk is measured
MARKER = re.compile(rb"\xff[\xd0-\xd7]")
SCAN, END = b"\xff\xda", b"\xff\xd9"
FOLDER = 1_000  # files in one


def strips(seed: int) -> tuple[bytes, list[bytes]]:
    """All before a lesion's data, and its data strip by strip."""
    from lesions import picture  # numpy and Pillow: not in the process that measures

    buffer = io.BytesIO()
    picture(seed).save(buffer, "JPEG", quality=QUALITY, restart_marker_rows=ROWS)
    data = buffer.getvalue()
    scan = data.index(SCAN)
    start = scan + 2 + int.from_bytes(data[scan + 2 : scan + 4], "big")
    return data[:start], MARKER.split(data[start:].removesuffix(END))


def pictures(count: int) -> Iterator[bytes]:
    """So many JPEGs, 600 x 450."""
    with ProcessPoolExecutor(2) as workers:
        drawn = list(workers.map(strips, range(DRAWN), chunksize=20))
    head = drawn[0][0]
    draw = Random(1)
    for _ in range(count):
        chosen = [drawn[draw.randrange(DRAWN)][1][at] for at in range(len(drawn[0][1]))]
        marked = ((strip, b"\xff" + bytes([0xD0 + at % 8])) for at, strip in enumerate(chosen))
        yield b"".join([head, *chain.from_iterable(marked)][:-1]) + END


def make(folder: Path, count: int) -> Path:
    """So many files in folders of a thousand, and the manifest that names them."""
    table = folder / "manifest.csv"
    with table.open("w", encoding="utf-8") as lines:
        lines.write("dataset,image_id,path\n")
        for number, data in enumerate(pictures(count)):
            path = folder / f"{number // FOLDER:03}" / f"{number:06}.jpg"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
            lines.write(f"spliced,{path.stem},{path.relative_to(folder)}\n")
    return table
