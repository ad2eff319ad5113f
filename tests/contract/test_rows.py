"""What `fetch` promises: rows of each entry that it can bring, or in words why there are none; never an empty answer."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dermdata.catalogs import open_catalog
from dermdata.catalogs.entries import describe_layout, find_fetch_way

CATALOG = open_catalog()
ENTRY = """name = "ours"
title = "T"
kind = "dataset"
summary = "s"
homepage = "https://host.example/"
{more}
[access]
kind = "open"
evidence = "e"

[[files]]
name = "a.zip"
role = "images"
unpack = "zip"
"""
FOLDERS = """
[[table]]
reader = "folders"
pattern = "images/{image}"
[table.columns]
image_id = "image"
image = "@path"
"""
INFERRED = FOLDERS.replace("images/{image}", "**/{image}").replace("pattern", "inferred = true\npattern")


@pytest.mark.parametrize("way", ["yes", "account"])
def test_what_can_be_fetched_gives_rows_or_says_why_there_are_none(way: str) -> None:
    names = [one for one in CATALOG if CATALOG[one].kind == "dataset" and find_fetch_way(CATALOG[one]) == way]
    silent = {name for name in names if not (CATALOG[name].table or CATALOG[name].no_rows)}
    assert silent == set()


def test_an_inferred_layout_is_of_folders_alone() -> None:
    """Rows by path: whoever knows more writes it, and the word goes away."""
    inferred = [spec for name in CATALOG for spec in CATALOG[name].table if spec.inferred]
    assert inferred
    assert {(spec.reader, "label_raw" in spec.columns) for spec in inferred} == {("folders", False)}


def test_no_entry_has_both_rows_and_a_reason_for_none() -> None:
    both = [name for name in CATALOG if CATALOG[name].no_rows and CATALOG[name].table]
    assert both == []
    assert describe_layout(CATALOG["selfclean-revised"])[0].startswith(
        "selfclean-revised: no rows: lists of file names"
    )


@pytest.mark.parametrize(
    ("more", "table", "members", "code", "told"),
    [
        ("", FOLDERS, {"other/a.jpg": "x"}, 8, "the manifest has no row"),  # the layout is another one
        ("", FOLDERS, {"images/deep/a.jpg": "x"}, 8, "the manifest has no row"),  # … one folder too many
        ("", "", {"images/a.jpg": "x"}, 8, "the entry has no [[table]]"),
        ('no_rows = "texts only"', "", {"read.me": "x"}, 0, "ours: no rows: texts only"),
        ("", INFERRED, {"some/folder/a.jpg": "x"}, 0, "the layout is inferred"),
    ],
)
def test_an_empty_manifest_is_no_success(
    cli: Callable, tmp_path: Path, more: str, table: str, members: dict[str, str], code: int, told: str
) -> None:
    """A warning and exit 0 looked as if all were here; the entry may say that it has no rows."""
    folder = tmp_path / "lab" / "datasets" / "ours"
    folder.mkdir(parents=True)
    (folder / "dataset.toml").write_text(ENTRY.format(more=more) + table)
    (tmp_path / "have").mkdir()
    with zipfile.ZipFile(tmp_path / "have" / "a.zip", "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    answer = cli("--catalog", tmp_path / "lab", "fetch", "ours", "--from", tmp_path / "have")
    assert answer.code == code, answer.err
    assert told in answer.err
    assert ("hint:" in answer.err) == (code == 8)
