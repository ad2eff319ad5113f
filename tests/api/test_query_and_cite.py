"""Queries, Table 1 and counts: a session and a manifest give what `query`, `cite` and `stats` give."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import dermdata as dd
from dermdata.errors import UnknownName, UsageError

SQL = "SELECT sex, count(*) AS images FROM demo GROUP BY sex ORDER BY sex"


@pytest.mark.parametrize("targets", [(), ("demo",)])
def test_query(session: dd.Session, run: Callable, targets: tuple[str, ...]) -> None:
    found = session.query(SQL, *targets)
    assert json.loads(run("query", SQL, *targets, "-f", "json").out)["items"] == found.items
    assert found.columns == ("sex", "images")
    assert sum(row["images"] for row in found) == 120


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl", "arrow"])
def test_the_answer_as_a_file(session: dd.Session, run: Callable, tmp_path: Path, ending: str) -> None:
    assert session.save_query(SQL, out=tmp_path / f"api.{ending}") == tmp_path / f"api.{ending}"
    assert run("query", SQL, "-o", tmp_path / f"cli.{ending}").code == 0
    assert (tmp_path / f"api.{ending}").read_bytes() == (tmp_path / f"cli.{ending}").read_bytes()


def test_a_table_that_is_not_there(session: dd.Session, tmp_path: Path) -> None:
    """With the way to it: the dataset that is meant, or any."""
    with pytest.raises(UsageError, match="ham10000 is not in the cache"):
        session.query("SELECT * FROM ham10000")
    with pytest.raises(UnknownName, match="nothing"):
        session.query("SELECT * FROM nothing")
    empty = dd.open_session(cache=tmp_path / "empty", progress=False)
    assert empty.query("SELECT 1 AS one").items == [{"one": 1}]
    with pytest.raises(UsageError, match="no dataset is in the cache"):
        empty.query("SELECT * FROM images")


@pytest.mark.parametrize("form", ["markdown", "latex", "csv", "json"])
def test_table1(demo: dd.Manifest, run: Callable, form: str) -> None:
    assert run("cite", "demo", "--table1", "--by", "sex", "-f", form).out == demo.table1("sex", form=form)
    assert run("cite", "--table1", "-f", form).out == demo.table1(form=form)


def test_table1_of_what_is_not_there(demo: dd.Manifest) -> None:
    with pytest.raises(UnknownName, match="column"):
        demo.table1("sexx")
    with pytest.raises(UnknownName, match="format"):
        demo.table1(form="html")  # type: ignore[arg-type]  # that is the test


def test_stats_by_classes(demo: dd.Manifest, run: Callable) -> None:
    """A label space is named first, in an overview and by columns."""
    for by in ((), ("label", "sex")):
        words = ["--by", ",".join(by)] if by else []
        items = json.loads(run("stats", "demo", *words, "--labels", "malignancy", "-f", "json").out)["items"]
        assert items == json.loads(json.dumps(demo.stats(by, labels="malignancy").items))
