"""`dermdata query`: SQL over manifests that can reach nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest


@pytest.fixture
def asked(cli, demo_cache):
    """The demo dataset is in the cache."""
    return lambda *words: cli("query", *words)


def test_a_dataset_is_a_table_and_images_is_the_union_of_all(asked) -> None:
    """Both names, and the same rows, where one dataset is cached."""
    answer = asked("SELECT count(*) AS n FROM demo UNION ALL SELECT count(*) FROM images", "-f", "csv")
    assert (answer.code, answer.out) == (0, "n\n120\n120\n")


def test_a_manifest_is_a_table_by_its_file_name_and_needs_no_cache(asked, cli, tmp_path: Path) -> None:
    """TARGETs replace what is cached."""
    assert cli("select", "demo", "--where", "sex = 'female'", "-o", tmp_path / "women.parquet").code == 0
    answer = asked("SELECT DISTINCT sex FROM women", str(tmp_path / "women.parquet"), "-f", "csv")
    assert answer.out == "sex\nfemale\n"
    assert asked("SELECT * FROM demo", str(tmp_path / "women.parquet")).code == 2


def test_json_holds_plain_values_and_every_column_once(asked) -> None:
    """Lists and maps stay what they are; a repeated name gets a number."""
    made = "date '2026-01-02' AS day, 1.5::DECIMAL(3,1) AS half"
    sql = f"SELECT key, key, diagnosis_path, {made} FROM demo ORDER BY key LIMIT 1"
    [row] = json.loads(asked(sql, "-f", "json").out)["items"]
    assert row["key"] == row["key_2"] == "demo/DEMO_0001"
    assert isinstance(row["diagnosis_path"], list)
    assert (row["day"], row["half"]) == ("2026-01-02", 1.5)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT * FROM dmo", "did you mean demo?"),
        ("SELECT diagnoss FROM images", "did you mean diagnosis"),
        ("SELECT * FROM ham10000", "dermdata fetch ham10000"),
        ("SELECT * FROM pad_ufes_20", "dermdata fetch pad-ufes-20"),
        ("SELECT * FROM pad-ufes-20", "double quotes"),
        ("SELECT 1; SELECT 2", "one query at a time"),
        ("SELEC 1", "the query is wrong"),
    ],
)
def test_a_wrong_query_says_what_to_try_next(asked, sql: str, said: str) -> None:
    answer = asked(sql)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO '{out}'",
        "CREATE TABLE t AS SELECT 1",
        "ATTACH '{out}'",
        "INSTALL httpfs",
        "SET memory_limit = '1MB'",
        "SELECT * FROM read_text('{secret}')",
        "SELECT * FROM read_csv('{secret}')",
        "SELECT * FROM '{secret}'",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM read_parquet('http://127.0.0.1:9/x.parquet')",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{out}'",
    ],
)
def test_a_query_writes_nothing_and_reads_no_other_file(asked, tmp_path: Path, sql: str) -> None:
    """No file of the person's, no network, no setting, no new file."""
    secret = tmp_path / "secret.csv"
    secret.write_text("word\nsesame\n")
    answer = asked(sql.format(out=tmp_path / "out", secret=secret, folder=tmp_path))
    assert answer.code == 2, answer.out
    assert "sesame" not in answer.out + answer.err
    assert "secret.csv" not in answer.out
    assert not (tmp_path / "out").exists()


def test_the_answer_goes_on_as_a_stream_or_a_file(asked, tmp_path: Path) -> None:
    """`-o -` feeds the next command; a file is a table like any other."""
    out = tmp_path / "old.parquet"
    assert asked("SELECT * FROM images WHERE age >= 60", "-o", str(out)).code == 0
    ages = pq.ParquetFile(out).read()["age"].to_pylist()
    assert ages
    assert min(ages) >= 60
    command = [sys.executable, "-m", "dermdata", "--cache", str(tmp_path / "cache")]
    first = subprocess.run([*command, "query", "FROM images", "-o", "-"], capture_output=True, check=True)
    then = subprocess.run(
        [*command, "stats", "-", "--by", "dataset"], input=first.stdout, capture_output=True
    )
    assert then.stdout.decode().splitlines()[1].startswith("demo\t120")


def test_two_tables_of_one_name_are_refused(asked, cli, tmp_path: Path) -> None:
    """Neither hides the other."""
    for folder in ("a", "b"):
        assert cli("select", "demo", "--sample", 3, "-o", tmp_path / folder / "x.parquet").code == 0
    answer = asked("FROM x", str(tmp_path / "a" / "x.parquet"), str(tmp_path / "b" / "x.parquet"))
    assert (answer.code, "two tables would be called x" in answer.err) == (2, True)


def test_a_broken_manifest_is_named(asked, tmp_path: Path) -> None:
    """Not a fault of the query."""
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and no more")
    answer = asked("FROM bad", str(tmp_path / "bad.parquet"))
    assert (answer.code, "bad.parquet is not a Parquet manifest" in answer.err) == (2, True)


def test_without_any_dataset_it_says_what_to_fetch(cli) -> None:
    answer = cli("query", "SELECT * FROM images")
    assert (answer.code, "no dataset is in the cache" in answer.err) == (2, True)
    assert cli("query", "SELECT 1 AS one", "-f", "csv").out == "one\n1\n"
