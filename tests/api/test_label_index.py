"""The compiled words behind `info` and `labels find`: quicker than the files, and never another answer."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dermdata.api.catalog_entries import card_lines
from dermdata.api.label_index import SEARCH, open_index, read_card_rows, read_labels, read_names
from dermdata.api.resources import settings_from_environment
from dermdata.catalogs import Catalog, bundled_folder, open_catalog
from dermdata.cli.state import State
from dermdata.crosswalks import labels_to_text
from dermdata.errors import BadCatalog
from dermdata.model import Label
from dermdata.vocabulary import find_concepts, parse_vocabulary
from dermdata.vocabulary.search import label_names, search_names
from dermdata.vocabulary.terms import name_terms, parse_terms
from support.catalog_folders import entry, put

TEXTS = (
    "bowen",
    "BCC",
    "C43.9",
    "doid:1909",
    "melanomma",
    "scc in situ",
    "akiec",
    "Schuppenflechte",
    "nosuchthing",
)
BROKEN = "field\traw_label\tconcept\n"


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """The bundled catalog at its second start, words and all from the index folder."""
    folder = tmp_path_factory.mktemp("index")
    open_index(open_catalog([], folder))
    return open_catalog([], folder)


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    """A catalog with a whole entry and one whose crosswalk is broken."""
    row = Label(field="dx", raw_label="zzyzx", concept="melanoma", predicate="exactMatch")
    put(tmp_path / "over", "whole", entry("whole"))
    put(tmp_path / "over", "whole", labels_to_text([row]), "labels.tsv")
    put(tmp_path / "over", "torn", entry("torn"))
    put(tmp_path / "over", "torn", BROKEN, "labels.tsv")
    return tmp_path / "over"


def test_every_card_is_the_same_from_the_outline(catalog: Catalog, tmp_path: Path) -> None:
    """What the card reads of an entry's data is what the classes would have said."""
    state = State(settings_from_environment(cache=tmp_path))
    for name in catalog:
        assert list(card_lines(state, catalog.outline(name), facts=True)) == list(
            card_lines(state, catalog[name], facts=True)
        )


def test_every_crosswalk_is_the_same_from_the_index(catalog: Catalog) -> None:
    for name in catalog:
        rows = [(one.raw_label, one.predicate, one.concept) for one in read_labels(catalog, name)]
        assert read_card_rows(catalog, name) == rows


@pytest.mark.parametrize("text", TEXTS)
def test_the_search_finds_the_same_from_the_index(catalog: Catalog, text: str) -> None:
    """By name, word, code, typing error, words from above, and nothing."""
    vocabulary, words = read_names(catalog)
    whole = parse_vocabulary(catalog.vocabulary_file("concepts.tsv").read_text(encoding="utf-8"))
    labels = [label for name in catalog for label in read_labels(catalog, name)]
    terms = parse_terms(catalog.vocabulary_file("terms.tsv").read_text(encoding="utf-8"), whole)
    found = search_names(text, whole, [*label_names(labels), *name_terms(terms)])
    assert search_names(text, vocabulary, words) == found
    if found and text != "Schuppenflechte":
        assert find_concepts(text, whole, labels)[0] == found[0]


def test_a_broken_crosswalk_is_told_and_not_kept(overlay: Path, tmp_path: Path) -> None:
    """On every start; the other entries' cards stay quick."""
    for _ in range(2):
        catalog = open_catalog([overlay], tmp_path / "index")
        assert read_card_rows(catalog, "whole") == [("zzyzx", "exactMatch", "melanoma")]
        with pytest.raises(BadCatalog, match="header"):
            read_card_rows(catalog, "torn")
        with pytest.raises(BadCatalog, match="header"):
            read_names(catalog)
        assert not {"torn", SEARCH} & open_index(catalog).keys()


def test_a_mended_crosswalk_is_seen(overlay: Path, cli: Callable) -> None:
    """The words are compiled again when a file changes, as the catalog is."""
    words = ("--catalog", overlay, "labels", "find", "zzyzx", "--format", "names")
    assert cli(*words).code != 0
    shutil.copy(overlay / "datasets/whole/labels.tsv", overlay / "datasets/torn/labels.tsv")
    assert cli(*words).out == "melanoma\n"


def test_a_changed_vocabulary_is_seen(overlay: Path, cli: Callable) -> None:
    """An overlay's own concepts.tsv is searched as soon as it lies there."""
    (overlay / "datasets/torn/labels.tsv").unlink()
    words = ("--catalog", overlay, "labels", "find", "bowen's own", "--format", "names")
    assert "bowens-own" not in cli(*words).out
    text = (bundled_folder() / "vocabulary/concepts.tsv").read_text(encoding="utf-8")
    row = "bowens-own\tBowen's own\tbowen-disease\tsubtype\tmalignant\t\t\t\t\t\n"
    (overlay / "vocabulary").mkdir()
    (overlay / "vocabulary/concepts.tsv").write_text(text + row, encoding="utf-8")
    assert cli(*words).out.splitlines()[0] == "bowens-own"


def test_an_unknown_entry_has_no_outline(catalog: Catalog) -> None:
    """The same complaint as for the entry itself, near names and all."""
    with pytest.raises(Exception, match="ham1000") as by_outline:
        catalog.outline("ham1000")
    with pytest.raises(Exception, match="ham1000") as by_name:
        catalog["ham1000"]
    assert str(by_outline.value) == str(by_name.value)
