"""`dermdata demo` and `dermdata doctor`."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq


def test_the_demo_goes_the_whole_way_without_a_network(cli: Callable, tmp_path: Path) -> None:
    """Fetch, verify, stats, split, export, audit with its page; it says where everything is."""
    answer = cli("demo", "-o", tmp_path / "out")
    assert answer.code == 0, answer.err
    assert pq.ParquetFile(tmp_path / "out" / "demo-split.parquet").metadata.num_rows == 120
    assert sorted(path.name for path in (tmp_path / "out" / "parquet").iterdir())
    assert (tmp_path / "out" / "demo.csv").read_text(encoding="utf-8").count("\n") == 121
    assert "image-truncated" in answer.out
    assert "DEMO_0117" in (tmp_path / "out" / "audit.html").read_text(encoding="utf-8")
    assert str(tmp_path / "out") in answer.err


def test_doctor_tells_versions_cache_and_credentials_but_no_secret(
    cli: Callable, monkeypatch: object
) -> None:
    """What someone who helps would ask first."""
    monkeypatch.setenv("HF_TOKEN", "hf_very_secret")
    answer = cli("--offline", "doctor", "--format", "json")
    assert answer.code == 0
    checks = {item["check"]: item for item in json.loads(answer.out)["items"]}
    assert "HF_TOKEN" in checks["credentials: huggingface"]["detail"]
    assert "hf_very_secret" not in answer.out + answer.err
    assert {"dermdata", "python", "pyarrow", "cache", "free space", "catalog"} <= set(checks)
