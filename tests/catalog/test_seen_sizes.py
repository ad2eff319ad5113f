"""Sizes that hosts told once: `list` and a plan use them where no source states one."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

ENTRY = """name = "{name}"
title = "T"
kind = "dataset"
summary = "s"
homepage = "https://host.example/"
{listing}
[access]
kind = "open"
evidence = "e"

[[table]]
reader = "folders"
pattern = "**/{{image}}"

[table.columns]
image_id = "@path"
image = "@path"
"""
FILE = '\n[[files]]\nname = "{name}"\nrole = "images"\nurls = ["https://host.example/{name}"]\nunpack = "zip"\n{more}'


@pytest.fixture
def overlay(tmp_path: Path) -> Callable:
    """A catalog with one entry of these files, and what was seen of it."""

    def make(files: dict[str, str], seen: dict[str, int], listing: str = "") -> list[str]:
        folder = tmp_path / "lab" / "datasets" / "ours"
        folder.mkdir(parents=True)
        text = ENTRY.format(name="ours", listing=f'listing = "{listing}"\n' if listing else "")
        text += "".join(FILE.format(name=name, more=more) for name, more in files.items())
        (folder / "dataset.toml").write_text(text)
        known = {name: {"seen": "2026-11-30", "size": size} for name, size in seen.items()}
        health = {"schema": "dermdata.health/1", "entries": {"ours": known}}
        (tmp_path / "lab" / "health.json").write_text(json.dumps(health))
        return ["--catalog", str(tmp_path / "lab"), "--offline"]

    return make


@pytest.mark.parametrize(
    ("files", "seen", "listing", "size"),
    [
        ({"a.zip": ""}, {}, "", None),  # nobody told
        ({"a.zip": ""}, {"a.zip": 700}, "", 700),
        ({"a.zip": "size = 5"}, {"a.zip": 700}, "", 5),  # the publisher's word counts
        ({"a.zip": 'rough_size = 600\nsize_text = "600 B"'}, {"a.zip": 700}, "", 600),
        ({"a.zip": "", "b.zip": "size = 5"}, {"a.zip": 700}, "", 705),
        ({"a.zip": "", "b.zip": ""}, {"a.zip": 700}, "", None),  # of one file it is not known
        ({}, {"zenodo:1": 900}, "zenodo:1", 900),
        ({"a.zip": "size = 5"}, {"zenodo:1": 900}, "zenodo:1", 905),
        ({"a.zip": "size = 5"}, {"a.zip": 5}, "zenodo:1", None),  # what the listing adds was not seen
    ],
)
def test_the_list_has_the_size_that_is_stated_or_seen(
    cli: Callable, overlay: Callable, files: dict, seen: dict, listing: str, size: int | None
) -> None:
    options = overlay(files, seen, listing)
    items = json.loads(cli(*options, "list", "--search", "ours", "-f", "json").out)["items"]
    assert {one["name"]: one["size_bytes"] for one in items}["ours"] == size


def test_a_plan_has_the_size_that_was_seen(cli: Callable, overlay: Callable) -> None:
    options = overlay({"a.zip": "", "b.zip": ""}, {"a.zip": 700})
    answer = cli(*options, "fetch", "ours", "--dry-run", "-f", "json")
    items = json.loads(answer.out)["items"]
    assert {one["file"]: one["size_bytes"] for one in items if one["step"] == "download"} == {
        "a.zip": 700,
        "b.zip": None,
    }
