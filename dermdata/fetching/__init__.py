"""Fetch a dataset: decide what is missing (a plan, as a value), then download, verify, unpack and build the manifest.

plan.py            what earlier fetches left, and what a fetch would do, as a value
run.py             carries a plan out, several files at once
receipt_writer.py  the receipt while files arrive
ingest.py          one catalog file on its way into the cache
listing.py         entries whose files a host, or their own table, lists
archive_records.py entries whose rows are the records of an archive
assemble.py        tables and files become the manifest
repair.py          broken files, images that were never inspected, leftovers of killed runs
subset.py          only the images of chosen rows
remote_zip.py      an archive by its central directory; zip_ranges.py: members out of it by ranges
mirror.py          original files in a folder that `fetch --mirror` reads
bundle.py          cached datasets as one tar, for a machine without internet
local/             files that a user has already, in any layout

A name is imported from its module when it is first asked for: whoever wants the labels of a catalog needs no network.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dermdata.fetching.plan import FetchPlan, FetchSettings, make_plan, read_prior_receipt
    from dermdata.fetching.repair import find_uninspected
    from dermdata.fetching.run import FetchContext, FetchResult, run_plan

__all__ = [
    "FetchContext",
    "FetchPlan",
    "FetchResult",
    "FetchSettings",
    "find_uninspected",
    "make_plan",
    "read_prior_receipt",
    "run_plan",
]
_MODULES = {
    "plan": ("FetchPlan", "FetchSettings", "make_plan", "read_prior_receipt"),
    "repair": ("find_uninspected",),
    "run": ("FetchContext", "FetchResult", "run_plan"),
}
_OWNER = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _OWNER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(f"{__name__}.{_OWNER[name]}"), name)
    return value
