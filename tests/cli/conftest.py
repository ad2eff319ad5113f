"""A made-up dataset on the test's server, under a catalog that has little else."""

from pathlib import Path

import pytest

from support.made_up_dataset import Ours
from support.servers import Site


@pytest.fixture
def small_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundled vocabulary without the bundled datasets: to compile a hundred of them takes half a test's time."""
    import dermdata.catalogs

    bundled = dermdata.catalogs.bundled_folder() / "vocabulary"
    (tmp_path / "bundled" / "datasets").mkdir(parents=True)
    (tmp_path / "bundled" / "vocabulary").symlink_to(bundled)
    monkeypatch.setattr(dermdata.catalogs, "bundled_folder", lambda: tmp_path / "bundled")


@pytest.fixture
def ours(tmp_path: Path, site: Site) -> Ours:
    """Forty images in two archives, their masks in a third."""
    return Ours(tmp_path, site).usual()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where it lies in the cache."""
    return tmp_path / "cache" / "datasets" / "ours" / "unversioned"
