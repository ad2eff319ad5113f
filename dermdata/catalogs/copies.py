"""Checks what an entry says of its copies: the files that they bring and replace, of this entry or of another one."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from dermdata.catalogs.entries import (
    SLUG,
    SOURCE,
    Data,
    column_issues,
    did_you_mean,
    format_issues,
    list_tables,
    list_texts,
    prefix_places,
    reference_issues,
)
from dermdata.urls import redact_url

LISTED_TABLE = "metadata.csv"  # what the records of an archive's listing are written to


@dataclass(frozen=True)
class EntryFiles:
    """The names of all entries, and those of the files of each."""

    names: Collection[str]
    read: Callable[[str], Data]

    def __getitem__(self, entry: str) -> list[str]:
        return list_names(self.read(entry).get("files"))


def find_copy_issues(data: Data, entries: EntryFiles) -> list[tuple[str, str]]:
    """What is wrong with an entry's copies, whose types are right: (place, problem)."""
    copies = list_tables(data.get("copies"))
    if not copies:
        return []
    files = list_names(data.get("files"))
    known = Counter(name for copy in copies for name in list_texts(copy.get("name")))
    found = [(f"copies[{name}]", "is listed twice") for name, count in known.items() if count > 1]
    for copy in copies:
        issues = [*copy_issues(copy), *file_issues(copy, files, entries), *table_issues(copy, files)]
        found += prefix_places(f"copies[{copy['name']}]", issues)
    return found


def list_names(files: Any) -> list[str]:
    return [name for file in list_tables(files) for name in list_texts(file.get("name"))]


def copy_issues(copy: Data) -> Iterator[tuple[str, str]]:
    """What is wrong with one copy's own words: (key, problem)."""
    if not SLUG.match(copy["name"]):
        yield "name", f"'{copy['name']}' must be kebab-case [a-z0-9-]"
    if not copy.get("files") and not copy.get("listing"):
        yield "files", "is missing: a copy has [[copies.files]], or a listing of its images"
    for listing in list_texts(copy.get("listing")):
        if not SOURCE.match(listing):
            yield "listing", f"'{redact_url(listing)}' must be <host>:<id>"


def file_issues(copy: Data, files: Collection[str], entries: EntryFiles) -> Iterator[tuple[str, str]]:
    """Files that a copy replaces or brings and that no entry has: (key, problem)."""
    for file in list_tables(copy.get("files")):
        where, entry = f"files[{file['name']}]", file.get("entry")
        replaced = list_texts(file.get("replaces"))
        yield from name_issues(f"{where}.replaces", "[[files]] entry", replaced, files)
        yield from name_issues(f"{where}.entry", "entry", list_texts(entry), entries.names)
        if entry is None or entry in entries.names:
            there = files if entry is None else entries[entry]
            yield from name_issues(where, f"file of {entry or 'the entry'} called", [file["name"]], there)
    yield from name_issues("layout", "entry", list_texts(copy.get("layout")), entries.names)


def name_issues(
    where: str, kind: str, names: Collection[str], known: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Names of a kind that are not there, with the nearest: (key, problem)."""
    yield from (
        (where, f"no {kind} '{name}'{did_you_mean(name, known)}") for name in names if name not in known
    )


def table_issues(copy: Data, files: Collection[str]) -> Iterator[tuple[str, str]]:
    """What is wrong with a copy's own tables: (key, problem)."""
    names = {*files, *list_names(copy.get("files")), *([LISTED_TABLE] if copy.get("listing") else [])}
    for number, table in enumerate(list_tables(copy.get("table"))):
        problems = [*reference_issues(table, names), *format_issues(table), *column_issues(table)]
        yield from prefix_places(f"table[{number}]", problems)
