"""A person's own label space, from a file."""

import pytest

from dermdata.errors import BadTable, DermdataError, UsageError
from dermdata.vocabulary import LabelSpace, project_label
from dermdata.vocabulary.spaces import parse_space_file
from support.bundled_labels import label, text, vocabulary

LINES = "# mine\n\nmelanoma\nPIGMENTED = melanocytic-nevus + lentigo  # two of them\n"
TABLE = "class\tconcept\nmelanoma\tmelanoma\nPIGMENTED\tmelanocytic-nevus\nPIGMENTED\tlentigo\n"
TOML = 'classes = {melanoma = ["melanoma"], PIGMENTED = ["melanocytic-nevus", "lentigo"]}\n'
NAMED = '[mine]\ntitle = "Mine"\n[mine.classes]\nmelanoma = ["melanoma"]\nPIGMENTED = ["melanocytic-nevus", "lentigo"]\n'


def space(body: str, name: str) -> LabelSpace:
    return parse_space_file(body, name, vocabulary())


@pytest.mark.parametrize(
    ("body", "name", "issue"),
    [
        ("melanomma\n", "a.txt", r"unknown concept 'melanomma' \(did you mean melanoma"),
        ("nevus\n", "a.txt", r"unknown concept 'nevus' \(did you mean melanocytic-nevus\?\)"),
        ("melanoma\nmelanoma\n", "a.txt", "line 2: the class 'melanoma' stands there already"),
        ("a = melanoma\nb = melanoma\n", "a.txt", "'melanoma' belongs to a already"),
        ("a =\n", "a.txt", "unknown concept ''"),
        ("# nothing\n", "a.txt", "names no class"),
        ("", "a.toml", "a space is a table with `classes`"),
        ("concept\tclass\n", "a.tsv", "the header must be class concept"),
        ("class\tconcept\nx\t\n", "a.tsv", "line 2: a row needs a class and a concept"),
        ("classes = [", "a.toml", "is not valid TOML"),
        ('classes = ["melanoma"]\ncolor = 1\n', "a.toml", "unknown key 'color'"),
        ("melanoma/nasty\n", "a.txt", "unknown malignancy 'nasty'"),
    ],
)
def test_a_broken_file_is_refused_with_its_name(body: str, name: str, issue: str) -> None:
    """Every issue at once; the file is the person's own, so it is no catalog."""
    with pytest.raises(DermdataError, match=issue) as caught:
        space(body, name)
    assert isinstance(caught.value, BadTable | UsageError)
    assert name in caught.value.message


def test_a_file_of_many_spaces_is_not_one() -> None:
    """Which of them is meant nobody knows."""
    with pytest.raises(UsageError, match="11 tables, not one label space"):
        space(text("vocabulary/spaces.toml"), "spaces.toml")


@pytest.mark.parametrize(
    ("body", "name"),
    [(LINES, "a.txt"), (TABLE, "a.tsv"), (TOML, "a.toml"), (NAMED, "b.toml"), ("\ufeff" + TABLE, "c.tsv")],
)
def test_each_form_says_the_same(body: str, name: str) -> None:
    """One class a line, a table, TOML with or without a name for the space; a byte order mark is no part of it."""
    found = space(body, name)
    assert found.classes == {
        "melanoma": (("melanoma", None),), "PIGMENTED": (("melanocytic-nevus", None), ("lentigo", None)),
    }  # fmt: skip
    assert project_label(label("ham10000", "dx", "nv"), found, vocabulary()).value == "PIGMENTED"
    assert project_label(label("ham10000", "dx", "bcc"), found, vocabulary()).value is None
