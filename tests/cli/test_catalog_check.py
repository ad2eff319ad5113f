"""`dermdata catalog check DIR`: an entry is looked at before anybody fetches it; each problem has its file and line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import Answer
from dermdata.catalogs import bundled_folder
from dermdata.catalogs.toml_lines import find_line

Cli = Callable[..., Answer]
WHOLE = """name = "clinic"
title = "Clinic"
kind = "dataset"
summary = "Pictures of a clinic."
version = "1"

[counts]
images = 4
labels = { Nevus = 3 }

[license]
id = "CC-BY-4.0"

[access]
kind = "open"
evidence = "its page on 2026-01-02"

[facts]
license = "its page"
counts = "its page"

[[files]]
name = "pictures.zip"
role = "images"
urls = ["https://clinic.example/pictures.zip"]
unpack = "zip"

[[files]]
name = "visits.csv"
role = "metadata"
urls = ["https://clinic.example/visits.csv"]

[[table]]
reader = "table"
file = "visits.csv"

[table.columns]
image_id = "picture"
label_raw = "finding"
sex = "sex"

[table.values.sex]
w = "female"
"""
LABELS = "field\traw_label\tconcept\tpredicate\tmalignancy\tmembers\tnote\n"
LABELS += "finding\tNevus\tmelanocytic-nevus\texactMatch\t\t\t\n"


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """The folder of an entry that is whole."""
    folder = tmp_path / "lab" / "datasets" / "clinic"
    folder.mkdir(parents=True)
    (folder / "dataset.toml").write_text(WHOLE)
    (folder / "labels.tsv").write_text(LABELS)
    return folder


def check(cli: Cli, folder: Path) -> tuple[int, list[dict[str, Any]]]:
    answer = cli("catalog", "check", folder, "-f", "json")
    return answer.code, json.loads(answer.out)["items"]


def test_what_is_whole_has_no_problem(cli: Cli, clinic: Path, tmp_path: Path) -> None:
    """By the catalog's folder, the entry's, its file, and alone in a folder that is no catalog's."""
    alone = shutil.copytree(clinic, tmp_path / "clinic")
    for place in (clinic, clinic.parent.parent, clinic / "dataset.toml", alone):
        assert check(cli, place) == (0, [])
    assert "1 entry: 0 errors, 0 warnings" in cli("catalog", "check", clinic).err


URLS = 'urls = ["https://clinic.example/visits.csv"]'
FAULTS = [
    ('title = "Clinic"', 'titel = "Clinic"', 2, "titel", "unknown key, did you mean title?"),
    ('version = "1"', "version = 1", 5, "version", "must be text, not a whole number"),
    ('s = ["https://clinic.example/v', 's = ["ftp://clinic.example/v', 31, "files[visits.csv].urls", "no http(s) address"),
    ('file = "visits.csv"', 'file = "visit.csv"', 35, "table[0].file", "no [[files]] entry 'visit.csv', did you mean v"),
    ('reader = "table"', 'reader = "tables"', 34, "table[0].reader", "unknown reader 'tables', did you mean table?"),
    ('sex = "sex"', 'sexx = "sex"', 40, "table[0].columns.sexx", "unknown manifest column 'sexx', did you mean sex?"),
    ('w = "female"', 'w = "woman"', 43, "table[0].values.sex.w", "sex cannot be 'woman'"),
    ("[table.values.sex]", "[table.values.six]", 42, "table[0].values.six", "translates words of 'six', which"),
    ('license = "its page"', 'license = " "', 19, "facts.license", "says nothing: a fact has its source"),
    ('[facts]\nlicense = "its page"\ncounts = "its page"\n', "", None, "facts", "is missing: say of each fact"),
    ('evidence = "its page on 2026-01-02"', "", 14, "access.evidence", "is missing: say why"),
    ("Nevus = 3", "Nevus = 3, Melanom = 1", 9, "counts.labels.Melanom", "'Melanom' has no row in labels.tsv"),
    (URLS, 'source = "zenood:77/visits.csv"', 31, "files[visits.csv].source", "unknown source 'zenood'"),
    (URLS, 'source = "zenodo:visits.csv"', 31, "files[visits.csv].source", "not in the form zenodo:"),
    (URLS, 'source = "package:visits.csv"', 31, "files[visits.csv].source", "is not in the catalog"),
    ("[table.columns]", 'constants.monk = "XI"\n[table.columns]', 37, "table[0].constants.monk", "cannot be 'XI'"),
    ("[table.columns]", 'constants.age = "old"\n[table.columns]', 37, "table[0].constants.age", "cannot be 'old'"),
    ('version = "1"', 'listing = "githb:a/b@c"', 5, "listing", "'githb' is no host that lists files"),
    ('summary = "Pictures of a clinic."', "summary = ", 4, None, "is not valid TOML: Invalid value"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "place", "problem"), FAULTS)
def test_a_fault_has_its_line(
    cli: Cli, clinic: Path, old: str, new: str, line: int | None, place: str | None, problem: str
) -> None:
    (clinic / "dataset.toml").write_text(WHOLE.replace(old, new, 1))
    code, rows = check(cli, clinic)
    assert code == 1
    found = [row for row in rows if problem in row["problem"]]
    assert [(row["line"], row["place"], row["level"]) for row in found] == [(line, place, "error")]
    assert found[0]["file"] == str(clinic / "dataset.toml")


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (
            "finding\tMelanom\tmelanomaa\texactMatch\t\t\t",
            "unknown concept 'melanomaa' (did you mean melanoma",
        ),
        ("finding\tMelanom\tmelanoma\texact\t\t\t", "unknown predicate 'exact' of 'Melanom'"),
        ("finding\tNevus\tnevus\texactMatch\t\t\t", "'Nevus' of finding stands there already"),
        (
            "finding\tLump\tmelanoma\tbroadMatch\t\tpsoriasis\t",
            "member 'psoriasis' does not lie under 'melanoma'",
        ),
    ],
)
def test_a_row_of_the_labels_has_its_line(cli: Cli, clinic: Path, row: str, problem: str) -> None:
    (clinic / "labels.tsv").write_text(f"{LABELS}{row}\n")
    code, (found,) = check(cli, clinic.parent.parent)
    assert (code, found["line"], problem in found["problem"]) == (1, 3, True), found
    assert found["file"].endswith("labels.tsv")


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('[license]\nid = "CC-BY-4.0"\n', "", "license"),
        ('id = "CC-BY-4.0"', 'id = "House rules"', "license.id"),
        ('counts = "its page"\n', "", "counts.images"),
        (WHOLE[WHOLE.index("[[table]]") :], "", "files"),
    ],
)
def test_what_others_should_know_is_a_warning(cli: Cli, clinic: Path, old: str, new: str, place: str) -> None:
    """It is told, and is no error."""
    (clinic / "dataset.toml").write_text(WHOLE.replace(old, new, 1))
    code, rows = check(cli, clinic)
    assert (code, {row["level"] for row in rows}) == (0, {"warning"})
    assert place in {row["place"] for row in rows}


def test_every_entry_of_this_project_is_without_error(cli: Cli) -> None:
    code, rows = check(cli, bundled_folder())
    assert (code, [row for row in rows if row["level"] == "error"]) == (0, [])


@pytest.mark.parametrize("place", ["nothing", "empty"])
def test_a_folder_without_an_entry_is_told(cli: Cli, tmp_path: Path, place: str) -> None:
    (tmp_path / "empty").mkdir()
    answer = cli("catalog", "check", tmp_path / place)
    assert (answer.code, "no entry lies in" in answer.err) == (2, True)


def test_a_line_is_found_through_lists_names_and_quotes() -> None:
    """Items go by number or name; what is not there leads to the table that should hold it."""
    text = '[[copies]]\nname = "a"\n[[copies.table]]\nreader = "x"\n[[copies]]\nname = "b.c"\n'
    text += '[[copies.table]]\n"columns".age = "y"\n'
    assert find_line(text, "copies[a].table[0].reader") == 4
    assert find_line(text, "copies[b.c].table[0].columns.age") == 8
    assert find_line(text, "copies[1].table[0].file") == 7
    assert find_line(text, "title") is None


def test_tables_that_are_here_are_looked_at_too(cli: Cli, tmp_path: Path) -> None:
    """A column that the fetched table has not, and words of it that have no row."""
    from PIL import Image

    (tmp_path / "own").mkdir()
    Image.new("RGB", (9, 8), (200, 31, 90)).save(tmp_path / "own" / "a.png")
    (tmp_path / "own" / "t.csv").write_text("picture,dx\na,Muttermal\n")
    cli("add", "clinic", tmp_path / "own", "-o", tmp_path / "lab", "--label", "dx")
    entry = tmp_path / "lab" / "datasets" / "clinic" / "dataset.toml"
    code, rows = check(cli, tmp_path / "lab")
    assert (code, [row["problem"] for row in rows if row["file"].endswith("labels.tsv")]) == (
        0, ["dx: Muttermal (1 row) has no row: it stays open"],
    )  # fmt: skip
    entry.write_text(entry.read_text().replace('label_raw = "dx"', 'label_raw = "finding"'))
    code, rows = check(cli, tmp_path / "lab")
    assert code == 1
    assert any("'finding'" in row["problem"] for row in rows), rows


def test_a_notebook_gets_the_same(clinic: Path) -> None:
    import dermdata as dd

    (clinic / "dataset.toml").write_text(WHOLE.replace('sex = "sex"', 'sexx = "sex"'))
    found = dd.open_session(cache=clinic / "cache", progress=False).check_catalog(clinic)
    assert found.facts == {"entries": 1, "errors": 2, "warnings": 0}
    assert found.to_pandas()["line"].tolist() == [40, 42]
