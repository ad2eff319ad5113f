"""`dermdata stats`: the shape that scripts rely on, and what a person sees."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from dermdata import manifest
from dermdata.cli import stats
from dermdata.cli.cells import can_show
from export.samples import bare, row, table

Cli = Callable[..., Any]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A manifest of 12 rows, one of which says nothing and one of which has a hostile label."""
    rows = [row(tmp_path / "images", number) for number in range(10)]
    hostile = {**bare(10), "sex": "male", "diagnosis": "bad\x1b[31m\u202eword, [bold]x"}
    path = tmp_path / "m.parquet"
    manifest.write_manifest(table([*rows, hostile, bare(11)]), path, {})
    return path


def test_unknown_column(cli: Cli, target: Path) -> None:
    """Exit 2 and the nearest one."""
    answer = cli("stats", target, "--by", "sexx")
    assert answer.code == 2
    assert answer.err == "error: unknown column 'sexx'\nhint: did you mean sex?\n"


@pytest.mark.parametrize(
    "values",
    [
        pa.array([2**31 - 1, 1], pa.date32()), pa.array([2**63 - 1, 5], pa.timestamp("us")),
        pa.array([2**63 - 1, 5], pa.duration("s")),
    ],
    ids=lambda values: str(values.type),
)  # fmt: skip
def test_a_day_that_no_calendar_has_is_told(cli: Cli, tmp_path: Path, values: pa.Array) -> None:
    """A damaged column: it ended with exit 70."""
    keys = {"dataset": ["x", "x"], "image_id": ["a", "b"], "key": ["x/a", "x/b"]}
    pq.write_table(pa.table({**keys, "when": values}), tmp_path / "m.parquet")
    answer = cli("stats", tmp_path / "m.parquet", "--by", "when")
    assert (answer.code, f"a value of {values.type} cannot be" in answer.err) == (2, True), answer.err


def test_days_are_counted(cli: Cli, tmp_path: Path) -> None:
    keys = {"dataset": ["x", "x"], "image_id": ["a", "b"], "key": ["x/a", "x/b"]}
    pq.write_table(pa.table({**keys, "when": pa.array([0, 0], pa.date32())}), tmp_path / "m.parquet")
    answer = cli("stats", tmp_path / "m.parquet", "--by", "when", "-f", "json")
    assert [(row["when"], row["images"]) for row in json.loads(answer.out)["items"]] == [("1970-01-01", 2)]


def test_items_of_a_cross_table(cli: Cli, target: Path) -> None:
    """The --by columns, images, patients, lesions; null for what is not stated."""
    items = json.loads(cli("stats", target, "--by", "malignancy, sex", "-f", "json").out)["items"]
    assert list(items[0]) == ["malignancy", "sex", "images", "patients", "lesions", "share"]
    assert items[-1] | {"share": 0} == {
        "malignancy": None,
        "sex": None,
        "images": 1,
        "patients": None,
        "lesions": None,
        "share": 0,
    }


def test_items_of_the_overview(cli: Cli, target: Path) -> None:
    """One row per value of each column: `by, value`, then the counts."""
    document = json.loads(cli("stats", target, "-f", "json").out)
    assert document["schema"] == "dermdata.stats/1"
    assert list(document["items"][0]) == ["by", "value", "images", "patients", "lesions", "share"]
    assert list(dict.fromkeys(item["by"] for item in document["items"])) == [
        "diagnosis",
        "malignancy",
        "fitzpatrick",
        "sex",
        "body_site",
    ]


def test_in_a_pipe_it_is_tsv(cli: Cli, target: Path) -> None:
    """A header and one line a cell, equal counts by word; what is not stated is empty."""
    lines = cli("stats", target, "--by", "sex").out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["sex", "female", "male", ""]


def test_the_table_has_bars_and_harmless_labels(cli: Cli, target: Path) -> None:
    """Control characters are shown, not obeyed; markup is text; null is "(not stated)"."""
    out = cli("stats", target, "-f", "table").out
    assert "█" in out
    assert "(not stated)" in out
    assert "bad\\x1b[31m\\u202eword, [bold]x" in out
    assert "12 images" in out


@pytest.mark.parametrize(("width", "barred"), [(120, True), (80, True), (79, False), (70, False)])
def test_no_word_is_broken_for_the_sake_of_a_bar(width: int, barred: bool) -> None:
    """At 80 columns `fitzpatrick17k` and `not-applicable` stay whole; where a bar has no room there is none."""
    rows = [
        {"dataset": "fitzpatrick17k", "label": word, "images": 10, "patients": 4, "lesions": 3, "share": 0.5}
        for word in ("not-applicable", None)
    ]
    screen = Console(width=width, file=StringIO())
    screen.print(stats.make_table(rows, ("dataset", "label"), width, blocks=True))
    lines = screen.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(lines) == 4
    assert ("█" in lines[-1]) == barred
    assert (max(map(len, lines)) <= width, "not-app" in lines[2]) == (True, True)


def test_no_rows_is_a_table_of_nothing(cli: Cli, tmp_path: Path) -> None:
    """An empty manifest is no error."""
    manifest.write_manifest(table([]), tmp_path / "none.parquet", {})
    answer = cli("stats", tmp_path / "none.parquet", "-f", "table")
    assert (answer.code, answer.out) == (0, "0 images\n")
    assert cli("stats", tmp_path / "none.parquet", "--by", "sex", "-f", "table").code == 0


def test_nothing_cached(cli: Cli) -> None:
    """No TARGET and an empty cache: what to do first."""
    answer = cli("stats")
    assert answer.code == 2
    assert "no dataset is in the cache" in answer.err


@pytest.mark.parametrize(
    ("share", "blocks", "drawn"),
    [(1, True, "█" * 10), (0.5, True, "█" * 5), (0.51, True, "█████▏"), (0.0001, True, "▏"),
     (1, False, "#" * 10), (0.0001, False, "#")],
)  # fmt: skip
def test_bar(share: float, blocks: bool, drawn: str) -> None:
    """Scaled to the width; the rarest is still seen."""
    assert stats.bar(share, 10, blocks=blocks) == drawn


def test_plain_where_blocks_cannot_be_shown() -> None:
    """A terminal that is not UTF-8 gets ASCII."""
    assert can_show("█", "utf-8")
    assert not can_show("█", "ascii")
    assert not can_show("█", "latin-1")
    assert not can_show("█", None)


@pytest.mark.usefixtures("demo_cache")
def test_classes_of_a_label_space_are_counted(cli: Cli) -> None:
    """First in the overview, or by --by; a null class has its reason."""
    answer = cli("stats", "demo", "--labels", "isic8", "--format", "json")
    items = json.loads(answer.out)["items"]
    assert [one["by"] for one in items][:2] == ["label", "label"]
    classes = {one["value"]: one["images"] for one in items if one["by"] == "label"}
    assert classes["NV"] == 63
    reasons = {one["value"]: one["images"] for one in items if one["by"] == "label_reason"}
    assert reasons["a lump: AK or SCC"] == classes[None]
    assert f"{classes[None]} demo akiec: a lump: AK or SCC" in answer.err
    by = cli("stats", "demo", "--labels", "ham7", "--by", "label,malignancy", "--format", "tsv")
    assert by.out.splitlines()[1].split("\t")[:3] == ["NV", "benign", "63"]


@pytest.mark.usefixtures("demo_cache")
def test_strict_counts_nothing_where_a_row_has_no_class(cli: Cli) -> None:
    """Exit 1; without a space there is nothing to be strict about."""
    answer = cli("stats", "demo", "--labels", "isic8", "--strict")
    assert (answer.code, answer.out) == (1, "")
    assert cli("stats", "demo", "--strict").code == 2
    assert cli("stats", "demo", "--labels", "ham7", "--strict").code == 0
