"""A manifest's rows as a lock: what the sources give again, and what only this cohort has."""

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.cohort.file import DatasetLock, Lock, history
from dermdata.cohort.rows import digests, from_sources, keys_of, same, sources
from dermdata.errors import BadTable
from dermdata.manifest import store
from dermdata.projection import words_of

HELD = "verified"  # a lock's own: `sync` takes parts by ranges and holds each image to the locked SHA-256
TOLD = ("label_raw", "diagnosis", "label", "split", "fold")  # so that a difference can be named
SHA = pa.binary(32)


def locked(
    table: pa.Table, bases: Mapping[str, pa.Table], datasets: Sequence[DatasetLock], tool: str
) -> Lock:
    """The cohort as a lock; `bases` are the datasets' own manifests.

    BadTable when a row is of no dataset here: it could not be rebuilt.
    """
    keys = keys_of(table)
    base = sources(bases)
    given = from_sources(keys, base)
    require_known(keys, given, bases)
    own = [name for name in table.column_names if name == HELD or not given_again(name, table, given)]
    rows = {
        "key": keys,
        "sha256": packed_sha(words_of(table, "sha256")),
        "digest": digests(table, table.column_names),
    }
    rows |= {
        f"told:{name}": plain(table[name]) for name in TOLD if name in table.column_names and name not in own
    }
    rows |= {f"set:{name}": plain(table[name]) for name in own}
    return Lock(
        datasets=tuple(datasets),
        tool=tool,
        commands=history(store.metadata_of(table)),
        schema=table.schema,
        rows=pa.table(rows),
    )


def require_known(keys: pa.Array, given: pa.Table, bases: Mapping[str, pa.Table]) -> None:
    missing = keys.filter(pc.is_null(given["key"].combine_chunks()))
    if len(missing):
        raise BadTable(
            f"{len(missing):,} rows are in no manifest of {', '.join(bases)}, the first is {missing[0]}",
            hint="a lock can only rebuild rows of datasets that are in the cache",
        )


def given_again(name: str, table: pa.Table, given: pa.Table) -> bool:
    return name in given.column_names and same(table[name], store.cast(given[name], table[name].type))


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def packed_sha(words: pa.Array) -> pa.Array:
    """SHA-256 as 32 bytes instead of 64 digits; BadTable for what is none."""
    try:
        return pa.array([None if word is None else bytes.fromhex(word) for word in words.to_pylist()], SHA)
    except (ValueError, pa.ArrowInvalid) as error:
        raise BadTable(f"a sha256 of the manifest is none: {error}") from error
