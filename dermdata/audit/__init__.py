"""Findings about manifests and the images they name.

Each check is a pure function of `AuditData`; `CHECKS` lists all of them.
"""

from dermdata.audit.issue_lists import AppliedIssues, IssueList, apply_issue_lists, find_issue_lists
from dermdata.audit.run import (
    CHECKS,
    CODES,
    LEVELS,
    AuditContext,
    AuditOptions,
    choose_codes,
    drop_repeated_keys,
    run_audit,
)
from dermdata.model import Finding

__all__ = [
    "CHECKS",
    "CODES",
    "LEVELS",
    "AppliedIssues",
    "AuditContext",
    "AuditOptions",
    "Finding",
    "IssueList",
    "apply_issue_lists",
    "choose_codes",
    "drop_repeated_keys",
    "find_issue_lists",
    "run_audit",
]
