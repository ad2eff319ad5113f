"""`dermdata select`."""

import csv
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dermdata as dd
from dermdata.errors import UsageError
from dermdata.manifest.parquet import manifest_metadata, read_manifest, write_manifest
from support.label_tables import manifest, row


def kept(path: Path, *rows: dict) -> Path:
    """A manifest file of these rows."""
    write_manifest(manifest(*rows), path, {"dataset": rows[0]["dataset"]})
    return path


@pytest.fixture
def twins(tmp_path: Path) -> tuple[Path, Path]:
    """Three images that two datasets share, one of them labeled in contradiction."""
    words = {"1": ("akiec", "SCC"), "2": ("akiec", "AK"), "3": ("nv", "MEL")}
    return tuple(  # type: ignore[return-value]
        kept(tmp_path / f"{name}.parquet", *(row(name, n, pair[place], isic_id=f"ISIC_{n}") for n, pair in words.items()))
        for place, name in enumerate(("ham10000", "isic-2019"))
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nosuch"], "unknown dataset 'nosuch'"),
        (["demo", "--where", "agee > 3"], "unknown column 'agee'"),
        (["demo", "--where", "diagnosis under 'melanom'"], "did you mean melanoma"),
        (["demo", "--where", "age >"], "character"),
        (["demo", "--where", "true; drop table images"], "';' is not allowed"),
        (["demo", "--labels", "ham8"], "did you mean ham7"),
        (["demo", "--labels", "melanomma,nevus"], "unknown concept 'melanomma'"),
        (["demo", "--labels", "melanoma,nevus"], "did you mean melanocytic-nevus?"),
        (["demo", "--labels", "mal=melanoma/malignnant"], "unknown malignancy 'malignnant'"),
        (["demo", "--strict"], "--labels"),
        (["demo", "--per-class"], "--sample"),
        (["demo", "--sample", "0"], "0"),
        (["demo", "--refine", "nosuch"], "unknown dataset 'nosuch'"),
        (["demo", "--refine", "ham10000"], "ham10000 is not in the cache"),
        (["demo", "-o", "out.xyz"], "cannot tell the format"),
        (["-"], "stdin"),
    ],
)
@pytest.mark.usefixtures("demo_cache")
def test_wrong_requests_are_said_in_words(cli: Callable, words: list[str], says: str) -> None:
    """Exit 2, one line of what is wrong, nothing on stdout that is no table."""
    answer = cli("select", *words)
    assert answer.code == 2, answer.err
    assert "error: " in answer.err
    assert says in answer.err
    assert "Traceback" not in answer.err


@pytest.fixture
def graded(tmp_path: Path) -> Path:
    """A differential with a heaviest class, a tie, and a row with a diagnosis."""
    tops = {"a": (0.64, 0.36), "b": (0.5, 0.5), "c": (0.2, 0.8)}
    rows = [
        row("scin", name, differential=[{"concept": "melanoma", "weight": one}, {"concept": "blue-nevus", "weight": two}])
        for name, (one, two) in tops.items()
    ]  # fmt: skip
    return kept(tmp_path / "graded.parquet", *rows, row("ham10000", "d", "nv"))


@pytest.mark.parametrize(
    ("choice", "classes"),
    [
        ((), [None, None, None]),
        (("--differential", "all"), [None, None, None]),
        (("--min-weight", "1"), [None, None, None]),
        (("--differential", "top"), ["malignant", None, "benign"]),
        (("--min-weight", "0.7"), [None, None, "benign"]),
        (("--differential", "top", "--min-weight", "0.64"), ["malignant", None, "benign"]),
    ],
)
def test_a_differential_has_its_top_where_it_is_asked_for(
    cli: Callable, graded: Path, tmp_path: Path, choice: tuple, classes: list
) -> None:
    """Every command that knows --labels says the same; the choice is told and stands in the history."""
    words = ("--labels", "malignancy", *choice)
    usual = classes == [None] * 3
    for name in ("select", "split"):
        answer = cli(name, graded, *words, "-o", tmp_path / f"{name}.parquet")
        assert answer.code == 0, answer.err
        table = read_manifest(tmp_path / f"{name}.parquet")
        found = {one["key"]: one for one in table.to_pylist()}
        assert [found[f"scin/{n}"]["label"] for n in "abc"] == classes
        assert all((one["label"] is None) == (one["label_reason"] is not None) for one in found.values())
        history = json.loads(manifest_metadata(table)["history"])[-1]
        assert ("--differential=" in history or "--min-weight=" in history) != usual
        assert ("the class at the top of their differential" in answer.err) != usual
    out = tmp_path / "out.csv"
    assert cli("export", "csv", graded, *words, "-o", out).code == 0
    lines = {one["key"]: one["label"] or None for one in csv.DictReader(out.read_text().splitlines())}
    assert [lines[f"scin/{n}"] for n in "abc"] == classes
    assert cli("export", "csv", graded, *words, "-o", out, "--dry-run").code == 0
    counted = json.loads(cli("stats", graded, *words, "--by", "label", "--format", "json").out)
    assert sum(one["images"] for one in counted["items"] if one["label"] is None) == classes.count(None)


@pytest.mark.parametrize(
    ("choice", "diagnoses", "history"),
    [
        ((), [None, None, None], None),  # never by itself
        (("--differential", "all"), [None, None, None], None),
        (("--differential", "top"), ["melanoma", None, "blue-nevus"], "--differential=top"),
        (("--differential", "weight>=0.5"), ["melanoma", None, "blue-nevus"], "--min-weight=0.5"),
        (("--differential", "weight >= 0.7"), [None, None, "blue-nevus"], "--min-weight=0.7"),
        (("--min-weight", "0.9"), [None, None, None], "--min-weight=0.9"),
        (
            ("--differential", "top", "--where", "diagnosis under 'melanoma'"),
            ["melanoma"],
            "--differential=top",
        ),
    ],
)
def test_a_differential_becomes_a_diagnosis_where_it_is_asked_for(
    cli: Callable, graded: Path, tmp_path: Path, choice: tuple, diagnoses: list, history: str | None
) -> None:
    """With name, path, malignancy and the match `close`; a tie has none; the choice stands in the history."""
    out = tmp_path / "out.parquet"
    answer = cli("select", graded, *choice, "-o", out)
    assert answer.code == 0, answer.err
    table = read_manifest(out)
    rows = [one for one in table.to_pylist() if one["dataset"] == "scin"]
    assert [one["diagnosis"] for one in rows] == diagnoses
    for one in rows:
        found = one["diagnosis"]
        assert one["diagnosis_match"] == ("close" if found else None)
        assert one["malignancy"] == {"melanoma": "malignant", "blue-nevus": "benign"}.get(found)
        assert (one["diagnosis_path"] or [None])[-1] == found
        assert one["differential"]
    said = manifest_metadata(table)["history"]
    assert history in said if history else ("--differential=" not in said and "--min-weight=" not in said)
    assert ("the diagnosis at the top of their differential" in answer.err) == bool(history)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("select", "--differential", "most"), "all or top, or 'weight>=W', not 'most'"),
        (("select", "--differential", "weight>=much"), "all or top, or 'weight>=W'"),
        (("select", "--differential", "weight>=1.5"), "above 0 and at most 1"),
        (("select", "--differential", "weight>=0.5", "--min-weight", "0.6"), "different shares"),
        (("stats", "--differential", "top"), "chooses a class of --labels SPACE"),
    ],
)
def test_a_share_that_cannot_be_is_refused(cli: Callable, graded: Path, words: tuple, says: str) -> None:
    command, *options = words
    answer = cli(command, graded, *options)
    assert (answer.code, says in answer.err) == (2, True), answer.err


def test_python_and_evaluate_have_the_same_choice(cli: Callable, graded: Path, tmp_path: Path) -> None:
    """Of three graded rows `top` judges two; the report's command line has the choice."""
    predicted, report = tmp_path / "predicted.csv", tmp_path / "report.html"
    predicted.write_text("image_id,diagnosis\na,malignant\nb,benign\nc,benign\nd,benign\n")
    truth = dd.load(graded)
    top = truth.with_labels("malignancy", differential="top")
    assert top.history[-1].endswith("--labels=malignancy --differential=top")
    assert top.stats(["label"], labels="malignancy", min_weight=0.7) == truth.stats(
        ["label"], labels="malignancy", min_weight=0.7
    )
    for choice, judged in (({}, 1), ({"differential": "top"}, 3), ({"min_weight": 0.7}, 2)):
        found = dd.evaluate(predicted, truth, labels="malignancy", bootstrap=0, report=report, **choice)
        assert {one["n"] for one in found if one["metric"] == "accuracy"} == {judged}
        assert all(
            f"--{name.replace('_', '-')}={value}" in report.read_text() for name, value in choice.items()
        )
        plan = truth.plan_export("csv", tmp_path / "x.csv", labels="malignancy", **choice)
        assert plan[0]["rows"] == 4
    words = ("--labels", "malignancy", "--differential", "top", "--bootstrap", "0", "--format", "json")
    answer = cli("evaluate", predicted, "--target", graded, *words)
    assert {one["n"] for one in json.loads(answer.out)["items"] if one["metric"] == "accuracy"} == {3}
    with pytest.raises(UsageError, match="chooses a class of --labels"):
        truth.plan_export("csv", tmp_path / "x.csv", differential="top")
    with pytest.raises(UsageError, match="all or top"):
        truth.with_labels("ham7", differential="most")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        (("--differential", "top"), "--differential chooses a class of --labels SPACE"),
        (("--min-weight", "0.5"), "--min-weight chooses a class of --labels SPACE"),
        (("--labels", "ham7", "--min-weight", "0"), "above 0 and at most 1, not 0"),
        (("--labels", "ham7", "--min-weight", "-1"), "above 0 and at most 1, not -1"),
        (("--labels", "ham7", "--min-weight", "1.01"), "above 0 and at most 1, not 1.01"),
        (("--labels", "ham7", "--min-weight", "nan"), "above 0 and at most 1, not nan"),
        (("--labels", "ham7", "--differential", "all", "--min-weight", "0.5"), "exclude each other"),
        (("--labels", "ham7", "--differential", "most"), "most"),
    ],
)
def test_a_choice_that_cannot_be_is_refused_by_every_command(
    cli: Callable, graded: Path, tmp_path: Path, choice: tuple, says: str
) -> None:
    """Exit 2, and nothing is written."""
    predicted = tmp_path / "predicted.csv"
    predicted.write_text("image_id,diagnosis\nd,NV\n")
    out = tmp_path / "out.csv"
    for words in (
        ("select", graded, "-o", out),
        ("split", graded, "-o", out),
        ("export", "csv", graded, "-o", out),
        ("export", "csv", graded, "-o", out, "--dry-run"),
        ("stats", graded),
        ("evaluate", predicted, "--target", graded),
    ):
        if words[0] == "select" and "--labels" not in choice:
            continue  # without classes it gives diagnoses
        answer = cli(*words, *choice)
        assert answer.code == 2, (words, answer.err)
        assert says in answer.err
        assert not out.exists()
    assert cli("split", graded, "--check", "--differential", "top").code == 2


def test_strict_writes_nothing_where_a_row_has_no_class(cli: Callable, twins: tuple, tmp_path: Path) -> None:
    """Exit 1, and what could not be expressed is counted by word; without it the rows are there with a reason."""
    words = ["select", twins[0], "--labels", "isic8", "-o", tmp_path / "out.parquet"]
    answer = cli(*words, "--strict")
    assert answer.code == 1
    assert not (tmp_path / "out.parquet").exists()
    assert "2 ham10000 akiec: a lump: AK or SCC" in answer.err
    assert cli(*words).code == 0
    rows = pq.ParquetFile(tmp_path / "out.parquet").read().to_pylist()
    assert [(one["label"], one["label_reason"]) for one in rows] == [
        (None, "a lump: AK or SCC"), (None, "a lump: AK or SCC"), ("NV", None),
    ]  # fmt: skip


def test_refining_settles_what_strict_refuses_and_tells_contradictions(
    cli: Callable, twins: tuple, tmp_path: Path
) -> None:
    """AK and SCC by ISIC 2019's word; nevus or melanoma is not for us to say."""
    words = ["select", twins[0], "--refine", twins[1], "--labels", "isic8", "--strict"]
    answer = cli(*words, "--show", "conflicts", "-f", "json", "-o", tmp_path / "out.jsonl")
    assert answer.code == 0, answer.err
    document = json.loads(answer.out)
    assert document["schema"] == "dermdata.select/1"
    assert {name: document[name] for name in ("images", "dropped", "conflicts", "unexpressed")} == {
        "images": 3, "dropped": 0, "conflicts": 1, "unexpressed": 0,
    }  # fmt: skip
    assert document["items"][0]["code"] == "label-conflict"
    assert document["items"][0]["keys"] == ["ham10000/3", "isic-2019/3"]
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(one["label"], one["refined_from"]) for one in rows] == [
        ("SCC", "isic-2019/1"), ("AK", "isic-2019/2"), ("NV", None),
    ]  # fmt: skip


def test_doubles_are_folded_and_listed_with_their_reason(cli: Callable, twins: tuple) -> None:
    """Every row that is gone is named."""
    answer = cli("select", *twins, "--dedupe", "id", "--show", "dropped", "-f", "csv")
    assert answer.out.splitlines() == [
        "key,kept,reason",
        "ham10000/1,isic-2019/1,coarser label",
        "ham10000/2,isic-2019/2,coarser label",
        "isic-2019/3,ham10000/3,name order",
    ]
    assert "3 rows are folded into others" in answer.err


def test_the_summary_names_each_dataset_also_one_that_nothing_is_left_of(cli: Callable, twins: tuple) -> None:
    """Given and selected; without -o nothing is written, and it says so."""
    answer = cli("select", *twins, "--where", "dataset = 'ham10000'", "--format", "tsv")
    assert answer.out.splitlines() == [
        "dataset\tgiven\timages\tpatients\tlesions", "ham10000\t3\t3\t\t", "isic-2019\t3\t0\t\t",
    ]  # fmt: skip
    assert "nothing written; add -o FILE" in answer.err


@pytest.fixture
def filed(tmp_path: Path) -> Path:
    """Images of two cases, and one of none."""
    table = tmp_path / "filed.csv"
    table.write_text("dataset,image_id,case_id\na,1,c1\na,2,c1\na,3,c2\na,4,\nb,1,\n", encoding="utf-8")
    return table


def test_the_summary_counts_cases_where_rows_are_filed_by_case(cli: Callable, filed: Path) -> None:
    """A dataset without any has none beside it, not 0: nobody counted."""
    answer = cli("select", filed, "--format", "tsv")
    assert answer.out.splitlines() == [
        "dataset\tgiven\timages\tpatients\tlesions\tcases", "a\t4\t4\t\t\t2", "b\t1\t1\t\t\t",
    ]  # fmt: skip


def test_the_summary_counts_the_cases_that_are_left(cli: Callable, filed: Path) -> None:
    answer = cli("select", filed, "--where", "image_id = '1'", "--format", "json")
    assert [item["cases"] for item in json.loads(answer.out)["items"]] == [1, None]


def test_the_summary_has_no_cases_where_no_case_is_left(cli: Callable, filed: Path) -> None:
    answer = cli("select", filed, "--where", "image_id = '4'", "--format", "tsv")
    assert answer.out.splitlines()[0] == "dataset\tgiven\timages\tpatients\tlesions"


def test_names_are_keys_of_the_images(cli: Callable, twins: tuple) -> None:
    """One a line, for xargs."""
    answer = cli("select", *twins, "--where", "diagnosis under 'melanoma'", "--show", "images", "-f", "names")
    assert answer.out == "isic-2019/3\n"


def test_a_dry_run_writes_nothing(cli: Callable, twins: tuple, tmp_path: Path) -> None:
    """It shows what would be."""
    assert cli("select", twins[0], "-o", tmp_path / "out.parquet", "--dry-run").code == 0
    assert not (tmp_path / "out.parquet").exists()


def test_the_history_is_kept_from_command_to_command(cli: Callable, twins: tuple, tmp_path: Path) -> None:
    """Metadata says how the manifest came to be, each column what it is; the same request gives the same bytes."""
    one, two = tmp_path / "one.parquet", tmp_path / "two.parquet"
    cli("select", *twins, "--dedupe", "id", "--where", "age is null", "-o", one)
    cli("select", one, "--sample", "2", "--seed", "7", "-o", two)
    history = json.loads(manifest_metadata(read_manifest(two))["history"])
    assert [shlex.split(line)[0] for line in history] == ["select", "select"]
    assert "--where=age is null" in shlex.split(history[0])
    assert history[1] == f"select {one} --sample=2 --seed=7"
    assert b"folded into this one" in read_manifest(two).schema.field("also_in").metadata[b"description"]
    before = two.read_bytes()
    cli("select", one, "--sample", "2", "--seed", "7", "-o", two)
    assert two.read_bytes() == before


def test_a_manifest_outlives_csv_and_comes_back(cli: Callable, twins: tuple, tmp_path: Path) -> None:
    """Added columns too."""
    assert cli("select", *twins, "--dedupe", "id", "--labels", "ham7", "-o", tmp_path / "out.csv").code == 0
    answer = cli("select", tmp_path / "out.csv", "--where", "label = 'NV'", "--show", "images", "-f", "names")
    assert answer.out == "ham10000/3\n", answer.err


@pytest.mark.usefixtures("demo_cache")
def test_select_split_and_export_run_as_one_shell_line(cli: Callable, tmp_path: Path) -> None:
    """Streams between them, no temporary file; stdout carries nothing else."""
    dermdata = f"{shlex.quote(sys.executable)} -m dermdata --cache {shlex.quote(str(tmp_path / 'cache'))}"
    line = (
        f"set -o pipefail; {dermdata} select demo --where \"age >= 40 and diagnosis under 'neoplastic'\" "
        f"--dedupe exact --labels malignancy -o - | {dermdata} split - --by patient -o - | "
        f"{dermdata} export parquet - -o {shlex.quote(str(tmp_path / 'out'))}"
    )
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr.decode()
    tables = [pq.ParquetFile(path).read() for path in (tmp_path / "out").glob("*.parquet")]
    table = pa.concat_tables(tables)
    assert table.num_rows > 0
    assert min(table["age"].to_pylist()) >= 40
    assert None not in table["split"].to_pylist()
    assert "label" in table.column_names
    assert "select demo" in json.loads(manifest_metadata(tables[0])["history"])[0]


@pytest.mark.usefixtures("demo_cache")
def test_a_reader_that_leaves_early_is_no_fault(cli: Callable, tmp_path: Path) -> None:
    """`| head` ends quietly."""
    dermdata = f"{shlex.quote(sys.executable)} -m dermdata --cache {shlex.quote(str(tmp_path / 'cache'))}"
    line = f"{dermdata} select demo -o - | head -c 10 > /dev/null"
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=False)
    assert b"Traceback" not in done.stderr
    assert b"error" not in done.stderr


def test_contradictions_between_the_targets_are_told_with_both_sources(cli: Callable, twins: tuple) -> None:
    """Without --refine and --dedupe too: one line an image, and rows with --show conflicts."""
    answer = cli("select", *twins, "--show", "conflicts", "-f", "jsonl")
    (found,) = map(json.loads, answer.out.splitlines())
    assert found["keys"] == ["ham10000/3", "isic-2019/3"]
    assert {key: said["label_raw"] for key, said in found["evidence"].items()} == {
        "ham10000/3": "nv", "isic-2019/3": "MEL",
    }  # fmt: skip
    assert "ham10000/3: nv, isic-2019/3: MEL" in answer.err
    refined = cli(
        "select", *twins, "--refine", twins[0], "--refine", twins[1], "--show", "conflicts", "-f", "jsonl"
    )
    assert len(refined.out.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "body"),
    [("mine.txt", "NEVUS = melanocytic-nevus\nmelanoma\n"), ("mine.tsv", "class\tconcept\nNEVUS\tmelanocytic-nevus\n"),
     ("mine.toml", 'classes = {NEVUS = ["melanocytic-nevus"]}\n')],
)  # fmt: skip
def test_a_label_space_may_stand_in_a_file(
    cli: Callable, twins: tuple, tmp_path: Path, name: str, body: str
) -> None:
    """One class a line, a table, TOML; a file that is not there is said to be so."""
    (tmp_path / name).write_text(body, encoding="utf-8")
    words = ["select", twins[0], "--labels", tmp_path / name, "-o", tmp_path / "out.jsonl"]
    assert cli(*words).code == 0
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [one["label"] for one in rows] == [None, None, "NEVUS"]
    answer = cli("select", twins[0], "--labels", "nosuch.txt")
    assert answer.code == 2
    assert "no label space at nosuch.txt" in answer.err


def test_near_duplicates_need_images(cli: Callable) -> None:
    """Metadata alone shows nothing; "no doubles" would mislead."""
    cli("fetch", "demo", "--only", "metadata")
    answer = cli("select", "demo", "--dedupe", "near")
    assert answer.code == 2
    assert "no row has a perceptual hash" in answer.err


@pytest.mark.usefixtures("demo_cache")
def test_near_duplicates_are_folded_by_what_their_images_show(cli: Callable) -> None:
    """The demo's planted copies, with what decided for each."""
    answer = cli("select", "demo", "--dedupe", "near", "--show", "dropped", "-f", "jsonl")
    assert answer.code == 0, answer.err
    assert "3 of 3 pairs of near hashes show one picture" in answer.err
    dropped = [json.loads(line) for line in answer.out.splitlines()]
    assert len(dropped) == 5  # two of them by equal bytes
    assert all(one["kept"] and one["reason"] for one in dropped)
