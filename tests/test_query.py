"""The locked database: whatever a folder or a table is called, its rows can be asked for."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dermdata.query import Query


def test_a_folder_with_quotes_is_read(tmp_path: Path) -> None:
    """The home of O'Brien is no end of a string."""
    folder = tmp_path / "O'Brien's \"data\""
    folder.mkdir()
    pq.write_table(pa.table({"n": [1]}), folder / "a.parquet")
    with Query({"a": folder / "a.parquet"}, folder / "scratch") as asked:
        assert list(asked.rows("SELECT n FROM a")[1]) == [{"n": 1}]


def test_names_that_differ_in_a_dash_are_two_tables(tmp_path: Path) -> None:
    tables = {"a-b": pa.table({"n": [1]}), "a_b": pa.table({"n": [2]})}
    with Query(tables, tmp_path) as asked:
        assert list(asked.rows('SELECT n FROM "a-b"')[1]) == [{"n": 1}]
        assert list(asked.rows("SELECT n FROM a_b")[1]) == [{"n": 2}]
        assert list(asked.rows("SELECT sum(n)::INT AS n FROM images")[1]) == [{"n": 3}]
