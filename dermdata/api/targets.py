"""What a TARGET is: a dataset's name, a manifest's path, or `-` for an Arrow stream."""

import io
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.api.models import list_models, require_no_model
from dermdata.api.resources import Resources
from dermdata.errors import BadTable, UsageError
from dermdata.export.metadata import combine_provenance, manifest_provenance
from dermdata.manifest import arrow
from dermdata.manifest.arrow import cast_views
from dermdata.manifest.image_files import ImageFinder
from dermdata.manifest.image_roots import ImageRoots
from dermdata.manifest.lazy import DiskColumns, DiskManifest, LazyTable, manifest_columns, open_disk_manifest
from dermdata.manifest.parquet import (
    add_metadata,
    cast_column,
    check_version,
    combine_chunks,
    concat_manifests,
    open_parquet,
    read_manifest,
    read_remote_manifest,
)
from dermdata.manifest.text import COLUMN_TYPES, parse_line, read_bytes, read_csv, read_jsonl
from dermdata.markup import count_nouns
from dermdata.object_store import is_remote, local_copy
from dermdata.process import count_cores

if TYPE_CHECKING:
    from dermdata.duplicates import NearDuplicates

SUFFIXES = (".parquet", ".csv", ".jsonl", ".arrow")
ROWS = b"dermdata.stream-rows"  # only in streams
EMBEDDED = "image"  # the bytes that `export parquet --embed` adds: no command wants them in memory


@dataclass(frozen=True)
class Loaded:
    """The union of the targets, in the manifest's schema."""

    table: pa.Table
    roots: Mapping[str, Path]  # where the files of each dataset's rows are; "" for rows without dataset
    names: tuple[str, ...]  # the datasets that the rows are of
    rest: DiskColumns | None = None  # where the columns are that the table has not

    def rows(self, table: pa.Table | None = None) -> LazyTable:
        """The rows of a table made of ours, all columns at hand."""
        return LazyTable(self.table if table is None else table, self.rest)

    @property
    def provenance(self) -> dict[str, str]:
        """The manifests' metadata, to be carried along."""
        return manifest_provenance(self.table)


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
    sources = read_sources(resources, targets, wanted)
    table = join_tables([source.table for source in sources])
    require_names(table)
    if wanted is None:
        table = combine_chunks(table)
    else:  # some columns are few: no copy of them
        table = table.select([name for name in table.column_names if name in wanted])
    roots = find_image_roots(resources, sources)
    return Loaded(table, roots, tuple(sorted(name for name in roots if name)))


def read_sources(resources: Resources, targets: Sequence[str], columns: list[str] | None) -> list[Source]:
    """Each target once, read; UsageError for one that a newer dermdata has written."""
    names = list(dict.fromkeys(targets))
    sources = [open_target(resources, name, columns) for name in names]
    for name, source in zip(names, sources, strict=True):
        check_version(source.table.schema, name)
    return sources


def load_lean(
    resources: Resources, targets: Sequence[str], columns: Callable[[Sequence[str]], Sequence[str]]
) -> Loaded:
    """The targets with only the columns that `columns` chooses of all; what is no Parquet file here is loaded whole."""
    rest = open_columns_on_disk(resources, list(dict.fromkeys(targets)))
    if rest is None:
        return load(resources, targets)
    loaded = load(resources, targets, manifest_columns(columns(rest.schema.names), rest.schema))
    return replace(loaded, table=rest.add_row_numbers(loaded.table), rest=rest)


def open_columns_on_disk(resources: Resources, targets: Sequence[str]) -> DiskColumns | None:
    """The targets' files, if all are Parquet and here."""
    try:
        files = [open_disk_target(resources, target) for target in targets]
    except BadTable:
        return None  # `load` says what is wrong, and what to do
    return DiskColumns(tuple(file for file in files if file)) if files and all(files) else None


def open_disk_target(resources: Resources, target: str) -> DiskManifest | None:
    """The Parquet file that a target is, if it is one: of others `opened` says what is wrong with them."""
    if target == "-" or is_remote(target):
        return None
    path = Path(target)
    if path.suffix not in SUFFIXES and target in resources.catalog:
        require_no_model(resources, target)
        folder = resources.find_folder(target)
        there = folder.manifest.is_file()
        return (
            open_disk_manifest(folder.manifest, EMBEDDED, pairs_to_maps, folder.damaged_error)
            if there
            else None
        )
    return (
        open_disk_manifest(path, EMBEDDED, pairs_to_maps)
        if path.suffix == ".parquet" and path.is_file()
        else None
    )


def find_cached_targets(resources: Resources) -> list[str]:
    """All datasets in the cache, as targets."""
    here = resources.cache.cached_names() - list_models(resources)
    return sorted(
        name for name in resources.catalog if name in here and resources.find_folder(name).manifest.exists()
    )


def list_cached_targets(resources: Resources) -> list[str]:
    """All datasets in the cache, as targets; UsageError when there is none."""
    names = find_cached_targets(resources)
    if not names:
        raise UsageError(
            "no dataset is in the cache", hint="`dermdata fetch NAME`, or give a manifest's path"
        )
    return names


def make_near_finder(
    loaded: Loaded, *, allow_missing: bool = False
) -> "Callable[[pa.Table], NearDuplicates]":
    """What finds the near duplicates among rows of the targets, on all cores; ImagesMissing unless they are allowed."""

    def found(table: pa.Table) -> "NearDuplicates":
        from dermdata.duplicates import find_near_duplicates
        from dermdata.manifest.columns import text_column

        finder = ImageFinder(loaded.roots)

        def file(row: int) -> Path | None:
            found = finder.row_path(table, row)
            return Path(found) if found is not None else None

        there = "phash" in table.column_names
        hashes = table["phash"].to_pylist() if there else [None] * table.num_rows
        digests = text_column(table, "sha256").to_pylist()
        near = find_near_duplicates(hashes, digests, file, jobs=count_cores())
        finder.missing.require_none(finder.roots.cache_folders, allowed=allow_missing)
        return near

    return found


# ------------------------------------------------------------------ reading


def open_target(resources: Resources, target: str, columns: list[str] | None) -> Source:
    if target == "-":
        return Source(read_from_stdin(), Path.cwd())
    if is_remote(target):
        return Source(read_from_store(resources, target, columns), Path.cwd())
    path = Path(target)
    if path.suffix in SUFFIXES:
        return Source(read_from_file(resources, path, columns), path.absolute().parent)
    if target not in resources.catalog and (path.exists() or "/" in target):
        what = "is not a manifest" if path.exists() else "is not there"
        raise BadTable(f"{target} {what}", hint=f"a manifest ends in {', '.join(SUFFIXES)}")
    return read_from_cache(resources, target, columns)


def read_from_cache(resources: Resources, name: str, columns: list[str] | None) -> Source:
    require_no_model(resources, name)
    folder = resources.find_folder(name)
    if not folder.manifest.exists():
        raise UsageError(f"{folder.name} is not in the cache", hint=f"dermdata fetch {folder.name}")
    try:
        return Source(read_manifest(folder.manifest, columns), None)
    except BadTable as error:
        raise folder.damaged_error(error.message) from error


def read_from_store(resources: Resources, url: str, columns: list[str] | None) -> pa.Table:
    """A manifest in an object store: of Parquet only what is needed, others by way of a copy here."""
    if not url.endswith(SUFFIXES):
        raise BadTable(f"{url} is not a manifest", hint=f"a manifest ends in {', '.join(SUFFIXES)}")
    if url.endswith(".parquet"):
        return read_remote_manifest(url, columns, EMBEDDED)
    with local_copy(url) as path:
        table = read_from_file(resources, path, columns)
        return pa.table(table.columns, table.schema)


def read_from_file(resources: Resources, path: Path, columns: list[str] | None) -> pa.Table:
    if not path.is_file():
        hint = f"did you mean the dataset {path.stem}?" if path.stem in resources.catalog else None
        raise BadTable(f"no manifest at {path}", hint=hint or "give a dataset's name or a manifest's path")
    readers: dict[str, Callable[[], pa.Table]] = {
        ".parquet": lambda: read_manifest(path, columns, EMBEDDED),
        ".csv": lambda: read_csv(path),
        ".jsonl": lambda: read_jsonl(path),
        ".arrow": lambda: arrow.read_arrow_file(path),
    }
    return readers[path.suffix]()


def read_column_names(path: Path) -> set[str]:
    """The names of a table's columns, of JSON Lines those of the first; BadTable for what is no table."""
    if path.suffix == ".parquet":
        with open_parquet(path, path) as file:
            return set(file.schema_arrow.names)
    if path.suffix == ".jsonl":
        lines = enumerate(io.BytesIO(read_bytes(path)), 1)
        first = next((parse_line(line, number, path) for number, line in lines if line.strip()), {})
        return set(first)
    return set(arrow.read_arrow_file(path).column_names)


def read_from_stdin() -> pa.Table:
    if sys.stdin is None or sys.stdin.isatty():
        what = "closed" if sys.stdin is None else "a terminal"
        raise UsageError(
            f"- reads an Arrow stream, but stdin is {what}", hint="`dermdata … -o - | dermdata … -`"
        )
    return require_whole_stream(arrow.read_arrow_stream(sys.stdin.buffer))


def require_whole_stream(table: pa.Table) -> pa.Table:
    """A stream's table, if it has as many rows as its head says: Arrow takes a stream cut between batches for whole."""
    metadata = dict(table.schema.metadata or {})
    rows = metadata.pop(ROWS, None)
    if rows is not None and not re.fullmatch(rb"\d{1,18}", rows):
        raise BadTable("stdin is not a stream of ours: its head does not say how many rows it has")
    if rows is not None and int(rows) != table.num_rows:
        raise BadTable(
            f"the stream ends after {table.num_rows:,} of {count_nouns(int(rows), 'row')}: the command before has failed"
        )
    return table.replace_schema_metadata(metadata)


def join_tables(tables: Sequence[pa.Table]) -> pa.Table:
    """The union, and in its metadata what all have in common and what each one is."""
    try:
        table = concat_manifests([pairs_to_maps(table) for table in tables])
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise BadTable(f"the columns do not fit the manifest's schema: {error}") from error
    abouts = [manifest_provenance(table) for table in tables]
    return add_metadata(table.replace_schema_metadata(None), combine_provenance(abouts))


def pairs_to_maps(table: pa.Table) -> pa.Table:
    """Lists of {key, value}, as `export parquet` writes maps, as maps again; views of text as text."""
    table = cast_views(table)
    for number, field in enumerate(table.schema):
        kind = COLUMN_TYPES.get(field.name)
        if kind is not None and pa.types.is_map(kind) and is_pairs(field.type):
            table = table.set_column(number, field.name, pairs_to_map(table[field.name], field.name, kind))
    return table


def is_pairs(kind: pa.DataType) -> bool:
    """Whether this is a list of {key, value}."""
    if not pa.types.is_list(kind) or not pa.types.is_struct(kind.value_type):
        return False
    return {"key", "value"} <= {field.name for field in kind.value_type}


def pairs_to_map(column: pa.ChunkedArray, name: str, kind: pa.DataType) -> pa.Array:
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


def list_datasets(table: pa.Table) -> Iterable[str | None]:
    if "dataset" not in table.column_names:
        return [None]
    return list(cast_column(table["dataset"], pa.string()).unique().to_pylist())


def find_image_roots(resources: Resources, sources: Sequence[Source]) -> ImageRoots:
    """Where the files of the targets' rows may be: in the cache, or beside the manifests that name them."""
    beside: dict[str, list[Path]] = {}
    for source in sources:
        for name in list_datasets(source.table):
            folders = beside.setdefault(name or "", [])
            folders += [source.folder] if source.folder else []
    return make_image_roots(resources, beside)


def make_image_roots(resources: Resources, beside: Mapping[str, Sequence[Path]]) -> ImageRoots:
    """Where the files of these datasets' rows may be, those that no catalog knows too; `beside`: see ImageRoots."""
    cache, entries = resources.cache, resources.find_entries(filter(None, beside))
    cached = {name: cache.folder(entry).path for name, entry in entries.items()}
    further = {
        name: [path for path in cache.image_folders(name, entries.get(name)) if path != cached.get(name)]
        for name in beside
        if name
    }
    read_only = tuple(root / "datasets" for root in cache.read_only)
    return ImageRoots(cached, beside, cache.root / "datasets", further, read_only)
