"""`dermdata add`: a folder and a table become a dataset in one command; what is not sure is said, not guessed."""

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from conftest import Answer

Cli = Callable[..., Answer]
ROWS = 12
SEXES, SITES, TYPES = ("w", "m"), ("Back", "Face"), ("I", "II", "III", "IV", "V", "VI")


def draw(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 12), (number * 17 % 256, number * 5 % 256, 90)).save(path, quality=95)


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """A German clinic's export: semicolons, ANSI, CR LF, an empty column; twelve pictures of four patients."""
    lines = ["Bild;PatNr;Diagnose;Alter;Geschlecht;Hauttyp;Körperstelle;Bemerkung"]
    for number in range(ROWS):
        draw(tmp_path / "pictures" / f"BILD_{number:03}.JPG", number)
        patient = number // 3
        lines.append(
            f"BILD_{number:03};P{patient};{('Nevus', 'Melanoma', 'Muttermal')[number % 3]};{40 + patient};"
            f"{SEXES[patient % 2]};{TYPES[number % 6]};{SITES[number % 2]};"
        )
    (tmp_path / "visits.csv").write_bytes("\r\n".join([*lines, ""]).encode("cp1252"))
    return tmp_path


def manifest(answer: Answer) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(answer.out.splitlines()[-1]).to_pylist()
    return rows


def entry(root: Path, name: str = "clinic") -> str:
    return (root / "lab" / "datasets" / name / "dataset.toml").read_text(encoding="utf-8")


def test_a_clinic_s_table_in_one_command(cli: Cli, clinic: Path) -> None:
    """No question, the right manifest; the words that nobody knows are named and stay unmapped."""
    lab = ("-o", clinic / "lab")
    added = cli("add", "clinic", clinic / "pictures", "--table", clinic / "visits.csv", *lab)
    assert added.code == 8, added.err  # one word is for the person to decide
    assert "Muttermal (4 rows): not mapped, perhaps melanocytic-nevus" in added.err
    assert "1 word is likely: --force --accept all takes them" in added.err
    assert "2 of 3 label words are mapped" in added.err
    rows = manifest(added)
    assert len(rows) == ROWS
    first = rows[0]
    assert (first["image_id"], first["patient_id"], first["age"], first["sex"]) == (
        "BILD_000",
        "clinic/P0",
        40.0,
        "female",
    )
    assert (first["fitzpatrick"], first["body_site"]) == (1, "trunk-posterior-trunk")
    assert first["diagnosis"] == "melanocytic-nevus"
    assert rows[2]["diagnosis"] is None
    again = cli("--catalog", clinic / "lab", "fetch", "clinic")
    assert "already complete" in again.err
    for accept in ("Muttermal>melanocytic-nevus", "all"):
        words = ("add", "clinic", clinic / "pictures", "--table", clinic / "visits.csv", *lab, "--force")
        decided = cli(*words, "--accept", accept)
        assert decided.code == 0, decided.err
        assert {row["diagnosis"] for row in manifest(decided)} == {"melanocytic-nevus", "melanoma"}


def test_the_entry_says_why_and_the_sources_are_as_before(cli: Cli, clinic: Path) -> None:
    """Facts carry score, evidence and date; what a person says is marked as said."""
    before = {path: path.read_bytes() for path in clinic.rglob("*") if path.is_file()}
    cli(
        "add",
        "clinic",
        clinic / "pictures",
        "--table",
        clinic / "visits.csv",
        "-o",
        clinic / "lab",
        "--patient",
        "PatNr",
    )
    text = entry(clinic)
    assert '"table.columns.patient_id" = "said by the person who added it (' in text
    assert "score 1.00: it is called 'Alter'; 4 of 4 words are ages" in text
    assert 'encoding = "cp1252"' in text
    assert {path: path.read_bytes() for path in before} == before


def test_a_dry_run_writes_nothing(cli: Cli, clinic: Path) -> None:
    """It shows the same guesses, as JSON too."""
    shown = cli(
        "add",
        "clinic",
        clinic / "pictures",
        "--table",
        clinic / "visits.csv",
        "-o",
        clinic / "lab",
        "--dry-run",
        "-f",
        "json",
    )
    assert shown.code == 0, shown.err
    found = {item["field"]: item["column"] for item in json.loads(shown.out)["items"] if item["taken"]}
    assert found["image"] == "Bild"
    assert not (clinic / "lab").exists()
    assert not (clinic / "cache" / "datasets").exists()


def test_folders_that_are_called_like_diagnoses(cli: Cli, tmp_path: Path) -> None:
    """No table: the folder is the label."""
    for number in range(6):
        draw(tmp_path / "own" / ("melanoma", "nevus")[number % 2] / f"{number}.jpg", number)
    added = cli("add", "own", tmp_path / "own", "-o", tmp_path / "lab")
    assert added.code == 0, added.err
    assert sorted(row["diagnosis"] for row in manifest(added)) == ["melanocytic-nevus"] * 3 + ["melanoma"] * 3


@pytest.mark.parametrize(
    ("folders", "labels"),
    [
        (("train/melanoma", "test/melanoma", "train/nevus", "test/nevus"), ["melanocytic-nevus", "melanoma"]),
        (("melanoma/P1", "melanoma/P2", "nevus/P3", "nevus/P4"), ["melanocytic-nevus", "melanoma"]),
        (("images/Melanoma", "images/deeper/Nevus"), ["melanocytic-nevus", "melanoma"]),
        (
            ("melanoma", "nevus", "Hausmittel"),
            ["melanocytic-nevus", "melanoma", None],
        ),  # a word that nobody knows
        (("P1", "P2", "P3"), [None]),
        (("Muster", "Unbekanntes"), [None]),  # classes, perhaps: a question
    ],
)
def test_which_level_of_the_folders_is_the_label(
    cli: Cli, tmp_path: Path, folders: tuple[str, ...], labels: list[str | None]
) -> None:
    """Every picture becomes a row, also where its folder is no known word; split folders are the official split."""
    for number in range(24):
        draw(tmp_path / "own" / folders[number % len(folders)] / f"{number}.jpg", number)
    (tmp_path / "own" / "list.txt").write_text("".join(f"{number}.jpg\n" for number in range(24)))
    added = cli("add", "own", tmp_path / "own", "-o", tmp_path / "lab")
    assert added.code == (8 if "Hausmittel" in folders else 0), added.err
    rows = manifest(added)
    assert len(rows) == 24
    assert {row["diagnosis"] for row in rows} == set(labels)
    assert {row["split_official"] for row in rows} == (
        {"train", "test"} if "train/nevus" in folders else {None}
    )


def test_a_level_of_the_folders_that_the_person_names(cli: Cli, tmp_path: Path) -> None:
    """Patients, or classes of which nobody knows the words; a level that is not there is named."""
    for number in range(12):
        draw(
            tmp_path / "own" / ("Muster", "Unbekanntes")[number % 2] / f"P{number // 3}" / f"{number}.jpg",
            number,
        )
    words = ("add", "own", tmp_path / "own", "-o", tmp_path / "lab")
    refused = cli(*words, "--label", "level_9")
    assert (refused.code, "level_1" in refused.err) == (2, True)
    added = cli(*words, "--label", "level_2", "--patient", "level_1")
    rows = manifest(added)
    assert {(row["label_raw"], row["patient_id"]) for row in rows} >= {
        ("Muster", "own/P0"),
        ("Unbekanntes", "own/P3"),
    }
    assert 'pattern = "**/{label_raw}/{patient_id}/{image}"' in entry(tmp_path, "own")


def test_a_zip_with_its_table_inside(cli: Cli, tmp_path: Path) -> None:
    """One-hot classes; another table that names no picture is not taken."""
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for number in range(4):
            draw(tmp_path / "p.jpg", number)
            archive.write(tmp_path / "p.jpg", f"all/img/im{number}.jpg")
        archive.writestr(
            "all/gt.csv", "image,MEL,NV\n" + "".join(f"im{n},{n % 2}.0,{1 - n % 2}.0\n" for n in range(4))
        )
        archive.writestr("all/other.csv", "a,b\n1,2\n")
    added = cli("add", "own", tmp_path / "all.zip", "-o", tmp_path / "lab")
    assert added.code == 0, added.err
    assert [row["diagnosis"] for row in manifest(added)] == ["melanocytic-nevus", "melanoma"] * 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["Clinic X", "{c}/pictures"], 2, "lower case, digits and hyphens: clinic-x"),
        (["ham10000", "{c}/pictures"], 2, "the catalog has a dataset ham10000 already"),
        (["clinic", "{c}/nothing"], 2, "nothing"),
        (["clinic", "{c}/pictures", "--table", "{c}/visits.csv", "--modality", "clinic"], 2, "did you mean clinical?"),
        (["clinic", "{c}/visits.csv"], 2, "no picture lies in"),
        (["clinic", "{c}/pictures", "--table", "{c}/visits.csv", "--image", "Foto"], 2, "Bild"),
        (["clinic", "{c}/pictures", "--table", "{c}/visits.csv", "--image", ""], 2, "say which column with --image"),
        (["clinic", "{c}/pictures", "--table", "{c}/visits.csv", "--column", "Alter"], 2, "--column FIELD=COLUMN"),
        (["clinic", "{c}/pictures", "--table", "{c}/visits.csv", "--column", "agee=Alter"], 2, "did you mean age"),
        (["clinic", "{c}/pictures", "--table", "{c}/visits.csv", "--accept", "Nevus=nevuss"], 2, "nevus"),
        (["clinic", "{c}/pictures", "--table", "{c}/visits.csv", "--label", "", "--accept", "a=nevus"], 2, "--label COLUMN"),
    ],
)  # fmt: skip
def test_what_cannot_be_added_is_told(cli: Cli, clinic: Path, words: list[str], code: int, said: str) -> None:
    """One error, the next step, and nothing is written."""
    answer = cli("add", *(word.format(c=clinic) for word in words), "-o", clinic / "lab")
    assert (answer.code, said in answer.err) == (code, True), answer.err
    assert not (clinic / "lab").exists()


def test_an_entry_that_is_there_stays(cli: Cli, clinic: Path) -> None:
    """A person may have corrected it."""
    words = ("add", "clinic", clinic / "pictures", "--table", clinic / "visits.csv", "-o", clinic / "lab")
    cli(*words)
    again = cli(*words)
    assert (again.code, "--force writes it anew" in again.err) == (2, True)
    shutil.rmtree(clinic / "cache")
    anew = cli("--catalog", clinic / "lab", "fetch", "clinic")
    assert len(manifest(anew)) == ROWS  # it knows where they are
    shutil.rmtree(clinic / "cache")
    shutil.rmtree(clinic / "pictures")
    lost = cli("--catalog", clinic / "lab", "fetch", "clinic")
    assert lost.code == 6
    assert f"{clinic / 'pictures'}, where it was added from, is not there" in lost.err


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the person's own catalog is, or will be."""
    for module in ("dermdata.api.resources", "dermdata.api.adding"):
        monkeypatch.setattr(f"{module}.default_catalog_folder", lambda: tmp_path / "data" / "catalog")
    return tmp_path / "data" / "catalog"


def test_without_a_catalog_folder_it_goes_to_the_person_s_own(cli: Cli, clinic: Path, own: Path) -> None:
    """Every later command knows it, `list` marks it; --catalog, -o and the environment go before."""
    words = ("add", "clinic", clinic / "pictures", "--table", clinic / "visits.csv")
    assert cli(*words, "--dry-run").code == 0
    assert not own.exists()
    assert cli(*words).code == 8
    assert (own / "datasets" / "clinic" / "labels.tsv").exists()
    listed = json.loads(cli("list", "-f", "json").out)["items"]
    assert [item["name"] for item in listed if item["own"]] == ["clinic"]
    assert "already complete" in cli("fetch", "clinic").err
    assert "unknown dataset 'clinic'" in cli("--catalog", clinic / "pictures", "info", "clinic").err
    import dermdata as dd

    assert len(dd.open_session(cache=clinic / "cache", progress=False).load("clinic")) == ROWS


@pytest.mark.parametrize(("given", "environment", "place"), [
    ("a", "b", "a"), (None, "b", "b"), (None, f"b{os.pathsep}c", "c"), (None, None, "data/catalog"),
])  # fmt: skip
def test_a_catalog_that_is_named_goes_before_the_own(
    tmp_path: Path,
    own: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: str | None,
    environment: str | None,
    place: str,
) -> None:
    """-o, then the last one of the environment, then the person's own."""
    from dermdata.api.adding import choose_catalog
    from dermdata.api.own_data import AddRequest
    from dermdata.api.resources import Resources, settings_from_environment

    monkeypatch.chdir(tmp_path)
    if environment:
        monkeypatch.setenv("DERMDATA_CATALOG", environment)
    request = AddRequest(name="clinic", sources=[], catalog=Path(given) if given else None)
    found = choose_catalog(Resources(settings_from_environment()), request)
    assert found.absolute() == tmp_path / place


def test_a_notebook_does_the_same(clinic: Path) -> None:
    """`session.add` gives the manifest; words without a concept have no diagnosis."""
    import dermdata as dd

    session = dd.open_session(cache=clinic / "cache")
    rows = session.add(
        "clinic", clinic / "pictures", table=clinic / "visits.csv", columns={"patient_id": "PatNr"},
        catalog=clinic / "lab",
    )  # fmt: skip
    assert (len(rows), rows.to_pandas().diagnosis.notna().sum()) == (ROWS, 8)
    assert len(session.load("clinic")) == ROWS


def test_one_folder_of_pictures_has_no_labels(cli: Cli, tmp_path: Path) -> None:
    """Its name is no diagnosis; a broken workbook beside them is refused, not passed over: it may have them."""
    for number in range(3):
        draw(tmp_path / "melanoma" / f"{number}.jpg", number)
    (tmp_path / "melanoma" / "visits.xlsx").write_bytes(b"PK")
    words = ("add", "own", tmp_path / "melanoma", "-o", tmp_path / "lab")
    refused = cli(*words)
    assert (refused.code, refused.out) == (2, "")
    assert "visits.xlsx is not an .xlsx workbook" in refused.err
    (tmp_path / "melanoma" / "visits.xlsx").unlink()
    added = cli(*words)
    assert added.code == 0, added.err
    assert [(row["image_id"], row["diagnosis"]) for row in manifest(added)] == [
        (str(n), None) for n in range(3)
    ]


def test_pictures_of_one_name_in_two_folders_are_two(cli: Cli, tmp_path: Path) -> None:
    """The table names them with their folders."""
    for number, part in enumerate("ab"):
        draw(tmp_path / part / "x.jpg", number)
    (tmp_path / "t.csv").write_text("img,dx\na/x.jpg,nevus\nb/x.jpg,melanoma\n")
    added = cli(
        "add", "own", tmp_path / "a", tmp_path / "b", "--table", tmp_path / "t.csv", "-o", tmp_path / "lab"
    )
    assert added.code == 0, added.err
    assert len({row["sha256"] for row in manifest(added)}) == 2


def test_several_pictures_of_a_row_are_rows_of_their_own(cli: Cli, tmp_path: Path) -> None:
    """A dermoscopic and a clinical one of each lesion: none is left behind."""
    for number in range(4):
        draw(tmp_path / "own" / f"d{number}.jpg", number)
        draw(tmp_path / "own" / f"c{number}.jpg", number + 50)
    lines = [f"L{n},d{n}.jpg,c{n}.jpg,{('nevus', 'melanoma')[n % 2]}" for n in range(4)]
    (tmp_path / "t.csv").write_text("\n".join(["lesion_id,derm,clinic,diagnosis", *lines, ""]))
    added = cli("add", "own", tmp_path / "own", "--table", tmp_path / "t.csv", "-o", tmp_path / "lab")
    assert added.code == 0, added.err
    rows = manifest(added)
    assert len(rows) == 8
    assert len({row["lesion_id"] for row in rows}) == 4
    assert sum(row["diagnosis"] == "melanoma" for row in rows) == 4


def test_what_is_not_read_of_a_table_is_told(cli: Cli, tmp_path: Path) -> None:
    """A broken line, another encoding, words for "not known"."""
    draw(tmp_path / "own" / "a.jpg", 1)
    draw(tmp_path / "own" / "b.jpg", 2)
    (tmp_path / "t.csv").write_bytes(
        "img,dx,Größe\na,nevus,NA\nb,melanoma,2\nc,nevus,1,2,3\n".encode("cp1252")
    )
    added = cli("add", "own", tmp_path / "own", "--table", tmp_path / "t.csv", "-o", tmp_path / "lab")
    for said in ("1 line is no rows of", "taken for not known, in any column: 'NA'", "t.csv"):
        assert said in added.err


@pytest.fixture
def known(clinic: Path) -> Path:
    """The clinic once more: a copy by bytes and one encoded anew of another dataset, a file too few and one too many."""
    import dermdata as dd

    dd.open_session(cache=clinic / "cache", progress=False).fetch("demo")
    demo = next((clinic / "cache").rglob("demo_images"))
    pictures = clinic / "pictures"
    shutil.copy(demo / "DEMO_0001.jpg", pictures / "BILD_000.JPG")
    with Image.open(demo / "DEMO_0002.jpg") as image:
        image.save(pictures / "BILD_001.JPG", quality=60)
    exif = Image.Exif()
    exif[0x013B] = "Dr. Secret"
    exif.get_ifd(0x8825)[2] = (48.0, 1.0, 2.0)
    exif.get_ifd(0x8769)[0xA431] = "SN-4711"
    with Image.open(demo / "DEMO_0003.jpg") as image:
        image.save(pictures / "BILD_002.JPG", exif=exif)
    (pictures / "BILD_003.JPG").unlink()
    draw(pictures / "stray.jpg", 200)
    return clinic


CHECKS = [
    ("rows", None, 12, "12 rows"),
    ("matched", None, 11, "11 rows have a picture"),
    ("row-without-image", None, 1, "1 row names a picture that is not there"),
    ("image-without-row", None, 1, "1 picture is there that no row names"),
    ("patient_id", None, 4, "4 patients, 3 pictures each"),
    ("lesion_id", None, 0, "no lesions are known"),
    ("label-unmapped", "Muttermal", 4, "Muttermal: not mapped"),
    ("label", "Nevus", 4, "Nevus: melanocytic-nevus"),
    ("duplicate-exact", "demo", 1, "1 picture is in demo too, byte by byte"),
    ("duplicate-near", "demo", 2, "2 pictures are in demo too, by their looks"),
    ("exif-private", "place", 1, "1 image carries where it was taken in its EXIF, XMP, IPTC or comments"),
    ("exif-private", "name", 1, "1 image carries a person's name in its EXIF, XMP, IPTC or comments"),
    ("exif-private", "serial number", 1, "1 image carries the device's serial number in its EXIF, XMP, IPTC or comments"),
]  # fmt: skip


def test_what_is_there_is_told_at_once(cli: Cli, known: Path) -> None:
    """Matches both ways, copies of what the cache has, groups, labels, private metadata: as JSON, and on a screen."""
    words = ("add", "clinic", known / "pictures", "--table", known / "visits.csv", "-o", known / "lab")
    told = cli(*words, "-f", "json")
    assert told.code == 8
    document = json.loads(told.out)
    assert document["manifest"].endswith("manifest.parquet")
    found = {(one["check"], one["subject"]): one for one in document["report"]}
    for check, subject, count, detail in CHECKS:
        item = found[check, subject]
        assert (item["count"], item["detail"]) == (count, detail)
    assert found["row-without-image", None]["example"] == "BILD_003"
    assert found["image-without-row", None]["example"].endswith("stray.jpg")
    assert found["duplicate-exact", "demo"]["example"] == "clinic/BILD_000 = demo/DEMO_0001"
    assert found["exif-private", "place"]["example"].endswith("BILD_002.JPG")
    shown = cli(*words, "--force")
    assert (
        "labels: Melanoma: melanoma (4), Nevus: melanocytic-nevus (4), Muttermal: not mapped (4)" in shown.err
    )
    assert "warning: 1 image carries where it was taken" in shown.err
    for secret in ("Dr. Secret", "SN-4711"):
        assert secret not in shown.err + told.err + told.out
    assert len(shown.err[shown.err.index("clinic: 12 rows; 11") :].splitlines()) < 24


def test_a_notebook_gets_the_report_and_the_problem(known: Path) -> None:
    """The rows are there, so nothing is raised: `problem` is what the command ends with."""
    import dermdata as dd

    session = dd.open_session(cache=known / "cache", progress=False)
    rows = session.add("clinic", known / "pictures", table=known / "visits.csv", catalog=known / "lab")
    assert len(rows) == ROWS
    assert str(rows.problem) == "clinic: 1 image is not among the paths, see above"
    assert rows.entry == known / "lab" / "datasets" / "clinic"
    assert {one["check"] for one in rows.report if one["level"] == "warning"} >= {
        "row-without-image",
        "label-unmapped",
    }
    assert [one["column"] for one in rows.guesses if one["field"] == "image"] == ["Bild"]
    assert len(rows.where("sex = 'female'")) == ROWS // 2


def test_another_dataset_that_cannot_be_read_spoils_nothing(cli: Cli, known: Path) -> None:
    """It is named, and what was added is there."""
    next((known / "cache" / "datasets" / "demo").rglob("manifest.parquet")).write_bytes(b"PAR1 no more")
    words = ("add", "clinic", known / "pictures", "--table", known / "visits.csv", "-o", known / "lab")
    told = cli(*words, "-f", "json")
    (item,) = [one for one in json.loads(told.out)["report"] if one["check"] == "duplicate-near"]
    assert item["detail"].startswith("duplicates were not all looked for: ")


def test_a_table_without_a_header_line(cli: Cli, tmp_path: Path) -> None:
    """Its first line is a row: the columns are called by their places, in the entry too, and no row is lost."""
    for number in range(6):
        draw(tmp_path / "pictures" / f"ISIC_{number}.jpg", number)
    lines = [f"ISIC_{number},{('Nevus', 'Melanoma')[number % 2]}" for number in range(6)]
    (tmp_path / "truth.csv").write_text("\n".join(lines), encoding="utf-8")
    answer = cli(
        "add", "bare", tmp_path / "pictures", "--table", tmp_path / "truth.csv", "-o", tmp_path / "lab"
    )
    assert answer.code == 0, answer.err
    assert [(row["image_id"], row["label_raw"]) for row in manifest(answer)][:2] == [
        ("ISIC_0", "Nevus"),
        ("ISIC_1", "Melanoma"),
    ]
    assert 'header = ["column 1", "column 2"]' in entry(tmp_path, "bare")
    assert "it has no name" in entry(tmp_path, "bare")


def test_cells_of_weighted_diagnoses(cli: Cli, tmp_path: Path) -> None:
    """Each word of a cell is one of the labels, and a row has its differential."""
    for number in range(6):
        draw(tmp_path / "pictures" / f"{number}.jpg", number)
    cells = ["\"{'Nevus': 0.75, 'Melanoma': 0.25}\"", "{'Nevus': 1.0}"]
    lines = ["file,opinion", *(f"{number}.jpg,{cells[number % 2]}" for number in range(6))]
    (tmp_path / "cases.csv").write_text("\n".join(lines), encoding="utf-8")
    answer = cli(
        "add", "opinions", tmp_path / "pictures", "--table", tmp_path / "cases.csv", "-o", tmp_path / "lab"
    )
    assert answer.code == 0, answer.err
    first, second, *_ = manifest(answer)
    assert [one["weight"] for one in first["differential"]] == [0.75, 0.25]
    assert second["diagnosis"] == "melanocytic-nevus"
