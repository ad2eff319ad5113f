"""A manifest with images, and a job that exports it."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


@pytest.fixture
def load_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`datasets.load_dataset` without a network, with a cache of the test's own."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")

    def load(*words: str, **options: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the library's own
            import datasets

            return datasets.load_dataset(*words, cache_dir=str(tmp_path / "hf"), **options)

    return load
