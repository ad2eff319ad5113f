"""A session on the bundled demo dataset, fetched once."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import dermdata as dd


@pytest.fixture(scope="session")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the demo dataset."""
    cache = tmp_path_factory.mktemp("api") / "cache"
    dd.open_session(cache=cache, progress=False).fetch("demo")
    return cache


@pytest.fixture
def session(fetched: Path) -> dd.Session:
    return dd.open_session(cache=fetched, progress=False)


@pytest.fixture
def demo(session: dd.Session) -> dd.Manifest:
    return session.load("demo", download=False)


@pytest.fixture
def own_cache(fetched: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(fetched, tmp_path / "own-cache"))


@pytest.fixture
def run(cli: Callable, fetched: Path) -> Callable:
    """The command line on the same cache."""
    return lambda *words: cli(*words, cache=fetched)
