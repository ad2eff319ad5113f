"""What a request asks for, read from its parameters and its JSON; UsageError in words for what cannot be asked."""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from dermdata.browse.index import PictureQuery
from dermdata.errors import UsageError

MOST_MARKED = 20_000  # by one request
MOST_LETTERS = 500  # of a reason
HALF_CHARACTERS = re.compile("[\ud800-\udfff]")  # no text file can hold them


class AskedMarks(NamedTuple):
    """Which rows are to be marked or not, why, and whether it is a mark that was taken away by mistake."""

    rows: list[int]
    marked: bool
    issue: str
    again: bool


def read_marks(asked: Any, size: int) -> AskedMarks:
    """What a person wants to be marked; UsageError for what is no such request."""
    said = asked if isinstance(asked, dict) else {}
    rows, marked, issue = said.get("rows", ()), said.get("marked"), said.get("issue", "")
    again = said.get("again", False)
    if not (
        is_row_list(rows) and isinstance(marked, bool) and is_short_text(issue) and isinstance(again, bool)
    ):
        raise UsageError("a mark is {rows: [numbers], marked: true or false, issue: text}")
    if any(not 0 <= one < size for one in rows):
        raise UsageError("there is no such row")
    return AskedMarks(list(rows), marked, " ".join(issue.split()), again)


def is_row_list(rows: Any) -> bool:
    """Whether these are numbers, and not too many."""
    return isinstance(rows, list) and len(rows) <= MOST_MARKED and all(type(one) is int for one in rows)


def is_short_text(issue: Any) -> bool:
    """Whether this may stand in a list as a reason."""
    return isinstance(issue, str) and len(issue) <= MOST_LETTERS and not HALF_CHARACTERS.search(issue)


def read_number(asked: Mapping[str, str], name: str, usual: int) -> int:
    """A number that is not negative."""
    text = asked.get(name) or str(usual)
    if not text.isascii() or not text.isdecimal() or len(text) > 12:
        raise UsageError(f"{name} is a number")
    return int(text)


def read_query(asked: Mapping[str, str]) -> PictureQuery:
    """Which rows are asked for; UsageError for what cannot be."""
    cell = read_json(asked.get("cell"), list)
    if len(cell) not in {0, 2}:
        raise UsageError("a cell is [true class, predicted class]")
    return PictureQuery(
        where=asked.get("where", "").strip() or None,
        filters=read_filters(asked.get("filters")),
        search=asked.get("search", "").strip(),
        marked={"yes": True, "no": False}.get(asked.get("marked", "")),
        cell=(str(cell[0]), str(cell[1])) if cell else None,
    )


def read_filters(text: str | None) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    """The values of each facet; what can be no value is left out."""
    filters = read_json(text, dict)
    if not all(isinstance(values, list) for values in filters.values()):
        raise UsageError("filters are {facet: [values]}")
    plain = {
        name: tuple(one for one in values if one is None or isinstance(one, (str, int, float, bool)))
        for name, values in sorted(filters.items())
        if values
    }
    return tuple(plain.items())


def read_json(text: str | None, kind: type) -> Any:
    """A parameter that is JSON of one kind; empty where there is none."""
    try:
        found = json.loads(text) if text else kind()
    except (ValueError, RecursionError):
        raise UsageError("a filter is not JSON") from None
    if not isinstance(found, kind):
        raise UsageError(f"a filter is no JSON {kind.__name__}")
    return found
