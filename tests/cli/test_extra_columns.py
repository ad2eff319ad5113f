"""A source's own columns, `extra.NAME`, where columns are counted by, grouped by and stratified by."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def demo(demo_cache: Path) -> None:
    """It is in the cache."""


def test_counts_by_a_source_s_own_column(cli: Callable) -> None:
    items = json.loads(cli("stats", "demo", "--by", "extra.dx_type,sex", "-f", "json").out)["items"]
    assert sum(row["images"] for row in items) == 120
    assert {row["extra.dx_type"] for row in items} == {"histo", "follow_up", "consensus", "confocal"}
    histo = json.loads(
        cli("stats", "demo", "--where", "extra['dx_type'] = 'histo'", "--by", "sex", "-f", "json").out
    )["items"]
    ours = [row["images"] for row in items if row["extra.dx_type"] == "histo"]
    assert [row["images"] for row in histo] == ours


def test_a_table_1_by_a_source_s_own_column(cli: Callable) -> None:
    head = cli("cite", "demo", "--table1", "--by", "extra.dx_type", "-f", "csv").out.splitlines()[0]
    assert head == "group,value,confocal,consensus,follow_up,histo,Total"


def test_a_split_mirrors_a_source_s_own_column(cli: Callable, tmp_path: Path) -> None:
    answer = cli("split", "demo", "--stratify", "extra.dx_type", "-o", tmp_path / "s.parquet")
    assert answer.code == 0, answer.err
    assert "extra.dx_type: no image of confocal" in answer.err
    by = ["--by", "split,extra.dx_type", "-f", "json"]
    items = json.loads(cli("stats", tmp_path / "s.parquet", *by).out)["items"]
    train = {row["extra.dx_type"]: row["images"] for row in items if row["split"] == "train"}
    assert 40 <= train["histo"] <= 50  # 70 % of 63


def test_groups_of_an_evaluation_by_a_source_s_own_column(cli: Callable, tmp_path: Path) -> None:
    rows = json.loads(cli("select", "demo", "--show", "images", "-f", "json").out)["items"]
    lines = ["image_id,prediction", *(f"{row['key'].partition('/')[2]},{row['diagnosis']}" for row in rows)]
    (tmp_path / "p.csv").write_text("\n".join(lines), encoding="utf-8")
    words = ["--labels", "category", "--by", "extra.dx_type", "--bootstrap", "0", "-f", "json"]
    items = json.loads(cli("evaluate", tmp_path / "p.csv", "--target", "demo", *words).out)["items"]
    assert {row["value"] for row in items if row["by"] == "extra.dx_type"} == {
        "histo", "follow_up", "consensus", "confocal",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["stats", "demo", "--by", "dx_type"], "a source's own are extra.NAME"),
        (["stats", "demo", "--by", "extra.dx_typ"], "did you mean extra.dx_type"),
        (["stats", "demo", "--where", "dx_type = 'histo'"], "a source's own column is extra['dx_type']"),
        (["cite", "demo", "--table1", "--by", "extra.zzz"], "did you mean extra."),
        (["split", "demo", "--stratify", "extra.dx_typ"], "did you mean extra.dx_type"),
    ],
)
def test_a_column_that_is_not_there_leads_to_its_name(cli: Callable, words: list[str], says: str) -> None:
    answer = cli(*words)
    assert (answer.code, says in answer.err) == (2, True), answer.err
