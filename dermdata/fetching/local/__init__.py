"""Files that a user has already: recognize them in any layout, and import them as if they were downloaded.

files.py        the local files and members of archives, how they are read, and what they turn out to be
tables.py       which file is which table
matching.py     which file is which catalog file, image and mask
recognition.py  all of it in order for one dataset, the result as a value
importer.py     what was recognized, into the cache
"""

from dermdata.fetching.local.files import (
    ArchivePiece,
    LocalFile,
    LocalFiles,
    LocalProblem,
    MatchedFile,
    NameConflict,
    Recognition,
    explain_closed_archive,
)
from dermdata.fetching.local.importer import LocalImporter
from dermdata.fetching.local.recognition import recognize_dataset

__all__ = [
    "ArchivePiece",
    "LocalFile",
    "LocalFiles",
    "LocalImporter",
    "LocalProblem",
    "MatchedFile",
    "NameConflict",
    "Recognition",
    "explain_closed_archive",
    "recognize_dataset",
]
