"""The locked database: whatever a folder or a table is called, its rows can be asked for."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dermdata.cohort.query import Query
from dermdata.errors import UnknownName, UsageError
from support.bundled_labels import vocabulary


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


def test_a_name_without_quotes_that_can_mean_two_tables_is_told(tmp_path: Path) -> None:
    """a_b_c is a-b-c or a_b-c: the quoted names work, the other one says so."""
    tables = {"a-b-c": pa.table({"n": [1]}), "a_b-c": pa.table({"n": [2]}), "x-y": pa.table({"n": [3]})}
    with Query(tables, tmp_path) as asked:
        assert list(asked.rows('SELECT n FROM "a-b-c"')[1]) == [{"n": 1}]
        assert list(asked.rows('SELECT n FROM "a_b-c"')[1]) == [{"n": 2}]
        assert list(asked.rows("SELECT n FROM X_Y")[1]) == [{"n": 3}]
        assert list(asked.rows("SELECT sum(n)::INT AS n FROM images")[1]) == [{"n": 6}]
        for name in ("a_b_c", "A_B_C"):
            with pytest.raises(UsageError, match="can be a-b-c or a_b-c") as told:
                asked.rows(f"SELECT n FROM {name}")
            assert told.value.hint == 'write "a-b-c" or "a_b-c", with the quotes'


@pytest.mark.parametrize("names", [("Own", "own"), ("Images", "own"), ("A-b", "a-B")])
def test_names_that_differ_in_case_alone_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    """SQL sees no case; said before anything is asked."""
    with pytest.raises(UsageError, match="one name in SQL"):
        Query({name: pa.table({"n": [1]}) for name in names}, tmp_path)


def test_one_table_called_images_is_its_own_union(tmp_path: Path) -> None:
    """In any case."""
    with Query({"Images": pa.table({"n": [1]})}, tmp_path) as asked:
        assert list(asked.rows("SELECT n FROM images")[1]) == [{"n": 1}]


def test_under_is_a_function_of_the_query(tmp_path: Path) -> None:
    """As `diagnosis under 'x'` of --where: the concept and all below it; null where there is no diagnosis."""
    table = pa.table({"diagnosis": ["melanoma", "melanoma-in-situ", "psoriasis", None]})
    with Query({"own": table}, tmp_path, vocabulary) as asked:
        _, rows = asked.rows("SELECT Under(diagnosis, 'melanoma') AS found FROM own")
        assert [row["found"] for row in rows] == [True, True, False, None]
        found = asked.table("SELECT * FROM own WHERE NOT under (diagnosis, 'melanoma')")
        assert found["diagnosis"].to_pylist() == ["psoriasis"]
        with pytest.raises(UnknownName, match="unknown concept 'melanom'"):
            list(asked.rows("SELECT 1 FROM own WHERE under(diagnosis, 'melanom')")[1])
    with Query({"own": table}, tmp_path) as asked, pytest.raises(UsageError, match="under"):
        asked.rows("SELECT under(diagnosis, 'melanoma') FROM own")
