"""What an export is asked for and what came of it; the choices that all formats share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.engine import Make, executor
from dermdata.errors import BadTable, UnknownName, UsageError
from dermdata.export import classes, leftout, rights, structures
from dermdata.export.pixels import Recipe
from dermdata.manifest.rest import Rest, Rows
from dermdata.model import Dataset
from dermdata.places import Bucket, Folder, Place, Where
from dermdata.progress import Progress, Silent


@dataclass(frozen=True, kw_only=True)
class Job:
    """A manifest, where its images lie, and where to write what."""

    table: pa.Table  # what is held in memory of each row
    roots: Mapping[str, Path]  # dataset -> the folder that its relative paths start from
    out: Path
    rest: Rest | None = None  # where the columns are that are not held
    bucket: Bucket | None = None  # instead of the folder OUT, of which only the name counts then
    embed: bool = False  # image bytes inside the output
    split: str | None = None  # only this part
    size: int | None = None  # longest side, pixels; None: as stored
    strip: bool = False  # images without private metadata
    redistributable: bool = False  # only images that may be passed on
    copy: bool = False  # imagefolder, coco: files of its own, no links
    jobs: int = 1  # workers that read and scale images
    make: Make = executor  # where they work
    excel_safe: bool = False  # CSV only
    entries: Mapping[str, Dataset] = field(
        default_factory=dict
    )  # what the catalog says of the rows' datasets
    progress: Progress = field(default_factory=Silent)
    label: str = ""  # the column of the classes; found by `prepared`, as the four below
    classes: tuple[str, ...] = ()  # of the whole manifest: a part numbers its classes as the whole does
    lesions: bool = False  # whether any row of the whole manifest has a lesion mask
    structures: tuple[str, ...] = ()  # that `masks` outlines, of the whole manifest as well
    left: pa.Table = field(
        default_factory=lambda: leftout.NONE
    )  # rows that the output lacks, with the reason

    @property
    def rows(self) -> Rows:
        """The rows with all their columns at hand."""
        return Rows(self.table, self.rest)

    @property
    def place(self) -> Place:
        """What formats of several whole files fill."""
        return self.bucket or Folder(self.out)

    @property
    def recipe(self) -> Recipe:
        return Recipe(self.size, self.strip)


@dataclass(frozen=True)
class Part:
    """One file of an export, before it is written."""

    path: Where
    rows: int
    bytes: int | None  # of images inside; None: not known before it is written
    there: bool  # whole already, so it will be kept


@dataclass(frozen=True)
class Written:
    """What an export wrote, or found written by an earlier run of the same job."""

    files: tuple[Where, ...]
    rows: int
    bytes: int  # of the files
    kept: int = 0  # files that were there already
    left_out: Mapping[str, int] = field(default_factory=dict)  # what the output lacks, in words -> rows
    count: int | None = None  # of files, where `files` names just their folder


def prepared(job: Job) -> Job:
    """The job with just the rows that are asked for, and its classes; UnknownName for a split that no row has."""
    missing = {"dataset", "path"} - set(job.rows.column_names)
    if missing:
        raise BadTable(f"the manifest has no column {' and no column '.join(sorted(missing))}")
    label = classes.column(job.table)
    job = replace(
        job,
        label=label,
        classes=classes.named(job.table, label),
        lesions=structures.has_lesions(job.table),
        structures=structures.named(job.table),
    )
    if job.split is not None:
        job = replace(job, table=of_split(job.table, job.split))
    if job.redistributable:
        reasons = rights.reasons(job.table, job.entries, adapted=job.size is not None)
        job = without(job, reasons)
    return job


def without(job: Job, reasons: Sequence[str | None]) -> Job:
    """The job without the rows that have a reason to be left out; they are listed in `left`."""
    table, left = leftout.parted(job.table, reasons)
    return replace(job, table=table, left=pa.concat_tables([job.left, left]))


def of_split(table: pa.Table, split: str) -> pa.Table:
    column = split_column(table)
    words = table[column].cast(pa.string())
    chosen = table.filter(pc.equal(words, split))
    if chosen.num_rows == 0:
        known = sorted(word for word in pc.unique(words).to_pylist() if word is not None)
        hint = (
            f"{column} is one of {', '.join(known)}"
            if known
            else "run `dermdata split` first: no row has a split"
        )
        raise UnknownName("split", split, known, hint=hint)
    return chosen


def split_column(table: pa.Table) -> str:
    """Our own split where there is one, else the publisher's."""
    named = [name for name in ("split", "split_official") if name in table.column_names]
    filled = [name for name in named if table[name].null_count < table.num_rows]
    if not named:
        raise UsageError("the manifest has no split", hint="run `dermdata split` first")
    return (filled or named)[0]


def stem(job: Job) -> str:
    """The name of the output without its ending: the dataset, or `images` for several; then the split."""
    datasets = [name for name in pc.unique(job.table["dataset"].cast(pa.string())).to_pylist() if name]
    parts = [datasets[0] if len(datasets) == 1 else "images", *([job.split] if job.split else [])]
    return "-".join(map(slug, parts))


def slug(word: str) -> str:
    """A word of the table as part of a file name: it must not lead into another folder."""
    kept = "".join(char if char.isalnum() or char in "._-" else "_" for char in word)
    return kept.lstrip(".") or "_"


def one_file(job: Job, ending: str) -> Path:
    """Where a format of one file writes: OUT itself, or `<stem><ending>` in OUT if that is or looks like a folder."""
    if job.out.is_dir() or not job.out.suffix:
        return folder(job.out) / f"{stem(job)}{ending}"
    return job.out


def folder(out: Path) -> Path:
    """OUT as a folder; UsageError when it is a file."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file, a folder is needed", hint="give another -o OUT")
    return out
