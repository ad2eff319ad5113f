"""`--where`: filters rows by an SQL condition, which DuckDB evaluates on the Arrow table in memory.

The engine is locked before it sees a word of the condition: no files, no network, no extensions, no other Python
objects, two threads at most, one gigabyte and a minute. What it parsed is checked as well: only columns of the table,
constants, operators and the functions in FUNCTIONS; no query inside, no aggregate, no window.

FUNCTIONS is a list of what may be, not of what may not: each looks at one row, gives the same answer each time, and its
answer is about as large as what it is given. So there is nothing here that repeats, fills up or counts (`repeat`,
`lpad`, `range`, `list_resize`, `printf`, `bitstring`): DuckDB works out constants before its limit on memory counts.
"""

import ctypes
import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dermdata import limits
from dermdata.cohort.condition_syntax import (
    EXAMPLE_HINT,
    SqlCondition,
    Token,
    rewrite_under,
    syntax_error,
    tokenize,
)
from dermdata.cohort.query import CLOSED_ENGINE, strip_error_class
from dermdata.errors import UnknownName, UsageError, nearest
from dermdata.manifest.parquet import take_rows
from dermdata.vocabulary import Vocabulary

OPERATORS = """
    + - * / // % ** ^ & | ~ << >> @ || xor
    ~~ !~~ ~~* !~~* ~~~ ^@ @> <@ && -> ->>
    like_escape not_like_escape ilike_escape not_ilike_escape
"""
TEXT_FUNCTIONS = """
    lower lcase upper ucase trim ltrim rtrim reverse concat concat_ws replace translate overlay
    length len strlen char_length character_length octet_length bit_length
    substr substring left right split_part string_split str_split split string_to_array
    contains starts_with ends_with prefix suffix instr strpos position
    strip_accents nfc_normalize ascii ord unicode chr
    regexp_matches regexp_full_match regexp_extract regexp_extract_all regexp_replace regexp_escape
    regexp_split_to_array string_split_regex str_split_regex
    levenshtein editdist3 damerau_levenshtein hamming mismatches jaccard jaro_similarity
    jaro_winkler_similarity parse_filename parse_dirname parse_dirpath parse_path
    md5 sha1 sha256 hash encode decode
"""
NUMBER_FUNCTIONS = """
    abs ceil ceiling floor round round_even trunc sign sqrt cbrt exp ln log log2 log10 pow power mod fmod fdiv
    add subtract multiply divide greatest least isnan isinf isfinite even gcd lcm bit_count
    greatest_common_divisor least_common_multiple
    pi degrees radians sin cos tan asin acos atan atan2 gamma lgamma factorial
"""
NULL_FUNCTIONS = "nullif if constant_or_null typeof"
LIST_FUNCTIONS = """
    list_value list_pack array_value list_contains list_has array_contains array_has
    list_has_any array_has_any list_has_all array_has_all
    list_position list_indexof array_position array_indexof list_extract list_element array_extract
    list_slice array_slice array_length cardinality flatten
    list_concat list_cat array_concat array_cat list_distinct array_distinct list_unique array_unique
    list_sort array_sort list_reverse_sort array_reverse_sort list_intersect array_intersect
    list_aggregate list_aggr array_aggregate array_aggr aggregate
    map map_keys map_values map_entries map_extract map_extract_value element_at
    map_contains map_contains_entry map_contains_value map_from_entries map_concat
    row struct_pack struct_extract struct_extract_at struct_keys struct_values struct_contains struct_has
    json_extract json_extract_string json_extract_path json_extract_path_text json_value json_exists json_valid
    json_type json_keys json_array_length json_contains
"""
DATE_FUNCTIONS = """
    date_part datepart date_diff datediff date_sub datesub date_add date_trunc datetrunc last_day
    year quarter month week day hour minute second millisecond microsecond nanosecond
    decade century millennium era isoyear yearweek weekofyear weekday isodow
    dayofweek dayofmonth dayofyear dayname monthname julian days_in_month
    epoch epoch_ms epoch_us epoch_ns to_timestamp make_date make_time make_timestamp make_timestamp_ms
    strptime try_strptime strftime timezone time_bucket
    to_years to_quarters to_months to_weeks to_days to_hours to_minutes to_seconds to_milliseconds to_microseconds
"""
FUNCTIONS = frozenset(
    " ".join(
        (OPERATORS, TEXT_FUNCTIONS, NUMBER_FUNCTIONS, NULL_FUNCTIONS, LIST_FUNCTIONS, DATE_FUNCTIONS)
    ).split()
)

ENGINE_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    **CLOSED_ENGINE,
    "allow_community_extensions": "false",
    "memory_limit": "1GB",
    "temp_directory": "",
}
FEW_ROWS = 50_000  # are judged by the engine that the process keeps
ALLOWED_NODES = {
    "BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION",
    "OPERATOR", "TYPE",
}  # fmt: skip
NODE_NAMES = {
    "SUBQUERY": "a query inside a condition",
    "WINDOW": "a window over several rows",
    "STAR": "*",
    "LAMBDA": "a lambda",
    "PARAMETER": "a parameter",
}
RUNNING: set[duckdb.DuckDBPyConnection] = set()  # connections that judge now
MEMORY_BYTES = 1 << 30  # DuckDB's own limit does not hold for constants
SECONDS = 60
SELECT_START, SELECT_END = "SELECT (", "\n) FROM images"
ROW_NUMBER = "row number of dermdata"
ROWS_QUERY = 'SELECT "row number of dermdata" FROM images WHERE ('
SIMPLER_HINT = "make it simpler, or ask `dermdata query`"
MEMORY_ERROR = UsageError(
    f"the condition takes more than {MEMORY_BYTES >> 30} GB of memory", hint=SIMPLER_HINT
)
MOST_SUGGESTIONS = 3  # when a word is not found


def filter_rows(table: pa.Table, condition: str, vocabulary: Vocabulary) -> pa.Table:
    """Keep the rows for which a condition is true, as `find_true_rows` finds them."""
    return take_rows(table, find_true_rows(table, condition, vocabulary))


def find_true_rows(table: pa.Table, condition: str, vocabulary: Vocabulary) -> NDArray[np.int64]:
    """Find the rows for which a condition is true; neither false nor null is true.

    Parameters
    ----------
    table : pyarrow.Table
        A manifest.
    condition : str
        SQL over its columns, with `diagnosis under 'concept'`.
    vocabulary : Vocabulary
        Where concepts lie.

    Returns
    -------
    numpy.ndarray
        [rows], ascending.

    Raises
    ------
    UnknownName
        For a column or concept that is not there.
    UsageError
        For all else, with the place.

    """
    query = rewrite_under(condition, vocabulary)
    with open_cursor() if table.num_rows <= FEW_ROWS else open_engine() as connection:
        columns = check_condition(connection, query, table.column_names)
        numbers = pa.array(np.arange(table.num_rows))
        connection.register("images", table.select(columns).append_column(ROW_NUMBER, numbers))
        with watch_limits(connection):
            check_type(connection, query)
            rows = connection.execute(f"{ROWS_QUERY}{query.sql}\n)").fetchnumpy()[ROW_NUMBER]
    return np.sort(rows)


def condition_columns(condition: str, names: Sequence[str], vocabulary: Vocabulary) -> list[str]:
    """List the columns that a condition reads.

    Parameters
    ----------
    condition : str
        SQL, with `diagnosis under 'concept'`.
    names : sequence of str
        The columns of the table.
    vocabulary : Vocabulary
        Where concepts lie.

    Returns
    -------
    list of str
        Of `names`.

    Raises
    ------
    UnknownName, UsageError
        As of `filter_rows`.

    """
    with open_cursor() as connection:
        return check_condition(connection, rewrite_under(condition, vocabulary), names)


def open_engine(threads: int = 2) -> duckdb.DuckDBPyConnection:
    """An empty database in memory that can reach nothing, and whose settings are locked."""
    connection = duckdb.connect(":memory:", config={**ENGINE_SETTINGS, "threads": threads})
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    connection.execute("SET lock_configuration = true")
    return connection


def open_cursor() -> duckdb.DuckDBPyConnection:
    """A connection of its own to the engine that the process keeps: what one registers no other sees."""
    return kept_engine().cursor()


@cache
def kept_engine() -> duckdb.DuckDBPyConnection:
    """The engine that parses, and judges a few rows: to open one takes as long as to judge 50,000 rows."""
    return open_engine(threads=1)


def leave_engine_to_parent() -> None:
    """A fork has the parent's engine without its threads. To close it would wait for them, so it is never freed."""
    if kept_engine.cache_info().currsize:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept_engine()))
        kept_engine.cache_clear()


if sys.platform != "win32":  # which has no forks
    os.register_at_fork(after_in_child=leave_engine_to_parent)


@contextmanager
def watch_limits(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """UsageError for what the engine raises, and when it takes more than MEMORY_BYTES or SECONDS."""
    alarm = threading.Timer(SECONDS, connection.interrupt)
    alarm.daemon = True
    alarm.start()
    RUNNING.add(connection)
    try:
        with limits.limit_memory(MEMORY_BYTES, MEMORY_ERROR):
            yield
    except duckdb.OutOfMemoryException as error:
        raise MEMORY_ERROR from error
    except duckdb.InterruptException as error:
        raise UsageError(f"the condition takes more than {SECONDS} seconds", hint=SIMPLER_HINT) from error
    except duckdb.Error as error:
        raise condition_error(error) from error
    finally:
        RUNNING.discard(connection)
        alarm.cancel()


def interrupt_conditions() -> None:
    """End what other threads judge, as after SECONDS: a process that ends does not wait for it."""
    for connection in tuple(RUNNING):
        connection.interrupt()


# ------------------------------------------------------------------ looking at what was parsed


def check_condition(
    connection: duckdb.DuckDBPyConnection, query: SqlCondition, names: Sequence[str]
) -> list[str]:
    """The table's columns that the condition names, once its parsed form holds nothing but what it may."""
    known = {name.lower(): name for name in reversed(names)}
    used: dict[str, None] = {}
    for node in expression_nodes(parse_condition(connection, query)):
        kind = node["class"]
        if kind not in ALLOWED_NODES:
            what = NODE_NAMES.get(kind, kind.lower().replace("_", " "))
            raise UsageError(f"the condition may not hold {what}", hint=EXAMPLE_HINT)
        if kind == "COLUMN_REF":
            used[resolve_column(node["column_names"][0], known)] = None
        if kind == "FUNCTION":
            check_function(connection, node["function_name"])
        if kind == "TYPE" and node["type_name"].lower() == "array":
            raise UsageError("the condition may not hold a list of a fixed size", hint=EXAMPLE_HINT)
    return list(used)


def parse_condition(connection: duckdb.DuckDBPyConnection, query: SqlCondition) -> Any:
    """The condition as DuckDB's own parser understands it."""
    statement = f"{SELECT_START}{query.sql}{SELECT_END}"
    try:
        [(text,)] = connection.execute("SELECT json_serialize_sql(?)", [statement]).fetchall()
        tree = json.loads(text)
    except (duckdb.Error, RecursionError) as error:
        raise UsageError("the condition is nested too deeply") from error
    if tree["error"] and "depth" in tree["error_message"]:
        raise UsageError("the condition is nested too deeply")
    if tree["error"]:
        place = int(tree.get("position") or 0) - len(SELECT_START)
        what = tree["error_message"].removesuffix("!")
        raise syntax_error(what, query.original_position(min(max(place, 0), len(query.sql))))
    return tree["statements"][0]["node"]["select_list"]


def expression_nodes(tree: Any) -> Iterator[Mapping[str, Any]]:
    """Every expression in the tree, outer ones first."""
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if "class" in one:
                yield one
            waiting += reversed(list(one.values()))
        elif isinstance(one, list):
            waiting += reversed(one)


def resolve_column(name: str, known: Mapping[str, str]) -> str:
    if name.lower() in known:
        return known[name.lower()]
    raise UnknownName(
        "column",
        name,
        known.values(),
        hint=f"words stand in single quotes ('{name}'), columns in none; a source's own column is extra['{name}']",
    )


def check_function(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Only what looks at one row, always gives the same answer, and makes nothing large of something small."""
    if name.lower() in FUNCTIONS:
        return
    asked = "SELECT DISTINCT function_type FROM duckdb_functions() WHERE function_name = ?"
    kinds = {kind for (kind,) in connection.execute(asked, [name.lower()]).fetchall()}
    if not kinds:
        raise UnknownName("function", name, FUNCTIONS)
    why = "looks at more than one row" if "aggregate" in kinds else "is not for conditions"
    near = nearest(name.lower(), FUNCTIONS)
    raise UsageError(
        f"the function {name} {why}", hint=f"did you mean {' or '.join(near)}?" if near else EXAMPLE_HINT
    )


def check_type(connection: duckdb.DuckDBPyConnection, query: SqlCondition) -> None:
    [(_, kind, *_)] = connection.execute(f"DESCRIBE {SELECT_START}{query.sql}{SELECT_END}").fetchall()
    if kind != "BOOLEAN":
        raise UsageError(
            f"the condition must be true or false for each row, this is {kind}", hint=EXAMPLE_HINT
        )


def condition_error(error: duckdb.Error) -> UsageError:
    """DuckDB's words without its own query, and the part it underlines."""
    text, _, line = str(error).partition("\n\nLINE 1: ")
    what = strip_error_class(text).split("\n")[0]
    shown, _, marks = line.partition("\n")
    start = marks.find("^") - len("LINE 1: ")
    part = shown[start : start + marks.count("^")] if start >= 0 else ""
    return UsageError(f"the condition is wrong{f' at {part}' if part else ''}: {what}", hint=EXAMPLE_HINT)


# ------------------------------------------------------------------ near misses


def unknown_word_notes(table: pa.Table, condition: str) -> list[str]:
    """A note for each word that the condition compares a column of words with and that no row has."""
    notes = []
    for column, word in compared_words(tokenize(condition)):
        name = {one.lower(): one for one in reversed(table.column_names)}.get(column)
        if name is None or not pa.types.is_dictionary(table.schema.field(name).type):
            continue
        words = [one for one in table[name].cast(pa.string()).unique().to_pylist() if one is not None]
        if word not in words:
            near = nearest(word, words, MOST_SUGGESTIONS)
            asked = f"; did you mean {' or '.join(near)}?" if near else ""
            notes.append(f"no row has {name} '{word}'{asked}")
    return notes


def compared_words(found: Sequence[Token]) -> Iterator[tuple[str, str]]:
    """(column, word) of `column = 'word'` and `column in ('word', …)`."""
    for number, piece in enumerate(found[:-2]):
        if piece.kind != "name":
            continue
        sign, *rest = found[number + 1 :]
        if sign.text == "=" and rest[0].kind == "string":
            yield piece.word.lower(), rest[0].word
        elif sign.is_word("in") and rest[0].text == "(":
            for one in rest[1:]:
                if one.kind == "string":
                    yield piece.word.lower(), one.word
                elif one.text != ",":
                    break
