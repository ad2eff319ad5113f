"""What must hold of every file of the vocabulary and of every crosswalk: one contract for all datasets."""

import csv
from io import StringIO

import pytest

from dermdata.crosswalks import LABEL_COLUMNS, check_labels, harmonize_label, harmonize_words, parse_labels
from dermdata.vocabulary import parse_body_sites, project_label, tsv
from dermdata.vocabulary.concepts import CONCEPT_COLUMNS, SITE_COLUMNS, concept_malignancy
from support.bundled_labels import (
    CATALOG,
    crosswalk,
    datasets,
    labels,
    needs_shared,
    shared_rows,
    spaces,
    text,
    vocabulary,
)

FILES = [f"vocabulary/{leaf}.tsv" for leaf in ("concepts", "body-sites", "review", "terms", "site-terms")]
SUPERCLASSES = {"neoplastic", "non-neoplastic", "normal-skin", "no-skin", "unknown"}


# ------------------------------------------------------------------ crosswalks


@pytest.mark.parametrize("dataset", datasets())
def test_every_row_of_a_crosswalk_has_a_target_in_the_tree(dataset):
    """Predicate and concept are checked by the parser, the tree by check; neither complains."""
    rows = parse_labels(text(f"datasets/{dataset}/labels.tsv"), dataset)
    assert rows
    check_labels(rows, vocabulary(), dataset)


@pytest.mark.parametrize("dataset", datasets())
def test_a_file_is_written_as_the_house_writes(dataset):
    """Reading and writing gives the same bytes: LF, minimal quoting, no trailing anything."""
    body = text(f"datasets/{dataset}/labels.tsv")
    issues: list[str] = []
    rows = [row for _, row in tsv.read_rows(body, LABEL_COLUMNS, issues)]
    assert tsv.rows_to_text(LABEL_COLUMNS, rows) == body
    assert not issues


@pytest.mark.parametrize("dataset", datasets())
def test_every_word_of_a_crosswalk_has_a_meaning_or_a_reason(dataset):
    """A diagnosis with its path, or why there is none."""
    for field in crosswalk(dataset).fields:
        words = [row.raw_label for row in labels(dataset) if row.field == field]
        found = harmonize_words(field, words, crosswalk(dataset), vocabulary())
        assert len(found) == len(words)
        for one in found.values():
            assert (one.diagnosis is None) == (one.reason is not None)
            assert one.diagnosis_path[-1:] == ((one.diagnosis,) if one.diagnosis else ())


@pytest.mark.parametrize("dataset", datasets())
def test_a_lump_without_a_wider_concept_names_its_members(dataset):
    """A row whose note says "lump" has members, unless its concept is the lump itself."""
    for row in labels(dataset):
        if (row.note or "").startswith("lump:"):
            assert row.members or row.predicate == "broadMatch"


@needs_shared
def test_no_raw_label_known_is_unmapped():
    """Each of the words seen in the sources has its row."""
    rows = shared_rows("vocabulary/raw_labels.csv")
    missing = [
        (row["dataset"], row["field"], row["raw_label"])
        for row in rows
        if crosswalk(row["dataset"]).lookup(row["field"], row["raw_label"]) is None
    ]
    assert missing == []
    assert len(rows) == 1788


# ------------------------------------------------------------------ the tree


def test_the_tree_is_well_formed():
    """One root, five superclasses, and no level above its parent's."""
    tree = vocabulary()
    assert set(tree.children(tree.root)) == SUPERCLASSES
    levels = ["root", "superclass", "category", "group", "diagnosis", "subtype"]
    for concept in tree:
        if concept.parent:
            assert levels.index(concept.level) >= levels.index(tree[concept.parent].level)
    assert len(tree) >= 693


def test_malignancy_does_not_contradict_the_tree():
    """Below a malignant or benign concept stands nothing of the other kind."""
    tree = vocabulary()
    opposite = {"malignant": "benign", "benign": "malignant"}
    for concept in tree:
        below = {tree.malignancy(one) for one in tree.descendants(concept.id)}
        assert opposite.get(concept.malignancy) not in below


def test_labels_are_unique():
    """Two concepts of one name could not be told apart in a list."""
    names = [concept.label.casefold() for concept in vocabulary()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("leaf", FILES)
def test_a_vocabulary_file_is_written_as_the_house_writes(leaf):
    """UTF-8 without a mark, LF, minimal quoting."""
    body = text(leaf)
    header, *rows = csv.reader(StringIO(body, newline=""), tsv.TabDialect)
    assert tsv.rows_to_text(header, rows) == body
    assert not body.startswith("\ufeff")


def test_the_headers_are_the_documented_ones():
    """Scripts of others read these files as well."""
    assert text("vocabulary/concepts.tsv").splitlines()[0].split("\t") == list(CONCEPT_COLUMNS)
    assert text("vocabulary/body-sites.tsv").splitlines()[0].split("\t") == list(SITE_COLUMNS)


def test_reviewed_rows_are_in_the_crosswalks():
    """A row to be decided exists; a row without a word stands for the whole field; `vocabulary` is its own synonyms."""
    rows = list(csv.DictReader(StringIO(text("vocabulary/review.tsv"), newline=""), dialect=tsv.TabDialect))
    for row in rows:
        if row["dataset"] == "vocabulary":
            assert row["raw_label"] in vocabulary()[row["concept_id"]].synonyms
        elif row["raw_label"]:
            found = crosswalk(row["dataset"]).lookup(row["field"], row["raw_label"])
            assert found, row
            assert found.concept == row["concept_id"]
        else:
            assert row["field"] in crosswalk(row["dataset"]).fields
    assert len(rows) >= 46


def test_the_licenses_are_stated():
    """Each source of the vocabulary with its terms."""
    notice = (CATALOG / "vocabulary/LICENSE.md").read_text(encoding="utf-8")
    for words in ("CC BY 4.0", "CC0", "Source: CDC/NCHS", "Apache License, Version 2.0"):
        assert words in notice


# ------------------------------------------------------------------ body sites


@needs_shared
def test_body_sites_are_those_of_isic():
    """Slug, last part of the path, parent: nothing invented, nothing left out."""
    sites = parse_body_sites(text("vocabulary/body-sites.tsv"))
    rows = shared_rows("facts/isic_anatom_site_hierarchy.csv")
    assert list(sites) == [row["enum"].replace("_", "-") for row in rows]
    for row in rows:
        way = []
        site = sites[row["enum"].replace("_", "-")]
        while site:
            way.insert(0, site.label)
            site = sites[site.parent] if site.parent else None
        assert ":".join(way) == row["anatom_site"]


# ------------------------------------------------------------------ spaces


def test_the_named_spaces_are_there():
    """Eleven of them; malignancy, ours and the datasets' own, is a facet."""
    named = "ham7 isic8 pad6 malignancy malignancy-source superclass category fitzpatrick9 fitzpatrick3 mpox wound"
    assert list(spaces()) == named.split()
    assert [space.name for space in spaces().values() if space.facet] == ["malignancy", "malignancy-source"]


def test_every_category_is_a_class_of_its_space():
    """A new category must be added there."""
    classes = set(spaces()["category"].classes)
    assert {concept.id for concept in vocabulary() if concept.level == "category"} <= classes


@pytest.mark.parametrize(
    ("dataset", "field", "space"),
    [
        ("isic-2018-task3", "one-hot", "ham7"),
        ("isic-2019", "one-hot", "isic8"),
        ("bcn20000", "diagnosis", "isic8"),
        ("pad-ufes-20", "diagnostic", "pad6"),
        ("msld-v2", "class folder", "mpox"),
        ("azh-wound", "class folder", "wound"),
    ],
)
def test_a_datasets_own_words_project_to_its_own_space(dataset, field, space):
    """Each class is its own word; ISIC 2019's UNK is no class."""
    for row in labels(dataset):
        if row.field == field and row.raw_label != "UNK":
            assert project_label(row, spaces()[space], vocabulary()).value == row.raw_label


@needs_shared
@pytest.mark.parametrize(
    ("space", "column"),
    [("fitzpatrick9", "nine_partition_label"), ("fitzpatrick3", "three_partition_label")],
)
def test_fitzpatricks_partitions_sort_its_labels_as_its_table_does(space, column):
    """All 114 labels, from the 16,577 rows of the table."""
    rows = shared_rows("data/fitzpatrick17k/fitzpatrick17k.csv")
    theirs = {(row["label"], row[column]) for row in rows}
    found = crosswalk("fitzpatrick17k")
    ours = {
        (word, project_label(found.lookup("label", word), spaces()[space], vocabulary()).value)
        for word, _ in theirs
    }
    assert ours == theirs


def test_one_concept_has_one_malignancy_in_every_dataset():
    """A word that surely means a concept has the concept's; what the dataset says of it stays in its own column."""
    found = {}
    for name in datasets():
        for one in labels(name):
            meant = harmonize_label(one, vocabulary())
            if meant.diagnosis and not one.members and concept_malignancy(meant.diagnosis, vocabulary()):
                found.setdefault(meant.diagnosis, set()).add(meant.malignancy)
    assert len(found) > 400
    assert {concept: words for concept, words in found.items() if len(words) > 1} == {}
