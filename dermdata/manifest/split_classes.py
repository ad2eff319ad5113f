"""The classes of a whole split: its parts number theirs alike, also those that one part lacks."""

import json

import pyarrow as pa
import pyarrow.compute as pc

from dermdata.manifest.columns import text_column
from dermdata.manifest.parquet import add_metadata, manifest_metadata

CLASS_COLUMNS = ("label", "diagnosis")  # of `--labels` or the person's own, else what the catalog harmonized
FACT = "classes"


def list_split_classes(table: pa.Table) -> str:
    """What a split's metadata says of the classes of all its rows, as JSON by column."""
    return json.dumps(
        {name: row_words(table, name) for name in CLASS_COLUMNS if name in table.column_names},
        ensure_ascii=False,
    )


def class_names(table: pa.Table, column: str) -> tuple[str, ...]:
    """All classes in the order of their numbers: by name, as folders are sorted.

    Of a part of a split they are those of the whole, so that a number means the same class in each part.
    """
    return tuple(sorted({*row_words(table, column), *read_split_classes(table).get(column, ())}))


def read_split_classes(table: pa.Table) -> dict[str, list[str]]:
    """The classes of the split that these rows are a part of; nothing for rows that were never split."""
    stated = json.loads(manifest_metadata(table).get(FACT, "{}"))
    return {str(column): [str(word) for word in words] for column, words in stated.items()}


def forget_split_classes(table: pa.Table, column: str) -> pa.Table:
    """The rows, whose column is about to mean something else."""
    stated = read_split_classes(table)
    if stated.pop(column, None) is None:
        return table
    return add_metadata(table, {FACT: json.dumps(stated, ensure_ascii=False)})


def row_words(table: pa.Table, column: str) -> list[str]:
    """The words of these rows, by name."""
    return sorted(word for word in pc.unique(text_column(table, column)).to_pylist() if word is not None)
