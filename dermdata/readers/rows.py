"""The shape "rows": the tables that came out of .npz and Parquet files, one below the other.

`@image` is a row's first image, for tables of whose columns no source tells. Columns that only some of the files have
are empty in the rows of the others; `@file` is the catalog file of a row, by which `only` chooses some and `parts` cuts
what its name says.
"""

from collections.abc import Iterable
from functools import partial

import pyarrow as pa

from dermdata.errors import TableRefused
from dermdata.model import Content, TableSpec
from dermdata.readers.delimited import RejectedRows, parse_delimited
from dermdata.readers.image_tables import NUMBER_COLUMN, ROWS, SPLIT_COLUMN
from dermdata.readers.raw_table import FILE_COLUMN, IMAGE_COLUMN, Opener, RawTable
from dermdata.readers.table import complete_rows, mask_columns, read_joined_table, required_columns

OWN_COLUMNS = (FILE_COLUMN, SPLIT_COLUMN, NUMBER_COLUMN, IMAGE_COLUMN)  # also of no file at all


def read(spec: TableSpec, files: Opener, contents: tuple[Content, ...]) -> RawTable:
    """The rows of `spec.file`, or of every file that was taken apart, with the joined tables' columns."""
    names = [one.file for one in contents if one.official == ROWS and spec.file in (None, one.file)]
    if not names and spec.file:
        raise TableRefused(
            f"the images and rows of {spec.file} are not here",
            hint='fetch it without --only; its entry says unpack = "npz" or "parquet"',
        )
    if not names:
        return RawTable(empty_rows({*OWN_COLUMNS, *required_columns(spec), *mask_columns(spec)}))
    tables = [empty_rows(OWN_COLUMNS)]
    rejected: RejectedRows = []
    for name in sorted(names):
        rows, refused = parse_delimited(files(name, ROWS), name, delimiter=",", encoding="utf-8")
        tables.append(rows.append_column(FILE_COLUMN, pa.array([name] * rows.num_rows, pa.string())))
        rejected += refused
    whole = pa.concat_tables(tables, promote_options="default")
    columns = {name: whole[name].combine_chunks().fill_null("") for name in whole.column_names}
    what = spec.file or " and ".join(sorted(names)[:3])
    return complete_rows(pa.table(columns), rejected, spec, what, partial(read_joined_table, spec, files))


def empty_rows(names: Iterable[str]) -> pa.Table:
    """A table of these columns without a row."""
    return pa.table({name: pa.array([], pa.string()) for name in names})
