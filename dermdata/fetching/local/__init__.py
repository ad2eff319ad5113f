"""Files that a user has already: recognize them in any layout, and import them as if they were downloaded.

files.py        the local files and members of archives, how they are read, and what they turn out to be
matching.py     which file is which catalog file, table, image and mask
recognition.py  all of it in order for one dataset, the result as a value, and its import
"""

from dermdata.fetching.local.files import (
    ArchivePiece,
    LocalFile,
    LocalFiles,
    LocalProblem,
    MatchedFile,
    NameConflict,
    Recognition,
)
from dermdata.fetching.local.recognition import LocalImporter, recognize_dataset

__all__ = [
    "ArchivePiece",
    "LocalFile",
    "LocalFiles",
    "LocalImporter",
    "LocalProblem",
    "MatchedFile",
    "NameConflict",
    "Recognition",
    "recognize_dataset",
]
