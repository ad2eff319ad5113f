"""When files of the catalog were last seen at their hosts: `health.json` beside the entries, which `doctor` writes.

    {"schema": "dermdata.health/1",
     "entries": {"<name>": {"<file>": {"seen": "2026-12-01", "size": 690218, "checksum": "md5:…"}}}}

A listing of many files is one line, under its own `<host>:<id>`: their number, bytes together, and a digest.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dermdata import disk
from dermdata.errors import BadCatalog

FILE_NAME = "health.json"
SCHEMA = "dermdata.health/1"
LARGEST = 64 << 20  # bytes of the file
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class LastSeen:
    """A file, or a host's listing, as it was when it was last seen live."""

    seen: str  # the day, UTC
    size: int | None = None  # bytes; of a listing those of all its files
    checksum: str | None = None  # as its host stated it; of a listing a digest of names, sizes and checksums
    files: int | None = None  # of a listing


EntryHealth = Mapping[str, LastSeen]  # by the file's name, or the listing's place


def read_health(roots: Iterable[Path]) -> dict[str, dict[str, LastSeen]]:
    """What these catalog folders know, a later folder's word before an earlier one's; BadCatalog for a broken file."""
    found: dict[str, dict[str, LastSeen]] = {}
    for root in roots:
        for name, files in read_health_file(root / FILE_NAME).items():
            found.setdefault(name, {}).update(files)
    return found


def read_health_file(path: Path) -> dict[str, dict[str, LastSeen]]:
    """One file; nothing where there is none."""
    try:
        text = disk.read_regular(path, most=LARGEST).decode()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise BadCatalog(f"{path} cannot be read: {error}") from error
    try:
        document = json.loads(text)
        if document["schema"] != SCHEMA:
            raise BadCatalog(f"{path} is of another dermdata: its schema is {document['schema']!r}")
        return {
            str(name): {str(file): parse_last_seen(facts) for file, facts in files.items()}
            for name, files in document["entries"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadCatalog(
            f"{path} is no record of when files were seen: {error}",
            hint="`dermdata doctor --sources --update DIR` writes one",
        ) from error


def parse_last_seen(facts: Any) -> LastSeen:
    """One file's record; ValueError or TypeError for what is none."""
    found = LastSeen(**facts)
    numbers = [one for one in (found.size, found.files) if one is not None]
    if not DAY.fullmatch(found.seen) or not all(type(one) is int and one >= 0 for one in numbers):
        raise ValueError(f"{facts!r} is no day with a size and a checksum")
    return found


def merge_health(
    known: Mapping[str, EntryHealth], seen: Mapping[str, EntryHealth]
) -> dict[str, dict[str, LastSeen]]:
    """What was known, with what was seen now in its place; what was not seen keeps its day."""
    merged = {name: dict(files) for name, files in known.items()}
    for name, files in seen.items():
        merged.setdefault(name, {}).update(files)
    return merged


def write_health(path: Path, entries: Mapping[str, EntryHealth]) -> None:
    """Write the file, sorted, a file a line, so that a change is one line of a pull request."""
    disk.write_text(path, format_health(entries))


def format_health(entries: Mapping[str, EntryHealth]) -> str:
    """The file's text."""
    blocks = []
    for name in sorted(entries):
        lines = [
            f"   {json.dumps(file)}: {json.dumps(to_facts(entries[name][file]))}"
            for file in sorted(entries[name])
        ]
        blocks.append(f"  {json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n  }")
    inside = "{\n" + ",\n".join(blocks) + "\n }" if blocks else "{}"
    return f'{{\n "schema": "{SCHEMA}",\n "entries": {inside}\n}}\n'


def to_facts(one: LastSeen) -> dict[str, Any]:
    return {key: value for key, value in vars(one).items() if value is not None}


def find_last_day(files: EntryHealth | None) -> str | None:
    """The last day on which any file of an entry was seen; None where none ever was."""
    return max((one.seen for one in files.values()), default=None) if files else None


def describe_health(files: EntryHealth | None) -> str:
    """When an entry was last seen, in words."""
    day = find_last_day(files)
    if day is None or not files:
        return "never: none of its addresses has been asked by a live check yet"
    fresh: Sequence[str] = [name for name, one in files.items() if one.seen == day]
    older = f", {len(files) - len(fresh):,} more before" if len(fresh) < len(files) else ""
    return f"{day} ({len(fresh):,} {'file' if len(fresh) == 1 else 'files'}{older})"
