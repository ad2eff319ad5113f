"""`lock` and `sync`: a cohort as a small file, and its exact rebuilding or the rows that differ."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import Answer
from dermdata.cache import DatasetFolder
from dermdata.checksum import hash_file
from support.manifest_builders import apart_from_places

CLI = Callable[..., Answer]


@pytest.fixture
def cohort(cli: CLI, demo_cache: Path, tmp_path: Path) -> Path:
    """A filtered, projected and split part of the demo dataset."""
    part, out = tmp_path / "part.parquet", tmp_path / "cohort.parquet"
    assert cli("select", "demo", "--where", "age >= 30", "--labels", "malignancy", "-o", part).code == 0
    assert cli("split", part, "--seed", 7, "-o", out).code == 0
    return out


@pytest.fixture
def locked(cli: CLI, cohort: Path, tmp_path: Path) -> Path:
    assert cli("lock", cohort, "-o", tmp_path / "cohort.lock").code == 0
    return tmp_path / "cohort.lock"


def edited(cache: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change the demo dataset's manifest as a new catalog or source would."""
    (path,) = cache.glob("datasets/demo/*/manifest.parquet")
    pq.write_table(change(pq.ParquetFile(path).read()), path)
    folder = DatasetFolder(path.parent, "demo", path.parent.name)
    receipt = folder.receipt()
    assert receipt
    folder.write_receipt(replace(receipt, manifest_sha256=hash_file(path).sha256))


def with_cell(table: pa.Table, key: str, column: str, value: object) -> pa.Table:
    keys, values = table["key"].to_pylist(), table[column].to_pylist()
    values[keys.index(key)] = value
    place = table.column_names.index(column)
    return table.set_column(
        place, table.schema.field(column), pa.array(values, table.schema.field(column).type)
    )


def test_an_empty_cache_gets_the_same_bytes(cli: CLI, cohort: Path, locked: Path, tmp_path: Path) -> None:
    """sync fetches what is missing; the manifest is the one that was locked, but for where images are."""
    out = tmp_path / "again.parquet"
    answer = cli("sync", locked, "-o", out, cache=tmp_path / "elsewhere")
    assert answer.code == 0, answer.err
    assert "each as it was locked" in answer.err
    assert apart_from_places(out) == apart_from_places(cohort)


def test_a_lock_is_small_and_says_where_its_rows_come_from(locked: Path, cohort: Path) -> None:
    """A person can read the head; the chain of commands is in it."""
    document = json.loads(locked.read_text())
    [dataset] = document["datasets"]
    assert (dataset["name"], dataset["version"], dataset["images"]) == ("demo", "1.0", True)
    assert dataset["rows"] == document["rows"] == pq.read_metadata(cohort).num_rows
    assert [line.split()[0] for line in document["commands"]] == ["select", "split"]


def test_the_same_cohort_gives_the_same_lock(cli: CLI, cohort: Path, locked: Path, tmp_path: Path) -> None:
    assert cli("lock", cohort, "-o", tmp_path / "second.lock").code == 0
    assert (tmp_path / "second.lock").read_bytes() == locked.read_bytes()


def test_one_changed_label_in_the_source_is_named_and_exits_4(
    cli: CLI, cohort: Path, locked: Path, tmp_path: Path
) -> None:
    """Nothing is written."""
    key = pq.ParquetFile(cohort).read()["key"][5].as_py()
    edited(tmp_path / "cache", lambda table: with_cell(table, key, "label_raw", "something else"))
    answer = cli("sync", locked, "-o", tmp_path / "again.parquet", "-f", "csv")
    assert answer.code == 4
    [row] = answer.out.splitlines()[1:]
    assert row.startswith(f"{key},value,label_raw,")
    assert row.endswith(",something else")
    assert not (tmp_path / "again.parquet").exists()


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [("sha256", "0" * 64, "image,sha256"), ("age", 99.0, "value,"), ("extra", [("a", "b")], "value,")],
)
def test_any_other_change_of_a_row_is_found(
    cli: CLI, cohort: Path, locked: Path, tmp_path: Path, column: str, value: object, said: str
) -> None:
    """Another image, or a column that the lock holds only by its digest."""
    key = pq.ParquetFile(cohort).read()["key"][0].as_py()
    edited(tmp_path / "cache", lambda table: with_cell(table, key, column, value))
    answer = cli("sync", locked, "-f", "csv")
    assert (answer.code, f"{key},{said}" in answer.out) == (4, True)


def test_a_row_that_is_gone_is_named(cli: CLI, cohort: Path, locked: Path, tmp_path: Path) -> None:
    keys = pq.ParquetFile(cohort).read()["key"].to_pylist()
    edited(tmp_path / "cache", lambda table: table.filter(pa.compute.not_equal(table["key"], keys[3])))
    answer = cli("sync", locked, "-f", "csv")
    assert answer.code == 4
    assert answer.out.splitlines()[1:] == [f"{keys[3]},gone,,{keys[3]},"]
    assert f"1 of {len(keys)} rows" in answer.err


def test_changes_in_rows_that_are_not_in_the_cohort_do_not_matter(
    cli: CLI, cohort: Path, locked: Path, tmp_path: Path
) -> None:
    mine = set(pq.ParquetFile(cohort).read()["key"].to_pylist())

    def change(table: pa.Table) -> pa.Table:
        other = next(key for key in table["key"].to_pylist() if key not in mine)
        return with_cell(table, other, "label_raw", "something else")

    edited(tmp_path / "cache", change)
    answer = cli("sync", locked)
    assert (answer.code, answer.out) == (0, "")  # no header of an empty table


def test_rows_of_no_known_dataset_cannot_be_locked(cli: CLI, tmp_path: Path) -> None:
    path = tmp_path / "own.parquet"
    pq.write_table(pa.table({"dataset": ["clinic"], "key": ["clinic/1"]}), path)
    answer = cli("lock", path, "-o", tmp_path / "x.lock")
    assert (answer.code, "no catalog knows it" in answer.err) == (2, True)
    assert not (tmp_path / "x.lock").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no lock file"),
        (b"{}", "no lock file"),
        (b"PAR1", "no lock file"),
        (b'{"schema": "dermdata.lock/9"}', "update dermdata"),
        (b'{"schema": "dermdata.lock/1"}', "damaged"),
    ],
)
def test_what_is_no_lock_is_refused_in_words(cli: CLI, tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "x.lock"
    path.write_bytes(content)
    answer = cli("sync", path)
    assert (answer.code, said in answer.err) == (2, True)


def test_a_lock_that_was_changed_by_hand_is_refused(cli: CLI, locked: Path) -> None:
    """The rows carry their own checksum."""
    document = json.loads(locked.read_text())
    document["data"][0] = document["data"][0][::-1]
    locked.write_text(json.dumps(document))
    answer = cli("sync", locked)
    assert (answer.code, "damaged" in answer.err) == (2, True)


def test_offline_without_the_dataset_says_that_the_network_is_needed(
    cli: CLI, locked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bundled demo needs none; a dataset of another version is refused before anything is fetched."""
    document = json.loads(locked.read_text())
    document["datasets"][0]["version"] = "0.9"
    locked.write_text(json.dumps(document))
    answer = cli("--offline", "sync", locked, cache=tmp_path / "elsewhere")
    assert (answer.code, "the catalog has 1.0" in answer.err) == (4, True)
    assert not (tmp_path / "elsewhere" / "datasets").exists()


def test_a_dry_run_shows_what_would_be_fetched(cli: CLI, locked: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "cache")
    answer = cli("sync", locked, "--dry-run", "-f", "csv")
    assert answer.code == 0
    assert answer.out.splitlines()[1].endswith(",false")
    assert not list((tmp_path / "cache").glob("datasets/*"))


def test_a_lock_that_counts_other_rows_than_it_holds_is_refused(cli: CLI, locked: Path) -> None:
    """What `rows` says is read by people: it must be so."""
    document = json.loads(locked.read_text())
    document["rows"] += 1
    locked.write_text(json.dumps(document))
    answer = cli("sync", locked)
    assert (
        answer.code,
        f"it says {document['rows']} rows and holds {document['rows'] - 1}" in answer.err,
    ) == (2, True)
