"""The BibTeX of every entry: a parser takes it, keys are its own, and what biblatex's data model demands is there."""

import pytest
from pybtex.database import BibliographyData, parse_string

from dermdata.catalogs import open_catalog
from dermdata.catalogs.entries import bibtex_gaps, make_bibtex

# mandatory fields of blx-dm.def, which `biber --tool --validate-datamodel` checks; `@misc` and `@dataset` need an author too
MANDATORY = {
    "article": {"title", "journal", "year"},
    "inproceedings": {"title", "booktitle", "year"},
    "misc": {"title", "year"},
    "dataset": {"title", "year"},
    "techreport": {"title", "institution", "year"},
}


@pytest.fixture(scope="module")
def entries() -> dict[str, str]:
    """The BibTeX of each dataset that can be cited, by name."""
    catalog = open_catalog()
    found = {name: make_bibtex(catalog[name]) for name in catalog}
    return {name: text for name, text in found.items() if text}


def test_a_parser_takes_every_entry(entries: dict[str, str]) -> None:
    assert len(entries) > 80
    for name, text in entries.items():
        parsed: BibliographyData = parse_string(text, "bibtex")
        assert len(parsed.entries) == 1, name
        for person in (one for entry in parsed.entries.values() for one in entry.persons.get("author", ())):
            assert person.last_names, name


def test_one_key_is_one_work(entries: dict[str, str]) -> None:
    """Two datasets of one paper have the same entry; nothing else has the same key, whatever the letter case."""
    works: dict[str, set[str]] = {}
    for text in entries.values():
        (key,) = parse_string(text, "bibtex").entries
        works.setdefault(key.lower(), set()).add(text)
    assert {key: texts for key, texts in works.items() if len(texts) > 1} == {}


def test_entries_with_authors_have_what_the_data_model_demands(entries: dict[str, str]) -> None:
    complete = [text for text in entries.values() if bibtex_gaps(text) != "no authors"]
    assert len(complete) >= 28
    for text in complete:
        (entry,) = parse_string(text, "bibtex").entries.values()
        assert MANDATORY[entry.type] <= {*entry.fields}, text
        assert entry.persons["author"]


def test_without_authors_a_person_is_told(entries: dict[str, str]) -> None:
    """Nobody is made up: an entry without authors says so, and is no more than `@misc`."""
    bare = [text for text in entries.values() if bibtex_gaps(text) == "no authors"]
    assert bare
    assert all(text.startswith("@misc{") for text in bare)
