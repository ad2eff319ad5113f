"""What every reader gives: rows as text, and what could not be read, with its place."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

Opener = Callable[[str, str | None], bytes]  # (catalog file name, path inside it) -> its bytes


@dataclass(frozen=True)
class RawTable:
    """A source's rows before anything is understood: all columns text, "" where the source has nothing."""

    rows: pa.Table
    rejected: tuple[Mapping[str, object], ...] = ()  # {file, line, row, reason}
    unpartnered: Mapping[str, int] = field(default_factory=dict)  # joined file -> rows without partner
