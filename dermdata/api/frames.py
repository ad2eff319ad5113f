"""A manifest's table as a data frame that pandas users can work with."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dermdata.errors import UnknownName

if TYPE_CHECKING:
    import pandas as pd

ALL = "*"  # `extra.*`: every key of a column of pairs


def flat_frame(table: pa.Table, columns: Sequence[str] | None = None) -> "pd.DataFrame":
    """The columns as plain words, numbers and dates; pairs as dicts, or as a column a key where that is asked for.

    Raises
    ------
    UnknownName
        For a column, or a key of a column of pairs, that the table has not.

    """
    import pandas as pd

    chosen = table.column_names if columns is None else columns
    series = {name: values for asked in chosen for name, values in plain_columns(table, asked)}
    return pd.DataFrame(series, index=pd.RangeIndex(table.num_rows))


def plain_columns(table: pa.Table, asked: str) -> Iterator[tuple[str, "pd.Series[Any]"]]:
    """One column by its name; one key, or all keys, of a column of pairs as `extra.age` or `extra.*`."""
    if asked in table.column_names:
        yield asked, plain_series(table[asked])
        return
    name, dot, key = asked.partition(".")
    if not dot or name not in table.column_names or not pa.types.is_map(table.schema.field(name).type):
        raise UnknownName("column", asked, table.column_names)
    rows = [dict(row) if row else {} for row in table[name].to_pylist()]
    there = sorted({one for row in rows for one in row})
    if key != ALL and key not in there:
        raise UnknownName("column", asked, [f"{name}.{one}" for one in there])
    import pandas as pd

    for one in there if key == ALL else [key]:
        yield f"{name}.{one}", pd.Series([row.get(one) for row in rows], dtype=object)


def plain_series(column: pa.ChunkedArray) -> "pd.Series[Any]":
    """A column without categories and lists of pairs: words as words, pairs as dicts."""
    import pandas as pd

    kind = column.type
    if pa.types.is_map(kind):
        return pd.Series([None if row is None else dict(row) for row in column.to_pylist()], dtype=object)
    if pa.types.is_nested(kind):
        return pd.Series(column.to_pylist(), dtype=object)
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    found: pd.Series[Any] = column.to_pandas()
    return found
