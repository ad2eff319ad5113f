"""WebDataset: tar shards of samples, each a few files of one name, that `webdataset` streams.

OUT is a folder of `<dataset or "images">[-<split>]-00000-of-00003.tar`, each of at most 500 MB of images or
100,000 rows, and `classes.txt`. Samples are sorted by key: shuffling is the loader's business. A sample has
  <key>.jpg (or .png, …)  the image
  <key>.mask.png          the lesion mask, where there is one
  <key>.cls               the class as a number: its line in classes.txt, from 0; none where the row has no class
  <key>.json              the row: every column that it has a value in but paths, about the image as the source has it
The key is `dataset/image_id`, with `_` for each dot in it, because loaders cut the name at the first one. The tars
(POSIX ustar) have no time and no owner: the same content gives the same bytes.

`datasets` wants every sample to have the same files and the same JSON types: `huggingface` is for it.
"""

import hashlib
import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dermdata import disk
from dermdata.errors import UsageError
from dermdata.export import shards
from dermdata.export.job import (
    ExportPart,
    ExportResult,
    Job,
    SplitPart,
    class_numbers,
    row_classes,
    split_parts,
    take_values,
)
from dermdata.export.metadata import follow_resize, to_portable_types
from dermdata.export.output_folder import (
    OutputFile,
    file_from_bytes,
    left_out_files,
    open_job_record,
    plan_files,
    write_files,
)
from dermdata.export.record import ExportRecord
from dermdata.export.row_images import (
    PATH_COLUMNS,
    digest_flags,
    drop_missing_images,
    file_fingerprint,
    file_sizes,
    image_digests,
    image_endings,
    image_identities,
    image_names,
    lesion_masks,
    note_images,
    portable_name,
    recipe_version,
    unique_names,
)
from dermdata.export.shards import ImageColumn, LoadedImages, load_blocks, pair_with_masks
from dermdata.manifest.columns import text_column
from dermdata.manifest.image_files import FoundPath
from dermdata.manifest.text import json_values
from dermdata.manifest_file import slugify
from dermdata.markup import count_nouns
from dermdata.terminal import format_size

FORM = "webdataset"
BLOCK_ROWS = 1024
MASK_ENDING = "mask.png"
KEY_BYTES = 70  # of a name with ending and hash at most 100 are left in a tar
encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
TAR_END = bytes(2 * tarfile.BLOCKSIZE)
LARGEST_FILE = 8**11 - 1  # bytes of one file in a tar


@dataclass(frozen=True)
class Samples:
    """All rows with an image; lists are by row of the table."""

    table: pa.Table
    keys: Sequence[str]
    endings: Sequence[str]
    numbers: Sequence[int | None]
    paths: Sequence[FoundPath]
    sizes: Sequence[int]
    masks: Sequence[FoundPath]

    @property
    def described(self) -> pa.Table:
        """What the JSON says of the rows: paths lead into a cache that is not where the tar is."""
        return self.table.drop_columns([name for name in PATH_COLUMNS if name in self.table.column_names])


def plan_webdataset(job: Job) -> tuple[ExportPart, ...]:
    _, record, pieces, _ = decide_files(job)
    return plan_files(record, pieces)


def write_webdataset(job: Job) -> ExportResult:
    """Write the shards that are not there."""
    job, record, pieces, found = decide_files(job)
    return write_files(job, record, pieces, note_images(job, found))


def decide_files(job: Job) -> tuple[Job, ExportRecord, list[OutputFile], Sequence[FoundPath]]:
    """What is written, and the rows' image files."""
    if job.out.suffix == ".tar":
        raise UsageError("webdataset writes several shards", hint="give a folder as -o OUT")
    record = open_job_record(job, FORM)
    job, samples = collect_samples(job)
    pieces = [
        piece for part in split_parts(job.table) for piece in shard_files(job, samples, part, record.scope)
    ]
    names_of = file_from_bytes("classes.txt", "".join(f"{one}\n" for one in job.classes).encode())
    return job, record, [*pieces, names_of, *left_out_files(job)], samples.paths


def collect_samples(job: Job) -> tuple[Job, Samples]:
    job, found = drop_missing_images(job)
    table = job.table
    given = row_classes(table, job.label)
    return job, Samples(
        table=follow_resize(table, job.recipe), keys=sample_keys(table), endings=image_endings(table, found, job.recipe),
        numbers=class_numbers(given, job.classes), paths=found, sizes=file_sizes(table, found),
        masks=lesion_masks(table, job),
    )  # fmt: skip


def sample_keys(table: pa.Table) -> list[str]:
    """`dataset/image_id` without dots; where two would be one, a hash tells them apart."""
    datasets = text_column(table, "dataset").to_pylist()
    plain = [
        f"{to_key_part(name or 'images')}/{to_key_part(one)}"
        for name, one in zip(datasets, image_names(table), strict=True)
    ]
    return unique_names(plain, image_identities(table))


def to_key_part(word: str) -> str:
    # loaders pass over names that begin with two underscores
    return portable_name(word, KEY_BYTES).replace(".", "_").lstrip("_") or "_"


# ------------------------------------------------------------------ shards


def shard_files(job: Job, samples: Samples, part: SplitPart, scope: str) -> Iterator[OutputFile]:
    rows = np.array(sorted(part.rows.tolist(), key=samples.keys.__getitem__), dtype=np.int64)
    runs = shards.cut_runs(take_values(samples.sizes, rows), shards.SHARD_BYTES, shards.SHARD_ROWS)
    named = [scope, *([slugify(part.name)] if part.name and job.split is None else [])]
    for number, (start, stop) in enumerate(runs):
        name = f"{'-'.join(named)}-{number:05}-of-{len(runs):05}.tar"
        yield shard_file(job, samples, rows[start:stop], name)


def shard_file(job: Job, samples: Samples, rows: NDArray[np.int64], name: str) -> OutputFile:
    total = sum(take_values(samples.sizes, rows))
    fingerprint = shard_fingerprint(job, samples, rows)
    return OutputFile(
        name, fingerprint, len(rows), total, lambda path: write_tar_shard(path, job, samples, rows)
    )


def shard_fingerprint(job: Job, samples: Samples, rows: NDArray[np.int64]) -> str:
    """What decides the bytes of a shard; "" where the manifest does not say which bytes an image has."""
    table = samples.table.take(pa.array(rows))
    if not all(digest_flags(table)):
        return ""
    facts = [
        take_values(samples.keys, rows),
        take_values(samples.endings, rows),
        take_values(samples.numbers, rows),
    ]
    stamps = [file_fingerprint(path) for path in take_values(samples.masks, rows)]
    running = hashlib.sha256(repr((facts, stamps, recipe_version(job.recipe))).encode())
    running.update(shards.table_digest(to_portable_types(table.replace_schema_metadata(None)), []).encode())
    return running.hexdigest()[:32]


def write_tar_shard(path: Path, job: Job, samples: Samples, rows: NDArray[np.int64]) -> None:
    """Write one tar, a block of samples at a time."""
    sizes = take_values(samples.sizes, rows)
    job.progress.begin(path.name, sum(sizes))
    digests = image_digests(samples.table).take(pa.array(rows))
    column = ImageColumn(take_values(samples.paths, rows), sizes, job.recipe, digests)
    images = pair_with_masks(column, take_values(samples.masks, rows))
    runs = [slice(*run) for run in shards.cut_runs(sizes, shards.GROUP_BYTES, BLOCK_ROWS)]
    with disk.atomic_write(path) as file:
        for run, loaded in load_blocks(images, runs, job.jobs, job.make):
            for sample in tar_entries(samples, rows[run], loaded):
                file.write(sample)
            job.progress.advance(path.name, sum(sizes[run]))
        file.write(TAR_END)
    job.progress.end(path.name, format_size(path.stat().st_size))


def tar_entries(
    samples: Samples, rows: NDArray[np.int64], loaded: dict[str, LoadedImages]
) -> Iterator[bytes]:
    """Each sample as the bytes of its files in a tar."""
    masks = loaded.get("mask") or [None] * len(rows)
    texts = json_rows(samples.described.take(pa.array(rows)))
    for row, image, mask, text in zip(rows.tolist(), loaded["image"], masks, texts, strict=True):
        key, number = samples.keys[row], samples.numbers[row]
        members = [] if number is None else [("cls", b"%d" % number)]
        members += [(samples.endings[row], image or b""), ("json", text)]
        members += [] if mask is None else [(MASK_ENDING, mask)]
        yield b"".join(
            part
            for ending, data in members
            for part in (tar_header(f"{key}.{ending}", len(data)), data, tar_padding(len(data)))
        )


def json_rows(table: pa.Table) -> Iterator[bytes]:
    """Each row as a JSON object of the columns that it has a value in."""
    names = table.column_names
    columns = [json_values(column) for column in table.columns]
    for row in zip(*columns, strict=True):
        yield encode(
            {name: value for name, value in zip(names, row, strict=True) if value is not None}
        ).encode()


def tar_header(path: str, size: int) -> bytes:
    """The 512 bytes before a file's content; UsageError for what ustar cannot hold."""
    if size > LARGEST_FILE:
        raise UsageError(f"{path} is too large for a tar: {count_nouns(size, 'byte')}")
    info = tarfile.TarInfo(path)  # no time and no owner
    info.size = size
    try:
        return info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")
    except ValueError as error:
        raise UsageError(f"{path} is too long a name for a tar") from error


def tar_padding(size: int) -> bytes:
    """What fills a file's last block."""
    return bytes(-size % tarfile.BLOCKSIZE)
