"""The compiled catalog: JSON that answers `list` without parsing TOML, rebuilt when a file changes.

The first line is the checksum of all that follows, the second is what `list` needs. The entries follow as one text, cut
into pieces but not parsed before one of them is asked for. What rooms above make of the catalog's files is kept in the
same form.
"""

import itertools
import json
import os
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dermdata import __version__, disk

INDEX_SCHEMA = 9
MOST_BYTES = 256 << 20  # bytes of an index
TEXT_PARTS = {"fingerprint": list, "lengths": dict}
INDEX_PARTS = {**TEXT_PARTS, "items": list, "aliases": dict, "broken": dict}
EMPTY_HEALTH = 64  # bytes of a health.json without entries
ENTRY_FILES = ("dataset.toml", "labels.tsv", "files.tsv")


def catalog_fingerprint(roots: Sequence[Path]) -> list[list[Any]]:
    """Path, modification time and size of every catalog file: equal fingerprints, equal content."""
    seen: list[list[Any]] = [[INDEX_SCHEMA, __version__]]
    for root in roots:
        for folder, names in (("datasets", ENTRY_FILES), ("models", None), ("vocabulary", None)):
            seen += file_stamps(root / folder, names)
    return seen


def file_stamps(folder: Path, names: Iterable[str] | None) -> list[list[Any]]:
    found = []
    try:
        children = sorted(os.listdir(folder))  # noqa: PTH208  # start-up counts: pathlib costs 5x here
    except FileNotFoundError:
        return []
    for child in children:
        for name in names or ("",):
            path = f"{folder}/{child}/{name}" if name else f"{folder}/{child}"
            try:
                stat = os.stat(path)  # noqa: PTH116
            except (FileNotFoundError, NotADirectoryError):
                continue
            found.append([path, stat.st_mtime_ns, stat.st_size])
    return found


def has_health(roots: Sequence[Path]) -> bool:
    """Whether any catalog folder knows what hosts said: its file is longer than one without entries."""
    for root in roots:
        with suppress(FileNotFoundError, NotADirectoryError):
            if os.stat(f"{root}/health.json").st_size > EMPTY_HEALTH:  # noqa: PTH116
                return True
    return False


def is_settled(stamp: Sequence[Sequence[Any]]) -> bool:
    """Whether no file changed in the last second: the next change of one that did may give it no other stamp."""
    settled = time.time_ns() - 10**9
    return all(changed <= settled for _, changed, _ in stamp[1:])


def load_index(
    path: Path, stamp: list[list[Any]], parts: Mapping[str, type] = INDEX_PARTS
) -> dict[str, Any] | None:
    """The index if it is there, whole and of these files; None when it must be built again.

    A file changed in the same tick of the clock as the index was written cannot be told from an unchanged
    one, so the index must be younger than all of them.
    """
    try:
        written = path.stat().st_mtime_ns
        content = disk.read_regular(path, most=MOST_BYTES)
        head = content.index(b"\n") + 1  # after the checksum's line
        body = content.index(b"\n", head) + 1
        if content[: head - 1] != content_checksum(memoryview(content)[head:]):
            return None
        index = json.loads(content[head:body])
    except (OSError, ValueError, RecursionError):
        return None  # absent, torn or no file at all: it is only a copy, so it is made again
    whole = isinstance(index, dict) and all(isinstance(index.get(key), kind) for key, kind in parts.items())
    younger = all(changed < written for _, changed, _ in stamp[1:])
    if not whole or not younger or index["fingerprint"] != stamp:
        return None
    lengths = index.pop("lengths")
    if body + sum(lengths.values()) != len(content):
        return None
    return {**index, "entries": split_entries(content, body, lengths)}


def split_entries(content: bytes, start: int, lengths: Mapping[str, int]) -> dict[str, bytes]:
    """Each entry's JSON text, by name, of those that follow each other from `start` on."""
    ends = itertools.accumulate(lengths.values(), initial=start)
    next(ends)
    return {
        name: content[end - length : end] for (name, length), end in zip(lengths.items(), ends, strict=True)
    }


def save_index(path: Path, index: Mapping[str, Any], *, private: bool) -> None:
    """Write the index; a cache that cannot be written only costs the next start its speed.

    `private`: catalogs of the person's own are in it, so that others who use the cache may not read it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(disk.open_handle(temporary, flags, 0o600 if private else 0o644), "wb") as file:
            file.write(index_bytes(index))
        disk.replace_file(temporary, path)
    except OSError:
        with suppress(OSError):  # a read-only file system refuses this too
            temporary.unlink()


def index_bytes(index: Mapping[str, Any]) -> bytes:
    entries = {name: entry.encode() for name, entry in index["entries"].items()}
    head = {key: value for key, value in index.items() if key != "entries"}
    head["lengths"] = {name: len(entry) for name, entry in entries.items()}
    content = json.dumps(head, ensure_ascii=False).encode() + b"\n" + b"".join(entries.values())
    return content_checksum(content) + b"\n" + content


def content_checksum(content: bytes | memoryview) -> bytes:
    """The CRC-32 of an index as text: an index that was damaged or edited is made again."""
    return f"{zlib.crc32(content):08x}".encode()
