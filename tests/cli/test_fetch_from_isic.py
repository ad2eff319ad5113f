"""`fetch NAME --from FOLDER` of what isic-cli downloaded: images, and a metadata.csv of the fields that any image has."""

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

HEAD = "isic_id,attribution,copyright_license,age_approx,{more}diagnosis_confirm_type,image_type,sex"
LEVELS = "anatom_site_1,anatom_site_2,diagnosis_1,diagnosis_2,diagnosis_3,"
MELANOMA = "Trunk,Posterior trunk,Malignant,Malignant melanocytic proliferations (Melanoma),,"
NEVUS = "Trunk,,Benign,Benign melanocytic proliferations,Nevus,"


@pytest.fixture
def download(tmp_path: Path) -> Callable:
    """A folder as isic-cli leaves it: two images and their table, with these columns in the middle."""

    def make(more: str, *lines: str, name: str = "metadata.csv") -> Path:
        folder = tmp_path / "images"
        folder.mkdir()
        text = [HEAD.format(more=more)]
        for number, line in enumerate(lines):
            Image.new("RGB", (20, 16), (number * 60, 90, 50)).save(folder / f"ISIC_900000{number}.jpg")
            text.append(f"ISIC_900000{number},Someone,CC-0,55,{line}histopathology,dermoscopic,male")
        (folder / name).write_text("\n".join(text) + "\n")
        return folder

    return make


def read_rows(out: str) -> list[dict]:
    return pq.ParquetFile(out.strip()).read().to_pylist()


@pytest.mark.parametrize(
    ("more", "lines", "name", "diagnoses", "sites"),
    [
        (LEVELS, [MELANOMA, NEVUS], "metadata.csv", ["melanoma", "melanocytic-nevus"], ["trunk-posterior-trunk", "trunk"]),
        ("diagnosis_1,", ["Benign,", "Malignant,"], "metadata.csv", ["neoplastic", "neoplastic"], [None, None]),
        ("", ["", ""], "metadata.csv", [None, None], [None, None]),  # a collection without any diagnosis
        (LEVELS, [MELANOMA, NEVUS], "prove.csv", ["melanoma", "melanocytic-nevus"], ["trunk-posterior-trunk", "trunk"]),
    ],
)  # fmt: skip
def test_what_isic_cli_downloaded_becomes_rows(
    cli: Callable, download: Callable, more: str, lines: list[str], name: str, diagnoses: list, sites: list
) -> None:
    """Levels are joined as the archive's interface gives them, and a column that no image fills is no fault."""
    answer = cli("--offline", "fetch", "prove-ai", "--from", download(more, *lines, name=name))
    assert answer.code == 0, answer.err
    rows = read_rows(answer.out)
    assert [one["diagnosis"] for one in rows] == diagnoses
    assert [one["body_site"] for one in rows] == sites
    assert [(one["isic_id"], one["age"], one["license"]) for one in rows] == [
        (f"ISIC_900000{number}", 55, "CC0-1.0") for number in range(2)
    ]
    assert all(one["path"] and one["image_problem"] is None for one in rows)
    assert cli("--offline", "verify", "prove-ai").code == 0


@pytest.mark.parametrize("text", ["image,dx\nISIC_9000000,nevus\n", ""])
def test_a_table_without_the_ids_is_none(cli: Callable, download: Callable, text: str) -> None:
    """Pictures alone, or with a table of somebody's own, are told to lack the archive's."""
    folder = download(LEVELS, MELANOMA)
    (folder / "metadata.csv").write_text(text)
    answer = cli("--offline", "fetch", "prove-ai", "--from", folder)
    assert answer.code == 6, answer.err
    assert "its table metadata.csv is not among the paths" in answer.err
