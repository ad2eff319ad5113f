"""`--where`: an SQL condition over the manifest's columns, judged by DuckDB on the Arrow table in memory.

The engine is locked before it sees a word of the condition: no files, no network, no extensions, no other Python
objects, two threads, one gigabyte and a minute. What it parsed is looked at as well: only columns of the table,
constants, operators and the functions of `functions.py`, which give the same answer each time and make nothing large
of something small; no query inside, no aggregate, no window.
"""

import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from dermdata import limits
from dermdata.errors import UnknownName, UsageError, nearest
from dermdata.manifest import store
from dermdata.selection.functions import FUNCTIONS
from dermdata.selection.tokens import EXAMPLE, Piece, pieces, wrong
from dermdata.selection.under import Rewritten, rewritten
from dermdata.vocabulary import Vocabulary

LOCKED: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
    "memory_limit": "1GB",
    "threads": "2",
    "temp_directory": "",
}
ALLOWED = {
    "BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION",
    "OPERATOR", "TYPE",
}  # fmt: skip
IN_WORDS = {
    "SUBQUERY": "a query inside a condition",
    "WINDOW": "a window over several rows",
    "STAR": "*",
    "LAMBDA": "a lambda",
    "PARAMETER": "a parameter",
}
MEMORY = 1 << 30  # bytes; DuckDB's own limit does not hold for constants
SECONDS = 60
BEFORE, AFTER = "SELECT (", "\n) FROM images"
ROW = "row number of dermdata"
ASKED = 'SELECT "row number of dermdata" FROM images WHERE ('
SIMPLER = "make it simpler, or ask `dermdata query`"
TOO_MUCH = UsageError(f"the condition takes more than {MEMORY >> 30} GB of memory", hint=SIMPLER)
SHOWN = 3  # words that are listed when one is not found


def where(table: pa.Table, condition: str, vocabulary: Vocabulary) -> pa.Table:
    """The rows for which the condition is true, in their order; neither false nor null is true.

    UnknownName for a column or concept that is not there, UsageError with the place for all else.
    """
    query = rewritten(condition, vocabulary)
    with engine() as connection:
        columns = checked(connection, query, table.column_names)
        numbers = pa.array(np.arange(table.num_rows))
        connection.register("images", table.select(columns).append_column(ROW, numbers))
        with watch_limits(connection):
            check_type(connection, query)
            rows = connection.execute(f"{ASKED}{query.sql}\n)").fetchnumpy()[ROW]
    return store.taken(table, np.sort(rows))


def columns_of(condition: str, names: Sequence[str], vocabulary: Vocabulary) -> list[str]:
    """Those of the names that the condition looks at; errors as of `where`."""
    with engine() as connection:
        return checked(connection, rewritten(condition, vocabulary), names)


def engine() -> duckdb.DuckDBPyConnection:
    """An empty database in memory that can reach nothing and be told nothing else."""
    connection = duckdb.connect(":memory:", config=LOCKED)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET lock_configuration = true")
    return connection


@contextmanager
def watch_limits(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """UsageError for what the engine says, and when it takes more than MEMORY or SECONDS."""
    alarm = threading.Timer(SECONDS, connection.interrupt)
    alarm.daemon = True
    alarm.start()
    try:
        with limits.limit_memory(MEMORY, TOO_MUCH):
            yield
    except duckdb.OutOfMemoryException as error:
        raise TOO_MUCH from error
    except duckdb.InterruptException as error:
        raise UsageError(f"the condition takes more than {SECONDS} seconds", hint=SIMPLER) from error
    except duckdb.Error as error:
        raise complaint(error) from error
    finally:
        alarm.cancel()


# ------------------------------------------------------------------ looking at what was parsed


def checked(connection: duckdb.DuckDBPyConnection, query: Rewritten, names: Sequence[str]) -> list[str]:
    """The table's columns that the condition names, once its parsed form holds nothing but what it may."""
    known = {name.lower(): name for name in reversed(names)}
    used: dict[str, None] = {}
    for node in nodes(parsed(connection, query)):
        kind = node["class"]
        if kind not in ALLOWED:
            what = IN_WORDS.get(kind, kind.lower().replace("_", " "))
            raise UsageError(f"the condition may not hold {what}", hint=EXAMPLE)
        if kind == "COLUMN_REF":
            used[column_of(node["column_names"][0], known)] = None
        if kind == "FUNCTION":
            check_function(connection, node["function_name"])
        if kind == "TYPE" and node["type_name"].lower() == "array":
            raise UsageError("the condition may not hold a list of a fixed size", hint=EXAMPLE)
    return list(used)


def parsed(connection: duckdb.DuckDBPyConnection, query: Rewritten) -> Any:
    """The condition as DuckDB's own parser understands it."""
    statement = f"{BEFORE}{query.sql}{AFTER}"
    try:
        [(text,)] = connection.execute("SELECT json_serialize_sql(?)", [statement]).fetchall()
        tree = json.loads(text)
    except (duckdb.Error, RecursionError) as error:
        raise UsageError("the condition is nested too deeply") from error
    if tree["error"] and "depth" in tree["error_message"]:
        raise UsageError("the condition is nested too deeply")
    if tree["error"]:
        place = int(tree.get("position") or 0) - len(BEFORE)
        what = tree["error_message"].removesuffix("!")
        raise wrong(what, query.place(min(max(place, 0), len(query.sql))))
    return tree["statements"][0]["node"]["select_list"]


def nodes(tree: Any) -> Iterator[Mapping[str, Any]]:
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


def column_of(name: str, known: Mapping[str, str]) -> str:
    if name.lower() in known:
        return known[name.lower()]
    raise UnknownName(
        "column", name, known.values(), hint=f"words stand in single quotes ('{name}'), columns in none"
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
        f"the function {name} {why}", hint=f"did you mean {' or '.join(near)}?" if near else EXAMPLE
    )


def check_type(connection: duckdb.DuckDBPyConnection, query: Rewritten) -> None:
    [(_, kind, *_)] = connection.execute(f"DESCRIBE {BEFORE}{query.sql}{AFTER}").fetchall()
    if kind != "BOOLEAN":
        raise UsageError(f"the condition must be true or false for each row, this is {kind}", hint=EXAMPLE)


def complaint(error: duckdb.Error) -> UsageError:
    """DuckDB's words without its own query, and the part it underlines."""
    text, _, line = str(error).partition("\n\nLINE 1: ")
    what = re.sub(r"\A[A-Z]\w+(?: \w+)* Error: ", "", text).split("\n")[0]
    shown, _, marks = line.partition("\n")
    start = marks.find("^") - len("LINE 1: ")
    part = shown[start : start + marks.count("^")] if start >= 0 else ""
    return UsageError(f"the condition is wrong{f' at {part}' if part else ''}: {what}", hint=EXAMPLE)


# ------------------------------------------------------------------ near misses


def strangers(table: pa.Table, condition: str) -> list[str]:
    """A note for each word that the condition compares a column of words with and that no row has."""
    notes = []
    for column, word in compared(pieces(condition)):
        name = {one.lower(): one for one in reversed(table.column_names)}.get(column)
        if name is None or not pa.types.is_dictionary(table.schema.field(name).type):
            continue
        words = [one for one in table[name].cast(pa.string()).unique().to_pylist() if one is not None]
        if word not in words:
            near = nearest(word, words, SHOWN)
            asked = f"; did you mean {' or '.join(near)}?" if near else ""
            notes.append(f"no row has {name} '{word}'{asked}")
    return notes


def compared(found: Sequence[Piece]) -> Iterator[tuple[str, str]]:
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
