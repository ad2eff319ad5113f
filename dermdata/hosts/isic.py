"""ISIC Archive, API v2: search, page by page; records to files and to the official table's columns.

https://api.isic-archive.com/api/docs/swagger/ ; public images are plain S3, no credentials are sent.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlencode, urlsplit

from dermdata.errors import IntegrityError, ServerRefused, UnknownName, UsageError
from dermdata.hosts.base import JsonObject, RecordFacts, ResolveContext, match_identity
from dermdata.hosts.base import iterate_pages as following_pages
from dermdata.markup import count_nouns
from dermdata.model import File

SEARCH = "https://api.isic-archive.com/api/v2/images/search/"
COLLECTIONS = "https://api.isic-archive.com/api/v2/collections/"
PAGE = 100  # the interface gives no more
PAGE_NAME = "a page of the ISIC Archive"
LISTING_KEYS = ("collections", "query")
LEVELED_FIELDS = {
    "diagnosis": None,
    "anatom_site": "anatom_site_general",
}  # of five levels: the flat field before
BAD_QUERY_STATUSES = (400, 422)
QUERY_HINT = (
    "write field:value, AND, OR, -field:value, quotes, * and [50 TO 70]; "
    "for example: diagnosis_3:Nevus AND sex:female"
)

IsicRecord = Mapping[str, Any]


def list_files(identity: str, context: ResolveContext) -> tuple[File, ...]:
    """The image files of `collections=70,65`, `query=…`, both joined by `&`, or "" for everything."""
    query, collections = parse_search(identity)
    return context.answers.get_or_ask(
        ("isic", identity), lambda: tuple(to_files(search_records(query, collections, context)))
    )


def state_record(identity: str, context: ResolveContext) -> RecordFacts:
    """What the archive says of the one collection of `collections=70`; a search has no name."""
    query, collections = parse_search(identity)
    facts = RecordFacts(
        place=f"isic:{identity}",
        page="https://www.isic-archive.com/",
        source=search_url(query, collections, 1),
        is_fixed=False,
    )
    if len(collections) != 1:
        return facts
    url = f"{COLLECTIONS}{collections[0]}/"
    answer = context.request_description(f"collection {collections[0]}", url)
    if answer is None:
        return facts
    return replace(
        facts,
        source=url,
        title=answer.written_text("name"),
        doi=answer.written_text("doi"),
        page=f"https://api.isic-archive.com/collections/{collections[0]}/",
    )


def parse_search(identity: str) -> tuple[str, tuple[int, ...]]:
    """Query and collections of a listing's identity; nothing in it is percent-encoded."""
    asked: dict[str, str] = {}
    for word in filter(None, identity.split("&")):
        key, separator, value = word.partition("=")
        if key not in LISTING_KEYS or not separator:
            raise UnknownName(
                "part of an isic listing", key, LISTING_KEYS, hint="isic:collections=70,65&query=sex:female"
            )
        asked[key] = value
    collections = asked.get("collections", "")
    match_identity(r"(\d+(,\d+)*)?", collections, "collections=<number>,<number>")
    return asked.get("query", ""), tuple(int(number) for number in collections.split(",") if number)


# ------------------------------------------------------------------ asking


@dataclass(frozen=True, kw_only=True)
class SearchPage:
    """One answer of the search."""

    records: Sequence[IsicRecord]
    count: int | None  # of all that are found; only the first page says it
    following: str | None  # the next page's address


def search_pages(
    query: str,
    collections: Sequence[int],
    context: ResolveContext,
    *,
    size: int = PAGE,
    begin: str | None = None,
) -> Iterator[SearchPage]:
    """The pages of a search, oldest records first; each is asked for when needed, `begin` in place of the first.

    UsageError for a query, or an address to begin with, that the archive cannot read.
    """
    first = begin or search_url(query, collections, size)

    def page(token: str) -> tuple[list[SearchPage], str | None]:
        answer = JsonObject(request_page(token or first, query, context), PAGE_NAME)
        rows = [check_record(row) for row in answer.rows("results")]
        # the cursor in it is the archive's own matter: the address is used as it is
        following = answer.address("next") if answer.optional_text("next") else None
        return [
            SearchPage(records=rows, count=answer.optional_number("count"), following=following)
        ], following

    return following_pages(page, PAGE_NAME)


def search_records(
    query: str, collections: Sequence[int], context: ResolveContext, limit: int | None = None
) -> Iterator[IsicRecord]:
    """The records that a search finds, oldest first, at most `limit`; each page is asked for when needed.

    UsageError for a query that the archive cannot read; IntegrityError when fewer come than it counted.
    """
    if limit is not None and limit < 1:
        return
    promised: int | None = None
    seen = 0
    for page in search_pages(query, collections, context, size=min(limit or PAGE, PAGE)):
        promised = page.count if promised is None else promised
        for record in page.records:
            yield record
            seen += 1
            if seen == limit:
                return
    require_all(promised, seen)


def require_all(promised: int | None, seen: int) -> None:
    """IntegrityError where fewer records came than the archive counted."""
    if promised is not None and seen < promised:
        message = f"the ISIC Archive counted {count_nouns(promised, 'image')} and gave {seen:,}"
        raise IntegrityError(message, hint="it may have changed meanwhile; run again")


def count_images(query: str, collections: Sequence[int], context: ResolveContext) -> int:
    """How many images a search finds."""
    return JsonObject(request_page(search_url(query, collections, 1), query, context), PAGE_NAME).number(
        "count"
    )


def count_bytes(query: str, collections: Sequence[int], context: ResolveContext) -> int | None:
    """About how many bytes the images that a search finds have together.

    None where the archive does not say: its documentation does not name the address.
    """
    url, what = f"{SEARCH}size/?{write_search(query, collections)}", "size of a search in the ISIC Archive"
    try:
        return JsonObject(context.request_json(what, url), what).optional_number("size")
    except ServerRefused:
        return None


def search_url(query: str, collections: Sequence[int], size: int) -> str:
    return f"{SEARCH}?{write_search(query, collections, limit=size)}"


def write_search(query: str, collections: Sequence[int], **more: int) -> str:
    """The query part of a search's address."""
    words = {"query": query, "collections": ",".join(map(str, collections)), **more}
    return urlencode({key: value for key, value in words.items() if value})


def request_page(url: str, query: str, context: ResolveContext) -> Any:
    try:
        return context.request_json("such page", url)
    except ServerRefused as error:
        if error.status not in BAD_QUERY_STATUSES:
            raise
        message = (
            f"the ISIC Archive cannot read the query '{query}'"
            if query
            else "the ISIC Archive refuses this search"
        )
        raise UsageError(f"{message} ({error.status})", hint=QUERY_HINT) from error


def check_record(row: JsonObject) -> IsicRecord:
    """A record whose id is one."""
    if not is_id(row.text("isic_id")):
        raise row.field_error("isic_id", "an ISIC id")
    record: IsicRecord = row.value
    return record


def is_id(word: str) -> bool:
    return re.fullmatch(r"ISIC_\d{7,12}", word, re.ASCII) is not None


# ------------------------------------------------------------------ reading


def to_files(records: Iterable[IsicRecord]) -> Iterator[File]:
    """The full-size image of each record, under its name in the archive's bucket.

    `files.full.size` is of the image before credit, license and id were written into it: larger ones come.
    """
    for record in records:
        row = JsonObject(record, PAGE_NAME)
        full = row.child("files").child("full")
        url, name = full.address("url"), row.text("isic_id")
        path = PurePosixPath(urlsplit(url).path)
        if path.stem != name:
            raise full.field_error("url", f"the address of {name}: it leads to {path.name}")
        ending = path.suffix.lower()
        yield File(
            name=f"images/{name}{ending}",
            role="images",
            urls=(url,),
            rough_size=full.optional_number("size"),
        )


def flatten_record(record: IsicRecord) -> dict[str, str]:
    """A record as a row of the official metadata.csv: fixed columns first, then its fields by name.

    `diagnosis` and `anatom_site` join their levels with ":" down to the last one that is set; a record from before
    2026-05, or an old copy of one, has a flat `anatom_site_general` in place of levels.
    """
    row = JsonObject(record, PAGE_NAME)
    fields = read_fields(row.child("metadata"))
    for name, flat in LEVELED_FIELDS.items():
        if path := join_levels(name, fields) or fields.get(flat or ""):
            fields[name] = path
    fixed = {name: row.optional_text(name) or "" for name in ("isic_id", "attribution", "copyright_license")}
    return fixed | {name: fields[name] for name in sorted(fields)}


def read_fields(metadata: JsonObject) -> dict[str, str]:
    """The fields that are set, of both groups."""
    fields: dict[str, str] = {}
    for group in ("acquisition", "clinical"):
        values = metadata.child(group).value or {}
        if not isinstance(values, dict):
            raise metadata.field_error(group, "an object")
        fields |= {name: format_value(value) for name, value in values.items() if value is not None}
    return fields


def join_levels(name: str, fields: Mapping[str, str]) -> str:
    levels = [fields.get(f"{name}_{level}", "") for level in range(1, 6)]
    return ":".join(levels).rstrip(":")


def format_value(value: Any) -> str:
    """A value as the table writes it: True, 55, text; anything with parts as JSON."""
    if isinstance(value, dict | list):
        return json.dumps(value)
    return str(value)
