"""`--where` and `--split` are the same filters in every command that reads rows."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer.main

from dermdata.cli.app import app

FILTERED = ("select", "stats", "audit", "evaluate", "export", "cite")
WHERE = "sex = 'female' and age > 40"


@pytest.fixture
def parts(cli: Callable, demo_cache: Path, tmp_path: Path) -> Path:
    """The demo dataset, split."""
    out = tmp_path / "parts.parquet"
    assert cli("split", "demo", "-o", out).code == 0
    return out


@pytest.fixture
def chosen(cli: Callable, parts: Path, tmp_path: Path) -> Path:
    """The rows that the filters leave, as a file."""
    out = tmp_path / "chosen.parquet"
    assert cli("select", parts, "--where", WHERE, "--split", "train", "-o", out).code == 0
    return out


@pytest.mark.parametrize("name", FILTERED)
def test_every_command_has_the_filters(name: str) -> None:
    command = typer.main.get_group(app).get_command(typer.Context(typer.main.get_command(app)), name)
    options = {word for param in command.params for word in param.opts}
    assert {"--where", "--split"} <= options


@pytest.mark.parametrize(
    "words",
    [
        ["stats", "--by", "diagnosis,sex", "-f", "json"],
        ["cite", "-f", "json"],
        ["cite", "--table1", "-f", "json"],
        ["audit", "--skip", "count-differs", "-f", "json"],
    ],
    ids=" ".join,
)
def test_filters_leave_the_same_rows_everywhere(
    cli: Callable, parts: Path, chosen: Path, words: list[str]
) -> None:
    whole = cli(*words[:1], parts, *words[1:])
    asked = cli(*words[:1], parts, "--where", WHERE, "--split", "train", *words[1:])
    alone = cli(*words[:1], chosen, *words[1:])
    assert asked.out == alone.out != whole.out
    assert "rows are of the part train" in asked.err
    assert "rows are as the condition says" in asked.err


def test_an_export_takes_them_too(cli: Callable, parts: Path, chosen: Path, tmp_path: Path) -> None:
    for name, words in (("a", [parts, "--where", WHERE, "--split", "train"]), ("b", [chosen])):
        answer = cli("export", "csv", *words, "-o", tmp_path / f"{name}.csv")
        assert answer.code == 0, answer.err
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_a_count_of_some_rows_is_compared_with_no_publisher_s(cli: Callable, parts: Path) -> None:
    found = json.loads(cli("audit", "demo", "--where", WHERE, "-f", "json").out)["items"]
    assert [one for one in found if one["code"] == "count-differs"] == []


@pytest.mark.parametrize("name", ["stats", "audit", "cite", "select"])
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--where", "agee > 3"], "unknown column 'agee'"),
        (["--split", "tset"], "did you mean test?"),
    ],
)
def test_a_filter_that_cannot_be_is_an_error(
    cli: Callable, parts: Path, name: str, words: list[str], says: str
) -> None:
    answer = cli(name, parts, *words)
    assert (answer.code, says in answer.err) == (2, True), answer.err


# ------------------------------------------------------------------ predictions of one part


@pytest.fixture
def predictions(cli: Callable, parts: Path, tmp_path: Path) -> Path:
    """Of the test part alone, all right."""
    rows = json.loads(cli("select", parts, "--split", "test", "--show", "images", "-f", "json").out)["items"]
    lines = ["image_id,prediction", *(f"{row['key'].partition('/')[2]},{row['diagnosis']}" for row in rows)]
    path = tmp_path / "predictions.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def evaluation(cli: Callable, *words: Any) -> Any:
    return cli("evaluate", *words, "--labels", "category", "--bootstrap", "0", "-f", "json")


def test_predictions_of_one_part_are_judged_on_that_part(
    cli: Callable, parts: Path, predictions: Path
) -> None:
    """Without a word of the 100 other images; without --split the hint names the part."""
    whole = evaluation(cli, predictions, "--target", parts)
    part = evaluation(cli, predictions, "--target", parts, "--split", "test")
    assert "hint: all predictions are of the part test: --split test judges it alone" in whole.err
    assert "have no prediction" not in part.err
    assert json.loads(part.out)["missing_predictions"] == 0
    assert json.loads(part.out)["items"] == json.loads(whole.out)["items"]


def test_the_report_says_which_rows_were_judged(
    cli: Callable, parts: Path, predictions: Path, tmp_path: Path
) -> None:
    evaluation(cli, predictions, "--target", parts, "--split", "test", "--report", tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "--split=test" in text
    judged = len(predictions.read_text(encoding="utf-8").splitlines()) - 1
    assert f"<dt>Images</dt><dd>{judged}</dd>" in text  # of 120 in the catalog
