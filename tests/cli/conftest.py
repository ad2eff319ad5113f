"""A made-up dataset on the test's server, under a catalog that has little else."""

import shutil
from pathlib import Path

import pytest

import dermdata.catalogs
from support.made_up_dataset import Ours
from support.servers import Site


@pytest.fixture(scope="session")
def bare_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled vocabulary without the bundled datasets: to compile a hundred of them takes half a test's time."""
    root = tmp_path_factory.mktemp("bare") / "bundled"
    (root / "datasets").mkdir(parents=True)
    (root / "vocabulary").symlink_to(dermdata.catalogs.bundled_folder() / "vocabulary")
    return root


@pytest.fixture
def small_catalog(bare_catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No dataset is bundled; none may be written there either."""
    monkeypatch.setattr(dermdata.catalogs, "bundled_folder", lambda: bare_catalog)


@pytest.fixture(scope="session")
def fetched_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the demo dataset."""
    from dermdata.cli.app import run

    cache = tmp_path_factory.mktemp("demo") / "cache"
    assert run(["-q", "--cache", str(cache), "fetch", "demo"]) == 0
    return cache


@pytest.fixture
def demo_cache(fetched_demo: Path, tmp_path: Path) -> Path:
    """The cache of the test's own, with the demo dataset: to copy it takes a tenth of a fetch."""
    return Path(shutil.copytree(fetched_demo, tmp_path / "cache"))


@pytest.fixture
def ours(tmp_path: Path, site: Site) -> Ours:
    """Forty images in two archives, their masks in a third."""
    return Ours(tmp_path, site).usual()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where it lies in the cache."""
    return tmp_path / "cache" / "datasets" / "ours" / "unversioned"
