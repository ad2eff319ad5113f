"""`dermdata labels`."""

import json
from collections.abc import Callable

import pytest


def test_map_shows_every_word_with_its_concept(cli: Callable) -> None:
    """HAM10000's seven words, lumps with their members."""
    items = json.loads(cli("labels", "map", "ham10000", "--format", "json").out)["items"]
    assert len(items) == 7
    akiec = next(item for item in items if item["raw_label"] == "akiec")
    assert akiec["concept"] == "squamous-neoplasia"
    assert akiec["predicate"] == "broadMatch"
    assert akiec["members"] == ["actinic-keratosis", "squamous-cell-carcinoma-in-situ"]
    assert akiec["count"] == 327


@pytest.mark.parametrize(
    ("text", "concept"),
    [("BCC", "basal-cell-carcinoma"), ("C43", "melanoma"), ("nevus sebaceus", "nevus-sebaceus"), ("bowen", "bowen-disease"),
     ("melanomma", "melanoma")],
)  # fmt: skip
def test_find_puts_the_right_concept_first(cli: Callable, text: str, concept: str) -> None:
    """By label, synonym, raw word, code and with a typing error."""
    assert cli("labels", "find", text, "--format", "names").out.splitlines()[0] == concept


def test_tree_and_its_branches(cli: Callable) -> None:
    """The whole tree, or what is under one concept."""
    assert len(cli("labels", "tree", "--format", "names").out.splitlines()) == 693
    branch = cli("labels", "tree", "melanoma", "--format", "names").out.splitlines()
    assert branch[0] == "melanoma"
    assert 1 < len(branch) < 40
    assert cli("labels", "tree", "melanomma").code == 2
