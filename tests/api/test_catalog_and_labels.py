"""Entries and labels: a session gives what `list`, `info` and `labels` give."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dermdata as dd
from dermdata.api.catalog_entries import MANIFEST_FIELDS
from dermdata.errors import BadCatalog, UnknownName, UsageError
from dermdata.manifest.schema import SCHEMA

LISTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "search": ({"search": "HAM"}, ["--search", "HAM"]),
    "words": (
        {"modality": "clinical", "task": "segmentation", "access": "open"},
        ["--modality", "clinical", "--task", "segmentation", "--access", "open"],
    ),
    "fields": (
        {"has": ("skin_tone", "age"), "license": "CC-BY"},
        ["--has", "skin_tone", "--has", "age", "--license", "CC-BY"],
    ),
    "usable": (
        {"fetch": ("yes", "account"), "commercial": True, "min_images": 500},
        ["--fetchable", "yes,account", "--commercial", "--min-images", "500"],
    ),
    "sorted": ({"kind": "all", "sort": "-images"}, ["--kind", "all", "--sort", "-images"]),
    "cached": ({"cached": True}, ["--cached"]),
    "nothing": ({"search": "no such thing"}, ["--search", "no such thing"]),
}  # fmt: skip


def items_of(answer: Any) -> list[Any]:
    assert answer.code == 0, answer.err
    return list(json.loads(answer.out)["items"])


def as_json(value: object) -> Any:
    """What a value is after it was written and read."""
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("case", LISTS)
def test_list(session: dd.Session, run: Callable, case: str) -> None:
    options, words = LISTS[case]
    frame = session.catalog(**options)
    assert [one["name"] for one in items_of(run("list", *words, "-f", "json"))] == list(frame["name"])
    assert ("complete" in frame) == (case == "cached")


def test_the_fields_that_list_knows_are_the_manifest_s(session: dd.Session) -> None:
    assert set(MANIFEST_FIELDS) - set(SCHEMA.names) == {"mask", "skin_tone"}
    with pytest.raises(UnknownName, match="field"):
        session.catalog(has=["skin_tome"])


def test_info(session: dd.Session, run: Callable) -> None:
    assert run("info", "demo").out == session.card("demo") + "\n"
    assert run("info", "demo", "--short").out == session.card("demo", short=True) + "\n"
    assert run("info", "ham10000", "--facts").out == session.card("ham10000", facts=True) + "\n"
    assert items_of(run("info", "ham10000", "-f", "json")) == [as_json(session.entry("ham10000"))]
    assert run("info", "ham10000", "-f", "bibtex").out == session.bibtex("ham10000") + "\n"
    assert json.loads(run("info", "demo", "-f", "croissant").out) == as_json(session.croissant("demo"))


def test_find_and_tree(session: dd.Session, run: Callable) -> None:
    found = session.find_labels("bcc nodular", limit=3)
    assert items_of(run("labels", "find", "bcc", "nodular", "--limit", "3", "-f", "json")) == found.items
    tree = session.label_tree("keratinocytic-neoplasm", depth=2)
    words = ["labels", "tree", "keratinocytic-neoplasm", "--depth", "2", "-f", "json"]
    assert items_of(run(*words)) == tree.items
    assert {row["images"] for row in tree} != {None}
    with pytest.raises(UnknownName, match="concept"):
        session.label_tree("keratinocytic")


def test_sites_and_spaces(session: dd.Session, run: Callable) -> None:
    assert session.find_sites("torso")[0]["site"] == "trunk"
    assert session.find_sites("R\u00fccken")[0]["site"] == "trunk-posterior-trunk"
    face = session.find_sites("face", limit=2)
    assert items_of(run("labels", "find", "--sites", "face", "--limit", "2", "-f", "json")) == as_json(
        face.items
    )
    assert items_of(run("labels", "find", "--sites", "-f", "json")) == as_json(session.find_sites().items)
    spaces = session.label_spaces()
    assert items_of(run("labels", "spaces", "-f", "json")) == as_json(spaces.items)
    classes = session.label_spaces("ham7")
    assert items_of(run("labels", "spaces", "ham7", "-f", "json")) == as_json(classes.items)
    assert [row["class"] for row in classes] == spaces[0]["classes"]


def test_align(session: dd.Session, run: Callable) -> None:
    found = session.align_labels("ham10000", "pad-ufes-20", max_loss=0.02)
    answer = run("labels", "align", "ham10000", "pad-ufes-20", "--max-loss", "2%", "-f", "json")
    assert json.loads(answer.out) == {
        "schema": "dermdata.labels-align/1",
        **as_json(found.classes.facts),
        "items": as_json(found.classes.items),
    }
    told = run("labels", "align", "ham10000", "pad-ufes-20", "--max-loss", "2%", "-f", "table", "--why").err
    assert found.notes
    assert all(note in told for note in found.notes)


def test_map_and_export(session: dd.Session, run: Callable) -> None:
    assert items_of(run("labels", "map", "ham10000", "-f", "json")) == as_json(
        session.labels("ham10000").items
    )
    sssom = session.export_labels("ham10000")
    assert run("labels", "map", "ham10000", "-f", "sssom").out == sssom.rstrip("\n") + "\n"


def test_words_of_one_s_own(session: dd.Session, run: Callable, tmp_path: Path) -> None:
    table = tmp_path / "own.csv"
    table.write_text("finding\nmelanoma\npsoriasis\npsoriasis\nnae\n", encoding="utf-8")
    found = session.propose_labels(table, "finding", accept=["nae=psoriasis"], out=tmp_path / "api.tsv")
    words = ["labels", "map", "--csv", table, "--column", "finding", "--accept", "nae=psoriasis"]
    assert items_of(run(*words, "-o", tmp_path / "cli.tsv", "-f", "json")) == as_json(found.items)
    assert (tmp_path / "api.tsv").read_bytes() == (tmp_path / "cli.tsv").read_bytes()
    assert all(row["applied"] for row in found)


def test_review_and_diff(session: dd.Session, run: Callable, tmp_path: Path) -> None:
    assert items_of(run("labels", "review", "-f", "json")) == as_json(session.review_labels().items)
    [name] = {row["dataset"] for row in session.review_labels()[:1]}
    doubts = session.review_labels(name)
    assert items_of(run("labels", "review", name, "-f", "json")) == doubts.items
    for version, concept in (("old", "psoriasis"), ("new", "melanoma")):
        folder = tmp_path / version / "datasets" / "own"
        folder.mkdir(parents=True)
        row = f"field\traw_label\tconcept\tpredicate\tmalignancy\tmembers\tnote\nf\tx\t{concept}\texactMatch\t\t\t\n"
        (folder / "labels.tsv").write_text(row, encoding="utf-8")
    found = session.diff_labels(tmp_path / "old", tmp_path / "new")
    assert items_of(run("labels", "diff", tmp_path / "old", tmp_path / "new", "-f", "json")) == found.items
    assert [row["what"] for row in found] == ["changed"]
    with pytest.raises(BadCatalog):
        session.diff_labels(tmp_path, tmp_path)


def test_what_is_not_there_is_an_error(session: dd.Session) -> None:
    bare = next(name for name in session.catalog(kind="model")["name"] if not session.labels(name))
    with pytest.raises(UsageError, match="no label words"):
        session.export_labels(bare)
    with pytest.raises(UsageError, match="no label words"):
        session.align_labels(bare)
    with pytest.raises(UsageError, match="is a model"):
        session.croissant(bare)
