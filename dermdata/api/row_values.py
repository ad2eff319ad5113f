"""Values of rows as numbers beside an image: what a model with metadata or several tasks takes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dermdata.closed_words import CLOSED_WORDS
from dermdata.errors import UnknownName, UsageError
from dermdata.manifest.columns import find_extra_column
from dermdata.manifest.split_classes import CLASS_COLUMNS, class_names
from dermdata.markup import count_share

UNKNOWN = -1  # the number of a word that nobody states


@dataclass(frozen=True)
class RowValues:
    """Columns of numbers, and the words that numbers stand for.

    Attributes
    ----------
    numbers : mapping of str to numpy.ndarray, shape (rows,)
        float32 with NaN, or int64 with -1 for words, where nothing is stated.
    words : mapping of str to list of str
        Of a column of words: the word of each number.

    """

    numbers: Mapping[str, NDArray[Any]]
    words: Mapping[str, list[str]]


def number_values(
    table: pa.Table,
    columns: Sequence[str],
    words: Mapping[str, Sequence[str]],
    say: Callable[[str], None],
) -> RowValues:
    """Number these columns.

    Parameters
    ----------
    table : pyarrow.Table
        Rows.
    columns : sequence of str
        Columns of numbers, truths or words, and `extra.NAME`.
    words : mapping of str to sequence of str
        The words of a column in the order of their numbers, where the manifest's description does not close them.
    say : callable
        Takes a line about words that are not among the given ones.

    Raises
    ------
    UnknownName
        For a column that no row has.
    UsageError
        For a column that is no number and no word, and for one whose words nobody gave.

    """
    numbers, known = {}, {}
    for name in columns:
        column = find_column(table, name)
        if is_number(column.type):
            values = column.cast(pa.float32()).combine_chunks()
            numbers[name] = values.to_numpy(zero_copy_only=False)
            continue
        texts = read_words(column, name)
        known[name] = list_words(table, name, words)
        numbers[name] = number_words(texts, known[name])
        if left := sum(text is not None for text in texts) - int((numbers[name] != UNKNOWN).sum()):
            say(
                f"{count_share(left, len(texts), 'row', 'have')} no {name} among the {len(known[name])} given"
            )
    return RowValues(numbers, known)


def find_column(table: pa.Table, name: str) -> pa.ChunkedArray:
    """A column by its name, or one key of the source's own columns."""
    if name in table.column_names:
        return table[name]
    column = find_extra_column(table, name)
    if column is None:
        raise UnknownName("column", name, table.column_names)
    return column


def is_number(kind: pa.DataType) -> bool:
    """Whether values of this type are numbers, or true and false."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def read_words(column: pa.ChunkedArray, name: str) -> list[str | None]:
    """A column's words; UsageError where its values are none."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise UsageError(
            f"{name} is no single number or word of a row", hint="ask for columns of numbers, truths or words"
        )
    found: list[str | None] = column.cast(pa.string()).to_pylist()
    return found


def list_words(table: pa.Table, name: str, given: Mapping[str, Sequence[str]]) -> list[str]:
    """The words of a column in the order of their numbers, which are the same in each part of a split."""
    if name in given:
        return list(given[name])
    if name in CLOSED_WORDS:
        return list(CLOSED_WORDS[name])
    if name in CLASS_COLUMNS:
        return list(class_names(table, name))
    raise UsageError(
        f"each part may have other words of {name}, and a number would mean another one in each",
        hint=f"pass them: words={{{name!r}: [...]}}",
    )


def number_words(texts: Sequence[str | None], words: Sequence[str]) -> NDArray[np.int64]:
    """The place of each word; -1 for what is not among them."""
    places = {word: place for place, word in enumerate(words)}
    return np.array([UNKNOWN if text is None else places.get(text, UNKNOWN) for text in texts], np.int64)
