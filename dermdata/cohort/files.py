"""Whether the files of a cohort's rows are the images and masks that its rows and the cache's own lists say."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from dermdata.cohort.rebuilt import Difference
from dermdata.images.image_file import sha256_of_image_file
from dermdata.manifest.image_files import ImageFinder, NoRegularFile
from dermdata.progress import Progress
from dermdata.projection import words_of

TASK = "check images"
BATCH = 32  # files: handing over a small one costs as much as hashing it
MISSING = "missing"
Listed = Callable[
    [str], Iterable[tuple[str, str]]
]  # of a dataset: path and SHA-256 of each file of its folder


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file that a row names."""

    row: int
    column: str  # that names it
    dataset: str
    name: str  # as the manifest has it
    path: str | None  # where it is
    sha256: str | None  # what the manifest says that it is
    problem: str | None = None  # why it cannot be opened


def wrong_files(
    table: pa.Table, roots: Mapping[str, Path], listed: Listed, jobs: int, progress: Progress
) -> list[Difference]:
    """Every row whose image or mask is missing, unreadable or has other bytes; each different file is read once.

    Parameters
    ----------
    table : Table
        A manifest; images must have the `sha256` of their rows.
    roots : mapping
        Where the datasets' files are.
    listed : callable
        What a dataset's folder holds by the cache's own list: that tells what masks must be, and images of rows
        without `sha256`. Of files that it does not name nothing is known, so they are not judged.
    jobs : int
        Threads; reading and hashing let each other run.
    progress : Progress
        Told of each file.

    """
    named = with_digests(list(files_of(table, ImageFinder(roots))), listed)
    paths = list(dict.fromkeys(one.path for one in named if one.path))
    progress.begin(TASK, len(paths), "files")
    found = dict(zip(paths, hashed(paths, jobs, progress), strict=True))
    progress.end(TASK)
    keys = words_of(table, "key").to_pylist()
    differences = []
    for one in named:
        now = found[one.path] if one.path else one.problem or MISSING
        if now != one.sha256:
            kind, column = ("image", "sha256") if one.column == "path" else ("mask", one.column)
            differences.append(
                Difference(key=keys[one.row], problem=kind, column=column, was=one.sha256, now=now)  # type: ignore[arg-type]
            )
    return differences


def files_of(table: pa.Table, finder: ImageFinder) -> Iterator[NamedFile]:
    """The files that rows name, in the rows' order by column."""
    digests = words_of(table, "sha256").to_pylist()
    for column in ("path", "mask_path", "masks"):
        if column not in table.column_names:
            continue
        rows: list[Any] = table[column].to_pylist()
        names = (
            [[path for _, path in row or ()] for row in rows]
            if column == "masks"
            else [[one] for one in rows]
        )

        def look(
            row: Sequence[str | None], dataset: str | None
        ) -> list[tuple[str, str, str | None, str | None]]:
            return [(name, dataset or "", *place(finder, name, dataset)) for name in row if name is not None]

        for number, found in enumerate(finder.of_rows(table, names, look)):
            for name, dataset, path, problem in found:
                said = digests[number] if column == "path" else None
                yield NamedFile(number, column, dataset, name, path, said and said.lower(), problem)


def place(finder: ImageFinder, name: str, dataset: str | None) -> tuple[str | None, str | None]:
    """Where a file is, or why it cannot be opened."""
    try:
        return finder.find(name, dataset), None
    except NoRegularFile as error:
        return None, f"unreadable: it {error.why}"


def with_digests(named: Sequence[NamedFile], listed: Listed) -> list[NamedFile]:
    """The files of which it is known what they must be."""
    wanted: dict[str, dict[str, str]] = {}
    for one in named:
        if one.sha256 is None:
            wanted.setdefault(one.dataset, {})[one.name] = ""
    for dataset, digests in wanted.items():
        digests.update((path, sha256) for path, sha256 in listed(dataset) if path in digests)
    known = [
        one
        if one.sha256
        else NamedFile(
            one.row, one.column, one.dataset, one.name, one.path, wanted[one.dataset][one.name], one.problem
        )
        for one in named
    ]
    return [one for one in known if one.sha256]


def hashed(paths: Sequence[str], jobs: int, progress: Progress) -> Iterator[str]:
    """The SHA-256 of each file; in words why one cannot be read."""
    batches = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
    with ThreadPoolExecutor(jobs) as pool:
        for done in pool.map(digests_of, batches):
            progress.advance(TASK, len(done))
            yield from done


def digests_of(paths: Sequence[str]) -> list[str]:
    return [digest_of(path) for path in paths]


def digest_of(path: str) -> str:
    try:
        return sha256_of_image_file(path)
    except FileNotFoundError:
        return MISSING
    except OSError as error:
        return f"unreadable: {error.strerror}"


def shown(differences: Sequence[Difference], most: int = 3) -> str:
    """The first rows in words, each with what became of its file."""
    some = [f"{one.key} ({fate(one)})" for one in itertools.islice(differences, most)]
    return ", ".join(some) + (", …" if len(differences) > most else "")


def fate(one: Difference) -> str:
    whole = str(one.now)
    state = "altered" if len(whole) == 64 and " " not in whole else whole
    return f"mask {state}" if one.problem == "mask" else state
