"""`dermdata info`."""

import json
from collections.abc import Callable

import pytest

from dermdata.catalogs import open_catalog

KEYS = {
    "name", "title", "kind", "summary", "version", "homepage", "modalities", "tasks", "counts", "license",
    "access", "citation", "files", "labels", "notes", "overlaps", "cached",
}  # fmt: skip


def test_the_card_says_what_one_must_know(cli: Callable) -> None:
    """License and what it allows, files with sizes and checksums, labels and what they map to, problems."""
    out = cli("info", "ham10000").out
    for words in ("CC-BY-NC-4.0", "commercial use: no", "1.4 GB", "md5:4639bfa73ab251610530a97c898e6e46",
                  "akiec", "squamous-neoplasia", "split by lesion", "10.1038/sdata.2018.161"):  # fmt: skip
        assert words in out


@pytest.mark.parametrize("name", list(open_catalog()))
def test_every_card_fits_80_columns(cli: Callable, name: str) -> None:
    """Only an unbreakable word (an address, a checksum, a file's name) may stick out."""
    answer = cli("info", name, "--facts")
    assert answer.code == 0
    long = [line for line in answer.out.splitlines() if len(line) > 80 and max(map(len, line.split())) < 40]
    assert long == []


def test_json_is_the_entry_as_one_object(cli: Callable) -> None:
    """The promised keys, labels with counts, on one line in a pipe."""
    out = cli("info", "pad-ufes-20", "--format", "json").out
    assert out.count("\n") == 1
    (item,) = json.loads(out)["items"]
    assert set(item) >= KEYS
    assert {label["raw_label"]: label["count"] for label in item["labels"]}["BCC"] == 845


def test_cards_fit_80_columns(cli: Callable) -> None:
    """All but addresses, which must stay whole to be copied."""
    cli("list")
    wide = {}
    for name in cli("list", "--kind", "all", "-f", "names").out.split():
        lines = cli("info", name).out.splitlines()
        wide[name] = [line for line in lines if len(line) > 80 and "://" not in line]
        assert "about about" not in "\n".join(lines)
    assert {name: lines for name, lines in wide.items() if lines} == {}


def test_bibtex_alone(cli: Callable) -> None:
    """Ready for a .bib file."""
    assert cli("info", "ham10000", "--format", "bibtex").out.startswith("@article{tschandl2018ham10000,")


def test_facts_say_where_they_come_from(cli: Callable) -> None:
    """--facts adds the provenance."""
    assert "Where the facts come from" not in cli("info", "ham10000").out
    assert "computed from" in cli("info", "ham10000", "--facts").out
