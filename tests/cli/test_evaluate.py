"""`dermdata evaluate`: the shape that scripts rely on, what is said, and the page."""

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from dermdata.cli.app import run

Cli = Callable[..., Any]
CLASSES = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
FAST = ("--bootstrap", "20")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One with the demo, which no test changes."""
    path = tmp_path_factory.mktemp("cache")
    assert run(["--cache", str(path), "--quiet", "fetch", "demo"]) == 0
    return path


@pytest.fixture
def cli(cli: Cli, cache: Path) -> Cli:
    return partial(cli, cache=cache)


@pytest.fixture
def predicted(cache: Path, tmp_path: Path) -> Path:
    """A model's probabilities for the demo's images, but two; and one for an image that nobody knows."""
    (manifest,) = cache.rglob("manifest.parquet")
    rows = pq.read_table(manifest, columns=["image_id", "label_raw"]).to_pylist()
    random = np.random.default_rng(1)
    lines = [f"image,fold,{','.join(CLASSES)}", f"gone.jpg,0,{','.join(['1', *'000000'])}"]
    for row in rows[2:]:
        logits = random.normal(size=7)
        logits[CLASSES.index(row["label_raw"].upper())] += 2
        shares = np.exp(logits) / np.exp(logits).sum()
        lines.append(f"images/{row['image_id']}.jpg,0,{','.join(map(str, shares.tolist()))}")
    path = tmp_path / "predictions.csv"
    path.write_text("\n".join(lines))
    return path


def test_items_of_the_answer(cli: Cli, predicted: Path) -> None:
    """`by, value, n, metric, estimate, low, high`, overall first; gaps, counts and groups too small beside them."""
    point = ("--operating-point", "sensitivity=0.9")
    answer = cli(
        "evaluate", predicted, "--target", "demo", "--by", "sex,fitzpatrick", *point, *FAST, "-f", "json"
    )
    assert answer.code == 0
    document = json.loads(answer.out)
    assert document["schema"] == "dermdata.evaluate/1"
    first = document["items"][0]
    assert list(first) == ["by", "value", "n", "metric", "estimate", "low", "high"]
    assert (first["by"], first["value"], first["n"], first["metric"]) == (None, None, 118, "accuracy")
    assert list(dict.fromkeys(item["by"] for item in document["items"])) == [None, "sex", "fitzpatrick"]
    assert {"sensitivity_MEL", "specificity_MEL_at_sensitivity_0.9", "auroc_NV", "brier"} <= {
        item["metric"] for item in document["items"]
    }
    assert list(document["gaps"][0])[:7] == ["by", "metric", "worst", "best", "gap", "low", "high"]
    assert (document["missing_predictions"], document["unknown_predictions"]) == (2, 1)
    assert {"by": "sex", "value": None, "n": 4, "reason": "only 4 images, fewer than 30"} in document[
        "too_small"
    ]
    assert (document["unit"], document["resamples"], document["seed"]) == ("patient", 20, 0)
    assert sum(map(sum, document["confusion"]["matrix"])) == 118
    assert document["operating_points"][0]["thresholds"].keys() == set(CLASSES)


def test_what_was_detected_and_left_out_is_said(cli: Cli, predicted: Path) -> None:
    err = cli("evaluate", predicted, "--target", "demo", *FAST).err
    assert "classes: ham7, after the columns' names" in err
    assert "images found by image_id, without folders and file endings" in err
    assert "not read: fold" in err
    assert "of no image of the target: 1 prediction (row 1)" in err
    assert "warning: 2 images have no prediction" in err
    assert "resamples by patient" in err
    assert cli("--quiet", "evaluate", predicted, "--target", "demo", *FAST).err == ""


def test_names_are_the_images_without_prediction(cli: Cli, predicted: Path) -> None:
    out = cli("evaluate", predicted, "--target", "demo", "--bootstrap", "0", "-f", "names").out
    assert out.split() == ["demo/DEMO_0001", "demo/DEMO_0002"]


def test_the_table_is_for_a_person(cli: Cli, predicted: Path) -> None:
    """Overall, classes, groups with a star where they are too small, and the gap in words."""
    out = cli("evaluate", predicted, "--target", "demo", "--by", "sex", *FAST, "-f", "table").out
    places = [
        out.index(word)
        for word in ("118 images judged", "balanced accuracy", "class ", "female", "gap by sex:")
    ]
    assert places == sorted(places)
    assert re.search(r"furthest behind the rest: sex \w+: \w+", out)
    assert "(not stated) *" in out
    assert "* no claim: (not stated): only 4 images, fewer than 30" in out


@pytest.mark.parametrize("point", ["sensitivity=0.9", "specificity=0.8", "threshold=0.3"])
def test_the_table_has_each_operating_point_with_its_threshold(cli: Cli, predicted: Path, point: str) -> None:
    """What was asked for is there, for each class, and not in JSON alone."""
    words = ["--operating-point", point, "--target", "demo", *FAST]
    out = cli("evaluate", predicted, *words, "-f", "table").out
    found = json.loads(cli("evaluate", predicted, *words, "-f", "json").out)
    (asked,) = found["operating_points"]
    estimates = {item["metric"]: item["estimate"] for item in found["items"] if item["by"] is None}
    assert re.search(r"operating point +class +threshold +sensitivity +specificity", out)
    name = point.replace("=", " ")
    for one, cut in asked["thresholds"].items():
        (line,) = [line for line in out.splitlines() if line.startswith(f"{name}  ") and f" {one} " in line]
        assert f" {cut:.3f} " in line
        for side in {"sensitivity", "specificity"}:
            if (key := f"{side}_{one}_at_{point.replace('=', '_')}") in estimates:
                assert f" {estimates[key]:.3f} " in line
    assert "operating point" not in cli("evaluate", predicted, "--target", "demo", *FAST, "-f", "table").out


def test_a_lone_probability_of_malignancy(cli: Cli, predicted: Path, tmp_path: Path) -> None:
    """Judged against the rest, in a label space that nobody had to name; the table has sensitivity and specificity."""
    rows = [line.split(",") for line in predicted.read_text().splitlines()[1:]]
    path = tmp_path / "one.csv"
    path.write_text(
        "\n".join(["image,p_malignant", *(f"{row[0]},{float(row[2]) + float(row[4])}" for row in rows)])
    )
    answer = cli("evaluate", path, "--target", "demo", "--by", "sex", *FAST, "-f", "table")
    assert "classes: malignancy" in answer.err
    assert "judged: malignant against all the rest" in answer.err
    assert "6 images of the target have none of these classes" in answer.err
    assert "sensitivity" in answer.out


def test_a_target_brings_its_own_labels(cli: Cli, predicted: Path, tmp_path: Path) -> None:
    """What `select --labels` wrote is what is judged."""
    chosen = tmp_path / "nevi.parquet"
    cli("select", "demo", "--labels", "ham7", "--where", "sex = 'female'", "-o", chosen)
    answer = cli("evaluate", predicted, "--target", chosen, *FAST, "-f", "json")
    assert "classes: the target's own labels" in answer.err
    assert json.loads(answer.out)["n"] == 61


@pytest.mark.parametrize(
    ("column", "labels", "said"),
    [
        ("diagnosis", None, "classes: the target's own diagnosis ids, after the predictions' words"),
        ("label_raw", None, "classes: the target's own raw words, after the predictions' words"),
        ("malignancy", None, "classes: malignancy, after the predictions' words"),
        ("diagnosis", "ham7", ""),
        ("label_raw", "ham7", ""),
    ],
)
def test_decisions_in_the_targets_own_words_need_no_space(
    column: str, labels: str | None, said: str, cli: Cli, cache: Path, tmp_path: Path
) -> None:
    """A model that is right everywhere is so in each of them, and what was taken is said."""
    (manifest,) = cache.rglob("manifest.parquet")
    rows = pq.read_table(manifest, columns=["image_id", column]).to_pylist()
    path = tmp_path / "decisions.csv"
    path.write_text(
        "\n".join(["image_id,prediction", *(f"{row['image_id']},{row[column] or ''}" for row in rows)])
    )
    options = ["--labels", labels] if labels else []
    answer = cli("evaluate", path, "--target", "demo", *options, "--bootstrap", "0", "-f", "json")
    assert answer.code == 0, answer.err
    assert said in answer.err
    assert json.loads(answer.out)["items"][0]["estimate"] == 1.0


def test_decisions_in_own_words_of_a_labeled_target(cli: Cli, tmp_path: Path) -> None:
    """The words of its labels are taken before all others."""
    chosen = tmp_path / "m.parquet"
    cli("select", "demo", "--labels", "malignancy", "-o", chosen)
    rows = pq.read_table(chosen).select(["image_id", "label", "diagnosis"]).to_pylist()
    for column, said in (
        ("label", "the target's own labels"),
        ("diagnosis", "the target's own diagnosis ids"),
    ):
        path = tmp_path / f"{column}.csv"
        lines = [f"{row['image_id']};{row[column] or ''}" for row in rows]
        path.write_text("\r\n".join(["sep=;", "image_id;prediction", *lines]), encoding="utf-16")
        answer = cli("evaluate", path, "--target", chosen, "--bootstrap", "0", "-f", "json")
        assert (answer.code, said in answer.err) == (0, True), answer.err
        assert json.loads(answer.out)["items"][0]["estimate"] == 1.0


def test_predictions_of_a_spreadsheet_are_the_same(cli: Cli, predicted: Path, tmp_path: Path) -> None:
    """Saved with decimal commas, semicolons, a sep line and ANSI: every number is the same, and ANSI is told."""
    lines = [line.replace(",", ";").replace(".", ",") for line in predicted.read_text().splitlines()]
    lines = [line.replace(",jpg", ".jpg") + ";Größe" for line in lines]
    path = tmp_path / "excel.csv"
    path.write_bytes("\r\n".join(["sep=;", *lines]).encode("cp1252"))
    plain, excel = (
        cli("evaluate", one, "--target", "demo", "--bootstrap", "0", "-f", "json")
        for one in (predicted, path)
    )
    assert (excel.code, plain.code) == (0, 0), excel.err
    assert json.loads(excel.out)["items"] == json.loads(plain.out)["items"]
    assert "is not UTF-8: read as ANSI (cp1252), in which line 2 has" in excel.err


def test_the_page_holds_all_of_it(cli: Cli, predicted: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    answer = cli("evaluate", predicted, "--target", "demo", "--by", "sex", *FAST, "--report", page)
    assert answer.code == 0
    text = page.read_text()
    assert "Evaluation on demo" in text
    assert "dermdata evaluate" in text
    assert "<dt>without a prediction</dt><dd>2</dd>" in text
    assert "only 4 images, fewer than 30" in text


def test_figures_and_a_model_card_are_files_beside_the_page(
    cli: Cli, predicted: Path, tmp_path: Path
) -> None:
    """What else lies in the folder of figures stays; a second run writes the same bytes."""
    figures, card = tmp_path / "figures", tmp_path / "card.md"
    figures.mkdir()
    (figures / "mine.txt").write_text("mine")
    words = ("evaluate", predicted, "--target", "demo", *FAST, "--figures", figures, "--model-card", card)
    assert cli(*words).code == 0
    first = {path.name: path.read_bytes() for path in figures.iterdir()}
    assert {"mine.txt", "confusion.csv", "confusion.svg", "reliability.svg"} <= {*first}
    assert card.read_text(encoding="utf-8").startswith("# Model card\n")
    answer = cli(*words)
    assert {path.name: path.read_bytes() for path in figures.iterdir()} == first
    stems = dict.fromkeys(name[:-4] for name in sorted(first) if name != "mine.txt")
    (told,) = [
        line for line in answer.err.splitlines() if line.startswith(f"{len(stems)} figures in {figures}")
    ]
    assert all(f" {stem}" in told for stem in stems)
    assert "earlier run" not in answer.err


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("*Not stated", "Dr. Who", 1),
        lambda _: "# README",
        lambda text: text + "more",
    ],
)
def test_a_model_card_that_was_filled_in_is_not_replaced(
    cli: Cli, predicted: Path, tmp_path: Path, change: Callable[[str], str]
) -> None:
    """What a person wrote in is nowhere else. As it was written, even by another run, it may be."""
    card = tmp_path / "card.md"
    words = ("evaluate", predicted, "--target", "demo", *FAST, "--model-card", card)
    assert cli(*words, "--seed", "1").code == 0
    assert cli(*words).code == 0
    card.write_text(change(card.read_text(encoding="utf-8")), encoding="utf-8")
    before = card.read_bytes()
    answer = cli(*words)
    assert (answer.code, answer.out) == (2, "")
    assert f"{card} is there, and somebody has written into it" in answer.err
    assert card.read_bytes() == before
    card.write_bytes(b"\xff\xfe")
    assert cli(*words).code == 2


def test_without_intervals_no_gap_is_called_chance(cli: Cli, predicted: Path) -> None:
    words = ("evaluate", predicted, "--target", "demo", "--by", "sex", "--bootstrap", "0", "-f", "table")
    said = " ".join(cli(*words).out.split())
    assert re.search(
        r"gap by sex: .* worse for .*: whether that is more than chance cannot be said without", said
    )
    assert "not more than chance" not in said


def test_figures_of_an_earlier_run_are_told(cli: Cli, predicted: Path, tmp_path: Path) -> None:
    """They would pass for figures of this one."""
    figures = tmp_path / "figures"
    words = ("evaluate", predicted, "--target", "demo", *FAST, "--figures", figures)
    assert cli(*words, "--by", "sex").code == 0
    assert "of an earlier run and not of this one: groups-accuracy, " in cli(*words).err


@pytest.mark.parametrize("name", ["confusion.csv", "roc-by-sex.svg", "reliability.svg"])
def test_a_file_of_somebody_else_is_not_replaced_by_a_figure(
    cli: Cli, predicted: Path, tmp_path: Path, name: str
) -> None:
    """Exit 2 before anything is judged; the file is as it was."""
    (tmp_path / name).write_text("<svg>mine</svg>")
    answer = cli("evaluate", predicted, "--target", "demo", *FAST, "--figures", tmp_path)
    assert (answer.code, answer.out) == (2, "")
    assert f"{tmp_path / name} is there and was not made by dermdata" in answer.err
    assert (tmp_path / name).read_text() == "<svg>mine</svg>"
    assert {path.name for path in tmp_path.glob("*.*v*")} == {name, predicted.name}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--figures", __file__], "is no folder"),
        (["--model-card", "/"], "is a folder, a file is needed"),
        (["--by", "sexx"], "unknown column 'sexx'"),
        (["--operating-point", "recall=0.9"], "no operating point"),
        (["--report", "/not/there/x.html"], "no folder /not/there"),
        (["--report", "/"], "is a folder, a file is needed"),
        (["--labels", "pad6"], "do not add up to one"),
    ],
)
def test_wrong_requests(cli: Cli, predicted: Path, options: list[str], told: str) -> None:
    """Exit 2, and nothing on stdout."""
    answer = cli("evaluate", predicted, "--target", "demo", *options)
    assert (answer.code, answer.out) == (2, "")
    assert told in answer.err


@pytest.mark.parametrize("option", ["--report", "--model-card"])
def test_what_is_read_is_not_written_over(cli: Cli, predicted: Path, tmp_path: Path, option: str) -> None:
    """A page in place of the manifest, or of the predictions, would be the end of them."""
    truth = tmp_path / "truth.parquet"
    cli("select", "demo", "--labels", "ham7", "-o", truth)
    (tmp_path / "link.parquet").symlink_to(truth)
    before = truth.read_bytes(), predicted.read_bytes()
    for path in (truth, tmp_path / "link.parquet", predicted, tmp_path / "." / "predictions.csv"):
        answer = cli("evaluate", predicted, "--target", truth, *FAST, option, path)
        assert (answer.code, answer.out) == (2, "")
        assert "is read here" in answer.err or "somebody has written" in answer.err
    assert (truth.read_bytes(), predicted.read_bytes()) == before
    one = tmp_path / "one.html"
    assert cli("evaluate", predicted, "--target", truth, "--report", one, "--model-card", one).code == 2
    assert not one.exists()


def test_no_file_of_predictions(cli: Cli, tmp_path: Path) -> None:
    answer = cli("evaluate", tmp_path / "p.csv", "--target", "demo")
    assert answer.code == 2
    assert f"no predictions at {tmp_path / 'p.csv'}" in answer.err
    assert cli("evaluate", "-", "--target", "-").code == 2


def test_rows_without_a_class_are_told_once(cli: Cli, tmp_path: Path) -> None:
    """Filters leave such rows; that they have no class is said where the classes are named."""
    cohort = tmp_path / "cohort.parquet"
    space = ("--labels", "MEL=melanoma,NV=melanocytic-nevus")
    assert cli("select", "demo", *space, "-o", cohort).code == 0
    answer = cli("export", "csv", cohort, "--where", "age > 0", *space, "-o", tmp_path / "b.csv")
    assert (answer.code, answer.err.count("rows have no class")) == (0, 1)
    again = cli("export", "csv", cohort, "--where", "age > 0", "-o", tmp_path / "a.csv")
    assert (again.code, "no class" in again.err) == (0, False)


def test_strict_judges_nothing_when_a_row_has_no_class(cli: Cli, predicted: Path) -> None:
    """Exit 1; without --labels there is nothing to be strict about."""
    space = ("--labels", "MEL=melanoma,NV=melanocytic-nevus")
    answer = cli("evaluate", predicted, "--target", "demo", *space, "--strict", *FAST)
    assert (answer.code, answer.out) == (1, "")
    assert "rows have no class" in answer.err
    assert cli("evaluate", predicted, "--target", "demo", "--strict", *FAST).code == 2
