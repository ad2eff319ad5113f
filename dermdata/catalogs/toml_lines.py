"""On which line of an entry's TOML file a key stands, by the place that an issue names: `files[visits.csv].urls`."""

import re
from collections.abc import Iterator, Sequence

HEADER = re.compile(r"\s*(\[\[?)\s*(.+?)\s*\]\]?\s*(?:#.*)?\Z")
KEY = re.compile(
    r"""\s*((?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+))*)\s*="""
)
PART = re.compile(r""""([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+)""")
STEP = re.compile(r"\[([^\]]*)\]|([^.\[\]]+)")
NAME = re.compile(r"""\s*name\s*=\s*["']([^"']*)["']""")
KeyPath = tuple[str, ...]


def find_line(text: str, place: str) -> int | None:
    """The line, from 1, of the key of this place, or of the innermost table that is there; None where none is."""
    wanted = [one[0] or one[1] for one in STEP.findall(place)]
    best, found = 0, None
    names: dict[KeyPath, str] = {}
    for path, line, name in walk_lines(text):
        if name is not None:
            names[path[:-1]] = name
        length = count_equal(path, wanted, names)
        if length > best and length == len(path):
            best, found = length, line
    return found


def walk_lines(text: str) -> Iterator[tuple[KeyPath, int, str | None]]:
    """Each header and key with its path, in which items of a list are numbered, and its line; also an item's name."""
    table: KeyPath = ()
    counts: dict[KeyPath, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := HEADER.match(line):
            table = open_table(split_key(header[2]), counts, is_item=header[1] == "[[")
            yield table, number, None
        elif key := KEY.match(line):
            name = NAME.match(line)
            yield (*table, *split_key(key[1])), number, name[1] if name else None


def open_table(parts: Sequence[str], counts: dict[KeyPath, int], *, is_item: bool) -> KeyPath:
    """The path of a header: below the last item of each list that it goes through."""
    path: KeyPath = ()
    for number, part in enumerate(parts, 1):
        path = (*path, part)
        if is_item and number == len(parts):
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, str(counts[path]))
    return path


def split_key(key: str) -> list[str]:
    return ["".join(one) for one in PART.findall(key)]


def count_equal(path: KeyPath, wanted: Sequence[str], names: dict[KeyPath, str]) -> int:
    """How many steps of a path are those that are wanted; an item goes by its number or its name."""
    for number, (step, want) in enumerate(zip(path, wanted, strict=False)):
        if want not in (step, names.get(path[: number + 1])):
            return number
    return min(len(path), len(wanted))
