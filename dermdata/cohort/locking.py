"""Locks a manifest's rows, rebuilds them from the datasets' own manifests, and lists whatever differs."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.cohort.lock_file import (
    LOCK_COLUMNS,
    PATH_COLUMNS,
    SET_PREFIX,
    SOURCE_COLUMNS,
    TOLD_PREFIX,
    CohortLock,
    DatasetLock,
    column_values,
    command_history,
    concat_sources,
    is_same_column,
    require_keys,
    row_digests,
    take_source_rows,
)
from dermdata.errors import BadTable
from dermdata.images.image_file import hash_image_file
from dermdata.manifest.columns import decode_dictionary, text_column
from dermdata.manifest.image_files import ImageFinder, NoRegularFile
from dermdata.manifest.parquet import cast_column, manifest_metadata
from dermdata.markup import count_nouns
from dermdata.progress import Progress

# a lock's own: `sync` takes parts by ranges and holds each image to the locked SHA-256
ALWAYS_LOCKED = "verified"
SHOWN_COLUMNS = ("label_raw", "diagnosis", "label", "split", "fold")  # so that a difference can be named
SHA256_TYPE = LOCK_COLUMNS["sha256"]
CHECK_TASK = "check images"
BATCH_FILES = 32  # handing over a small one costs as much as hashing it
MISSING_FILE = "missing"
# of a dataset: path and SHA-256 of each file of its folder
ListCachedFiles = Callable[[str], Iterable[tuple[str, str]]]


@dataclass(frozen=True, kw_only=True)
class RowDifference:
    """A row that is not what it was when the cohort was locked."""

    key: str
    problem: Literal["gone", "image", "mask", "value"]
    column: str | None  # None: some column that the lock does not hold by itself
    was: Any
    now: Any


def lock_rows(
    table: pa.Table, bases: Mapping[str, pa.Table], datasets: Sequence[DatasetLock], tool: str
) -> CohortLock:
    """Lock a cohort.

    Parameters
    ----------
    table : pyarrow.Table
        The cohort's manifest.
    bases : mapping of str to pyarrow.Table
        The datasets' own manifests by name.
    datasets : sequence of DatasetLock
        The datasets as they are now.
    tool : str
        Name and version of the program.

    Returns
    -------
    CohortLock

    Raises
    ------
    BadTable
        When a row is of no dataset here, or names another image than its dataset: it could not be rebuilt.

    """
    keys = require_keys(table)
    base = concat_sources(bases)
    given = take_source_rows(keys, base)
    require_known_rows(keys, given, bases)
    table = restore_source_paths(table, given)
    own = [
        name for name in table.column_names if name == ALWAYS_LOCKED or not is_from_source(name, table, given)
    ]
    require_own_images(table, given, own)
    rows = {
        "key": keys,
        "sha256": pack_sha256(text_column(table, "sha256")),
        "digest": row_digests(table, table.column_names),
    }
    rows |= {
        f"{TOLD_PREFIX}{name}": decode_dictionary(table[name])
        for name in SHOWN_COLUMNS
        if name in table.column_names and name not in own
    }
    rows |= {f"{SET_PREFIX}{name}": decode_dictionary(table[name]) for name in own}
    return CohortLock(
        datasets=tuple(datasets),
        tool=tool,
        commands=command_history(manifest_metadata(table)),
        schema=table.schema,
        rows=pa.table(rows),
    )


def require_known_rows(keys: pa.Array, given: pa.Table, bases: Mapping[str, pa.Table]) -> None:
    missing = keys.filter(pc.is_null(given["key"].combine_chunks()))
    if len(missing):
        raise BadTable(
            f"{count_nouns(len(missing), 'row', 'are')} in no manifest of {', '.join(bases)}, the first is {missing[0]}",
            hint="a lock can only rebuild rows of datasets that are in the cache",
        )


def restore_source_paths(table: pa.Table, given: pa.Table) -> pa.Table:
    """The table with its sources' own relative paths, where it names the same files by absolute ones, as an export does."""
    for name in PATH_COLUMNS:
        if name not in table.column_names or name not in given.column_names:
            continue
        pairs = zip(table[name].to_pylist(), given[name].to_pylist(), strict=True)
        if all(is_same_path(mine, own) for mine, own in pairs):
            place = table.column_names.index(name)
            column = cast_column(given[name], table[name].type)
            table = table.set_column(place, table.schema.field(name), column)
    return table


def is_same_path(mine: Any, own: Any) -> bool:
    """Whether two paths, or two lists of named masks, are one below the dataset's folder, wherever that lies."""
    if mine == own or mine is None or own is None:
        return bool(mine == own)
    if isinstance(mine, str):
        return mine.startswith("/") and mine.endswith(f"/{own}")
    return len(mine) == len(own) and all(
        name == named and is_same_path(path, whole)
        for (name, path), (named, whole) in zip(mine, own, strict=True)
    )


def require_own_images(table: pa.Table, given: pa.Table, own: Sequence[str]) -> None:
    """BadTable for rows that name another image than their dataset does; none at all may be named."""
    for name in SOURCE_COLUMNS:
        if name not in own or table[name].null_count == table.num_rows:
            continue
        theirs = given[name].to_pylist() if name in given.column_names else [None] * table.num_rows
        differing = [row for row, mine in enumerate(table[name].to_pylist()) if mine != theirs[row]]
        first = require_keys(table)[differing[0]] if differing else "the first row"
        raise BadTable(
            f"{count_nouns(len(differing), 'row', 'name')} another image than "
            f"their dataset (column {name}), the first is {first}",
            hint="a lock holds the datasets' own images: make the manifest again with `dermdata select`",
        )


def is_from_source(name: str, table: pa.Table, given: pa.Table) -> bool:
    return name in given.column_names and is_same_column(
        table[name], cast_column(given[name], table[name].type)
    )


def pack_sha256(words: pa.Array) -> pa.Array:
    """SHA-256 as 32 bytes instead of 64 digits; BadTable for what is none."""
    try:
        return pa.array(
            [None if word is None else bytes.fromhex(word) for word in words.to_pylist()], SHA256_TYPE
        )
    except (ValueError, pa.ArrowInvalid) as error:
        raise BadTable(f"a sha256 of the manifest is none: {error}") from error


def rebuild_rows(lock: CohortLock, bases: Mapping[str, pa.Table]) -> pa.Table:
    """Rebuild the manifest that was locked from the datasets' manifests of today; `compare_rows` compares it.

    Parameters
    ----------
    lock : CohortLock
        The cohort.
    bases : mapping of str to pyarrow.Table
        The datasets' own manifests by name.

    Returns
    -------
    pyarrow.Table

    Raises
    ------
    BadTable
        For a column that is not of its type.

    """
    keys = lock.rows["key"].combine_chunks()
    given = take_source_rows(keys, concat_sources(bases))
    columns = []
    for field in lock.schema:
        name = f"{SET_PREFIX}{field.name}"
        column = lock.rows[name] if name in lock.rows.column_names else source_column(given, field)
        columns.append(cast_locked(column, field))
    return pa.Table.from_arrays(columns, schema=lock.schema)


def cast_locked(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    try:
        return cast_column(column, field.type)
    except (pa.ArrowException, ValueError) as error:
        raise BadTable(f"the lock's column {field.name} is no {field.type}: {error}") from error


def source_column(given: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    """Null where the manifests of today have no such column: every row will differ, and be named."""
    if field.name in given.column_names:
        return given[field.name]
    return pa.chunked_array([pa.nulls(given.num_rows, field.type)])


def compare_rows(lock: CohortLock, table: pa.Table) -> list[RowDifference]:
    """List what differs in the rebuilt manifest.

    Parameters
    ----------
    lock : CohortLock
        The cohort.
    table : pyarrow.Table
        As `rebuild_rows` gives it.

    Returns
    -------
    list of RowDifference
        In the order of the rows; empty where every row is what it was.

    """
    then = lock.rows["digest"].combine_chunks()
    differing = pc.not_equal(row_digests(table, table.column_names), then)
    places = [row for row, differs in enumerate(differing.to_pylist()) if differs]
    if not places:
        return []
    some = table.take(places)
    return list(list_differences(lock.rows.take(places), some))


def list_differences(was: pa.Table, now: pa.Table) -> Iterator[RowDifference]:
    """What differs between the lock's rows and the manifest's; of each row what can be named, its image last."""
    changes = changed_values(was, now)
    rows = zip(
        was["key"].to_pylist(), text_column(now, "key").to_pylist(), image_pairs(was, now), strict=True
    )
    for row, (key, found, (locked, image)) in enumerate(rows):
        if found is None:
            yield RowDifference(key=key, problem="gone", column=None, was=key, now=None)
            continue
        for column, before, after in changes[row]:
            yield RowDifference(key=key, problem="value", column=column, was=before, now=after)
        if locked != image:
            yield RowDifference(key=key, problem="image", column="sha256", was=locked, now=image)
        elif not changes[row]:
            yield RowDifference(key=key, problem="value", column=None, was=None, now=None)


def changed_values(was: pa.Table, now: pa.Table) -> list[list[tuple[str, Any, Any]]]:
    """Of each row the columns that the lock shows and whose values differ: column, then, now."""
    found: list[list[tuple[str, Any, Any]]] = [[] for _ in range(was.num_rows)]
    for column in (one for one in was.column_names if one.startswith(TOLD_PREFIX)):
        name = column.removeprefix(TOLD_PREFIX)
        pairs = zip(found, plain_values(was, column), plain_values(now, name), strict=True)
        for changes, before, after in pairs:
            if before != after:
                changes.append((name, before, after))
    return found


def plain_values(table: pa.Table, name: str) -> list[Any]:
    """A column's values as any format can show them."""
    return [
        value if value is None or isinstance(value, str | int | float) else str(value)
        for value in column_values(table, name)
    ]


def image_pairs(was: pa.Table, now: pa.Table) -> Iterable[tuple[str | None, str | None]]:
    """Of each row the SHA-256 of its image as it is locked, and as it is."""
    locked = [digest and digest.hex() for digest in was["sha256"].to_pylist()]
    return zip(locked, text_column(now, "sha256").to_pylist(), strict=True)


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


def list_wrong_files(
    table: pa.Table, roots: Mapping[str, Path], listed: ListCachedFiles, jobs: int, progress: Progress
) -> list[RowDifference]:
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
    named = add_digests(list(list_named_files(table, ImageFinder(roots))), listed)
    paths = list(dict.fromkeys(one.path for one in named if one.path))
    progress.begin(CHECK_TASK, len(paths), "files")
    found = dict(zip(paths, hash_files(paths, jobs, progress), strict=True))
    progress.end(CHECK_TASK)
    keys = text_column(table, "key").to_pylist()
    differences = []
    for one in named:
        now = found[one.path] if one.path else one.problem or MISSING_FILE
        if now != one.sha256:
            kind, column = ("image", "sha256") if one.column == "path" else ("mask", one.column)
            differences.append(
                RowDifference(key=keys[one.row], problem=kind, column=column, was=one.sha256, now=now)  # type: ignore[arg-type]  # one of the kinds of a RowDifference
            )
    return differences


def list_named_files(table: pa.Table, finder: ImageFinder) -> Iterator[NamedFile]:
    """The files that rows name, in the rows' order by column."""
    digests = text_column(table, "sha256").to_pylist()

    def look(names: Sequence[str], dataset: str | None) -> list[tuple[str, str, str | None, str | None]]:
        return [(name, dataset or "", *find_file(finder, name, dataset)) for name in names]

    for column in PATH_COLUMNS:
        if column not in table.column_names:
            continue
        names = [row_files(value) for value in table[column].to_pylist()]
        for number, found in enumerate(finder.map_rows(table, names, look)):
            for name, dataset, path, problem in found:
                stated = digests[number] if column == "path" else None
                yield NamedFile(number, column, dataset, name, path, stated and stated.lower(), problem)


def row_files(value: str | Sequence[tuple[str, str | None]] | None) -> list[str]:
    """The files that a row names in one column: one, or those of its named masks."""
    names = [value] if isinstance(value, str) else [path for _, path in value or ()]
    return [name for name in names if name is not None]


def find_file(finder: ImageFinder, name: str, dataset: str | None) -> tuple[str | None, str | None]:
    """Where a file is, or why it cannot be opened."""
    try:
        return finder.find(name, dataset), None
    except NoRegularFile as error:
        return None, f"unreadable: it {error.why}"


def add_digests(named: Sequence[NamedFile], listed: ListCachedFiles) -> list[NamedFile]:
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


def hash_files(paths: Sequence[str], jobs: int, progress: Progress) -> Iterator[str]:
    """The SHA-256 of each file; in words why one cannot be read."""
    batches = [paths[start : start + BATCH_FILES] for start in range(0, len(paths), BATCH_FILES)]
    with ThreadPoolExecutor(jobs) as pool:
        for done in pool.map(hash_batch, batches):
            progress.advance(CHECK_TASK, len(done))
            yield from done


def hash_batch(paths: Sequence[str]) -> list[str]:
    return [hash_file(path) for path in paths]


def hash_file(path: str) -> str:
    try:
        return hash_image_file(path)
    except FileNotFoundError:
        return MISSING_FILE
    except OSError as error:
        return f"unreadable: {error.strerror}"


def differences_text(differences: Sequence[RowDifference], most: int = 3) -> str:
    """The first rows in words, each with what became of its file."""
    some = [f"{one.key} ({file_fate(one)})" for one in itertools.islice(differences, most)]
    return ", ".join(some) + (", …" if len(differences) > most else "")


def file_fate(one: RowDifference) -> str:
    whole = str(one.now)
    state = "altered" if len(whole) == 64 and " " not in whole else whole
    return f"mask {state}" if one.problem == "mask" else state
