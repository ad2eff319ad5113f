"""`dermdata info`."""

import json
import re
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


def test_the_short_card_fits_a_screen(cli: Callable) -> None:
    """Of every entry, also of those whose card is 160 lines; the license stands near the top."""
    tall = {}
    for name in cli("list", "--kind", "all", "-f", "names").out.split():
        lines = cli("info", name, "--short").out.splitlines()
        tall[name] = len(lines)
        assert [line for line in lines if len(line) > 80 and max(map(len, line.split())) < 40] == []
        assert f"`dermdata info {name}`" in " ".join(lines)
        assert "License" in lines
    assert {name: lines for name, lines in tall.items() if lines > 40} == {}


def test_the_short_card_says_what_one_needs_first(cli: Callable) -> None:
    out = cli("info", "ham10000", "--short").out
    for words in ("CC-BY-NC-4.0", "commercial use: no", "10,015 images", "`dermdata fetch ham10000` downloads it",
                  "nv 6,705", "known problem", " files, "):  # fmt: skip
        assert words in out
    assert "md5:" not in out


def test_the_short_card_counts_one_as_one(cli: Callable) -> None:
    names = cli("list", "--kind", "all", "-f", "names").out.split()
    shown = "\n".join(cli("info", name, "--short").out for name in names)
    assert re.search(r"\b1 (files|known problems|overlaps)\b", shown) is None
    assert "1 file, " in shown


@pytest.mark.parametrize("other", [["--facts"], ["-f", "json"], ["-f", "bibtex"]])
def test_a_short_card_is_no_other_one(cli: Callable, other: list[str]) -> None:
    answer = cli("info", "ham10000", "--short", *other)
    assert (answer.code, answer.out) == (2, "")


def test_headings_are_bold_where_colors_are_wanted(cli: Callable) -> None:
    """A terminal, or --color always; in a pipe the card is plain."""
    bold = re.findall(r"\x1b\[1m(.*)\x1b\[0m", cli("--color", "always", "info", "scin").out)
    assert bold[0].endswith("(scin)") or "SCIN" in bold[0]
    assert {"License", "Files", "Labels", "Known problems"} <= set(bold)
    assert any(line.startswith("Access: ") for line in bold)
    assert not any(line.startswith(("home", " ")) for line in bold)
    assert "\x1b" not in cli("info", "scin").out
    assert "\x1b" not in cli("--color", "never", "info", "scin").out
