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


def test_align_keeps_apart_what_can_be_told_apart(cli: Callable) -> None:
    """akiec, ACK and SCC share a class, as do SEK and bkl; melanoma, nevus and BCC stand alone."""
    answer = cli("labels", "align", "ham10000", "pad-ufes-20", "--format", "json")
    document = json.loads(answer.out)
    assert set(document) == {"schema", "unassigned", "forced", "wider", "tradeoff", "items"}
    classes = [{label["raw_label"] for label in item["labels"]} for item in document["items"]]
    assert {"akiec", "ACK", "SCC"} in classes
    assert {"bkl", "SEK"} in classes
    assert {"mel", "MEL"} in classes
    assert {"nv", "NEV"} in classes
    assert {"bcc", "BCC"} in classes


def test_align_names_the_label_that_would_glue_everything(cli: Callable) -> None:
    """derm7pt's "miscellaneous" is left out and named; --keep-all shows what it does."""
    names = ("ham10000", "isic-2019", "pad-ufes-20", "derm7pt")
    answer = cli("labels", "align", *names)
    assert "derm7pt miscellaneous (8)" in answer.err
    assert len(answer.out.splitlines()) > 6
    assert len(cli("labels", "align", *names, "--keep-all", "--format", "names").out.splitlines()) == 1


def test_a_share_is_written_as_percent_or_number(cli: Callable) -> None:
    """Anything else is said in words."""
    assert cli("labels", "align", "ham10000", "derm7pt", "--max-loss", "2%").code == 0
    assert cli("labels", "align", "ham10000", "derm7pt", "--max-loss", "lots").code == 2
