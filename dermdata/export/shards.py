"""How the rows of an export are cut into files, and which files of earlier runs are ours to keep or sweep."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from dermdata.errors import UsageError
from dermdata.export.about import OURS
from dermdata.places import Place

SHARD_BYTES, SHARD_ROWS = 500_000_000, 100_000
GROUP_BYTES, GROUP_ROWS = 32_000_000, 65_536  # one row group is in memory at a time
LAYOUT = "2"  # changes when the same rows shall be written otherwise; "1": images were not compared with their rows


@dataclass(frozen=True)
class Shard:
    """Rows `start` to `stop` (exclusive) as one file."""

    name: str
    start: int
    stop: int


def cut(sizes: Sequence[int], most_bytes: int, most_rows: int) -> list[tuple[int, int]]:
    """Runs of rows, in order, each as long as both limits allow; at least one run, at least one row in each."""
    runs, start, held = [], 0, 0
    for row, size in enumerate(sizes):
        if row > start and (held + size > most_bytes or row - start == most_rows):
            runs.append((start, row))
            start, held = row, 0
        held += size
    return [*runs, (start, len(sizes))]


def named(stem: str, sizes: Sequence[int]) -> list[Shard]:
    """The shards of a place: `<stem>-00000-of-00003.parquet`."""
    runs = cut(sizes, SHARD_BYTES, SHARD_ROWS)
    names = [f"{stem}-{number:05}-of-{len(runs):05}.parquet" for number in range(len(runs))]
    return [Shard(name, *run) for name, run in zip(names, runs, strict=True)]


def digest(table: pa.Table, sizes: Sequence[int], *parts: str) -> str:
    """SHA-256 of all that decides the bytes of an export: equal digests, equal files."""
    whole = table.combine_chunks()
    blocks = (whole.slice(start, GROUP_ROWS) for start in range(0, table.num_rows, GROUP_ROWS))
    return digest_of_blocks(table.schema, blocks, *parts, *map(str, sizes))


def digest_of_blocks(schema: pa.Schema, blocks: Iterable[pa.Table], *parts: str) -> str:
    """The same of rows that come in blocks of GROUP_ROWS."""
    settings = (LAYOUT, pa.__version__, SHARD_BYTES, SHARD_ROWS, GROUP_BYTES, GROUP_ROWS, *parts)
    running = hashlib.sha256(repr(settings).encode())
    for block in blocks:
        for batch in block.combine_chunks().to_batches():
            running.update(batch.serialize())
    running.update(schema.serialize())
    return running.hexdigest()


def digest_of(place: Place, name: str) -> str | None:
    """The digest that an exported file carries; None for a file that is not there or not ours."""
    try:
        with place.opened(name) as file:
            metadata = pq.read_metadata(file).metadata or {}
    except (OSError, pa.ArrowInvalid):
        return None
    found: bytes | None = metadata.get(OURS)
    return None if found is None else found.decode()


def stale(place: Place, stem: str, wanted: Sequence[Shard]) -> list[str]:
    """Shards of the same name that another run left; UsageError when the folder holds Parquet files not ours.

    Shards of other datasets or splits may stay beside these; so may files that are not Parquet.
    """
    require_ours(place)
    pattern = re.compile(re.escape(stem) + r"-\d{5}-of-\d{5}\.parquet")
    keep = {shard.name for shard in wanted}
    return [name for name in tables_in(place) if pattern.fullmatch(name) and name not in keep]


def require_ours(place: Place) -> None:
    """UsageError when the folder holds Parquet files that dermdata did not export."""
    strangers = [name for name in tables_in(place) if digest_of(place, name) is None]
    if strangers:
        shown = ", ".join(strangers[:3]) + (", …" if len(strangers) > 3 else "")
        raise UsageError(
            f"{place} holds tables that dermdata did not export ({shown})",
            hint="give an empty folder, so that the two cannot be mixed up",
        )


def tables_in(place: Place) -> list[str]:
    return [name for name in place.names() if name.endswith(".parquet") and not name.startswith(".")]


def sweep(place: Place, names: Sequence[str]) -> None:
    """Delete shards of another run, before the new ones come: a mixture must never be seen."""
    for name in names:
        place.delete(name)
