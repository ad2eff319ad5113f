"""Runs SQL over manifests: DuckDB may read these files and nothing else, and may change nothing.

Each manifest is a view under its name (and under that name with `_` for `-`, which needs no quotes, where that can
mean no other); `images` is their union; `under(diagnosis, 'concept')` is what `diagnosis under 'concept'` is in
`--where`. The engine is locked before it sees a word of the person's SQL: no other file, no network, no extension, no
setting; what does not fit into memory goes to the scratch folder.
"""

import datetime
import decimal
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

from dermdata.cohort.condition_syntax import quote_literal
from dermdata.disk import is_special
from dermdata.errors import BadTable, StorageError, UnknownName, UsageError
from dermdata.limits import require_rows
from dermdata.manifest_file import require_known_schema
from dermdata.vocabulary.concepts import Concept, unknown_concept

if TYPE_CHECKING:
    import pyarrow as pa

    from dermdata.vocabulary import Vocabulary

T = TypeVar("T")
UNION = "images"
MEMORY = "2GB"
PLAIN = frozenset({str, int, float, bool, type(None)})  # what JSON has as it is: most of a manifest's cells
BATCH = 4096  # rows that are in memory as Python values at a time
QUOTES_HINT = 'a name with - stands in double quotes ("pad-ufes-20") or with _ (pad_ufes_20)'
CLOSED_ENGINE = {
    "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "enable_external_access": "false",
}
USES_UNDER = re.compile(r"\bunder\s*\(", re.IGNORECASE)
# the concepts at and below each; what is no concept must not pass for one without images
BELOW_TABLE = "CREATE TABLE dermdata.below AS SELECT unnest(?) AS ancestor, unnest(?) AS concept"
UNDER_MACRO = """
CREATE MACRO under(label, wanted) AS CASE
    WHEN wanted IN (SELECT below.ancestor FROM dermdata.below)
    THEN label IN (SELECT below.concept FROM dermdata.below WHERE below.ancestor = wanted)
    ELSE error('no concept ' || wanted)
END
"""
READ_ONLY_HINT = "`query` only reads: SELECT, WITH, DESCRIBE, SUMMARIZE; `select`, `split` and `export` write"


class Query:
    """Manifests as tables of a locked database; use as a context manager.

    Parameters
    ----------
    sources : mapping of str to Path or pyarrow.Table
        Parquet manifests, or rows, by the name of their table. UsageError where two would have one name: the engine
        sees no upper and lower case.
    scratch : Path
        A folder for what does not fit into memory.
    vocabulary : callable, optional
        Gives the concepts for `under(diagnosis, 'concept')`, when a query asks that.

    """

    def __init__(
        self,
        sources: "Mapping[str, Path | pa.Table]",
        scratch: Path,
        vocabulary: "Callable[[], Vocabulary] | None" = None,
    ) -> None:
        require_distinct_names(tuple(sources))
        self._vocabulary = vocabulary
        self._concepts: list[Concept] = []  # once `under` is defined
        self.names = tuple(sources)
        self._easy = unquoted_names(self.names)
        self._connection = duckdb.connect(":memory:")
        self._lock_engine([source for source in sources.values() if isinstance(source, Path)], scratch)
        for name, source in sources.items():
            self._create_views(name, source)
        if sources:
            parts = " UNION ALL BY NAME ".join(f"FROM {quote_identifier(name)}" for name in sources)
            if UNION not in map(str.casefold, sources):
                self._connection.execute(f"CREATE VIEW {UNION} AS {parts}")

    def __enter__(self) -> "Query":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def rows(self, sql: str) -> tuple[list[str], Iterator[dict[str, Any]]]:
        """The answer's columns, and its rows as plain values, read while they are used."""
        asked = self._execute(sql)
        names = unique_names([one[0] for one in asked.description or ()])
        return names, self._fetch_rows(asked, names)

    def table(self, sql: str) -> "pa.Table":
        """The answer as an Arrow table."""
        self._require_one_read(sql)
        try:
            return self._run_interruptibly(lambda: self._connection.sql(sql).to_arrow_table())
        except duckdb.Error as error:
            raise self._to_error(error) from error

    # ------------------------------------------------------------------ opening

    def _lock_engine(self, files: Sequence[Path], scratch: Path) -> None:
        settings = {
            "allowed_paths": f"[{', '.join(quote_literal(str(path.absolute())) for path in files)}]",
            "temp_directory": quote_literal(str(scratch)),
            "memory_limit": quote_literal(MEMORY),
            **CLOSED_ENGINE,
            "TimeZone": quote_literal("UTC"),
            "lock_configuration": True,
        }
        for name, value in settings.items():
            self._connection.execute(f"SET {name} = {value}")

    def _create_views(self, name: str, source: "Path | pa.Table") -> None:
        if isinstance(source, Path):
            relation = f"read_parquet([{quote_literal(str(source.absolute()))}])"
        else:
            relation = quote_identifier(f"rows of {name}")
            self._connection.register(f"rows of {name}", source)
        if isinstance(source, Path):
            self._require_known_version(source)
        try:
            easy = [view for view, meant in self._easy.items() if meant == [name]]
            for view in (name, *easy):
                self._connection.execute(f"CREATE VIEW {quote_identifier(view)} AS FROM {relation}")
        except duckdb.Error as error:
            raise BadTable(f"{source} cannot be read as a table: {first_line(str(error))}") from error

    def _require_known_version(self, source: Path) -> None:
        """BadTable for a manifest of a later dermdata, or of more rows than its bytes can hold.

        Asked of the engine, for to import Arrow takes longer.
        """
        if is_special(source):  # the engine would wait at a pipe
            raise BadTable(f"{source} is a device or a pipe, not a file")
        sql = "SELECT decode(value) FROM parquet_kv_metadata(?) WHERE key = 'dermdata.schema'::BLOB"
        try:
            found = self._connection.execute(sql, [str(source.absolute())]).fetchall()
        except duckdb.Error as error:
            raise BadTable(f"{source} is not a Parquet manifest: {first_line(str(error))}") from error
        for (version,) in found:
            require_known_schema(version, source)
        sql = "SELECT num_rows FROM parquet_file_metadata(?)"
        for (rows,) in self._connection.execute(sql, [str(source.absolute())]).fetchall():
            require_rows(rows, source.stat().st_size, str(source))

    # ------------------------------------------------------------------ asking

    def _define_under(self) -> None:
        """`under(diagnosis, 'concept')`: whether a diagnosis is the concept or lies below it."""
        if self._vocabulary is None or self._concepts:
            return
        vocabulary = self._vocabulary()
        self._concepts = list(vocabulary)
        pairs = [(above, one.id) for one in self._concepts for above in vocabulary.path(one.id)]
        ancestors, concepts = zip(*pairs, strict=True)
        self._connection.execute("CREATE SCHEMA dermdata")
        self._connection.execute(BELOW_TABLE, [list(ancestors), list(concepts)])
        self._connection.execute(UNDER_MACRO)

    def _execute(self, sql: str) -> duckdb.DuckDBPyConnection:
        self._require_one_read(sql)
        try:
            return self._run_interruptibly(lambda: self._connection.execute(sql))
        except duckdb.Error as error:
            raise self._to_error(error) from error

    def _run_interruptibly(self, work: Callable[[], T]) -> T:
        """Do what may take long, and stop it at Ctrl-C: the engine does not look for it by itself."""
        with ThreadPoolExecutor(1) as thread:
            done = thread.submit(work)
            try:
                return done.result()
            except KeyboardInterrupt:
                self._connection.interrupt()
                raise

    def _require_one_read(self, sql: str) -> None:
        try:
            statements = self._connection.extract_statements(sql)
        except duckdb.Error as error:
            raise self._to_error(error) from error
        if not statements:
            raise UsageError("there is no query", hint=READ_ONLY_HINT)
        if len(statements) != 1:
            raise UsageError(f"one query at a time, not {len(statements)}", hint=READ_ONLY_HINT)
        if statements[0].type not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
            what = statements[0].type.name.replace("_", " ")
            raise UsageError(f"{what} is not for `query`", hint=READ_ONLY_HINT)
        if USES_UNDER.search(sql):
            self._define_under()

    def _fetch_rows(self, asked: duckdb.DuckDBPyConnection, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        try:
            while rows := self._run_interruptibly(lambda: asked.fetchmany(BATCH)):
                for row in rows:
                    values = [one if type(one) in PLAIN else to_json_value(one) for one in row]
                    yield dict(zip(names, values, strict=True))
        except duckdb.Error as error:
            raise self._to_error(error) from error

    def _to_error(self, error: duckdb.Error) -> Exception:
        """DuckDB's words without its class, as one line, and what to try next."""
        text, _, place = str(error).partition("\n\nLINE ")
        what = strip_error_class(text)
        if named := self._name_error(what):
            return named
        if isinstance(error, duckdb.PermissionException):
            return UsageError("the query may only read the manifests", hint=READ_ONLY_HINT)
        if isinstance(error, duckdb.OutOfMemoryException):
            return StorageError(
                f"the query needs more than {MEMORY}: {first_line(what)}", hint="ask for less"
            )
        where = f" (line {place.split(':')[0]})" if place[:1].isdigit() and not place.startswith("1:") else ""
        hint = QUOTES_HINT if 'near "-"' in what else None
        return UsageError(f"the query is wrong{where}: {first_line(what)}", hint=hint)

    def _name_error(self, what: str) -> Exception | None:
        """The error of a table, column or concept that is not there, or of a table's name that can mean several."""
        if table := re.search(r"Table with name (\S+) does not exist", what):
            if meant := self._easy.get(table[1].casefold()):
                quotes = " or ".join(map(quote_identifier, meant))
                return UsageError(
                    f"{table[1]} can be {' or '.join(meant)}", hint=f"write {quotes}, with the quotes"
                )
            return UnknownName("table", table[1], [*self.names, *([UNION] if self.names else [])])
        if column := re.search(r'Referenced column "([^"]+)" (?:was )?not found', what):
            near = re.findall(r'"([^"]+)"', what[column.end() :])
            return UnknownName("column", column[1], near, hint=None)
        if self._concepts and (concept := re.match(r"no concept (.*)", what)):
            return unknown_concept(concept[1], self._concepts)
        return None


def strip_error_class(text: str) -> str:
    """DuckDB's words without its class of error."""
    return re.sub(r"\A[A-Z]\w+(?: \w+)* Error: ", "", text)


def require_distinct_names(names: Sequence[str]) -> None:
    taken: dict[str, str] = {UNION: UNION} if len(names) > 1 else {}
    for name in names:
        if other := taken.get(name.casefold()):
            what = (
                f"{other} and {name} are one name in SQL"
                if other != name
                else f"two tables would be called {name}"
            )
            raise UsageError(what, hint=f"rename the file of {name}, or name fewer tables")
        taken[name.casefold()] = name


def unquoted_names(names: Sequence[str]) -> dict[str, list[str]]:
    """Each name that needs no quotes, and the tables it can mean: a-b is no a_b where both are there."""
    exact = {name.casefold() for name in names}
    found: dict[str, list[str]] = {}
    for name in names:
        easy = name.replace("-", "_").casefold()
        if easy not in exact:
            found.setdefault(easy, []).append(name)
    return found


def first_line(text: str) -> str:
    return text.strip().split("\n")[0]


def quote_identifier(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def unique_names(names: Sequence[str]) -> list[str]:
    """Column names of which no two are the same: a row is a mapping by them."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return found


def to_json_value(value: Any) -> Any:
    """A value as JSON knows it: dates as ISO 8601, bytes in hexadecimal, decimals as numbers."""
    if isinstance(value, dict):
        return {str(key): to_json_value(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [to_json_value(one) for one in value]
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return value if isinstance(value, str | int | float | bool | None) else str(value)
