"""WebDataset: tar shards of samples, each a few files of one name, that `webdataset` streams.

OUT is a folder of `<dataset or "images">[-<split>]-00000-of-00003.tar`, each of at most 500 MB of images or
100,000 rows, and `classes.txt`. Samples are sorted by key: shuffling is the loader's business. A sample has
  <key>.jpg (or .png, …)  the image
  <key>.mask.png          the lesion mask, where there is one
  <key>.cls               the class as a number: its line in classes.txt, from 0; none where the row has no class
  <key>.json              the row: every column that it has a value in, about the image as the source has it
The key is `dataset/image_id`, with `_` for each dot in it, because loaders cut the name at the first one.

`datasets` wants every sample to have the same files and the same JSON types: `huggingface` is for it.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dermdata import disk
from dermdata.errors import UsageError
from dermdata.export import cells, classes, files, folders, leftout, names, parts, pictures, shards, ustar
from dermdata.export.files import Found
from dermdata.export.folders import Piece
from dermdata.export.job import Job, Part, Written, slug
from dermdata.export.ledger import Ledger
from dermdata.export.pixels import Recipe
from dermdata.export.stamps import stamp
from dermdata.export.stream import Images, Loaded, blocks
from dermdata.export.tabular import tabular

FORM = "webdataset"
BLOCK_ROWS = 1024
MASK = "mask.png"
KEY_BYTES = 70  # of a name with ending and hash at most 100 are left in a tar
encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


@dataclass(frozen=True)
class Samples:
    """All rows with an image; lists are by row of the table."""

    table: pa.Table
    keys: Sequence[str]
    endings: Sequence[str]
    numbers: Sequence[int | None]
    found: Sequence[Found]
    sizes: Sequence[int]
    masks: Sequence[Found]


def plan(job: Job) -> tuple[Part, ...]:
    _, record, pieces = decided(job)
    return folders.plan(record, pieces)


def write(job: Job) -> Written:
    """Write the shards that are not there."""
    job, record, pieces = decided(job)
    return folders.write(job, record, pieces, pictures.count_unchecked(job.table))


def decided(job: Job) -> tuple[Job, Ledger, list[Piece]]:
    if job.out.suffix == ".tar":
        raise UsageError("webdataset writes several shards", hint="give a folder as -o OUT")
    record = folders.opened(job, FORM)
    job, samples = samples_of(job)
    pieces = [
        piece
        for part in parts.split_parts(job.table)
        for piece in shards_of(job, samples, part, record.scope)
    ]
    names_of = folders.of_content("classes.txt", "".join(f"{one}\n" for one in job.classes).encode())
    return job, record, [*pieces, names_of, *folders.of_left(job)]


def samples_of(job: Job) -> tuple[Job, Samples]:
    job, found = pictures.with_images(job)
    table = job.table
    given = classes.words(table, job.label)
    return job, Samples(
        table=table, keys=keys(table), endings=pictures.endings(table, found, job.recipe),
        numbers=classes.numbers(given, job.classes), found=found, sizes=files.sizes(table, found),
        masks=pictures.masks(table, job),
    )  # fmt: skip


def keys(table: pa.Table) -> list[str]:
    """`dataset/image_id` without dots; where two would be one, a hash tells them apart."""
    datasets = leftout.text(table, "dataset").to_pylist()
    plain = [
        f"{dotless(name or 'images')}/{dotless(one)}"
        for name, one in zip(datasets, pictures.ids(table), strict=True)
    ]
    return names.unique(plain, pictures.identities(table))


def dotless(word: str) -> str:
    # loaders pass over names that begin with two underscores
    return names.safe(word, KEY_BYTES).replace(".", "_").lstrip("_") or "_"


# ------------------------------------------------------------------ shards


def shards_of(job: Job, samples: Samples, part: parts.SplitPart, scope: str) -> Iterator[Piece]:
    rows = np.array(sorted(part.rows.tolist(), key=samples.keys.__getitem__), dtype=np.int64)
    runs = shards.cut(parts.picked(samples.sizes, rows), shards.SHARD_BYTES, shards.SHARD_ROWS)
    named = [scope, *([slug(part.name)] if part.name and job.split is None else [])]
    for number, (start, stop) in enumerate(runs):
        name = f"{'-'.join(named)}-{number:05}-of-{len(runs):05}.tar"
        yield shard(job, samples, rows[start:stop], name)


def shard(job: Job, samples: Samples, rows: NDArray[np.int64], name: str) -> Piece:
    total = sum(parts.picked(samples.sizes, rows))
    mark = mark_of(job, samples, rows)
    return Piece(name, mark, len(rows), total, lambda path: write_shard(path, job, samples, rows))


def mark_of(job: Job, samples: Samples, rows: NDArray[np.int64]) -> str:
    """What decides the bytes of a shard; "" where the manifest does not say which bytes an image has."""
    table = samples.table.take(pa.array(rows))
    if not all(pictures.sure(table)):
        return ""
    facts = [
        parts.picked(samples.keys, rows),
        parts.picked(samples.endings, rows),
        parts.picked(samples.numbers, rows),
    ]
    stamps = [stamp(path) for path in parts.picked(samples.masks, rows)]
    running = hashlib.sha256(repr((facts, stamps, pictures.version(job.recipe))).encode())
    running.update(shards.digest(tabular(table.replace_schema_metadata(None)), []).encode())
    return running.hexdigest()[:32]


def write_shard(path: Path, job: Job, samples: Samples, rows: NDArray[np.int64]) -> None:
    """Write one tar, a block of samples at a time."""
    sizes = parts.picked(samples.sizes, rows)
    job.progress.begin(path.name, sum(sizes))
    digests = pictures.digests(samples.table).take(pa.array(rows))
    images = {"image": Images(parts.picked(samples.found, rows), sizes, job.recipe, digests)}
    covers = parts.picked(samples.masks, rows)
    if any(covers):
        images["mask"] = Images(covers, [None] * len(rows), Recipe(job.size, job.strip, mask=True))
    runs = [slice(*run) for run in shards.cut(sizes, shards.GROUP_BYTES, BLOCK_ROWS)]
    with disk.replacing(path) as file:
        for run, loaded in blocks(images, runs, job.jobs, job.make):
            for sample in entries(samples, rows[run], loaded):
                file.write(sample)
            job.progress.advance(path.name, sum(sizes[run]))
        file.write(ustar.END)
    job.progress.end(path.name)


def entries(samples: Samples, rows: NDArray[np.int64], loaded: dict[str, Loaded]) -> Iterator[bytes]:
    """Each sample as the bytes of its files in a tar."""
    masks = loaded.get("mask") or [None] * len(rows)
    texts = json_rows(samples.table.take(pa.array(rows)))
    for row, image, mask, text in zip(rows.tolist(), loaded["image"], masks, texts, strict=True):
        key, number = samples.keys[row], samples.numbers[row]
        members = [] if number is None else [("cls", b"%d" % number)]
        members += [(samples.endings[row], image or b""), ("json", text)]
        members += [] if mask is None else [(MASK, mask)]
        yield b"".join(
            part
            for ending, data in members
            for part in (ustar.header(f"{key}.{ending}", len(data)), data, ustar.padding(len(data)))
        )


def json_rows(table: pa.Table) -> Iterator[bytes]:
    """Each row as a JSON object of the columns that it has a value in."""
    names = table.column_names
    columns = [cells.values(column) for column in table.columns]
    for row in zip(*columns, strict=True):
        yield encode(
            {name: value for name, value in zip(names, row, strict=True) if value is not None}
        ).encode()
