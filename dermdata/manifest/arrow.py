"""Arrow files and streams as manifests; nothing in them is believed before it was looked at."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from dermdata import limits
from dermdata.errors import BadTable
from dermdata.manifest.validate import require_schema, valid_blocks

FILE = b"ARROW1"
PIECE = 1 << 20  # bytes
STREAM = b"\xff\xff\xff\xff"  # what each message of a stream begins with


def read_file(path: Path) -> pa.Table:
    """An Arrow file, or a stream that was kept as one; BadTable for anything else."""
    with require_arrow(f"{path} is not an Arrow table"):
        return table_of(path.read_bytes(), str(path))


def read_stream(source: BinaryIO) -> pa.Table:
    """The Arrow stream that a command before writes; BadTable for anything else."""
    with require_arrow("stdin is not an Arrow stream", "the command before must end in `-o -`"):
        head = source.read(len(STREAM))
        if head != STREAM:
            raise pa.ArrowInvalid(f"it begins with {head!r}" if head else "it is empty")
        whole = io.BytesIO()  # so that its size is known: a few bytes may not become very many
        whole.write(head)
        while piece := source.read(PIECE):
            whole.write(piece)
        return table_of(whole.getbuffer(), "stdin")


@contextmanager
def require_arrow(what: str, hint: str | None = None) -> Iterator[None]:
    try:
        yield
    except MemoryError:
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise BadTable(f"{what}: {error}", hint=hint) from error


def table_of(data: bytes | memoryview, name: str) -> pa.Table:
    """The table in these bytes, which it goes on using."""
    with limits.limit_table(len(data), name):
        if data[: len(FILE)] == FILE:
            file = pa.ipc.open_file(data)
            schema, found = file.schema, (file.get_batch(number) for number in range(file.num_record_batches))
        else:
            stream = pa.ipc.open_stream(data)
            schema, found = stream.schema, iter(stream)
    require_schema(schema, name)
    return pa.Table.from_batches(list(valid_blocks(found, len(data), name)), schema)
