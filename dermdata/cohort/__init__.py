"""A cohort as a small file, and its exact rebuilding: which rows, their images' bytes, and what was made of them.

The lock holds of each row its key, the SHA-256 of its image, a digest of all its columns, its label and part;
and whole only those columns that the datasets' own manifests do not give (a split, a class, a refined label).
All else comes again from the sources, and is compared; so are the files of images and masks.
"""

from dermdata.cohort.file import DatasetLock, Lock, dumps, loads
from dermdata.cohort.files import shown, wrong_files
from dermdata.cohort.locked import locked
from dermdata.cohort.rebuilt import Difference, compared, rebuilt

__all__ = [
    "DatasetLock",
    "Difference",
    "Lock",
    "compared",
    "dumps",
    "loads",
    "locked",
    "rebuilt",
    "shown",
    "wrong_files",
]
