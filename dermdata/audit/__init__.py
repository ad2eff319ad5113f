"""What is wrong with the data: findings over manifests and the images they name.

Each check is a pure function of a `Subject`; `CHECKS` is all of them, a file for each family.
"""

from dermdata.audit.finding import Finding
from dermdata.audit.known import Applied, IssueList, apply, find
from dermdata.audit.run import CHECKS, CODES, LEVELS, Context, Wanted, audit, codes_of, once

__all__ = [
    "CHECKS",
    "CODES",
    "LEVELS",
    "Applied",
    "Context",
    "Finding",
    "IssueList",
    "Wanted",
    "apply",
    "audit",
    "codes_of",
    "find",
    "once",
]
