"""What a TARGET is: a dataset's name, a manifest's path, or `-` for an Arrow stream."""

import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from dermdata import places
from dermdata.api.resources import Resources
from dermdata.errors import BadTable, UsageError
from dermdata.export import about, reading
from dermdata.manifest import arrow, remote, store
from dermdata.manifest.image_files import ImageFinder, ImageRoots
from dermdata.manifest.rest import OnDisk, Rest, Rows, kept, on_disk
from dermdata.manifest.validate import without_views

if TYPE_CHECKING:
    from dermdata.duplicates import Alike

SUFFIXES = (".parquet", ".csv", ".jsonl", ".arrow")
ROWS = b"dermdata.stream-rows"  # only in streams
EMBEDDED = "image"  # the bytes that `export parquet --embed` adds: no command wants them in memory


@dataclass(frozen=True)
class Loaded:
    """The union of the targets, in the manifest's schema."""

    table: pa.Table
    roots: Mapping[str, Path]  # where the files of each dataset's rows are; "" for rows without dataset
    names: tuple[str, ...]  # the datasets that the rows are of
    rest: Rest | None = None  # where the columns are that the table has not

    def rows(self, table: pa.Table | None = None) -> Rows:
        """The rows of a table made of ours, all columns at hand."""
        return Rows(self.table if table is None else table, self.rest)

    @property
    def about(self) -> dict[str, str]:
        """The manifests' metadata, to be carried along."""
        return about.of(self.table)


@dataclass(frozen=True)
class Source:
    """One target, read."""

    table: pa.Table
    folder: Path | None  # of the manifest: its own images are beside it; None: it is the cache's own


def load(resources: Resources, targets: Sequence[str], columns: Sequence[str] | None = None) -> Loaded:
    """Read and join the targets; with `columns`, of the Parquet files only these (and `dataset`)."""
    if not all(targets) or not targets:
        raise UsageError("no TARGET given", hint="a dataset's name, a manifest's path, or - for a stream")
    wanted = None if columns is None else list(dict.fromkeys((*columns, "dataset")))
    sources = [opened(resources, target, wanted) for target in dict.fromkeys(targets)]
    for target, source in zip(dict.fromkeys(targets), sources, strict=True):
        store.check_version(source.table.schema, target)
    table = joined([source.table for source in sources])
    require_names(table)
    table = store.in_one_piece(table) if columns is None else table  # some columns are few: no copy of them
    roots = roots_of(resources, sources)
    if wanted is not None:
        table = table.select([name for name in table.column_names if name in wanted])
    return Loaded(table, roots, tuple(sorted(name for name in roots if name)))


def load_lean(
    resources: Resources, targets: Sequence[str], columns: Callable[[Sequence[str]], Sequence[str]]
) -> Loaded:
    """The targets with only the columns that `columns` chooses of all; what is no Parquet file here is loaded whole."""
    rest = rest_of(resources, list(dict.fromkeys(targets)))
    if rest is None:
        return load(resources, targets)
    loaded = load(resources, targets, kept(columns(rest.schema.names), rest.schema))
    return replace(loaded, table=rest.numbered(loaded.table), rest=rest)


def rest_of(resources: Resources, targets: Sequence[str]) -> Rest | None:
    """The targets' files, if all are Parquet and here."""
    try:
        files = [parquet_of(resources, target) for target in targets]
    except BadTable:
        return None  # `load` says what is wrong, and what to do
    return Rest(tuple(file for file in files if file)) if files and all(files) else None


def parquet_of(resources: Resources, target: str) -> OnDisk | None:
    """The Parquet file that a target is, if it is one: of others `opened` says what is wrong with them."""
    if target == "-" or places.is_remote(target):
        return None
    path = Path(target)
    if path.suffix not in SUFFIXES and target in resources.catalog:
        folder = resources.cache.folder(resources.catalog[target])
        there = folder.manifest.is_file()
        return on_disk(folder.manifest, EMBEDDED, with_maps, folder.damaged) if there else None
    return on_disk(path, EMBEDDED, with_maps) if path.suffix == ".parquet" and path.is_file() else None


def cached(resources: Resources) -> list[str]:
    """All datasets in the cache, as targets; UsageError when there is none."""
    here = resources.cache.cached_names()
    names = [
        name
        for name in resources.catalog
        if name in here and resources.cache.folder(resources.catalog[name]).manifest.exists()
    ]
    if not names:
        raise UsageError(
            "no dataset is in the cache", hint="`dermdata fetch NAME`, or give a manifest's path"
        )
    return sorted(names)


def near_of(loaded: Loaded) -> "Callable[[pa.Table], Alike]":
    """What finds the near duplicates among rows of the targets, on all cores."""

    def found(table: pa.Table) -> "Alike":
        from dermdata.duplicates import alike
        from dermdata.projection import words_of

        finder = ImageFinder(loaded.roots)

        def file(row: int) -> Path | None:
            found = finder.of_row(table, row)
            return Path(found) if found is not None else None

        there = "phash" in table.column_names
        hashes = table["phash"].to_pylist() if there else [None] * table.num_rows
        digests = words_of(table, "sha256").to_pylist()
        return alike(hashes, digests, file, jobs=os.cpu_count() or 1)

    return found


# ------------------------------------------------------------------ reading


def opened(resources: Resources, target: str, columns: list[str] | None) -> Source:
    if target == "-":
        return Source(of_stream(), Path.cwd())
    if places.is_remote(target):
        return Source(of_store(resources, target, columns), Path.cwd())
    path = Path(target)
    if path.suffix in SUFFIXES:
        return Source(of_file(resources, path, columns), path.absolute().parent)
    if target not in resources.catalog and (path.exists() or "/" in target):
        what = "is not a manifest" if path.exists() else "is not there"
        raise BadTable(f"{target} {what}", hint=f"a manifest ends in {', '.join(SUFFIXES)}")
    return of_cache(resources, target, columns)


def of_cache(resources: Resources, name: str, columns: list[str] | None) -> Source:
    dataset = resources.catalog[name]
    folder = resources.cache.folder(dataset)
    if not folder.manifest.exists():
        raise UsageError(f"{dataset.name} is not in the cache", hint=f"dermdata fetch {dataset.name}")
    try:
        return Source(store.read(folder.manifest, columns), None)
    except BadTable as error:
        raise folder.damaged(error.message) from error


def of_store(resources: Resources, url: str, columns: list[str] | None) -> pa.Table:
    """A manifest in an object store: of Parquet only what is needed, others by way of a copy here."""
    if not url.endswith(SUFFIXES):
        raise BadTable(f"{url} is not a manifest", hint=f"a manifest ends in {', '.join(SUFFIXES)}")
    if url.endswith(".parquet"):
        return remote.read(url, columns, EMBEDDED)
    with places.fetched(url) as path:
        table = of_file(resources, path, columns)
        return pa.table(table.columns, table.schema)


def of_file(resources: Resources, path: Path, columns: list[str] | None) -> pa.Table:
    if not path.is_file():
        hint = f"did you mean the dataset {path.stem}?" if path.stem in resources.catalog else None
        raise BadTable(f"no manifest at {path}", hint=hint or "give a dataset's name or a manifest's path")
    readers: dict[str, Callable[[], pa.Table]] = {
        ".parquet": lambda: store.read(path, columns, EMBEDDED),
        ".csv": lambda: reading.read_csv(path),
        ".jsonl": lambda: reading.read_jsonl(path),
        ".arrow": lambda: arrow.read_file(path),
    }
    return readers[path.suffix]()


def of_stream() -> pa.Table:
    if sys.stdin is None or sys.stdin.isatty():
        what = "closed" if sys.stdin is None else "a terminal"
        raise UsageError(
            f"- reads an Arrow stream, but stdin is {what}", hint="`dermdata … -o - | dermdata … -`"
        )
    return whole(arrow.read_stream(sys.stdin.buffer))


def whole(table: pa.Table) -> pa.Table:
    """A stream's table, if it has as many rows as its head says: Arrow takes a stream cut between batches for whole."""
    metadata = dict(table.schema.metadata or {})
    rows = metadata.pop(ROWS, None)
    if rows is not None and not re.fullmatch(rb"\d{1,18}", rows):
        raise BadTable("stdin is not a stream of ours: its head does not say how many rows it has")
    if rows is not None and int(rows) != table.num_rows:
        raise BadTable(
            f"the stream ends after {table.num_rows:,} of {int(rows):,} rows: the command before has failed"
        )
    return table.replace_schema_metadata(metadata)


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """The union, and in its metadata what all have in common and what each one is."""
    try:
        table = store.union([with_maps(table) for table in tables])
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise BadTable(f"the columns do not fit the manifest's schema: {error}") from error
    abouts = [about.of(table) for table in tables]
    return store.with_metadata(table.replace_schema_metadata(None), about.together(abouts))


def with_maps(table: pa.Table) -> pa.Table:
    """Lists of {key, value}, as `export parquet` writes maps, as maps again; views of text as text."""
    table = without_views(table)
    for number, field in enumerate(table.schema):
        kind = reading.KINDS.get(field.name)
        if kind is not None and pa.types.is_map(kind) and is_pairs(field.type):
            table = table.set_column(number, field.name, as_map(table[field.name], field.name, kind))
    return table


def is_pairs(kind: pa.DataType) -> bool:
    """Whether this is a list of {key, value}."""
    if not pa.types.is_list(kind) or not pa.types.is_struct(kind.value_type):
        return False
    return {"key", "value"} <= {field.name for field in kind.value_type}


def as_map(column: pa.ChunkedArray, name: str, kind: pa.DataType) -> pa.Array:
    try:
        rows = [row and [(pair["key"], pair["value"]) for pair in row] for row in column.to_pylist()]
        return pa.array(rows, kind)
    except (TypeError, pa.ArrowInvalid) as error:  # a pair that is null, or holds something else
        raise BadTable(
            f"the columns do not fit the manifest's schema: {name} is no {kind} ({error})"
        ) from error


def require_names(table: pa.Table) -> None:
    """BadTable for a file's name with a NUL: no file can have it."""
    for name in {"path", "mask_path"} & set(table.column_names):
        if pc.any(pc.match_substring(table[name], "\0")).as_py():
            raise BadTable(f"the column {name} has a NUL character in a file's name")


def datasets_of(table: pa.Table) -> Iterable[str | None]:
    if "dataset" not in table.column_names:
        return [None]
    return list(store.cast(table["dataset"], pa.string()).unique().to_pylist())


def roots_of(resources: Resources, sources: Sequence[Source]) -> ImageRoots:
    """Where the files of the targets' rows may be: in the cache, or beside the manifests that name them."""
    beside: dict[str, list[Path]] = {}
    for source in sources:
        for name in datasets_of(source.table):
            folders = beside.setdefault(name or "", [])
            folders += [source.folder] if source.folder else []
    cached = {
        name: resources.cache.folder(resources.catalog[name]).path
        for name in beside
        if name in resources.catalog
    }
    return ImageRoots(cached, beside, resources.cache.root / "datasets")
