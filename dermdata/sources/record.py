"""Joins what the catalog says of a file with what its host says: the catalog's word wins (pure)."""

import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import PurePosixPath

from dermdata.errors import BadCatalog, UnknownName
from dermdata.model import File, Request, Role
from dermdata.sources.shape import strange

IMAGES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp"}
TABLES = {".csv", ".tsv", ".txt", ".xlsx", ".xls", ".json", ".jsonl", ".parquet"}
SHOWN = 8  # names of a record that a message lists


def complete(file: File) -> bool:
    """Whether the catalog leaves nothing open, so that nobody need be asked."""
    return file.size is not None and file.checksum is not None


def answered_by_catalog(file: File) -> Request | None:
    """The request that needs no host's answer: addresses, size and checksum all stand in the catalog."""
    return direct(file, ()) if complete(file) and file.urls else None


def direct(file: File, urls: tuple[str, ...]) -> Request:
    """These addresses first, then the catalog's own, with the catalog's size and checksum."""
    return Request(urls=(*urls, *file.urls), size=file.size, checksum=file.checksum, archive=file.unpack)


def joined(file: File, found: File) -> Request:
    """The file as its host lists it; size and checksum of the catalog win."""
    return filled(direct(file, found.urls), found.size, found.checksum)


def filled(request: Request, size: int | None, checksum: str | None) -> Request:
    """The request, with what it leaves open."""
    return replace(
        request,
        size=size if request.size is None else request.size,
        checksum=request.checksum or checksum,
    )


def pick(name: str, files: Iterable[File], what: str) -> File:
    """The one file of this name in a record; UnknownName with the nearest ones otherwise."""
    files = tuple(files)
    found = [file for file in files if file.name == name]
    if len(found) > 1:
        raise strange(f"{what} has {len(found)} files named '{name}'")
    if not found:
        known = sorted(file.name for file in files)
        some = ", ".join(known[:SHOWN]) + (f" and {len(known) - SHOWN} more" if len(known) > SHOWN else "")
        raise UnknownName(f"file of {what}:", name, known, hint=f"it has {some or 'no files'}")
    return found[0]


def matched(pattern: str, identity: str, form: str) -> re.Match[str]:
    """The parts of an identity; BadCatalog that shows the form it must have."""
    match = re.fullmatch(pattern, identity)
    if not match:
        raise BadCatalog(f"'{identity}' is not in the form {form}")
    return match


def in_order(files: Iterable[File], what: str) -> tuple[File, ...]:
    """A listing by name, each name once and each one staying in its folder."""
    ordered = tuple(sorted(files, key=lambda file: file.name))
    for one, other in pairwise(ordered):
        if one.name == other.name:
            raise strange(f"{what} has several files named '{one.name}'")
    for file in ordered:
        if not plain(file.name):
            raise strange(f"{what} has a file of the name {file.name!r}")
    return ordered


def plain(name: str) -> bool:
    """Whether a name stays where it is put: no way up, no root, no control characters."""
    return name.isprintable() and "\\" not in name and not {"", ".", ".."} & set(name.split("/"))


def role_of(name: str) -> Role:
    """What a listed file is, by its ending."""
    ending = PurePosixPath(name).suffix.lower()
    return "images" if ending in IMAGES else "metadata" if ending in TABLES else "other"
