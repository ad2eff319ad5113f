"""An audit inspects the images, groups the duplicates and runs every check."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dermdata.audit.data import AuditData, CheckSplit, row_names
from dermdata.audit.duplicate_groups import (
    DistinctFiles,
    DuplicateGroup,
    drop_contained_groups,
    group_near_duplicates,
    group_published_pairs,
    group_same_bytes,
    group_same_pixels,
)
from dermdata.audit.image_checks import (
    check_duplicate_ids,
    check_duplicates,
    check_extensions,
    check_label_conflicts,
    check_leaks,
    check_missing_files,
    check_orientation,
    check_private_metadata,
    check_readable,
    check_shared_isic_ids,
)
from dermdata.audit.inspection import MISSING_FILE, Inspection, InspectionCache, RowImage, inspect_images
from dermdata.audit.metadata_checks import (
    check_ages,
    check_confounding,
    check_counts,
    check_imbalance,
    check_known_issues,
    check_licenses,
    check_malignancy,
    check_missing_metadata,
    check_owners,
    check_patients,
    check_skin_tone,
)
from dermdata.crosswalks.extents import LabelComparer
from dermdata.engine import ExecutorFactory, thread_executor
from dermdata.errors import UnknownName
from dermdata.manifest.columns import shared_words, text_column
from dermdata.manifest.image_files import ImageFinder, NoRegularFile
from dermdata.manifest.missing_files import MissingFiles
from dermdata.model import Dataset, Finding
from dermdata.progress import Progress
from dermdata.projection import LabelStatements

Check = Callable[[AuditData], Iterable[Finding]]
CHECKS: tuple[Check, ...] = (
    check_readable, check_missing_files, check_extensions, check_orientation, check_private_metadata,
    check_duplicates, check_shared_isic_ids, check_duplicate_ids, check_label_conflicts, check_leaks,
    check_owners, check_patients, check_ages,
    check_skin_tone, check_imbalance, check_confounding, check_malignancy, check_missing_metadata,
    check_licenses, check_counts, check_known_issues,
)  # fmt: skip
NEEDS_IMAGES = (
    "image-unreadable", "image-truncated", "duplicate-exact", "duplicate-pixels", "duplicate-near", "leak-image",
    "label-conflict", "id-conflict", "exif-private", "image-turned",
)  # fmt: skip
CODES = (
    *NEEDS_IMAGES, "leak-patient", "leak-lesion", "count-differs", "metadata-missing", "class-imbalance",
    "skin-tone-coverage", "malignancy-differs", "license-mix", "known-issue",
)  # fmt: skip
LEVELS = ("error", "warning", "note")


@dataclass(frozen=True, kw_only=True)
class AuditOptions:
    """What is asked of an audit.

    Parameters
    ----------
    near : bool, default False
        Whether near duplicates are looked for as well, for which images are compared.
    codes : frozenset of str
        The codes of the findings that are wanted, see `choose_codes`.
    jobs : int, default 1
        Workers.
    make : callable
        Makes the executor that inspects images; threads by default.

    """

    near: bool = False
    codes: frozenset[str] = frozenset(CODES)
    jobs: int = 1
    make: ExecutorFactory = thread_executor


@dataclass(frozen=True, kw_only=True)
class AuditContext:
    """What is known of the rows' datasets beside the rows.

    Parameters
    ----------
    statements : LabelStatements
        What the datasets' label words mean.
    judge : LabelComparer
        Says whether two labels contradict each other.
    entries : mapping of str to Dataset
        Catalog entries by name.
    roots : mapping of str to Path
        Where the paths of each dataset's rows start; "" for rows without a dataset.
    inspection_folders : mapping of str to Path
        Where results of inspecting a dataset's images may be cached.
    complete_datasets : frozenset of str
        Datasets of which every row is here: their counts are compared with the catalog's.
    fetched_roles : mapping of str to collection of str
        Which kinds of files of a dataset are here: masks that are not here are not counted.
    check_split : callable, optional
        Gives the findings about the split of a table, see `dermdata.split.check_split`.
    published_pairs : sequence of (str, str)
        Keys of images that published lists call copies of each other.
    missing : MissingFiles
        Counts the images that rows name and that are not found.
    allow_missing : bool, default False
        Such images are no findings.

    """

    statements: LabelStatements
    judge: LabelComparer
    entries: Mapping[str, Dataset] = field(default_factory=dict)
    roots: Mapping[str, Path] = field(default_factory=dict)
    inspection_folders: Mapping[str, Path] = field(default_factory=dict)
    complete_datasets: frozenset[str] = frozenset()
    fetched_roles: Mapping[str, Collection[str]] = field(default_factory=dict)
    check_split: CheckSplit | None = None
    published_pairs: Sequence[tuple[str, str]] = ()
    missing: MissingFiles = field(default_factory=MissingFiles)
    allow_missing: bool = False


def choose_codes(only: Sequence[str], skip: Sequence[str]) -> frozenset[str]:
    """The codes of the findings that are asked for.

    Parameters
    ----------
    only : sequence of str
        Codes; empty for all of `CODES`.
    skip : sequence of str
        Codes to leave out.

    Returns
    -------
    frozenset of str

    Raises
    ------
    UnknownName
        For a word that is no code.

    """
    for code in (*only, *skip):
        if code not in CODES:
            raise UnknownName("finding", code, CODES, hint=f"one of {', '.join(CODES)}")
    return frozenset(only or CODES) - frozenset(skip)


def drop_repeated_keys(table: pa.Table) -> pa.Table:
    """Keep the first row of each key.

    Parameters
    ----------
    table : pyarrow.Table
        May have rows twice, as where a manifest and a selection of it are audited together.

    Returns
    -------
    pyarrow.Table

    """
    keys = np.array(row_names(table))
    _, first = np.unique(keys, return_index=True)
    return table if len(first) == len(keys) else table.take(pa.array(np.sort(first)))


def run_audit(
    table: pa.Table, context: AuditContext, wanted: AuditOptions, progress: Progress
) -> list[Finding]:
    """Find what is wrong with a manifest and its images.

    Images are inspected only where a finding that is asked for needs them. Nothing in the cache changes but the
    cached results of inspections.

    Parameters
    ----------
    table : pyarrow.Table
        In the manifest's schema, each key once (`drop_repeated_keys`).
    context : AuditContext
        What is known of the rows' datasets.
    wanted : AuditOptions
        What is asked for.
    progress : Progress
        Gets the counts of inspected images, and notes.

    Returns
    -------
    list of Finding
        The gravest first, then by code, then in the order of the rows.

    """
    data = collect_data(table, context, wanted, progress)
    found = [one for check in CHECKS for one in check(data) if one.code in wanted.codes]
    return sorted(found, key=severity_order)


def severity_order(one: Finding) -> tuple[int, int]:
    return LEVELS.index(one.level), CODES.index(one.code)


def collect_data(
    table: pa.Table, context: AuditContext, wanted: AuditOptions, progress: Progress
) -> AuditData:
    inspections: list[Inspection | None] | None = None
    found: list[DuplicateGroup] = []
    if wanted.codes & set(NEEDS_IMAGES):
        images = row_images(table, context)
        names = {image.dataset for image in images if image}
        caches = {
            name: InspectionCache(context.inspection_folders.get(name), progress) for name in sorted(names)
        }
        with wanted.make(wanted.jobs) as pool:
            inspections = inspect_images(images, caches, pool, wanted.jobs, progress)
            table = replace_digests(table, inspections)
            found = group_duplicates(table, images, inspections, caches, wanted, pool)
    data = AuditData(
        table=table,
        statements=context.statements,
        judge=context.judge,
        entries=context.entries,
        complete_datasets=context.complete_datasets,
        fetched_roles=context.fetched_roles,
        inspections=inspections,
        check_split=context.check_split,
    )
    listed = group_published_pairs(data.keys, context.published_pairs)
    return replace(data, duplicates=tuple(drop_contained_groups([*found, *listed])))


def row_images(table: pa.Table, context: AuditContext) -> list[RowImage | None]:
    """Each row's image file; None where it has none."""
    finder = ImageFinder(context.roots, context.missing)

    def file(path: str | None, dataset: str | None) -> tuple[str, str | None] | None:
        """Where a row's image is, and why it cannot be opened."""
        if path is None:
            return None
        try:
            found, problem = finder.find(path, dataset), MISSING_FILE
        except NoRegularFile as error:
            found, problem = None, f"the file cannot be read: it {error.why}"
        if context.allow_missing and problem == MISSING_FILE and not found:
            return None
        return (found, None) if found else (finder.absolute_path(path, dataset), problem)

    names = shared_words(text_column(table, "dataset"))
    paths, digests = (text_column(table, name).to_pylist() for name in ("path", "sha256"))
    sizes = table["bytes"].to_pylist() if "bytes" in table.column_names else [None] * table.num_rows
    return [
        found and RowImage(name=found[0], dataset=dataset or "", sha256=digest, bytes=size, problem=found[1])
        for found, dataset, digest, size in zip(
            finder.map_rows(table, paths, file), names, digests, sizes, strict=True
        )
    ]


def group_duplicates(
    table: pa.Table,
    images: Sequence[RowImage | None],
    inspections: Sequence[Inspection | None],
    caches: Mapping[str, InspectionCache],
    wanted: AuditOptions,
    pool: Executor,
) -> list[DuplicateGroup]:
    files = DistinctFiles(images, inspections, *stated_of_others(table, inspections))
    same_pixels = group_same_pixels(files, pool, wanted.jobs)
    near = group_near_duplicates(files, same_pixels, caches, pool, wanted.jobs) if wanted.near else []
    return [*group_same_bytes(files), *same_pixels, *near]


def stated_of_others(
    table: pa.Table, inspections: Sequence[Inspection | None]
) -> tuple[list[str | None], list[bytes | None]]:
    """Each row's digest, and the perceptual hash where no file was inspected: what was seen is not made once more."""
    stated = text_column(table, "sha256")
    hashes = (
        table["phash"].combine_chunks()
        if "phash" in table.column_names
        else pa.nulls(table.num_rows, pa.binary())
    )
    rows = list(enumerate(inspections))
    digests = [one.sha256 if one and one.sha256 else stated[row].as_py() for row, one in rows]
    return digests, [None if one else hashes[row].as_py() for row, one in rows]


def replace_digests(table: pa.Table, inspections: Sequence[Inspection | None]) -> pa.Table:
    """The table with the digest of each file as it is here."""
    seen = pa.array((one.sha256 if one else None for one in inspections), pa.string())
    column = pc.coalesce(seen, text_column(table, "sha256"))
    if "sha256" not in table.column_names:
        return table.append_column("sha256", column)
    return table.set_column(table.column_names.index("sha256"), "sha256", column)
