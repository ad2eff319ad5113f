"""The lock file of a cohort: JSON that a person can read, its rows as compressed Parquet in base64 with digests."""

import base64
import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dermdata.errors import BadTable
from dermdata.manifest.columns import decode_dictionary
from dermdata.manifest.parquet import combine_chunks, concat_manifests
from dermdata.manifest.schema import SCHEMA as SCHEMA_OF_ROWS
from dermdata.markup import count_nouns

LOCK_SCHEMA = "dermdata.lock/1"
DIGEST_BYTES = 8  # a change goes unseen once in 10^19
LOCK_COLUMNS = {"key": pa.string(), "sha256": pa.binary(32), "digest": pa.binary(DIGEST_BYTES)}
# of a lock's further columns: those that only name a difference, and those that the sources do not give
TOLD_PREFIX, SET_PREFIX = "told:", "set:"
PATH_COLUMNS = ("path", "mask_path", "masks")
# which image a row has: no lock can set it
SOURCE_COLUMNS = ("dataset", "key", "image_id", "sha256", "bytes", *PATH_COLUMNS)
BATCH_ROWS = 65_536  # rows that are in memory as Python values at a time
ZSTD_LEVEL = 19  # a lock is written once and kept for years
LINE_CHARACTERS = 120  # of base64: a diff stays readable
MOST_COLUMNS = 1_000  # of a lock's rows
# bytes that any lock's rows may unpack to, and how many times their packed size beyond
UNPACKED_BYTES, UNPACKED_RATIO = 64 << 20, 64


@dataclass(frozen=True, kw_only=True)
class DatasetLock:
    """One dataset as it was when the cohort was locked."""

    name: str
    version: str | None
    rows: int
    images: bool  # at least one row has its image
    catalog_digest: str  # of the entry, its label words and the vocabulary
    sources_digest: str  # of the fetched files' names and checksums


@dataclass(frozen=True, kw_only=True)
class CohortLock:
    """A cohort: where its rows come from, and the rows."""

    datasets: tuple[DatasetLock, ...]
    tool: str
    commands: tuple[str, ...]  # how it was made, as far as its manifest says
    schema: pa.Schema  # of the manifest, with its metadata
    rows: pa.Table  # key, sha256, digest, `told:…`, `set:…`; never `set:` of what says which image a row has


def lock_to_bytes(lock: CohortLock) -> bytes:
    """Write a lock; the same cohort gives the same bytes.

    Parameters
    ----------
    lock : CohortLock
        As `lock_rows` makes it.

    Returns
    -------
    bytes
        JSON, UTF-8.

    """
    packed = pack_rows(lock.rows)
    text = base64.b64encode(packed).decode()
    document = {
        "schema": LOCK_SCHEMA,
        "tool": lock.tool,
        "datasets": [vars(one) for one in lock.datasets],
        "commands": list(lock.commands),
        "rows": lock.rows.num_rows,
        "rows_sha256": hashlib.sha256(packed).hexdigest(),
        "manifest_schema": base64.b64encode(lock.schema.serialize().to_pybytes()).decode(),
        "data": [text[start : start + LINE_CHARACTERS] for start in range(0, len(text), LINE_CHARACTERS)],
    }
    return (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode()


def pack_rows(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(
        rows,
        sink,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=[name for name in rows.column_names if name not in LOCK_COLUMNS],
        column_encoding={"key": "DELTA_BYTE_ARRAY", "sha256": "PLAIN", "digest": "PLAIN"},
        write_statistics=False,
    )
    return bytes(sink.getvalue())


def lock_from_bytes(data: bytes, name: str) -> CohortLock:
    """Read a lock.

    Parameters
    ----------
    data : bytes
        The file's content.
    name : str
        What the file is called in an error.

    Returns
    -------
    CohortLock

    Raises
    ------
    BadTable
        For what is no lock, is damaged, is newer than this version knows, or sets which images rows have.

    """
    document = parse_document(data, name)
    try:
        packed = base64.b64decode("".join(require_texts(document, "data")), validate=True)
        if hashlib.sha256(packed).hexdigest() != document["rows_sha256"]:
            raise BadTable(f"{name} is damaged: its rows are not those that were written")
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(require_text(document, "manifest_schema"))))
        lock = CohortLock(
            datasets=tuple(map(parse_dataset_lock, require_list(document, "datasets"))),
            tool=require_text(document, "tool"),
            commands=tuple(require_texts(document, "commands")),
            schema=schema,
            rows=unpack_rows(packed, require_number(document, "rows"), name),
        )
        require_complete(lock, name)
    # ValueError: of broken base64, of words that are no UTF-8, and most of what Arrow says
    except (KeyError, TypeError, ValueError, pa.ArrowException, OSError) as error:
        raise BadTable(f"{name} is damaged: {error}") from error
    require_no_images_set(lock.rows, name)
    return lock


def unpack_rows(packed: bytes, count: int, name: str) -> pa.Table:
    """The rows, whole and of no more than the file can honestly hold: each has a digest that nothing compresses."""
    with pq.ParquetFile(pa.BufferReader(packed)) as file:
        facts = file.metadata
        if facts.num_rows != count:
            raise BadTable(
                f"{name} is damaged: it says {count_nouns(count, 'row')} and holds {facts.num_rows:,}"
            )
        unpacked = sum(facts.row_group(number).total_byte_size for number in range(facts.num_row_groups))
        if (
            facts.num_rows * DIGEST_BYTES > len(packed)
            or unpacked > UNPACKED_BYTES + len(packed) * UNPACKED_RATIO
        ):
            raise BadTable(f"{name} is damaged: its rows unpack to more than a lock's can")
        if facts.num_columns > MOST_COLUMNS:
            raise BadTable(
                f"{name} is damaged: it has {count_nouns(facts.num_columns, 'column')}, {MOST_COLUMNS:,} are allowed"
            )
        rows = file.read()
    rows.validate(full=True)  # words that are no UTF-8, offsets that point outside
    return rows


def require_complete(lock: CohortLock, name: str) -> None:
    """BadTable for a lock that lacks what every lock has, or names columns that its manifest has not.

    ValueError for what is no UTF-8.
    """
    require_readable_schema(lock.schema)
    if fault := find_fault(lock):
        raise BadTable(f"{name} is damaged: {fault}")


def find_fault(lock: CohortLock) -> str | None:
    """What is wrong with a lock's columns and rows."""
    for names in (lock.schema.names, lock.rows.column_names):
        if len(set(names)) < len(names):
            return "it has a column twice"
    if lacking := lacking_columns(lock):
        return f"it has no {lacking[0]}"
    if stray := stray_columns(lock):
        return f"it sets {stray[0]}, which no row has"
    if is_empty(lock):
        return "it is empty"
    if lock.rows["key"].null_count or lock.rows["digest"].null_count:
        return "a row has no key or no digest"
    return None


def is_empty(lock: CohortLock) -> bool:
    """Whether nothing is locked; models alone have no rows."""
    return not lock.datasets or (not lock.rows.num_rows and any(one.rows for one in lock.datasets))


def lacking_columns(lock: CohortLock) -> list[str]:
    """What every lock has and this one has not, or in another type."""
    if "key" not in lock.schema.names:
        return ["key"]
    found = dict(zip(lock.rows.schema.names, lock.rows.schema.types, strict=True))
    return [name for name, kind in LOCK_COLUMNS.items() if found.get(name) != kind]


def stray_columns(lock: CohortLock) -> list[str]:
    """The columns that the rows set and the manifest has not."""
    further = [name for name in lock.rows.column_names if name not in LOCK_COLUMNS]
    named = [name.removeprefix(SET_PREFIX).removeprefix(TOLD_PREFIX) for name in further]
    return [name for name in named if name not in lock.schema.names]


def require_readable_schema(schema: pa.Schema) -> None:
    """ValueError for names and metadata that are no UTF-8, and for what tells images apart in another kind of column."""
    for one in (schema, *itertools.chain(*map(nested_fields, schema))):
        for word in itertools.chain(*(one.metadata or {}).items()):
            word.decode()
    for name in SOURCE_COLUMNS:
        if name in schema.names and schema.field(name).type != SCHEMA_OF_ROWS.field(name).type:
            raise ValueError(f"its column {name} is no {SCHEMA_OF_ROWS.field(name).type}")


def nested_fields(field: pa.Field) -> Iterator[pa.Field]:
    """A field and those inside it, all of whose names can be read."""
    _ = field.name
    yield field
    for number in range(field.type.num_fields):
        yield from nested_fields(field.type.field(number))


def require_no_images_set(rows: pa.Table, name: str) -> None:
    """BadTable for a lock that says where images are, or which ones: only the datasets' own manifests do."""
    for column in SOURCE_COLUMNS:
        field = f"{SET_PREFIX}{column}"
        if field in rows.column_names and rows[field].null_count < rows.num_rows:
            raise BadTable(
                f"{name} sets {column}: a lock cannot say where images are, or which one a row has",
                hint="`dermdata lock` does not write such a file: ask who gave it to you for a new one",
            )


def parse_dataset_lock(one: Any) -> DatasetLock:
    """One dataset; TypeError or ValueError where it is none."""
    made = DatasetLock(**one)
    kinds: dict[str, Any] = {"name": str, "version": (str, type(None)), "rows": int, "images": bool}
    kinds |= {"catalog_digest": str, "sources_digest": str}
    wrong = next((name for name, kind in kinds.items() if not isinstance(getattr(made, name), kind)), None)
    if wrong:
        raise ValueError(f"{wrong} of a dataset is not what it should be")
    return made


def require_list(document: Mapping[str, Any], key: str) -> list[Any]:
    value = document[key]
    if not isinstance(value, list):
        raise TypeError(f"{key} is no list")
    return value


def require_texts(document: Mapping[str, Any], key: str) -> list[str]:
    found = require_list(document, key)
    if not all(isinstance(one, str) for one in found):
        raise TypeError(f"{key} is no list of words")
    return found


def require_number(document: Mapping[str, Any], key: str) -> int:
    value = document[key]
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{key} is no number")
    return value


def require_text(document: Mapping[str, Any], key: str) -> str:
    value = document[key]
    if not isinstance(value, str):
        raise TypeError(f"{key} is no text")
    return value


def parse_document(data: bytes, name: str) -> Mapping[str, Any]:
    try:
        document: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadTable(
            f"{name} is no lock file: {error}", hint="`dermdata lock TARGET -o FILE` makes one"
        ) from error
    kind = document.get("schema") if isinstance(document, dict) else None
    if not isinstance(document, dict) or kind != LOCK_SCHEMA:
        newer = isinstance(kind, str) and kind.startswith("dermdata.lock/")
        hint = "update dermdata" if newer else "`dermdata lock TARGET -o FILE` makes one"
        raise BadTable(f"{name} is {kind if newer else 'no lock file'}, not {LOCK_SCHEMA}", hint=hint)
    return document


def command_history(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The chain of commands in a manifest's metadata, those of its sources first."""
    commands: list[str] = []
    for one in json.loads(metadata.get("sources", "[]")):
        commands += [line for line in command_history(one) if line not in commands]
    own: Sequence[str] = json.loads(metadata.get("history", "[]"))
    return (*commands, *(line for line in own if line not in commands))


# ------------------------------------------------------------------ rows


def require_keys(table: pa.Table) -> pa.Array:
    """Each row's key; BadTable where one has none: it could not be found again."""
    if "key" not in table.column_names:
        raise BadTable("the manifest has no column key: its rows cannot be found again")
    keys = table["key"].cast(pa.string()).combine_chunks()
    if keys.null_count:
        raise BadTable(f"{count_nouns(keys.null_count, 'row', 'have')} no key: they cannot be found again")
    return keys


def concat_sources(bases: Mapping[str, pa.Table]) -> pa.Table:
    """The datasets' own manifests one after the other, without their metadata."""
    return combine_chunks(concat_manifests(list(bases.values())))


def take_source_rows(keys: pa.Array, base: pa.Table) -> pa.Table:
    """The rows of the datasets that these keys name, in their order; nulls for a key that is not there."""
    return base.take(pc.index_in(keys, value_set=require_keys(base)))


def is_same_column(one: pa.ChunkedArray, other: pa.ChunkedArray) -> bool:
    """Whether two columns hold the same values, whatever their encoding; NaN is NaN."""
    if len(one) != len(other):
        return False
    plain, given = (decode_dictionary(column).combine_chunks() for column in (one, other))
    if plain.type != given.type:
        return False
    if pa.types.is_nested(plain.type):
        return bool(plain.to_pylist() == given.to_pylist())
    if pa.types.is_floating(plain.type):
        return [repr(value) for value in plain.to_pylist()] == [repr(value) for value in given.to_pylist()]
    return bool(plain.equals(given))


def row_digests(table: pa.Table, names: Sequence[str]) -> pa.Array:
    """Of each row one digest of these columns' names and values: equal rows, equal digests, on any machine."""
    found: list[bytes] = []
    head = json.dumps(list(names)).encode()
    for start in range(0, table.num_rows, BATCH_ROWS):
        batch = table.slice(start, BATCH_ROWS)
        columns = [column_values(batch, name) for name in names]
        for row in zip(*columns, strict=True):
            text = json.dumps(row, ensure_ascii=False, default=json_default).encode(errors="surrogatepass")
            found.append(hashlib.blake2b(head + text, digest_size=DIGEST_BYTES).digest())
    return pa.array(found, pa.binary(DIGEST_BYTES))


def column_values(table: pa.Table, name: str) -> list[Any]:
    """A column as Python's own values; BadTable where they are none."""
    try:
        found: list[Any] = table[name].to_pylist()
    except (ValueError, OverflowError) as error:  # words that are no UTF-8, times beyond the year 9999
        raise BadTable(f"the column {name} holds what cannot be read: {error}") from error
    return found


def json_default(value: object) -> str:
    """Bytes, dates and the like as JSON has them not."""
    return value.hex() if isinstance(value, bytes) else str(value)
