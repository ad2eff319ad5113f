"""The functions of the module `dermdata`: a session's, with the environment's settings of the moment."""

from typing import TYPE_CHECKING, Any

from dermdata.api.session import Session, open_session

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from dermdata.api.manifest import Manifest
    from dermdata.api.records import Records
    from dermdata.model import Dataset


def default_session() -> Session:
    """A session as the environment says now: DERMDATA_CACHE and its like may change between two calls."""
    return open_session()


def catalog(**options: Any) -> "pd.DataFrame":
    """See `Session.catalog`."""
    return default_session().catalog(**options)


def info(name: str) -> "Dataset":
    """See `Session.info`."""
    return default_session().info(name)


def labels(name: str) -> "Records":
    """See `Session.labels`."""
    return default_session().labels(name)


def fetch(*names: str, **options: Any) -> "Manifest":
    """See `Session.fetch`."""
    return default_session().fetch(*names, **options)


def load(*targets: Any, **options: Any) -> "Manifest":
    """See `Session.load`."""
    return default_session().load(*targets, **options)


def select(*targets: Any, **options: Any) -> "Manifest":
    """See `Session.select`."""
    return default_session().select(*targets, **options)


def verify(*names: str, **options: Any) -> "Records":
    """See `Session.verify`."""
    return default_session().verify(*names, **options)


def evaluate(predictions: Any, target: Any, **options: Any) -> "Records":
    """See `Session.evaluate`."""
    return default_session().evaluate(predictions, target, **options)


def lock(*targets: Any, out: Any) -> "Path":
    """See `Session.lock`."""
    return default_session().lock(*targets, out=out)


def sync(file: Any, **options: Any) -> "Manifest":
    """See `Session.sync`."""
    return default_session().sync(file, **options)
