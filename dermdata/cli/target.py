"""What a TARGET is: a dataset's name, a manifest's path, or `-` for an Arrow stream; and where `-o OUT` goes."""

import json
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dermdata import disk, places
from dermdata.cli.state import State
from dermdata.errors import BadTable, UsageError
from dermdata.export import about, csv, jsonl, reading
from dermdata.manifest import remote, store

if TYPE_CHECKING:
    from dermdata.duplicates import Alike

SUFFIXES = (".parquet", ".csv", ".jsonl", ".arrow")
ROWS = b"dermdata.stream-rows"  # only in streams
EMBEDDED = "image"  # the bytes that `export parquet --embed` adds: no command wants them in memory


@dataclass(frozen=True)
class Loaded:
    """The union of the targets, in the manifest's schema."""

    table: pa.Table
    roots: Mapping[str, Path]  # dataset -> the folder that its paths start from; "" for rows without dataset
    names: tuple[str, ...]  # the datasets that the rows are of

    @property
    def about(self) -> dict[str, str]:
        """The manifests' metadata, to be carried along."""
        return about.of(self.table)


@dataclass(frozen=True)
class Source:
    """One target, read."""

    table: pa.Table
    folder: Path  # where the paths of a dataset that the catalog does not know start


def load(state: State, targets: Sequence[str], columns: Sequence[str] | None = None) -> Loaded:
    """Read and join the targets; with `columns`, of the Parquet files only these (and `dataset`)."""
    if not all(targets) or not targets:
        raise UsageError("no TARGET given", hint="a dataset's name, a manifest's path, or - for a stream")
    wanted = None if columns is None else list(dict.fromkeys((*columns, "dataset")))
    sources = [opened(state, target, wanted) for target in dict.fromkeys(targets)]
    for target, source in zip(dict.fromkeys(targets), sources, strict=True):
        store.check_version(source.table.schema, target)
    table = joined([source.table for source in sources])
    names = {name or "" for source in sources for name in datasets_of(source.table)}
    roots = {name: root_of(state, name, sources) for name in names}
    if wanted is not None:
        table = table.select([name for name in table.column_names if name in wanted])
    return Loaded(table, roots, tuple(sorted(name for name in names if name)))


def cached(state: State) -> list[str]:
    """All datasets in the cache, as targets; UsageError when there is none."""
    here = state.cache.cached_names()
    names = [
        name
        for name in state.catalog
        if name in here and state.cache.folder(state.catalog[name]).manifest.exists()
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

        paths, datasets = words_of(table, "path"), words_of(table, "dataset")

        def file(row: int) -> Path | None:
            path, root = paths[row].as_py(), loaded.roots.get(datasets[row].as_py() or "")
            return root / path if root and path is not None else None

        there = "phash" in table.column_names
        hashes = table["phash"].to_pylist() if there else [None] * table.num_rows
        digests = words_of(table, "sha256").to_pylist()
        return alike(hashes, digests, file, jobs=os.cpu_count() or 1)

    return found


# ------------------------------------------------------------------ reading


def opened(state: State, target: str, columns: list[str] | None) -> Source:
    if target == "-":
        return Source(of_stream(), Path.cwd())
    if places.is_remote(target):
        return Source(of_store(state, target, columns), Path.cwd())
    path = Path(target)
    if path.suffix in SUFFIXES:
        return Source(of_file(state, path, columns), path.absolute().parent)
    if target not in state.catalog and (path.exists() or "/" in target):
        what = "is not a manifest" if path.exists() else "is not there"
        raise BadTable(f"{target} {what}", hint=f"a manifest ends in {', '.join(SUFFIXES)}")
    return of_cache(state, target, columns)


def of_cache(state: State, name: str, columns: list[str] | None) -> Source:
    dataset = state.catalog[name]
    folder = state.cache.folder(dataset)
    if not folder.manifest.exists():
        raise UsageError(f"{dataset.name} is not in the cache", hint=f"dermdata fetch {dataset.name}")
    try:
        return Source(store.read(folder.manifest, columns), folder.path)
    except BadTable as error:
        raise folder.damaged(error.message) from error


def of_store(state: State, url: str, columns: list[str] | None) -> pa.Table:
    """A manifest in an object store: of Parquet only what is needed, others by way of a copy here."""
    if not url.endswith(SUFFIXES):
        raise BadTable(f"{url} is not a manifest", hint=f"a manifest ends in {', '.join(SUFFIXES)}")
    if url.endswith(".parquet"):
        return remote.read(url, columns, EMBEDDED)
    with places.fetched(url) as path:
        table = of_file(state, path, columns)
        return pa.table(table.columns, table.schema)


def of_file(state: State, path: Path, columns: list[str] | None) -> pa.Table:
    if not path.is_file():
        hint = f"did you mean the dataset {path.stem}?" if path.stem in state.catalog else None
        raise BadTable(f"no manifest at {path}", hint=hint or "give a dataset's name or a manifest's path")
    readers: dict[str, Callable[[], pa.Table]] = {
        ".parquet": lambda: store.read(path, columns, EMBEDDED),
        ".csv": lambda: reading.read_csv(path),
        ".jsonl": lambda: reading.read_jsonl(path),
        ".arrow": lambda: of_arrow(path),
    }
    return readers[path.suffix]()


def of_arrow(path: Path) -> pa.Table:
    """An Arrow file, or a stream that was kept as one."""
    with ExitStack() as stack:
        try:
            file = stack.enter_context(pa.memory_map(str(path)))
            is_file = file.size() >= 6 and file.read(6) == b"ARROW1"
            file.seek(0)
            return (pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file)).read_all()
        except (pa.ArrowInvalid, OSError) as error:
            raise BadTable(f"{path} is not an Arrow table: {error}") from error


def of_stream() -> pa.Table:
    if sys.stdin is None or sys.stdin.isatty():
        what = "closed" if sys.stdin is None else "a terminal"
        raise UsageError(
            f"- reads an Arrow stream, but stdin is {what}", hint="`dermdata … -o - | dermdata … -`"
        )
    try:
        return whole(pa.ipc.open_stream(sys.stdin.buffer).read_all())
    except (pa.ArrowInvalid, OSError) as error:
        raise BadTable(
            f"stdin is not an Arrow stream: {error}", hint="the command before must end in `-o -`"
        ) from error


def whole(table: pa.Table) -> pa.Table:
    """A stream's table, if it has as many rows as its head says: Arrow takes a stream cut between batches for whole."""
    metadata = dict(table.schema.metadata or {})
    rows = metadata.pop(ROWS, None)
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
    """Lists of {key, value}, as `export parquet` writes maps, as maps again."""
    for name, kind in reading.KINDS.items():
        if (
            name in table.column_names
            and pa.types.is_map(kind)
            and pa.types.is_list(table.schema.field(name).type)
        ):
            rows = [row and [(pair["key"], pair["value"]) for pair in row] for row in table[name].to_pylist()]
            table = table.set_column(table.column_names.index(name), name, pa.array(rows, kind))
    return table


def datasets_of(table: pa.Table) -> Iterable[str | None]:
    if "dataset" not in table.column_names:
        return [None]
    return list(store.cast(table["dataset"], pa.string()).unique().to_pylist())


def root_of(state: State, name: str, sources: Sequence[Source]) -> Path:
    """A known dataset's cache folder; for others the folder of the first manifest that names them."""
    if name in state.catalog:
        return state.cache.folder(state.catalog[name]).path
    return next(source.folder for source in sources if (name or None) in datasets_of(source.table))


# ------------------------------------------------------------------ writing


def require_out(out: str | None) -> None:
    """UsageError for an `-o OUT` that no manifest can be written to: said before anything is read or fetched."""
    if not out or out == "-":
        return
    if Path(out).suffix not in SUFFIXES:
        raise UsageError(
            f"cannot tell the format of {out}", hint=f"OUT ends in {', '.join(SUFFIXES)}, or is -"
        )
    if not places.is_remote(out):
        disk.require_file(Path(out))


def command_line(name: str, targets: Sequence[str], asked: Mapping[str, Any]) -> str:
    """The command line without its output: what a reader needs to do it again."""
    options = [
        f"--{option}" if value is True else f"--{option}={value}"
        for option, value in asked.items()
        if value is not None and value is not False
    ]
    return shlex.join([name, *targets, *options])


def keep(state: State, table: pa.Table, out: str, line: str, facts: Mapping[str, str] | None = None) -> None:
    """Write the manifest; its history is that of the targets it was made from, and this command."""
    before = json.loads(store.metadata_of(table).get("history", "[]"))
    history = json.dumps([*before, line], ensure_ascii=False)
    write_manifest(table, out, {**(facts or {}), "history": history})
    if out != "-":
        state.say(f"written to {out}")


def write_manifest(table: pa.Table, out: str, facts: Mapping[str, str]) -> None:
    """Write a table to `-o OUT`: by its ending, or as an Arrow stream to stdout for `-`; `facts` go into its metadata."""
    require_out(out)
    table = store.with_metadata(table, facts)
    if out == "-":
        return to_stream(table)
    if places.is_remote(out):
        prefix, _, name = out.rpartition("/")
        with places.bucket(prefix) as bucket:
            return bucket.fill(name, lambda path: write_manifest(table, str(path), {}))
    path = Path(out)
    if path.suffix == ".parquet":
        store.write(table, path, {})
    elif path.suffix == ".arrow":
        with disk.replacing(path) as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    else:
        disk.write(path, (csv if path.suffix == ".csv" else jsonl).chunks(table))
        about.write_beside(path, table)
    return None


def to_stream(table: pa.Table) -> None:
    if sys.stdout.isatty():
        raise UsageError("an Arrow stream is not for a terminal", hint="pipe it on, or give -o FILE.parquet")
    schema = table.schema.with_metadata({**(table.schema.metadata or {}), ROWS: str(table.num_rows)})
    with pa.ipc.new_stream(sys.stdout.buffer, schema) as writer:
        writer.write_table(table.cast(schema))
    sys.stdout.buffer.flush()
