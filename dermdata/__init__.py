"""dermdata: a dataset manager for open dermatology image datasets.

Examples
--------
>>> import dermdata as dd
>>> demo = dd.load("demo")
>>> parts = demo.split(by="patient", seed=7)

"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dermdata import errors as errors
    from dermdata.api.manifest import Manifest as Manifest
    from dermdata.api.results import Row as Row
    from dermdata.api.session import Session as Session
    from dermdata.api.session import catalog as catalog
    from dermdata.api.session import evaluate as evaluate
    from dermdata.api.session import fetch as fetch
    from dermdata.api.session import info as info
    from dermdata.api.session import labels as labels
    from dermdata.api.session import load as load
    from dermdata.api.session import lock as lock
    from dermdata.api.session import open_session as open_session
    from dermdata.api.session import query as query
    from dermdata.api.session import select as select
    from dermdata.api.session import sync as sync
    from dermdata.api.session import verify as verify
    from dermdata.api.session_cache import ModelFiles as ModelFiles

__version__ = "0.1.0"

HOMES = {
    **dict.fromkeys(
        ("catalog", "evaluate", "fetch", "info", "labels", "load", "lock", "query", "select", "sync", "verify"),
        "api.session",
    ),
    "Manifest": "api.manifest", "ModelFiles": "api.session_cache", "Row": "api.results",
    "Session": "api.session", "open_session": "api.session",
}  # fmt: skip
__all__ = [*HOMES, "errors", "__version__"]  # strings all


def __getattr__(name: str) -> Any:
    """Import what is asked for: `import dermdata` alone loads no pandas, pyarrow or httpx."""
    if name == "errors":
        return import_module("dermdata.errors")
    if name in HOMES:
        return getattr(import_module(f"dermdata.{HOMES[name]}"), name)
    raise AttributeError(f"module 'dermdata' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
