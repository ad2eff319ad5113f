"""SQL over manifests: which tables a query sees, where its answer is written, and what to do about a table not there."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dermdata.api.catalog_entries import list_cached, manifest_path
from dermdata.api.resources import Resources
from dermdata.errors import UnknownName, UsageError
from dermdata.markup import count_nouns

if TYPE_CHECKING:
    import pyarrow as pa

    from dermdata.api.exporting import PathWriter
    from dermdata.cohort.query import Query
    from dermdata.manifest.image_files import PathForm


@contextmanager
def open_query(resources: Resources, targets: Sequence[str] = ()) -> "Iterator[Query]":
    """Open the targets as tables, each under its own name; all that is cached without any.

    That nothing is cached is no error yet: `SELECT 1` needs nothing.
    """
    from dermdata.cohort.query import Query

    sources = name_tables(resources, targets or list_cached(resources))
    with Query(sources, resources.cache.root / ".query", lambda: resources.library.vocabulary) as query:
        try:
            yield query
        except UnknownName as error:
            raise explain_unknown(resources, error, any_table=bool(sources)) from error


def write_answer(
    resources: Resources,
    query: "Query",
    sql: str,
    out: str,
    *,
    targets: Sequence[str] = (),
    paths: "PathForm | None" = None,
    allow_missing: bool = False,
) -> None:
    """Write the answer to a file, by its ending, or as an Arrow stream to stdout for `-`; ImagesMissing after that."""
    from dermdata.api.exporting import PathWriter, write_manifest
    from dermdata.api.targets import make_image_roots
    from dermdata.manifest.image_files import PATH_COLUMNS
    from dermdata.manifest.lazy import LazyTable

    answer = query.table(sql)
    datasets = find_row_datasets(query, answer) if set(PATH_COLUMNS) & set(answer.column_names) else None
    if datasets is None:  # no paths, or nobody knows where they start
        write_manifest(LazyTable(answer), out, {})
    else:
        beside = find_manifest_folders(targets)
        roots = make_image_roots(resources, {name or "": beside for name in datasets.unique().to_pylist()})
        writer = PathWriter(roots, out, paths)
        write_manifest(LazyTable(place_answer(answer, datasets, writer)), out, {})
        writer.tell_missing(resources, allowed=allow_missing)
    if out != "-":
        resources.say(f"{count_nouns(answer.num_rows, 'row')} written to {out}")


def find_manifest_folders(targets: Sequence[str]) -> list[Path]:
    """The folders of those targets that are manifests of the person's own."""
    from dermdata.api.targets import SUFFIXES

    files = [Path(one).absolute().parent for one in targets if Path(one).suffix in SUFFIXES]
    return [*files, *([Path.cwd()] if "-" in targets else [])]


def place_answer(answer: "pa.Table", datasets: "pa.Array", writer: "PathWriter") -> "pa.Table":
    """The answer with the paths that are written, of rows whose datasets are these."""
    columns = [name for name in answer.column_names if name != "dataset"]
    placed = writer.place(answer.select(columns).append_column("dataset", datasets))
    for name in columns:
        answer = answer.set_column(answer.column_names.index(name), name, placed[name])
    return answer


def find_row_datasets(query: "Query", answer: "pa.Table") -> "pa.Array | None":
    """The dataset of each row of an answer: as it says, by its key, else that of all rows; None where nothing tells."""
    import pyarrow as pa

    from dermdata.manifest.columns import text_column

    if "dataset" in answer.column_names:
        return text_column(answer, "dataset")
    if "key" in answer.column_names:
        keys = text_column(answer, "key").to_pylist()
        return pa.array([key and key.partition("/")[0] for key in keys], pa.string())
    try:
        all_ = query.table("SELECT DISTINCT dataset FROM images")["dataset"].to_pylist()
    except UsageError:  # a table of one's own without datasets
        return pa.nulls(answer.num_rows, pa.string())
    return pa.array(all_ * answer.num_rows, pa.string()) if len(all_) == 1 else None


def name_tables(resources: Resources, targets: Sequence[str]) -> "dict[str, Path | pa.Table]":
    """Each target under its own name; UsageError where two have the same."""
    tables: dict[str, Path | pa.Table] = {}
    for target in dict.fromkeys(targets):
        name, source = find_table(resources, target)
        if name in tables or (name == "images" and len(targets) > 1):
            raise UsageError(f"two tables would be called {name}", hint=f"rename the file of {target}")
        tables[name] = source
    return tables


def find_table(resources: Resources, target: str) -> "tuple[str, Path | pa.Table]":
    """A target's name and its table; a Parquet manifest stays on disk."""
    path = Path(target)
    if path.suffix == ".parquet" and path.is_file():
        return path.stem, path
    if target in resources.catalog and manifest_path(resources, target).exists():
        return resources.catalog[target].name, manifest_path(resources, target)
    from dermdata.api.targets import load

    return "stdin" if target == "-" else path.stem, load(resources, [target]).table


def explain_unknown(resources: Resources, error: UnknownName, *, any_table: bool) -> Exception:
    """A table that is a dataset which is not fetched is no unknown name."""
    name = error.name.strip('"')
    dataset = next((one for one in resources.catalog if one.replace("-", "_") == name), name)
    if dataset in resources.catalog and error.kind == "table":
        return UsageError(f"{dataset} is not in the cache", hint=f"dermdata fetch {dataset}")
    if error.kind == "table" and not any_table:
        return UsageError(f"there is no table {name}: no dataset is in the cache", hint="dermdata fetch NAME")
    return error
