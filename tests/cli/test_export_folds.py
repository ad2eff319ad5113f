"""`dermdata export --fold K`: fold K is val, the others are train; without it no fold becomes a part in silence."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dermdata as dd
from dermdata.errors import UsageError
from dermdata.export.job import set_fold_parts, split_parts
from dermdata.manifest.parquet import read_manifest

DIVIDED = ("imagefolder", "webdataset", "huggingface", "coco")


@pytest.fixture
def folds(cli: Callable, demo_cache: Path, tmp_path: Path) -> Path:
    """The demo dataset, but for its broken image, in three folds; all of its rows are officially `train`."""
    path, whole = tmp_path / "folds.parquet", tmp_path / "whole.parquet"
    assert cli("select", "demo", "--where", "image_problem is null", "-o", whole).code == 0
    assert cli("split", whole, "--folds", "3", "-o", path).code == 0
    table = read_manifest(path)
    official = pa.array(["train"] * table.num_rows)
    place = table.schema.get_field_index("split_official")
    pq.write_table(table.set_column(place, "split_official", official), path)
    return path


def count_parts(folder: Path) -> Counter[str]:
    """The images of each folder."""
    return Counter(path.relative_to(folder).parts[0] for path in folder.rglob("*.jpg"))


@pytest.mark.parametrize("name", [*DIVIDED, "croissant"])
def test_folds_without_a_number_are_refused(cli: Callable, tmp_path: Path, folds: Path, name: str) -> None:
    """All images in d/train, exit 0 and not a word: that was it."""
    for more in ([], ["--dry-run"], ["--split", "train"]):
        answer = cli("export", name, folds, "-o", tmp_path / "out", *more)
        assert answer.code == 2
        assert "3 folds, and in no parts" in answer.err
        assert "--fold K" in answer.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["csv", "jsonl", "parquet"])
def test_a_part_of_folds_is_refused_in_tables_too(
    cli: Callable, tmp_path: Path, folds: Path, name: str
) -> None:
    """The publisher's `train` is no part of these folds; the whole table has the column `fold`."""
    answer = cli("export", name, folds, "--split", "train", "-o", tmp_path / "out")
    assert answer.code == 2
    assert "--fold K" in answer.err
    assert cli("export", name, folds, "-o", tmp_path / "out").code == 0


@pytest.mark.parametrize("fold", [0, 2])
def test_fold_k_is_val_and_the_others_are_train(
    cli: Callable, tmp_path: Path, folds: Path, fold: int
) -> None:
    """In folders, in a table, and in the plan."""
    sizes = Counter(read_manifest(folds)["fold"].to_pylist())
    answer = cli("export", "imagefolder", folds, "--fold", fold, "-o", tmp_path / "out")
    assert answer.code == 0, answer.err
    found = count_parts(tmp_path / "out")
    assert found["val"] <= sizes[fold] < found["train"]
    assert sum(found.values()) == sum(sizes.values()) == 119
    assert cli("export", "csv", folds, "--fold", fold, "-o", tmp_path / "rows.csv").code == 0
    rows = (tmp_path / "rows.csv").read_text().splitlines()
    assert len(rows) == 120
    assert cli("export", "parquet", folds, "--fold", fold, "-o", tmp_path / "p").code == 0
    (written,) = (tmp_path / "p").glob("*.parquet")
    table = pq.read_table(written)
    pairs = set(zip(table["fold"].to_pylist(), table["split"].to_pylist(), strict=True))
    assert pairs == {(one, "val" if one == fold else "train") for one in range(3)}


def test_only_one_part_of_a_fold(cli: Callable, tmp_path: Path, folds: Path) -> None:
    """`--fold 1 --split val`: what is tested."""
    sizes = Counter(read_manifest(folds)["fold"].to_pylist())
    words = ["--fold", "1", "--split", "val", "-o", tmp_path / "val.csv"]
    assert cli("export", "csv", folds, *words).code == 0
    assert len((tmp_path / "val.csv").read_text().splitlines()) == sizes[1] + 1
    answer = cli("export", "csv", folds, "--fold", "1", "--split", "test", "-o", tmp_path / "test.csv")
    assert answer.code == 2


def test_a_fold_that_there_is_not_is_refused(cli: Callable, tmp_path: Path, folds: Path) -> None:
    """With those that there are; and a manifest without folds says how to make them."""
    answer = cli("export", "imagefolder", folds, "--fold", "3", "-o", tmp_path / "out")
    assert answer.code == 2
    assert "0, 1, 2" in answer.err
    answer = cli("export", "imagefolder", "demo", "--fold", "0", "-o", tmp_path / "out")
    assert answer.code == 2
    assert "--folds 5" in answer.err


def manifest(**columns: list[object]) -> pa.Table:
    return pa.table(columns)


def test_the_test_set_that_a_split_kept_stays_the_test_set() -> None:
    """`split --official --folds`: a row of the test set is in no fold; and never trained on if it is in one."""
    table = manifest(split=["train", "train", "test", "test", None], fold=[0, 1, None, 1, None])
    assert set_fold_parts(table, 0)["split"].to_pylist() == ["val", "train", "test", "test", None]


def test_the_publisher_s_folds_count_where_there_are_none_of_ours() -> None:
    """With the publisher's test set left alone."""
    table = manifest(split_official=["train", "train", "test"], fold_official=[1, 2, None], fold=[None] * 3)
    assert set_fold_parts(table, 2)["split"].to_pylist() == ["train", "val", "test"]
    with pytest.raises(UsageError, match="no row is in a fold"):
        set_fold_parts(manifest(split=["train"]), 0)


def test_a_split_beside_folds_is_exported_and_the_folds_are_told(
    cli: Callable, tmp_path: Path, folds: Path
) -> None:
    """Nothing is refused that has parts."""
    table = read_manifest(folds)
    parts = pa.array([("train", "test")[number % 2] for number in range(table.num_rows)])
    place = table.schema.get_field_index("split")
    pq.write_table(table.set_column(place, "split", parts), folds)
    answer = cli("export", "imagefolder", folds, "-o", tmp_path / "out")
    assert answer.code == 0
    assert "--fold K makes fold K val" in answer.err
    assert set(count_parts(tmp_path / "out")) == {"train", "test"}


def test_the_api_has_the_same(cli: Callable, tmp_path: Path, folds: Path) -> None:
    """The same files from a notebook, and the same refusal."""
    rows = dd.open_session(cache=tmp_path / "cache", offline=True).load(folds)
    with pytest.raises(UsageError, match="in no parts"):
        rows.export("imagefolder", tmp_path / "api")
    rows.export("imagefolder", tmp_path / "api", fold=1)
    cli("export", "imagefolder", folds, "--fold", "1", "-o", tmp_path / "cli")
    assert count_parts(tmp_path / "api") == count_parts(tmp_path / "cli")
    assert {item["path"] for item in rows.plan_export("imagefolder", tmp_path / "new", fold=1)}
    with pytest.raises(UsageError, match="in no parts"):
        split_parts(rows.table)


def test_hugging_face_s_datasets_have_the_parts_of_a_fold(cli: Callable, tmp_path: Path, folds: Path) -> None:
    """And no part `all` of folds."""
    pytest.importorskip("datasets")
    rows = dd.open_session(cache=tmp_path / "cache", offline=True, progress=False).load(folds)
    with pytest.raises(UsageError, match="in no parts"):
        rows.to_huggingface()
    sizes = Counter(read_manifest(folds)["fold"].to_pylist())
    found = rows.to_huggingface(fold=1)
    assert {part: len(found[part]) for part in found} == {"train": 119 - sizes[1], "val": sizes[1]}
