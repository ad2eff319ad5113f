"""ISIC Archive, API v2: search, page by page; records to files and to the official table's columns.

https://api.isic-archive.com/api/docs/swagger/ ; public images are plain S3, no credentials are sent.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlencode, urlsplit

from dermdata.errors import IntegrityError, ServerRefused, UnknownName, UsageError
from dermdata.model import File
from dermdata.sources.around import Surroundings
from dermdata.sources.record import matched
from dermdata.sources.shape import Part
from dermdata.sources.shape import pages as following

SEARCH = "https://api.isic-archive.com/api/v2/images/search/"
PAGE = 100  # the interface gives no more
WHAT = "a page of the ISIC Archive"
KEYS = ("collections", "query")
LEVELS = ("diagnosis", "anatom_site")  # fields of five levels
WRONG = (400, 422)
LANGUAGE = (
    "write field:value, AND, OR, -field:value, quotes, * and [50 TO 70]; "
    "for example: diagnosis_3:Nevus AND sex:female"
)

Record = Mapping[str, Any]


def listing(identity: str, around: Surroundings) -> tuple[File, ...]:
    """The image files of `collections=70,65`, `query=…`, both joined by `&`, or "" for everything."""
    query, collections = search(identity)
    return around.answers.of(("isic", identity), lambda: tuple(files_of(pages(query, collections, around))))


def search(identity: str) -> tuple[str, tuple[int, ...]]:
    """Query and collections of a listing's identity; nothing in it is percent-encoded."""
    asked: dict[str, str] = {}
    for word in filter(None, identity.split("&")):
        key, separator, value = word.partition("=")
        if key not in KEYS or not separator:
            raise UnknownName(
                "part of an isic listing", key, KEYS, hint="isic:collections=70,65&query=sex:female"
            )
        asked[key] = value
    collections = asked.get("collections", "")
    matched(r"(\d+(,\d+)*)?", collections, "collections=<number>,<number>")
    return asked.get("query", ""), tuple(int(number) for number in collections.split(",") if number)


# ------------------------------------------------------------------ asking


def pages(
    query: str, collections: Sequence[int], around: Surroundings, limit: int | None = None
) -> Iterator[Record]:
    """The records that a search finds, oldest first, at most `limit`; each page is asked for when needed.

    UsageError for a query that the archive cannot read; IntegrityError when fewer come than it counted.
    """
    if limit is not None and limit < 1:
        return
    size = min(limit or PAGE, PAGE)
    first = address(query, collections, size)
    promised: int | None = None
    seen = 0

    def page(token: str) -> tuple[list[Record], str | None]:
        nonlocal promised
        answer = Part(asked(token or first, query, around), WHAT)
        promised = answer.count("count") if not token else promised
        rows = [checked(row) for row in answer.rows("results")]
        # the cursor in it is the archive's own matter: the address is used as it is
        return rows, answer.address("next") if answer.maybe("next") else None

    for seen, record in enumerate(following(page, WHAT), 1):  # seen is used below
        yield record
        if seen == limit:
            return
    if promised is not None and seen < promised:
        said = f"the ISIC Archive counted {promised:,} images and gave {seen:,}"
        raise IntegrityError(said, hint="it may have changed meanwhile; run again")


def count(query: str, collections: Sequence[int], around: Surroundings) -> int:
    """How many images a search finds."""
    return Part(asked(address(query, collections, 1), query, around), WHAT).number("count")


def address(query: str, collections: Sequence[int], size: int) -> str:
    words = {"query": query, "collections": ",".join(map(str, collections)), "limit": str(size)}
    return f"{SEARCH}?{urlencode({key: value for key, value in words.items() if value})}"


def asked(url: str, query: str, around: Surroundings) -> Any:
    try:
        return around.ask_about("such page", url)
    except ServerRefused as error:
        if error.status not in WRONG:
            raise
        said = (
            f"the ISIC Archive cannot read the query '{query}'"
            if query
            else "the ISIC Archive refuses this search"
        )
        raise UsageError(f"{said} ({error.status})", hint=LANGUAGE) from error


def checked(row: Part) -> Record:
    """A record whose id is one."""
    if not re.fullmatch(r"ISIC_\d{7,12}", row.text("isic_id"), re.ASCII):
        raise row.strange("isic_id", "an ISIC id")
    record: Record = row.value
    return record


# ------------------------------------------------------------------ reading


def files_of(records: Iterable[Record]) -> Iterator[File]:
    """The full-size image of each record, under its name in the archive's bucket."""
    for record in records:
        row = Part(record, WHAT)
        full = row.part("files").part("full")
        url = full.address("url")
        ending = PurePosixPath(urlsplit(url).path).suffix.lower()
        yield File(
            name=f"images/{row.text('isic_id')}{ending}",
            role="images",
            urls=(url,),
            size=full.count("size"),
        )


def flatten(record: Record) -> dict[str, str]:
    """A record as a row of the official metadata.csv: fixed columns first, then its fields by name.

    `diagnosis` and `anatom_site` join their levels with ":" down to the last one that is set.
    """
    row = Part(record, WHAT)
    metadata = row.part("metadata")
    fields: dict[str, str] = {}
    for group in ("acquisition", "clinical"):
        values = metadata.part(group).value or {}
        if not isinstance(values, dict):
            raise metadata.strange(group, "an object")
        fields |= {name: words(value) for name, value in values.items() if value is not None}
    for name in LEVELS:
        if path := joined_levels(name, fields):
            fields[name] = path
    fixed = {name: row.maybe(name) or "" for name in ("isic_id", "attribution", "copyright_license")}
    return fixed | {name: fields[name] for name in sorted(fields)}


def joined_levels(name: str, fields: Mapping[str, str]) -> str:
    levels = [fields.get(f"{name}_{level}", "") for level in range(1, 6)]
    return ":".join(levels).rstrip(":")


def words(value: Any) -> str:
    """A value as the table writes it: True, 55, text; anything with parts as JSON."""
    return (
        value
        if isinstance(value, str)
        else json.dumps(value)
        if isinstance(value, dict | list)
        else str(value)
    )
