"""How rows leave: a manifest as a file or a stream (`-o OUT`), and exports for other tools."""

import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dermdata import disk
from dermdata.api.label_spaces import ADDED, project
from dermdata.api.label_spaces import NEEDED as PROJECTED
from dermdata.api.records import Records
from dermdata.api.resources import Resources
from dermdata.api.targets import ROWS, SUFFIXES
from dermdata.errors import ImagesMissing, UsageError
from dermdata.export.metadata import write_about_file
from dermdata.export.text_formats import TEXT_ROWS, csv_chunks, jsonl_chunks
from dermdata.manifest.image_files import ImageFinder, PathForm, place_paths
from dermdata.manifest.image_roots import to_image_roots
from dermdata.manifest.lazy import LazyTable
from dermdata.manifest.missing_files import MissingFiles
from dermdata.manifest.parquet import add_metadata, manifest_metadata, write_blocks
from dermdata.markup import count_nouns
from dermdata.object_store import is_remote, open_bucket
from dermdata.process import count_cores

if TYPE_CHECKING:
    from dermdata.api.targets import Loaded
    from dermdata.export import ExportResult as ExportResult
    from dermdata.export import Job
    from dermdata.images.frames import Frame


def require_out(out: str | None) -> None:
    """UsageError for an `-o OUT` that no manifest can be written to: said before anything is read or fetched."""
    if not out or out == "-":
        return
    if Path(out).suffix not in SUFFIXES:
        raise UsageError(
            f"cannot tell the format of {out}", hint=f"OUT ends in {', '.join(SUFFIXES)}, or is -"
        )
    if not is_remote(out):
        disk.require_file(Path(out))


def command_line(name: str, targets: Sequence[str], asked: Mapping[str, Any]) -> str:
    """The command line without its output: what a reader needs to do it again."""
    options = [
        f"--{option}" if value is True else f"--{option}={value}"
        for option, value in asked.items()
        if value is not None and value is not False
    ]
    return shlex.join([name, *targets, *options])


def record_command(table: pa.Table, line: str, facts: Mapping[str, str] | None = None) -> pa.Table:
    """The table with a command's line at the end of its history, and what else is true of all its rows."""
    before = json.loads(manifest_metadata(table).get("history", "[]"))
    history = json.dumps([*before, line], ensure_ascii=False)
    return add_metadata(table, {**(facts or {}), "history": history})


def save_manifest(
    resources: Resources,
    rows: LazyTable,
    roots: Mapping[str, Path],
    out: str,
    *,
    paths: PathForm | None = None,
    allow_missing: bool = False,
) -> None:
    """Write rows to `-o OUT`: in a file paths are absolute, in a stream or a bucket relative, unless `paths` says else.

    Raises
    ------
    UsageError, StorageError
        Where nothing can be written.
    ImagesMissing
        When the file is written: for images that rows name and that are not found, unless they are allowed to be.

    """
    writer = PathWriter(roots, out, paths)
    write_manifest(rows, out, {}, writer.place)
    writer.tell_missing(resources, allowed=allow_missing)


class PathWriter:
    """Makes the paths of rows that are written to `-o OUT`, and knows what was not found."""

    def __init__(self, roots: Mapping[str, Path], out: str, paths: PathForm | None = None) -> None:
        self.out = out
        remote = is_remote(out)
        self.form: PathForm = paths or ("relative" if out == "-" or remote else "absolute")
        self.home = None if remote else Path() if out == "-" else Path(out).parent
        self.finder = ImageFinder(roots)
        self.folders: set[str] = set()  # of images, as the file names them

    def place(self, block: pa.Table) -> pa.Table:
        """The rows with their paths as the file or the stream has them."""
        placed = place_paths(block, self.finder, self.form, self.home)
        if "path" in placed.column_names:
            self.folders.update(path.rpartition("/")[0] for path in placed["path"].to_pylist() if path)
        return placed

    def find_closed_folders(self) -> list[str]:
        """Folders of images that dermdata opens for no manifest in the file's own folder."""
        if self.home is None or self.out == "-":  # whoever reads it has another folder
            return []
        caches = [f"{folder}/datasets" for folder in self.finder.roots.cache_folders]
        opened = tuple(f"{os.path.realpath(one)}/" for one in (*caches, str(self.home)))
        there = sorted(one for one in self.folders if one.startswith("/") and os.path.isdir(one))  # noqa: PTH112  # a text
        return [one for one in there if not f"{os.path.realpath(one)}/".startswith(opened)]

    def tell_missing(self, resources: Resources, *, allowed: bool) -> None:
        """ImagesMissing for what was not found, a warning where that is allowed; of a stream, its reader tells it.

        What other programs will find and dermdata will not open is told as well.
        """
        missing = self.finder.missing
        if closed := self.find_closed_folders():
            more = f" and {count_nouns(len(closed) - 1, 'more folder')}" if len(closed) > 1 else ""
            resources.say(
                f"warning: {self.out} names images in {closed[0]}{more}, which dermdata opens only for a manifest "
                "in a folder above them, or as one of its caches"
            )
        if self.out == "-" or not missing:
            return
        resources.say(f"warning: {missing.describe()}" if allowed else f"written to {self.out}")
        missing.require_none(self.finder.roots.cache_folders, allowed=allowed)


def write_manifest(
    rows: LazyTable,
    out: str,
    facts: Mapping[str, str],
    place: Callable[[pa.Table], pa.Table] = lambda block: block,
) -> None:
    """Write rows by the ending of OUT, or as an Arrow stream to stdout for `-`.

    `facts` go into the metadata; `place` makes the paths of a block of rows.
    """
    require_out(out)
    rows = LazyTable(add_metadata(rows.table, facts), rows.rest)
    if out == "-":
        return to_stream(rows, place)
    if is_remote(out):
        prefix, _, name = out.rpartition("/")
        with open_bucket(prefix) as bucket:
            return bucket.put(name, lambda path: write_manifest(rows, str(path), {}, place))
    path = Path(out)
    if path.suffix == ".parquet":
        write_blocks(rows.schema, map(place, rows.blocks()), path)
    elif path.suffix == ".arrow":
        table = place(rows.to_table())  # an Arrow file has one dictionary a column
        with disk.atomic_write(path) as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    else:
        chunks = csv_chunks if path.suffix == ".csv" else jsonl_chunks
        disk.write_chunks(path, chunks(rows.schema, map(place, rows.blocks(TEXT_ROWS))))
        write_about_file(path, rows.schema, rows.num_rows)
    return None


def to_stream(rows: LazyTable, place: Callable[[pa.Table], pa.Table]) -> None:
    if sys.stdout.isatty():
        raise UsageError("an Arrow stream is not for a terminal", hint="pipe it on, or give -o FILE.parquet")
    schema = rows.schema
    schema = schema.with_metadata({**(schema.metadata or {}), ROWS: str(rows.num_rows)})
    with pa.ipc.new_stream(sys.stdout.buffer, schema) as writer:
        for block in rows.blocks():
            writer.write_table(place(block).cast(schema))
    sys.stdout.buffer.flush()


# what formats without images decide by: which rows, which file name, what may be passed on
HELD = (
    "dataset", "key", "image_id", "license", "diagnosis", "split", "fold", "split_official", "fold_official",
)  # fmt: skip
PLAN_KEYS = ("path", "rows", "size_bytes", "there")


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """What is asked of an export, as `Manifest.export` says."""

    name: str
    out: str
    labels: str | None = None
    strict: bool = False
    share: float = 1.0  # of a differential's weight that a class needs
    embed: bool = False
    split: str | None = None
    fold: int | None = None
    size: int | None = None
    resize: str | None = None  # as typed: 224, 320x240
    fit: str | None = None  # pad unless told
    strip_exif: bool = False
    redistributable: bool = False
    copy: bool = False
    excel_safe: bool = False
    columns: tuple[str, ...] = ()  # of the table
    flat: bool = False
    allow_missing: bool = False
    jobs: int | None = None
    engine: str | None = None

    @property
    def frame(self) -> "Frame | None":
        """The size that every image gets; UsageError for what is none, and beside `size`."""
        from dermdata.images.frames import parse_frame

        if self.resize is None and self.fit is not None:
            raise UsageError("--fit says how --resize fits", hint="add --resize 224")
        if self.resize is None:
            return None
        if self.size is not None:
            raise UsageError("--size and --resize both say how large images are", hint="give one of them")
        return parse_frame(self.resize, self.fit or "pad")

    @property
    def is_lean(self) -> bool:
        """Whether a few columns decide what is written: the others are read while they are written."""
        return self.name in ("csv", "jsonl") or (self.name == "parquet" and not self.embed)

    @property
    def divides(self) -> bool:
        """Whether each part becomes a folder or files of its own, or rows of one table."""
        return self.name not in ("parquet", "csv", "jsonl", "croissant")

    @property
    def holds_images(self) -> bool:
        """Whether the images themselves are written, so that nothing needs to say where they were."""
        return self.embed or self.name not in ("csv", "jsonl", "parquet", "croissant")

    @property
    def deciding_columns(self) -> tuple[str, ...]:
        """The columns that decide what is written."""
        return (*HELD, *ADDED, *(PROJECTED if self.labels else ()))

    @property
    def prefix(self) -> str:
        """What the files come under in an object store."""
        return self.out.rpartition("/")[0] if self.out.endswith(".parquet") else self.out


def list_formats() -> tuple[str, ...]:
    """The formats that rows can be exported in."""
    from dermdata.export import FORMATS

    return FORMATS


def require_format(name: str) -> None:
    """UnknownName for no such format: a wrong name must not cost the reading of a large manifest."""
    from dermdata import export

    export.load_format(name)


def tell_overlaps_and_folds(resources: Resources, loaded: "Loaded", request: ExportRequest) -> None:
    """Which images are in the export twice, and that folds are no parts of it."""
    from dermdata.cohort.dedupe import describe_overlaps
    from dermdata.export.job import count_folds, has_words

    for overlap in describe_overlaps(loaded.rows()):
        resources.say(overlap)
    has_parts = request.divides and has_words(loaded.table, "split")
    if has_parts and request.fold is None and count_folds(loaded.table):
        resources.say("the folds are no parts of this export; --fold K makes fold K val, the others train")


def export_rows(resources: Resources, loaded: "Loaded", request: ExportRequest) -> "ExportResult":
    """Write the rows in the format that is asked for; UsageError, IntegrityError or StorageError.

    ImagesMissing when all else is written, for images that rows name and that are not found, unless they are allowed
    to be.
    """
    from dermdata import export

    caches = to_image_roots(loaded.roots).cache_folders
    tell_overlaps_and_folds(resources, loaded, request)
    with open_job(resources, loaded, request) as job:
        try:
            written = export.write(request.name, job)
        except export.NoUsableImages:
            job.missing.require_none(caches, allowed=request.allow_missing)
            raise
    if written.missing and request.allow_missing:
        resources.say(f"warning: {written.missing.describe()}")
    try:
        written.missing.require_none(caches, allowed=request.allow_missing)
    except ImagesMissing as error:
        error.result = written
        raise
    return written


def plan_rows(resources: Resources, loaded: "Loaded", request: ExportRequest) -> Records:
    """The files that `export_rows` would write, a record a file (or a folder of images); nothing is written."""
    from dermdata import export

    with open_job(resources, loaded, request) as job:
        parts = export.plan(request.name, job)
    items = [
        {"path": str(one.path), "rows": one.rows, "size_bytes": one.bytes, "there": one.there}
        for one in parts
    ]
    return Records(items, PLAN_KEYS)


def drop_machine_paths(table: pa.Table, roots: Mapping[str, Path], missing: MissingFiles) -> pa.Table:
    """The rows without this machine's folders in their paths, as the caches have them; `missing` gets to know these."""
    import pyarrow.compute as pc

    named = [name for name in ("path", "mask_path") if name in table.column_names]
    if not any(pc.any(pc.starts_with(table[name], "/")).as_py() for name in named):
        return table  # the usual case
    finder = ImageFinder(roots)
    table = place_paths(table, finder, "relative", None)
    missing.caches |= finder.missing.caches
    return table


@contextmanager
def open_job(resources: Resources, loaded: "Loaded", request: ExportRequest) -> Iterator["Job"]:
    """The rows with their classes, the place they go to, and who works on them."""
    from dermdata import export
    from dermdata.api.resources import open_workers

    table: Any = loaded.table
    if request.labels:
        table = project(resources, table, request.labels, strict=request.strict, share=request.share)
    missing = MissingFiles()
    if request.holds_images:
        table = drop_machine_paths(table, loaded.roots, missing)
    entries = resources.find_entries(loaded.names)
    with ExitStack() as stack:
        remote = is_remote(request.out)
        bucket = stack.enter_context(open_bucket(request.prefix)) if remote else None
        make = stack.enter_context(open_workers(resources, request.engine))
        progress = stack.enter_context(resources.show_progress())
        yield export.Job(
            table=table, rest=loaded.rest, roots=loaded.roots, out=Path(request.out), bucket=bucket, make=make,
            embed=request.embed, split=request.split, fold=request.fold, size=request.size,
            frame=request.frame, strip=request.strip_exif,
            redistributable=request.redistributable, copy=request.copy, allow_missing=request.allow_missing,
            jobs=request.jobs or count_cores(), excel_safe=request.excel_safe, entries=entries, progress=progress,
            missing=missing, columns=tuple(request.columns), flat=request.flat,
        )  # fmt: skip
