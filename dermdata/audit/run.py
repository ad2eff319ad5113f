"""The whole audit: look at the images, join the copies, run every check."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from dermdata.agreement import Judge
from dermdata.audit import copies, coverage, files, people, pictures, stated
from dermdata.audit.copies import Copies, Pictures
from dermdata.audit.looking import MISSING, Image, Seen, looked_at
from dermdata.audit.seen import Shelf
from dermdata.audit.subject import CheckSplit, Subject, names_of
from dermdata.engine import Make, executor
from dermdata.errors import UnknownName
from dermdata.finding import Finding
from dermdata.manifest.image_files import ImageFinder, NoRegularFile
from dermdata.model import Dataset
from dermdata.progress import Progress
from dermdata.projection import Statements, words_of

Check = Callable[[Subject], Iterable[Finding]]
CHECKS: tuple[Check, ...] = (
    files.unreadable, files.absent, files.misnamed, files.private,
    pictures.duplicates, pictures.shared_ids, pictures.several_ids, pictures.conflicts, pictures.leaks,
    people.owners, people.persons, people.ages,
    coverage.skin_tone, coverage.imbalance, coverage.confined, coverage.missing,
    stated.licences, stated.counts, stated.known_issues,
)  # fmt: skip
NEEDS_IMAGES = (
    "image-unreadable", "image-truncated", "duplicate-exact", "duplicate-pixels", "duplicate-near", "leak-image",
    "label-conflict", "id-conflict", "exif-private",
)  # fmt: skip
CODES = (
    *NEEDS_IMAGES, "leak-patient", "leak-lesion", "count-differs", "metadata-missing", "class-imbalance",
    "skin-tone-coverage", "license-mix", "known-issue",
)  # fmt: skip
LEVELS = ("error", "warning", "note")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is asked of an audit."""

    near: bool = False
    codes: frozenset[str] = frozenset(CODES)
    jobs: int = 1
    make: Make = executor  # who looks at images


@dataclass(frozen=True, kw_only=True)
class Context:
    """What the rows' datasets are: entries, words, folders; `kept` are folders in which looks may be kept."""

    statements: Statements
    judge: Judge
    entries: Mapping[str, Dataset] = field(default_factory=dict)
    roots: Mapping[str, Path] = field(default_factory=dict)  # dataset ("" for none) -> where its paths start
    kept: Mapping[str, Path] = field(default_factory=dict)
    whole: frozenset[str] = frozenset()
    check_split: CheckSplit | None = None
    listed: Sequence[tuple[str, str]] = ()  # pairs of keys that published lists call copies


def codes_of(only: Sequence[str], skip: Sequence[str]) -> frozenset[str]:
    """The codes that are asked for; UnknownName for a word that is none."""
    for code in (*only, *skip):
        if code not in CODES:
            raise UnknownName("finding", code, CODES, hint=f"one of {', '.join(CODES)}")
    return frozenset(only or CODES) - frozenset(skip)


def once(table: pa.Table) -> pa.Table:
    """Each key once: of rows with one key, as where a manifest and a selection of it are given, the first stays."""
    keys = np.array(names_of(table))
    _, first = np.unique(keys, return_index=True)
    return table if len(first) == len(keys) else table.take(pa.array(np.sort(first)))


def audit(table: pa.Table, context: Context, wanted: Wanted, progress: Progress) -> list[Finding]:
    """All findings about a manifest, the gravest first, then by code, then as the rows lie.

    Images are looked at only where a finding that is asked for needs them. Of the cache nothing is changed but the
    record of what was seen.
    """
    subject = subject_of(table, context, wanted, progress)
    found = [one for check in CHECKS for one in check(subject) if one.code in wanted.codes]
    return sorted(found, key=rank)


def rank(one: Finding) -> tuple[int, int]:
    return LEVELS.index(one.level), CODES.index(one.code)


def subject_of(table: pa.Table, context: Context, wanted: Wanted, progress: Progress) -> Subject:
    seen: list[Seen | None] | None = None
    found: list[Copies] = []
    if wanted.codes & set(NEEDS_IMAGES):
        images = images_of(table, context)
        names = {image.dataset for image in images if image}
        shelves = {name: Shelf(context.kept.get(name), progress) for name in sorted(names)}
        with wanted.make(wanted.jobs) as pool:
            seen = looked_at(images, shelves, pool, wanted.jobs, progress)
            table = with_digests(table, seen)
            found = copies_of(table, images, seen, shelves, wanted, pool)
    subject = Subject(
        table=table,
        statements=context.statements,
        judge=context.judge,
        entries=context.entries,
        whole=context.whole,
        seen=seen,
        check_split=context.check_split,
    )
    listed = copies.listed(subject.keys, context.listed)
    return replace(subject, copies=tuple(copies.told_once([*found, *listed])))


def images_of(table: pa.Table, context: Context) -> list[Image | None]:
    """Each row's image file; None where it has none."""
    finder = ImageFinder(context.roots)

    def file(path: str | None, dataset: str | None) -> tuple[Path, str | None] | None:
        """Where a row's image is, and why it cannot be opened."""
        if path is None:
            return None
        try:
            found, problem = finder.find(path, dataset), MISSING
        except NoRegularFile as error:
            found, problem = None, f"the file cannot be read: it {error.why}"
        return (Path(found), None) if found else (Path(finder.named(path, dataset)), problem)

    names, paths, digests = (words_of(table, name).to_pylist() for name in ("dataset", "path", "sha256"))
    sizes = table["bytes"].to_pylist() if "bytes" in table.column_names else [None] * table.num_rows
    return [
        found and Image(path=found[0], dataset=dataset or "", sha256=digest, bytes=size, problem=found[1])
        for found, dataset, digest, size in zip(
            finder.of_rows(table, paths, file), names, digests, sizes, strict=True
        )
    ]


def copies_of(
    table: pa.Table,
    images: Sequence[Image | None],
    seen: Sequence[Seen | None],
    shelves: Mapping[str, Shelf],
    wanted: Wanted,
    pool: Executor,
) -> list[Copies]:
    there = "phash" in table.column_names
    phash = table["phash"].to_pylist() if there else [None] * table.num_rows
    pictures = Pictures(images, seen, words_of(table, "sha256").to_pylist(), phash)
    alike = copies.same_pixels(pictures, pool, wanted.jobs)
    near = copies.near(pictures, alike, shelves, pool, wanted.jobs) if wanted.near else []
    return [*copies.exact(pictures), *alike, *near]


def with_digests(table: pa.Table, seen: Sequence[Seen | None]) -> pa.Table:
    """The table with the digest of each file as it is here."""
    stated = words_of(table, "sha256").to_pylist()
    actual = [one.sha256 if one and one.sha256 else said for one, said in zip(seen, stated, strict=True)]
    column = pa.array(actual, pa.string())
    if "sha256" not in table.column_names:
        return table.append_column("sha256", column)
    return table.set_column(table.column_names.index("sha256"), "sha256", column)
