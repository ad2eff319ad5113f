"""Fills the folder of an export: whole files are made, images are linked or copied, each appears when it is whole.

Images that lie beside a manifest, outside the cache, are always copied.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa

from dermdata import disk
from dermdata.export import shards
from dermdata.export.image_bytes import identify_files
from dermdata.export.job import ExportPart, ExportResult, Job, output_stem
from dermdata.export.left_out import LEFT_OUT_NAME, count_reasons, left_out_csv
from dermdata.export.record import ExportRecord, ExportRun, open_record
from dermdata.export.row_images import (
    file_sizes,
    image_endings,
    image_identities,
    recipe_version,
    unique_names,
)
from dermdata.export.shards import ImageColumn, load_blocks, map_blocks
from dermdata.manifest.columns import text_column
from dermdata.manifest.image_files import FoundPath
from dermdata.manifest.image_roots import to_image_roots
from dermdata.markup import count_nouns

IMAGES_TASK = "images"
WRITER_THREADS = 8  # each waits for the disk most of the time
COPY_ROWS = 256
LINK_ROWS = 512  # files that are compared while the ones before are linked


@dataclass(frozen=True, slots=True)
class PlacedImage:
    """One image: where it goes below OUT, where it lies now, its bytes there, and what it is made of."""

    path: str
    source: str
    size: int
    fingerprint: str
    row: int  # of the manifest's table


def place_rows(
    job: Job, plain: Sequence[str], found: Sequence[FoundPath], rows: Sequence[int], *, level: bool = False
) -> list[PlacedImage]:
    """Each image of the job under its plain name, made unique and with its ending; `rows`: where the whole table has it.

    `level`: boxes lie on them, so that no reader shall turn them (`ImageTask.level`).
    """
    table = job.table
    stems = unique_names(plain, image_identities(table))
    endings = image_endings(table, found, job.recipe)
    digests = text_column(table, "sha256").to_pylist()
    how = recipe_version(job.recipe) if job.recipe.changes else "copy" if job.copy else "link"
    how = f"{how} level" if level else how
    facts = zip(stems, endings, found, file_sizes(table, found), digests, rows, strict=True)
    return [
        PlacedImage(
            path=f"{stem}.{ending}" if ending else stem,
            source=source or "",
            size=size,
            fingerprint=f"{digest[:32]} {how}" if digest else "",
            row=row,
        )
        for stem, ending, source, size, digest, row in facts
    ]


def place_images(
    job: Job, todo: Sequence[PlacedImage], digests: pa.Table, run: ExportRun, *, level: bool = False
) -> None:
    """Make the images, each compared with its row's digest; what is there under their names is replaced.

    `level`: as `place_rows` has it; those that a reader would turn are no links.
    """
    for parent in sorted({parent_folder(one.path) for one in todo}):
        with disk.storage_errors(job.out / parent):
            (job.out / parent).mkdir(parents=True, exist_ok=True)
    job.progress.begin(IMAGES_TASK, len(todo), "images")
    if job.copy or job.recipe.changes:
        copy_images(job, todo, digests, run, level=level)
    else:
        cached = cache_flags(job, todo)
        links = [one for one, ours in zip(todo, cached, strict=True) if ours]
        copies = [one for one, ours in zip(todo, cached, strict=True) if not ours]
        copies += link_images(job, links, digests, run, level=level)
        copy_images(job, copies, digests, run, level=level)
    job.progress.end(IMAGES_TASK)


def cache_flags(job: Job, todo: Sequence[PlacedImage]) -> list[bool]:
    """Which files lie in the cache. No others are linked: who edits an export must not edit their own pictures."""
    roots = to_image_roots(job.roots)
    folders = [*roots.cached.values(), *([roots.datasets] if roots.datasets else [])]
    cached = tuple(f"{os.path.realpath(folder)}/" for folder in folders)
    parents = {parent_folder(one.source) for one in todo}
    is_cached = {parent: f"{os.path.realpath(parent)}/".startswith(cached) for parent in parents}
    return [is_cached[parent_folder(one.source)] for one in todo]


def parent_folder(path: str) -> str:
    return path.rpartition("/")[0]


def build_image_column(
    job: Job, todo: Sequence[PlacedImage], digests: pa.Table, *, level: bool
) -> ImageColumn:
    rows = pa.array([one.row for one in todo], pa.int64())
    found, sizes = [one.source for one in todo], [one.size for one in todo]
    return ImageColumn(found, sizes, job.recipe, digests.take(rows), [level] * len(todo))


def copy_images(
    job: Job, todo: Sequence[PlacedImage], digests: pa.Table, run: ExportRun, *, level: bool
) -> None:
    if not todo:
        return
    images = build_image_column(job, todo, digests, level=level)
    cuts = shards.cut_runs([one.size for one in todo], shards.GROUP_BYTES, COPY_ROWS)

    def write_one(one: PlacedImage, data: bytes) -> None:
        with disk.atomic_write(job.out / one.path) as file:
            file.write(data)
        run.add(one.path)

    with ThreadPoolExecutor(WRITER_THREADS) as writers:
        for cut, loaded in load_blocks(
            {IMAGES_TASK: images}, [slice(*cut) for cut in cuts], job.jobs, job.make
        ):
            run.require_own_record()
            for _ in writers.map(write_one, todo[cut], loaded[IMAGES_TASK]):
                job.progress.advance(IMAGES_TASK, 1)


def link_images(
    job: Job, todo: Sequence[PlacedImage], digests: pa.Table, run: ExportRun, *, level: bool
) -> list[PlacedImage]:
    """Hard links; symbolic ones where the system has no others. Gives those that cannot be links."""
    symbolic = refused = 0
    images, copies = build_image_column(job, todo, digests, level=level), list[PlacedImage]()
    cuts = [slice(start, start + LINK_ROWS) for start in range(0, len(todo), LINK_ROWS)]
    for cut, files in map_blocks(identify_files, {IMAGES_TASK: images}, cuts, job.jobs, job.make):
        run.require_own_record()
        before = len(copies)
        for one, file in zip(todo[cut], files[IMAGES_TASK], strict=True):
            kind = make_link(resolve_link(one.source), f"{job.out}/{one.path}") if file else None
            if kind is None:
                refused += file is not None
                copies.append(one)
                continue
            symbolic += kind == "symbolic"
            run.add(one.path, file)
        job.progress.advance(IMAGES_TASK, len(files[IMAGES_TASK]) - (len(copies) - before))
    if symbolic:
        job.progress.say(
            f"{count_nouns(symbolic, 'image', 'are')} symbolic links (hard ones cannot lead there): "
            "they break when the cache is moved or deleted; --copy makes files"
        )
    if refused:
        job.progress.say(
            f"{count_nouns(refused, 'image', 'are')} copied: {job.out} can have no links to the cache"
        )
    return copies


def resolve_link(source: str) -> str:
    """The file itself, where a name is a link to it."""
    return os.path.realpath(source) if os.path.islink(source) else source  # noqa: PTH114  # see below


def make_link(source: str, target: str) -> Literal["hard", "symbolic"] | None:
    """Link the file; None where neither kind can be had: Windows wants a privilege for the symbolic one."""
    with suppress(FileNotFoundError):
        os.unlink(target)  # noqa: PTH108  # a Path for each of 400,000 images costs more than the link
    try:
        if disk.link_file(source, target):
            return "hard"
        Path(target).symlink_to(source)
    except OSError as error:
        if disk.is_link_refusal(error):
            return None
        raise disk.to_storage_error(error, Path(target)) from error
    return "symbolic"


@dataclass(frozen=True)
class OutputFile:
    """One file: what decides its bytes, and how it is made."""

    path: str  # below OUT
    fingerprint: str  # "": always made anew
    rows: int
    bytes: int  # of images as stored
    make: Callable[[Path], object]  # writes the file, which has its name only when it is whole


def file_from_bytes(path: str, content: bytes) -> OutputFile:
    """A small file made of these bytes."""
    fingerprint = hashlib.sha256(content).hexdigest()[:16]
    return OutputFile(path, fingerprint, 0, 0, lambda target: disk.write_chunks(target, [content]))


def left_out_files(job: Job) -> list[OutputFile]:
    """`left-out.csv`, where rows are; for one split it has the split's name."""
    if not job.left.num_rows:
        return []
    name = LEFT_OUT_NAME if job.split is None else f"left-out-{output_stem(job)}.csv"
    return [file_from_bytes(name, left_out_csv(job.left, excel_safe=job.excel_safe))]


def open_job_record(job: Job, form: str) -> ExportRecord:
    return open_record(job.storage, form, output_stem(job))


def map_fingerprints(pieces: Iterable[OutputFile | PlacedImage]) -> dict[str, str]:
    """Path -> fingerprint of what an export shall have."""
    return {one.path: one.fingerprint for one in pieces}


def plan_files(record: ExportRecord, pieces: Sequence[OutputFile]) -> tuple[ExportPart, ...]:
    """What `write` would make; UsageError where it would refuse to."""
    record.require_free(map_fingerprints(pieces))
    return tuple(
        ExportPart(
            record.storage.locate(one.path), one.rows, one.bytes, record.is_current(one.path, one.fingerprint)
        )
        for one in pieces
    )


def write_files(
    job: Job, record: ExportRecord, pieces: Sequence[OutputFile], notes: Mapping[str, int]
) -> ExportResult:
    """Make the pieces that are not there; `notes`: what else the result reports, in words -> rows."""
    with record.open_run(map_fingerprints(pieces), job.progress) as run:
        todo = [piece for piece in pieces if not run.is_kept(piece.path)]
        if not job.recipe.resizes:
            require_output_space(job, [piece.bytes for piece in todo])
        run.begin()
        make_files(run, todo)
    paths = tuple(record.storage.locate(piece.path) for piece in pieces)
    size = sum(record.storage.size(piece.path) for piece in pieces)
    rows = sum(piece.rows for piece in pieces)
    left_out = {**count_reasons(job.left), **notes}
    return ExportResult(
        paths, rows, size, kept=len(pieces) - len(todo), left_out=left_out, unusable=job.unusable
    )


def make_files(run: ExportRun, todo: Sequence[OutputFile]) -> None:
    """Make each file, if nobody else writes into the folder."""
    for piece in todo:
        run.require_own_record()
        run.storage.put(piece.path, piece.make)
        run.add(piece.path)


def measure_files(out: Path, paths: Iterable[str]) -> int:
    """Bytes of the files that an export has on the disk; of links those of the files that they lead to."""
    return sum(os.stat(f"{out}/{path}").st_size for path in paths)  # noqa: PTH116  # 400,000 files


def require_output_space(job: Job, sizes: Sequence[int]) -> None:
    """StorageError unless there is room for all files, or for one at a time on its way to a bucket."""
    if job.bucket is None:
        disk.require_space(job.out, sum(sizes))
    else:
        disk.require_space(job.bucket.spool, max(sizes, default=0))
