"""A locked cohort from its datasets' manifests again, and every row that is not what it was."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.cohort.file import Lock
from dermdata.cohort.rows import SET, TOLD, all_values, digests, from_sources, sources
from dermdata.errors import BadTable
from dermdata.manifest import store
from dermdata.projection import words_of


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A row that is not what it was when the cohort was locked."""

    key: str
    problem: Literal["gone", "image", "mask", "value"]
    column: str | None  # None: some column that the lock does not hold by itself
    was: Any
    now: Any


def rebuilt(lock: Lock, bases: Mapping[str, pa.Table]) -> pa.Table:
    """The manifest that was locked, from the datasets' manifests of today; not yet compared."""
    keys = lock.rows["key"].combine_chunks()
    given = from_sources(keys, sources(bases))
    columns = []
    for field in lock.schema:
        name = f"{SET}{field.name}"
        column = lock.rows[name] if name in lock.rows.column_names else of_sources(given, field)
        columns.append(cast(column, field))
    return pa.Table.from_arrays(columns, schema=lock.schema)


def cast(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    try:
        return store.cast(column, field.type)
    except (pa.ArrowException, ValueError) as error:
        raise BadTable(f"the lock's column {field.name} is no {field.type}: {error}") from error


def of_sources(given: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    """Null where the manifests of today have no such column: every row will differ, and be named."""
    if field.name in given.column_names:
        return given[field.name]
    return pa.chunked_array([pa.nulls(given.num_rows, field.type)])


def compared(lock: Lock, table: pa.Table) -> list[Difference]:
    """Every row of the rebuilt manifest that is not what it was, with the first thing that differs."""
    then = lock.rows["digest"].combine_chunks()
    differing = pc.not_equal(digests(table, table.column_names), then)
    places = [row for row, differs in enumerate(differing.to_pylist()) if differs]
    if not places:
        return []
    some = table.take(places)
    return list(named(lock.rows.take(places), some))


def said(value: Any) -> Any:
    """A value as it can be told in any format."""
    return value if value is None or isinstance(value, str | int | float) else str(value)


def named(was: pa.Table, now: pa.Table) -> Iterator[Difference]:
    keys, found = was["key"].to_pylist(), words_of(now, "key").to_pylist()
    told = [name.removeprefix(TOLD) for name in was.column_names if name.startswith(TOLD)]
    before = {name: list(map(said, all_values(was, f"{TOLD}{name}"))) for name in told}
    after = {name: list(map(said, all_values(now, name))) for name in told}
    shas = [None if one is None else one.hex() for one in was["sha256"].to_pylist()]
    images = words_of(now, "sha256").to_pylist()
    for row, key in enumerate(keys):
        if found[row] is None:
            yield Difference(key=key, problem="gone", column=None, was=key, now=None)
            continue
        changed = [name for name in told if before[name][row] != after[name][row]]
        yield from (
            Difference(key=key, problem="value", column=name, was=before[name][row], now=after[name][row])
            for name in changed
        )
        if shas[row] != images[row]:
            yield Difference(key=key, problem="image", column="sha256", was=shas[row], now=images[row])
        elif not changed:
            yield Difference(key=key, problem="value", column=None, was=None, now=None)
