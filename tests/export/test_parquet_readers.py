"""What other people's libraries see of our Parquet files."""

import json
import warnings
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dermdata import export
from dermdata.export import shards
from export.conftest import MakeJob


def test_pandas_reads_it(job: MakeJob, rows: pa.Table) -> None:
    """Labels such as NA and two lines survive; maps are lists of pairs."""
    import pandas as pd

    (path,) = export.write("parquet", job(embed=True)).files
    frame = pd.read_parquet(path)
    assert frame["label_raw"].tolist()[:11] == rows["label_raw"].to_pylist()[:11]
    assert frame["extra"][1][0] == {"key": "source, col", "value": "mel, in situ"}


def test_duckdb_reads_it(job: MakeJob) -> None:
    """Groups, lists and structs are there for SQL."""
    import duckdb

    (path,) = export.write("parquet", job(embed=True)).files
    found = duckdb.sql(
        f"select sex, count(*), count(image.bytes), max(extra[1].key) from read_parquet('{path}') group by 1 order by 1"
    )
    assert found.fetchall() == [
        ("female", 4, 4, "source, col"),
        ("male", 4, 3, "source, col"),
        (None, 4, 3, "source, col"),
    ]


@pytest.fixture
def offline_datasets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")


@pytest.mark.slow
@pytest.mark.usefixtures("offline_datasets")
@pytest.mark.parametrize("embed", [False, True])
def test_datasets_loads_it(
    job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, embed: bool
) -> None:
    """`load_dataset("parquet", …)` gives every column, and PIL images where they are embedded."""
    monkeypatch.setattr(shards, "SHARD_ROWS", 5)
    files = export.write("parquet", job(embed=embed)).files
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own
        import datasets

        loaded = datasets.load_dataset(
            "parquet", data_files=[str(path) for path in files], cache_dir=str(tmp_path / "hf")
        )["train"]
        first, last = loaded[3], loaded[11]
    assert loaded.num_rows == 12
    assert first["label_raw"] == "two\nlines"
    assert first["extra"] == [{"key": "source, col", "value": "two\nlines"}]
    if embed:
        assert first["image"].size == (9, 5)
        assert last["image"] is None
    else:
        assert first["path"].endswith("IMG_0003.jpg")


def test_every_column_has_a_hugging_face_feature(job: MakeJob) -> None:
    """Older versions of `datasets` take the metadata as the whole list of columns."""
    (path,) = export.write("parquet", job(embed=True)).files
    schema = pq.read_schema(path)
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert list(features) == schema.names
    assert features["image"] == {"_type": "Image"}
    assert features["age"] == {"dtype": "float32", "_type": "Value"}
    assert features["extra"] == [
        {"key": {"dtype": "string", "_type": "Value"}, "value": {"dtype": "string", "_type": "Value"}}
    ]
