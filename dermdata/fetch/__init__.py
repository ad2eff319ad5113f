"""Fetch: decide what is missing (a plan, as a value), then download, verify, unpack and build the manifest."""

from dermdata.fetch.plan import Plan, Wants, plan
from dermdata.fetch.run import Outcome, Workshop, run

__all__ = ["Outcome", "Plan", "Wants", "Workshop", "plan", "run"]
