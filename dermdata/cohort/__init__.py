"""Cohorts: selects, refines, filters, deduplicates, samples, counts, cites, queries and locks rows of manifests.

A manifest goes in, a manifest comes out. A name is imported from its module when it is first asked for: `query` and
`stats` must start without the others.

| column added | meaning |
|---|---|
| `label`, `label_reason` | the class in the label space asked for, or why there is none |
| `refined_from`, `refined_label` | the row whose finer label of the same image was taken, and its own word |
| `also_in` | keys of the rows that were folded into this one |
| `ids_as_given` | an id that folding replaced by the one that the same thing has elsewhere |

A lock holds of each row its key, the SHA-256 of its image, a digest of all its columns, its label and part; and whole
only those columns that the datasets' own manifests do not give (a split, a class, a refined label). All else comes
again from the sources, and is compared; so are the files of images and masks.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dermdata.cohort.dedupe import DedupeMethod
    from dermdata.cohort.keys import DroppedRow
    from dermdata.cohort.lock_file import CohortLock, DatasetLock, lock_from_bytes, lock_to_bytes
    from dermdata.cohort.locking import (
        RowDifference,
        compare_rows,
        differences_text,
        list_wrong_files,
        lock_rows,
        rebuild_rows,
    )
    from dermdata.cohort.refine import NEEDED_COLUMNS
    from dermdata.cohort.selection import Selection, SelectionRequest, select_rows
    from dermdata.cohort.where import condition_columns, filter_rows

__all__ = [
    "NEEDED_COLUMNS",
    "CohortLock",
    "DatasetLock",
    "DedupeMethod",
    "DroppedRow",
    "RowDifference",
    "Selection",
    "SelectionRequest",
    "compare_rows",
    "condition_columns",
    "differences_text",
    "filter_rows",
    "list_wrong_files",
    "lock_from_bytes",
    "lock_rows",
    "lock_to_bytes",
    "rebuild_rows",
    "select_rows",
]
_MODULES = {
    "dedupe": ("DedupeMethod",),
    "keys": ("DroppedRow",),
    "lock_file": ("CohortLock", "DatasetLock", "lock_from_bytes", "lock_to_bytes"),
    "locking": (
        "RowDifference",
        "compare_rows",
        "differences_text",
        "list_wrong_files",
        "lock_rows",
        "rebuild_rows",
    ),
    "refine": ("NEEDED_COLUMNS",),
    "selection": ("Selection", "SelectionRequest", "select_rows"),
    "where": ("condition_columns", "filter_rows"),
}
_OWNER = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _OWNER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(f"{__name__}.{_OWNER[name]}"), name)
    return value
