"""A manifest's rows as a lock: what the sources give again, and what only this cohort has."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.cohort.file import DatasetLock, Lock, history
from dermdata.cohort.rows import (
    OF_SOURCES,
    PLACES,
    SET,
    TOLD,
    digests,
    from_sources,
    keys_of,
    same,
    sources,
)
from dermdata.errors import BadTable
from dermdata.manifest import store
from dermdata.projection import words_of

HELD = "verified"  # a lock's own: `sync` takes parts by ranges and holds each image to the locked SHA-256
SHOWN = ("label_raw", "diagnosis", "label", "split", "fold")  # so that a difference can be named
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
    table = with_own_places(table, given)
    own = [name for name in table.column_names if name == HELD or not given_again(name, table, given)]
    require_own_images(table, given, own)
    rows = {
        "key": keys,
        "sha256": packed_sha(words_of(table, "sha256")),
        "digest": digests(table, table.column_names),
    }
    rows |= {
        f"{TOLD}{name}": plain(table[name])
        for name in SHOWN
        if name in table.column_names and name not in own
    }
    rows |= {f"{SET}{name}": plain(table[name]) for name in own}
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


def with_own_places(table: pa.Table, given: pa.Table) -> pa.Table:
    """The table with its sources' own relative paths, where it names the same files by absolute ones, as an export does."""
    for name in PLACES:
        if name not in table.column_names or name not in given.column_names:
            continue
        pairs = zip(table[name].to_pylist(), given[name].to_pylist(), strict=True)
        if all(is_same_place(mine, own) for mine, own in pairs):
            place = table.column_names.index(name)
            column = store.cast(given[name], table[name].type)
            table = table.set_column(place, table.schema.field(name), column)
    return table


def is_same_place(mine: Any, own: Any) -> bool:
    """Whether two paths, or two lists of named masks, are one below the dataset's folder, wherever that lies."""
    if mine == own or mine is None or own is None:
        return bool(mine == own)
    if isinstance(mine, str):
        return mine.startswith("/") and mine.endswith(f"/{own}")
    return len(mine) == len(own) and all(
        name == named and is_same_place(path, whole)
        for (name, path), (named, whole) in zip(mine, own, strict=True)
    )


def require_own_images(table: pa.Table, given: pa.Table, own: Sequence[str]) -> None:
    """BadTable for rows that name another image than their dataset does; none at all may be named."""
    for name in OF_SOURCES:
        if name not in own or table[name].null_count == table.num_rows:
            continue
        theirs = given[name].to_pylist() if name in given.column_names else [None] * table.num_rows
        differing = [row for row, mine in enumerate(table[name].to_pylist()) if mine != theirs[row]]
        first = keys_of(table)[differing[0]] if differing else "the first row"
        raise BadTable(
            f"{len(differing):,} rows name another image than their dataset (column {name}), the first is {first}",
            hint="a lock holds the datasets' own images: make the manifest again with `dermdata select`",
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
