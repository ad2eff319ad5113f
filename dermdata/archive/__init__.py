"""Zip and tar, read safely, locally or by HTTP ranges: the one place that unpacks anything.

An archive is refused as a whole (ArchiveRefused, with its name and the member's) rather than read in a way
another program might not. Only regular files are ever created, under names that the caller gives.

    names.py      what a member may be called, and a path of ours for any name
    entries.py    what an archive may hold: entries, limits, clashes
    directory.py  a zip's central directory, through any reader of byte ranges
    members.py    one zip member: header, inflate, size and CRC checked
    tape.py       tar, gzipped or not, in one pass
    landing.py    the folder where files are created, and made durable
    crew.py       threads with a bound on the bytes in their hands
    extract.py    all of it together
"""

from dermdata.archive.directory import list_zip
from dermdata.archive.entries import Entry, Limits, RangeReader
from dermdata.archive.extract import ExtractedFile, Extraction, extract
from dermdata.archive.members import PIECE, member_span, read_member
from dermdata.archive.names import safe_name

__all__ = [
    "PIECE",
    "Entry",
    "ExtractedFile",
    "Extraction",
    "Limits",
    "RangeReader",
    "extract",
    "list_zip",
    "member_span",
    "read_member",
    "safe_name",
]
