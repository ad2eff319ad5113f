"""Cells as people type them and programs leave them: ids that became numbers, names of other systems, decimal commas.

What two programs write differently and mean alike is brought to one form, so that it can be compared.
"""

import pyarrow as pa
import pyarrow.compute as pc

# what programs write where a table has nothing; in a column of numbers they can mean nothing else
NOTHING_WORDS = ("", "nan", "na", "n/a", "#n/a", "<na>", "nat", "none", "null")
# truths as programs and spreadsheets of several languages write them, in any case
TRUE_WORDS = ("1", "1.0", "1,0", "true", "wahr", "vrai", "verdadero", "verdadeiro", "vero")
FALSE_WORDS = ("0", "0.0", "0,0", "false", "falsch", "faux", "falso")
TRUTHS = {**dict.fromkeys(TRUE_WORDS, True), **dict.fromkeys(FALSE_WORDS, False)}
FIRST_CELLS = 100
WHOLE_FLOAT = r"^(\d+)\.0+$"
DECIMAL_COMMA = r"^([+-]?\d*),(\d+(?:[eE][+-]?\d+)?)$"


def clean_ids(column: pa.Array) -> pa.Array:
    """Ids as they are compared: in NFC, without blanks around; 12 where a whole column has become 12.0.

    Parameters
    ----------
    column : pyarrow.Array
        Text.

    Returns
    -------
    pyarrow.Array
        Text; null stays null.

    """
    words = pc.utf8_trim_whitespace(column)
    if not pc.all(pc.string_is_ascii(words)).as_py():
        words = pc.utf8_normalize(words, form="NFC")
    return pc.replace_substring_regex(words, WHOLE_FLOAT, r"\1") if are_whole_floats(words) else words


def are_whole_floats(words: pa.Array) -> bool:
    """Whether every cell that says something is of the form 12.0; the first ones mostly settle it."""
    filled = words.slice(0, 0)
    for part in (words.slice(0, FIRST_CELLS), words):
        filled = part.filter(pc.invert(is_nothing(part)))
        if not pc.all(pc.match_substring_regex(filled, WHOLE_FLOAT), min_count=0).as_py():
            return False
    return len(filled) > 0


def clean_names(column: pa.Array) -> pa.Array:
    """Names of files as they are compared: as ids, with "/" where Windows has a backslash."""
    return pc.replace_substring(clean_ids(column), "\\", "/")


def is_nothing(column: pa.Array) -> pa.Array:
    """Whether a cell of numbers says nothing: it is empty, null, or a program's word for that."""
    return pc.is_in(pc.utf8_lower(pc.fill_null(column, "")), pa.array(NOTHING_WORDS))


def point_decimals(column: pa.Array) -> pa.Array:
    """Numbers as they are computed with: 0.75 for 0,75."""
    return pc.replace_substring_regex(column, DECIMAL_COMMA, r"\1.\2")


def is_true(column: pa.Array) -> pa.Array:
    """Whether a cell says yes."""
    return pc.is_in(pc.utf8_lower(column), pa.array(TRUE_WORDS))


def is_truth(column: pa.Array) -> pa.Array:
    """Whether a cell says yes or no."""
    return pc.is_in(pc.utf8_lower(column), pa.array(tuple(TRUTHS)))
