"""Fetch: decide what is missing (a plan, as a value), then download, verify, unpack and build the manifest.

plan.py      what would be done, as a value
run.py       carries it out; the ledger of what is whole
earlier.py   what earlier fetches brought, as far as it counts
ingest.py    one catalog file on its way into the cache
assemble.py  tables and files become the manifest
listing.py   entries whose files a host, or their table, lists
mend.py      single broken files; images that an older version did not look at
partial.py   only the images of chosen rows; scene.py: the dataset as that sees it
shelf.py     an archive by its directory; reach.py: members out of it by ranges
rest.py      what a partial fetch left of an archive
"""

from dermdata.fetching.earlier import receipt_for
from dermdata.fetching.mend import unseen
from dermdata.fetching.plan import Plan, Wants, plan
from dermdata.fetching.run import Outcome, Workshop, run

__all__ = ["Outcome", "Plan", "Wants", "Workshop", "plan", "receipt_for", "run", "unseen"]
