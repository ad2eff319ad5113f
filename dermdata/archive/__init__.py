"""Zip and tar, read safely, locally or by HTTP ranges: the one place that unpacks anything.

An archive is refused as a whole (ArchiveRefused, with its name and the member's) rather than read in a way
another program might not. Only regular files are ever created, under names that the caller gives.

    policy.py       what a member may be called, what an archive may hold, a path of ours for any name
    zip_file.py     a zip's central directory and its members, through any reader of byte ranges
    compression.py  how zip members are inflated
    tar.py          tar, gzipped or not, in one pass
    staging.py      the folder where files are created, and made durable
    extraction.py   all of it together, by threads with a bound on the bytes they hold
"""

from dermdata.archive.extraction import ExtractedFile, Extraction, extract
from dermdata.archive.policy import (
    ArchiveEntry,
    ArchiveLimits,
    RangeReader,
    archive_ending,
    archive_kind,
    safe_name,
)
from dermdata.archive.zip_file import PIECE_BYTES, ZipListing, list_zip, member_span, open_ranges, read_member

__all__ = [
    "PIECE_BYTES",
    "ArchiveEntry",
    "ArchiveLimits",
    "ExtractedFile",
    "Extraction",
    "RangeReader",
    "ZipListing",
    "archive_ending",
    "archive_kind",
    "extract",
    "list_zip",
    "member_span",
    "open_ranges",
    "read_member",
    "safe_name",
]
