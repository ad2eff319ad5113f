"""What input from outside may cost: columns, rows, cells and depth by the bytes it came in, and memory to read it."""

import io
import json
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from dermdata.errors import BadTable, DermdataError
from dermdata.markup import count_nouns
from dermdata.process import count_cores

COLUMNS = 16_384  # of one table, as many as a spreadsheet can have
FREE_ROWS = 100_000  # that any file may have, however small
FREE_CELLS = 1_000_000  # cells of a sparse table, likewise
# rows of a publisher's table that are listed with a reason; more are another table than it seems
REJECTED = 200_000
CELL_BYTES = 16 << 20  # of one cell: writers hold the longest one several times over
FREE_MEMORY = 256 << 20  # bytes of memory that any file may take, however small
MEMORY_RATIO = 64  # bytes of memory for one byte of a file; our own manifests take 7
ROWS_PER_BYTE = 4  # for one byte of a file; our own manifests have a sixtieth
THREAD_MEMORY = 16 << 20  # bytes of a thread that Arrow starts: its stack, and the allocator's own


def require_columns(names: Sequence[str], table: str) -> None:
    """BadTable for more columns than COLUMNS, or two of one name."""
    if len(names) > COLUMNS:
        raise BadTable(f"{table} has {count_nouns(len(names), 'column')}, the limit is {COLUMNS:,}")
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise BadTable(f"{table} has two columns {twice[0]}")


def require_rows(rows: int, size: int, table: str) -> None:
    """BadTable for more rows than its bytes can hold."""
    most = max(FREE_ROWS, size * ROWS_PER_BYTE)
    if rows > most:
        raise BadTable(
            f"{table} says {count_nouns(rows, 'row')} in {count_nouns(size, 'byte')}, the limit is {most:,}"
        )


def require_cells(cells: int, size: int, table: str) -> None:
    """BadTable for a sparse table that is larger than its bytes, each cell counted that is there or not."""
    most = max(FREE_CELLS, size)
    if cells > most:
        raise BadTable(
            f"{table} has {count_nouns(cells, 'cell')} in {count_nouns(size, 'byte')}, the limit is {most:,}"
        )


def require_memory(held: int, size: int, table: str) -> None:
    """BadTable for values that take more memory than a table of so many bytes may."""
    if held > memory_limit(size):
        raise memory_error(table, size)


def memory_limit(size: int) -> int:
    """Bytes of memory that a table of so many bytes may take."""
    return FREE_MEMORY + MEMORY_RATIO * size


def memory_error(table: str, size: int) -> BadTable:
    return BadTable(
        f"{table} of {count_nouns(size, 'byte')} takes more than {memory_limit(size) >> 20:,} MB of memory",
        hint="few bytes stand for very many here: make the file again, from rows that are real",
    )


def limit_table_memory(size: int, table: str) -> AbstractContextManager[None]:
    """BadTable when the block, which reads a table of so many bytes, takes more memory than one of them may."""
    return limit_memory(memory_limit(size), memory_error(table, size))


@contextmanager
def limit_memory(most: int, refusal: DermdataError) -> Iterator[None]:
    """The refusal when the block takes so many bytes of memory more than are held before.

    By the process's own limit on memory (Linux alone has one that holds), so that what a library allocates by itself
    counts too. Not for a block beside which other threads work: it is their limit as well.
    """
    with limit_data_segment(most, refusal):
        yield


# ------------------------------------------------------------------ Parquet


class ReadLocated(OSError):
    """What a reader would read next: `span`, [start, end) in bytes."""

    def __init__(self, start: int, end: int) -> None:
        super().__init__("only its place was asked for")
        self.span = start, end


class LocatingFile(io.RawIOBase):
    """A file that says, while it is `locating`, where it would be read, and is not read."""

    def __init__(self, source: Any) -> None:
        self.source, self.locating = source, False

    def read(self, size: int = -1, /) -> bytes:
        if self.locating:
            raise ReadLocated(self.tell(), self.tell() + size)
        return bytes(self.source.read(size))

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return int(self.source.seek(offset, whence))

    def tell(self) -> int:
        return int(self.source.tell())

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def locate_columns(
    file: Any, source: LocatingFile, columns: Collection[str] | None, group: int
) -> Iterator[tuple[int, int]]:
    """Where a Parquet file has these columns (or all) of a row group: [start, end) in bytes of each.

    By the place of the first read of each, at which it is stopped: to ask the file's metadata for a column ends the
    process where the column's statistics are broken (pyarrow 26), where a read raises OSError.
    """
    source.locating = True
    try:
        for path in (file.schema.column(number).path for number in range(len(file.schema))):
            if columns is None or path in columns or path.partition(".")[0] in columns:
                try:
                    file.read_row_group(group, columns=[path], use_threads=False)
                except ReadLocated as found:
                    yield found.span
    finally:
        source.locating = False


# ------------------------------------------------------------------ memory


if sys.platform == "linux":
    import resource

    class DataLimits:
        """The limits on the process's data that blocks have set, in whatever order they end: the least one holds."""

        def __init__(self) -> None:
            self._lock = threading.Lock()
            self._bounds: list[int] = []
            self._before = (
                resource.RLIM_INFINITY,
                resource.RLIM_INFINITY,
            )  # what was there before any of ours

        def add(self, bound: int) -> bool:
            """Set one more limit; whether it is the one that holds."""
            with self._lock:
                if not self._bounds:
                    self._before = resource.getrlimit(resource.RLIMIT_DATA)
                ours = self._before[0] == resource.RLIM_INFINITY or bound < self._before[0]
                self._bounds.append(bound)
                self._apply()
                return ours and bound == min(self._bounds)

        def remove(self, bound: int) -> None:
            """Take a limit away; after the last one all is as it was."""
            with self._lock:
                self._bounds.remove(bound)
                self._apply()

        def _apply(self) -> None:
            soft = self._before[0]
            every = [*self._bounds, *([soft] if soft != resource.RLIM_INFINITY else [])]
            resource.setrlimit(resource.RLIMIT_DATA, (min(every) if self._bounds else soft, self._before[1]))

    data_limits = DataLimits()

    @contextmanager
    def limit_data_segment(most: int, refusal: DermdataError) -> Iterator[None]:
        """The refusal when the block takes so many bytes of memory more, by the limit on a process's data."""
        bound = measure_data_segment() + most + THREAD_MEMORY * count_cores()
        ours = data_limits.add(bound)
        try:
            yield
        except MemoryError as error:
            if not ours or resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
                raise  # somebody else's limit, and perhaps a smaller one
            raise refusal from error
        finally:
            data_limits.remove(bound)

else:

    @contextmanager
    def limit_data_segment(most: int, refusal: DermdataError) -> Iterator[None]:  # noqa: ARG001
        """No limit: no other system has one that holds."""
        yield


def measure_data_segment() -> int:
    """Bytes of memory that RLIMIT_DATA counts."""
    with open("/proc/self/status", "rb") as file:  # noqa: PTH123  # once a block of rows
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(b"VmData"))


MAX_DEPTH = 32  # lists and objects within each other; Arrow's own format holds 64
HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")  # may be half of a character
PairsHook = Callable[[list[tuple[str, Any]]], Any]


def parse_json(text: str | bytes, pairs: PairsHook | None = None) -> Any:
    """The value that the text stands for.

    Parameters
    ----------
    text : str or bytes
        UTF-8, when bytes.
    pairs : callable, optional
        Makes an object from its (key, value) pairs; a dict otherwise.

    Raises
    ------
    ValueError
        What is no JSON, is nested deeper than MAX_DEPTH, or holds half of a character.

    """
    text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    if text.count("[") + text.count("{") > MAX_DEPTH and nesting_depth(text) > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    value = json.loads(text, object_pairs_hook=pairs)
    if HALF_CHARACTER.search(text):
        require_whole_characters(value)
    return value


def parse_whole_json(data: bytes) -> Any:
    """The value of a file of our own, however large; ValueError for half of a character, which no output could hold."""
    text = data.decode()
    value = json.loads(text)
    if HALF_CHARACTER.search(text):
        require_whole_characters(value)
    return value


def nesting_depth(text: str) -> int:
    """The most brackets that are open at once, those in strings left out."""
    deepest = depth = 0
    for piece in re.finditer(r'"(?:[^"\\]+|\\.)*"?|[\[{]|[\]}]', text, re.DOTALL):
        bracket = piece[0]
        if bracket in "[{":
            depth += 1
            deepest = max(deepest, depth)
            if depth > MAX_DEPTH:
                break
        elif bracket in "]}":
            depth -= 1
    return deepest


def require_whole_characters(value: Any) -> None:
    """ValueError where a text holds a surrogate without its other half."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError("half of a character") from error
