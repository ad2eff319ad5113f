"""An export job: its options, the rows of its split, their classes and mask structures, and its result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dermdata.engine import ExecutorFactory, thread_executor
from dermdata.errors import BadTable, UnknownName, UsageError
from dermdata.export.image_bytes import Recipe
from dermdata.export.left_out import NO_ROWS, partition_rows, restriction_reasons
from dermdata.images.frames import Frame
from dermdata.manifest.columns import text_column
from dermdata.manifest.image_files import ImageFinder
from dermdata.manifest.lazy import DiskColumns, LazyTable
from dermdata.manifest.missing_files import MissingFiles
from dermdata.manifest.split_classes import CLASS_COLUMNS, class_names
from dermdata.manifest_file import slugify
from dermdata.markup import count_nouns
from dermdata.model import Dataset
from dermdata.object_store import Bucket, LocalFolder, Storage, StoragePath
from dermdata.progress import Progress, SilentProgress

UNSPLIT = "unsplit"  # rows that no split has, where others have one: they must not slip into any
UNNAMED_BOX = "box"
NAMES_SHOWN = 3  # of files that are others'


@dataclass(frozen=True, kw_only=True)
class Job:
    """A manifest, where its images lie, and where to write what."""

    table: pa.Table  # what is held in memory of each row
    roots: Mapping[str, Path]  # dataset -> the folder that its relative paths start from
    out: Path
    rest: DiskColumns | None = None  # where the columns are that are not held
    bucket: Bucket | None = None  # instead of the folder OUT, of which only the name counts then
    embed: bool = False  # image bytes inside the output
    split: str | None = None  # only this part
    fold: int | None = None  # this fold is `val`, the others are `train`
    size: int | None = None  # longest side, pixels; None: as stored
    frame: Frame | None = None  # width and height of each image, instead of `size`
    strip: bool = False  # images without private metadata
    redistributable: bool = False  # only images that may be passed on
    copy: bool = False  # imagefolder, coco: files of its own, no links
    jobs: int = 1  # workers that read and scale images
    make: ExecutorFactory = thread_executor  # where they work
    excel_safe: bool = False  # CSV only
    columns: tuple[str, ...] = ()  # of a table; none: all
    flat: bool = False  # of a table: plain columns, and none without a value
    entries: Mapping[str, Dataset] = field(default_factory=dict)  # the catalog's, of the rows' datasets
    progress: Progress = field(default_factory=SilentProgress)
    missing: MissingFiles = field(default_factory=MissingFiles)  # which rows name and nothing has
    label: str = ""  # the column of the classes; found by `prepare_job`, as the five below
    classes: tuple[str, ...] = ()  # of the whole manifest: a part numbers its classes as the whole does
    lesions: bool = False  # whether any row of the whole manifest has a lesion mask
    structures: tuple[str, ...] = ()  # that `masks` outlines, of the whole manifest as well
    box_names: tuple[str, ...] = ()  # what is in `boxes`, of the whole manifest as well
    left: pa.Table = field(default_factory=lambda: NO_ROWS)  # rows that the output lacks, with the reason
    unusable: int = 0  # of these, how many could not be used: what nobody asked to be left out
    allow_missing: bool = False  # rows without an image file may be left out

    @property
    def rows(self) -> LazyTable:
        """The rows with all their columns at hand."""
        return LazyTable(self.table, self.rest)

    @property
    def storage(self) -> Storage:
        """What formats of several whole files fill."""
        return self.bucket or LocalFolder(self.out)

    def open_finder(self) -> ImageFinder:
        """What finds the rows' files; what it does not find is counted in `missing`."""
        return ImageFinder(self.roots, self.missing)

    @property
    def recipe(self) -> Recipe:
        return Recipe(self.size, self.strip, frame=self.frame)


@dataclass(frozen=True)
class ExportPart:
    """One file of an export, before it is written."""

    path: StoragePath
    rows: int
    bytes: int | None  # of images inside; None: not known before it is written
    there: bool  # whole already, so it will be kept


@dataclass(frozen=True)
class ExportResult:
    """What an export wrote, or found written by an earlier run of the same job."""

    files: tuple[StoragePath, ...]
    rows: int
    bytes: int  # of the files
    kept: int = 0  # files that were there already
    left_out: Mapping[str, int] = field(default_factory=dict)  # what the output lacks, in words -> rows
    count: int | None = None  # of files, where `files` names just their folder
    missing: MissingFiles = field(
        default_factory=MissingFiles
    )  # images that rows name and that are not found
    unusable: int = 0  # rows that it lacks, or whose image it lacks, though nobody asked for that


def prepare_job(job: Job) -> Job:
    """The job with just the rows that are asked for, and its classes; UnknownName for a split that no row has."""
    missing = {"dataset", "path"} - set(job.rows.column_names)
    if missing:
        raise BadTable(f"the manifest has no column {' and no column '.join(sorted(missing))}")
    label = class_column(job.table)
    job = replace(
        job,
        label=label,
        classes=class_names(job.table, label),
        lesions=has_lesion_masks(job.table),
        structures=structure_names(job.table),
        box_names=list_box_names(job.table),
    )
    if job.fold is not None:
        job = replace(job, table=set_fold_parts(job.table, job.fold))
    if job.split is not None:
        job = replace(job, table=select_split(job.table, job.split))
    if job.redistributable:
        reasons = restriction_reasons(job.table, job.entries, adapted=job.recipe.resizes)
        job = leave_out_rows(job, reasons, unusable=0)
    return job


def leave_out_rows(job: Job, reasons: Sequence[str | None], *, unusable: int | None = None) -> Job:
    """The job without the rows that have a reason to be left out; they are listed in `left`.

    `unusable`: how many of them nobody asked to be left out; all of them by default.
    """
    table, left = partition_rows(job.table, reasons)
    count = job.unusable + (left.num_rows if unusable is None else unusable)
    return replace(job, table=table, left=pa.concat_tables([job.left, left]), unusable=count)


def leave_out_unclassed(job: Job) -> Job:
    """The job without the rows that have no class, which is asked for where a label space decides on classes."""
    asked = job.label == CLASS_COLUMNS[0]
    return leave_out_rows(job, missing_class_reasons(job.table, job.label), unusable=0 if asked else None)


def select_split(table: pa.Table, split: str) -> pa.Table:
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
    """Our own split where there is one, else the publisher's; UsageError where rows are in folds and in no parts."""
    named = [name for name in ("split", "split_official") if name in table.column_names]
    refuse_folds(table)
    if not named:
        raise UsageError("the manifest has no split", hint="run `dermdata split` first")
    return next((name for name in named if has_words(table, name)), named[0])


def refuse_folds(table: pa.Table) -> None:
    """UsageError where rows are in folds and in no parts."""
    if has_words(table, "fold") and not has_words(table, "split"):
        raise UsageError(
            f"the rows are in {count_nouns(count_folds(table), 'fold')}, and in no parts",
            hint="--fold K: the rows of fold K are val, those of the others train",
        )


def has_words(table: pa.Table, name: str) -> bool:
    """Whether any row has a value in the column."""
    return name in table.column_names and table[name].null_count < table.num_rows


def count_folds(table: pa.Table) -> int:
    """How many of our own folds the rows are in."""
    return len(pc.unique(table["fold"]).drop_null()) if "fold" in table.column_names else 0


def set_fold_parts(table: pa.Table, fold: int) -> pa.Table:
    """The rows with parts: `val` for this fold, `train` for the others.

    Our own folds count, or the publisher's where we have none. A row in no fold, or in a part of another name (the test
    set that `split --official --folds` kept), stays where it is.

    Raises
    ------
    UsageError, UnknownName
        Where there are no folds, or not this one.

    """
    column = next((name for name in ("fold", "fold_official") if has_words(table, name)), None)
    if column is None:
        raise UsageError("no row is in a fold", hint="make folds: dermdata split TARGET --folds 5 -o OUT")
    numbers = table[column].combine_chunks().cast(pa.int64())
    known = sorted(number for number in pc.unique(numbers).to_pylist() if number is not None)
    if fold not in known:
        shown = ", ".join(map(str, known))
        raise UnknownName("fold", str(fold), map(str, known), hint=f"{column} is one of {shown}")
    before = text_column(table, "split")
    if column == "fold_official" and not has_words(table, "split"):
        before = text_column(table, "split_official")
    by_fold = pc.if_else(pc.equal(numbers, fold), "val", "train")
    other = pc.invert(pc.is_in(before, pa.array(["train", "val", None], pa.string())))
    words = pc.if_else(pc.or_(pc.is_null(numbers), other), before, by_fold)
    if "split" not in table.column_names:
        return table.append_column("split", words)
    place = table.schema.get_field_index("split")
    kind = table.schema.field(place)
    return table.set_column(place, kind, words.dictionary_encode().cast(kind.type))


def output_stem(job: Job) -> str:
    """The name of the output without its ending: the dataset, or `images` for several; then the split."""
    datasets = distinct_words(job.table, "dataset")
    parts = [datasets[0] if len(datasets) == 1 else "images", *([job.split] if job.split else [])]
    return "-".join(map(slugify, parts))


def single_file_path(job: Job, ending: str) -> Path:
    """Where a format of one file writes: OUT itself, or `<stem><ending>` in OUT if that is or looks like a folder."""
    if job.out.is_dir() or not job.out.suffix:
        return require_folder(job.out) / f"{output_stem(job)}{ending}"
    return job.out


def require_folder(out: Path) -> Path:
    """OUT as a folder; UsageError when it is a file."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file, a folder is needed", hint="give another -o OUT")
    return out


def foreign_files_error(out: Storage, names: Sequence[str], what: str = "what") -> UsageError:
    """What a folder is refused with that holds files (`what`: "tables that") of others."""
    shown = ", ".join(names[:NAMES_SHOWN]) + (", …" if len(names) > NAMES_SHOWN else "")
    return UsageError(
        f"{out} holds {what} dermdata did not export ({shown})",
        hint="give an empty folder, so that the two cannot be mixed up",
    )


# ------------------------------------------------------------------ licenses, datasets and changes


def license_names(job: Job) -> list[str]:
    """The licenses that the rows name, sorted."""
    return distinct_words(job.table, "license")


def catalog_entries(job: Job) -> list[Dataset]:
    """The catalog's entries of the rows' datasets, by name."""
    return [job.entries[name] for name in distinct_words(job.table, "dataset") if name in job.entries]


def distinct_words(table: pa.Table, column: str) -> list[str]:
    return sorted(filter(None, pc.unique(text_column(table, column)).to_pylist()))


def describe_changes(job: Job) -> str:
    size = f"at most {job.size} pixels on the longest side. " if job.size else ""
    if job.frame:
        size = f"{job.frame.width} x {job.frame.height} pixels each ({job.frame.fit}). "
    return size + ("EXIF, XMP, IPTC and comments removed." if job.strip else "")


# ------------------------------------------------------------------ classes and structures


def class_column(table: pa.Table) -> str:
    """The first of `label` and `diagnosis` that any row has; `diagnosis` where none has."""
    filled = [
        name
        for name in CLASS_COLUMNS
        if name in table.column_names and table[name].null_count < table.num_rows
    ]
    return (filled or [CLASS_COLUMNS[-1]])[0]


def row_classes(table: pa.Table, label: str) -> list[str | None]:
    """Each row's class; None where it has none."""
    found: list[str | None] = text_column(table, label).to_pylist()
    return found


def class_numbers(given: Sequence[str | None], classes: Sequence[str]) -> list[int | None]:
    place = {name: number for number, name in enumerate(classes)}
    return [None if word is None else place[word] for word in given]


def missing_class_reasons(table: pa.Table, label: str) -> list[str | None]:
    """For each row without a class the reason, None for the others."""
    stated = row_classes(table, "label_reason") if label == "label" else [None] * table.num_rows
    return [
        None if word is not None else reason or f"no {label}"
        for word, reason in zip(row_classes(table, label), stated, strict=True)
    ]


def has_lesion_masks(table: pa.Table) -> bool:
    return "mask_path" in table.column_names and table["mask_path"].null_count < table.num_rows


def structure_names(table: pa.Table) -> tuple[str, ...]:
    """The structures of the column `masks`, by name."""
    if "masks" not in table.column_names or table["masks"].null_count == table.num_rows:
        return ()
    return tuple(sorted({name for chunk in table["masks"].chunks if len(chunk) for name in map_keys(chunk)}))


def list_box_names(table: pa.Table) -> tuple[str, ...]:
    """What the rows' boxes are called, by name; UNNAMED_BOX for those that nothing is said of."""
    rows = table["boxes"].to_pylist() if "boxes" in table.column_names else []
    return tuple(sorted({box["label"] or UNNAMED_BOX for row in rows if row for box in row}))


def map_keys(chunk: pa.MapArray) -> list[str]:
    """The keys of these rows alone: a slice's own `keys` are those of the whole."""
    first, last = chunk.offsets[0].as_py(), chunk.offsets[-1].as_py()
    found: list[str] = pc.unique(chunk.keys.slice(first, last - first).cast(pa.string())).to_pylist()
    return found


# ------------------------------------------------------------------ splits


@dataclass(frozen=True)
class SplitPart:
    """The rows of one split; "" when the manifest is not split."""

    name: str
    rows: NDArray[np.int64]  # places in the table, in its order


def split_parts(table: pa.Table) -> list[SplitPart]:
    """train, val, test, other names in order, then `unsplit`; one part without a name when no row has a split."""
    words = row_splits(table)
    if words is None:
        return [SplitPart("", np.arange(table.num_rows))]
    usual = {name: place for place, name in enumerate(("train", "val", "test"))}
    names = sorted(set(words), key=lambda name: (name == UNSPLIT, usual.get(name, len(usual)), name))
    given: NDArray[Any] = np.array(words, dtype=object)
    return [SplitPart(name, np.flatnonzero(given == name)) for name in names]


def row_splits(table: pa.Table) -> list[str] | None:
    """Each row's split, or None where no row has one."""
    if not {"split", "split_official"} & {*table.column_names}:
        return None
    column = split_column(table)
    if not has_words(table, column):
        return None
    return [word or UNSPLIT for word in table[column].cast(pa.string()).to_pylist()]


def take_values(values: Sequence[Any], rows: NDArray[np.int64]) -> list[Any]:
    """The values in these places."""
    return [values[place] for place in rows.tolist()]
