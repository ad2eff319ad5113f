"""A manifest with images, and a job that exports it."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from dermdata.export import Job
from export.samples import manifest

MakeJob = Callable[..., Job]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "demo"


@pytest.fixture
def rows(root: Path) -> pa.Table:
    return manifest(root)


@pytest.fixture
def job(tmp_path: Path, root: Path, rows: pa.Table) -> MakeJob:
    def make(out: str = "out", **changes: object) -> Job:
        return Job(**{"table": rows, "roots": {"demo": root}, "out": tmp_path / out, "jobs": 2, **changes})  # type: ignore[arg-type]

    return make
