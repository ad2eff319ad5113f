"""`dermdata cite`: whom to name for exactly the rows used, and what may be done with them."""

import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


def manifest(path: Path, **columns: list[object]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Three images of HAM10000, one of PAD-UFES-20 that stands for a second HAM10000 image too."""
    return manifest(
        tmp_path / "mixed.parquet",
        dataset=["ham10000", "ham10000", "pad-ufes-20"],
        key=["ham10000/a", "ham10000/b", "pad-ufes-20/c"],
        license=["CC-BY-NC-4.0", None, "CC-BY-4.0"],
        also_in=pa.array([None, None, ["ham10000/z"]], pa.list_(pa.string())),
        sex=["female", None, "male"],
        age=[50.0, 60.0, float("nan")],
        fitzpatrick=pa.array([None, None, 2], pa.int8()),
        diagnosis=["melanoma", "melanocytic-nevus", "a|b"],
    )


def test_ham10000_and_pad_ufes_20_are_non_commercial_and_name_both_papers(cli, mixed: Path) -> None:
    """A folded row credits the dataset that it stands for."""
    document = json.loads(cli("cite", mixed, "-f", "json").out)
    assert {one["dataset"]: one["rows"] for one in document["items"]} == {"ham10000": 3, "pad-ufes-20": 1}
    assert set(document["items"][0]) == {"dataset", "rows", "license", "doi", "bibtex", "attribution"}
    assert document["effective_license"]["id"] == "CC-BY-NC-4.0"
    assert document["effective_license"]["commercial_use"] is False
    text = cli("cite", mixed).out
    assert "commercial use      no" in text
    assert "10.1038/sdata.2018.161" in text
    assert "10.1016/j.dib.2020.106221" in text
    assert cli("cite", mixed, "-f", "bibtex").out.count("@article{") == 2


def test_licenses_and_attributions_of_single_images_are_told_apart(cli, tmp_path: Path) -> None:
    """The ISIC Archive states both per image; a row without a license makes the mix unknown."""
    path = manifest(
        tmp_path / "archive.parquet",
        dataset=["isic-archive"] * 4,
        license=["CC0-1.0", "CC-BY-4.0", "CC-BY-4.0", None],
        attribution=["Anonymous", "MSKCC", "Hospital X", None],
    )
    document = json.loads(cli("cite", path, "-f", "json").out)
    found = {one["license"]: (one["rows"], one["attribution"]) for one in document["items"]}
    assert found["CC-BY-4.0"] == (2, "Hospital X; MSKCC")
    assert found["CC0-1.0"] == (1, "Anonymous")
    assert document["effective_license"]["commercial_use"] is None
    assert document["effective_license"]["id"] is None


def test_an_entry_is_made_of_what_the_catalog_knows(cli, tmp_path: Path) -> None:
    """Title, year, preprint and DOI in fields of their own; that authors lack is told, and none is made up."""
    path = manifest(tmp_path / "own.parquet", dataset=["dermacon-in"], key=["dermacon-in/1"])
    answer = cli("cite", path, "-f", "bibtex")
    assert answer.out.splitlines()[:5] == [
        "@misc{dermacon-in,",
        "  title = {{DermaCon-IN}},",
        "  doi  = {10.7910/DVN/W7OUZM},",
        "  eprint = {2506.06099},",
        "  archiveprefix = {arXiv},",
    ]
    assert "warning: the catalog knows no authors of dermacon-in" in answer.err
    assert cli("info", "dermacon-in", "-f", "bibtex").out.split() == answer.out.split()


@pytest.mark.parametrize(
    ("dataset", "gaps"),
    [
        ("fitzpatrick17k", None),
        ("ham10000", None),
        ("isic-2019", None),
        ("puma", "no authors"),
        ("ddi", None),
    ],
)
def test_what_a_journal_asks_for_and_an_entry_lacks_is_told(cli, dataset: str, gaps: str | None) -> None:
    answer = cli("info", dataset, "-f", "bibtex")
    assert (answer.code, "@" in answer.out) == (0, True)
    assert (f"knows {gaps} of {dataset}" in answer.err) == (gaps is not None), answer.err
    assert cli("--quiet", "info", dataset, "-f", "bibtex").err == ""


def test_without_any_citation_there_is_no_entry(cli) -> None:
    answer = cli("info", "acnescu", "-f", "bibtex")
    assert (answer.code, "acnescu has no BibTeX entry" in answer.err) == (2, True)


def test_a_dataset_that_no_catalog_knows_is_said(cli, tmp_path: Path) -> None:
    path = manifest(tmp_path / "own.parquet", dataset=["clinic"], key=["clinic/1"])
    answer = cli("cite", path)
    assert (answer.code, "no catalog knows clinic" in answer.err) == (0, True)


def test_rows_without_a_dataset_are_refused(cli, tmp_path: Path) -> None:
    """Silence would leave somebody out."""
    path = manifest(tmp_path / "own.parquet", dataset=pa.array([None, "demo"], pa.string()))
    answer = cli("cite", path)
    assert (answer.code, "1 row does not say which dataset" in answer.err) == (2, True)


def test_table_1_counts_every_row_and_says_what_is_not_stated(cli, mixed: Path) -> None:
    """The cells of a heading add up to the images of the column."""
    [head, *lines] = csv.reader(io.StringIO(cli("cite", mixed, "--table1", "-f", "csv").out))
    assert head == ["group", "value", "ham10000", "pad-ufes-20", "Total"]
    cells = {(group, value): rest for group, value, *rest in lines}
    assert cells["", "Images"] == ["2", "1", "3"]
    assert cells["Sex", "not stated"] == ["1 (50.0%)", "0 (0.0%)", "1 (33.3%)"]
    assert cells["", "Age in years, median (quartiles)"] == ["55 (52.5–57.5)", "–", "55 (52.5–57.5)"]
    for heading in ("Sex", "Fitzpatrick skin type", "Diagnosis"):
        counts = [int(rest[-1].split()[0]) for (group, _), rest in cells.items() if group == heading]
        assert sum(counts) == 3


def test_table_1_is_safe_in_markdown_and_latex(cli, mixed: Path) -> None:
    """A label with a pipe or a percent sign does not break the table."""
    assert "a\\|b" in cli("cite", mixed, "--table1").out
    latex = cli("cite", mixed, "--table1", "-f", "latex").out
    assert "50.0\\%" in latex
    assert latex.count("\\begin{tabular}") == latex.count("\\end{tabular}") == 1


def test_table_1_spreads_any_column(cli, mixed: Path) -> None:
    assert cli("cite", mixed, "--table1", "--by", "sex", "-f", "csv").out.startswith(
        "group,value,female,male,not stated,Total"
    )
    assert "did you mean" in cli("cite", mixed, "--table1", "--by", "sx").err


def test_a_format_of_the_other_table_is_refused_with_those_there_are(cli, mixed: Path) -> None:
    answer = cli("cite", mixed, "-f", "latex")
    assert (answer.code, "without --table1" in answer.err) == (2, True)


def test_an_age_that_is_no_number_of_years_is_not_stated(cli, tmp_path: Path) -> None:
    """Endless, not a number and null: three of four images; the fourth is the median."""
    ages = [float("inf"), None, float("nan"), 40.0]
    path = manifest(tmp_path / "ages.parquet", dataset=["demo"] * 4, age=ages)
    lines = cli("cite", path, "--table1", "-f", "csv").out.splitlines()
    assert [line for line in lines if "Age" in line] == [
        ',"Age in years, median (quartiles)",40', ",Age not stated,3 (75.0%)"
    ]  # fmt: skip
