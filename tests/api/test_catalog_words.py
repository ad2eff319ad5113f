"""The words that columns are compared with: those of the vocabulary and of every dataset, some hidden."""

import pytest

import dermdata as dd
from dermdata.api.catalog_words import CatalogWords, read_catalog_words

WORDS = CatalogWords(
    concepts=frozenset({"melanoma"}),
    labels={"muttermal": {"a"}, "basaliom": {"a", "b"}, "1": {"a"}, "true": {"a"}, "n": {"b"}},
    body_sites={"back": "trunk"},
    site_words={"a": {"ruecken": "trunk", "arm": "arm"}, "b": {"arm": "leg"}},
)


@pytest.mark.parametrize(
    ("word", "hidden", "is_known"),
    [
        ("Muttermal", (), True),
        ("MELANOMA", ("a", "b"), True),  # of the vocabulary
        ("Muttermal", ("a",), False),
        ("Basaliom", ("a",), True),  # of another dataset as well
        ("Basaliom", ("a", "b"), False),
        ("Hausnummer", (), False),
    ],
)
def test_a_word_is_known_unless_only_hidden_datasets_use_it(
    word: str, hidden: tuple[str, ...], is_known: bool
) -> None:
    assert WORDS.know_diagnosis(word, hidden) == is_known


@pytest.mark.parametrize("word", ["1", "true", "N", "0.0", "", "  "])
def test_codes_of_some_dataset_tell_nothing_of_another(word: str) -> None:
    assert not WORDS.know_diagnosis(word)


def test_sites_are_known_where_the_datasets_agree() -> None:
    assert WORDS.list_sites() == {"back": "trunk", "ruecken": "trunk"}
    assert WORDS.list_sites(["a"]) == {"back": "trunk", "arm": "leg"}


def test_pictures_are_known_by_name_with_or_without_ending() -> None:
    is_image = WORDS.surround(["x/IMG_1.JPG"]).is_image
    assert [is_image(word) for word in ("IMG_1", "img_1.jpg", "y/IMG_1.jpg", "IMG_2")] == [
        True,
        True,
        True,
        False,
    ]


def test_the_words_of_the_whole_catalog(session: dd.Session) -> None:
    """In the bundled one numbers are labels of some dataset: a column of them is no label by that."""
    words = read_catalog_words(session._resources)
    assert {"0.0", "0"} <= set(words.labels)
    assert [words.know_diagnosis(word) for word in ("nv", "BCC", "0.0", "1", "True")] == [
        True,
        True,
        False,
        False,
        False,
    ]
